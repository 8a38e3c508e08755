"""The laws of hearsay in a trial: however many grades weak sources give, the verdict moves by no more than their trust;
and of the slowdown that a trial may be ended for."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core import trial as module
from arbiter_tui.core.stats import ALONE, FIRM, TRUST, UNKNOWN_TRUST, trust_of
from arbiter_tui.core.trial import MIN_PAIRS, Trial, Verdict, judge, p_below

WEAK = ("feedback", "judge", "elsewhere")
grades = st.floats(0.0, 1.0)
weak = st.lists(st.tuples(grades, st.sampled_from(WEAK), st.booleans(), st.integers(1, 400)), max_size=6)


def questions(seed: int, old: float, new: float, n: int = 50) -> Trial:
    """An old version with 500 known results, and coins for both."""
    chance, trial = random.Random(seed), Trial().known(old, 500)
    for _ in range(n):
        trial = trial.pair(float(chance.random() < old), float(chance.random() < new))
    return trial


def told(trial: Trial, grade: float, times: int, source: str = "feedback", *, new: bool = True) -> Trial:
    for _ in range(times):
        trial = trial.told(grade, source, new=new)
    return trial


# --- the bound ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(grades, grades), min_size=MIN_PAIRS, max_size=60), weak)
def test_hearsay_moves_the_verdict_by_no_more_than_its_trust(
    pairs: list[tuple[float, float]], said: list[tuple[float, str, bool, int]]
) -> None:
    """Beside MIN_PAIRS questions or more: P(worse) stays within t of what the questions say, t being the mean trust of
    all that was heard; and what they condemn stays condemned."""
    trial = Trial()
    for old, new in pairs:
        trial = trial.pair(old, new)
    plain = judge(trial)
    for grade, source, new_one, times in said:
        trial = told(trial, grade, times, source, new=new_one)
    found = judge(trial)
    assert plain.p_worse is not None
    assert found.p_worse is not None
    assert abs(found.p_worse - plain.p_worse) <= trial.trust + 1e-9
    assert trial.trust <= max(TRUST["feedback"], UNKNOWN_TRUST) + 1e-9
    if plain.verdict is Verdict.ROLL_BACK:
        assert found.verdict is Verdict.ROLL_BACK


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("times", [48, 1000])
def test_false_zeros_take_nobody_back_whom_the_questions_clear(seed: int, times: int) -> None:
    """One client calls every answer of an equally good version wrong: the ramp may hold, the version stays; and so it
    does where the client praises the old one besides."""
    plain = questions(seed, 0.8, 0.8)
    if judge(plain).verdict is Verdict.ROLL_BACK:
        pytest.skip("the questions themselves happen to condemn it")
    assert judge(told(plain, 0.0, times)).verdict is not Verdict.ROLL_BACK
    assert judge(told(told(plain, 0.0, times), 1.0, times, new=False)).verdict is not Verdict.ROLL_BACK


@pytest.mark.parametrize("seed", range(20))
def test_false_praise_promotes_nobody_whom_the_questions_condemn(seed: int) -> None:
    """1,000 scores of 1.0, before the questions or after them, and 1,000 zeros for the old one: taken back all the
    same."""
    bad = questions(seed, 0.9, 0.3)
    assert judge(bad).verdict is Verdict.ROLL_BACK
    assert judge(told(bad, 1.0, 1000)).verdict is Verdict.ROLL_BACK
    assert judge(told(told(bad, 1.0, 1000), 0.0, 1000, new=False)).verdict is Verdict.ROLL_BACK
    early = told(told(Trial().known(0.9, 500), 1.0, 1000), 0.0, 1000, new=False)
    chance = random.Random(seed)
    for _ in range(50):
        early = early.pair(float(chance.random() < 0.9), float(chance.random() < 0.3))
    assert judge(early).verdict is Verdict.ROLL_BACK


@given(st.floats(0.1, 1.0), st.sampled_from(WEAK), st.integers(1, 3000), st.integers(0, 500))
def test_both_versions_means_are_bounded_as_the_statistics_bound_them(
    firm: float, source: str, times: int, count: int
) -> None:
    """ALONE grades, or t / (1 - t) of what firm sources say, for the old version's mean as for the new one's."""
    t = trust_of(source)
    trial = Trial(
        old_grades=count, old_sum=firm * count, new_grades=count, new_sum=firm * count, pairs=count, sum_d=0.0,
        heard_old=times, trust_old=t * times, heard_new=times, trust_new=t * times,
    )  # fmt: skip
    most = min(t * times, max(ALONE, count * t / (1.0 - t)))
    assert trial.old_mean == pytest.approx(firm * count / (count + most))
    assert trial.new_mean == pytest.approx(firm * count / (count + most))
    assert trial.hearsay[0] == pytest.approx(most)
    if most > ALONE:
        assert trial.old_mean >= firm * (1.0 - t) - 1e-9


def test_without_questions_users_alone_decide_as_thirty_grades_would() -> None:
    """A task without a suite: a dozen thumbs down take it back, and 1,000 say no more than ALONE grades."""
    known = Trial().known_of("feedback", 1.0, 15.0)
    assert judge(told(known, 0.0, 9)).verdict is Verdict.HOLD
    assert judge(told(known, 0.0, 15)).verdict is Verdict.ROLL_BACK
    many, bounded = told(known, 0.5, 1000), told(known, 0.5, 50)
    assert bounded.hearsay[0] == pytest.approx(ALONE)
    assert p_below(many, 0.95) == pytest.approx(p_below(bounded, 0.95) or 0.0)


def test_users_are_held_against_users() -> None:
    """Who grade the old one .5 where a suite gives it .9, and the new one .5, too, see no difference."""
    strict = told(told(questions(3, 0.9, 0.9), 0.5, 100, new=False), 0.5, 100)
    assert strict.usual == pytest.approx(0.5, abs=0.1)
    assert abs(strict.hearsay[1]) < 5.0
    generous = told(questions(3, 0.9, 0.9), 0.5, 100)  # nobody graded the old one: the suite's grades stand in
    assert generous.usual == pytest.approx(generous.firm_mean)


# --- corrections ----------------------------------------------------------------------------------------------------


@given(weak, grades, st.sampled_from(WEAK), st.booleans())
def test_a_grade_that_is_taken_back_leaves_no_trace(
    said: list[tuple[float, str, bool, int]], grade: float, source: str, new: bool
) -> None:
    """Told and untold: the sums are what they were, but for rounding; the last one leaves exact zeros."""
    trial = Trial().known(0.7, 20)
    for one, by, side, times in said:
        trial = told(trial, one, min(times, 20), by, new=side)
    again = trial.told(grade, source, new=new).untold(grade, source, new=new)
    for name in Trial.__dataclass_fields__:
        assert getattr(again, name) == pytest.approx(getattr(trial, name), abs=1e-9)
    alone = Trial().known(0.7, 20)
    assert alone.told(grade, source, new=new).untold(grade, source, new=new) == alone


def test_a_firm_grade_is_never_untold() -> None:
    """What a suite said stands."""
    trial = Trial().known(0.5, 4).told(1.0, "suite", new=True)
    assert trial.solo == 1
    assert trial.untold(1.0, "suite", new=True) == trial
    assert all(TRUST[name] >= FIRM for name in ("suite", "sentinel", "verifier", "reported"))


# --- the words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [0, 3, 48, 1000])
@pytest.mark.parametrize("new", [0.2, 0.8, 0.95])
def test_the_told_difference_is_where_the_verdict_turns(new: float, times: int) -> None:
    """A little beyond what is said to change it, P(worse) lies on the other side of a limit."""
    trial = told(questions(5, 0.8, new), 0.0, times)
    found = judge(trial)
    limits = [module.BACK_ABOVE, module.PROMOTE_BELOW]
    for limit in limits:
        shift = module._shift(trial, 0.95, limit)
        below, above = p_below(trial, 0.95, shift - 1e-6), p_below(trial, 0.95, shift + 1e-6)
        assert below is not None
        assert above is not None
        assert below >= limit >= above
    heard = f"; {times} grades of users or judges weigh" in found.why[0].would_change_if
    assert heard == (times > 0)


# --- slowness -------------------------------------------------------------------------------------------------------


def timed(seed: int, pairs: int, slower: float, scatter: float = 0.5) -> Trial:
    chance, trial = random.Random(seed), Trial()
    for _ in range(pairs):
        old, new = math.exp(chance.gauss(0.0, scatter)), slower * math.exp(chance.gauss(0.0, scatter))
        trial = trial.pair(1.0, 1.0, old, new)
    return trial


def test_without_a_limit_slowness_is_reported_and_never_votes() -> None:
    """Ten times as slow, and promoted for its quality: the figure is there, no line of the reasons is."""
    slow = timed(1, 300, 10.0)
    found = judge(slow)
    assert found.verdict is Verdict.PROMOTE
    assert slow.slowdown == pytest.approx(10.0, rel=0.2)
    assert not any("seconds" in why.rule for why in found.why)


def test_more_than_the_allowed_slowdown_takes_it_back() -> None:
    """Twice as slow where 1.5 times is allowed; where three times is, it stays."""
    slow = timed(2, 60, 2.0)
    assert judge(slow, max_slowdown=1.5).verdict is Verdict.ROLL_BACK
    assert not judge(slow, max_slowdown=1.5).climb
    assert judge(slow, max_slowdown=3.0).verdict is not Verdict.ROLL_BACK
    first = judge(slow, max_slowdown=1.5).why[0]
    assert first.rule == "P(over 1.5 x the old one's seconds)"
    assert (first.value, first.threshold) == (pytest.approx(0.98, abs=0.02), module.SURE)


def test_an_equally_fast_one_is_hardly_ever_called_slow() -> None:
    """200 seeded trials of 300 pairs whose seconds scatter by a factor of 1.6, looked at after each: at 1.5 times at
    most 1% are ever taken back."""
    back = 0
    for seed in range(200):
        chance, trial = random.Random(seed), Trial()
        for _ in range(300):
            trial = trial.pair(1.0, 1.0, math.exp(chance.gauss(0.0, 0.5)), math.exp(chance.gauss(0.0, 0.5)))
            if trial.timed >= MIN_PAIRS and module.p_slowed(trial, 1.5) > module.SURE:
                back += 1
                break
    assert back <= 2


@pytest.mark.parametrize(("pairs", "verdict"), [(MIN_PAIRS - 1, Verdict.HOLD), (MIN_PAIRS, Verdict.ROLL_BACK)])
def test_slowness_votes_from_min_pairs_on(pairs: int, verdict: Verdict) -> None:
    """Nine answers that took a hundred times as long are not enough, ten are."""
    trial = Trial()
    for _ in range(pairs):
        trial = trial.pair(1.0, 1.0, 1.0, 100.0)
    found = judge(trial, max_slowdown=1.5)
    assert found.verdict is verdict
    (line,) = [why for why in found.why if "seconds" in why.rule]
    if verdict is Verdict.HOLD:
        assert line.would_change_if == "at least 10 of its answers were timed beside the old one's; 9 are"


@pytest.mark.parametrize("slower", [1.0, 1.4, 2.5])
def test_the_told_slowdown_is_where_the_verdict_turns(slower: float) -> None:
    """All answers by the told factor slower or faster: the probability is at its limit."""
    trial, most = timed(4, 40, slower), 1.6
    (line,) = [why for why in judge(trial, max_slowdown=most).why if "seconds" in why.rule]
    needed = float(line.would_change_if.split(" than ")[1].split()[0])
    moved = 40 * (math.log(needed) - trial.log_ratio / 40)
    _, error = module._log_ratio(trial)
    mean = (trial.log_ratio + moved) / (40 + module.PRIOR)
    assert (mean - math.log(most)) / error == pytest.approx(module.PROMOTE_Z, abs=0.1)
    assert line.would_change_if.endswith(f"on 40 it is {trial.slowdown:.2f}")


def test_records_of_trials_without_the_new_sums_are_read_as_before() -> None:
    """What an older arbiter stored has none of them: they are 0, and the verdict is the same."""
    old = {"pairs": 40, "sum_d": -20.0, "sum_d2": 20.0, "new_grades": 40, "new_sum": 10.0, "old_grades": 40,
           "old_sum": 30.0}  # fmt: skip
    assert judge(Trial(**old)).verdict is Verdict.ROLL_BACK
    assert replace(Trial(**old), heard_new=0) == Trial(**old)
