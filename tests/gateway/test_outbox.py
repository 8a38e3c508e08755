"""What one turn of the loop sends together: nothing is lost, late, overtaken or sent to who has left."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
import uvicorn
from gateway_cases import Stand
from hypothesis import given
from hypothesis import strategies as st
from test_gateway_connections import BODY, CHAT, LENGTH, answered, connect
from uvicorn.server import ServerState

from arbiter_tui.config import LimitsConfig
from arbiter_tui.gateway.protocol import GuardedProtocol, guarded
from arbiter_tui.outbox import FEW, TOGETHER, Outbox

AT_ONCE = TOGETHER + 3


class Wire:
    """A transport that keeps what is written to it, and all in ``order``."""

    def __init__(self, order: list[bytes]) -> None:
        self.order, self.closed = order, False

    def write(self, data: bytes) -> None:
        self.order.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def put(outbox: Outbox, wire: Wire, data: bytes, under_way: int = FEW) -> None:
    outbox.put(cast(asyncio.WriteTransport, wire), data, under_way)


async def test_where_few_are_under_way_nothing_waits() -> None:
    """A lone client's packet goes out at once."""
    order: list[bytes] = []
    put(Outbox(), Wire(order), b"a", FEW - 1)
    assert order == [b"a"]


async def test_what_waits_is_not_overtaken() -> None:
    """Once a packet waits the next ones do, however few are under way: they keep their order."""
    order: list[bytes] = []
    outbox = Outbox()
    put(outbox, Wire(order), b"a")
    put(outbox, Wire(order), b"b", 1)
    assert order == []
    await asyncio.sleep(0)
    assert order == [b"a", b"b"]


async def test_who_was_closed_meanwhile_gets_nothing() -> None:
    order: list[bytes] = []
    outbox, gone, there = Outbox(), Wire(order), Wire(order)
    put(outbox, gone, b"a")
    put(outbox, there, b"b")
    gone.closed = True
    await asyncio.sleep(0)
    assert order == [b"b"]


@given(st.lists(st.integers(0, 12), max_size=200))
def test_all_goes_out_once_in_order_within_its_turn(turns: list[int]) -> None:
    """Whatever comes, turn after turn: at most TOGETHER wait, and a turn later none does."""

    async def turn_after_turn() -> tuple[list[bytes], list[bytes]]:
        order: list[bytes] = []
        sent: list[bytes] = []
        outbox, wire = Outbox(), Wire(order)
        for turn, packets in enumerate(turns):
            for n in range(packets):
                sent.append(b"%d.%d" % (turn, n))
                put(outbox, wire, sent[-1], packets)
                assert len(outbox.waiting) < TOGETHER
            await asyncio.sleep(0)
            assert order == sent
        return order, sent

    order, sent = asyncio.run(turn_after_turn())
    assert order == sent


def connected(order: list[bytes]) -> tuple[GuardedProtocol, Wire]:
    """A connection of our server, whose answers wait."""
    config = uvicorn.Config(lambda scope, receive, send: None, lifespan="off")
    config.load()
    protocol, wire = guarded(LimitsConfig())(config, ServerState(), {}), Wire(order)
    protocol.connection_made(cast(asyncio.Transport, wire))
    put(protocol.outbox, wire, b"answer")
    return protocol, wire


async def test_a_refusal_does_not_overtake_the_answer_before_it() -> None:
    """Nonsense that comes in the turn in which an answer was made: the answer, then the refusal."""
    order: list[bytes] = []
    connected(order)[0].data_received(b"\0 nonsense\r\n\r\n")
    assert [line.split(b"\r\n")[0] for line in order] == [b"answer", b"HTTP/1.1 400 Bad Request"]


@pytest.mark.parametrize("end", ["eof_received", "shutdown"])
async def test_an_answer_goes_out_before_its_connection_ends(end: str) -> None:
    """The client says no more, or the server stops, in the turn in which an answer was made."""
    order: list[bytes] = []
    getattr(connected(order)[0], end)()
    assert order == [b"answer"]


async def test_many_at_once_get_each_its_own(live: Stand) -> None:
    """More clients at once than packets go out together, each with two requests sent ahead: two answers each."""
    ask = f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\n{LENGTH}\r\n\r\n".encode() + BODY

    async def one() -> list[int]:
        reader, writer = await connect(live)
        try:
            writer.write(ask + ask)
            return [(await answered(reader))[0], (await answered(reader))[0]]
        finally:
            writer.close()

    async with asyncio.timeout(30):
        assert await asyncio.gather(*(one() for _ in range(AT_ONCE))) == [[200, 200]] * AT_ONCE
