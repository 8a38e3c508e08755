"""Elsewhere: what the versions showed on other tasks, as an expectation for one that is new to them.

Owns: that expectation, with what is not known of it and how the versions' errors go together. Never: a grade of the
task itself, apart from how hard it is for all of them.

In log-odds, a version's distance from the mean of all versions on this task is a weighted sum of its distances on the
other tasks, plus something of its own. The weights are not known: they are about CARRIED in all, ALIKE apart, so the
tasks that turn out to go with this one count by what its own grades show (Bayesian linear regression; MacKay 1992).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CARRIED = 0.7  # of what a version showed on the other tasks, on average
ALIKE, OWN = 1.0, 0.6  # standard deviations: of the other tasks' weights, together; of what is a version's own here
WEIGHT = 5.0  # grades that the expectation is worth where only its variance is asked for
LEAST_SLOPE = 0.06
Grades = Mapping[str, Sequence[float]]  # of each version


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Of versions in one order: the expected grade, and the covariance of what it misses."""

    means: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


def elsewhere(known: Mapping[str, Grades], task: str) -> Elsewhere | None:
    """For the versions of ``task``, in the order that they have there. None without another task."""
    names = list(known[task])
    distances = [_distances(of) for other, of in known.items() if other != task and len(of) > 1 and all(of.values())]
    told = [[far.get(name) for far in distances] for name in names]
    if not any(d is not None for row in told for d in row):
        return None
    here = statistics.fmean(_odds(of) for of in known[task].values())
    means = [_share(here + CARRIED * statistics.fmean([d for d in row if d is not None] or [0.0])) for row in told]
    slopes = [_slope(mean, known[task][name]) for mean, name in zip(means, names, strict=True)]
    rows = []
    for i, (mine, steep) in enumerate(zip(told, slopes, strict=True)):
        shared = [ALIKE**2 * _product(mine, other) / len(distances) for other in told]
        shared[i] += OWN**2
        rows.append(tuple(steep * slope * value for slope, value in zip(slopes, shared, strict=True)))
    return Elsewhere(tuple(means), tuple(rows))


def _distances(of: Grades) -> dict[str, float]:
    odds = {name: _odds(grades) for name, grades in of.items()}
    middle = statistics.fmean(odds.values())
    return {name: value - middle for name, value in odds.items()}


def _product(a: Sequence[float | None], b: Sequence[float | None]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True) if x is not None and y is not None)


def _slope(mean: float, grades: Sequence[float]) -> float:
    """By how much a grade changes with its log-odds, at about where this version's are."""
    level = (sum(grades) + WEIGHT * mean) / (len(grades) + WEIGHT)
    return max(level * (1.0 - level), LEAST_SLOPE)


def _odds(grades: Sequence[float]) -> float:
    """The logarithm of the odds of a good answer, with one of each kind for a start."""
    good = sum(grades) + 1.0
    return math.log(good / (len(grades) + 2.0 - good))


def _share(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds))
