"""Other tasks: what the versions showed there, as an expectation for one task.

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
Grades = Mapping[str, tuple[float, float]]  # of each version: the sum of its grades, and their number


@dataclass(frozen=True, slots=True)
class Told:
    """Of versions in one order: the expected grade, and the covariance of what it misses. ``known``: whether any other
    task tells of the version itself."""

    means: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    known: tuple[bool, ...]


def from_other_tasks(graded: Mapping[str, Grades], task: str) -> Told | None:
    """For the versions of ``task``, in the order that they have there. None without another task where at least two
    were graded, and all that it names."""
    names = list(graded[task])
    distances = [_distances(of) for other, of in graded.items() if other != task and len(of) > 1 and _all_graded(of)]
    told = [[far.get(name) for far in distances] for name in names]
    if not any(d is not None for row in told for d in row):
        return None
    carried = [CARRIED * statistics.fmean([d for d in row if d is not None] or [0.0]) for row in told]
    here = _middle([graded[task][name] for name in names], carried)
    means = [_share(here + far) for far in carried]
    slopes = [_slope(mean, graded[task][name]) for mean, name in zip(means, names, strict=True)]
    rows = []
    for i, (mine, steep) in enumerate(zip(told, slopes, strict=True)):
        shared = [ALIKE**2 * _product(mine, other) / len(distances) for other in told]
        shared[i] += OWN**2
        rows.append(tuple(steep * slope * value for slope, value in zip(slopes, shared, strict=True)))
    return Told(tuple(means), tuple(rows), tuple(any(d is not None for d in row) for row in told))


def _all_graded(of: Grades) -> bool:
    return all(n for _, n in of.values())


def _middle(here: Sequence[tuple[float, float]], carried: Sequence[float]) -> float:
    """The log-odds of this task itself: of those that were graded here, without what is theirs elsewhere, too."""
    graded = [_odds(of) - far for of, far in zip(here, carried, strict=True) if of[1]]
    return statistics.fmean(graded) if graded else 0.0


def _distances(of: Grades) -> dict[str, float]:
    odds = {name: _odds(grades) for name, grades in of.items()}
    middle = statistics.fmean(odds.values())
    return {name: value - middle for name, value in odds.items()}


def _product(a: Sequence[float | None], b: Sequence[float | None]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True) if x is not None and y is not None)


def _slope(mean: float, grades: tuple[float, float]) -> float:
    """By how much a grade changes with its log-odds, at about where this version's are."""
    good, n = grades
    level = (good + WEIGHT * mean) / (n + WEIGHT)
    return max(level * (1.0 - level), LEAST_SLOPE)


def _odds(grades: tuple[float, float]) -> float:
    """The logarithm of the odds of a good answer, with one of each kind for a start."""
    good, n = grades
    return math.log((good + 1.0) / (n + 1.0 - good))


def _share(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds))
