"""An engine that stops while a running server still answers through it: the client is told, and the record is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from gateway_cases import CHAT, fronting, until

FIRST = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'
LIST = b'{"data": [{"id": "m"}]}'


@asynccontextmanager
async def endless(began: asyncio.Event) -> AsyncIterator[str]:
    """A server that lists one model, and begins answers that it never ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
            if path == b"/v1/models":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LIST) + LIST)
            elif path == CHAT.encode():
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + FIRST)
                began.set()
                await reader.read()
            else:
                writer.write(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_outlives_the_drain_is_told_and_recorded(stream: bool) -> None:
    """In a stream an error event that says what happened, then the cut; else its status: never an internal error. Its
    outcome reaches the store before that is closed."""
    began = asyncio.Event()
    async with endless(began) as backend, fronting(backend) as (arbiter, store, url):
        body = {"model": "far", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        got = bytearray()

        async def ask() -> int:
            async with (
                httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
                http.stream("POST", CHAT, json=body) as answer,
            ):
                try:
                    async for piece in answer.aiter_bytes():
                        got.extend(piece)
                except httpx.RemoteProtocolError:
                    assert stream, "a whole answer is an answer"
                return answer.status_code

        asking = asyncio.create_task(ask())
        await until(lambda: began.is_set() and (not stream or bool(got)))
        await arbiter.stop(deadline_s=0.1)
        assert not arbiter.asked.open
        (kept,) = store.outcomes.values()
        assert not kept.success
        status = await asking
        assert (status == 200) == stream
        told = json.loads(got.removeprefix(FIRST).removeprefix(b"data: ").strip() if stream else bytes(got))
        assert told["error"]["code"] != "internal_error"
