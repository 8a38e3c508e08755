"""The pool's laws of loading, leases, orders and closing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pool_bench import Bench

from arbiter_tui.engine.pool import Pool
from arbiter_tui.errors import Draining, LoadFailed, ModelUnusable, Overloaded, UnknownName
from arbiter_tui.provider import Message, Request


async def test_a_cold_lease_loads_and_a_warm_one_does_not_wait() -> None:
    """A lease loads what is cold, says how long that took, and finds it ready the next time."""
    bench = Bench()
    bench.behaviour("a").load_s = 3.0
    holder = bench.holder("a")
    await bench.until(lambda: bench.state("a") == "loading")
    await bench.advance(3.0)
    await bench.until(lambda: holder.holding)
    assert holder.lease is not None
    assert (holder.lease.load_s, holder.lease.queue_s) == (3.0, 0.0)
    await holder.finish()
    async with bench.pool.lease(bench.version("a")) as lease:
        assert (lease.load_s, lease.queue_s) == (0.0, 0.0)
    assert bench.provider.loads == ["a"]


async def test_the_fast_path_never_suspends() -> None:
    """On a ready, free instance entering and leaving a lease runs without giving the loop a turn."""
    bench = Bench()
    await bench.pool.ensure(bench.version("a"))
    entering = bench.pool.lease(bench.version("a")).__aenter__()
    with pytest.raises(StopIteration) as returned:
        entering.send(None)  # type: ignore[attr-defined]
    view = bench.pool.view("a")
    assert view is not None
    assert view.in_flight == 1
    bench.pool.release(returned.value.value, succeeded=True)
    view = bench.pool.view("a")
    assert view is not None
    assert view.in_flight == 0


async def test_one_load_however_many_join() -> None:
    """Leases and warm-ups of one version that is loading share the load."""
    bench = Bench()
    bench.behaviour("a").load_gate = gate = asyncio.Event()
    holders = [bench.holder("a") for _ in range(2)]
    warm = [asyncio.ensure_future(bench.pool.ensure(bench.version("a"))) for _ in range(3)]
    await bench.until(lambda: bench.state("a") == "loading")
    gate.set()
    await asyncio.gather(*warm)
    await bench.until(lambda: all(h.holding for h in holders))
    assert bench.provider.loads == ["a"]
    for h in holders:
        await h.finish()


async def test_concurrency_is_the_version_s_and_the_rest_waits_in_order() -> None:
    """No more leases than ``parallel``; a freed slot goes to whoever waited longest."""
    bench = Bench()
    holders = [bench.holder("a") for _ in range(5)]
    await bench.until(lambda: sum(h.holding for h in holders) == 2)
    assert [h.holding for h in holders] == [True, True, False, False, False]
    await holders[1].finish()
    await bench.until(lambda: holders[2].holding)
    assert not holders[3].holding
    for h in (holders[0], holders[2], holders[3], holders[4]):
        await bench.until(lambda h=h: h.holding)  # type: ignore[misc]
        await h.finish()


async def test_a_newcomer_does_not_overtake_the_line() -> None:
    """With a free slot and somebody in line (freed in this very step), a new request goes behind them."""
    bench = Bench()
    holders = [bench.holder("a") for _ in range(4)]
    await bench.until(lambda: holders[1].holding)
    holders[0].done.set()
    newcomer = bench.holder("a")
    await bench.clock.settle()
    assert [h.holding for h in (*holders, newcomer)] == [False, True, True, False, False]
    for h in (*holders, newcomer):
        await bench.until(lambda h=h: h.lease is not None)  # type: ignore[misc]
        await h.finish()


async def test_a_full_line_is_refused_at_once() -> None:
    """Beyond the limit: Overloaded with a time to retry, and nobody in line is hurt."""
    bench = Bench(queue_limit=1)
    holders = [bench.holder("a") for _ in range(3)]
    await bench.until(lambda: bench.state("a") == "ready")
    with pytest.raises(Overloaded, match="limit 1") as refused:
        async with bench.pool.lease(bench.version("a")):
            pass
    assert refused.value.retry_after_s
    for h in holders:
        await bench.until(lambda h=h: h.holding)  # type: ignore[misc]
        await h.finish()


async def test_unload_drains_first_and_who_comes_meanwhile_waits_for_a_new_load() -> None:
    """unload() waits for leases, ends the process, and a request that came meanwhile loads it again."""
    bench = Bench()
    holder = bench.holder("a")
    await bench.until(lambda: holder.holding)
    unloading = asyncio.ensure_future(bench.pool.unload("a"))
    await bench.clock.settle()
    assert not unloading.done()
    late = bench.holder("a")
    await bench.clock.settle()
    assert not late.holding
    await holder.finish()
    await unloading
    await bench.until(lambda: late.holding)
    assert bench.provider.loads == ["a", "a"]
    assert bench.provider.unloads == ["a"]
    await late.finish()


async def test_unload_of_a_loading_model_serves_those_who_came_before() -> None:
    """An order to unload during a load doesn't fail who waits already; without waiters the load ends at once."""
    bench = Bench()
    bench.behaviour("a").load_gate = gate = asyncio.Event()
    holder = bench.holder("a")
    await bench.until(lambda: bench.state("a") == "loading")
    unloading = asyncio.ensure_future(bench.pool.unload("a"))
    await bench.clock.settle()
    gate.set()
    await bench.until(lambda: holder.holding)
    await holder.finish()
    await unloading
    assert bench.state("a") == "cold"
    gate.clear()
    warming = asyncio.ensure_future(bench.pool.ensure(bench.version("a")))
    await bench.clock.settle()
    assert bench.state("a") == "loading"
    await bench.pool.unload("a")
    with pytest.raises(LoadFailed, match="cancelled"):
        await warming
    assert bench.provider.cancelled_loads == ["a"]


async def test_unload_of_what_is_not_loaded_is_no_work() -> None:
    """Cold, unknown, twice: nothing happens."""
    bench = Bench()
    await bench.pool.unload("nobody")
    await bench.pool.ensure(bench.version("a"))
    await asyncio.gather(bench.pool.unload("a"), bench.pool.unload("a"))
    await bench.pool.unload("a")
    assert bench.provider.unloads == ["a"]


async def test_drained_waits_for_the_leases_of_now_only() -> None:
    """Leases taken later don't prolong a drain, or a busy old version would never be drained."""
    bench = Bench()
    first = bench.holder("a")
    await bench.until(lambda: first.holding)
    drained = asyncio.ensure_future(bench.pool.drained("a"))
    await bench.clock.settle()
    second = bench.holder("a")
    await bench.until(lambda: second.holding)
    assert not drained.done()
    await first.finish()
    await drained
    await second.finish()
    await bench.pool.drained("a")
    await bench.pool.drained("nobody")


async def test_probe_generates_for_real() -> None:
    """probe() takes a lease, runs one generation to its end and gives the lease back."""
    bench = Bench()
    bench.behaviour("a").ttft_s = 0.5
    probing = asyncio.ensure_future(bench.pool.probe(bench.version("a")))
    await bench.until(lambda: bool(bench.provider.loaded) and bench.provider.loaded["a"].active == 1)
    await bench.advance(0.5)
    assert await probing == 0.5
    assert bench.provider.loaded["a"].served == 1
    bench.behaviour("a").fail_generate = [ModelUnusable("broken")]
    with pytest.raises(ModelUnusable):
        await bench.pool.probe(bench.version("a"))
    view = bench.pool.view("a")
    assert view is not None
    assert view.in_flight == 0


async def test_a_failed_load_tells_everybody_and_the_next_request_tries_again() -> None:
    """Each waiter gets the provider's error; the state says failed; the next demand loads."""
    bench = Bench()
    bench.behaviour("a").fail_load = [ModelUnusable("a.gguf is truncated")]
    results = await asyncio.gather(
        bench.pool.ensure(bench.version("a")), bench.holder("a").task, return_exceptions=True
    )
    assert all(isinstance(r, ModelUnusable) for r in results)
    assert results[0] is not results[1]
    view = bench.pool.view("a")
    assert view is not None
    assert (view.state, view.error) == ("failed", "a.gguf is truncated")
    assert bench.pool.used_bytes() == 0
    await bench.pool.ensure(bench.version("a"))
    assert bench.state("a") == "ready"


async def test_a_provider_that_breaks_its_contract_breaks_nothing() -> None:
    """A foreign exception from load becomes LoadFailed, with its cause."""

    async def careless(version: object, **how: Any) -> Any:
        raise KeyError("no such thing")

    bench = Bench()
    bench.provider.load = careless  # type: ignore[method-assign]
    with pytest.raises(LoadFailed, match="KeyError") as failed:
        await bench.pool.ensure(bench.version("a"))
    assert isinstance(failed.value.__cause__, KeyError)


async def test_an_unknown_provider_is_named() -> None:
    """A version of a provider that isn't configured: UnknownName with the nearest ones."""
    bench = Bench()
    with pytest.raises(UnknownName, match="provider 'fakee'; nearest: fake"):
        await bench.pool.ensure(bench.version("a", provider="fakee"))


async def test_looking_wakes_nothing() -> None:
    """Views, logs, readiness and pins of a cold model load nothing and renew nothing."""
    bench = Bench()
    bench.pool.pin("a", True)
    assert (bench.pool.view("a"), bench.pool.views(), bench.pool.log("a")) == (None, {}, [])
    assert not bench.pool.is_ready("a")
    await bench.pool.ensure(bench.version("a"))
    assert bench.pool.log("a") == ["a: loaded"]
    await bench.clock.settle()
    before = bench.pool.views()["a"]
    await bench.advance(5)
    assert bench.pool.views()["a"] == before
    assert before.pinned
    await bench.pool.unload("a")
    assert bench.pool.log("a") == ["a: loaded"]
    assert bench.provider.loads == ["a"]


async def test_progress_is_estimated_from_the_last_load() -> None:
    """The first load has no estimate unless its provider loaded something; the second one knows how long it takes."""
    bench = Bench()
    bench.behaviour("a").load_s = bench.behaviour("b").load_s = 4.0
    first = asyncio.ensure_future(bench.pool.ensure(bench.version("a")))
    await bench.until(lambda: bench.state("a") == "loading")
    view = bench.pool.view("a")
    assert view is not None
    assert (view.progress, view.eta_s) == (None, None)
    await bench.advance(4.0)
    await first
    second = asyncio.ensure_future(bench.pool.ensure(bench.version("b")))
    await bench.until(lambda: bench.state("b") == "loading")
    await bench.advance(1.0)
    view = bench.pool.view("b")
    assert view is not None
    assert (view.progress, view.eta_s) == (0.25, 3.0)
    await bench.advance(3.0)
    await second


async def test_close_finishes_what_runs_and_ends_every_process() -> None:
    """Leases and the line of a ready model finish, new work is refused, nothing is left running."""
    bench = Bench()
    holders = [bench.holder("a") for _ in range(3)]
    await bench.until(lambda: holders[1].holding)
    closing = asyncio.ensure_future(bench.pool.close(5.0))
    await bench.clock.settle()
    with pytest.raises(Draining):
        async with bench.pool.lease(bench.version("a")):
            pass
    with pytest.raises(Draining):
        await bench.pool.ensure(bench.version("b"))
    assert bench.provider.unloads == []
    for h in holders:
        await bench.until(lambda h=h: h.holding)  # type: ignore[misc]
        await h.finish()
    await closing
    assert bench.provider.alive == []
    assert bench.provider.unloaded_while_busy == []
    await bench.pool.close(5.0)
    await bench.pool.tick()


async def test_close_cancels_loads_and_keeps_its_deadline() -> None:
    """A load under way is cancelled, its waiters are told; a lease that never ends can't hold up the stop."""
    bench = Bench()
    stuck = bench.holder("a")
    await bench.until(lambda: stuck.holding)
    bench.behaviour("b").load_gate = asyncio.Event()
    loading = bench.holder("b")
    await bench.clock.settle()
    assert bench.state("b") == "loading"
    await bench.pool.close(0.01)
    assert bench.provider.alive == []
    assert bench.provider.cancelled_loads == ["b"]
    with pytest.raises(Draining):
        await loading.task
    await stuck.finish()


async def test_timeout_says_what_it_waited_for() -> None:
    """A bounded wait ends in Overloaded with the load's state, and leaves no load behind that nobody wants."""
    bench = Bench()
    bench.behaviour("a").load_gate = asyncio.Event()
    with pytest.raises(Overloaded, match="still loading") as late:
        async with bench.pool.lease(bench.version("a"), timeout_s=0.01):
            pass
    assert late.value.details["loading"]
    await bench.until(lambda: bench.state("a") == "cold")
    assert bench.provider.cancelled_loads == ["a"]


async def test_a_real_request_flows_through_a_lease() -> None:
    """The lease carries the model that answers, and the version that was asked for."""
    bench = Bench()
    async with bench.pool.lease(bench.version("a")) as lease:
        chunks = [c async for c in lease.model.generate(Request(messages=(Message("user", "hi"),)))]
    assert lease.version.version == "a"
    assert len(chunks) == 2


def test_the_interface_is_complete() -> None:
    """What the engine builds on is there under its agreed names."""
    wanted = (
        "lease ensure probe unload drained pin cancel_load is_ready view views log used_bytes budget_bytes tick close"
    )
    assert not [name for name in wanted.split() if not hasattr(Pool, name)]
