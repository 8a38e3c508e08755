"""Budgets of a day in the engine: what is counted, what the price does, what a restart and a new day do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest
from engine_kit import ASK, Engine, read

from arbiter_tui.config_tasks import patch_task
from arbiter_tui.core.budget import ON_BATTERY
from arbiter_tui.core.snapshot import HardwareView
from arbiter_tui.core.tasks import Task
from arbiter_tui.errors import ConfigError
from arbiter_tui.testing import Behaviour, FakeClock

MORNING = datetime(2025, 6, 2, 6).timestamp()  # a quarter of a day by this machine's clock
TASK = Task(name="work", seconds_per_day=40.0)


def engine(task: Task = TASK, **more: object) -> Engine:
    models = {"a": Behaviour(ttft_s=2.0), "b": Behaviour(ttft_s=0.5)}
    return Engine(models, tasks=(task,), clock=FakeClock(MORNING), **more)  # type: ignore[arg-type]


async def ask(e: Engine, count: int) -> None:
    for _ in range(count):
        answer = await e.arbiter.begin("arbiter/work", ASK)
        reading = asyncio.ensure_future(read(answer))
        await e.until(reading.done, step_s=0.5)


def price(e: Engine) -> float:
    return e.arbiter.autopilot.budgets.of(e.arbiter.tasks["work"])[0].price


async def test_overspending_raises_the_price_and_the_narrator_says_so() -> None:
    """Ten answers of two seconds by six in the morning are twice the pace of forty a day."""
    async with engine() as e:
        await e.arbiter.swap("work", "a")
        await e.clock.advance(61.0)
        assert price(e) == 0.0
        await ask(e, 10)
        (budget,) = e.arbiter.autopilot.budgets.of(e.arbiter.tasks["work"])
        assert budget.spent == pytest.approx(20.0)
        assert budget.costs["a"] == pytest.approx(2.0)
        await e.clock.advance(1800.0)
        assert price(e) > 0.02
        said = e.arbiter.autopilot.budgets.sentence()
        assert said is not None
        assert said.startswith("work has spent 20 of 40 seconds today")
        assert [x for x in await e.arbiter.events() if x["kind"] == "budget"]
        (guard,) = [g for g in e.arbiter.autopilot.outlook("work")["guards"] if g["rule"] == "seconds_today"]
        assert (guard["value"], guard["threshold"]) == (pytest.approx(20.0), 40.0)


async def test_the_price_survives_a_restart_and_the_next_day_begins_with_nothing_spent() -> None:
    """What was spent is of the day; the price falls as the new day's pace allows."""
    async with engine() as e:
        await e.arbiter.swap("work", "a")
        await e.clock.advance(61.0)
        await ask(e, 10)
        await e.clock.advance(1800.0)
        was = price(e)
    again = Engine({"a": Behaviour(), "b": Behaviour()}, tasks=(TASK,), store=e.store, clock=e.clock)
    async with again as e:
        (budget,) = e.arbiter.autopilot.budgets.of(e.arbiter.tasks["work"])
        assert (budget.spent, budget.price) == (pytest.approx(20.0), pytest.approx(was, abs=0.01))
        e.clock._now += 86_400.0
        (budget,) = e.arbiter.autopilot.budgets.of(e.arbiter.tasks["work"])
        assert budget.spent == 0.0


async def test_without_a_budget_nothing_is_kept() -> None:
    """And no guard stands there."""
    async with engine(Task(name="work")) as e:
        await e.arbiter.swap("work", "a")
        await ask(e, 2)
        assert e.arbiter.autopilot.budgets.of(e.arbiter.tasks["work"]) == ()
        assert not [g for g in e.arbiter.autopilot.outlook("work")["guards"] if g["rule"].endswith("_today")]


async def test_on_battery_energy_has_a_price() -> None:
    """Whatever was spent; what is not measured has no cost, and then no effect."""
    async with engine(replace(TASK, seconds_per_day=None, energy_per_day_j=1e6)) as e:
        probe = e.arbiter.live.probe
        probe.view = HardwareView(on_battery=True)  # type: ignore[attr-defined]
        await e.clock.advance(1.1)
        assert price(e) == ON_BATTERY
        probe.view = HardwareView(on_battery=False)  # type: ignore[attr-defined]
        await e.clock.advance(1.1)
        assert price(e) == 0.0


def test_budgets_are_keys_of_a_task() -> None:
    """Read and shown as any other; a limit of 0 is refused, for nothing could be spent."""
    task = patch_task(Task(name="t"), {"seconds_per_day": 60, "money_per_day": 0.5, "energy_per_day_j": 1000})
    assert task.budgets == {"energy": 1000.0, "money": 0.5, "seconds": 60.0}
    assert task.as_dict()["money_per_day"] == 0.5
    with pytest.raises(ConfigError, match="seconds_per_day"):
        patch_task(Task(name="t"), {"seconds_per_day": 0})
