"""What a request leaves behind: nothing that only the collection of all garbage would find."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterator

import pytest
from gateway_cases import served, until
from test_gateway_connections import connect, request
from test_gateway_relay import STREAM, answered, body
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from arbiter_tui.engine.answer import Answer
from arbiter_tui.gateway.exchange import Exchange
from arbiter_tui.gateway.protocol import Client, GuardedProtocol
from arbiter_tui.testing import Behaviour

OF_A_REQUEST = (Answer, Client, Exchange, RequestResponseCycle)


@pytest.fixture
def uncollected() -> Iterator[set[int]]:
    """No garbage is collected. What tests before this one still hold is not counted: its ids, and it stays."""
    gc.collect()
    gc.disable()
    kept = [o for o in gc.get_objects() if isinstance(o, (GuardedProtocol, *OF_A_REQUEST))]
    try:
        yield {id(o) for o in kept}
    finally:
        gc.enable()
        kept.clear()


def alive(before: set[int], *kinds: type) -> Counter[str]:
    return Counter(type(o).__name__ for o in gc.get_objects() if isinstance(o, kinds) and id(o) not in before)


@pytest.mark.parametrize("stream", [True, False])
async def test_answered_requests_are_gone_at_once(uncollected: set[int], stream: bool) -> None:
    """Only the newest of each connection that stays open is left, however many were asked on them."""
    async with served({"fake-a": Behaviour(relayed=STREAM)}) as one:
        for _ in range(20):
            assert (await answered(one, body(stream))).status_code == 200
        await until(lambda: all(n <= 3 for n in alive(uncollected, *OF_A_REQUEST).values()))


@pytest.mark.parametrize("stream", [True, False])
async def test_connections_that_are_lost_are_gone_at_once(uncollected: set[int], stream: bool) -> None:
    """Whether they end behind an answer, in the middle of one, or before any."""
    asked = json.dumps(body(stream)).encode()
    post = request("/v1/chat/completions", f"content-length: {len(asked)}", body=asked)
    async with served({"fake-a": Behaviour(answer="a b c d e f", chunks=6, chunk_s=0.02)}) as one:
        for _ in range(5):
            whole, writer = await connect(one)
            writer.write(post)
            assert b" 200 " in (await whole.read()).split(b"\r\n")[0]
            writer.close()
            begun, writer = await connect(one)
            writer.write(post)
            await until(lambda: one.arbiter.in_flight == 1)
            writer.transport.abort()
            (await connect(one))[1].close()
            del whole, begun, writer
        await until(lambda: one.arbiter.in_flight == 0)
        await until(lambda: not alive(uncollected, GuardedProtocol, *OF_A_REQUEST))
