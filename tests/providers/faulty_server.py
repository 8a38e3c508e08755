"""An HTTP server that misbehaves by script, on a raw socket: every byte, pause and reset is said by the test.

Owns: what is sent for which path. Never: HTTP of its own beyond reading a request.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

RESET = "reset"  # cut the connection with a TCP reset
HANG = "hang"  # send nothing more until the client leaves
ENDLESS = "endless"  # go on with the last piece for ever
Piece = bytes | str | asyncio.Event  # an event: what follows waits for it


def answer(body: bytes | dict[str, Any], *, status: int = 200, kind: str = "application/json") -> list[Piece]:
    """One whole answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    return [head.encode() + data]


def stream(*pieces: Piece, kind: str = "text/event-stream") -> list[Piece]:
    """An answer of unknown length: its head, then the pieces."""
    return [f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode(), *pieces]


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def word(text: str, finish: str | None = None) -> bytes:
    """One chunk of a chat answer."""
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


DONE = b"data: [DONE]\n\n"
MODELS = answer({"object": "list", "data": [{"id": "m", "object": "model"}]})
GOOD = stream(word("Hel"), word("lo", "stop"), DONE)


class FaultyServer:
    """``script(path, pieces)`` queues an answer for a path; the last one stays. Counts connections that are open, and
    those of them that wait in the middle of an answer."""

    def __init__(self) -> None:
        self.url = ""
        self.answering = 0
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.open = 0
        self._answers: dict[str, list[Sequence[Piece]]] = {"/v1/models": [MODELS]}

    def script(self, path: str, *answers: Sequence[Piece]) -> FaultyServer:
        self._answers[path] = list(answers)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            self.open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines) if k}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = first.split()[1]
        self.asked.append((path, headers, body))
        queue = self._answers.get(path)
        pieces = answer({"error": "no such path"}, status=404) if not queue else queue[0]
        if queue and len(queue) > 1:
            queue.pop(0)
        await self._send(pieces, reader, writer)

    async def _send(self, pieces: Sequence[Piece], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = b""
        for piece in pieces:
            if piece == RESET:
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return
            elif piece == HANG:
                self.answering += 1
                try:
                    await reader.read()  # ends when the client leaves
                finally:
                    self.answering -= 1
            elif piece == ENDLESS:
                while True:
                    writer.write(last)
                    await writer.drain()
            elif isinstance(piece, asyncio.Event):
                await piece.wait()
            elif isinstance(piece, bytes):
                last = piece
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)


def untrusted() -> ssl.SSLContext:
    """TLS with a certificate that nobody has signed; it serves no other purpose and opens nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("untrusted.pem"))
    return context


@asynccontextmanager
async def faulty_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultyServer]:
    fault = FaultyServer()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await fault._serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    fault.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fault
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
