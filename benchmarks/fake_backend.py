"""A backend that costs next to nothing: OpenAI's dialect from a process of its own, so that a gateway's own cost shows.

It answers at once with prepared bytes. A stream has ``max_tokens`` events; ``pace_ms`` (a field of the request) puts
that much time between them; without it they leave in bursts of ``BURST``, as many as a fast runtime would have ready.

    python benchmarks/fake_backend.py PORT [MODEL ...]        (prints "ready PORT" on stdout; port 0 picks a free one)
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, cast

BURST = 25
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"


class Backend(asyncio.Protocol):
    """One connection; requests of it are answered one after another."""

    def __init__(self, models: list[str]) -> None:
        self._models = models
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without inheriting from it

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        if b"transfer-encoding: chunked" in head.lower():  # as Go's proxies send a body that they have not read
            if not rest.endswith(b"0\r\n\r\n"):
                return
            body, self._data = b"".join(rest.split(b"\r\n")[1:-2:2]), b""
        else:
            length = _length(head)
            if len(rest) < length:
                return
            body, self._data = rest[:length], rest[length:]
        self._answer(head.split(b" ", 2), body)

    def _answer(self, line: list[bytes], body: bytes) -> None:
        if line[0] == b"POST":
            asked = json.loads(body)
            if asked.get("stream"):
                self._task = asyncio.get_running_loop().create_task(self._stream(asked))
                return
            if line[1] == b"/v1/embeddings":
                self._whole(200, vectors(asked["input"]))
                return
            self._whole(200, completion(str(asked.get("model"))))
        elif line[1] == b"/v1/models":
            self._whole(200, json.dumps({"object": "list", "data": [_entry(m) for m in self._models]}).encode())
        elif line[1] == b"/health":
            self._whole(200, b'{"status": "ok"}')
        else:
            self._whole(404, b'{"error": {"message": "not found"}}')

    def _whole(self, status: int, body: bytes) -> None:
        if self._transport is not None:
            head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            self._transport.write(head % (status, len(body)) + body)

    async def _stream(self, asked: dict[str, Any]) -> None:
        pace = float(asked.get("pace_ms") or 0) / 1000
        self._write(HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n")
        for burst in bursts(str(asked.get("model")), int(asked.get("max_tokens") or 16), 1 if pace else BURST):
            self._write(burst)
            await asyncio.sleep(pace)
        self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            raise asyncio.CancelledError
        self._transport.write(data)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _entry(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "fake"}


def vectors(texts: list[str]) -> bytes:
    """Embeddings of three numbers."""
    rows = [{"object": "embedding", "index": n, "embedding": [0.5, 0.25, 1.0]} for n, _ in enumerate(texts)]
    return json.dumps({"object": "list", "data": rows, "usage": {"prompt_tokens": len(texts)}}).encode()


@cache
def completion(model: str) -> bytes:
    """The whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "A short answer."}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return json.dumps({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
        "usage": usage,
    }).encode()  # fmt: skip


def events(model: str, tokens: int) -> list[bytes]:
    """The events of a stream, the last one ``[DONE]``."""
    head = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": model}

    def event(delta: dict[str, str], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return b"data: %s\n\n" % json.dumps({**head, "choices": [choice]}).encode()

    pieces = [event({"content": f" word{n}"}, None) for n in range(tokens)]
    return [event({"role": "assistant", "content": ""}, None), *pieces, event({}, "stop"), b"data: [DONE]\n\n"]


@cache
def bursts(model: str, tokens: int, size: int) -> list[bytes]:
    """The events, each framed as a chunk, ``size`` of them a write."""
    framed = [b"%x\r\n%s\r\n" % (len(p), p) for p in events(model, tokens)]
    return [b"".join(framed[at : at + size]) for at in range(0, len(framed), size)]


class Process:
    """A backend in a process of its own; ends with ``stop`` (or is killed). ``port`` 0 picks one and keeps it."""

    def __init__(self, *models: str, port: int = 0) -> None:
        self.models, self.port = models, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(self.port), *self.models], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[1])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Process:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


async def serve(port: int, models: list[str]) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Backend(models), "127.0.0.1", port, backlog=1024, reuse_address=True
    )
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1]), sys.argv[2:] or ["fake"]))
