"""What the live policy believes: the user's weights decide what is better, evidence how sure that is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from core_cases import NOW, boards, measured, tasks, version
from hypothesis import given

from arbiter_tui.core.posterior import Belief, beliefs, gain, surely_worse
from arbiter_tui.core.prediction import Expectation
from arbiter_tui.core.scoring import Scale, beside_quality
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import Criteria, Task, Weights

TASK = Task(name="t")
NOBODY: dict[str, Expectation] = {}


def held(stats: dict[str, Stats], task: Task = TASK, expected: dict[str, Expectation] = NOBODY) -> dict[str, Belief]:
    found = beliefs(task, [version(name) for name in stats], stats, expected, NOW)
    return {belief.version: belief for belief in found}


@given(boards, tasks)
def test_beliefs_are_utilities_with_shares_of_being_the_best(stats: dict[str, Stats], task: Task) -> None:
    """One for each version, best first, within its interval, P(best) summing to 1."""
    found = beliefs(task, [version(name) for name in stats], stats, {}, NOW)
    assert {b.version for b in found} == stats.keys()
    assert [b.mean for b in found] == sorted((b.mean for b in found), reverse=True)
    assert math.isclose(sum(b.p_best for b in found), 1.0, abs_tol=1e-6)
    for b in found:
        assert b.low <= b.mean <= b.high or not 0.0 <= b.mean <= 1.0
        assert b.index >= b.mean


def test_more_grades_make_it_surer_and_no_grade_is_no_evidence() -> None:
    """The interval narrows with grades; requests without grades leave quality as unsure as it was."""
    few, many = held({"a": measured(10, quality=0.8)})["a"], held({"a": measured(100, quality=0.8)})["a"]
    assert many.sd < few.sd
    assert many.weight > few.weight
    blind, none = held({"a": measured(100, quality=None)})["a"], held({"a": Stats()})["a"]
    assert blind.weight == none.weight
    assert blind.sd == pytest.approx(none.sd, abs=0.06)


def test_the_users_weights_decide_what_is_better() -> None:
    """A better and slower version leads where quality counts, and trails where seconds do."""
    stats = {"good": measured(100, quality=0.9, latency_s=6.0), "fast": measured(100, quality=0.7, latency_s=0.5)}
    careful = Task(name="t", criteria=Criteria(weights=Weights(quality=0.9, latency=0.05)))
    hasty = Task(name="t", criteria=Criteria(weights=Weights(quality=0.1, latency=0.8)))
    assert held(stats, careful)["good"].mean > held(stats, careful)["fast"].mean
    assert held(stats, hasty)["good"].mean < held(stats, hasty)["fast"].mean


def test_what_was_expected_before_is_told_by_its_source() -> None:
    """A bundled prior goes before those that are alike, these before the mean of all; grades outweigh each of them."""
    told = Expectation(value=0.9, low=0.5, high=1.0, alike="b", known=3)
    stats = {"a": Stats(), "b": measured(50, quality=0.4), "c": Stats()}
    found = held(stats, expected={"a": told})
    assert (found["a"].source, found["a"].alike) == ("alike", "b")
    assert (found["c"].source, found["c"].alike) == ("all", None)
    assert found["a"].mean > found["c"].mean
    bundled = held(stats, replace(TASK, priors={"a": 0.1}), {"a": told})["a"]
    assert (bundled.source, bundled.alike) == ("bundled", None)
    assert bundled.mean < found["c"].mean
    graded = held({**stats, "a": measured(200, quality=0.2)}, expected={"a": told})["a"]
    assert graded.mean == pytest.approx(
        0.4 * 0.2 + beside_quality(Scale.of(Criteria(), NOW), measured(200))[0], abs=0.01
    )


def test_a_gain_is_what_the_better_one_of_both_brings() -> None:
    """By hand: at no lead it is sd / sqrt(2 pi); a sure lead is its own gain, a sure loss none; bounds at 2.6 sd."""
    one = held({"a": measured(50), "b": measured(50, quality=0.2)})
    a, b = one["a"], one["b"]
    found = gain(a, b)
    sd = math.hypot(a.sd, b.sd)
    assert found.by == pytest.approx(a.mean - b.mean)
    assert (found.low, found.high) == pytest.approx((found.by - 2.6 * sd, found.by + 2.6 * sd))
    assert gain(a, a).expected == pytest.approx(math.hypot(a.sd, a.sd) / math.sqrt(2 * math.pi))
    sure, poor = replace(a, mean=0.9, sd=1e-3), replace(a, mean=0.1, sd=1e-3)
    assert gain(sure, poor).expected == pytest.approx(0.8)
    assert gain(poor, sure).expected == pytest.approx(0.0, abs=1e-12)
    assert surely_worse(poor, [sure, poor])
    assert not surely_worse(sure, [sure, poor])


def test_what_stands_beside_quality() -> None:
    """Latency, memory and reliability by their weights; the unknown is worth half, and unsure."""
    scale = Scale.of(Criteria(), NOW)
    known, sure = beside_quality(scale, measured(50, latency_s=1.0, memory=0))
    assert known == pytest.approx(0.3 * 0.9 + 0.1 * 1.0 + 0.1 * 1.0)
    nothing, unsure = beside_quality(scale, Stats())
    assert nothing == pytest.approx(0.25)
    assert unsure > sure
