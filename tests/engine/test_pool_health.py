"""Crashes, hangs, back-off, quarantine, idle time-to-live, relief: what happens to instances with time."""

from __future__ import annotations

import asyncio

import pytest
from pool_bench import MIB, Bench

from arbiter_tui.errors import LoadFailed, ModelUnusable, Unreachable, WorkerDied
from arbiter_tui.provider import InstanceStats, Message, Request, WorkerEvent
from arbiter_tui.testing import FakeModel

REQUEST = Request(messages=(Message("user", "hi"),))


async def test_a_crash_fails_its_own_requests_only() -> None:
    """The request in flight gets WorkerDied; the one in line is served by the next life and notices nothing."""
    bench = Bench()
    bench.behaviour("a").gate = gate = asyncio.Event()

    async def request() -> int:
        async with bench.pool.lease(bench.version("a", parallel=1)) as lease:
            return len([c async for c in lease.model.generate(REQUEST)])

    first, second = asyncio.ensure_future(request()), asyncio.ensure_future(request())
    await bench.until(lambda: "a" in bench.provider.loaded and bench.provider.loaded["a"].active == 1)
    bench.provider.loaded["a"].kill("signal 9")
    gate.set()
    with pytest.raises(WorkerDied):
        await first
    assert await second == 2
    assert bench.provider.loads == ["a", "a"]
    view = bench.pool.views()["a"]
    assert (view.state, view.restarts, view.in_flight) == ("ready", 1, 0)
    assert "exited" in bench.kinds("a")


async def test_a_late_release_does_not_free_a_slot_of_the_next_life() -> None:
    """A lease belongs to the process it was taken on."""
    bench = Bench()
    old = [bench.holder("a") for _ in range(2)]
    await bench.until(lambda: old[1].holding)
    bench.provider.loaded["a"].kill()
    new = [bench.holder("a") for _ in range(3)]
    await bench.until(lambda: new[1].holding)
    for holder in old:
        await holder.finish()
    await bench.clock.settle()
    assert [h.holding for h in new] == [True, True, False]
    await new[0].finish()
    await bench.until(lambda: new[2].holding)
    await new[1].finish()
    await new[2].finish()


async def test_a_crash_with_nobody_waiting_is_repaired_by_the_next_request() -> None:
    """Failed, with the reason; the next lease loads it at once, without waiting for any back-off."""
    bench = Bench()
    await bench.pool.ensure(bench.version("a"))
    bench.provider.loaded["a"].kill("out of memory")
    await bench.clock.settle()
    view = bench.pool.views()["a"]
    assert (view.state, view.error) == ("failed", "out of memory")
    assert bench.pool.used_bytes() == 0
    assert not bench.pool.is_ready("a")
    async with bench.pool.lease(bench.version("a")):
        pass
    assert bench.pool.views()["a"].error is None


async def test_automatic_restarts_back_off() -> None:
    """What serves a task comes back by itself after 1, 2, 4 ... seconds; what doesn't stays down."""
    bench = Bench(serving=lambda: ["a"])
    await bench.pool.ensure(bench.version("a"))
    await bench.pool.ensure(bench.version("b"))
    await bench.clock.settle()
    for pause in (1.0, 2.0, 4.0):
        bench.provider.loaded["a"].kill()
        await bench.advance(pause - 0.1)
        await bench.pool.tick()
        await bench.clock.settle()
        assert bench.state("a") == "failed"
        await bench.advance(0.1)
        await bench.pool.tick()
        await bench.until(lambda: bench.state("a") == "ready")
    bench.provider.loaded["b"].kill()
    await bench.advance(100)
    await bench.pool.tick()
    await bench.clock.settle()
    assert bench.state("b") == "failed"


async def test_a_restart_evicts_nobody() -> None:
    """An automatic restart takes only free room."""
    bench = Bench(budget_mib=100, serving=lambda: ["a"])
    await bench.pool.ensure(bench.version("a"))
    bench.provider.loaded["a"].kill()
    await bench.pool.ensure(bench.version("b"))
    await bench.advance(100)
    await bench.pool.tick()
    await bench.clock.settle()
    assert (bench.state("a"), bench.state("b")) == ("failed", "ready")


async def test_repeated_failures_end_in_quarantine_and_a_warm_up_lifts_it() -> None:
    """Five failures in a row: refused at once with the reason and the time of the next trial; warming tries now."""
    bench = Bench()
    bench.behaviour("a").fail_load = [ModelUnusable(f"broken {n}") for n in range(5)]
    for n in range(5):
        with pytest.raises(ModelUnusable, match=f"broken {n}"):
            async with bench.pool.lease(bench.version("a")):
                pass
    assert bench.state("a") == "quarantined"
    with pytest.raises(LoadFailed, match=r"quarantined after 5 failures \(broken 4\); next attempt in 60 s") as refused:
        async with bench.pool.lease(bench.version("a")):
            pass
    assert refused.value.retry_after_s == 60.0
    assert len(bench.provider.loads) == 5
    await bench.advance(300)
    await bench.pool.tick()
    assert len(bench.provider.loads) == 5, "no automatic restart out of quarantine"
    bench.behaviour("a").fail_load = [ModelUnusable("still broken")]
    with pytest.raises(ModelUnusable, match="still"):
        async with bench.pool.lease(bench.version("a")):
            pass
    await bench.pool.ensure(bench.version("a"))
    assert bench.state("a") == "ready"
    async with bench.pool.lease(bench.version("a")):
        pass
    bench.provider.loaded["a"].kill()
    assert bench.state("a") == "failed", "a served request ended the count"


async def test_a_worker_that_crashes_on_every_request_is_quarantined_with_its_line() -> None:
    """Crash after crash: those in line are told instead of feeding it for ever."""
    bench = Bench()

    async def request() -> None:
        async with bench.pool.lease(bench.version("a", parallel=1)) as lease:
            assert isinstance(lease.model, FakeModel)
            lease.model.kill("poison")
            raise WorkerDied("poison")

    tasks = [asyncio.ensure_future(request()) for _ in range(7)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(o) for o in outcomes] == [WorkerDied] * 5 + [LoadFailed] * 2
    assert bench.state("a") == "quarantined"


async def test_a_death_during_the_load_is_a_failure() -> None:
    """A provider that reports the death of a load that it then calls done: the load failed, and is tried again."""
    bench = Bench()
    original = bench.provider.load
    deaths = [True]

    async def load(version, *, timeout_s, on_event):  # type: ignore[no-untyped-def]
        model = await original(version, timeout_s=timeout_s, on_event=on_event)
        if deaths:
            deaths.pop()
            on_event(WorkerEvent(version=version.version, kind="exited", message="died at birth"))
        return model

    bench.provider.load = load  # type: ignore[method-assign]
    await bench.pool.ensure(bench.version("a"))
    assert bench.provider.loads == ["a", "a"]
    assert len(bench.provider.alive) == 1


async def test_an_expected_exit_is_no_news() -> None:
    """The event of a process that we ended ourselves fails nothing."""
    bench = Bench()
    await bench.pool.ensure(bench.version("a"))
    model = bench.provider.loaded["a"]
    await bench.pool.unload("a")
    model.alive = True
    model.kill("terminated")
    assert bench.state("a") == "cold"
    assert "failed" not in bench.kinds("a")


async def test_a_worker_that_says_it_is_sick_is_replaced() -> None:
    """Three bad answers in a row and it counts as hung; one good answer in between starts anew."""
    bench = Bench(serving=list)
    await bench.pool.ensure(bench.version("a"))
    model = bench.provider.loaded["a"]

    async def sick() -> bool:
        return False

    async def broken() -> bool:
        raise Unreachable("connection refused")

    well = model.health
    for answer in (sick, broken, well, sick, broken):
        model.health = answer  # type: ignore[method-assign]
        await bench.pool.tick()
        assert bench.state("a") == "ready"
    model.health = sick  # type: ignore[method-assign]
    await bench.pool.tick()
    assert bench.state("a") == "failed"
    await bench.until(lambda: bench.provider.unloads == ["a"])


async def test_a_silent_busy_worker_gets_more_time_than_a_silent_idle_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that digests a long prompt may not answer; an idle one that doesn't answer hangs."""
    monkeypatch.setattr("arbiter_tui.engine.health.ask.__kwdefaults__", {"within_s": 0.0})
    bench = Bench(serving=list)
    holder = bench.holder("a")
    await bench.until(lambda: holder.holding)

    async def silent() -> bool:
        return await asyncio.get_running_loop().create_future()

    bench.provider.loaded["a"].health = silent  # type: ignore[method-assign]
    for _ in range(5):
        await bench.pool.tick()
    assert bench.state("a") == "ready"
    await holder.finish()
    await bench.pool.tick()
    assert bench.state("a") == "failed"


async def test_idle_time_to_live_unloads() -> None:
    """Unused for the TTL: unloaded. Leased, pinned, or used meanwhile: kept. Looking does not count as use."""
    bench = Bench(idle_ttl_s=60.0)
    for name in "abc":
        async with bench.pool.lease(bench.version(name)):
            pass
    bench.pool.pin("b", True)
    holder = bench.holder("c")
    await bench.until(lambda: holder.holding)
    await bench.advance(59)
    bench.pool.views()
    await bench.pool.tick()
    assert bench.state("a") == "ready"
    await bench.advance(1)
    await bench.pool.tick()
    await bench.until(lambda: bench.state("a") == "cold")
    assert (bench.state("b"), bench.state("c")) == ("ready", "ready")
    await holder.finish()


async def test_models_that_grew_beyond_the_budget_make_room_again() -> None:
    """Real memory above the prediction: what was idle longest goes, the last one stays."""
    bench = Bench(budget_mib=250)
    for name in "ab":
        async with bench.pool.lease(bench.version(name)):
            await bench.advance(1)

    async def grown() -> InstanceStats:
        return InstanceStats(resident_bytes=300 * MIB, backend="CPU", context=512)

    bench.provider.loaded["b"].stats = grown  # type: ignore[method-assign]
    await bench.pool.tick()
    await bench.until(lambda: bench.state("a") == "cold")
    await bench.pool.tick()
    view = bench.pool.views()["b"]
    assert (view.state, view.resident_bytes, view.backend, view.context) == ("ready", 300 * MIB, "CPU", 512)


async def test_figures_that_cannot_be_read_stay_unknown() -> None:
    """A worker that can't tell its memory: None, never 0, and it keeps serving."""
    bench = Bench()
    await bench.pool.ensure(bench.version("a"))

    async def unreadable() -> InstanceStats:
        raise Unreachable("no figures")

    bench.provider.loaded["a"].stats = unreadable  # type: ignore[method-assign]
    await bench.pool.tick()
    view = bench.pool.views()["a"]
    assert (view.state, view.resident_bytes) == ("ready", None)


async def test_a_warmed_model_is_not_the_next_victim_before_its_first_lease() -> None:
    """Whoever warms a model where one fits can use it, although requests for the other one wait already."""
    bench = Bench(budget_mib=100)
    await bench.pool.ensure(bench.version("b"))
    waiting = bench.holder("a")
    await bench.clock.settle()
    assert not waiting.holding
    await bench.pool.probe(bench.version("b"))
    await bench.until(lambda: waiting.holding)
    assert bench.provider.loads == ["b", "a"]
    await waiting.finish()


async def test_an_unload_that_fails_is_said_and_does_not_block_the_pool() -> None:
    """A provider that can't end its process: an event, and the pool goes on."""
    bench = Bench(budget_mib=100)
    await bench.pool.ensure(bench.version("a"))

    async def stubborn() -> None:
        raise Unreachable("the runtime does not answer")

    bench.provider.loaded["a"].unload = stubborn  # type: ignore[method-assign]
    await bench.pool.unload("a")
    assert ("failed", "a", "unloading: the runtime does not answer") in bench.events
    await bench.pool.ensure(bench.version("b"))
