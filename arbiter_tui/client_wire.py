"""The control wire below the calls: streamed answers, the network's errors, and a GET without httpx.

Owns: reading an answer's events. Never: which calls there are (client.py), what an answer means (wire.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import errors as e
from .wire import error_from, parsed

if TYPE_CHECKING:
    import httpx

CONNECT_S = 3.0
KEY_VARIABLE = "ARBITER_KEY"
RUN_S = 600.0  # between two bytes of an answer: a cold load sends pings meanwhile


class Running:
    """Async iterator of text pieces. ``served``: model, task, decision_id, request_id, once the first has come."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, name: str, body: Mapping[str, Any],
        *, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._http = http
        self._url = url
        self._name = name
        self._body = body
        self._headers = headers
        self.served: dict[str, Any] = {}
        self.tokens_out: int | None = None  # known at the end, if the body asked for the usage
        self.estimated = False  # whether the runtime did not count them
        self.finish_reason: str | None = None
        self._pieces = self._read()

    def __aiter__(self) -> AsyncIterator[str]:
        return self._pieces

    async def aclose(self) -> None:
        """Leave: the engine stops decoding."""
        await self._pieces.aclose()

    async def _read(self) -> AsyncGenerator[str, None]:
        """As a task first, then as a version or alias: tasks are what operators name most."""
        exact = self._headers is not None or self._name.startswith("arbiter/")
        names = [self._name] if exact else [f"arbiter/{self._name}", self._name]
        for last, name in zip([*[False] * (len(names) - 1), True], names, strict=True):
            try:
                async with aclosing(self._stream(name)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except e.UnknownName:
                if last:
                    raise

    async def _stream(self, name: str) -> AsyncGenerator[str, None]:
        import httpx

        timeout = httpx.Timeout(RUN_S, connect=CONNECT_S)
        with translated(self._url):
            async with self._http.stream(
                "POST", "/v1/chat/completions", json={**self._body, "model": name}, timeout=timeout,
                headers=self._headers,
            ) as answer:  # fmt: skip
                if answer.is_error:
                    raise error_from(answer.status_code, await answer.aread())
                self._note(answer.headers)
                async for line in answer.aiter_lines():
                    if line == "data: [DONE]":
                        return
                    if line.startswith("data: "):
                        piece = self._event(json.loads(line[6:]))
                        if piece:
                            yield piece
                    elif line.startswith(": x-arbiter-"):  # the head was sent before it was known who serves
                        key, _, value = line[2:].partition("=")
                        self._note({key: value})
        raise e.WorkerDied("the answer ended before it was complete")

    def _note(self, headers: Mapping[str, str]) -> None:
        names = {"x-arbiter-model": "model", "x-arbiter-task": "task", "x-arbiter-decision": "decision_id",
                 "x-arbiter-request-id": "request_id", "x-arbiter-overhead-ms": "overhead_ms"}  # fmt: skip
        self.served |= {to: headers[name] for name, to in names.items() if name in headers}

    def _event(self, event: Mapping[str, Any]) -> str:
        if "error" in event:
            raise error_from(500, json.dumps(event).encode())
        if isinstance(event.get("usage"), Mapping):
            self.tokens_out = event["usage"].get("completion_tokens")
            self.estimated = bool(event["usage"].get("estimated"))
        for choice in event.get("choices", ()):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            return str(choice.get("delta", {}).get("content") or "")
        return ""


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_own: dict[str, Callable[[], str | None]] = {}  # an engine's address -> where its own key is found, each time anew
_chosen: list[str] = []  # the key that the user named for this command, if any


def use_key(token: str | None) -> None:
    """From now on this key goes to whichever engine is asked."""
    _chosen[:] = [] if token is None else [token]


def use_own_key(url: str, find: Callable[[], str | None]) -> None:
    """This engine's key is what ``find`` returns at each call; None: it is asked without one."""
    _own[url.rstrip("/")] = find


def authorization(url: str) -> dict[str, str]:
    """The header for an engine: the key that was named, else the engine's own, else that of ARBITER_KEY."""
    own = _own.get(url.rstrip("/"))
    token = _chosen[0] if _chosen else own() if own is not None else os.environ.get(KEY_VARIABLE)
    return {"authorization": f"Bearer {token.strip()}"} if token else {}


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def translated(url: str) -> Iterator[None]:
    """httpx's errors all mean one thing here: nobody answers (any more)."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise e.EngineUnreachable(f"the engine at {url} does not answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise e.EngineUnreachable(f"the engine at {url} can't be reached: {error or type(error).__name__}") from error


# ── without httpx ─────────────────────────────────────────────────────────────────────────────────────────────────


def fetch_json(url: str, path: str, *, timeout: float = 10.0) -> Any:
    """GET, synchronous, standard library only: ``arbiter status`` starts in a fraction of httpx's import time.

    Raises EngineUnreachable and what the engine raised.
    """
    import http.client

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
        try:
            connection.request(
                "GET", parts.path.rstrip("/") + path, headers={"accept": "application/json", **authorization(url)}
            )
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "strerror", None) or error or type(error).__name__
        raise e.EngineUnreachable(f"the engine at {url} can't be reached: {cause}") from error
    if status >= 400:
        raise error_from(status, content)
    return parsed(url, content)
