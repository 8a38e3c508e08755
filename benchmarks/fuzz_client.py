"""Sends one case on a connection of its own and says what is wrong with the answer, if anything is.

Owns: reading an answer off the wire, what an honest refusal looks like in each dialect. Never: what is sent.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httptools
from fuzz_cases import Case

HONEST = frozenset({501, 502, 503})  # not offered; the runtime behind failed; loading, draining, left alone
HANG_S = 20.0


@dataclass(slots=True)
class Answer:
    status: int = 0  # 0: the connection ended without a word
    kind: str = ""
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False

    def code(self) -> str:
        """The error's own word, as far as it has one."""
        try:
            told = json.loads(self.body)
        except ValueError:
            return ""
        inner = told.get("error", told) if isinstance(told, dict) else {}
        return str(inner.get("code", "")) if isinstance(inner, dict) else str(inner)[:60]


class _Client(asyncio.Protocol):
    def __init__(self, case: Case, done: asyncio.Future[None]) -> None:
        self.answer = Answer()
        self._case = case
        self._done = done
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        transport.write(self._case.raw)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.answer.kind = "no HTTP"
            self._end()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.answer.kind = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.answer.status = self._parser.get_status_code()
        if self._case.method == "HEAD":  # its length is that of a body which does not come
            self.answer.whole = True
            self._end()

    def on_body(self, body: bytes) -> None:
        self.answer.body += body

    def on_message_complete(self) -> None:
        if self.answer.status != 100:
            self.answer.whole = True
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def send(port: int, case: Case) -> Answer:
    """Raises TimeoutError when nothing ends it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    async with asyncio.timeout(HANG_S):
        transport, client = await loop.create_connection(lambda: _Client(case, done), "127.0.0.1", port)
        try:
            await done
        finally:
            transport.abort()
    return client.answer


def trouble(case: Case, answer: Answer) -> str | None:
    """What is wrong with the answer; None: it is as it must be."""
    status = answer.status
    if status == 0:
        return None if case.kind == "heads" else "cut off without a word"
    if answer.kind == "no HTTP":
        return "the answer is no HTTP"
    if status >= 500 and status not in HONEST:
        return f"{status} {bytes(answer.body[:200])!r}"
    if not answer.whole:
        return None if b"error" in answer.body else f"{status}, cut off without an error"
    if status >= 400 and case.method != "HEAD":
        return _misshapen(case, answer)
    return None


def _misshapen(case: Case, answer: Answer) -> str | None:
    """A refusal that is not of its dialect."""
    try:
        told: Any = json.loads(answer.body)
    except ValueError:
        return f"{answer.status} without JSON: {bytes(answer.body[:80])!r}"
    if not isinstance(told, dict):
        return f"{answer.status} is no object"
    if case.kind == "heads":
        return None if "error" in told or "detail" in told else f"{answer.status} says nothing"
    error = told.get("error")
    if case.path.startswith("/arbiter/"):
        right = isinstance(told.get("detail"), str) and told.get("status") == answer.status
    elif case.path.startswith("/api/"):
        right = isinstance(error, str) and bool(error)
    else:
        right = isinstance(error, dict) and isinstance(error.get("message"), str) and bool(error["message"])
    return None if right else f"{answer.status} of another shape: {bytes(answer.body[:120])!r}"
