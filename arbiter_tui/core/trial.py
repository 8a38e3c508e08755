"""Trial: is the version on trial worse than the one that serves, by what both have shown so far?

Owns: the evidence of a rollout as running sums (constant in size), and the verdict on it: quality, success and latency
each have their own, and the worst one wins. Never: when a verdict is asked for (rollout.py), where grades come from.

Quality, rule ``posterior``. A pair is one question answered by both; d = new - old. With n pairs, a prior of PRIOR
pairs without a difference (d = 0, variance PRIOR_VARIANCE), and the old version's mean m:

    mean = sum d / (n + PRIOR)        variance = (sum d^2 + PRIOR x PRIOR_VARIANCE) / (n + PRIOR) - mean^2
    P(new < factor x old) = Phi(-(mean + (1 - factor) x m) / sqrt(variance / (n + PRIOR)))

A grade of the new version alone counts as a pair with m. The prior makes looking after every single pair safe: chosen
on half of the tasks of a real matrix of nine models, checked on the others (benchmarks/rollout_rule.py).

Rule ``literal``: the new version's mean below factor x the old one's, from the first grade on. It takes back three of
four versions that are exactly as good as the old one; who wants it can have it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from .snapshot import Why

PRIOR = 30.0
PRIOR_VARIANCE = 0.5
SURE = 0.95  # that far one must be from a coin's toss to take back or to promote
CLIMB_BELOW = 0.25  # the ramp goes on only while P(worse) is below
MIN_PAIRS = 10
MORE_FAILURES = 0.05  # failures may be that much more frequent
MIN_FAILURES = 3
Rule = Literal["posterior", "literal"]


class Verdict(StrEnum):
    PROMOTE = "promote"
    HOLD = "hold"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Sums only. ``solo``: grades of the new version without its old counterpart; ``slow``: answers over the task's
    ``max_latency_s``; ``log_ratio``: sum of ln(new / old latency) over ``timed`` pairs."""

    pairs: int = 0
    solo: int = 0
    sum_d: float = 0.0
    sum_d2: float = 0.0
    new_grades: int = 0
    new_sum: float = 0.0
    old_grades: int = 0
    old_sum: float = 0.0
    new_requests: int = 0
    new_failures: int = 0
    old_requests: int = 0
    old_failures: int = 0
    answers: int = 0
    slow: int = 0
    timed: int = 0
    log_ratio: float = 0.0

    @property
    def old_mean(self) -> float | None:
        return self.old_sum / self.old_grades if self.old_grades else None

    @property
    def new_mean(self) -> float | None:
        return self.new_sum / self.new_grades if self.new_grades else None

    @property
    def slowdown(self) -> float | None:
        """Geometric mean of new latency / old latency; reported, never judged."""
        return math.exp(self.log_ratio / self.timed) if self.timed else None

    def known(self, mean: float, count: int) -> Trial:
        """With what the old version had shown before the trial began."""
        return replace(self, old_grades=self.old_grades + count, old_sum=self.old_sum + mean * count)

    def pair(self, old: float, new: float, old_s: float | None = None, new_s: float | None = None) -> Trial:
        """With one question answered by both: grades 0..1, latencies in seconds."""
        timed = old_s is not None and new_s is not None and old_s > 0 and new_s > 0
        return replace(
            self,
            pairs=self.pairs + 1, sum_d=self.sum_d + new - old, sum_d2=self.sum_d2 + (new - old) ** 2,
            new_grades=self.new_grades + 1, new_sum=self.new_sum + new,
            old_grades=self.old_grades + 1, old_sum=self.old_sum + old,
            timed=self.timed + timed,
            log_ratio=self.log_ratio + (math.log(new_s / old_s) if timed and new_s and old_s else 0.0),
        )  # fmt: skip

    def grade(self, value: float, *, new: bool) -> Trial:
        """With a grade of one version alone. The new one's counts as a pair with the old one's mean, once that is
        known."""
        if not new:
            return replace(self, old_grades=self.old_grades + 1, old_sum=self.old_sum + value)
        mean = self.old_mean
        d = 0.0 if mean is None else value - mean
        return replace(
            self, solo=self.solo + (mean is not None), sum_d=self.sum_d + d, sum_d2=self.sum_d2 + d * d,
            new_grades=self.new_grades + 1, new_sum=self.new_sum + value,
        )  # fmt: skip

    def served(
        self, *, new: bool, success: bool, latency_s: float | None = None, limit_s: float | None = None
    ) -> Trial:
        """With one request of a client. ``limit_s``: the task's ``max_latency_s``."""
        if not new:
            return replace(self, old_requests=self.old_requests + 1, old_failures=self.old_failures + (not success))
        counted = success and latency_s is not None and limit_s is not None
        return replace(
            self, new_requests=self.new_requests + 1, new_failures=self.new_failures + (not success),
            answers=self.answers + counted,
            slow=self.slow + bool(counted and latency_s is not None and limit_s is not None and latency_s > limit_s),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """``p_worse``: P(new < factor x old) in quality, None without a single grade of both. ``climb``: whether the ramp
    may go on. ``why``: one line for each metric that has evidence, the deciding one first."""

    verdict: Verdict
    p_worse: float | None
    climb: bool
    why: tuple[Why, ...]


def judge(trial: Trial, *, rule: Rule = "posterior", factor: float = 0.95) -> Judgement:
    """The verdict on the evidence so far."""
    p_worse = p_below(trial, factor)
    votes = [_quality(trial, p_worse, rule, factor), _success(trial), _latency(trial)]
    told = [vote for vote in votes if vote is not None]
    worst = next((v for v in told if v[0] is Verdict.ROLL_BACK), None)
    quality = votes[0]
    if worst is not None:
        verdict = Verdict.ROLL_BACK
        told.sort(key=lambda vote: vote[0] is not Verdict.ROLL_BACK)
    else:
        verdict = quality[0] if quality is not None else Verdict.HOLD
    climb = worst is None and _may_climb(trial, p_worse, rule)
    why = tuple(vote[1] for vote in told) or (
        Why(rule="evidence", value=0, threshold=MIN_PAIRS, would_change_if="answers of both versions were graded"),
    )
    return Judgement(verdict=verdict, p_worse=p_worse, climb=climb, why=why)


def p_below(trial: Trial, factor: float) -> float | None:
    """P(new < factor x old) in quality; None while nothing is known of either."""
    old = trial.old_mean
    if old is None or not trial.new_grades:
        return None
    weight = trial.pairs + trial.solo + PRIOR
    mean = trial.sum_d / weight
    variance = (trial.sum_d2 + PRIOR * PRIOR_VARIANCE) / weight - mean * mean
    return normal(-(mean + (1.0 - factor) * old) / math.sqrt(max(variance, 1e-12) / weight))


def normal(z: float) -> float:
    """P(Z < z) of a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _may_climb(trial: Trial, p_worse: float | None, rule: Rule) -> bool:
    if rule == "literal":
        return True
    return p_worse is not None and trial.pairs + trial.solo >= MIN_PAIRS and p_worse < CLIMB_BELOW


Vote = tuple[Verdict, Why]


def _quality(trial: Trial, p_worse: float | None, rule: Rule, factor: float) -> Vote | None:
    old, new = trial.old_mean, trial.new_mean
    if p_worse is None or old is None or new is None:
        return None
    if rule == "literal":
        bad = new < factor * old
        why = Why(
            rule="quality, literally", value=round(new, 4), threshold=round(factor * old, 4),
            would_change_if=f"its mean were at least {factor:g} x the old one's {old:.3f}",
        )  # fmt: skip
        return (Verdict.ROLL_BACK if bad else Verdict.PROMOTE), why
    seen = trial.pairs + trial.solo
    why = Why(
        rule=f"P(worse than {factor:g} x the old one)", value=round(p_worse, 4), threshold=SURE,
        would_change_if=f"{old:.3f} -> {new:.3f} on {seen} answers"
        + ("" if seen >= MIN_PAIRS else f"; decides from {MIN_PAIRS} on"),
    )  # fmt: skip
    if seen < MIN_PAIRS:
        return Verdict.HOLD, why
    if p_worse > SURE:
        return Verdict.ROLL_BACK, why
    return (Verdict.PROMOTE if p_worse < 1.0 - SURE else Verdict.HOLD), why


def _success(trial: Trial) -> Vote | None:
    """A few failures at once end a trial whatever the quality is. Beta posterior; the prior is worth ten requests of
    which one in forty fails."""
    if not trial.new_failures:
        return None
    new, new_sd = _beta(trial.new_failures, trial.new_requests)
    old = trial.old_failures / trial.old_requests if trial.old_requests else 0.0
    p = normal((new - old - MORE_FAILURES) / new_sd)
    bad = trial.new_failures >= MIN_FAILURES and p > SURE
    why = Why(
        rule="P(fails more often)", value=round(p, 4), threshold=SURE,
        would_change_if=f"{trial.new_failures} of {trial.new_requests} failed; of the old one's "
        f"{trial.old_failures} of {trial.old_requests}",
    )  # fmt: skip
    return (Verdict.ROLL_BACK if bad else Verdict.HOLD), why


def _latency(trial: Trial) -> Vote | None:
    """Votes only against the task's own limit: more than half of the answers over it."""
    if not trial.answers:
        return None
    mean, sd = _beta(trial.slow, trial.answers, prior=(1.0, 1.0))
    p = normal((mean - 0.5) / sd)
    why = Why(
        rule="P(slower than the task allows)", value=round(p, 4), threshold=SURE,
        would_change_if=f"{trial.slow} of {trial.answers} answers took longer than the task's max_latency_s",
    )  # fmt: skip
    bad = trial.answers >= MIN_PAIRS and p > SURE
    return (Verdict.ROLL_BACK if bad else Verdict.HOLD), why


def _beta(hits: int, of: int, prior: tuple[float, float] = (0.25, 9.75)) -> tuple[float, float]:
    """Mean and standard deviation of the posterior."""
    a, b = prior[0] + hits, prior[1] + of - hits
    return a / (a + b), math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1.0)))
