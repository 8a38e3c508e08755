"""The line before an instance and the turn of a victim; and that nobody starves when two models don't fit together."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_bench import Bench, Holder

from arbiter_tui.engine.balancer import Flow, Line, Turn, Waiter
from arbiter_tui.engine.health import BACK_OFF_CAP_S, QUARANTINE_AFTER, Failures, back_off
from arbiter_tui.engine.leasing import WEIGHTS
from arbiter_tui.errors import Overloaded


async def test_a_line_serves_in_order_and_forgets_who_left() -> None:
    """First come, first served; a cancelled place and a place given up are skipped and not counted."""
    line: Line[str] = Line()
    waiters = [line.join(n, 0.0, whose="a") for n in range(4)]
    waiters[0].future.cancel()
    line.leave(waiters[1])
    line.leave(waiters[1])
    assert len(line) == 2
    assert line.first() is waiters[2]
    line.settle("yes")
    assert [w.future.result() for w in waiters[2:]] == ["yes", "yes"]
    assert not waiters[1].future.done()


async def test_a_dead_place_is_free_for_the_next() -> None:
    """A limit counts the living only."""
    line: Line[str] = Line()
    waiter = line.join(1, 0.0, whose="a", limit=1)
    with pytest.raises(Overloaded):
        line.join(2, 0.0, whose="a", limit=1)
    waiter.future.cancel()
    line.join(3, 0.0, whose="a", limit=1)


async def test_each_waiter_gets_an_error_of_its_own() -> None:
    """A shared exception object would collect everybody's traceback."""
    line: Line[str] = Line()
    futures = [line.join(n, 0.0, whose="a").future for n in range(2)]
    line.fail(lambda: Overloaded("no"))
    errors = [f.exception() for f in futures]
    assert errors[0] is not errors[1]
    assert {str(e) for e in errors} == {"no"}


@given(st.integers(0, 100), st.integers(0, 100), st.floats(0, 10), st.floats(0, 10))
def test_a_turn_admits_exactly_the_early_until_its_end(cutoff: int, number: int, until: float, now: float) -> None:
    """Both bounds of a turn hold for every number and time."""
    assert Turn(cutoff=cutoff, until=until).admits(number, now) == (number <= cutoff and now < until)


@given(st.integers(1, 40))
def test_back_off_grows_and_is_capped(failures: int) -> None:
    """1, 2, 4 ... seconds, never more than the cap; from the quarantine on the cap."""
    assert 1 <= back_off(failures) <= back_off(failures + 1) <= BACK_OFF_CAP_S
    state = Failures()
    for _ in range(failures):
        state.add(100.0)
    assert state.quarantined == (failures >= QUARANTINE_AFTER)
    assert state.wait_s(100.0) == back_off(failures)
    state.reset()
    assert (state.quarantined, state.wait_s(0.0)) == (False, 0.0)


async def flood(bench: Bench, name: str, stop: asyncio.Event, served: list[str]) -> None:
    """A closed loop of requests of 10 ms each."""
    while not stop.is_set():
        async with bench.pool.lease(bench.version(name)):
            await bench.clock.sleep(0.01)
            served.append(name)


async def run_clock(bench: Bench, clients: list[asyncio.Task[None]]) -> None:
    """Time flows until the last client has ended."""
    while not all(c.done() for c in clients):
        await bench.clock.settle(5)
        await bench.clock.advance(0.01)


async def test_a_cold_model_is_served_in_bounded_time_under_a_flood() -> None:
    """Eight closed-loop clients on the loaded model, room for one: the other gets its turn within a few requests."""
    bench = Bench(budget_mib=100)
    stop, served = asyncio.Event(), list[str]()
    clients = [asyncio.ensure_future(flood(bench, "a", stop, served)) for _ in range(8)]
    clock = asyncio.ensure_future(run_clock(bench, clients))
    await bench.until(lambda: len(served) >= 20)
    for _ in range(5):
        before = len(served)
        async with asyncio.timeout(10), bench.pool.lease(bench.version("b")):
            waited = len(served) - before
            assert waited <= 10, "those in line (6) and in flight (2), and nobody who came later"
        resumed = len(served)
        await bench.until(lambda resumed=resumed: len(served) > resumed + 8)  # type: ignore[misc]
    stop.set()
    await asyncio.gather(*clients, clock)
    assert bench.provider.unloaded_while_busy == []
    assert bench.peak_claimed <= bench.pool.budget_bytes


async def test_alternating_requests_are_collated() -> None:
    """A B A B A B in line while something loads become one load each: whole batches are served per load."""
    bench = Bench(budget_mib=100)
    blocker = bench.holder("c")
    await bench.until(lambda: blocker.holding)
    holders = [bench.holder(name) for name in "ababab"]
    await bench.clock.settle()
    await blocker.finish()
    for holder in [*holders[::2], *holders[1::2]]:
        await bench.until(lambda h=holder: h.lease is not None)  # type: ignore[misc]
        await holder.finish()
    assert bench.provider.loads == ["c", "a", "b"]


async def test_a_turn_ends_even_with_a_long_line() -> None:
    """After its time a victim starts nothing new, however many were in line before the cold model's waiter."""
    bench = Bench(budget_mib=100)
    holders = [bench.holder("a") for _ in range(8)]
    await bench.until(lambda: holders[1].holding)
    other = bench.holder("b")
    await bench.advance(5.0)
    await holders[0].finish()
    await holders[1].finish()
    await bench.until(lambda: other.holding)
    await other.finish()
    for h in holders[2:]:
        await bench.until(lambda h=h: h.lease is not None)  # type: ignore[misc]
        await h.finish()
    assert bench.provider.loads == ["a", "b", "a"]


async def test_when_the_cold_waiter_leaves_the_victim_serves_on() -> None:
    """A cancelled demand lifts the drain: who queued behind it is served at once, without any swap."""
    bench = Bench(budget_mib=100)
    first = bench.holder("a")
    await bench.until(lambda: first.holding)
    other = bench.holder("b")
    await bench.clock.settle()
    behind = bench.holder("a")
    await bench.clock.settle()
    assert not behind.holding
    await other.cancel()
    await bench.until(lambda: behind.holding)
    assert bench.state("a") == "ready"
    await first.finish()
    await behind.finish()
    assert bench.provider.loads == ["a"]


async def test_a_small_model_may_pass_one_that_waits_for_room() -> None:
    """Room that the first in line does not need is used; what it needs is not taken from it."""
    bench = Bench(budget_mib=250, sizes={"a": 150, "big": 200, "small": 50, "tiny": 50})
    holder = bench.holder("a")
    await bench.until(lambda: holder.holding)
    big = bench.holder("big")
    small, tiny = bench.holder("small"), bench.holder("tiny")
    await bench.clock.settle()
    assert not any(h.holding for h in (big, small, tiny)), "150 + 200 reserved leave nothing"
    await holder.finish()
    await bench.until(lambda: big.holding and small.holding)
    assert not tiny.holding
    await small.finish()
    await bench.until(lambda: tiny.holding)
    await big.finish()
    await tiny.finish()


async def test_a_victim_stays_the_victim() -> None:
    """With two busy candidates under load the choice doesn't flip between them, so one of them does drain."""
    bench = Bench(budget_mib=200)
    stop, served = asyncio.Event(), list[str]()
    clients = [asyncio.ensure_future(flood(bench, name, stop, served)) for name in "aaabbb"]
    clock = asyncio.ensure_future(run_clock(bench, clients))
    await bench.until(lambda: {"a", "b"} <= set(served))
    before = len(served)
    async with asyncio.timeout(10), bench.pool.lease(bench.version("c")):
        assert len(served) - before <= 12
    stop.set()
    await asyncio.gather(*clients, clock)


async def test_three_models_on_one_place_are_served_in_the_order_they_asked() -> None:
    """First come, first loaded."""
    bench = Bench(budget_mib=100)
    holders: list[Holder] = [bench.holder(name) for name in "abc"]
    for holder in holders:
        await bench.until(lambda h=holder: h.holding)  # type: ignore[misc]
        await holder.finish()
    assert bench.provider.loads == ["a", "b", "c"]


A, B = Flow("a", "t"), Flow("b", "t")


async def joined(line: Line[str], *flows: Flow, limit: int | None = None) -> list[Waiter[str]]:
    return [line.join(n, 0.0, whose="m", flow=flow, limit=limit) for n, flow in enumerate(flows)]


async def test_a_flood_of_one_flow_waits_behind_itself() -> None:
    """A hundred of one key are there already: another key's first is next but one."""
    line: Line[str] = Line()
    await joined(line, *[A] * 100)
    line.pop()
    other = line.join(200, 0.0, whose="m", flow=B)
    taken = [line.pop() for _ in range(2)]
    assert other in taken


async def test_within_a_flow_who_came_first_is_first() -> None:
    """Whatever else waits."""
    line: Line[str] = Line()
    waiters = await joined(line, A, B, A, B, B, A)
    taken = list(iter(line.pop, None))
    for flow in (A, B):
        assert [w.number for w in taken if w.flow == flow] == [w.number for w in waiters if w.flow == flow]


@given(st.lists(st.sampled_from(["high", "normal", "low"]), min_size=1, max_size=60), st.integers(0, 10_000))
def test_nobody_starves_and_nobody_is_forgotten(names: list[str], seed: int) -> None:
    """All of each weight are served; one of low weight waits for at most its ratio of weights of each other flow."""

    async def run() -> None:
        line: Line[str] = Line()
        flows = [Flow("k", name, WEIGHTS[name]) for name in names]
        waiters = await joined(line, *flows)
        taken = list(iter(line.pop, None))
        assert sorted(w.number for w in taken) == [w.number for w in waiters]
        for name in set(names):
            place = next(n for n, w in enumerate(taken) if w.flow.task == name)
            before = {other: sum(w.flow.task == other for w in taken[:place]) for other in set(names) - {name}}
            assert all(n <= WEIGHTS[other] / WEIGHTS[name] + 1 for other, n in before.items())

    asyncio.run(run())


async def test_weights_are_shares_while_all_wait() -> None:
    """Four of high for one of normal, four of normal for one of low."""
    line: Line[str] = Line()
    high, normal, low = (Flow("k", name, WEIGHTS[name]) for name in ("high", "normal", "low"))
    await joined(line, *[high, normal, low] * 100)
    taken = [w.flow for _ in range(105) if (w := line.pop()) is not None]
    assert [taken.count(f) for f in (high, normal, low)] == [80, 20, 5]


async def test_in_a_full_line_who_takes_most_gives_way() -> None:
    """Its newest is told that the line is full; a flow that would take as much itself is refused."""
    line: Line[str] = Line()
    crowd = await joined(line, *[A] * 4, limit=4)
    line.join(10, 0.0, whose="m", flow=B, limit=4)
    assert isinstance(crowd[3].future.exception(), Overloaded)
    assert len(line) == 4
    line.join(11, 0.0, whose="m", flow=B, limit=4)
    assert isinstance(crowd[2].future.exception(), Overloaded)
    for flow in (A, B):
        with pytest.raises(Overloaded):
            line.join(12, 0.0, whose="m", flow=flow, limit=4)
    assert [w.future.done() for w in crowd] == [False, False, True, True]


async def test_up_to_a_cutoff_only_those_before_it_are_next() -> None:
    """A turn that ends serves who was there, fairly; the rest stays in line."""
    line: Line[str] = Line()
    waiters = await joined(line, A, A, A, B)
    line.take(waiters[0])
    assert line.first(cutoff=2) is waiters[1]
    assert line.first() is waiters[3]
    assert line.first(cutoff=-1) is None
    assert line.eldest() is waiters[1]


async def test_who_left_costs_its_flow_nothing() -> None:
    """Fifty that were never served are no share."""
    line: Line[str] = Line()
    left = await joined(line, B, *[A] * 50)
    for waiter in left[1:]:
        line.leave(waiter)
    later = [line.join(60 + n, 0.0, whose="m", flow=flow) for n, flow in enumerate((A, B, A, B))]
    assert [line.pop() for _ in range(5)] == [left[0], later[0], later[1], later[2], later[3]]


@given(st.lists(st.sampled_from(["high", "normal", "low"]), min_size=2, max_size=3, unique=True))
def test_clients_that_ask_again_at_once_get_their_shares(names: list[str]) -> None:
    """Two of each priority, each asking anew when it was served: nobody starves, shares are as the weights."""

    async def run() -> None:
        line: Line[str] = Line()
        flows = [Flow(who, name, WEIGHTS[name]) for name in names for who in "xy"]
        await joined(line, *flows)
        served: Counter[Flow] = Counter()
        for number in range(1000, 1000 + 420):
            waiter = line.pop()
            assert waiter is not None
            served[waiter.flow] += 1
            line.join(number, 0.0, whose="m", flow=waiter.flow)
        total = sum(f.weight for f in flows)
        for flow in flows:
            assert abs(served[flow] - 420 * flow.weight / total) <= 3

    asyncio.run(run())
