"""The cost of swapping as the engine knows it: of the challenger, of whom its load drives out, of energy."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from engine_kit import Engine

from arbiter_tui.core.budget import Budget
from arbiter_tui.core.recompute import same
from arbiter_tui.core.snapshot import HardwareView, Reading
from arbiter_tui.core.swap_cost import AMORTISED_S, DAY_S, of_seconds
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.swap_costs import COLD_LOAD_S
from arbiter_tui.testing import MIB, Behaviour


async def loaded(e: Engine, version: str) -> None:
    """Fake time passes while it loads."""
    warming = asyncio.ensure_future(e.arbiter.warm(version))
    await e.until(warming.done, step_s=0.5)
    await warming


async def test_the_challengers_load_counts_and_not_that_of_the_first_row() -> None:
    """The incumbent is the best by the score and loaded; whom the beliefs name is cold: its measured seconds are the
    cost, in the guard, in the record, and when the record is computed again."""
    models = {"a": Behaviour(answer="yes"), "b": Behaviour(answer="yes", load_s=6.0)}
    async with Engine(models, mode="observe") as e:
        await loaded(e, "b")
        await e.arbiter.unload("b")
        await e.arbiter.swap("work", "a")
        await e.teach("a", quality=1.0, count=40)
        await e.teach("b", quality=0.9, count=40)
        given = e.arbiter.autopilot.inputs("work")
        assert given.rows[0].version == "a"
        assert given.costs["b"].load_s == pytest.approx(6.0, abs=0.6)
        assert not given.costs["b"].assumed
        (better,) = [g for g in e.arbiter.autopilot.outlook("work")["guards"] if g["rule"] == "better"]
        assert better["version"] == "b"
        assert better["threshold"] == pytest.approx(of_seconds(given.costs["b"].load_s))
        e.arbiter.autopilot._said.clear()  # the same verdict again is no news otherwise
        await e.arbiter.autopilot.look()
        record = [r for id in e.store.decisions if (r := await e.store.decision(id)) and r["kind"] == "autopilot"][-1]
        assert record["inputs"]["costs"]["b"]["load_s"] == given.costs["b"].load_s
        assert record["thresholds"]["switching_cost"] == better["threshold"]
        assert same(record)


async def test_a_loaded_challenger_costs_nothing_and_an_unknown_load_is_a_guess() -> None:
    """Whatever the first row is."""
    async with Engine() as e:
        await e.arbiter.swap("work", "a")
        await e.teach("a", quality=0.5, count=40)
        await e.teach("b", quality=0.9, count=40)
        guess = e.arbiter.autopilot.inputs("work").costs["b"]
        assert guess.assumed == (e.arbiter.pool.expected_load_s("b") is None)
        assert guess.load_s > 0.0 or not guess.assumed
        if guess.assumed:
            assert guess.load_s == COLD_LOAD_S
        await e.arbiter.warm("b")
        assert e.arbiter.autopilot.inputs("work").costs["b"].utility == 0.0


async def test_who_must_come_back_is_part_of_the_cost() -> None:
    """Room for two: loading b drives out c, by which another task is served, so c's seconds count, too; where only this
    task was served by who leaves, they don't."""
    models = {name: Behaviour(answer="yes", load_s=s) for name, s in (("a", 2.0), ("b", 3.0), ("c", 9.0))}
    for pinned, evicts in (("a", ("c",)), ("c", ())):
        async with Engine(models, tasks=("work", "other"), budget=250 * MIB) as e:
            await loaded(e, "b")
            await e.arbiter.unload("b")
            await loaded(e, "a")
            await loaded(e, "c")
            await e.arbiter.swap("work", "a")
            await e.arbiter.swap("other", "c")
            await e.arbiter.pin(pinned)
            await e.teach("a", quality=0.5, count=40)
            await e.teach("b", quality=0.9, count=40)
            cost = e.arbiter.autopilot.inputs("work").costs["b"]
            assert cost.load_s == pytest.approx(3.0, abs=0.6)
            assert cost.evicts == evicts
            assert cost.reload_s == (pytest.approx(9.0, abs=0.6) if evicts else 0.0)


async def test_energy_is_told_where_the_machine_tells_its_watts() -> None:
    """Twenty watts for the seconds of the loads; in utility by the task's energy price. Without a reading: unknown."""
    task = Task(name="work", energy_per_day_j=20.0 * DAY_S)
    async with Engine({"a": Behaviour(), "b": Behaviour(load_s=30.0)}, tasks=(task,)) as e:
        await loaded(e, "b")
        await e.arbiter.unload("b")
        await e.arbiter.swap("work", "a")
        await e.teach("a", quality=0.5, count=40)
        await e.teach("b", quality=0.9, count=40)
        costs = e.arbiter.autopilot._costs
        plain = e.arbiter.autopilot._unpriced("work")
        priced = replace(plain, budgets=(Budget(kind="energy", limit=20.0 * DAY_S, price=0.5),))
        e.arbiter.live.hardware = HardwareView()
        assert costs.priced(priced).costs["b"].energy_j is None
        e.arbiter.live.hardware = HardwareView(cpu_power_w=Reading(value=20.0))
        found = costs.priced(priced).costs["b"]
        assert found.energy_j == pytest.approx(20.0 * found.load_s)
        assert found.energy == pytest.approx(0.5 * found.load_s / AMORTISED_S)
        assert costs.priced(plain).costs["b"].energy == 0.0
