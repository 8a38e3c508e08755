"""The hot path's client: connections that are kept, given up and bounded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arbiter_providers import _upstream
from faulty_server import ENDLESS, faulty_server, stream
from provider_kit import until

CHAT = "/v1/chat/completions"


class Keeping(asyncio.Protocol):
    """A server that keeps its connections: counts them, closes what is idle on demand."""

    made = 0
    open: list[asyncio.Transport] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        Keeping.made += 1
        Keeping.open.append(transport)
        self._transport, self._data = transport, b""

    def connection_lost(self, exc: Exception | None) -> None:
        Keeping.open.remove(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if found else 1
        if found and len(body) >= length:
            self._data = b""
            told = b'{"choices": [{"finish_reason": "stop"}]}'
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)


@asynccontextmanager
async def keeping() -> AsyncIterator[_upstream.Upstream]:
    Keeping.made, Keeping.open = 0, []
    server = await asyncio.get_running_loop().create_server(Keeping, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    upstream = _upstream.Upstream(url, headers={}, stall_s=5.0)
    try:
        yield upstream
    finally:
        upstream.close()
        server.close()
        await until(lambda: not Keeping.open, "every connection is closed")


async def post(upstream: _upstream.Upstream) -> bytes:
    async with upstream.post("/x", b"{}") as reply:
        got = b""
        while piece := await reply.next():
            got += piece
        return got


async def test_connections_are_kept_and_shared() -> None:
    """One after another they use one; at once each has its own; later they use those again."""
    async with keeping() as upstream:
        for _ in range(5):
            assert b"choices" in await post(upstream)
        assert Keeping.made == 1
        await asyncio.gather(*(post(upstream) for _ in range(8)))
        await asyncio.gather(*(post(upstream) for _ in range(8)))
        assert Keeping.made == 8


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """Whether we know of it already or not: the request is answered."""
    async with keeping() as upstream:
        await post(upstream)
        Keeping.open[0].abort()
        await until(lambda: not Keeping.open, "the server closed it")
        assert b"choices" in await post(upstream)
        Keeping.open[0].close()  # says so in the same turn of the loop in which we ask
        assert b"choices" in await post(upstream)
        assert Keeping.made == 3


async def test_one_for_each_request_where_they_are_not_kept() -> None:
    """For servers that hold a thread for every connection."""
    async with keeping() as upstream:
        upstream.keep = False
        for _ in range(3):
            await post(upstream)
        assert Keeping.made == 3


async def test_a_connection_that_is_lost_is_gone_at_once() -> None:
    """Not only when all garbage is collected: it and its parser know each other."""
    gc.collect()
    gc.disable()
    try:
        async with keeping() as upstream:
            upstream.keep = False
            for _ in range(3):
                await post(upstream)
            await until(
                lambda: not any(isinstance(o, _upstream._Connection) for o in gc.get_objects()), "they are gone"
            )
    finally:
        gc.enable()


async def test_nothing_is_read_far_ahead_of_a_slow_reader() -> None:
    """An endless stream whose reader waits fills no memory."""
    async with faulty_server() as fault:
        fault.script(CHAT, [*stream(), b"data: " + b"x" * 65536, ENDLESS])
        upstream = _upstream.Upstream(fault.url, headers={}, stall_s=30.0)
        async with upstream.post(CHAT, b"{}") as reply:
            held = 0
            for _ in range(200):
                await asyncio.sleep(0)
                held = max(held, reply._connection._held)
            assert 0 < held < _upstream.AHEAD_BYTES + 2**20
        await until(lambda: fault.open == 0, "the endless one is closed")


async def test_words_that_nobody_asked_for_are_no_answer() -> None:
    """What a server says on a connection that rests is never taken for the next answer: that connection is given up."""
    async with keeping() as upstream:
        await post(upstream)
        Keeping.open[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
        await until(lambda: not Keeping.open, "it is closed")
        assert b"choices" in await post(upstream)
        assert Keeping.made == 2
