"""Whoever leaves, in whatever state, frees their own place and nothing else."""

from __future__ import annotations

import asyncio
import random

import pytest
from pool_bench import Bench

from arbiter_tui.errors import ArbiterError, LoadFailed


async def test_cancelled_while_holding_gives_the_slot_back() -> None:
    """A request cancelled in the middle of its work releases its lease; the next one takes the slot."""
    bench = Bench()
    holders = [bench.holder("a") for _ in range(3)]
    await bench.until(lambda: holders[1].holding)
    await holders[0].cancel()
    await bench.until(lambda: holders[2].holding)
    await holders[1].finish()
    await holders[2].finish()
    assert bench.pool.views()["a"].in_flight == 0


async def test_cancelled_while_queued_frees_its_place_only() -> None:
    """The one in the middle of the line leaves; before and behind it nothing changes."""
    bench = Bench()
    holders = [bench.holder("a") for _ in range(5)]
    await bench.until(lambda: holders[1].holding)
    assert bench.pool.views()["a"].queued == 3
    await holders[3].cancel()
    assert bench.pool.views()["a"].queued == 2
    await holders[0].finish()
    await bench.until(lambda: holders[2].holding)
    await holders[1].finish()
    await bench.until(lambda: holders[4].holding)
    await holders[2].finish()
    await holders[4].finish()


async def test_cancelled_while_loading_leaves_the_load_to_the_others() -> None:
    """One of two waiters leaves: the load goes on for the other."""
    bench = Bench()
    bench.behaviour("a").load_gate = gate = asyncio.Event()
    first, second = bench.holder("a"), bench.holder("a")
    await bench.clock.settle()
    await first.cancel()
    gate.set()
    await bench.until(lambda: second.holding)
    await second.finish()
    assert bench.provider.loads == ["a"]


async def test_a_load_that_everybody_left_is_cancelled() -> None:
    """No waiter, no warm-up: the provider's load is cancelled and the memory is free again."""
    bench = Bench()
    bench.behaviour("a").load_gate = asyncio.Event()
    holders = [bench.holder("a") for _ in range(2)]
    await bench.clock.settle()
    for holder in holders:
        await holder.cancel()
    await bench.until(lambda: bench.state("a") == "cold")
    assert bench.provider.cancelled_loads == ["a"]
    assert bench.pool.used_bytes() == 0


async def test_a_load_that_is_warmed_outlives_its_waiters() -> None:
    """A warm-up keeps the load alive when every request has left; when it leaves as well the load ends."""
    bench = Bench()
    bench.behaviour("a").load_gate = asyncio.Event()
    warming = asyncio.ensure_future(bench.pool.ensure(bench.version("a")))
    holder = bench.holder("a")
    await bench.clock.settle()
    await holder.cancel()
    await bench.clock.settle()
    assert bench.state("a") == "loading"
    warming.cancel()
    await bench.until(lambda: bench.state("a") == "cold")
    assert bench.provider.cancelled_loads == ["a"]


async def test_who_comes_while_a_cancelled_load_ends_gets_the_next_one() -> None:
    """A request that joins in the moment of cancellation is not cancelled with it."""
    bench = Bench()
    bench.behaviour("a").load_gate = gate = asyncio.Event()
    first = bench.holder("a")
    await bench.clock.settle()
    first.task.cancel()
    await asyncio.sleep(0)
    second = bench.holder("a")
    gate.set()
    await bench.until(lambda: second.holding)
    await second.finish()
    assert len(bench.provider.alive) == 1


async def test_a_task_cancelled_before_its_load_began_leaves_nothing() -> None:
    """Cancelled between the order to load and the load's first step: state and memory are as before."""
    bench = Bench()
    waiting = asyncio.ensure_future(bench.pool.ensure(bench.version("a")))
    await asyncio.sleep(0)
    assert bench.state("a") == "loading"
    waiting.cancel()
    await bench.until(lambda: bench.state("a") == "cold")
    assert bench.pool.used_bytes() == 0
    await bench.pool.ensure(bench.version("a"))


async def test_cancelled_in_the_moment_of_the_grant_gives_it_on() -> None:
    """The slot was granted, the task is cancelled before it could run: the next in line gets the slot."""
    bench = Bench()
    holders = [
        bench.holder(
            "a",
        )
        for _ in range(4)
    ]
    await bench.until(lambda: holders[1].holding)
    lease = holders[0].lease
    assert lease is not None
    bench.pool.release(lease, succeeded=True)  # grants to holders[2], whose task has not run yet
    holders[2].task.cancel()
    await bench.until(lambda: holders[3].holding)
    assert holders[2].lease is None
    for holder in (holders[0], holders[1], holders[3]):
        await holder.finish()
    assert bench.pool.views()["a"].in_flight == 0


async def test_releasing_twice_frees_one_slot() -> None:
    """A release is idempotent: the count of leases never goes wrong."""
    bench = Bench()
    holders = [bench.holder("a") for _ in range(4)]
    await bench.until(lambda: holders[1].holding)
    await holders[0].finish()
    lease = holders[0].lease
    assert lease is not None
    bench.pool.release(lease, succeeded=True)
    await bench.clock.settle()
    assert [h.holding for h in holders] == [False, True, True, False]
    for holder in holders[1:]:
        await bench.until(lambda h=holder: h.lease is not None)  # type: ignore[misc]
        await holder.finish()


async def test_cancel_load_tells_everybody() -> None:
    """An operator ends a load: waiters and warm-ups get LoadFailed, and it is no failure of the model."""
    bench = Bench()
    bench.behaviour("a").load_gate = gate = asyncio.Event()
    holder = bench.holder("a")
    warming = asyncio.ensure_future(bench.pool.ensure(bench.version("a")))
    await bench.clock.settle()
    bench.pool.cancel_load("a")
    for task in (holder.task, warming):
        with pytest.raises(LoadFailed, match="cancelled"):
            await task
    await bench.until(lambda: bench.state("a") == "cold")
    bench.pool.cancel_load("a")
    gate.set()
    await bench.pool.ensure(bench.version("a"))
    assert bench.pool.views()["a"].restarts == 0


async def test_cancelled_drained_and_unload_leave_no_trace() -> None:
    """Who waits for a drain or an unload may leave; the order to unload stands."""
    bench = Bench()
    holder = bench.holder("a")
    await bench.until(lambda: holder.holding)
    waits = [asyncio.ensure_future(bench.pool.drained("a")), asyncio.ensure_future(bench.pool.unload("a"))]
    await bench.clock.settle()
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    await holder.finish()
    await bench.until(lambda: bench.state("a") == "cold")


@pytest.mark.parametrize("seed", range(12))
async def test_the_laws_hold_in_any_disorder(seed: int) -> None:
    """Seeded chaos (requests, cancellations, warm-ups, unloads, pins, crashes, ticks): every law, and a clean end."""
    rng = random.Random(seed)
    bench = Bench(budget_mib=250, max_loaded=3, idle_ttl_s=5.0, queue_limit=8)
    tasks: list[asyncio.Task[None]] = []
    killed: list[object] = []
    for name in "abc":
        bench.behaviour(name).load_s = 0.2

    async def request(name: str) -> None:
        async with bench.pool.lease(bench.version(name)) as lease:
            assert lease.model is bench.provider.loaded.get(name) or not lease.model.alive  # type: ignore[attr-defined]
            assert len(lease.life.leases) <= lease.version.parallel
            await bench.clock.sleep(rng.random())
            assert lease.model in killed or not lease.model.unloaded, "what is leased is never unloaded"  # type: ignore[attr-defined]

    for _ in range(300):
        name, dice = rng.choice("abc"), rng.random()
        if dice < 0.6:
            tasks.append(asyncio.ensure_future(request(name)))
        elif dice < 0.75 and tasks:
            rng.choice(tasks).cancel()
        elif dice < 0.80:
            tasks.append(asyncio.ensure_future(bench.pool.ensure(bench.version(name))))
        elif dice < 0.83:
            tasks.append(asyncio.ensure_future(bench.pool.unload(name)))
        elif dice < 0.86:
            bench.pool.pin(name, rng.random() < 0.3)
        elif dice < 0.88 and name in bench.provider.loaded:
            killed.append(bench.provider.loaded[name])
            bench.provider.loaded[name].kill()
        elif dice < 0.90:
            bench.pool.cancel_load(name)
        else:
            tasks.append(asyncio.ensure_future(bench.pool.tick()))
        await (bench.clock.advance(0.1) if rng.random() < 0.5 else asyncio.sleep(0))
        assert bench.pool.used_bytes() <= bench.pool.budget_bytes
    for name in "abc":
        bench.pool.pin(name, False)

    async with asyncio.timeout(20):
        while not all(t.done() for t in tasks):
            await bench.clock.advance(0.5)
            await bench.pool.tick()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    wrong = [o for o in outcomes if isinstance(o, Exception) and not isinstance(o, ArbiterError)]
    assert not wrong
    assert all(v.in_flight == v.queued == 0 for v in bench.pool.views().values())
    assert bench.provider.peak_bytes <= bench.pool.budget_bytes
    await bench.pool.close(1.0)
    assert bench.provider.alive == []
