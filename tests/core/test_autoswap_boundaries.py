"""The auto-swap at its exact limits: each comparison from both sides, each figure behind a reason.

Rows and statistics are written by hand in binary fractions, so that "exactly at the limit" is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from core_cases import NOW

from arbiter_tui.core.autoswap import AutoSwapInput, AutoSwapLimits, AutoSwapVerdict, decide
from arbiter_tui.core.drift import Alarm, Signal
from arbiter_tui.core.routing import Route
from arbiter_tui.core.snapshot import RowView, Why
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import AutopilotMode, Criteria, Task

TASK = Task(name="t")
SIXTEENTH = 18.75  # seconds of loading that cost exactly 1/16 in utility
DEAR = AutoSwapLimits(load_cost_s=1000.0)


def row(version: str, utility: float | None, reach: float = 0.0, samples: int = 100, **more: Any) -> RowView:
    bounds = {} if utility is None else {"utility_low": utility - reach, "utility_high": utility + reach}
    return RowView(version=version, utility=utility, samples=samples, **{**bounds, **more})


def stats(good: int = 100, of: int = 100, hits: float = 0.0, misses: float = 0.0) -> Stats:
    results = (True,) * good + (False,) * (of - good)
    return Stats(samples=of, successes=good, failures=of - good, results=results, hits=hits, misses=misses)


def judged(rows: Sequence[RowView], known: Mapping[str, Stats] | None = None, **more: Any) -> AutoSwapVerdict:
    known = {r.version: stats(r.samples, r.samples) for r in rows} if known is None else known
    asked = AutoSwapInput(
        **{"task": TASK, "route": Route(task="t", incumbent="a"), "rows": rows, "stats": known, "now": NOW, **more}
    )
    return decide(asked)


def alarm(signal: Signal, before: float, after: float) -> Alarm:
    return Alarm(signal=signal, before=before, after=after, since=30, samples=100)


# --- the trigger "degraded" -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("good", "of", "degraded"), [(8, 10, False), (7, 10, True), (0, 9, False), (0, 10, True)])
def test_success_degrades_strictly_below_four_fifths_of_at_least_ten(good: int, of: int, degraded: bool) -> None:
    """Exactly .8 is well; nine failures of nine prove nothing yet; ten samples are enough."""
    verdict = judged([row("a", 0.5, samples=of), row("b", 0.75)], {"a": stats(good, of), "b": stats()})
    assert (verdict.trigger == "degraded") == degraded
    if degraded:
        assert verdict.why[0] == Why(
            rule="success", value=good / of, threshold=0.8, would_change_if="success were at least .80"
        )


@pytest.mark.parametrize(
    ("hits", "misses", "degraded"), [(9.0, 1.0, False), (8.75, 1.25, True), (0.0, 9.75, False), (0.0, 10.0, True)]
)
def test_quality_degrades_strictly_below_its_line_on_at_least_ten(hits: float, misses: float, degraded: bool) -> None:
    """Exactly .9 x the threshold is well; the grades must weigh as much as ten."""
    task = replace(TASK, criteria=Criteria(quality_threshold=1.0))
    known = {"a": stats(hits=hits, misses=misses), "b": stats(hits=9.0, misses=1.0)}
    verdict = judged([row("a", 0.5), row("b", 0.75)], known, task=task)
    assert (verdict.trigger == "degraded") == degraded
    if degraded:
        mean = hits / (hits + misses)
        assert verdict.why[0] == Why(
            rule="quality", value=mean, threshold=0.9, would_change_if="quality were at least .90"
        )


def test_every_sign_of_degradation_is_told() -> None:
    """Alarm, disqualification, failures and grades: none hides another, and each has its own figures."""
    task = replace(TASK, criteria=Criteria(quality_threshold=1.0))
    known = {"a": stats(5, 10, hits=5.0, misses=5.0), "b": stats(hits=90.0, misses=10.0)}
    verdict = judged(
        [row("a", 0.5, samples=10), row("b", 0.75)],
        known,
        task=task,
        alarms=[alarm(Signal.QUALITY, 0.9, 0.3)],
        excluded={"a": "is draft, not active"},
    )
    assert [why.rule for why in verdict.why] == ["drift_quality", "qualifies", "success", "quality"]
    assert verdict.why[0] == Why(
        rule="drift_quality",
        value=0.3,
        threshold=0.9,
        would_change_if="quality had stayed near .90; it fell from .90 to .30 30 samples ago",
    )
    assert verdict.why[1] == Why(
        rule="qualifies", value="is draft, not active", threshold=None, would_change_if="it qualified again"
    )
    assert verdict.sentence.startswith(
        "a is degraded on t (quality .30, from .90; is draft, not active; success .50, below .80; quality .50, "
        "below .90); b leads by .25 [.25, .25] on 100 samples"
    )


@pytest.mark.parametrize(("before", "after", "material"), [(2.0, 3.0, True), (2.0, 2.99, False), (0.5, 0.75, True)])
def test_latency_is_material_from_one_and_a_half_times_on(before: float, after: float, material: bool) -> None:
    """A smaller rise is no sign of degradation; the factor is of what it was before, whatever that is."""
    verdict = judged([row("a", 0.5), row("b", 0.5)], alarms=[alarm(Signal.LATENCY, before, after)])
    assert ("drift_latency" in [why.rule for why in verdict.why]) == material


def loss_by(alarms: Sequence[Alarm], **mine: Any) -> float:
    """How much utility the alarms take from an incumbent of .75, read from the best rival's lead."""
    verdict = judged([row("a", 0.75, **mine), row("b", 0.5)], alarms=alarms, limits=DEAR)
    assert verdict.action == "none"
    missing = verdict.why[-1]
    assert (missing.rule, missing.threshold) == ("alternative", DEAR.switching_cost)
    assert missing.would_change_if == "another version led by more than .10"
    return float(missing.value) + 0.25


@pytest.mark.parametrize(
    ("alarms", "mine", "lost"),
    [
        ([alarm(Signal.QUALITY, 0.9, 0.5)], {"quality": 0.75}, 0.4 * 0.25),
        ([alarm(Signal.QUALITY, 0.9, 0.8)], {"quality": 0.75}, 0.0),
        ([alarm(Signal.FAILURES, 0.0, 0.5)], {"success_rate": 0.75}, 0.1 * 0.25),
        ([alarm(Signal.FAILURES, 0.0, 0.125)], {"success_rate": 0.75}, 0.0),
        ([alarm(Signal.LATENCY, 1.0, 7.5)], {"latency_p50_s": 5.0}, 0.3 * 0.25),
        ([alarm(Signal.LATENCY, 1.0, 15.0)], {"latency_p50_s": 5.0}, 0.3 * 0.5),
        ([alarm(Signal.LATENCY, 1.0, 2.0)], {"latency_p50_s": 5.0}, 0.0),
        ([alarm(Signal.QUALITY, 0.9, 0.0), alarm(Signal.QUALITY, 0.9, 0.5)], {"quality": 0.75}, 0.1),
        (
            [alarm(Signal.QUALITY, 0.9, 0.5), alarm(Signal.FAILURES, 0.0, 0.5)],
            {"quality": 0.75, "success_rate": 0.75},
            0.125,
        ),
    ],
)
def test_an_alarm_takes_what_its_share_is_worth(alarms: list[Alarm], mine: dict[str, float], lost: float) -> None:
    """Weight x the fall below what the averages say, never a gain; the last alarm of a signal counts, signals add."""
    assert loss_by(alarms, **mine) == pytest.approx(lost)


def test_alarms_never_take_more_than_there_is() -> None:
    """The incumbent's utility stops at 0."""
    verdict = judged(
        [row("a", 0.125, quality=1.0), row("b", 0.0625)], alarms=[alarm(Signal.QUALITY, 1.0, 0.0)], limits=DEAR
    )
    assert verdict.why[-1].value == 0.0625


def test_a_degraded_incumbent_goes_only_for_more_than_the_cost() -> None:
    """A lead of exactly the cost of swapping is not enough; anything above it is."""
    failing = {"a": stats(0, 10), "b": stats()}
    limits = AutoSwapLimits(load_cost_s=SIXTEENTH)
    assert limits.switching_cost == 0.0625
    level = judged([row("a", 0.5, samples=10), row("b", 0.5625)], failing, limits=limits)
    assert (level.action, level.why[-1].value, level.why[-1].threshold) == ("none", 0.0625, 0.0625)
    assert judged([row("a", 0.5, samples=10), row("b", 0.5626)], failing, limits=limits).action == "swap"


# --- the trigger "better" -------------------------------------------------------------------------------------------


def test_the_lower_bound_must_pass_the_cost_strictly() -> None:
    """At the cost itself nothing happens; the verdict names the rival, its bound and the line."""
    limits = AutoSwapLimits(load_cost_s=SIXTEENTH)
    level = judged([row("a", 0.5), row("b", 0.75, reach=0.1875)], limits=limits)
    assert level.action == "none"
    assert level.why == (
        Why(
            rule="better", value=0.0625, threshold=0.0625,
            would_change_if="the lower bound of b's lead were above .06",
        ),
        Why(rule="success", value=1.0, threshold=0.8, would_change_if="success were below .80"),
    )  # fmt: skip
    above = judged([row("a", 0.5), row("b", 0.75, reach=0.125)], limits=limits)
    assert above.action == "swap"
    assert above.why == (
        Why(
            rule="better", value=0.125, threshold=0.0625,
            would_change_if="the lower bound of b's lead over a were at most .06",
        ),
    )  # fmt: skip


def test_the_interval_of_a_lead_has_both_uncertainties() -> None:
    """The reaches of both sides add as independent errors do: 3 and 4 make 5."""
    verdict = judged([row("a", 0.25, reach=0.03), row("b", 0.75, reach=0.04)])
    assert verdict.sentence == "b leads t by .50 [.45, .55] on 100 samples; swapping"
    assert verdict.why[0].value == pytest.approx(0.45)


def test_a_bound_that_is_cut_at_one_does_not_shorten_the_other() -> None:
    """The longer side of an interval counts, on either end."""
    high = judged([row("a", 0.25), row("b", 0.75, utility_low=0.5, utility_high=1.0)])
    cut = judged([row("a", 0.25), row("b", 0.75, utility_low=0.5, utility_high=0.75)])
    low = judged([row("a", 0.25, utility_low=0.25, utility_high=0.5), row("b", 0.75)])
    assert high.why[0].value == cut.why[0].value == low.why[0].value == 0.25


@pytest.mark.parametrize(("low", "high"), [(None, 0.875), (0.625, None)])
def test_a_row_without_a_bound_claims_no_uncertainty(low: float | None, high: float | None) -> None:
    """A board of an older engine has no bounds: the lead itself counts."""
    newcomer = RowView(version="b", utility=0.75, utility_low=low, utility_high=high, samples=100)
    verdict = judged([row("a", 0.25), newcomer])
    assert (verdict.action, verdict.why[0].value) == ("swap", 0.5)


@pytest.mark.parametrize(("mine", "theirs", "action"), [(0.5, 0.0, "none"), (0.0, 0.25, "swap"), (0.5, None, "none")])
def test_a_utility_of_nothing_is_nothing(mine: float, theirs: float | None, action: str) -> None:
    """Utility 0 is the worst there is, on either side, and an unknown one challenges nobody."""
    assert judged([row("a", mine), row("b", theirs)]).action == action


def test_the_largest_lead_goes_first_and_ties_by_name() -> None:
    """Of several who are better the best takes over, however the rows are listed."""
    three = [row("c", 0.75), row("a", 0.25), row("d", 0.625), row("b", 0.75)]
    assert judged(three).to == "b"
    assert judged([row("a", 0.5), row("c", 0.25), row("b", 0.375)]).sentence.split("; ")[1].startswith("b is the cl")


def test_a_board_without_statistics_can_be_judged() -> None:
    """Rows alone are enough for the trigger; the incumbent's missing samples then hold it."""
    verdict = judged([row("a", 0.25), row("b", 0.75)], {})
    assert (verdict.action, verdict.to) == ("hold", "b")
    assert [why.rule for why in verdict.why] == ["better", "min_samples"]


@pytest.mark.parametrize(("reaches", "action"), [(0.7, "swap"), (0.69, "none")])
def test_the_quality_floor_admits_what_reaches_it(reaches: float, action: str) -> None:
    """An upper bound of exactly .7 x the best lower bound qualifies; below it no lead helps."""
    known = {"a": stats(), "b": stats()}
    known["a"].__dict__["quality_interval"] = (1.0, 1.0)  # cached figures, so that the limit is met exactly
    known["b"].__dict__["quality_interval"] = (0.0, reaches)
    assert judged([row("a", 0.25), row("b", 0.75)], known).action == action


# --- the vetoes -----------------------------------------------------------------------------------------------------

BETTER = (row("a", 0.25), row("b", 0.75))


def vetoes(**more: Any) -> tuple[Why, ...]:
    verdict = judged(more.pop("rows", BETTER), **more)
    assert verdict.why[0].rule == "better"
    assert (verdict.action == "hold") == (len(verdict.why) > 1)
    return verdict.why[1:]


@pytest.mark.parametrize(
    ("more", "rule", "value", "threshold"),
    [
        ({"mode": AutopilotMode.OFF}, "mode", "off", "on"),
        ({"mode": AutopilotMode.OBSERVE}, "observe", "observe", "on"),
        ({"route": Route(task="t", incumbent="a", hold_until=NOW + 60)}, "hold_until", NOW, NOW + 60),
        ({"last_swap_at": NOW - 299}, "cooldown", 299.0, 300.0),
        ({"owed": {"b": 101}}, "new_evidence", 100, 101),
        ({"rows": (row("a", 0.25, samples=9), row("b", 0.75))}, "min_samples", 9, 10),
        ({"rows": (row("a", 0.25), row("b", 0.75, samples=9))}, "min_samples", 9, 10),
    ],
)
def test_a_veto_carries_its_figures(more: dict[str, Any], rule: str, value: object, threshold: object) -> None:
    """What is, what must be, and what it waits for: an operator can check each veto by hand."""
    (found,) = vetoes(**more)
    assert (found.rule, found.value, found.threshold) == (rule, value, threshold)
    assert found.would_change_if


@pytest.mark.parametrize(
    "more",
    [
        {"route": Route(task="t", incumbent="a", hold_until=NOW)},
        {"last_swap_at": NOW - 300},
        {"owed": {"b": 100}},
        {"rows": (row("a", 0.25, samples=10), row("b", 0.75, samples=10))},
        {"rows": (row("a", 0.25, samples=0), row("b", 0.75, samples=0)), "limits": AutoSwapLimits(min_samples=0)},
    ],
)
def test_a_limit_that_is_met_exactly_holds_nothing(more: dict[str, Any]) -> None:
    """The hold's last second, the cooldown's end, and exactly the samples that are asked for: free to swap."""
    assert vetoes(**more) == ()


def test_who_owes_evidence_lets_the_next_one_pass() -> None:
    """The best challenger owes samples after its rollback: the second best, which owes none, takes over."""
    rows = (row("a", 0.25), row("b", 0.75), row("c", 0.625))
    assert judged(rows, owed={"b": 101}).to == "c"
    assert judged(rows, owed={"b": 100}).to == "b"
    everyone = judged(rows, owed={"b": 101, "c": 101})
    assert (everyone.action, everyone.to) == ("hold", "b")


# --- nothing to do --------------------------------------------------------------------------------------------------


def test_without_triggers_the_verdict_says_how_the_incumbent_is() -> None:
    """No trigger, no challenger, nobody serving: each names the figure on which it rests."""
    well = Why(rule="success", value=1.0, threshold=0.8, would_change_if="success were below .80")
    idle = judged(BETTER, limits=AutoSwapLimits(triggers=()))
    assert (idle.sentence, idle.why) == ("a serves t and is not degraded", (well,))
    alone = judged(BETTER[:1])
    assert (alone.sentence, alone.why) == ("a serves t; no other version qualifies", (well,))
    nobody = judged(BETTER, route=Route(task="t"))
    assert nobody.why == (Why(rule="incumbent", would_change_if="a version served it"),)
