"""The laws of the verdict on a version that is on trial, and its exact limits."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from arbiter_tui.core import trial as module
from arbiter_tui.core.trial import (
    BACK_ABOVE,
    BACK_Z,
    MIN_PAIRS,
    PRIOR,
    PROMOTE_BELOW,
    PROMOTE_Z,
    Judgement,
    Rule,
    Trial,
    Verdict,
    judge,
    normal,
)

grades = st.floats(0.0, 1.0)
pairs = st.lists(st.tuples(grades, grades), max_size=60)
knowns = st.none() | st.tuples(grades, st.integers(1, 500))


def shown(many: list[tuple[float, float]], known: tuple[float, int] | None = None) -> Trial:
    trial = Trial() if known is None else Trial().known(*known)
    for old, new in many:
        trial = trial.pair(old, new)
    return trial


def served(new: int, failed: int = 0, old: int = 0, old_failed: int = 0) -> Trial:
    return Trial(new_requests=new, new_failures=failed, old_requests=old, old_failures=old_failed)


def timed(answers: int, slow: int) -> Trial:
    trial = Trial()
    for n in range(answers):
        trial = trial.served(new=True, success=True, latency_s=2.0 if n < slow else 1.0, limit_s=1.0)
    return trial


# --- the sums -------------------------------------------------------------------------------------------------------


def test_a_pair_counts_for_both_and_a_known_mean_for_the_old_one() -> None:
    """Every sum, after two pairs on top of what was known."""
    trial = Trial().known(0.5, 4).pair(1.0, 0.25, 2.0, 4.0).pair(0.0, 0.5, 1.0, 1.0)
    assert trial == Trial(
        pairs=2, sum_d=-0.25, sum_d2=0.75**2 + 0.5**2, new_grades=2, new_sum=0.75, old_grades=6, old_sum=3.0,
        timed=2, log_ratio=math.log(2.0), log_ratio2=math.log(2.0) ** 2,
    )  # fmt: skip
    assert (trial.old_mean, trial.new_mean, trial.graded) == (0.5, 0.375, 2)
    assert trial.slowdown == pytest.approx(math.sqrt(2.0))


@pytest.mark.parametrize("seconds", [(None, 1.0), (1.0, None), (0.0, 1.0), (1.0, 0.0), (None, None)])
def test_a_latency_that_is_unknown_or_nothing_is_no_ratio(seconds: tuple[float | None, float | None]) -> None:
    """The pair counts, its time does not."""
    trial = Trial().pair(1.0, 1.0, *seconds)
    assert (trial.pairs, trial.timed, trial.slowdown) == (1, 0, None)


def test_a_lone_grade_is_held_against_the_old_ones_mean() -> None:
    """Unless that is unknown yet: then it says nothing about the difference."""
    early = Trial().grade(0.25, new=True)
    assert (early.solo, early.graded, early.sum_d, early.sum_d2, early.new_mean) == (0, 0, 0.0, 0.0, 0.25)
    later = Trial().grade(1.0, new=False).grade(0.5, new=False).grade(0.25, new=True)
    assert (later.solo, later.graded, later.sum_d, later.sum_d2) == (1, 1, -0.5, 0.25)
    assert (later.new_grades, later.new_sum, later.old_grades, later.old_sum) == (1, 0.25, 2, 1.5)


def test_requests_are_counted_by_version_and_slow_answers_by_the_limit() -> None:
    """Exactly at the limit is not slow; without a limit, a time or an answer nothing is."""
    trial = Trial().served(new=False, success=True).served(new=False, success=False)
    assert (trial.old_requests, trial.old_failures, trial.new_requests) == (2, 1, 0)
    for latency, limit, success in ((1.0, 1.0, True), (1.1, 1.0, True), (9.0, 1.0, False), (9.0, None, True)):
        trial = trial.served(new=True, success=success, latency_s=latency, limit_s=limit)
    trial = trial.served(new=True, success=True, limit_s=1.0)
    assert (trial.new_requests, trial.new_failures, trial.answers, trial.slow) == (5, 1, 2, 1)
    assert trial.served(new=False, success=True, latency_s=9.0, limit_s=1.0).answers == 2


# --- quality --------------------------------------------------------------------------------------------------------


@given(pairs, knowns, st.floats(0.5, 1.0))
def test_it_is_the_formula_of_the_docstring(
    many: list[tuple[float, float]], known: tuple[float, int] | None, factor: float
) -> None:
    """P(new < factor x old) worked out anew from the pairs, with the prior written out as pairs of its own."""
    trial = shown(many, known)
    if not many:
        assert judge(trial, factor=factor).p_worse is None
        return
    d = [new - old for old, new in many]
    weight = len(d) + PRIOR
    mean = math.fsum(d) / weight
    variance = (math.fsum(x * x for x in d) + PRIOR * 0.5) / weight - mean**2
    old = trial.old_mean or 0.0
    expected = NormalDist(mean, math.sqrt(variance / weight)).cdf(-(1.0 - factor) * old)
    assert judge(trial, factor=factor).p_worse == pytest.approx(expected, abs=1e-9)


def test_the_constants_are_those_that_were_measured() -> None:
    """Whoever changes one has to measure anew (benchmarks/rollout_rule.py)."""
    assert (PRIOR, module.PRIOR_VARIANCE, MIN_PAIRS) == (10.0, 0.5, 10)
    assert (BACK_ABOVE, module.CLIMB_BELOW, PROMOTE_BELOW) == (0.99, 0.25, 0.05)
    assert (module.SURE, module.MORE_FAILURES, module.MIN_FAILURES) == (0.95, 0.05, 3)
    assert normal(BACK_Z) == pytest.approx(BACK_ABOVE, abs=1e-6)
    assert normal(-PROMOTE_Z) == pytest.approx(PROMOTE_BELOW, abs=1e-6)


@given(pairs.filter(bool), knowns, st.integers(0, 59))
def test_a_worse_answer_never_makes_it_look_better(
    many: list[tuple[float, float]], known: tuple[float, int] | None, at: int
) -> None:
    """The same evidence with one answer of the new version graded 0 instead: P(worse) does not fall (below the region
    where rounding decides)."""
    at %= len(many)
    before = judge(shown(many, known)).p_worse
    after = judge(shown([(o, 0.0) if i == at else (o, n) for i, (o, n) in enumerate(many)], known)).p_worse
    assert before is not None
    assert after is not None
    assert after >= min(before, 0.999) - 1e-9


@given(pairs.filter(bool), grades)
def test_more_evidence_against_it_never_helps_it(many: list[tuple[float, float]], old: float) -> None:
    """One more question that the old version answers well and the new one not at all."""
    trial = shown(many, (0.5, 500))
    assume(old > 0.2)
    before, after = judge(trial).p_worse, judge(trial.pair(old, 0.0)).p_worse
    assert before is not None
    assert after is not None
    assert after >= min(before, 0.999)


@given(pairs, knowns, st.sampled_from(["posterior", "literal"]))
def test_the_verdict_follows_from_the_probability(
    many: list[tuple[float, float]], known: tuple[float, int] | None, rule: Rule
) -> None:
    """Never before MIN_PAIRS answers, above .99 taken back, below .05 promoted; literally by the means alone."""
    trial = shown(many, known)
    found = judge(trial, rule=rule)
    p, old, new = found.p_worse, trial.old_mean, trial.new_mean
    if p is None or old is None or new is None:
        assert (found.verdict, found.climb) == (Verdict.HOLD, rule == "literal")
    elif rule == "literal":
        assert found.verdict is (Verdict.ROLL_BACK if new < 0.95 * old else Verdict.PROMOTE)
        assert found.climb == (new >= 0.95 * old)
    elif len(many) < MIN_PAIRS:
        assert (found.verdict, found.climb) == (Verdict.HOLD, False)
    else:
        expected = Verdict.ROLL_BACK if p > 0.99 else Verdict.PROMOTE if p < 0.05 else Verdict.HOLD
        assert (found.verdict, found.climb) == (expected, p < 0.25)


@pytest.mark.parametrize(("count", "verdict"), [(MIN_PAIRS - 1, Verdict.HOLD), (MIN_PAIRS, Verdict.ROLL_BACK)])
def test_it_decides_from_min_pairs_on(count: int, verdict: Verdict) -> None:
    """Ten answers are enough where they are all wrong, nine are not; lone grades count like pairs."""
    paired, alone = shown([(1.0, 0.0)] * count, (1.0, 500)), Trial().known(1.0, 500)
    for _ in range(count):
        alone = alone.grade(0.0, new=True)
    assert judge(paired).verdict is verdict
    assert judge(alone).verdict is verdict


def climbing(p: float) -> Trial:
    """MIN_PAIRS answers with exactly this P(worse) at a factor of 1: the old version's mean does not enter then."""
    weight = MIN_PAIRS + PRIOR
    z = -NormalDist().inv_cdf(p)
    mean = 0.1 if z > 0 else -0.1
    variance = (mean / z) ** 2 * weight
    square = (variance + mean * mean) * weight - PRIOR * 0.5
    return Trial(pairs=MIN_PAIRS, sum_d=mean * weight, sum_d2=square, new_grades=1, old_grades=1, old_sum=1.0)


@pytest.mark.parametrize(
    ("p", "verdict", "climb"),
    [
        (0.9901, Verdict.ROLL_BACK, False),
        (0.9899, Verdict.HOLD, False),
        (0.2501, Verdict.HOLD, False),
        (0.2499, Verdict.HOLD, True),
        (0.0501, Verdict.HOLD, True),
        (0.0499, Verdict.PROMOTE, True),
    ],
)
def test_each_limit_is_where_it_is_said_to_be(p: float, verdict: Verdict, climb: bool) -> None:
    """Just above and just below .99, .25 and .05."""
    found = judge(climbing(p), factor=1.0)
    assert found.p_worse == pytest.approx(p)
    assert (found.verdict, found.climb) == (verdict, climb)


def test_two_identical_versions_are_almost_never_told_apart() -> None:
    """400 seeded trials of 300 pairs with the same chance of success, looked at after each pair: at most 2% are ever
    taken back, while the literal rule takes back more than half of them."""
    chance = random.Random(7)
    back = literal = 0
    for _ in range(400):
        rate = chance.uniform(0.5, 0.95)
        trial = Trial().known(rate, 500)
        took, took_literally = False, False
        for _pair in range(300):
            trial = trial.pair(float(chance.random() < rate), float(chance.random() < rate))
            took = took or judge(trial).verdict is Verdict.ROLL_BACK
            took_literally = took_literally or judge(trial, rule="literal").verdict is Verdict.ROLL_BACK
            if took and took_literally:
                break
        back, literal = back + took, literal + took_literally
    assert back / 400 <= 0.02
    assert literal / 400 >= 0.5


def test_the_same_answers_twice_are_never_told_apart() -> None:
    """A twin that answers every question alike is promoted in the end, never taken back."""
    trial = Trial().known(0.7, 500)
    verdicts = []
    for n in range(1500):
        trial = trial.pair(float(n % 10 < 7), float(n % 10 < 7))
        verdicts.append(judge(trial).verdict)
    assert Verdict.ROLL_BACK not in verdicts
    assert verdicts[-1] is Verdict.PROMOTE


# --- success and latency --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trial", "verdict"),
    [
        (served(3, 3), Verdict.ROLL_BACK),
        (served(2, 2), Verdict.HOLD),
        (served(4, 3), Verdict.ROLL_BACK),
        (served(5, 3), Verdict.HOLD),
        (served(4, 3, 10, 1), Verdict.HOLD),
        (served(100, 5), Verdict.HOLD),
        (served(100, 100, 100, 100), Verdict.HOLD),
        (served(0, 0, 10, 10), Verdict.HOLD),
    ],
)
def test_three_failures_at_once_end_a_trial(trial: Trial, verdict: Verdict) -> None:
    """Whatever the quality is; fewer never do, nor as many as the old version has."""
    assert judge(trial).verdict is verdict
    good = replace(trial, pairs=2000, sum_d=100.0, sum_d2=100.0, new_grades=1, new_sum=1.0, old_grades=1, old_sum=1.0)
    found = judge(good)
    assert found.verdict is (verdict if verdict is Verdict.ROLL_BACK else Verdict.PROMOTE)
    assert found.climb == (verdict is not Verdict.ROLL_BACK)


@given(st.integers(1, 200), st.data())
def test_one_failure_more_never_helps(requests: int, data: st.DataObject) -> None:
    """P(fails more often) rises with every failure, and so does P(slower) with every slow answer: the count that is
    told to change the verdict is the first that does."""
    failed = data.draw(st.integers(0, requests - 1))
    trial = served(requests)
    slow = timed(requests, 0)
    for one, other in (
        (module.p_fails(trial, failed), module.p_fails(trial, failed + 1)),
        (module.p_slow(slow, failed), module.p_slow(slow, failed + 1)),
    ):
        assert one < other or one == other < 1e-12 or one == other > 1 - 1e-12


@pytest.mark.parametrize(
    ("answers", "slow", "verdict"),
    [(10, 8, Verdict.ROLL_BACK), (10, 7, Verdict.HOLD), (9, 9, Verdict.HOLD), (10, 10, Verdict.ROLL_BACK)],
)
def test_latency_votes_when_most_answers_are_too_slow(answers: int, slow: int, verdict: Verdict) -> None:
    """Ten answers are needed, and that more than half are too slow must be sure."""
    assert judge(timed(answers, slow)).verdict is verdict


# --- the reasons ----------------------------------------------------------------------------------------------------


def test_without_evidence_the_reason_says_what_is_missing() -> None:
    """Nothing graded, nothing served: one line all the same."""
    (line,) = judge(Trial()).why
    assert (line.rule, line.value, line.threshold) == ("graded answers", 0, MIN_PAIRS)
    assert line.would_change_if == "answers of both versions were graded"


@pytest.mark.parametrize(
    ("trial", "rule", "said"),
    [
        (shown([(1.0, 0.0)] * 4, (1.0, 500)), "posterior", "at least 10 of its answers were graded; 4 are"),
        (
            shown([(1.0, 0.0)] * 12, (1.0, 500)),
            "posterior",
            "its answers were on average at most 0.718 worse than the old one's; on 12 they are 1.000 worse",
        ),
        (
            shown([(1.0, 1.0)] * 40, (1.0, 500)),
            "posterior",
            "its answers were on average more than 0.193 worse, or at least 0.029 better than the old one's; on 40 "
            "they are 0.000 better",
        ),
        (
            shown([(0.0, 1.0)] * 12, (0.5, 500)),
            "posterior",
            "its answers were on average less than 0.398 better than the old one's; on 12 they are 1.000 better",
        ),
        (shown([(1.0, 0.5)], (1.0, 99)), "literal", "it were at least 0.950; the old one's is 1.000"),
        (shown([(1.0, 1.0)], (1.0, 99)), "literal", "it fell below 0.950; the old one's is 1.000"),
    ],
)
def test_a_reason_says_what_would_change_the_verdict(trial: Trial, rule: Rule, said: str) -> None:
    """In the units that the evidence has: answers, and how much worse they are."""
    assert judge(trial, rule=rule).why[0].would_change_if == said


@given(pairs.filter(lambda many: len(many) >= MIN_PAIRS), knowns)
def test_what_is_said_to_change_the_verdict_is_not_so_already(
    many: list[tuple[float, float]], known: tuple[float, int] | None
) -> None:
    """The average difference lies on the side of the told limit that gives this verdict."""
    trial = shown(many, known)
    found = judge(trial)
    mean, error, _ = module._difference(trial)
    allowed = 0.05 * (trial.old_mean or 0.0)
    back, on = -allowed - BACK_Z * error, -allowed + PROMOTE_Z * error
    assume(min(abs(mean - back), abs(mean - on)) > 1e-6)
    below, above = mean < back, mean > on
    assert found.verdict is (Verdict.ROLL_BACK if below else Verdict.PROMOTE if above else Verdict.HOLD)


def line(found: Judgement, rule: str) -> str:
    return next(why.would_change_if for why in found.why if why.rule == rule)


@pytest.mark.parametrize("requests", [1, 3, 4, 5, 40, 171])
def test_the_number_of_failures_that_is_told_is_the_first_that_counts(requests: int) -> None:
    """One fewer is held, that many taken back; and the sentence turns round."""
    told = line(judge(served(requests, 1)), "P(fails more often)")
    needed = int(told.removeprefix("at least ").split()[0])
    assert told == f"at least {needed} of its requests had failed; 1 of {requests} did, and 0 of the old one's 0"
    if needed > requests:
        assert requests < 3
        return
    assert judge(served(requests, needed - 1)).verdict is Verdict.HOLD
    bad = judge(served(requests, needed, 8, 0))
    assert bad.verdict is Verdict.ROLL_BACK
    assert line(bad, "P(fails more often)").startswith(f"fewer than {needed} of its requests had failed; {needed} of")
    assert line(bad, "P(fails more often)").endswith("and 0 of the old one's 8")


@pytest.mark.parametrize("answers", [10, 11, 40])
def test_the_number_of_slow_answers_that_is_told_is_the_first_that_counts(answers: int) -> None:
    """Likewise for the latency; before ten answers it says how many are needed."""
    rule = "P(slower than the task allows)"
    told = line(judge(timed(answers, 0)), rule)
    needed = int(told.removeprefix("at least ").split()[0])
    assert told.endswith(f"of its answers took longer than the task's max_latency_s; 0 of {answers} did")
    assert judge(timed(answers, needed - 1)).verdict is Verdict.HOLD
    assert judge(timed(answers, needed)).verdict is Verdict.ROLL_BACK
    assert line(judge(timed(answers, needed)), rule).startswith(f"fewer than {needed} of its answers")
    assert line(judge(timed(9, 9)), rule) == "at least 10 of its answers were timed; 9 are"


def test_the_deciding_metric_is_told_first() -> None:
    """A good quality does not hide the failures that ended the trial."""
    trial = replace(shown([(1.0, 1.0)] * 40, (1.0, 500)), new_requests=10, new_failures=10)
    assert [why.rule for why in judge(trial).why] == ["P(fails more often)", "P(worse than 0.95 x the old one)"]
    calm = replace(trial, new_failures=1)
    assert [why.rule for why in judge(calm).why] == ["P(worse than 0.95 x the old one)", "P(fails more often)"]
    assert [why.rule for why in judge(replace(trial, new_failures=0)).why] == ["P(worse than 0.95 x the old one)"]
    slow = shown([(1.0, 0.0)] * 40, (1.0, 500)).served(new=True, success=True, latency_s=1.0, limit_s=1.0)
    told = judge(slow.served(new=True, success=False)).why
    assert [(why.value, why.threshold) for why in told] == [(1.0, 0.99), (0.7387, 0.95), (0.2398, 0.95)]
