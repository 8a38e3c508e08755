"""What other tasks tell of this one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.levels import Levels
from arbiter_tui.core.other_tasks import ALIKE, OWN, from_other_tasks

EVEN = (5.0, 10.0)  # the sum of the grades, and their number
HIGH, LOW = (9.0, 10.0), (1.0, 10.0)
counts = st.lists(st.integers(0, 8), min_size=3, max_size=3)


def test_what_versions_showed_elsewhere_is_carried_over_in_log_odds() -> None:
    """.7 of a version's mean distance on the other tasks, from the mean of all here; nothing without other tasks, or
    where nobody can be compared there."""
    known = {"here": {"a": EVEN, "b": EVEN}, "there": {"a": HIGH, "b": LOW}}
    told = from_other_tasks(known, "here")
    assert told is not None
    assert told.means[0] == pytest.approx(1 / (1 + math.exp(-0.7 * math.log(10 / 2))))
    assert told.means[1] == pytest.approx(1 - told.means[0])
    assert from_other_tasks({"here": known["here"]}, "here") is None
    assert from_other_tasks({**known, "there": {"a": HIGH}}, "here") is None


def test_versions_that_were_alike_elsewhere_are_expected_to_miss_alike() -> None:
    """Two that were good there, one that was bad: the first two's errors go together, against the third's."""
    known = {"here": dict.fromkeys("abc", EVEN), "there": {"a": HIGH, "b": HIGH, "c": LOW}}
    told = from_other_tasks(known, "here")
    assert told is not None
    assert told.covariance[0][1] > 0.0 > told.covariance[0][2]
    far = math.log(10 / 2)
    middle = far / 3
    slope = told.covariance[0][0] / (ALIKE**2 * (far - middle) ** 2 + OWN**2)
    assert told.covariance[0][1] == pytest.approx(slope * ALIKE**2 * (far - middle) ** 2)


def test_a_version_that_is_known_nowhere_else_is_expected_to_be_as_good_as_all() -> None:
    """And its error goes with nobody's."""
    known = {"here": dict.fromkeys("abc", EVEN), "there": {"a": HIGH, "b": LOW}}
    told = from_other_tasks(known, "here")
    assert told is not None
    assert told.means[2] == pytest.approx(0.5)
    assert told.covariance[2][0] == told.covariance[0][2] == 0.0 < told.covariance[2][2]


@given(st.lists(counts, min_size=2, max_size=4))
def test_any_benchmark_gives_a_covariance_that_can_be_learnt_with(good: list[list[int]]) -> None:
    """Means inside 0..1, a symmetric positive definite covariance: grades lower every variance and break nothing."""
    known = {f"t{i}": {f"m{j}": (float(g), 8.0) for j, g in enumerate(row)} for i, row in enumerate(good)}
    told = from_other_tasks(known, "t0")
    assert told is not None
    assert all(0.0 < mean < 1.0 for mean in told.means)
    levels = Levels(told.means, told.covariance)
    levels.scatter(1.0)
    for i in range(3):
        assert 0.0 < levels.own_variance(i) <= told.covariance[i][i] * (1 + 1e-9)
        levels.learn(i, "one", 1.0)
        assert 0.0 < levels.covariance[i][i] < told.covariance[i][i]
        assert all(told.covariance[i][j] == pytest.approx(told.covariance[j][i]) for j in range(3))
