"""The joint belief of all versions' levels: what prompts in common tell, and that it is Bayes' rule."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core import levels
from arbiter_tui.core.levels import Levels

ALONE = [[0.04 if i == j else 0.0 for j in range(3)] for i in range(3)]
answers = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.none(), st.sampled_from("abcde")), st.sampled_from([0.0, 0.5, 1.0])),
    max_size=40,
)


def fresh() -> Levels:
    found = Levels([0.5] * 3, ALONE)
    found.scatter(1.0)
    return found


@given(answers)
def test_the_covariance_stays_one_and_never_grows(told: list[tuple[int, str | None, float]]) -> None:
    """Symmetric, no variance below zero or above what it was; the variance that is a version's own is no larger than
    its whole one; a difference is never surer than certain."""
    found, before = fresh(), [0.04] * 3
    for version, item, grade in told:
        found.learn(version, item, grade)
        now = [found.covariance[i][i] for i in range(3)]
        assert all(0.0 < n <= b + 1e-12 for n, b in zip(now, before, strict=True))
        before = now
    for i in range(3):
        assert found.own_variance(i) <= found.covariance[i][i] + 1e-9
        for j in range(3):
            assert found.covariance[i][j] == pytest.approx(found.covariance[j][i], abs=1e-12)
            assert found.apart(i, j) > 0.0


@given(answers)
def test_the_own_variance_is_that_of_the_inverse(told: list[tuple[int, str | None, float]]) -> None:
    """It is kept up to date answer by answer, and is what the covariance itself says."""
    found = fresh()
    for version, item, grade in told:
        found.learn(version, item, grade)
    again = levels._inverse_diagonal(found.covariance)
    assert [1.0 / found.own_variance(i) for i in range(3)] == pytest.approx(again, rel=1e-6)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0])), max_size=30))
def test_without_names_of_prompts_it_is_the_mean_of_the_grades(told: list[tuple[int, float]]) -> None:
    """A normal prior of variance .04, grades of variance .25: worth .25 / .04 grades; no version tells of another."""
    found = fresh()
    for version, grade in told:
        found.learn(version, None, grade)
    for i in range(3):
        own = [grade for version, grade in told if version == i]
        weight = 0.25 / 0.04
        assert found.means[i] == pytest.approx((sum(own) + weight * 0.5) / (len(own) + weight))
        assert all(found.covariance[i][j] == 0.0 for j in range(3) if j != i)


def test_a_prompt_that_all_found_hard_says_little_of_who_failed_there() -> None:
    """The same grade 0: alone it lowers a version by more than where the two others failed, too."""
    alone, among = fresh(), fresh()
    for other in (1, 2):
        among.learn(other, "hard", 0.0)
    assert among.expected(0, "hard") < alone.expected(0, "hard")
    alone.learn(0, "hard", 0.0)
    among.learn(0, "hard", 0.0)
    assert among.means[0] > alone.means[0]


def test_prompts_in_common_make_a_difference_surer() -> None:
    """Two versions on the same 20 prompts, or each on its own: the difference is surer where they are the same."""
    same, apart = fresh(), fresh()
    chance = random.Random(1)
    for n in range(20):
        easy = chance.random() < 0.5
        for version in (0, 1):
            same.learn(version, f"{n}", float(easy))
            apart.learn(version, f"{n}/{version}", float(easy))
    assert same.apart(0, 1) < 0.8 * apart.apart(0, 1)
    assert same.likeness > apart.likeness == pytest.approx(levels.LIKENESS)


def test_whoever_always_says_the_same_tells_nothing_by_saying_it_again() -> None:
    """After many repeated prompts with the same grades, one more repetition moves its level by a tenth of what a new
    prompt does, and the expected grade is nearly the earlier one; where repetitions are arbitrary it is not."""
    constant, fickle = fresh(), fresh()
    chance = random.Random(2)
    for n in range(60):
        grade = float(n % 2)
        for _ in range(2):
            constant.learn(0, f"{n}", grade)
            fickle.learn(0, f"{n}", float(chance.random() < 0.5))
    assert constant.steady > 0.8 > 0.4 > fickle.steady
    assert constant.expected(0, "1") > 0.85
    level = constant.means[0]
    constant.learn(0, "1", 1.0)
    again = constant.means[0] - level
    constant.learn(0, "new", 1.0)
    assert abs(again) < 0.2 * abs(constant.means[0] - level - again)


def test_a_version_that_is_forgotten_is_as_new_and_the_others_keep_what_they_know() -> None:
    """Its level and doubt are those of the beginning; its answers no longer speak of prompts."""
    found = fresh()
    for n in range(10):
        for version in range(3):
            found.learn(version, f"{n}", 1.0)
    others = found.means[1:]
    found.forget(0)
    assert (found.means[0], found.covariance[0][0], found.means[1:]) == (0.5, 0.04, others)
    assert found.covariance[0][1] == found.covariance[1][0] == 0.0
    assert found.own_variance(0) == pytest.approx(0.04)
    assert all(0 not in known for known in found._grades.values())


def test_only_so_many_prompts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest: what is kept does not grow with the requests."""
    monkeypatch.setattr(levels, "REMEMBERED", 5)
    found = fresh()
    for n in range(20):
        found.learn(0, f"{n}", 1.0)
        found.learn(1, "0", 1.0)
    assert len(found._grades) == 5
    assert "0" in found._grades  # asked again all the time
    assert "18" in found._grades
    assert "10" not in found._grades


def test_a_correlation_between_expectations_carries_what_is_learnt_to_the_other() -> None:
    """Two versions that are expected to miss in the same direction: one's grades move the other, by the prior's
    regression; a third one stays."""
    found = Levels([0.5] * 3, [[0.04, 0.03, 0.0], [0.03, 0.04, 0.0], [0.0, 0.0, 0.04]])
    found.scatter(1.0)
    for _ in range(20):
        found.learn(0, None, 1.0)
    assert found.means[1] - 0.5 == pytest.approx(0.75 * (found.means[0] - 0.5))
    assert found.means[2] == 0.5
    assert math.isclose(found.covariance[2][2], 0.04)
