"""Every ArbiterError as an HTTP answer: the errors of OpenAI, Ollama and Anthropic, and RFC 9457 problem details.

Owns: the one table error -> status, the four shapes, and how each dialect's streams are framed. Never: what an endpoint
does. ::

    error                                   status   OpenAI type / code
    UnknownName                             404      invalid_request_error / model_not_found
    BadRequest (this module: a malformed    its own  invalid_request_error / invalid_request_error unless named
      request; 400 403 404 405 408 411 413 415 422)
    ContextOverflow                         400      invalid_request_error / context_length_exceeded
    InvalidRequest, NotSupported            400      invalid_request_error / the error's own code
    ModelUnusable, ConfigError,             422      invalid_request_error / the error's own code
      ArchiveInvalid
    BudgetSpent                             402      insufficient_quota / budget_spent
    KeyNeeded                               401      invalid_request_error / invalid_api_key
    Forbidden                               403      invalid_request_error / the error's own code
    Impossible                              422      invalid_request_error / invalid_value
    Refused and its other children,         409      conflict_error / the error's own code
      OutOfBudget
    Overloaded                              429      rate_limit_error / overloaded
    WorkerDied, Unreachable, and what else  502      server_error / the error's own code
      a runtime gets wrong (ProviderError)
    Draining, LoadFailed, CircuitOpen,      503      server_error / the error's own code
      StoreError
    StateFull                               507      server_error / state_full
    any other ArbiterError                  500      server_error / the error's own code

429 and 503 always carry Retry-After (whole seconds, at least 1).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from .. import errors as e

Headers = list[tuple[bytes, bytes]]
PROBLEM = b"application/problem+json"
JSON = b"application/json"

_STATUS: tuple[tuple[type[e.ArbiterError], int], ...] = (  # the first match counts: children before parents
    (e.UnknownName, 404),
    (e.ContextOverflow, 400),
    (e.InvalidRequest, 400),
    (e.NotSupported, 400),
    (e.ModelUnusable, 422),
    (e.ConfigError, 422),
    (e.ArchiveInvalid, 422),
    (e.OutOfBudget, 409),
    (e.BudgetSpent, 402),
    (e.KeyNeeded, 401),
    (e.Forbidden, 403),
    (e.Impossible, 422),
    (e.Refused, 409),
    (e.Overloaded, 429),
    (e.WorkerDied, 502),
    (e.Unreachable, 502),
    (e.EngineUnreachable, 502),
    (e.Draining, 503),
    (e.LoadFailed, 503),
    (e.CircuitOpen, 503),
    (e.StateFull, 507),
    (e.StoreError, 503),
    (e.ProviderError, 502),
)
_OPENAI_CODE = {"context_overflow": "context_length_exceeded", "unknown_name": "model_not_found"}
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "instance"})


class BadRequest(e.ArbiterError):
    """The HTTP request itself is wrong. ``param``: the field at fault, if one is."""

    code = "invalid_request_error"

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, details=details)
        self.status = status
        self.param = param
        if code is not None:
            self.code = code


class ModelLoading(e.ArbiterError):
    """A cold load took longer than this request may wait; ``details['loading']``: {progress, eta_seconds}."""

    code = "model_loading"
    status = 503
    retry_after_s = 5.0


class ModelBusy(ModelLoading):
    """It is there, and its places are taken for longer than this request may wait."""

    code = "model_busy"


class DeadlineMissed(e.ArbiterError):
    """The client's own X-Arbiter-Deadline has passed."""

    code = "deadline_exceeded"
    status = 504
    retry_after_s = 1.0


def status_of(error: e.ArbiterError) -> int:
    own = getattr(error, "status", None)
    if isinstance(own, int):
        return own
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def retry_after(error: e.ArbiterError, status: int) -> Headers:
    """Retry-After in whole seconds where a retry makes sense."""
    if error.retry_after_s is None and status not in (429, 503):
        return []
    return [(b"retry-after", str(max(1, math.ceil(error.retry_after_s or 1.0))).encode())]


def openai_error(error: e.ArbiterError) -> dict[str, Any]:
    """``{"error": {message, type, param, code}}``, plus ``loading`` beside it while a model loads."""
    status = status_of(error)
    param = getattr(error, "param", None) or ("model" if isinstance(error, e.UnknownName) else None)
    code = _OPENAI_CODE.get(error.code, error.code)
    body: dict[str, Any] = {
        "error": {"message": str(error), "type": _openai_type(status), "param": param, "code": code}
    }
    if "loading" in error.details:
        body["loading"] = error.details["loading"]
    return body


def _openai_type(status: int) -> str:
    if status == 402:
        return "insufficient_quota"
    if status == 429:
        return "rate_limit_error"
    if status == 409:
        return "conflict_error"
    return "invalid_request_error" if status < 500 else "server_error"


def problem(error: e.ArbiterError) -> dict[str, Any]:
    """RFC 9457: type, title, status, detail, ``code``, and the error's details as extension members."""
    status = status_of(error)
    extra = {k: v for k, v in error.details.items() if k not in _RESERVED}
    if getattr(error, "param", None):
        extra["param"] = getattr(error, "param", None)
    return {
        **extra,
        "type": f"urn:arbiter:problem:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(error),
        "code": error.code,
    }


def ollama_error(error: e.ArbiterError) -> dict[str, Any]:
    """``{"error": "…"}``; a model that isn't there in the words that clients of Ollama look for."""
    body: dict[str, Any] = {"error": _not_found(error) or str(error)}
    if "loading" in error.details:
        body["loading"] = error.details["loading"]
    return body


def _not_found(error: e.ArbiterError) -> str | None:
    if not isinstance(error, e.UnknownName) or error.details.get("kind") != "model":
        return None
    near = ", ".join(error.details.get("nearest", ()))
    return f"model '{error.details['name']}' not found" + (f"; nearest: {near}" if near else "")


def _response_error(error: e.ArbiterError) -> dict[str, Any]:
    """An ``error`` event of the Responses API; ``error`` in it makes clients raise that know only the other APIs'."""
    inner = openai_error(error)["error"]
    told = {key: inner[key] for key in ("code", "message", "param")}
    return {"type": "error", "sequence_number": 0, **told, "error": inner}


_ANTHROPIC = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
              404: "not_found_error", 408: "timeout_error", 413: "request_too_large", 422: "invalid_request_error",
              429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error"}  # fmt: skip


def anthropic_error(error: e.ArbiterError) -> dict[str, Any]:
    """``{"type": "error", "error": {type, message}}``, and the error's own code beside the message."""
    status = status_of(error)
    kind = _ANTHROPIC.get(status, "invalid_request_error" if status < 500 else "api_error")
    inner: dict[str, Any] = {"type": kind, "message": str(error), "code": error.code}
    if "loading" in error.details:
        inner["loading"] = error.details["loading"]
    return {"type": "error", "error": inner}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a family of endpoints says no, and how its streams are framed.

    ``shape`` makes the object, ``kind`` is its media type. ``before`` and ``behind`` frame an error in an open stream;
    ``ping`` keeps a silent stream alive (None: the dialect has no word for that).
    """

    shape: Callable[[e.ArbiterError], dict[str, Any]]
    kind: bytes = JSON
    stream: bytes = b"text/event-stream; charset=utf-8"
    before: bytes = b"data: "
    behind: bytes = b"\n\n"
    ping: bytes | None = b": ping\n\n"
    late: Callable[[e.ArbiterError], dict[str, Any]] | None = None  # the shape in an open stream, where it differs

    def render(self, error: e.ArbiterError) -> bytes:
        return json.dumps(self.shape(error), default=str).encode()

    def framed(self, error: e.ArbiterError) -> bytes:
        """An error in an open stream."""
        return self.before + json.dumps((self.late or self.shape)(error), default=str).encode() + self.behind


OPENAI = Dialect(openai_error)
RESPONSES = Dialect(openai_error, before=b"event: error\ndata: ", late=_response_error)
PROBLEMS = Dialect(problem, PROBLEM)
OLLAMA = Dialect(ollama_error, stream=b"application/x-ndjson", before=b"", behind=b"\n", ping=None)
ANTHROPIC = Dialect(anthropic_error, before=b"event: error\ndata: ")


def dialect_of(path: str) -> Dialect:
    """By the path's family; OpenAI's errors where it belongs to none."""
    if path.startswith("/v1/messages"):
        return ANTHROPIC
    if path.startswith("/api/"):
        return OLLAMA
    return PROBLEMS if path.startswith("/arbiter/") else OPENAI


def internal(error: Exception) -> e.ArbiterError:
    """What a client may know of a defect: that there was one, never its text (it may hold a prompt)."""
    hidden = e.ArbiterError(f"internal error ({type(error).__name__}); the engine's log has the details")
    hidden.code = "internal_error"
    return hidden
