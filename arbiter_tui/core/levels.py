"""Levels: what all versions of one task are worth, believed together, so that the same prompt compares them.

Owns: the joint normal posterior of their mean grades, and what it says of one prompt before it is answered. Never: a
change of a version (belief.py says when one is to be forgotten), choosing (policies.py).

Prompts are hard or easy for everybody: grades of the same prompt go together. What others got for it says how hard it
is, and what is left tells more of the version than the bare grade does (a control variate). How much goes together is
learnt on the way: LIKENESS between versions, and STEADY for the same version asked again, of which one that always says
the same learns nothing from a repeated prompt, and shows a change at once. Grades are taken to be equally correlated
for all versions, so an answer costs one update of rank 1 (Kalman 1960). A prompt that nobody else has answered, or that
has no name, is just another grade.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LIKENESS, LIKENESS_WEIGHT = 0.2, 40.0  # correlation of two versions on one prompt before any was seen, and its weight
STEADY, STEADY_WEIGHT = 0.5, 10.0  # the same of one version, asked again
MOST, JITTER = 0.95, 0.02
LEAST_VARIANCE = 0.01
REMEMBERED = 1000  # prompts, the newest
Item = str | int  # what a prompt is called


class Levels:
    """``means``: the expected grade of each version, ``covariance`` how sure that is, before any answer."""

    def __init__(self, means: Sequence[float], covariance: Sequence[Sequence[float]]) -> None:
        self.means = list(means)
        self.covariance = [list(row) for row in covariance]
        self._first = list(means)
        self._first_variance = [row[i] for i, row in enumerate(covariance)]
        self._sure = _inverse_diagonal(self.covariance)
        self._grades: dict[Item, dict[int, float]] = {}
        self._together = [LIKENESS * LIKENESS_WEIGHT, LIKENESS_WEIGHT]
        self._again = [STEADY * STEADY_WEIGHT, STEADY_WEIGHT]
        self.noise = [1.0] * len(means)  # the variance of one grade of each version

    @property
    def likeness(self) -> float:
        return min(MOST, max(0.0, self._together[0] / self._together[1]))

    @property
    def steady(self) -> float:
        return min(MOST, max(0.0, self._again[0] / self._again[1]))

    def level(self, version: int) -> float:
        return _inside(self.means[version])

    def scatter(self, spread: float, around: Sequence[float] | None = None) -> None:
        """``spread``: the variance of grades as a share of a coin's; ``around``: other means than are believed."""
        found = self.means if around is None else around
        self.noise = [max(m * (1.0 - m), LEAST_VARIANCE) * spread for m in map(_inside, found)]

    def own_variance(self, version: int) -> float:
        """Of its level, were those of all the others known."""
        return 1.0 / self._sure[version]

    def apart(self, a: int, b: int) -> float:
        """The variance of the difference of two levels."""
        return max(self.covariance[a][a] + self.covariance[b][b] - 2.0 * self.covariance[a][b], 1e-9)

    def expected(self, version: int, item: Item | None) -> float:
        """The grade of its answer to ``item``, by its level, its earlier answer or what others got for it."""
        level, known = self.level(version), self._known(item)
        if version in known:
            return (1.0 - self.steady) * level + self.steady * known[version]
        told = sum(share * (known[j] - self.means[j]) for j, share in self._shares(version, known))
        return level + told

    def learn(self, version: int, item: Item | None, grade: float, trust: float = 1.0) -> None:
        """``trust``: how many exact grades it is worth."""
        known = self._known(item)
        if version in known:
            self._asked_again(version, known[version], grade, trust)
        else:
            shares = self._shares(version, known)
            explained = len(shares) * self._share_each(len(shares)) * self.likeness
            rest = grade - self.means[version] - sum(s * (known[j] - self.means[j]) for j, s in shares)
            direction = [(version, 1.0), *((j, -s) for j, s in shares)]
            likely = [self._scaled(version, grade) * self._scaled(j, known[j]) for j, _ in shares]
            self._update(direction, rest, self.noise[version] * max(1.0 - explained, 0.1) / trust)
            self._together[0] += sum(likely)
            self._together[1] += len(likely)
        if item is not None:
            self._remember(item, version, grade)

    def told(self, version: int, mean: float, count: float) -> None:
        """The mean of so many grades, of which the prompts are not known."""
        self._update([(version, 1.0)], mean - self.means[version], self.noise[version] / count)

    def forget(self, version: int) -> None:
        """It has changed: what it answered before says nothing of it any more."""
        for i, row in enumerate(self.covariance):
            row[version] = self.covariance[version][i] = 0.0
        self.covariance[version][version] = self._first_variance[version]
        self.means[version] = self._first[version]
        for known in self._grades.values():
            known.pop(version, None)
        self._sure = _inverse_diagonal(self.covariance)

    def _known(self, item: Item | None) -> dict[int, float]:
        return {} if item is None else self._grades.get(item, {})

    def _remember(self, item: Item, version: int, grade: float) -> None:
        known = self._grades.pop(item, {})
        known[version] = grade
        self._grades[item] = known
        if len(self._grades) > REMEMBERED:
            del self._grades[next(iter(self._grades))]

    def _share_each(self, others: int) -> float:
        """Of each other version's surprise at a prompt, in standard deviations, what is to be expected of one more."""
        return self.likeness / (1.0 + JITTER + (others - 1) * self.likeness)

    def _shares(self, version: int, known: dict[int, float]) -> list[tuple[int, float]]:
        others = [j for j in known if j != version]
        each = self._share_each(len(others))
        return [(j, each * math.sqrt(self.noise[version] / self.noise[j])) for j in others]

    def _scaled(self, version: int, grade: float) -> float:
        return (grade - self.means[version]) / math.sqrt(self.noise[version])

    def _asked_again(self, version: int, before: float, grade: float, trust: float) -> None:
        steady = self.steady
        self._again[0] += self._scaled(version, grade) * self._scaled(version, before)
        self._again[1] += 1.0
        fresh = 1.0 - steady
        rest = grade - steady * before - fresh * self.means[version]
        self._update([(version, fresh)], rest, (1.0 - steady * steady) * self.noise[version] / trust)

    def _update(self, direction: Sequence[tuple[int, float]], rest: float, noise: float) -> None:
        observed(self.means, self.covariance, direction, rest, noise)
        for j, w in direction:
            self._sure[j] += w * w / noise


def observed(
    means: list[float], covariance: list[list[float]], direction: Sequence[tuple[int, float]], rest: float, noise: float
) -> None:
    """In place: with an observation of the sum along ``direction``, which was missed by ``rest``."""
    moved = [sum(w * row[j] for j, w in direction) for row in covariance]
    whole = sum(w * moved[j] for j, w in direction) + noise
    for i, (row, by) in enumerate(zip(covariance, moved, strict=True)):
        means[i] += by * rest / whole
        if by:
            share = by / whole
            covariance[i] = [c - share * m for c, m in zip(row, moved, strict=True)]


def _inverse_diagonal(matrix: Sequence[Sequence[float]]) -> list[float]:
    """Of a symmetric positive definite matrix: the diagonal of its inverse, by Gauss and Jordan."""
    n = len(matrix)
    left = [list(row) for row in matrix]
    right = [[1.0 if i == j else 0.0 for j in range(n)] for i in range(n)]
    for i in range(n):
        pivot = max(left[i][i], 1e-12)
        left[i], right[i] = [x / pivot for x in left[i]], [x / pivot for x in right[i]]
        for k in range(n):
            by = left[k][i]
            if k != i and by:
                left[k] = [x - by * y for x, y in zip(left[k], left[i], strict=True)]
                right[k] = [x - by * y for x, y in zip(right[k], right[i], strict=True)]
    return [right[i][i] for i in range(n)]


def _inside(share: float) -> float:
    return min(max(share, 0.0), 1.0)
