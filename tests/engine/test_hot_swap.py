"""Hot swaps: no request is lost, the switch is one assignment, failures are undone, restarts know the intent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine_kit import ASK, Engine, read

from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.routing import Route
from arbiter_tui.core.snapshot import SwapView
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.errors import (
    Incompatible,
    LoadFailed,
    NothingToRollBack,
    Refused,
    StoreError,
    SwapInProgress,
    UnknownName,
    WorkerDied,
)
from arbiter_tui.provider import Request
from arbiter_tui.testing import MIB, Behaviour, FakeClock, MemoryStore

PHASES = ["validating", "recording", "warming", "probing", "transferring", "switching", "draining"]


class Slow:
    """A reader that takes an answer piece by piece while the world changes around it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def client(self, stop: asyncio.Event, seen: list[tuple[str, str]]) -> None:
        while not stop.is_set():
            answer = await self.engine.arbiter.begin("arbiter/work", ASK)
            seen.append((answer.version.version, await read(answer)))


async def test_requests_run_on_through_swaps_and_each_answer_is_whole_and_of_one_model() -> None:
    """Clients in a closed loop see no error, no cut and no mixture while the task is swapped to and fro."""
    models = {n: Behaviour(answer=n * 8, chunks=8) for n in "ab"}
    async with Engine(models) as e:
        stop, seen = asyncio.Event(), []  # type: asyncio.Event, list[tuple[str, str]]
        clients = [asyncio.create_task(Slow(e).client(stop, seen)) for _ in range(4)]
        for to in "babababa":
            assert (await e.arbiter.swap("work", to)).result == "done"
            count = len(seen)
            await e.until(lambda count=count: len(seen) > count + 4)
        stop.set()
        await asyncio.gather(*clients)
        assert {version for version, _ in seen} == {"a", "b"}
        assert all(text == version * 8 for version, text in seen)
        assert e.arbiter.snapshot().engine.failed == 0


async def test_a_swap_names_and_times_its_phases_and_keeps_the_old_one_warm() -> None:
    """The event is committed with its phases; the next request is the new one's; the old stays loaded."""
    async with Engine({"a": Behaviour(), "b": Behaviour(load_s=2.0)}) as e:
        await e.arbiter.execute("work", ASK)
        swapping = asyncio.create_task(e.arbiter.swap("work", "b", reason="because"))
        await e.until(lambda: "b" in e.provider.loads)
        assert e.arbiter.snapshot().swaps[0].result == "running"
        assert e.serving() == "a", "until it is ready and probed, the old one serves"
        assert (await e.arbiter.execute("work", ASK)).version == "a"
        await e.until(swapping.done, step_s=0.5)
        event = await swapping
        assert [p.name for p in event.phases] == PHASES
        assert event.phases[2].seconds == pytest.approx(2.0)
        assert (event.from_, event.to, event.reason) == ("a", "b", "because")
        assert e.store.swaps[event.id] == event
        assert e.store.routes.get("work").previous == "a"
        assert (await e.arbiter.execute("work", ASK)).version == "b"
        assert e.arbiter.pool.is_ready("a")
        assert (await e.arbiter.explain(event.id))["verdict"] == "done"


async def test_the_old_version_finishes_what_it_began() -> None:
    """A swap ends only when the answers that the old version still gives have ended, and they end whole."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(answer="abcd", chunks=4, gate=gate), "b": Behaviour()}) as e:
        old = asyncio.create_task(e.arbiter.execute("work", ASK))
        await e.until(lambda: e.arbiter.in_flight == 1 and "a" in e.provider.loaded)
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: e.serving() == "b")
        assert (await e.arbiter.execute("work", ASK)).version == "b"
        assert not swapping.done()
        gate.set()
        assert (await old).text == "abcd"
        assert (await swapping).result == "done"


async def test_the_new_version_has_read_the_tasks_examples_before_it_serves() -> None:
    """Its probes ask as clients will be answered, one for each request that is under way, before the switch."""
    gate, asked = asyncio.Event(), []  # type: asyncio.Event, list[tuple[str, bool]]

    def note(request: Request) -> str:
        asked.append((e.serving(), any("two" in m.content for m in request.messages)))
        return "ok"

    task = Task(name="work", few_shot=(("one?", "two"),))
    async with Engine({"a": Behaviour(gate=gate), "b": Behaviour(answer=note)}, tasks=[task]) as e:
        old = [asyncio.create_task(e.arbiter.execute("work", ASK)) for _ in range(3)]
        await e.until(lambda: e.arbiter.in_flight == 3)
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: e.serving() == "b")
        assert asked == [("a", True)] * 3
        gate.set()
        await asyncio.gather(*old)
        assert (await swapping).result == "done"


async def test_the_same_version_is_a_no_op() -> None:
    """It succeeds, says so, changes nothing and is no event."""
    async with Engine() as e:
        route = e.arbiter.routes.get("work")
        event = await e.arbiter.swap("work", "a")
        assert event.result == "done"
        assert "already serves" in event.reason
        assert e.arbiter.routes.get("work") == route
        assert not e.store.swaps


async def test_rollback_serves_the_previous_version_once() -> None:
    """The second time there is nothing left; both events name each other; who goes owes evidence."""
    async with Engine() as e:
        with pytest.raises(NothingToRollBack):
            await e.arbiter.rollback("work")
        swapped = await e.arbiter.swap("work", "b")
        event = await e.arbiter.rollback("work")
        assert (event.result, event.from_, event.to) == ("done", "b", "a")
        assert event.reason == f"by the operator; undoes {swapped.id}"
        undone = e.store.swaps[swapped.id]
        assert (undone.result, undone.evidence["undone_by"]) == ("rolled_back", event.id)
        assert event.evidence["undoes"] == swapped.id
        assert (await e.arbiter.explain(swapped.id))["verdict"] == "rolled_back"
        assert e.arbiter.evidence.owed("work") == {"b": 10}
        with pytest.raises(NothingToRollBack):
            await e.arbiter.rollback("work")


async def test_a_manual_swap_holds_the_task_against_the_autopilot() -> None:
    """For hold_s after a swap or rollback by hand; the autopilot's own swaps hold nothing."""
    async with Engine(hold_s=600.0) as e:
        await e.arbiter.swap("work", "b", trigger="auto")
        assert e.arbiter.routes.get("work").hold_until == 0.0
        await e.arbiter.swap("work", "a")
        assert e.arbiter.routes.get("work").hold_until == pytest.approx(e.clock.now() + 600.0)
        assert e.arbiter.snapshot().tasks[0].hold_until is not None


@pytest.mark.parametrize("fault", ["load", "probe", "commit"])
async def test_a_swap_that_fails_leaves_the_old_version_serving(fault: str) -> None:
    """Whatever breaks, the route is as before, the event says why, and nobody's request notices."""
    async with Engine() as e:
        await e.arbiter.execute("work", ASK)
        if fault == "load":
            e.provider.behaviours["b"].fail_load = [LoadFailed("broken file")]
        if fault == "probe":
            e.provider.behaviours["b"].fail_generate = [WorkerDied("broken file")]
        if fault == "commit":
            await e.arbiter.warm("b")
            save = e.store.save_route

            async def full(route: Route, swap: SwapView | None = None) -> None:
                e.store.save_route = save  # type: ignore[method-assign]
                raise StoreError("broken file")

            e.store.save_route = full  # type: ignore[method-assign]
        event = await e.arbiter.swap("work", "b")
        assert event.result == "failed"
        assert "broken file" in (event.error or "")
        assert e.serving() == "a"
        assert e.store.swaps[event.id].result == "failed"
        assert (await e.arbiter.execute("work", ASK)).version == "a"
        assert e.arbiter.snapshot().alerts


async def test_where_both_do_not_fit_requests_wait_and_none_fails() -> None:
    """The old one drains, the new one takes its place, and what came in between is answered by the new one."""
    gate = asyncio.Event()
    models = {"a": Behaviour(answer="a"), "b": Behaviour(answer="b", load_gate=gate)}
    async with Engine(models, budget=150 * MIB) as e:
        await e.arbiter.execute("work", ASK)
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: e.provider.loads == ["a", "b"])
        held = [asyncio.create_task(e.arbiter.execute("work", ASK)) for _ in range(5)]
        await e.clock.settle()
        assert not any(t.done() for t in held)
        assert e.arbiter.pool.used_bytes() <= 150 * MIB
        gate.set()
        assert (await swapping).result == "done"
        assert {r.version for r in await asyncio.gather(*held)} == {"b"}
        assert e.arbiter.snapshot().engine.failed == 0


async def test_where_both_do_not_fit_a_failure_brings_the_old_one_back() -> None:
    """The old one is loaded again, what waited is answered by it, and the event names the phase."""
    gate = asyncio.Event()
    models = {"a": Behaviour(answer="a"), "b": Behaviour(load_gate=gate, fail_generate=[WorkerDied("bad")])}
    async with Engine(models, budget=150 * MIB) as e:
        await e.arbiter.execute("work", ASK)
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: "b" in e.provider.loads)
        held = asyncio.create_task(e.arbiter.execute("work", ASK))
        gate.set()
        event = await swapping
        assert event.result == "failed"
        assert "restoring" in [p.name for p in event.phases]
        assert (await held).version == "a"
        assert e.arbiter.pool.is_ready("a")


async def test_swaps_of_one_task_queue_and_those_of_two_run_side_by_side() -> None:
    """One runs, one waits, the third gets the running one's id; another task does not wait at all."""
    gate = asyncio.Event()
    models = {"a": Behaviour(), "b": Behaviour(load_gate=gate), "c": Behaviour()}
    async with Engine(models, tasks=("work", "play")) as e:
        first = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: "b" in e.provider.loads)
        second = asyncio.create_task(e.arbiter.swap("work", "c"))
        await e.clock.settle()
        running = e.arbiter.snapshot().swaps[0].id
        with pytest.raises(SwapInProgress) as raised:
            await e.arbiter.swap("work", "a")
        assert raised.value.details["id"] == running
        assert (await e.arbiter.swap("play", "c")).result == "done"
        gate.set()
        assert (await first).result == "done"
        assert (await second).result == "done"
        assert e.serving() == "c"
        assert (await e.arbiter.swap("work", "a")).result == "done", "the lane is free again"


async def test_a_client_that_leaves_does_not_stop_its_swap() -> None:
    """Cancelling the caller leaves the swap to its end: half a swap is nobody's wish."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(), "b": Behaviour(load_gate=gate)}) as e:
        caller = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: "b" in e.provider.loads)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        gate.set()
        await e.until(lambda: e.serving() == "b")


async def test_a_dry_run_names_what_would_be_unloaded() -> None:
    """Nobody where there is room; otherwise the versions that the pool would choose; asking changes nothing."""
    async with Engine({"a": Behaviour(), "b": Behaviour(), "c": Behaviour()}, budget=250 * MIB) as e:
        await e.arbiter.execute("work", ASK)
        assert (await e.arbiter.swap("work", "b", dry_run=True)).evidence["evict"] == []
        await e.arbiter.warm("c")
        e.arbiter.pool.pin("a", True)
        assert (await e.arbiter.swap("work", "b", dry_run=True)).evidence["evict"] == ["c"]
        assert e.arbiter.pool.is_ready("c")
        assert e.provider.loads == ["a", "c"]


async def test_what_may_not_be_swapped_in_is_refused_with_its_reasons() -> None:
    """Incompatible says why; strict makes errors of warnings; dry runs change nothing."""
    needs = Task(name="code", criteria=Criteria(capabilities=frozenset({"text-generation"})))
    async with Engine({"a": Behaviour(context=2048), "b": Behaviour(context=512)}, tasks=("work", needs)) as e:
        with pytest.raises(UnknownName):
            await e.arbiter.swap("work", "nothing")
        with pytest.raises(UnknownName):
            await e.arbiter.swap("nothing", "a")
        with pytest.raises(Incompatible) as raised:
            await e.arbiter.swap("work", "b", strict=True)
        assert raised.value.details["why"]
        dry = await e.arbiter.swap("work", "b", dry_run=True)
        assert "would replace a" in dry.reason
        assert dry.evidence["warnings"]
        assert e.serving() == "a"
        assert not e.store.swaps
        done = await e.arbiter.swap("work", "b")
        assert done.evidence["warnings"]
        live = e.arbiter.live
        live.registry = replace(
            live.registry,
            versions={**live.registry.versions, "a": replace(live.registry.get("a"), capabilities=frozenset())},
        )
        with pytest.raises(Incompatible):
            await e.arbiter.swap("work", "a")
        live.registry = live.registry.move("a", Lifecycle.DEPRECATED)
        with pytest.raises(Refused):
            await e.arbiter.swap("work", "a")


@pytest.mark.parametrize(("switched", "result"), [(False, "failed"), (True, "done")])
async def test_a_restart_settles_the_recorded_intent(switched: bool, result: str) -> None:
    """An intent whose route was not switched is undone, one whose route was is done; the route itself is untouched."""
    async with Engine() as first:
        pass
    store: MemoryStore = first.store
    intent = SwapView(id="s1", task="work", from_="a", to="b", started_at=FakeClock().now())
    await store.save_swap(intent)
    if switched:
        await store.save_route(Route(task="work", incumbent="b", previous="a"), intent)
    async with Engine(store=store) as again:
        swap = again.arbiter.snapshot().swaps[0]
        assert (swap.id, swap.result) == ("s1", result)
        assert store.swaps["s1"].result == result
        assert again.serving() == ("b" if switched else "a")
        assert ("undone at restart" in (swap.error or "")) is not switched


async def test_a_stop_in_the_middle_of_a_swap_leaves_its_intent_to_the_next_start() -> None:
    """The engine stops at once, the intent stays recorded, and the next engine undoes it."""
    async with Engine({"a": Behaviour(), "b": Behaviour(load_gate=asyncio.Event())}) as e:
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: "b" in e.provider.loads)
        await e.arbiter.stop(1.0)
        with pytest.raises(asyncio.CancelledError):
            await swapping
    async with Engine(store=e.store) as again:
        assert again.serving() == "a"
        assert again.arbiter.snapshot().swaps[0].result == "failed"


async def test_a_swap_can_be_cancelled_before_its_switch() -> None:
    """While the new version loads: it ends as failed with the reason, the old one serves on, the load is given up, and
    the next swap goes its way."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(), "b": Behaviour(load_gate=gate)}) as e:
        await e.arbiter.swap("work", "a")
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: e.arbiter.swaps[0].to == "b" and e.arbiter.swaps[0].phases[-1:] != ())
        id = e.arbiter.swaps[0].id
        await e.until(lambda: e.provider.loads == ["b"])
        told = await e.arbiter.swapper.cancel(id)
        assert (told.result, told.error) == ("failed", "cancelled by the operator")
        assert (await swapping).result == "failed"
        assert e.serving() == "a"
        await e.until(lambda: not e.arbiter.pool.is_ready("b"))
        with pytest.raises(Refused, match="is over: failed"):
            await e.arbiter.swapper.cancel(id)
        with pytest.raises(UnknownName):
            await e.arbiter.swapper.cancel("nope")
        gate.set()
        assert (await e.arbiter.swap("work", "b")).result == "done"
        with pytest.raises(Refused, match="rollback work"):
            await e.arbiter.swapper.cancel(e.arbiter.swaps[0].id)


async def test_a_cancelled_exclusive_swap_brings_the_old_version_back() -> None:
    """Where both don't fit the old one was unloaded first: it is loaded again, and the requests that waited go on."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(), "b": Behaviour(load_gate=gate)}, budget=150 * MIB) as e:
        assert (await e.arbiter.execute("work", ASK)).version == "a"
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: e.provider.loads == ["a", "b"])
        waiting = asyncio.create_task(e.arbiter.execute("work", ASK))
        await e.arbiter.swapper.cancel(e.arbiter.swaps[0].id)
        assert (await swapping).result == "failed"
        assert (await waiting).version == "a"
        assert e.arbiter.pool.is_ready("a")
