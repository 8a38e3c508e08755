"""Replicas: their number, their places, storms of deaths, what they tell together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

import pytest
from engine_kit import ASK, Engine, read
from replica_kit import BROKEN, ask, engine, instance, living, ready, several

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.core.scaling import GROW_AFTER_S, SHRINK_AFTER_S, Span
from arbiter_tui.errors import (
    ArbiterError,
    LoadFailed,
    Overloaded,
)
from arbiter_tui.provider import Done, EventSink, InstanceStats, LoadedModel, Message, Request, Text
from arbiter_tui.testing import MIB, Behaviour, FakeProvider


async def test_it_grows_while_requests_wait_within_its_span_and_its_budget_and_shrinks_when_idle() -> None:
    """1-4 in a budget of three: three copies, never more; after idle minutes one again, with one's memory."""
    async with engine(1, 4, budget=300 * MIB, gate=asyncio.Event()) as e:
        await ready(e, 1)
        asked = [asyncio.create_task(ask(e)) for _ in range(20)]
        await e.until(lambda: e.arbiter.pool.views()["a"].queued)
        for _ in range(12):
            await e.arbiter.pool.tick()
            await e.clock.advance(GROW_AFTER_S)
            assert e.arbiter.pool.used_bytes() <= 300 * MIB
        assert several(e).ready == 3
        assert e.arbiter.pool.views()["a"].in_flight == 12
        e.provider.behaviours["a"].gate.set()  # type: ignore[union-attr]
        assert await asyncio.gather(*asked) == ["ok"] * 20
        for _ in range(8):
            await e.arbiter.pool.tick()
            await e.clock.advance(SHRINK_AFTER_S / 2)
        assert (several(e).copies, len(living(e)), e.arbiter.pool.used_bytes()) == (1, 1, 100 * MIB)


async def test_a_replica_that_is_one_too_many_ends_what_it_has_begun() -> None:
    """Another model waits for memory: the further replica takes nothing new, finishes, and makes room; the other model
    loads, and nobody's request failed."""
    models = {"a": Behaviour(answer="ok", gate=asyncio.Event()), "b": Behaviour(answer="b")}
    async with Engine(models, budget=250 * MIB, replicas=Span(1, 2)) as e:
        await ready(e, 1)
        asked = [asyncio.create_task(ask(e)) for _ in range(5)]
        await e.until(lambda: e.arbiter.pool.views()["a"].queued)
        await e.arbiter.pool.tick()
        await e.clock.advance(GROW_AFTER_S)
        await e.arbiter.pool.tick()
        await e.until(lambda: several(e).ready == 2 and instance(e).in_flight == 5)
        other = asyncio.create_task(e.arbiter.begin("b", ASK))
        await e.until(lambda: e.arbiter.pool._scheduler.blocked)
        await e.arbiter.pool.tick()
        assert several(e).leaving == 1
        models["a"].gate.set()  # type: ignore[union-attr]
        assert await asyncio.gather(*asked) == ["ok"] * 5
        assert await read(await other) == "b"


async def test_a_further_replica_that_does_not_load_is_given_up_with_its_claim() -> None:
    """The engine serves on with what it has, and the memory is free again."""
    async with engine(1, 2, gate=asyncio.Event()) as e:
        await ready(e, 1)
        asked = [asyncio.create_task(ask(e)) for _ in range(5)]
        await e.until(lambda: e.arbiter.pool.views()["a"].queued)
        e.provider.behaviours["a"].fail_load = failing = [LoadFailed("no port")] * 9
        await e.until(lambda: len(failing) == 8, step_s=GROW_AFTER_S)
        await e.until(lambda: several(e).copies == 1)
        assert e.arbiter.pool.used_bytes() == 100 * MIB
        await e.clock.advance(30 * GROW_AFTER_S)
        assert len(failing) == 8, "it is not tried again every second"
        e.provider.behaviours["a"].gate.set()  # type: ignore[union-attr]
        assert await asyncio.gather(*asked) == ["ok"] * 5


class Places(FakeProvider):
    """The same model at three addresses."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.places: list[int] = []

    def replicas(self, version: ModelVersion) -> int:
        return 3

    async def load_replica(
        self, version: ModelVersion, number: int, *, timeout_s: float, on_event: EventSink
    ) -> LoadedModel:
        self.places.append(number)
        return await self.load(version, timeout_s=timeout_s, on_event=on_event)


async def test_a_provider_with_several_places_has_one_replica_in_each() -> None:
    """Loaded by number; a dead one is loaded at its own place again."""
    e = engine(1)
    e.arbiter.providers["fake"].__class__ = Places  # type: ignore[index]
    e.provider.places = []  # type: ignore[attr-defined]
    async with e:
        models = await ready(e, 3)
        assert e.provider.places == [0, 1, 2]  # type: ignore[attr-defined]
        models[1].kill()
        await e.until(lambda: several(e).ready == 3)
        assert e.provider.places[3:] == [1]  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(6))
async def test_a_storm_of_deaths_costs_no_request_that_had_not_begun(seed: int) -> None:
    """Random kills among two replicas under eight closed-loop clients, one at a time as they come back: every answer is
    whole or broke after its first piece; afterwards no place, no memory and no process is left over."""
    chance = random.Random(seed)
    async with engine(chunks=3, answer="a b c", ttft_s=0.01, chunk_s=0.01, load_s=0.2) as e:
        await e.until(lambda: asyncio.create_task(e.arbiter.warm("a")) and True)
        await e.until(lambda: instance(e).replicas is not None and several(e).ready == 2, step_s=0.05)
        silent: list[BaseException] = []
        served, stop = 0, False

        async def client(n: int) -> None:
            nonlocal served
            while not stop:
                answer = await e.arbiter.begin("a", Request(messages=(Message("user", f"client {n}"),)))
                pieces = 0
                try:
                    async for chunk in answer:
                        pieces += isinstance(chunk, Text)
                    served += 1
                except ArbiterError as error:
                    if not pieces:
                        silent.append(error)
                finally:
                    await answer.aclose()

        clients = [asyncio.create_task(client(n)) for n in range(8)]
        for _ in range(30):
            await e.until(lambda: several(e).ready == 2, step_s=0.02)
            chance.choice(living(e)).kill()
            for _ in range(chance.randrange(1, 12)):
                await e.clock.advance(0.03)
        stop = True
        await e.until(lambda: all(c.done() for c in clients), step_s=0.05)
        await asyncio.gather(*clients)
        assert silent == []
        assert served > 200
        assert (instance(e).in_flight, sum(r.in_flight for r in several(e)._replicas)) == (0, 0)
        await e.arbiter.unload("a")
        assert (living(e), e.arbiter.pool.used_bytes()) == ([], 0)


async def test_bytes_that_pass_through_come_from_another_replica_where_the_first_refuses() -> None:
    """One that fails before its first byte is left for one that answers; bytes are the runtime's own; where the runtime
    can't pass a request on, the set can't either, and is asked for chunks."""
    async with engine() as e:
        bad, good = await ready(e)

        async def refused(request: Request) -> AsyncGenerator[bytes | Done, None]:
            if request is ASK:
                raise Overloaded(BROKEN)
            yield b"never"

        async def passed(request: Request) -> AsyncGenerator[bytes | Done, None]:
            yield b"data: {}\n\n"
            yield Done(finish_reason="stop")

        assert several(e).relay(ASK) is None
        bad.relay, good.relay = refused, passed  # type: ignore[attr-defined]
        for _ in range(4):
            relayed = several(e).relay(ASK)
            assert relayed is not None
            assert [chunk async for chunk in relayed] == [b"data: {}\n\n", Done(finish_reason="stop")]
        bad.relay = good.relay = lambda request: None  # type: ignore[attr-defined]
        assert several(e).relay(ASK) is None


async def test_figures_are_those_of_all_and_unknown_of_all_where_one_can_not_tell() -> None:
    """Memory is summed, every worker's process is known as the version's, and one None makes no sum."""
    async with engine() as e:
        figures = [
            InstanceStats(resident_bytes=70 * MIB, cpu_s=1.0, pid=11),
            InstanceStats(resident_bytes=50 * MIB, pid=12),
        ]
        for model, told in zip(await ready(e), figures, strict=True):

            async def stats(told: InstanceStats = told) -> InstanceStats:
                return told

            model.stats = stats  # type: ignore[method-assign]
        await e.arbiter.pool.tick()
        view = e.arbiter.pool.views()["a"]
        assert view.resident_bytes == 120 * MIB
        assert e.arbiter.pool.pids() == {11: "a", 12: "a"}
        assert (await several(e).stats()).cpu_s is None
        await ask(e)
        assert e.arbiter.live.recent[-1].outcome.memory_bytes == 60 * MIB
