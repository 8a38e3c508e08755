"""Belief: what is known of one version's quality on one task, when the version may have changed unnoticed.

Owns: the two-state model of a version, its updates, estimates with their uncertainty. Never: choosing (policies.py).

A version answers as it always did, or it has become worse. Each grade weighs the two against each other: the odds of
*worse* against *as before* grow by the ratio of its likelihoods, for the same four falls of the odds as in drift.py,
with HAZARD as the chance of a change at any one request (Shiryaev 1963). What both states say is mixed by these odds,
so a suspicion lowers a version before any alarm, and a false one costs little. A version that has become worse and is
not asked may have recovered: its odds decay over PATIENCE requests of its task until it is worth another question, and
what it was before is not forgotten until REBASE answers have confirmed the new state.

The constants are chosen on half of the tasks of a recorded matrix and reported on the other (benchmarks/decisions.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .drift import FALLEN, SHIFTS, WEIGHTS

HAZARD = 1.0 / 3000.0
PATIENCE = 50.0
CALM, CONVINCED = 0.1, 0.9  # P(worse) below: grades are learnt as normal; above: they are known to be of the new state
REBASE = 60.0  # grades of the new state until it becomes the normal one
MOST = 50.0 / HAZARD  # the odds' numerator is cut there: P(worse) = .98
BELIEVED = 4.0  # grades that the likeliest fall is worth beside those that were seen since
EDGE, LEAST_SPREAD = 0.005, 0.05
PROMPT_EDGE = 0.02  # no answer to one prompt is taken to be surer than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Grades by their sum, what they lack to 1, and the sum of their squares."""

    good: float = 0.0
    bad: float = 0.0
    squares: float = 0.0

    @property
    def n(self) -> float:
        return self.good + self.bad

    def add(self, x: float) -> Counts:
        return Counts(good=self.good + x, bad=self.bad + 1.0 - x, squares=self.squares + x * x)

    def plus(self, other: Counts) -> Counts:
        return Counts(
            good=self.good + other.good, bad=self.bad + other.bad, squares=self.squares + other.squares
        )  # fmt: skip


NOTHING = Counts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is expected of a version before it has answered: a quality worth ``weight`` grades; ``spread``: the variance
    of grades as a share of a coin's."""

    quality: float = 0.5
    weight: float = 3.0
    spread: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One version on one task. ``late``: grades under suspicion; ``worse``: one weight for each fall; ``at``: the
    request of the task that it answered last; ``samples``: all grades ever."""

    normal: Counts = NOTHING
    late: Counts = NOTHING
    worse: tuple[float, ...] = (0.0,) * len(SHIFTS)
    convinced: bool = False
    at: int = -1
    samples: int = 0

    def known(self, x: float) -> Arm:
        """With one grade of the internal benchmark: of the version as it is now."""
        return replace(self, normal=self.normal.add(x), samples=self.samples + 1)

    def level(self, expected: Expected) -> float:
        """The expected grade of the normal state."""
        return (self.normal.good + expected.weight * expected.quality) / (self.normal.n + expected.weight)

    def weights(self, now: int) -> tuple[float, ...]:
        """Of the falls, at request ``now``: they decay while the version is not asked."""
        silent = now - self.at - 1
        if silent <= 0 or not any(self.worse):
            return self.worse
        faded = math.exp(-silent / PATIENCE)
        return tuple(w * faded for w in self.worse)

    @property
    def rebased(self) -> bool:
        """Whether the last grade made the new state the normal one."""
        return self.at >= 0 and not any(self.worse)

    def graded(self, x: float, now: int, expected: Expected) -> Arm:
        """With one more grade, of request ``now`` of this task."""
        return self._graded(x, now, _inside(self.level(expected)), expected.spread)

    def answered(self, x: float, now: int, p: float, scatter: float) -> Arm:
        """The same with a grade that was expected to be ``p`` of this very prompt."""
        return self._graded(x, now, min(max(p, PROMPT_EDGE), 1.0 - PROMPT_EDGE), scatter)

    def _graded(self, x: float, now: int, p: float, scatter: float) -> Arm:
        grown = [
            (w + 1.0) * math.exp(-(math.log(1.0 - p + p * fallen) + x * shift) / scatter)
            for w, fallen, shift in zip(self.weights(now), FALLEN, SHIFTS, strict=True)
        ]
        total = sum(w * g for w, g in zip(WEIGHTS, grown, strict=True))
        worse = tuple(g * min(1.0, MOST / total) for g in grown)
        p_worse, late = _p_worse(worse), self.late.add(x)
        fresh = replace(self, worse=worse, at=now, samples=self.samples + 1)
        convinced = self.convinced or p_worse > CONVINCED
        if p_worse < CALM:
            normal = self.normal if self.convinced else self.normal.plus(late)
            return replace(fresh, normal=normal, late=NOTHING, convinced=False)
        if p_worse > CONVINCED and late.n >= REBASE:
            return replace(fresh, normal=late, late=NOTHING, convinced=False, worse=(0.0,) * len(SHIFTS))
        return replace(fresh, late=late, convinced=convinced)


@dataclass(frozen=True, slots=True)
class Estimate:
    """``mean``: the expected grade; ``sd``: of the level in its state; ``doubt``: of the mean because the state is not
    known; ``weight``: grades behind the level."""

    mean: float
    sd: float
    doubt: float
    weight: float

    @property
    def whole_sd(self) -> float:
        return math.hypot(self.sd, self.doubt)


def estimate(arm: Arm, now: int, expected: Expected) -> Estimate:
    """What a version is worth at request ``now`` of its task."""
    weight = arm.normal.n + expected.weight
    level = arm.level(expected)
    sd = math.sqrt(max(level * (1.0 - level), 1e-9) * expected.spread / (weight + 1.0))
    return believed(arm, now, level, sd, weight)


def believed(arm: Arm, now: int, level: float, sd: float, weight: float) -> Estimate:
    """The same where the level of its normal state is known otherwise, to ``sd``."""
    weights = arm.weights(now)
    total = sum(w * g for w, g in zip(WEIGHTS, weights, strict=True))
    if total <= 0.0:
        return Estimate(level, sd, 0.0, weight)
    p, p_worse = _inside(level), _p_worse(weights)
    fallen = sum(w * g * p * f / (1.0 - p + p * f) for w, g, f in zip(WEIGHTS, weights, FALLEN, strict=True)) / total
    fallen = (arm.late.good + BELIEVED * fallen) / (arm.late.n + BELIEVED)
    mean = (1.0 - p_worse) * level + p_worse * fallen
    return Estimate(mean, sd, math.sqrt(p_worse * (1.0 - p_worse)) * abs(level - fallen), weight)


def spread(arms: list[Arm], usual: float = 1.0) -> float:
    """The variance of grades within versions as a share of a coin's with the same means: 1 for right and wrong;
    ``usual``: what it is taken to be before there are any."""
    seen, coin = 2.0 * usual, 2.0
    for arm in arms:
        n = arm.normal.n
        if n > 0.0:
            mean = arm.normal.good / n
            seen += arm.normal.squares - n * mean * mean
            coin += n * mean * (1.0 - mean)
    return min(1.0, max(LEAST_SPREAD, seen / coin))


def _inside(share: float) -> float:
    return min(max(share, EDGE), 1.0 - EDGE)


def _p_worse(weights: tuple[float, ...]) -> float:
    odds = HAZARD * sum(w * g for w, g in zip(WEIGHTS, weights, strict=True))
    return odds / (1.0 + odds)
