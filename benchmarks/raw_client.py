"""A client that costs next to nothing: kept-alive connections, one request after another, bytes counted and kept.

For measuring a gateway: the official clients cost more than what is measured.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit


@dataclass(slots=True)
class Reply:
    """Seconds from sending. ``body``: without its framing; ``ended``: the framing was complete."""

    status: int = 0
    first_s: float | None = None
    total_s: float = 0.0
    body: bytes = b""
    head: bytes = b""
    ended: bool = False
    chunked: bool = False
    framed: bytearray = field(default_factory=bytearray)
    length: int = 0


class Connection(asyncio.Protocol):
    """Ask again once a reply has come."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reply = Reply()
        self._begun = 0.0
        self._done: asyncio.Future[None] | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without inheriting from it

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish(ended=False)

    async def ask(self, request: bytes) -> Reply:
        """The reply; ``ended`` False where the connection broke before its end."""
        self._reply, self._head, self._begun = Reply(), b"", time.perf_counter()
        self._done = asyncio.get_running_loop().create_future()
        if self._transport is None:
            return self._reply
        self._transport.write(request)
        await self._done
        return self._reply

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply.status == 0:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            reply.head, reply.status = head, int(head[9:12])
            lower = head.lower()
            reply.chunked = b"transfer-encoding: chunked" in lower
            if b"content-length: " in lower:
                reply.length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
        if data and reply.first_s is None:
            reply.first_s = time.perf_counter() - self._begun
        reply.framed += data
        if reply.framed.endswith(b"0\r\n\r\n") if reply.chunked else len(reply.framed) >= reply.length:
            self._finish(ended=True)

    def _finish(self, *, ended: bool) -> None:
        if self._done is None or self._done.done():
            return
        reply = self._reply
        reply.total_s, reply.ended = time.perf_counter() - self._begun, ended
        reply.body = unframed(bytes(reply.framed)) if reply.chunked else bytes(reply.framed)
        self._done.set_result(None)


def unframed(data: bytes) -> bytes:
    """The content of a chunked body."""
    found, at = bytearray(), 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end], 16)
        found += data[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
    return bytes(found)


async def connect(url: str) -> Connection:
    place = urlsplit(url)
    _, protocol = await asyncio.get_running_loop().create_connection(Connection, place.hostname, place.port)
    return protocol


def chat(url: str, model: str, **fields: Any) -> bytes:
    """The bytes of a chat request."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say a word."}], **fields}).encode()
    host = urlsplit(url).netloc.encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: %s\r\ncontent-type: application/json\r\ncontent-length: %d"
    return head % (host, len(body)) + b"\r\n\r\n" + body
