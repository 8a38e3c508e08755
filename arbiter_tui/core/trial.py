"""Trial: is the version on trial worse than the one that serves, by what both have shown so far?

Owns: the evidence of a rollout as running sums (constant in size), and the verdict on it: quality, success and latency
each have their own, and the worst one wins. Never: when a verdict is asked for (rollout.py), where grades come from.

Quality, rule ``posterior``. A pair is one question answered by both; d = new - old. With n pairs, a prior of PRIOR
pairs without a difference (d = 0, variance PRIOR_VARIANCE), and the old version's mean m:

    mean = sum d / (n + PRIOR)        variance = (sum d^2 + PRIOR x PRIOR_VARIANCE) / (n + PRIOR) - mean^2
    P(new < factor x old) = Phi(-(mean + (1 - factor) x m) / sqrt(variance / (n + PRIOR)))

A grade of the new version alone counts as a pair with m. The prior and the limit of .99 make it safe to look after
every single pair: of versions that toss coins alike, right .5 to .95 of the time, 3% to .1% are ever taken back within
600 pairs; with a prior of 30 and a limit of .95 it were 8% to .1%. A larger prior could not tell in fifty questions
what two real updates broke. What the rule does with real models: benchmarks/rollout_rule.py.

Rule ``literal``: the new version's mean below factor x the old one's, from the first grade on. It takes back three of
four versions that are exactly as good as the old one; who wants it can have it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from .snapshot import Why

PRIOR = 10.0
PRIOR_VARIANCE = 0.5
BACK_ABOVE, BACK_Z = 0.99, 2.326348  # P(worse) above it takes back; BACK_Z is that quantile of a standard normal
PROMOTE_BELOW, PROMOTE_Z = 0.05, 1.644854
SURE = 0.95  # that sure one must be of more failures or of slowness
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
    def graded(self) -> int:
        """Answers of the new version that can be held against the old one's."""
        return self.pairs + self.solo

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
    """``p_worse``: P(new < factor x old) in quality, None without a grade of both. ``climb``: the ramp may go on."""

    verdict: Verdict
    p_worse: float | None
    climb: bool
    trial: Trial
    rule: Rule
    factor: float

    @property
    def why(self) -> tuple[Why, ...]:
        """One line for each metric that has evidence, the deciding one first. Worked out when asked for: most verdicts
        are weighed and never shown."""
        told = [vote for vote in _told(self) if vote is not None]
        told.sort(key=lambda vote: vote[0] is not Verdict.ROLL_BACK)
        nothing = Why(
            rule="graded answers", value=0, threshold=MIN_PAIRS, would_change_if="answers of both versions were graded"
        )
        return tuple(vote[1] for vote in told) or (nothing,)


def judge(trial: Trial, *, rule: Rule = "posterior", factor: float = 0.95) -> Judgement:
    """The verdict on the evidence so far: the worst of quality, success and latency."""
    p_worse = p_below(trial, factor)
    quality = _quality(trial, p_worse, rule, factor)
    back = Verdict.ROLL_BACK in (quality, _success(trial), _latency(trial))
    return Judgement(
        verdict=Verdict.ROLL_BACK if back else quality, p_worse=p_worse, trial=trial, rule=rule, factor=factor,
        climb=not back and (rule == "literal" or _may_climb(trial, p_worse)),
    )  # fmt: skip


def p_below(trial: Trial, factor: float) -> float | None:
    """P(new < factor x old) in quality; None while nothing is known of either."""
    old = trial.old_mean
    if old is None or not trial.new_grades:
        return None
    mean, error = _difference(trial)
    return normal(-(mean + (1.0 - factor) * old) / error)


def _difference(trial: Trial) -> tuple[float, float]:
    """Mean and standard error of new - old, prior included."""
    weight = trial.graded + PRIOR
    mean = trial.sum_d / weight
    variance = (trial.sum_d2 + PRIOR * PRIOR_VARIANCE) / weight - mean * mean
    return mean, math.sqrt(max(variance, 1e-12) / weight)


def normal(z: float) -> float:
    """P(Z < z) of a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _may_climb(trial: Trial, p_worse: float | None) -> bool:
    return p_worse is not None and trial.graded >= MIN_PAIRS and p_worse < CLIMB_BELOW


# --- the votes ------------------------------------------------------------------------------------------------------


def _quality(trial: Trial, p_worse: float | None, rule: Rule, factor: float) -> Verdict:
    old, new = trial.old_mean, trial.new_mean
    if p_worse is None or old is None or new is None:
        return Verdict.HOLD
    if rule == "literal":
        return Verdict.ROLL_BACK if new < factor * old else Verdict.PROMOTE
    if trial.graded < MIN_PAIRS:
        return Verdict.HOLD
    if p_worse > BACK_ABOVE:
        return Verdict.ROLL_BACK
    return Verdict.PROMOTE if p_worse < PROMOTE_BELOW else Verdict.HOLD


def _success(trial: Trial) -> Verdict:
    """A few failures at once end a trial whatever the quality is."""
    bad = trial.new_failures >= MIN_FAILURES and p_fails(trial, trial.new_failures) > SURE
    return Verdict.ROLL_BACK if bad else Verdict.HOLD


def p_fails(trial: Trial, failures: int) -> float:
    """P(the new version fails MORE_FAILURES more often), had ``failures`` of its requests failed. The prior is worth
    ten requests of which one in forty fails."""
    new, sd = _beta(failures, trial.new_requests, 0.25, 9.75)
    old = trial.old_failures / trial.old_requests if trial.old_requests else 0.0
    return normal((new - old - MORE_FAILURES) / sd)


def _latency(trial: Trial) -> Verdict:
    """Votes only against the task's own limit: more than half of the answers over it."""
    return Verdict.ROLL_BACK if trial.answers >= MIN_PAIRS and p_slow(trial, trial.slow) > SURE else Verdict.HOLD


def p_slow(trial: Trial, slow: int) -> float:
    """P(more than half of its answers take too long), had ``slow`` of them."""
    mean, sd = _beta(slow, trial.answers, 1.0, 1.0)
    return normal((mean - 0.5) / sd)


def _beta(hits: int, of: int, yes: float, no: float) -> tuple[float, float]:
    """Mean and standard deviation of the Beta posterior."""
    a, b = yes + hits, no + of - hits
    return a / (a + b), math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1.0)))


# --- the reasons ----------------------------------------------------------------------------------------------------

Told = tuple[Verdict, Why]


def _told(found: Judgement) -> tuple[Told | None, Told | None, Told | None]:
    return _quality_told(found), _success_told(found.trial), _latency_told(found.trial)


def _quality_told(found: Judgement) -> Told | None:
    trial, old, new = found.trial, found.trial.old_mean, found.trial.new_mean
    if found.p_worse is None or old is None or new is None:
        return None
    vote = _quality(trial, found.p_worse, found.rule, found.factor)
    if found.rule == "literal":
        limit = found.factor * old
        wanted = f"it {'were at least' if new < limit else 'fell below'} {limit:.3f}; the old one's is {old:.3f}"
        value, threshold = round(new, 4), round(limit, 4)
        return vote, Why(rule="its mean quality", value=value, threshold=threshold, would_change_if=wanted)
    return vote, Why(
        rule=f"P(worse than {found.factor:g} x the old one)", value=round(found.p_worse, 4), threshold=BACK_ABOVE,
        would_change_if=_wanted(trial, vote, (1.0 - found.factor) * old),
    )  # fmt: skip


def _wanted(trial: Trial, vote: Verdict, allowed: float) -> str:
    """How good its answers would have to be, beside those of the old version, for another verdict."""
    if trial.graded < MIN_PAIRS:
        return f"at least {MIN_PAIRS} of its answers were graded; {trial.graded} are"
    error = _difference(trial)[1] * (trial.graded + PRIOR) / trial.graded
    allowed *= (trial.graded + PRIOR) / trial.graded
    back, on = -allowed - BACK_Z * error, -allowed + PROMOTE_Z * error
    told = {
        Verdict.ROLL_BACK: _from(back),
        Verdict.HOLD: f"{_under(back)}, or {_from(on)}",
        Verdict.PROMOTE: _under(on),
    }[vote]
    return f"its answers were on average {told} than the old one's; on {trial.graded} they are {_by(trial)}"


def _from(least: float) -> str:
    return f"at most {-least:.3f} worse" if least < 0.0 else f"at least {least:.3f} better"


def _under(most: float) -> str:
    return f"more than {-most:.3f} worse" if most < 0.0 else f"less than {most:.3f} better"


def _by(trial: Trial) -> str:
    seen = trial.sum_d / trial.graded
    return f"{abs(seen):.3f} {'worse' if seen < 0.0 else 'better'}"


def _success_told(trial: Trial) -> Told | None:
    if not trial.new_failures:
        return None
    vote, failed, of = _success(trial), trial.new_failures, trial.new_requests
    tried = range(MIN_FAILURES, of + 1)
    needed = MIN_FAILURES + bisect_right(tried, SURE, key=lambda k: p_fails(trial, k))
    wanted = "fewer than" if vote is Verdict.ROLL_BACK else "at least"
    return vote, Why(
        rule="P(fails more often)", value=round(p_fails(trial, failed), 4), threshold=SURE,
        would_change_if=f"{wanted} {needed} of its requests had failed; {failed} of {of} did, and "
        f"{trial.old_failures} of the old one's {trial.old_requests}",
    )  # fmt: skip


def _latency_told(trial: Trial) -> Told | None:
    if not trial.answers:
        return None
    vote, value = _latency(trial), round(p_slow(trial, trial.slow), 4)
    needed = bisect_right(range(trial.answers + 1), SURE, key=lambda k: p_slow(trial, k))
    if trial.answers < MIN_PAIRS:
        wanted = f"at least {MIN_PAIRS} of its answers were timed; {trial.answers} are"
    else:
        wanted = (
            f"{'fewer than' if vote is Verdict.ROLL_BACK else 'at least'} {needed} of its answers took longer than the "
            f"task's max_latency_s; {trial.slow} of {trial.answers} did"
        )
    return vote, Why(rule="P(slower than the task allows)", value=value, threshold=SURE, would_change_if=wanted)
