"""Several replicas of one version: who answers, what a death costs, how many there are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence

import pytest
from engine_kit import ASK, Engine, read

from arbiter_tui.core.breaker import Phase
from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.core.scaling import GROW_AFTER_S, SHRINK_AFTER_S, Span
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.instance import Instance
from arbiter_tui.engine.replicas import ReplicaSet
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
from arbiter_tui.provider import Done, EventSink, InstanceStats, LoadedModel, Message, Request, Text
from arbiter_tui.testing import MIB, Behaviour, FakeModel, FakeProvider

PLAIN = Request(messages=(Message("user", ""),))  # has no beginning that would draw it to one of them
BROKEN = "the runtime is broken"


def engine(low: int = 2, high: int | None = None, *, budget: int = 1000 * MIB, **how: object) -> Engine:
    """One version ``a`` of 100 MiB a copy, four places each."""
    models = {"a": Behaviour(**{"answer": "ok", **how})}  # type: ignore[arg-type]
    return Engine(models, tasks=(Task(name="work", fallback=()),), budget=budget, replicas=Span(low, high or low))


def instance(e: Engine) -> Instance:
    return e.arbiter.pool._instances["a"]


def several(e: Engine) -> ReplicaSet:
    found = instance(e).replicas
    assert found is not None
    return found


def living(e: Engine) -> list[FakeModel]:
    return [m for m in e.provider.born if m.alive]


async def ready(e: Engine, count: int = 2) -> list[FakeModel]:
    await e.arbiter.warm("a")
    await e.until(lambda: several(e).ready == count)
    return living(e)


async def ask(e: Engine, text: str = "hello") -> str:
    return await read(await e.arbiter.begin("a", Request(messages=(Message("user", text),))))


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
