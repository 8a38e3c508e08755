"""Posterior: what each version is worth on a task by the live policy, with how sure that is.

Owns: turning what was measured and what is expected into the beliefs by which the policy ``bandit`` decides. Never: a
veto, a swap (autoswap.py), the specified score and its table (scoring.py), which stay as they are.

The bandit's own arms (belief.py) see utilities: a grade q of a version whose other shares (latency, memory,
reliability) come to c counts as w q + c, w being quality's weight. So the user's weights decide what is better, and the
bandit's posterior how sure that is. Before there are grades, a version is expected to be as good as a bundled prior
says, as those that are alike are (prediction.py), or as all are, in this order; which one it was is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .belief import Arm, Counts, Estimate, Expected, estimate, spread
from .policies import DOMINATED_Z, ELSEWHERE, SWAP_Z, index, lead
from .prediction import Expectation
from .registry import ModelVersion
from .scoring import Scale, Scored, beside_quality, probability_best
from .stats import EMPTY, Stats
from .tasks import Task

AMONG_ALL = 3.0  # grades that the mean of all versions is worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """``mean``: the expected utility, without recency; ``low``, ``high``: its 90% interval; ``weight``: grades behind
    it; ``source``: where it came from before there were any (bundled, alike, all), and ``alike`` the version that it is
    most alike. ``index``: mean and what may be learnt by asking it."""

    version: str
    mean: float
    sd: float
    low: float
    high: float
    p_best: float
    weight: float
    index: float
    source: str
    alike: str | None = None


def beliefs(
    task: Task, versions: Sequence[ModelVersion], stats: Mapping[str, Stats],
    expected: Mapping[str, Expectation], now: float,
) -> tuple[Belief, ...]:  # fmt: skip
    """Of all ``versions``, best first. ``expected``: of those that nobody has graded yet."""
    scale = Scale.of(task.criteria, now)
    arms = [_arm(scale, stats.get(v.version, EMPTY)) for v in versions]
    scatter = spread(arms, scale.weights.quality**2)
    known = [stats.get(v.version, EMPTY) for v in versions]
    usual = (sum(s.hits for s in known) + 1.0) / (sum(s.quality_weight for s in known) + 2.0)
    found = []
    for version, arm in zip(versions, arms, strict=True):
        measured = stats.get(version.version, EMPTY)
        before, source, alike = _before(task, version, scale, measured, expected, usual, scatter)
        told = estimate(arm, 0, before)
        sd = math.hypot(told.whole_sd, beside_quality(scale, measured)[1])
        found.append((version, Estimate(told.mean, sd, 0.0, told.weight), source, alike))
    return _ranked(found)


def _ranked(found: Sequence[tuple[ModelVersion, Estimate, str, str | None]]) -> tuple[Belief, ...]:
    scored = [Scored(v.version, EMPTY, told.mean, max(told.sd, 1e-6), 0.5) for v, told, _, _ in found]
    best = probability_best(scored)
    rows = [
        Belief(
            version=v.version, mean=told.mean, sd=told.sd, low=max(0.0, told.mean - DOMINATED_Z * told.sd),
            high=min(1.0, told.mean + DOMINATED_Z * told.sd), p_best=best[v.version], weight=told.weight,
            index=index(told), source=source, alike=alike,
        )
        for v, told, source, alike in found
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda b: (-b.mean, b.version)))


def _arm(scale: Scale, stats: Stats) -> Arm:
    """What was graded, as utilities. A changed version's past is gone from its statistics already (drift.py)."""
    n, w = stats.quality_weight, scale.weights.quality
    if n <= 0.0:
        return Arm()
    beside = beside_quality(scale, stats)[0]
    mean = stats.hits / n
    squares = sum(q * q for q, _ in stats.grades) / len(stats.grades) if stats.grades else mean
    good = w * stats.hits + beside * n
    whole = n * (w * w * squares + 2.0 * w * beside * mean + beside * beside)
    return Arm(normal=Counts(good=good, bad=n - good, squares=whole), samples=round(n))


def _before(
    task: Task, version: ModelVersion, scale: Scale, stats: Stats, expected: Mapping[str, Expectation], usual: float,
    scatter: float,
) -> tuple[Expected, str, str | None]:  # fmt: skip
    """What is expected of it without its grades, as a utility, and by whose word."""
    names = (version.version, version.model, version.family)
    bundled = next((task.priors[name] for name in names if name is not None and name in task.priors), None)
    told = expected.get(version.version)
    quality, source, weight = usual, "all", AMONG_ALL
    if bundled is not None:
        quality, source, weight = bundled, "bundled", ELSEWHERE
    elif told is not None:
        quality, source, weight = told.value, "alike", ELSEWHERE
    mean = scale.weights.quality * quality + beside_quality(scale, stats)[0]
    return (
        Expected(quality=mean, weight=weight, spread=scatter),
        source,
        told.alike if told and source == "alike" else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Of one version over another: by how much it leads, the bound below which that is with P < .005, and what is
    gained on average by taking the better one of both."""

    by: float
    low: float
    high: float
    expected: float


def gain(a: Belief, b: Belief) -> Gain:
    sd = math.hypot(a.sd, b.sd)
    by = a.mean - b.mean
    z = by / max(sd, 1e-9)
    density, below = math.exp(-0.5 * min(z * z, 700.0)) / math.sqrt(2.0 * math.pi), 0.5 * math.erfc(-z / math.sqrt(2.0))
    return Gain(by=by, low=by - SWAP_Z * sd, high=by + SWAP_Z * sd, expected=max(0.0, by * below + sd * density))


def surely_worse(one: Belief, others: Sequence[Belief]) -> bool:
    """Whether another one is better with P > .95: then there is nothing to be learnt by asking it."""
    mine = Estimate(one.mean, one.sd, 0.0, one.weight)
    return any(lead(Estimate(o.mean, o.sd, 0.0, o.weight), mine) > DOMINATED_Z for o in others)
