"""The guards one by one: what is asked, which value stands against which limit, and what would change the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_cases import NOW, measured, version

from arbiter_tui.core.autoswap import AutoSwapInput, AutoSwapLimits, Guard, Move, decide, guards
from arbiter_tui.core.circumstances import Circumstances
from arbiter_tui.core.drift import Alarm, Signal
from arbiter_tui.core.routing import Route
from arbiter_tui.core.scoring import leaderboard
from arbiter_tui.core.tasks import AutopilotMode, Criteria, Task

HEAT = AutoSwapLimits(heat_holds=True)
WELL = {"a": measured(100, quality=0.9), "b": measured(100, quality=0.8)}
AHEAD = {"a": measured(100, quality=0.3), "b": measured(100, quality=0.9)}


def asked(stats: dict[str, Any], *, task: Task | None = None, serving: str | None = "a", **more: Any) -> AutoSwapInput:
    task = task or Task(name="t")
    more.setdefault("route", Route(task="t", incumbent=serving))
    rows = leaderboard(task, [version(name) for name in stats], stats, now=NOW)
    return AutoSwapInput(task=task, rows=rows, stats=stats, now=NOW, **more)


def guard(rule: str, *args: Any, of: str | None = None, **more: Any) -> Guard:
    """The only guard of that rule (of that version)."""
    (found,) = [g for g in guards(asked(*args, **more)) if g.rule == rule and of in (None, g.version)]
    return found


def test_a_healthy_task_is_asked_everything_once() -> None:
    """All signs, the lead of the closest rival, all conditions of a swap to it; each with its unit."""
    found = guards(asked(WELL))
    assert [(g.rule, g.version, g.kind, g.met, g.unit) for g in found] == [
        ("drift_quality", "a", "trigger", False, ""), ("drift_latency", "a", "trigger", False, ""),
        ("drift_failures", "a", "trigger", False, ""), ("qualifies", "a", "trigger", False, ""),
        ("success", "a", "trigger", False, "share"), ("quality", "a", "trigger", False, "share"),
        ("better", "b", "trigger", False, "share"), ("mode", "", "condition", True, ""),
        ("schedule", "", "condition", True, ""), ("hold_until", "", "condition", True, "at"),
        ("rollout", "", "condition", True, ""),
        ("cooldown", "", "condition", True, "s"), ("budget", "", "condition", True, ""),
        ("heat", "", "condition", True, ""), ("hardware", "", "condition", True, "s"),
        ("quiet", "", "condition", True, ""),
        ("oscillation", "b", "condition", True, ""), ("min_samples", "a", "condition", True, "samples"),
        ("min_samples", "b", "condition", True, "samples"),
    ]  # fmt: skip


def test_nobody_serving_is_what_stands_in_the_way() -> None:
    """No sign is asked of nobody."""
    found = guards(asked(WELL, serving=None))
    assert (found[0].rule, found[0].met, found[0].would_change_if) == ("incumbent", False, "a version served it")
    assert not [g for g in found if g.kind == "trigger"]


def test_a_sign_that_is_not_there_says_what_would_make_it_one() -> None:
    """Unknown values stay unknown, and a task without a threshold says so."""
    assert guard("success", WELL).would_change_if == "success were below .80"
    quality = guard("quality", WELL)
    assert (quality.threshold, quality.would_change_if) == (None, "the task had a quality_threshold")
    assert quality.value == pytest.approx(0.9)
    for rule, words in (("drift_quality", "quality fell"), ("drift_latency", "latency rose")):
        drift = guard(rule, WELL)
        assert (drift.value, drift.threshold, drift.would_change_if) == (None, None, f"its {words} for good")
    assert guard("qualifies", WELL).value is None
    assert guard("qualifies", WELL).would_change_if == "it no longer qualified"
    strict = Task(name="t", criteria=Criteria(quality_threshold=0.5))
    assert guard("quality", WELL, task=strict).threshold == pytest.approx(0.45)
    assert guard("quality", WELL, task=strict).would_change_if == "quality were below .45"


@pytest.mark.parametrize(("after", "met"), [(3.0, True), (2.9, False)])
def test_a_slower_answer_is_shown_before_it_counts(after: float, met: bool) -> None:
    """An alarm that is not material stands there with its figures, unmet."""
    alarm = Alarm(signal=Signal.LATENCY, before=2.0, after=after, since=5, samples=50)
    drift = guard("drift_latency", WELL, alarms=[alarm])
    assert (drift.met, drift.value, drift.threshold, drift.unit) == (met, after, 2.0, "s")
    assert ("at least 1.5 times" in drift.would_change_if) != met
    assert guard("drift_quality", WELL, alarms=[alarm]).value is None


def test_a_trigger_that_is_switched_off_is_never_met() -> None:
    """And what would change it is the configuration."""
    off = guard("better", AHEAD, limits=AutoSwapLimits(triggers=("degraded",)))
    assert (off.met, off.would_change_if) == (False, "[autopilot] triggers had 'better'")
    assert guard("better", AHEAD).met
    failing = {"a": measured(100, failed=50), "b": measured(100)}
    assert guard("success", failing).met
    assert not guard("success", failing, limits=AutoSwapLimits(triggers=("better",))).met


def test_a_degraded_incumbent_asks_for_an_alternative() -> None:
    """The largest lead against the cost of swapping; nobody is no alternative."""
    failing = {"a": measured(100, failed=50), "b": measured(100)}
    there = guard("alternative", failing)
    assert (there.kind, there.met, there.threshold) == ("condition", True, 0.0)
    assert there.value > 0
    none = guard("alternative", {"a": measured(100, failed=50)})
    assert (none.met, none.value) == (False, None)
    assert none.would_change_if == "another version led by more than .00"


@pytest.mark.parametrize(
    ("changes", "rule", "value", "threshold", "wanted"),
    [
        ({"mode": AutopilotMode.OFF}, "mode", "off", "on", "the autopilot is on (it is off)"),
        ({"mode": AutopilotMode.OBSERVE}, "observe", "observe", "on", "the autopilot is on (it only observes)"),
        ({"closed": True, "windows": "22:00–06:00"}, "schedule", "closed", "22:00–06:00",
         "the schedule's window opens (22:00–06:00)"),
        ({"last_swap_at": NOW - 100}, "cooldown", 100.0, 300.0, "the cooldown ends in 3 min"),
        ({"route": Route(task="t", incumbent="a", hold_until=NOW + 60)}, "hold_until", NOW, NOW + 60,
         "the operator's hold ends in 60 s"),
        ({"limits": HEAT, "around": Circumstances(hot=("heat (processor)",), hot_at=NOW - 9)}, "heat",
         "heat (processor)", None, "nothing had been held back by heat for 60 s"),
        ({"around": Circumstances(change="GPU 0 (X) left", changed_at=NOW - 100)}, "hardware", 100.0, 300.0,
         "GPU 0 (X) left; it looks again in 3 min"),
        ({"owed": {"b": 110}}, "new_evidence", 100, 110, "b has 110 samples (it has 100)"),
    ],
)  # fmt: skip
def test_a_condition_that_fails_names_its_figures(
    changes: dict[str, Any], rule: str, value: object, threshold: object, wanted: str
) -> None:
    """Value, limit, and what it waits for."""
    found = guard(rule, AHEAD, **changes)
    assert (found.met, found.value, found.threshold, found.would_change_if) == (False, value, threshold, wanted)


def test_heat_holds_back_what_can_wait() -> None:
    """Not where it is configured away, not when it is gone for a minute, not for a model that fails: no cooler machine
    would mend that."""
    hot = Circumstances(hot=("heat (processor)",), hot_at=NOW - 9)
    assert not guard("heat", AHEAD, limits=HEAT, around=hot).met
    assert guard("heat", AHEAD, around=hot).met
    assert guard("heat", AHEAD, limits=HEAT, around=replace(hot, hot_at=NOW - 61)).met
    failing = {"a": measured(100, failed=50), "b": measured(100)}
    assert guard("heat", failing, limits=HEAT, around=hot).met
    assert decide(asked(AHEAD, limits=HEAT, around=hot)).action == "hold"
    assert decide(asked(failing, limits=HEAT, around=hot)).action == "swap"


def test_a_better_one_waits_for_a_quiet_hour_and_a_degraded_one_does_not() -> None:
    """Only where it is wanted, and only where a quiet hour is known to come."""
    wanted, rush = AutoSwapLimits(quiet_only=True), Circumstances(busy=1.5, quiet_in_s=7200.0)
    found = guard("quiet", AHEAD, limits=wanted, around=rush)
    assert (found.met, found.value, found.threshold) == (False, 1.5, 0.5)
    assert found.would_change_if == "the next hour that is usually quiet begins, in 2 h"
    assert decide(asked(AHEAD, limits=wanted, around=rush)).action == "hold"
    for more in (
        {"around": rush}, {"limits": wanted}, {"limits": wanted, "around": Circumstances(busy=0.3, quiet_in_s=0.0)},
    ):  # fmt: skip
        assert guard("quiet", AHEAD, **more).met
        assert decide(asked(AHEAD, **more)).action == "swap"
    failing = {"a": measured(100, failed=50), "b": measured(100)}
    assert decide(asked(failing, limits=wanted, around=rush)).action == "swap"


def test_a_condition_that_holds_says_what_would_break_it() -> None:
    """A clock that has run out is met; without a swap there was no cooldown, without a hold there is none."""
    assert guard("cooldown", AHEAD, last_swap_at=NOW - 300).met
    assert guard("cooldown", AHEAD).value is None
    hold = guard("hold_until", AHEAD)
    assert (hold.met, hold.value, hold.threshold) == (True, None, None)
    assert guard("schedule", AHEAD).threshold == "any time"
    assert guard("schedule", AHEAD).would_change_if == "[schedule] had windows"
    assert guard("schedule", AHEAD, windows="22:00–06:00").would_change_if == "the schedule's window closed"
    assert guard("mode", AHEAD).would_change_if == "it were set to observe or off"
    assert guard("min_samples", AHEAD, of="b").would_change_if == "b had fewer than 10 samples"


def test_samples_are_counted_on_both_sides() -> None:
    """Below the least number neither side may decide; an incumbent that may not serve needs none."""
    few = {"a": measured(9, quality=0.3), "b": measured(9, quality=0.9)}
    for who in "ab":
        found = guard("min_samples", few, of=who)
        assert (found.met, found.value, found.threshold) == (False, 9, 10)
    out = guards(asked(few, excluded={"a": "is draft, not active"}))
    assert [g.version for g in out if g.rule == "min_samples"] == ["b"]
    assert not [g for g in guards(asked(few, owed={"b": 20})) if g.rule == "new_evidence"]


def moves(*steps: tuple[float, str, str]) -> tuple[Move, ...]:
    """(seconds ago, from, to)"""
    return tuple(Move(at=NOW - ago, from_=old, to=new) for ago, old, new in steps)


def test_to_and_fro_asks_the_operator() -> None:
    """Whom the autopilot replaced within the window it does not bring back for being better; a swap by hand does."""
    before = moves((1000, "b", "a"))
    asks = guard("oscillation", AHEAD, moves=before)
    assert (asks.met, asks.version, asks.value, asks.threshold) == (False, "b", 1, 0)
    assert asks.would_change_if.startswith("you swap by hand")
    assert "(5.7 h more)" in asks.would_change_if
    verdict = decide(asked(AHEAD, moves=before))
    assert (verdict.action, verdict.to) == ("hold", "b")
    assert "oscillation" in {why.rule for why in verdict.why}
    assert guard("oscillation", AHEAD, moves=moves((21_601, "b", "a"))).met
    assert guard("oscillation", AHEAD, moves=moves((1000, "c", "a"))).met
    assert guard("oscillation", AHEAD, moves=before, limits=AutoSwapLimits(oscillation_s=0)).met


def test_a_rollback_is_no_oscillation_but_a_second_one_is() -> None:
    """A degraded version goes back to the one before it; when that has happened before, it asks."""
    failing = {"a": measured(100, failed=50), "b": measured(100)}
    back = moves((1000, "b", "a"))
    assert guard("oscillation", failing, moves=back).threshold == 1
    assert decide(asked(failing, moves=back)).action == "swap"
    twice = moves((2000, "b", "a"), (1500, "a", "b"), (1000, "b", "a"))
    assert not guard("oscillation", failing, moves=twice).met
    assert "(5.4 h more)" in guard("oscillation", failing, moves=twice).would_change_if
    assert decide(asked(failing, moves=twice)).action == "hold"


@pytest.mark.parametrize(("limit", "met"), [(1, False), (2, False), (3, True), (0, True)])
def test_a_day_has_so_many_swaps(limit: int, met: bool) -> None:
    """The autopilot's own swaps of the task in the last 24 hours; 0 is no limit, and older ones are forgotten."""
    done = moves((90_000, "c", "d"), (4000, "c", "d"), (3000, "d", "a"))
    asks = guard("budget", AHEAD, moves=done, limits=AutoSwapLimits(swaps_per_day=limit))
    assert (asks.met, asks.value, asks.threshold) == (met, 2, limit or None)
    if not met:
        wait = {1: "23.2 h", 2: "22.9 h"}[limit]
        assert f"in {wait}," in asks.would_change_if
    verdict = decide(asked(AHEAD, moves=done, limits=AutoSwapLimits(swaps_per_day=limit)))
    assert verdict.action == ("swap" if met else "hold")
