"""Selection at its exact limits: who is let in at the limit itself, who stands in, how sure that is, what is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_cases import MIB, NOW, measured, version

from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.scoring import Scored, probability_best, probability_better
from arbiter_tui.core.selection import Selection, contenders, describe, disqualified, mib, select, share
from arbiter_tui.core.stats import EMPTY, Stats
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.errors import NoQualifyingModel

TASK = Task(name="t")


def chosen(stats: dict[str, Stats], **asked: Any) -> Selection:
    return select(TASK, [version(name) for name in stats], stats, now=NOW, **asked)


def graded(low: float, high: float, samples: int = 100, **known: Any) -> Stats:
    """Statistics with this interval of the quality, set by hand so that a limit is met exactly."""
    stats = Stats(samples=samples, **known)
    stats.__dict__["quality_interval"] = (low, high)
    return stats


def placed(name: str, stats: Stats, utility: float = 0.5) -> Scored:
    return Scored(name, stats, utility, 0.01, 0.5)


# --- the hard criteria ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criteria", "changes", "stats", "limits"),
    [
        ({"min_context": 1024}, {"context": 1024}, EMPTY, {}),
        ({}, {"file_bytes": 8 * MIB}, EMPTY, {"memory_limit": 8 * MIB}),
        ({"max_memory_bytes": 8 * MIB}, {"file_bytes": 8 * MIB}, EMPTY, {}),
        ({"max_latency_s": 1.0}, {}, measured(latency_s=1.0), {}),
        ({"quality_threshold": 0.8}, {}, Stats(samples=10, hits=8.0, misses=2.0), {}),
    ],
)
def test_exactly_what_is_asked_is_enough(
    criteria: dict[str, Any], changes: dict[str, Any], stats: Stats, limits: dict[str, Any]
) -> None:
    """A limit that is met exactly refuses nobody."""
    assert disqualified(version("a", **changes), Criteria(**criteria), stats, **limits) is None


@pytest.mark.parametrize(
    ("criteria", "stats", "refused"),
    [
        ({"max_latency_s": 0.5}, measured(10), True),
        ({"max_latency_s": 0.5}, measured(9), False),
        ({"quality_threshold": 0.9}, Stats(samples=10, hits=8.0, misses=2.0), True),
        ({"quality_threshold": 0.9}, Stats(samples=50, hits=8.0, misses=1.75), False),
        ({"quality_threshold": 0.9}, Stats(samples=9, hits=80.0, misses=20.0), False),
    ],
)
def test_ten_samples_can_refuse_and_fewer_cannot(criteria: dict[str, Any], stats: Stats, refused: bool) -> None:
    """Ten requests for latency; ten requests and grades that weigh ten for quality."""
    assert (disqualified(version("a"), Criteria(**criteria), stats) is not None) == refused


# --- the Pareto set and the floor -----------------------------------------------------------------------------------


def test_the_floor_is_seven_tenths_of_the_best_lower_bound() -> None:
    """An upper bound of exactly .7 x the best lower bound is still in; the best one's upper bound plays no part."""
    best = placed("best", graded(0.5, 1.0))
    assert [s.version for s in contenders([best, placed("in", graded(0.0, 0.35))])] == ["best", "in"]
    assert [s.version for s in contenders([best, placed("out", graded(0.0, 0.349))])] == ["best"]


def latencies(seconds: float, samples: int = 10, **known: Any) -> Stats:
    return Stats(samples=samples, latencies=(seconds,) * samples, **known)


@pytest.mark.parametrize(
    ("fast", "slow", "left"),
    [
        (latencies(1.0), latencies(2.0), ["fast"]),
        (latencies(1.0, 9), latencies(2.0), ["fast", "slow"]),
        (latencies(1.0), latencies(2.0, 9), ["fast", "slow"]),
        (latencies(1.0, hits=8.0, misses=2.0), latencies(2.0, hits=8.0, misses=2.0), ["fast"]),
        (latencies(1.0, hits=7.0, misses=3.0), latencies(2.0, hits=8.0, misses=2.0), ["fast", "slow"]),
        (latencies(1.0), latencies(2.0, hits=8.0, misses=2.0), ["fast", "slow"]),
    ],
)
def test_domination_needs_ten_samples_on_both_sides_and_no_better_figure(
    fast: Stats, slow: Stats, left: list[str]
) -> None:
    """Slower at equal or unknown quality is dominated; fewer than ten samples neither dominate nor are dominated."""
    ranked = [placed("slow", slow), placed("fast", fast)]
    assert sorted(s.version for s in contenders(ranked)) == left


def test_the_fallback_is_the_next_one_that_may_serve() -> None:
    """A dominated version is passed over even where its utility is the second best; it stands in when alone."""
    good = measured(100, quality=0.9, latency_s=1.0, at=NOW)
    worse = measured(100, quality=0.88, latency_s=1.1, at=NOW)
    other = measured(100, quality=0.7, latency_s=0.5, at=NOW - 300 * 86_400)
    found = chosen({"good": good, "worse": worse, "other": other})
    assert [row.version for row in found.scores] == ["good", "worse", "other"]
    assert (found.primary, found.fallback) == ("good", "other")
    assert [row.on_pareto_front for row in found.scores] == [True, False, True]
    assert {row.version: row.p_best for row in found.scores} == probability_best(found.ranked)
    assert chosen({"good": good, "worse": worse}).fallback == "worse"


# --- how sure -------------------------------------------------------------------------------------------------------


def test_confidence_is_the_chance_of_being_better_than_the_fallback() -> None:
    """P(primary > fallback), from ten samples on."""
    found = chosen({"a": measured(10, quality=0.8), "b": measured(10, quality=0.6)})
    assert found.confidence == probability_better(*found.ranked)
    assert 0.5 < found.confidence < 1.0
    assert chosen({"a": measured(10)}).confidence == 1.0
    assert "samples, so its score" not in " ".join(found.reasoning)


def test_a_cold_primary_claims_at_most_a_half() -> None:
    """However poor its rival is; and less than a half where the rival's utility is higher."""
    poor = measured(100, quality=0.0, latency_s=10.0, failed=90)
    cold = chosen({"cold": EMPTY, "poor": poor})
    assert (cold.primary, cold.confidence) == ("cold", 0.5)
    promising = measured(9, quality=1.0)
    fool = measured(100, quality=0.05, latency_s=0.01, memory=MIB)
    found = chosen({"promising": promising, "fool": fool})
    assert (found.primary, found.fallback) == ("promising", "fool")
    first, second = (next(s for s in found.ranked if s.version == name) for name in ("promising", "fool"))
    assert second.utility > first.utility
    assert found.confidence == probability_better(first, second) < 0.5


# --- what is said ---------------------------------------------------------------------------------------------------


def test_the_answer_of_the_wire_has_every_part() -> None:
    """Primary, fallback, confidence, rows and reasons, under the names that scripts read."""
    found = chosen({"a": measured(quality=0.8), "b": measured(quality=0.6)})
    assert found.as_dict() == {
        "primary": "a",
        "fallback": "b",
        "confidence": found.confidence,
        "scores": found.scores,
        "reasoning": list(found.reasoning),
    }


def test_the_reasons_count_name_and_compare() -> None:
    """How many qualify, with which figures, and how far behind the fallback is, a tie included."""
    models = [version("a"), version("b"), version("c", lifecycle=Lifecycle.DRAFT)]
    found = select(TASK, models, {"a": measured(quality=0.9), "b": measured(quality=0.6)}, now=NOW)
    lead = found.ranked[0].utility - found.ranked[1].utility
    assert found.reasoning[0] == "2 of 3 versions qualify for t."
    assert found.reasoning[1].endswith(": quality .90 (suite), median 1 s, 100 MiB, success 1.00 on 40 samples.")
    assert f"b is the fallback, {share(lead)} behind;" in found.reasoning[2]
    tied = chosen({"a": measured(), "b": measured()})
    assert "b is the fallback, .00 behind;" in tied.reasoning[2]
    assert chosen({"a": measured()}).reasoning[-1] == "There is no fallback."


def test_only_known_figures_are_described() -> None:
    """Nothing stands for what was not measured."""
    assert describe(EMPTY) == " on 0 samples"
    assert describe(replace(EMPTY, samples=3, results=(True,) * 3)) == "success 1.00 on 3 samples"


@pytest.mark.parametrize(("count", "cut"), [(1, False), (3, False), (4, True), (5, True)])
def test_three_reasons_are_told_and_more_are_cut(count: int, cut: bool) -> None:
    """The sentence lists three; only what is left out is marked as such. The details have all of them as reasons."""
    drafts = [version(f"m{i}", lifecycle=Lifecycle.DRAFT) for i in range(count)]
    with pytest.raises(NoQualifyingModel) as caught:
        select(TASK, drafts, {}, now=NOW)
    said = "; ".join(f"m{i} is draft, not active" for i in range(min(count, 3)))
    assert str(caught.value) == f"nothing qualifies for t: {said}{' …' if cut else ''}"
    assert caught.value.details["why"] == [
        {
            "rule": "qualifies",
            "value": f"m{i}",
            "threshold": "is draft, not active",
            "would_change_if": f"m{i} qualified",
        }
        for i in range(count)
    ]


@pytest.mark.parametrize(("value", "text"), [(10.0, "10.00"), (-10.0, "-10.00"), (-0.5, "-.50"), (0.999, "1.00")])
def test_only_a_leading_zero_is_dropped(value: float, text: str) -> None:
    """Ten stays ten."""
    assert share(value) == text


def test_mebibytes_are_of_1024_kibibytes() -> None:
    """Large sizes show the difference."""
    assert mib(2048 * MIB) == "2048 MiB"
