"""Several replicas of one version: who answers, what a death costs, how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from engine_kit import ASK, read
from replica_kit import BROKEN, PLAIN, ask, engine, instance, living, ready, several

from arbiter_tui.core.breaker import Phase
from arbiter_tui.errors import (
    ArbiterError,
    InvalidRequest,
    LoadFailed,
    Overloaded,
    ProviderError,
    Unreachable,
    WorkerDied,
)
from arbiter_tui.gateway.metrics import render
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import MIB, Behaviour


async def test_they_are_one_model_with_all_their_places_and_the_memory_of_each() -> None:
    """Two loads, one instance; eight requests at once; twice the memory claimed; unloading ends both."""
    async with engine(gate=asyncio.Event()) as e:
        await ready(e)
        answers = await asyncio.gather(*(e.arbiter.begin("a", ASK) for _ in range(8)))
        ninth = asyncio.create_task(e.arbiter.begin("a", ASK))
        await e.until(lambda: e.arbiter.pool.views()["a"].queued == 1)
        view = e.arbiter.pool.views()["a"]
        assert (view.replicas, view.replicas_ready, view.in_flight) == (2, 2, 8)
        assert e.arbiter.pool.used_bytes() == 200 * MIB
        reading = [asyncio.create_task(read(a)) for a in answers]
        await e.until(lambda: [m.active for m in e.provider.born] == [4, 4])
        e.provider.behaviours["a"].gate.set()  # type: ignore[union-attr]
        assert await asyncio.gather(*reading) == ["ok"] * 8
        assert await read(await ninth) == "ok"
        await e.arbiter.unload("a")
        assert (len(e.provider.unloads), e.arbiter.pool.used_bytes()) == (2, 0)


async def test_what_the_set_needs_is_all_copies_and_too_much_is_refused_at_once() -> None:
    """Two of 100 MiB don't fit into 150: the error says 200 MiB."""
    async with engine(budget=150 * MIB) as e:
        with pytest.raises(ArbiterError, match="200 MiB"):
            await e.arbiter.begin("a", ASK)
        assert e.provider.loads == []


async def test_a_death_costs_only_what_that_replica_had_begun() -> None:
    """One stream of the dead one breaks with an error; the other's goes on; a request that had not begun is answered
    by the other; the dead one comes back by itself, and the instance was ready all the time."""
    async with engine(chunks=2) as e:
        first, second = await ready(e)
        gates = [asyncio.Event(), asyncio.Event()]
        streams = []
        for model, gate in zip((first, second), gates, strict=True):
            model.own = Behaviour(answer="one two", chunks=2)
            answer = await e.arbiter.begin("a", PLAIN)
            streams.append((answer, await anext(answer)))
            model.own.gate = gate
        assert [m.active for m in (first, second)] == [1, 1]
        waiting = asyncio.create_task(ask(e, "not begun"))
        await e.until(lambda: first.active + second.active == 3)
        victim, other = (first, second) if first.active == 2 else (second, first)
        victim.kill()
        gates[0].set()
        gates[1].set()
        assert e.arbiter.pool.is_ready("a")
        assert await waiting == "one two"
        ended = await asyncio.gather(*(read(answer) for answer, _ in streams), return_exceptions=True)
        assert sorted(type(end).__name__ for end in ended) == ["WorkerDied", "str"]
        assert other.alive
        await e.until(lambda: several(e).ready == 2)
        assert len(e.provider.born) == 3
        assert e.arbiter.pool.views()["a"].restarts == 0
        told = render(e.arbiter)
        assert 'arbiter_replica_retries_total{model="a",provider="fake"} 1' in told
        assert 'arbiter_replicas{model="a",provider="fake",state="ready"} 2' in told


@pytest.mark.parametrize("error", [ProviderError(BROKEN), Unreachable(BROKEN), Overloaded(BROKEN), TimeoutError()])
async def test_one_that_fails_fast_attracts_nobody_and_costs_nobody_an_answer(error: Exception) -> None:
    """Always idle because it fails at once, it is asked a handful of times in 300 requests, and each of those is
    answered by the other one; its breaker is open, and when it is well it has its share again."""
    async with engine() as e:
        bad, good = await ready(e)
        bad.own = Behaviour(fail_generate=[error] * 500)  # type: ignore[list-item]
        for n in range(300):
            assert await ask(e, f"question {n}") == "ok"
            await e.clock.advance(0.2)
        asked = 500 - len(bad.own.fail_generate or [])
        assert 3 <= asked <= 12
        assert good.served == 300
        assert [r.breaker.phase for r in several(e)._replicas if r.model is bad] == [Phase.OPEN]
        bad.own = None
        await e.clock.advance(60.0)
        for n in range(20):
            assert await ask(e, f"again {n}") == "ok"
        assert bad.served > 0


async def test_if_all_fail_the_error_is_the_clients_after_one_try_of_each() -> None:
    """No request runs in circles."""
    async with engine() as e:
        for model in await ready(e):
            model.own = Behaviour(fail_generate=[ProviderError(BROKEN)] * 50)
        with pytest.raises(ProviderError, match=BROKEN):
            await ask(e)
        assert [len(m.own.fail_generate or []) for m in e.provider.born if m.own] == [49, 49]


async def test_a_prompt_that_kills_whoever_reads_it_costs_two_workers() -> None:
    """The third of three replicas never sees it."""
    async with engine(3) as e:
        for model in await ready(e, 3):
            model.own = Behaviour(die_after=0)
        with pytest.raises(WorkerDied):
            await ask(e)
        assert sum(not m.alive for m in e.provider.born) == 2


@pytest.mark.parametrize(("together", "deaths", "answered"), [(1, 1, True), (1, 2, False), (4, 4, True), (4, 5, False)])
async def test_deaths_that_are_shared_are_nobodys_own(together: int, deaths: int, answered: bool) -> None:
    """Workers are killed under answers that nobody has seen any of. One that was alone each time is suspect after two;
    four that were together are begun anew up to five times: a storm is not their fault, yet it ends."""
    async with engine(1, 2, answer="ok", gate=asyncio.Event()) as e:
        await e.arbiter.warm("a")
        asked = [asyncio.create_task(e.arbiter.execute("work", PLAIN)) for _ in range(together)]
        for _ in range(deaths):
            await e.until(lambda: sum(m.active for m in living(e)) == together, step_s=0.5)
            for model in living(e):
                model.kill()
            gate, e.provider.behaviours["a"].gate = e.provider.behaviours["a"].gate, asyncio.Event()
            assert gate is not None
            gate.set()  # those that were read see it now; their next life has a gate of its own
        await e.until(lambda: all(t.done() for t in asked) or sum(m.active for m in living(e)) == together, step_s=0.5)
        e.provider.behaviours["a"].gate.set()  # type: ignore[union-attr]
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert {isinstance(end, WorkerDied) for end in ended} == {not answered}


async def test_the_requests_own_fault_is_told_at_once_and_held_against_nobody() -> None:
    """Each replica would say the same: the second is not asked, and no breaker counts it."""
    async with engine() as e:
        for model in await ready(e):
            model.own = Behaviour(fail_generate=[InvalidRequest("no such format")] * 9)
        for _ in range(4):
            with pytest.raises(InvalidRequest):
                await ask(e)
        assert sum(len(m.own.fail_generate or []) for m in e.provider.born if m.own) == 14
        assert all(r.breaker.phase is Phase.CLOSED for r in several(e)._replicas)


async def test_when_all_are_dead_the_instance_dies_and_the_next_request_starts_it_again() -> None:
    """As a single model would: requests that had not begun are answered by the next life."""
    async with engine() as e:
        await ready(e)
        e.provider.behaviours["a"].load_gate = gate = asyncio.Event()
        for model in living(e):
            model.kill()
        asked = asyncio.create_task(ask(e))
        await e.until(lambda: len(e.provider.loads) >= 4)
        gate.set()
        assert await asked == "ok"


async def test_with_none_ready_but_one_on_its_way_requests_wait_in_line_for_it() -> None:
    """The set has no places then; nobody is refused, and nothing that loads already is thrown away."""
    async with engine() as e:
        one, two = await ready(e)
        e.provider.behaviours["a"].load_gate = gate = asyncio.Event()
        one.kill()
        await e.until(lambda: len(e.provider.loads) == 3)
        two.kill()
        await e.until(lambda: several(e).ready == 0)
        asked = [asyncio.create_task(ask(e)) for _ in range(3)]
        await e.until(lambda: e.arbiter.pool.views()["a"].queued == 3)
        gate.set()
        assert await asyncio.gather(*asked) == ["ok"] * 3
        assert len(e.provider.loads) == 4


async def test_one_that_does_not_load_is_tried_again_with_pauses_while_the_other_serves() -> None:
    """1, 2, 4 … seconds between its attempts; then it joins."""
    async with engine() as e:
        e.provider.behaviours["a"].fail_load = failing = [LoadFailed("port taken")]
        assert await ask(e) == "ok"
        assert several(e).ready == 1
        failing += [LoadFailed("port taken")] * 2
        tries = len(e.provider.loads)
        await e.clock.advance(0.9)
        assert (len(e.provider.loads), tries) == (2, 2)
        await e.until(lambda: several(e).ready == 2, step_s=0.5)
        assert len(e.provider.loads) == 5


async def test_if_none_loads_the_load_has_failed_and_leaves_nothing() -> None:
    """The waiter gets the reason."""
    async with engine() as e:
        e.provider.behaviours["a"].fail_load = [LoadFailed("no such file")] * 2
        with pytest.raises(LoadFailed, match="no such file"):
            await e.arbiter.begin("a", ASK)
        assert (e.arbiter.pool.used_bytes(), living(e)) == (0, [])


async def test_a_load_that_nobody_wants_any_more_leaves_nothing_running() -> None:
    """Cancelled while one replica is ready to be and the other one loads."""
    async with engine(load_gate=asyncio.Event()) as e:
        waiting = asyncio.create_task(e.arbiter.begin("a", ASK))
        await e.until(lambda: len(e.provider.loads) == 2)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await e.until(lambda: e.arbiter.pool.views()["a"].state == "cold")
        e.provider.behaviours["a"].load_gate.set()  # type: ignore[union-attr]
        await e.clock.settle()
        assert living(e) == []


async def test_one_that_hangs_is_replaced_like_one_that_died() -> None:
    """It says three times that it is not well; the other one serves meanwhile."""
    async with engine() as e:
        sick, well = await ready(e)

        async def unwell() -> bool:
            return False

        sick.health = unwell  # type: ignore[method-assign]
        for _ in range(3):
            assert e.arbiter.pool.is_ready("a")
            await e.arbiter.pool.tick()
        await e.until(lambda: several(e).ready == 2)
        assert sick.unloaded
        assert well.alive
        assert len(e.provider.born) == 3


async def test_one_beginning_comes_back_to_one_replica_until_that_is_busy() -> None:
    """A system prompt's requests stay together for its cache; other ones spread; a full home is left."""
    async with engine(gate=asyncio.Event()) as e:
        await ready(e)
        gate = e.provider.behaviours["a"].gate
        assert gate is not None
        gate.set()
        told = (Message("system", "You are terse. " * 100),)
        for n in range(12):
            await read(await e.arbiter.begin("a", Request(messages=(*told, Message("user", f"question {n}")))))
        assert sorted(m.served for m in e.provider.born) == [0, 12]
        for n in range(40):
            await ask(e, f"another beginning {n}")
        assert min(m.served for m in e.provider.born) >= 10
        gate.clear()
        answers = [await e.arbiter.begin("a", Request(messages=told)) for _ in range(8)]
        reading = [asyncio.create_task(read(a)) for a in answers]
        await e.until(lambda: sorted(m.active for m in e.provider.born) == [4, 4])
        gate.set()
        await asyncio.gather(*reading)


async def test_a_client_that_leaves_is_held_against_nobody() -> None:
    """Before its first piece: no failure, and its place is free."""
    async with engine(gate=asyncio.Event()) as e:
        await ready(e)
        for _ in range(10):
            answer = await e.arbiter.begin("a", ASK)
            reading = asyncio.create_task(read(answer))
            await e.until(lambda: any(m.active for m in e.provider.born))
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert all(r.breaker.phase is Phase.CLOSED and not r.in_flight for r in several(e)._replicas)
        assert instance(e).in_flight == 0


async def test_embeddings_are_made_by_another_replica_of_the_same_model() -> None:
    """The vectors are the same model's: here the other one may answer."""
    async with engine() as e:
        bad, _ = await ready(e)

        async def broken(texts: Sequence[str]) -> list[list[float]]:
            raise ProviderError(BROKEN)

        bad.embed = broken  # type: ignore[method-assign]
        for _ in range(4):
            assert len((await e.arbiter.embed("a", ["one"]))[1]) == 1


async def test_the_log_tells_which_replica_said_what_and_the_events_what_became_of_it() -> None:
    """Both logs, numbered; a death and a return are events of the instance."""
    async with engine() as e:
        one, _ = await ready(e)
        assert e.arbiter.log("a") == ["[1] a: loaded", "[2] a: loaded"]
        one.kill("killed by a test")
        await e.until(lambda: several(e).ready == 2)
        said = [x["message"] for x in await e.arbiter.events() if x["kind"] == "instance"]
        assert any("replica 1 is gone: killed by a test" in line for line in said)
        assert any("replica 1 is ready" in line for line in said)
