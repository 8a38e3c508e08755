"""Scoring: the utility of each version on a task, its uncertainty, the Pareto set, P(best), the leaderboard.

Owns: how measurements become one comparable number. Never: choosing who serves (selection.py), measuring, randomness.

Utility = .4 quality + .3 latency + .1 memory + .1 reliability + .1 recency (weights per task, summing to 1), each share
in 0..1 and normalised against the task's own fixed budgets, never against the other models: adding one reorders nobody.
A version with fewer than 10 samples scores .5. Units: seconds, bytes, joules; unknown is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from .registry import ModelVersion
from .snapshot import RowView
from .stats import EMPTY, Dimensions, Stats, Z, beta_sd
from .tasks import Criteria, Preference, Task, Weights

__all__ = [
    "EMPTY", "MIN_SAMPLES", "Scale", "Scored", "Stats", "Z", "dominates", "leaderboard", "pareto_front",
    "prior_of", "probability_best", "probability_better", "row", "score",
]  # fmt: skip

MIN_SAMPLES = 10
COLD_UTILITY = NO_PRIOR = 0.5
COLD_SD = 0.2
PRIOR_STRENGTH = 2.0  # grades that a bundled prior is worth; without one the prior is Beta(1, 1)
RECENCY_HALF_LIFE_S = 7 * 86_400.0
UNIFORM_SD = 12**-0.5  # of a share of which nothing is known
GRID_Z = tuple(-4.0 + i * 0.25 for i in range(33))
GRID_MODELS = 8
SETTLED_SCALES = 16  # utilities kept for one version's figures, one per scale that was asked for


class Scored(NamedTuple):
    """One version's place: ``utility`` in 0..1, ``sd`` its standard deviation, ``prior`` what breaks a tie."""

    version: str
    stats: Stats
    utility: float
    sd: float
    prior: float
    parallel: int = 1

    @property
    def order(self) -> tuple[float, float, int, str]:
        """Sorts best first; ties go to the better bundled prior, to whoever answers more requests at once, then to the
        name, never to the order of arrival."""
        return (-self.utility, -self.prior, -self.parallel, self.version)


@dataclass(frozen=True, slots=True)
class Scale:
    """What a task measures by: its normalised weights and fixed budgets, at one moment (unix seconds)."""

    ruler: Ruler
    now: float

    @classmethod
    def of(cls, criteria: Criteria, now: float) -> Scale:
        latency, memory = criteria.latency_budget_s, float(criteria.memory_budget_bytes)
        return cls(_ruler(criteria.weights, criteria.preference, latency, memory), now)

    @property
    def weights(self) -> Weights:
        return self.ruler.weights

    @property
    def latency_budget_s(self) -> float:
        return self.ruler.latency_budget_s


@dataclass(frozen=True, slots=True, eq=False)
class Ruler:
    """The part of a scale that stays the same from hour to hour. Compared by identity: as a key it costs nothing."""

    weights: Weights
    latency_budget_s: float
    memory_budget_bytes: float


@lru_cache(maxsize=256)
def _ruler(weights: Weights, preference: Preference | None, latency_s: float, memory_bytes: float) -> Ruler:
    return Ruler(weights.preferring(preference), max(latency_s, 1e-9), max(memory_bytes, 1.0))


def score(scale: Scale, version: ModelVersion, stats: Stats, priors: Mapping[str, float]) -> Scored:
    """The utility of one version. It depends on nothing but its own measurements and the task's scale."""
    prior = prior_of(version, priors) if priors else NO_PRIOR
    if stats.samples < MIN_SAMPLES:
        return Scored(version.version, stats, COLD_UTILITY, COLD_SD, prior, version.parallel)
    ruler = scale.ruler
    settled, sd = stats.settled.get((ruler, prior)) or _settled(ruler, stats, prior)
    utility = settled + ruler.weights.recency * _recency(stats, scale.now)
    return Scored(version.version, stats, utility, sd, prior, version.parallel)


def _settled(ruler: Ruler, stats: Stats, prior: float) -> tuple[float, float]:
    """All of the utility that does not depend on the hour, and its sd: worked out once for these figures."""
    if len(stats.settled) >= SETTLED_SCALES:
        stats.settled.clear()
    known = stats.settled[ruler, prior] = _settle(ruler, stats, prior)
    return known


def _settle(ruler: Ruler, stats: Stats, prior: float) -> tuple[float, float]:
    weights = ruler.weights
    quality, quality_sd = _quality(stats, prior)
    latency, latency_sd = _latency(stats, ruler.latency_budget_s)
    memory, memory_sd = _memory(stats, ruler.memory_budget_bytes)
    utility = (
        weights.quality * quality
        + weights.latency * latency
        + weights.memory * memory
        + weights.reliability * (stats.success_rate or 0.0)
    )
    sd = math.hypot(
        weights.quality * quality_sd,
        weights.latency * latency_sd,
        weights.memory * memory_sd,
        weights.reliability * stats.success_sd,
    )
    return utility, sd


def beside_quality(scale: Scale, stats: Stats) -> tuple[float, float]:
    """What all but quality and recency add to the utility, and its standard deviation; the unknown is worth half."""
    ruler, weights = scale.ruler, scale.ruler.weights
    latency, latency_sd = _latency(stats, ruler.latency_budget_s)
    memory, memory_sd = _memory(stats, ruler.memory_budget_bytes)
    success = 0.5 if stats.success_rate is None else stats.success_rate
    value = weights.latency * latency + weights.memory * memory + weights.reliability * success
    reliability_sd = UNIFORM_SD if stats.success_rate is None else stats.success_sd
    return value, math.hypot(
        weights.latency * latency_sd, weights.memory * memory_sd, weights.reliability * reliability_sd
    )


def prior_of(version: ModelVersion, priors: Mapping[str, float]) -> float:
    """The bundled prior quality of a version: by its name, its model, its family; .5 if there is none."""
    for name in (version.version, version.model, version.family):
        if name is not None and name in priors:
            return min(1.0, max(0.0, priors[name]))
    return NO_PRIOR


def _quality(stats: Stats, prior: float) -> tuple[float, float]:
    good = stats.hits + PRIOR_STRENGTH * prior
    bad = stats.misses + PRIOR_STRENGTH * (1.0 - prior)
    return good / (good + bad), beta_sd(good, bad)


def _latency(stats: Stats, budget_s: float) -> tuple[float, float]:
    median, error = stats.latency_p50_s, stats.latency_error_s
    if median is None:
        return 0.5, UNIFORM_SD
    return max(0.0, 1.0 - median / budget_s), UNIFORM_SD if error is None else min(UNIFORM_SD, error / budget_s)


def _memory(stats: Stats, budget_bytes: float) -> tuple[float, float]:
    if stats.memory_bytes is None:
        return 0.5, UNIFORM_SD
    return max(0.0, 1.0 - stats.memory_bytes / budget_bytes), 0.0


def _recency(stats: Stats, now: float) -> float:
    """1 for evidence from now, halved every RECENCY_HALF_LIFE_S."""
    if stats.last_at is None:
        return 0.0
    return math.exp2((stats.last_at - now) / RECENCY_HALF_LIFE_S) if stats.last_at < now else 1.0


def probability_better(a: Scored, b: Scored) -> float:
    """P(the true utility of ``a`` is above that of ``b``), by the normal approximation."""
    return _below((a.utility - b.utility) / max(math.hypot(a.sd, b.sd), 1e-9))


def _below(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


def dominates(a: Dimensions, b: Dimensions) -> bool:
    """Whether ``a`` is at least as good wherever ``b`` is known, and better somewhere. The unknown never does."""
    better = False
    for mine, theirs in zip(a, b, strict=True):
        if theirs is None:
            continue
        if mine is None or mine < theirs:
            return False
        better = better or mine > theirs
    return better


def pareto_front(stats: Mapping[str, Stats]) -> frozenset[str]:
    """The versions of which no other is better in every known dimension. The unmeasured are not on it."""
    known = {name: s.dimensions for name, s in stats.items() if s.samples > 0}
    return frozenset(n for n, mine in known.items() if not any(dominates(other, mine) for other in known.values()))


def probability_best(scored: Sequence[Scored]) -> dict[str, float]:
    """P(best) of each, summing to 1: independent normals, integrated on a grid that is fine where the best ones lie.

    P_i is the sum over cells of [F_i(right) - F_i(left)] x product over j != i of F_j(middle).
    """
    if not scored:
        return {}
    spread = [(s.utility, max(s.sd, 1e-4)) for s in scored]
    floor = max(mean - 4.0 * sd for mean, sd in spread)
    alive = [i for i, (mean, sd) in enumerate(spread) if mean + 4.0 * sd >= floor]
    shares = dict.fromkeys(range(len(scored)), 0.0)
    shares.update(_integrate({i: spread[i] for i in alive}))
    total = sum(shares.values())
    return {s.version: shares[i] / total for i, s in enumerate(scored)}


def _integrate(spread: Mapping[int, tuple[float, float]]) -> dict[int, float]:
    leading = sorted(spread.values(), key=lambda pair: -(pair[0] + 2.0 * pair[1]))[:GRID_MODELS]
    grid = sorted({mean + z * sd for mean, sd in leading for z in GRID_Z})
    middles = [(left + right) / 2.0 for left, right in pairwise(grid)]
    below = {i: [_below((x - mean) / sd) for x in middles] for i, (mean, sd) in spread.items()}
    everyone = [math.prod(cell) for cell in zip(*below.values(), strict=True)]
    shares = {}
    for i, (mean, sd) in spread.items():
        inside = [right - left for left, right in pairwise([_below((x - mean) / sd) for x in grid])]
        cells = zip(inside, everyone, below[i], strict=True)
        shares[i] = 1e-12 + sum(here * all_ / mine for here, all_, mine in cells if here > 0.0 and mine > 0.0)
    return shares


def leaderboard(
    task: Task, versions: Sequence[ModelVersion], stats: Mapping[str, Stats], *, now: float
) -> tuple[RowView, ...]:
    """The rows of a task, best first; ``stats`` by version, for this task. ``now`` in unix seconds."""
    scale = Scale.of(task.criteria, now)
    ranked = [score(scale, v, stats.get(v.version, EMPTY), task.priors) for v in versions]
    ranked.sort(key=lambda s: s.order)
    front = pareto_front({s.version: s.stats for s in ranked})
    best = probability_best(ranked)
    return tuple(row(s, rank, s.version in front, best[s.version]) for rank, s in enumerate(ranked, start=1))


def row(scored: Scored, rank: int, on_front: bool, p_best: float | None = None) -> RowView:
    """One version as the doors show it."""
    stats = scored.stats
    return RowView(
        version=scored.version,
        rank=rank,
        utility=scored.utility,
        utility_low=max(0.0, scored.utility - Z * scored.sd),
        utility_high=min(1.0, scored.utility + Z * scored.sd),
        quality=stats.quality,
        quality_source=stats.quality_source,
        latency_p50_s=stats.latency_p50_s,
        latency_p95_s=stats.latency_p95_s,
        memory_bytes=stats.memory_bytes,
        energy_j=stats.energy_j,
        success_rate=stats.success_rate,
        samples=stats.samples,
        p_best=p_best,
        on_pareto_front=on_front,
    )
