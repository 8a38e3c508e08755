"""What the engine says of a task: the autopilot's outlook, why a version serves it, what a swap was decided on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from engine_kit import ASK, Engine

from arbiter_tui.config import ScheduleConfig, WindowConfig
from arbiter_tui.core.autoswap import guards
from arbiter_tui.core.tasks import Criteria, Preference, Task
from arbiter_tui.errors import ConfigError, UnknownName

ON = {"mode": "on", "cooldown_s": 10.0}


def by_rule(outlook: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {g["rule"]: g for g in outlook["guards"]}


async def test_the_outlook_is_the_autopilots_own_view() -> None:
    """Verdict and guards come from the inputs that the next look will decide on; asking changes nothing."""
    async with Engine(mode="observe") as e:
        await e.teach("a", quality=0.2)
        await e.teach("b", quality=1.0)
        outlook = e.arbiter.autopilot.outlook("work")
        assert (outlook["action"], outlook["to"], outlook["trigger"]) == ("hold", "b", "better")
        given = e.arbiter.autopilot.inputs("work")
        assert outlook["guards"] == [asdict(g) for g in guards(given)]
        assert by_rule(outlook)["better"]["met"]
        assert not by_rule(outlook)["observe"]["met"]
        assert e.serving() == "a"
        assert not e.arbiter.swaps


async def test_outside_its_windows_the_autopilot_holds_and_says_which_they_are() -> None:
    """The mode stays what the operator chose; the schedule is a condition of its own."""
    async with Engine(**ON) as e:
        shut = ScheduleConfig(windows=(WindowConfig(start="00:00", end="00:00", days=()),))
        object.__setattr__(e.arbiter.config, "schedule", shut)
        await e.teach("a", quality=0.2)
        await e.teach("b", quality=1.0)
        await e.clock.advance(20.0)
        assert e.serving() == "a"
        held = by_rule(e.arbiter.autopilot.outlook("work"))
        assert held["mode"]["met"]
        assert (held["schedule"]["met"], held["schedule"]["value"]) == (False, "closed")
        assert held["schedule"]["threshold"] == shut.told
        assert "the schedule's window opens" in e.arbiter.autopilot.judge("work").sentence


async def test_a_task_explains_why_it_is_served_so() -> None:
    """By the choice at the start, then by the swap; an unknown name is neither record nor task."""
    async with Engine() as e:
        first = await e.arbiter.explain("work")
        assert (first["kind"], first["verdict"]) == ("task", "a")
        assert first["reasoning"]
        assert first["decision"]["kind"] == "selection"
        swap = await e.arbiter.swap("work", "b")
        then = await e.arbiter.explain("work")
        assert (then["verdict"], then["previous"], then["decision"]["id"]) == ("b", "a", swap.id)
        with pytest.raises(UnknownName) as unknown:
            await e.arbiter.explain("wrok")
        assert unknown.value.details["nearest"] == ["work"]


async def test_a_task_that_nobody_serves_explains_that() -> None:
    """A reason instead of an empty record."""
    async with Engine(tasks=[Task(name="odd", criteria=Criteria(capabilities=frozenset({"telepathy"})))]) as e:
        found = await e.arbiter.explain("odd")
        assert (found["verdict"], found["decision"]) == (None, None)
        assert "Nobody serves it" in found["reasoning"][0]


async def test_a_swap_carries_what_was_known_and_what_the_requests_showed() -> None:
    """Both sides' utility with its interval is stored with it; before is the old version's, after the new one's."""
    async with Engine() as e:
        await e.teach("a", quality=0.0)
        await e.teach("b", quality=1.0)
        await e.clock.advance(5.0)
        swap = await e.arbiter.swap("work", "b")
        await e.clock.advance(5.0)
        await e.teach("b", quality=1.0, count=3)
        await e.teach("a", quality=0.0, count=2)
        old, new = swap.evidence["old"], swap.evidence["new"]
        assert old["utility_low"] < old["utility"] < old["utility_high"] < new["utility_low"]
        found = await e.arbiter.explain(swap.id)
        assert [o["quality"] for o in found["before"]] == [0.0] * 12
        assert [o["quality"] for o in found["after"]] == [1.0] * 3
        assert all(o["at"] <= swap.started_at for o in found["before"])
        assert found["after"][0].keys() == {"at", "success", "quality", "latency_s"}


async def test_what_surrounds_a_swap_is_bounded_and_leaves_out_what_says_nothing() -> None:
    """Forty on each side at most; a client that left says nothing about a model."""
    async with Engine() as e:
        await e.teach("a", quality=1.0, count=60)
        swap = await e.arbiter.swap("work", "b")
        await e.clock.advance(1.0)
        await e.teach("b", quality=None, count=45)
        await e.teach("b", quality=None, count=2, success=False, failure="cancelled")
        found = await e.arbiter.explain(swap.id)
        assert (len(found["before"]), len(found["after"])) == (40, 40)


async def test_a_limit_that_was_set_can_be_taken_away_again() -> None:
    """``unset`` clears it, now and after a restart; what is set later counts; other names are refused."""
    async with Engine() as e:
        task = await e.arbiter.put_task({"name": "work", "quality_threshold": 0.9, "preference": "fast"})
        before = task.settings
        task = await e.arbiter.put_task({"name": "work", "unset": ["quality_threshold"]})
        assert task.criteria.quality_threshold is None
        assert task.criteria.preference is Preference.FAST
        assert task.settings != before
        with pytest.raises(ConfigError, match="quality_threshold"):
            await e.arbiter.put_task({"name": "work", "unset": ["weights"]})
        async with Engine(store=e.store) as again:
            criteria = again.arbiter.tasks["work"].criteria
            assert (criteria.quality_threshold, criteria.preference) == (None, Preference.FAST)
        task = await e.arbiter.put_task({"name": "work", "quality_threshold": 0.4})
        assert task.criteria.quality_threshold == 0.4
        async with Engine(store=e.store) as again:
            assert again.arbiter.tasks["work"].criteria.quality_threshold == 0.4


async def test_a_snapshot_tells_that_a_task_was_changed() -> None:
    """Another name of the settings as soon as they differ, and the same again when they are the same again."""
    async with Engine() as e:
        first = e.arbiter.snapshot().tasks[0].settings
        assert first == e.arbiter.tasks["work"].settings
        await e.arbiter.execute("work", ASK)
        assert e.arbiter.snapshot().tasks[0].settings == first
        await e.arbiter.put_task({"name": "work", "latency_budget_s": 3.0})
        assert e.arbiter.snapshot().tasks[0].settings != first
        await e.arbiter.put_task({"name": "work", "latency_budget_s": 10.0})
        assert e.arbiter.snapshot().tasks[0].settings == first
