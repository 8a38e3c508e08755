"""The laws of the auto-swap: its triggers, its vetoes, its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from core_cases import NOW, boards, fractions, measured, names, tasks, version
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.autoswap import MAX_COST, AutoSwapInput, AutoSwapLimits, AutoSwapVerdict, decide, guards
from arbiter_tui.core.drift import Alarm, Signal
from arbiter_tui.core.routing import Route
from arbiter_tui.core.scoring import leaderboard
from arbiter_tui.core.stats import EMPTY, Stats
from arbiter_tui.core.tasks import AutopilotMode, Criteria, Task
from arbiter_tui.core.words import WORDS

TASK = Task(name="boolean")
CLEAR = {"a": measured(100, quality=0.3), "b": measured(100, quality=0.9)}
FAILING = {"a": measured(100, failed=40), "b": measured(100, quality=0.85)}


def given_(stats: Mapping[str, Stats], *, task: Task = TASK, serving: str | None = "a", **more: Any) -> AutoSwapInput:
    route = more.pop("route", Route(task=task.name, incumbent=serving))
    rows = leaderboard(task, [version(name) for name in stats], stats, now=NOW)
    return AutoSwapInput(task=task, route=route, rows=rows, stats=stats, now=NOW, **more)


def rules(verdict: AutoSwapVerdict) -> list[str]:
    return [why.rule for why in verdict.why]


def alarm(signal: Signal, before: float, after: float) -> Alarm:
    return Alarm(signal=signal, before=before, after=after, since=30, samples=100)


inputs = st.builds(
    lambda stats, task, mode, serving, previous, last, hold, alarms, excluded: given_(
        stats,
        task=task,
        mode=mode,
        route=Route(task=task.name, incumbent=serving, previous=previous, hold_until=hold),
        last_swap_at=last,
        alarms=alarms,
        excluded=dict.fromkeys(excluded, "lacks code"),
    ),
    boards,
    tasks,
    st.sampled_from(AutopilotMode),
    st.none() | names,
    st.none() | names,
    st.none() | st.floats(NOW - 1000, NOW),
    st.just(0.0) | st.floats(NOW - 100, NOW + 100),
    st.lists(st.builds(alarm, st.sampled_from(Signal), fractions, fractions), max_size=2),
    st.sets(names, max_size=3),
)


@given(inputs, st.booleans(), st.sets(st.sampled_from(["degraded", "better"])))
def test_the_guards_are_what_the_verdict_goes_by(asked: AutoSwapInput, closed: bool, triggers: set[str]) -> None:
    """It acts exactly where a trigger and all conditions are met; what it gives as reasons are these very answers."""
    asked = replace(asked, closed=closed, windows="22:00-06:00", limits=AutoSwapLimits(triggers=tuple(triggers)))
    verdict, asks = decide(asked), guards(asked)
    pulled = any(g.met for g in asks if g.kind == "trigger")
    allowed = all(g.met for g in asks if g.kind == "condition")
    assert (verdict.action in ("swap", "rollback")) == (pulled and allowed)
    named = next((g for g in asks if g.rule in ("better", "alternative")), None)
    assert (verdict.action == "hold") == (pulled and not allowed and (named is None or named.met))
    answers = [g.why for g in asks]
    if "degraded" in triggers:  # without it the verdict still tells how the incumbent is
        assert all(why in answers for why in verdict.why)
    assert all(g.would_change_if and g.rule in WORDS for g in asks)


@given(inputs)
def test_every_verdict_is_whole(asked: AutoSwapInput) -> None:
    """Each carries reasons and a sentence; whoever is named is another qualifying version; none names nobody."""
    verdict = decide(asked)
    assert verdict.sentence
    assert verdict.why
    assert all(why.rule and why.would_change_if for why in verdict.why)
    assert (verdict.to is None) == (verdict.action == "none") == (verdict.trigger is None)
    assert verdict.to is None or (verdict.to != asked.route.incumbent and verdict.to not in asked.excluded)
    assert verdict == decide(asked)


@given(inputs)
def test_nothing_swaps_against_a_veto(asked: AutoSwapInput) -> None:
    """A swap or rollback happens only when on, out of the hold, after the cooldown, with the samples on both sides."""
    verdict = decide(asked)
    if verdict.action not in ("swap", "rollback"):
        return
    limits, incumbent = asked.limits, asked.route.incumbent or ""
    assert asked.mode is AutopilotMode.ON
    assert asked.now >= asked.route.hold_until
    assert asked.last_swap_at is None or asked.now - asked.last_swap_at >= limits.cooldown_s
    assert asked.stats[verdict.to or ""].samples >= limits.min_samples
    assert incumbent in asked.excluded or asked.stats.get(incumbent, EMPTY).samples >= limits.min_samples
    assert (verdict.action == "rollback") == (verdict.trigger == "degraded" and verdict.to == asked.route.previous)


@given(inputs)
def test_a_better_one_beats_the_cost_with_its_lower_bound(asked: AutoSwapInput) -> None:
    """The trigger *better* needs the challenger's own lower bound above the incumbent's utility plus the cost."""
    calm = replace(asked, alarms=())
    verdict = decide(calm)
    rows = {row.version: row for row in calm.rows}
    mine = rows.get(calm.route.incumbent or "")
    if verdict.trigger == "better" and mine is not None:
        low, utility = rows[verdict.to or ""].utility_low, mine.utility
        assert low is not None
        assert utility is not None
        assert low > utility + calm.limits.switching_cost - 1e-9


@given(inputs)
def test_observing_sees_what_on_would_do(asked: AutoSwapInput) -> None:
    """Observe names the same version and trigger as on, but only holds, and says why."""
    on = decide(replace(asked, mode=AutopilotMode.ON))
    seen = decide(replace(asked, mode=AutopilotMode.OBSERVE))
    assert (seen.to, seen.trigger) == (on.to, on.trigger)
    if on.action == "none":
        assert seen == on
    else:
        assert seen.action == "hold"
        assert "observe" in rules(seen)


def test_a_clearly_better_version_takes_over_and_the_sentence_has_the_figures() -> None:
    """The verdict reads as a person would say it."""
    verdict = decide(given_(CLEAR))
    assert (verdict.action, verdict.to, verdict.trigger) == ("swap", "b", "better")
    lead = verdict.why[0].value
    assert lead > 0
    assert verdict.sentence.startswith("b leads boolean by .24 [.")
    assert verdict.sentence.endswith("on 100 samples; swapping")
    assert "b's lead over a" in verdict.why[0].would_change_if


def test_what_is_close_stays() -> None:
    """Without credible evidence nothing happens, and the closest rival and what it lacks are named."""
    verdict = decide(given_({"a": measured(40, quality=0.7), "b": measured(40, quality=0.75)}))
    assert (verdict.action, verdict.to) == ("none", None)
    assert "b is the closest at .02 [-." in verdict.sentence
    assert "lower bound of b's lead were above" in verdict.why[0].would_change_if
    assert rules(verdict) == ["better", "success"]


def test_a_load_costs_utility() -> None:
    """A cold challenger must lead by the cost of loading too; the cost is capped."""
    dear = AutoSwapLimits(load_cost_s=75.0)
    assert AutoSwapLimits().switching_cost == 0.0
    assert AutoSwapLimits(load_cost_s=3.0).switching_cost == pytest.approx(0.01)
    assert dear.switching_cost == MAX_COST
    close = {"a": measured(200, quality=0.6), "b": measured(200, quality=0.85)}
    assert decide(given_(close)).action == "swap"
    assert decide(given_(close, limits=dear)).action == "none"


def test_failures_degrade() -> None:
    """Success below .8: the better one takes over, as a rollback if it served before."""
    verdict = decide(given_(FAILING))
    assert (verdict.action, verdict.to, verdict.trigger) == ("swap", "b", "degraded")
    assert verdict.sentence.startswith("a is degraded on boolean (success .60, below .80); b leads by ")
    assert verdict.why[0].would_change_if == "success were at least .80"
    back = decide(given_(FAILING, route=Route(task="boolean", incumbent="a", previous="b")))
    assert (back.action, back.to) == ("rollback", "b")
    assert back.sentence.endswith("rolling back")


@pytest.mark.parametrize(("quality", "degraded"), [(0.70, True), (0.73, False)])
def test_quality_degrades_below_nine_tenths_of_the_threshold(quality: float, degraded: bool) -> None:
    """.9 x .8 = .72 is the line; without a threshold of the task's there is none."""
    stats = {"a": measured(100, quality=quality), "b": measured(100, quality=quality + 0.03)}
    task = replace(TASK, criteria=Criteria(quality_threshold=0.8))
    assert (decide(given_(stats, task=task)).trigger == "degraded") == degraded
    assert decide(given_(stats)).trigger is None


def test_a_drift_alarm_counts_before_the_average_shows_it() -> None:
    """Quality on average still leads, but has fallen since the alarm: the rival takes over."""
    stats = {"a": measured(200, quality=0.9), "b": measured(100, quality=0.7)}
    assert decide(given_(stats)).action == "none"
    verdict = decide(given_(stats, alarms=[alarm(Signal.QUALITY, 0.9, 0.3)]))
    assert (verdict.action, verdict.to) == ("swap", "b")
    assert "quality .30, from .90" in verdict.sentence
    assert rules(verdict) == ["drift_quality"]


@pytest.mark.parametrize(
    ("signal", "before", "after", "action"),
    [
        (Signal.FAILURES, 0.0, 0.9, "swap"),
        (Signal.LATENCY, 1.0, 9.0, "swap"),
        (Signal.LATENCY, 1.0, 1.4, "none"),
        (Signal.QUALITY, 0.8, 0.79, "none"),
    ],
)
def test_each_signal_weighs_by_what_it_has_become(signal: Signal, before: float, after: float, action: str) -> None:
    """A material change makes the slightly worse rival the better choice; a slight one does not."""
    stats = {"a": measured(200, quality=0.80), "b": measured(200, quality=0.75)}
    assert decide(given_(stats, alarms=[alarm(signal, before, after)])).action == action


def test_an_alarm_on_what_was_never_measured_changes_no_utility() -> None:
    """Unknown stays unknown: the alarm is a reason, not a figure."""
    bare = {"a": measured(quality=None, latency_s=None), "b": measured(quality=None, latency_s=None)}
    verdict = decide(given_(bare, alarms=[alarm(Signal.QUALITY, 0.9, 0.1), alarm(Signal.LATENCY, 1.0, 5.0)]))
    assert verdict.action == "none"
    assert rules(verdict) == ["drift_quality", "drift_latency", "alternative"]


def test_degraded_without_anyone_better_changes_nothing() -> None:
    """A bad incumbent is kept when every other one is worse, and the verdict says so."""
    verdict = decide(given_({"a": measured(100, failed=40), "b": measured(100, quality=0.0, failed=90)}))
    assert verdict.action == "none"
    assert "no other version is better" in verdict.sentence
    assert rules(verdict)[-1] == "alternative"
    alone = decide(given_({"a": measured(100, failed=40)}))
    assert (alone.action, alone.why[-1].value) == ("none", None)


def test_an_incumbent_that_no_longer_qualifies_is_replaced_even_by_a_lesser_one() -> None:
    """It may not serve at all, so the best of the others does, whatever its utility."""
    stats = {"a": measured(quality=0.9), "b": measured(quality=0.75)}
    verdict = decide(given_(stats, excluded={"a": "is deprecated, not active"}))
    assert (verdict.action, verdict.to) == ("swap", "b")
    assert "is deprecated, not active" in verdict.sentence
    assert decide(given_(stats, excluded={"b": "lacks code"})).sentence.endswith("no other version qualifies")


@pytest.mark.parametrize(
    ("changes", "rule", "waits"),
    [
        ({"mode": AutopilotMode.OFF}, "mode", "the autopilot is on (it is off)"),
        ({"mode": AutopilotMode.OBSERVE}, "observe", "the autopilot is on (it only observes)"),
        ({"last_swap_at": NOW - 100}, "cooldown", "the cooldown ends in 3 min"),
        (
            {"route": Route(task="boolean", incumbent="a", hold_until=NOW + 60)},
            "hold_until",
            "the operator's hold ends in 60 s",
        ),
        ({"owed": {"b": 110}}, "new_evidence", "b has 110 samples (it has 100)"),
    ],
)
@pytest.mark.parametrize("stats", [CLEAR, FAILING])
def test_each_veto_holds_both_triggers(stats: dict[str, Stats], changes: dict[str, Any], rule: str, waits: str) -> None:
    """Held, never silently dropped: who would serve, and what it waits for."""
    verdict = decide(given_(stats, **changes))
    assert (verdict.action, verdict.to) == ("hold", "b")
    assert rule in rules(verdict)
    assert verdict.sentence.endswith(f"; holding until {waits}")


def test_too_few_samples_hold_what_looks_better_and_prove_no_degradation() -> None:
    """Below min_samples a lead is held; failures are not yet called degradation, an alarm is, and is held."""
    few = AutoSwapLimits(min_samples=150)
    verdict = decide(given_(CLEAR, limits=few))
    assert (verdict.action, verdict.trigger) == ("hold", "better")
    assert verdict.sentence.endswith("; holding until a has 150 samples (it has 100)")
    assert rules(verdict) == ["better", "min_samples", "min_samples"]
    assert decide(given_(FAILING, limits=few)).trigger != "degraded"
    alarmed = decide(given_(FAILING, limits=few, alarms=[alarm(Signal.FAILURES, 0.0, 0.4)]))
    assert (alarmed.action, alarmed.trigger) == ("hold", "degraded")


def test_a_challenger_with_evidence_goes_before_one_without() -> None:
    """The unmeasured newcomer scores .5 and may rank first, but the one that has been measured takes over."""
    poor = measured(100, quality=0.1, latency_s=9.0, failed=40)
    stats = {"a": poor, "b": measured(100, quality=0.2, latency_s=8.0), "new": EMPTY}
    verdict = decide(given_(stats))
    assert (verdict.action, verdict.to) == ("swap", "b")
    untried = decide(given_({"a": poor, "new": EMPTY}))
    assert (untried.action, untried.to) == ("hold", "new")
    assert untried.sentence.endswith("holding until new has 10 samples (it has 0)")


def test_triggers_can_be_switched_off() -> None:
    """Only the configured triggers fire."""
    assert decide(given_(CLEAR, limits=AutoSwapLimits(triggers=("degraded",)))).action == "none"
    assert decide(given_(FAILING, limits=AutoSwapLimits(triggers=("better",)))).trigger != "degraded"
    assert decide(given_(FAILING, limits=AutoSwapLimits(triggers=()))).action == "none"


def test_nobody_serving_is_nobody_to_swap() -> None:
    """Choosing the first incumbent is not a swap."""
    verdict = decide(given_(CLEAR, serving=None))
    assert (verdict.action, verdict.sentence) == ("none", "nobody serves boolean yet")


def test_a_fast_fool_is_no_challenger() -> None:
    """Credibly below the quality floor: no lead in speed makes it the better one."""
    task = replace(TASK, criteria=Criteria(latency_budget_s=2.0))
    fool = measured(200, quality=0.1, latency_s=0.01)
    verdict = decide(given_({"a": measured(200, quality=0.9, latency_s=1.99), "fool": fool}, task=task))
    assert verdict.action == "none"
    assert verdict.sentence.endswith("no other version qualifies")
