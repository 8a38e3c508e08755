"""The laws of what is believed of a version that may have changed unnoticed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core import belief
from arbiter_tui.core.belief import NOTHING, Arm, Counts, Expected, estimate, spread

grades = st.lists(st.floats(0.0, 1.0), max_size=60)
EXPECTED = Expected(quality=0.5, weight=3.0)


def asked(arm: Arm, many: list[float], start: int = 0) -> Arm:
    for n, x in enumerate(many):
        arm = arm.graded(x, start + n, EXPECTED)
    return arm


def benchmarked(good: int, bad: int) -> Arm:
    arm = Arm()
    for x in [1.0] * good + [0.0] * bad:
        arm = arm.known(x)
    return arm


def test_the_constants_are_those_that_were_measured() -> None:
    """Whoever changes one has to measure anew (benchmarks/decisions.py)."""
    assert (belief.HAZARD, belief.PATIENCE, belief.REBASE) == (1 / 3000, 50.0, 60.0)
    assert (belief.CALM, belief.CONVINCED, belief.BELIEVED) == (0.1, 0.9, 4.0)
    assert round(belief.MOST) == 150_000
    assert (Expected().quality, Expected().weight, Expected().spread) == (0.5, 3.0, 1.0)


def test_counts_add_up() -> None:
    """Grades, what they lack to 1, squares; two counts are one."""
    one = NOTHING.add(0.25).add(1.0)
    assert one == Counts(good=1.25, bad=0.75, squares=0.0625 + 1.0)
    assert one.n == 2.0
    assert one.plus(Counts(good=1.0, bad=2.0, squares=1.0)) == Counts(good=2.25, bad=2.75, squares=2.0625)


def test_what_is_unknown_is_expected() -> None:
    """Without a grade the mean is the expected one; with n of them it is the weighted mean of both."""
    assert estimate(Arm(), 0, Expected(quality=0.7, weight=5.0)).mean == 0.7
    known = estimate(benchmarked(15, 5), 0, Expected(quality=0.5, weight=5.0))
    assert known.mean == pytest.approx(17.5 / 25)
    assert known.weight == 25.0
    assert known.sd == pytest.approx(math.sqrt(0.7 * 0.3 / 26))
    assert (known.doubt, known.whole_sd) == (0.0, known.sd)
    quarter = estimate(benchmarked(15, 5), 0, Expected(quality=0.5, weight=5.0, spread=0.25))
    assert quarter.sd == pytest.approx(known.sd / 2)


@given(grades, st.integers(0, 500))
def test_an_estimate_is_always_one(many: list[float], later: int) -> None:
    """Whatever was graded and however long ago: a mean in 0..1 and uncertainties of numbers, and no grade is lost."""
    arm = asked(Arm(), many)
    known = estimate(arm, len(many) + later, EXPECTED)
    assert 0.0 <= known.mean <= 1.0
    assert known.sd > 0.0
    assert 0.0 <= known.doubt <= 0.5
    assert arm.samples == len(many)
    assert all(w >= 0.0 for w in arm.worse)


def test_a_version_as_it_always_was_learns_every_grade() -> None:
    """No suspicion without a reason: all grades are of the normal state."""
    arm = asked(benchmarked(16, 4), [1.0, 1.0, 0.0, 1.0, 1.0] * 20)
    assert (arm.normal.n, arm.late, arm.convinced) == (120.0, NOTHING, False)
    assert estimate(arm, 100, EXPECTED).mean == pytest.approx(0.8, abs=0.02)


def test_a_fall_is_believed_within_a_few_answers_and_not_learnt_as_normal() -> None:
    """After ten failures of a version at .9 its mean is far below, and its former level is remembered."""
    arm = asked(benchmarked(90, 10), [0.0] * 10)
    known = estimate(arm, 10, EXPECTED)
    assert arm.convinced
    assert known.mean < 0.35
    assert arm.normal.good == 90.0
    assert arm.late.bad + arm.normal.bad == 20.0


def test_who_is_not_asked_is_worth_another_question_by_and_by() -> None:
    """The suspicion decays with the requests of the task, to the former level in the end; the next request decays
    nothing."""
    arm = asked(benchmarked(90, 10), [0.0] * 10)
    means = [estimate(arm, 10 + later, EXPECTED).mean for later in (0, 50, 150, 300, 2000)]
    assert means == sorted(means)
    assert means[-1] == pytest.approx(arm.level(EXPECTED), abs=1e-9)
    assert arm.weights(10) == arm.worse
    assert arm.weights(60) == pytest.approx([w / math.e for w in arm.worse])


def test_a_recovered_version_is_itself_again_and_the_bad_time_is_forgotten() -> None:
    """Good answers end the suspicion; what was seen in the bad time is no part of its level."""
    arm = asked(benchmarked(90, 10), [0.0] * 20)
    level = arm.level(EXPECTED)
    arm = asked(arm, [1.0] * 40, start=20)
    assert not arm.convinced
    assert arm.level(EXPECTED) >= level
    assert estimate(arm, 60, EXPECTED).mean > 0.85


def test_a_lasting_fall_becomes_the_normal_state() -> None:
    """After REBASE confirmed grades the new level is all there is, and a recovery is learnt as any rise is."""
    arm = asked(benchmarked(90, 10), [1.0, 0.0, 0.0, 0.0] * 25)
    assert arm.normal.n < 110
    assert estimate(arm, 100, EXPECTED).mean == pytest.approx(0.25, abs=0.07)
    assert not any(arm.worse) or arm.normal.good < 60


def test_an_unlucky_moment_costs_little() -> None:
    """Three failures among many successes leave the level where it was, once more answers have come."""
    arm = asked(benchmarked(18, 2), [0.0] * 3 + [1.0] * 20)
    assert estimate(arm, 23, EXPECTED).mean > 0.8
    assert (arm.late, arm.convinced) == (NOTHING, False)


@given(grades, grades)
def test_the_spread_of_grades_is_a_share_of_a_coins(one: list[float], other: list[float]) -> None:
    """1 for right and wrong alone, small for grades that hardly differ, never outside."""
    arms = [Arm(normal=_counted(one)), Arm(normal=_counted(other))]
    assert 0.05 <= spread(arms) <= 1.0


def test_right_and_wrong_spread_like_a_coin() -> None:
    """And equal grades as little as is allowed, once there are many."""
    assert spread([Arm(normal=_counted([1.0, 0.0] * 10))]) == 1.0
    assert spread([]) == 1.0
    assert spread([Arm(normal=_counted([0.5] * 1000))]) == 0.05


def _counted(many: list[float]) -> Counts:
    counts = NOTHING
    for x in many:
        counts = counts.add(x)
    return counts


def test_a_grade_that_its_prompt_explains_accuses_nobody() -> None:
    """Wrong answers where a wrong one was expected leave the weights of a fall lower than where a right one was; the
    expectation is never taken to be certain."""
    arm = benchmarked(18, 2)
    expected, surprised, sure = (arm.answered(0.0, 0, p, 1.0) for p in (0.1, 0.9, 1.0))
    assert max(expected.worse) < max(surprised.worse) < max(sure.worse) < math.inf
    assert arm.answered(0.0, 0, 0.9, 1.0) == arm.graded(0.0, 0, Expected(quality=0.9, weight=1e9))


def test_it_says_when_the_new_state_has_become_the_normal_one() -> None:
    """Once, at the REBASE-th grade of a version that has become worse for good."""
    arm, rebased = benchmarked(95, 5), []
    for now in range(150):
        arm = arm.graded(0.0, now, Expected())
        rebased.append(arm.rebased)
    assert sum(rebased) == 1
    assert rebased.index(True) >= belief.REBASE - 1
    assert not benchmarked(95, 5).rebased
