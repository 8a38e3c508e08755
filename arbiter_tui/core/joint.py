"""Joint: what is believed of all versions of one task, from answers that were graded and from what was expected.

Owns: putting together their levels (levels.py) and whether each is still what it was (belief.py); the estimates that
follow, and how sure one is ahead of another. Never: choosing (policies.py), the user's weights (posterior.py).

The replayed policy and the running engine believe by this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .belief import NOTHING, Arm, Counts, Estimate, believed, spread
from .levels import Item, Levels

EXPECTED, AMONG_ALL = 5.0, 3.0  # grades that an expectation is worth; that the mean of all versions is
DOMINATED_Z = 1.6448  # P = .95, rounded down


@dataclass(frozen=True, slots=True)
class Graded:
    """One answer: its grade in 0..1, the prompt's name, and how many exact grades it is worth."""

    quality: float
    item: Item | None = None
    trust: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Of one version, before anything new is learnt. ``answers``: oldest first; ``older``: grades before these, of
    which the prompts are forgotten; ``expected``: the grade that is expected of it without any, None as of all."""

    answers: Sequence[Graded] = ()
    older: Counts = NOTHING
    expected: float | None = None


class Joint:
    """``covariance``: of what the expectations miss, where they come from the same word; ``shared``: of whom it is."""

    def __init__(
        self, known: Sequence[Known], covariance: Sequence[Sequence[float]] | None = None,
        shared: Sequence[bool] | None = None,
    ) -> None:  # fmt: skip
        self.arms = [_arm(one) for one in known]
        self.levels = _levels(known, self.arms, covariance, shared)
        self._now = 0
        self._scatter = 1.0
        self._waiting: list[list[Graded]] = [[] for _ in known]  # seen under suspicion
        self._estimates: list[Estimate] | None = None
        self._rescale()

    @property
    def estimates(self) -> list[Estimate]:
        """For the next request."""
        if self._estimates is None:
            levels = self.levels
            alone = 1.0 - levels.likeness  # of a grade's variance, beside what the prompt explains
            self._estimates = []
            for i, arm in enumerate(self.arms):
                variance = levels.own_variance(i)
                weight = max(1.0, alone * levels.noise[i] / variance)
                self._estimates.append(believed(arm, self._now, levels.level(i), math.sqrt(variance), weight))
        return self._estimates

    def _rescale(self) -> None:
        self._scatter = spread(self.arms)
        self.levels.scatter(self._scatter)
        self._estimates = None

    def learn(self, version: int, seen: Graded) -> None:
        before, waiting = self.arms[version], self._waiting[version]
        expected = self.levels.expected(version, seen.item)
        after = before.answered(seen.quality, self._now, expected, self._scatter)
        self.arms[version] = after
        waiting.append(seen)
        if after.late.n == 0.0:  # no suspicion any more, or it has become the normal state
            if after.rebased:
                self.levels.forget(version)
            if after.rebased or not before.convinced:
                for one in waiting:
                    self.levels.learn(version, one.item, one.quality, one.trust)
            waiting.clear()
        self._now += 1
        self._rescale()

    def dominated(self, i: int) -> bool:
        """Whether another one is better with P > .95."""
        return any(self.lead(j, i) > DOMINATED_Z for j in range(len(self.arms)) if j != i)

    def lead(self, a: int, b: int, cost: float = 0.0) -> float:
        """Of ``a`` over ``b``, less ``cost``, in standard deviations of the difference."""
        x, y = self.estimates[a], self.estimates[b]
        if x.mean - y.mean <= cost:
            return 0.0
        return (x.mean - y.mean - cost) / math.sqrt(self.levels.apart(a, b) + x.doubt**2 + y.doubt**2)


def _arm(known: Known) -> Arm:
    normal = known.older
    for one in known.answers:
        normal = normal.add(one.quality)
    return replace(Arm(), normal=normal, samples=round(normal.n))


def _levels(
    known: Sequence[Known], arms: Sequence[Arm], covariance: Sequence[Sequence[float]] | None,
    shared: Sequence[bool] | None,
) -> Levels:  # fmt: skip
    seen = sum(arm.normal.n for arm in arms)
    pooled, scatter = (sum(arm.normal.good for arm in arms) + 1.0) / (seen + 2.0), spread(list(arms))
    means = [pooled if one.expected is None else one.expected for one in known]
    weights = [AMONG_ALL if one.expected is None else EXPECTED for one in known]
    first = [max(m * (1.0 - m), 0.01) * scatter / w for m, w in zip(means, weights, strict=True)]
    levels = Levels(means, _together(first, covariance, shared))
    levels.scatter(scatter, [
        (arm.normal.good + w * m) / (arm.normal.n + w) for arm, m, w in zip(arms, means, weights, strict=True)
    ])  # fmt: skip
    for i, one in enumerate(known):
        if one.older.n > 0.0:
            levels.told(i, one.older.good / one.older.n, one.older.n)
    longest = max((len(one.answers) for one in known), default=0)
    for n in range(longest, 0, -1):  # prompt by prompt, the newest last
        for i, one in enumerate(known):
            if n <= len(one.answers):
                answer = one.answers[-n]
                levels.learn(i, answer.item, answer.quality, answer.trust)
    return levels


def _together(
    first: Sequence[float], covariance: Sequence[Sequence[float]] | None, shared: Sequence[bool] | None
) -> list[list[float]]:
    """Each alone, but for those that share a word."""
    rows = [[value if i == j else 0.0 for j in range(len(first))] for i, value in enumerate(first)]
    if covariance is not None:
        told = [True] * len(first) if shared is None else shared
        for i, row in enumerate(covariance):
            for j, value in enumerate(row):
                if told[i] and told[j]:
                    rows[i][j] = value
    return rows
