"""What an answer of the control wire means: its JSON, its snapshot, its problem details as the errors they came from.

Owns: telling an engine from another program, and a newer or damaged answer from a good one. Never: the network
(client.py asks).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from . import errors as e
from ._version import __version__
from .core.snapshot import Snapshot, from_wire

_OPENAI_CODES = {"context_length_exceeded": "context_overflow", "model_not_found": "unknown_name"}
_RESERVED = frozenset({"type", "title", "status", "detail", "code"})


def _classes(cls: type[e.ArbiterError]) -> Iterator[type[e.ArbiterError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _classes(child)


def error_from(status: int, content: bytes) -> e.ArbiterError:
    """The error that the engine raised, from its problem details or OpenAI error; a plain ArbiterError if unknown."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        text = content[:200].decode("utf-8", "replace").strip()
        return _made("error", f"the engine answered {status}: {text or 'nothing'}", {})
    inner = body.get("error")
    if isinstance(inner, dict):
        code = str(inner.get("code"))
        return _made(_OPENAI_CODES.get(code, code), str(inner.get("message")), {})
    details = {k: v for k, v in body.items() if k not in _RESERVED}
    return _made(str(body.get("code", "error")), str(body.get("detail") or f"the engine answered {status}"), details)


def error_from_problem(body: Mapping[str, Any], otherwise: str) -> e.ArbiterError:
    """The error that ended an operation, from the problem details in its result."""
    details = {k: v for k, v in body.items() if k not in _RESERVED}
    return _made(str(body.get("code", "error")), str(body.get("detail") or otherwise), details)


def _made(code: str, message: str, details: Mapping[str, Any]) -> e.ArbiterError:
    cls = next((c for c in _classes(e.ArbiterError) if c.__dict__.get("code") == code), e.ArbiterError)
    error = cls.__new__(cls)  # a class of its own signature (UnknownName) still gets the engine's very words
    e.ArbiterError.__init__(error, message, details=details)
    error.code = code
    return error


def parsed(url: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise e.WireUnreadable(f"what answers at {url} is no arbiter engine: its answer is not JSON") from error


def snapshot_from(url: str, data: Any) -> Snapshot:
    """What ``GET /snapshot`` answered. Raises WireUnreadable, which names the engine and what can't be read."""
    if not isinstance(data, Mapping) or "revision" not in data:
        raise e.WireUnreadable(f"what answers at {url} is no arbiter engine: its snapshot has no revision")
    try:
        return from_wire(Snapshot, data)
    except e.WireUnreadable as error:
        raise e.WireUnreadable(f"the engine at {url} can't be read: {error}", details=error.details) from error


def of_another_version(snapshot: Snapshot) -> str | None:
    """A sentence where the engine's version is another; None where it is this one's or untold."""
    theirs = snapshot.engine.version
    if not theirs or theirs == __version__:
        return None
    return f"The engine is version {theirs}, this is {__version__}: what only one of them knows is not shown."
