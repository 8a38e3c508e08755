"""Selection: who should serve a task, who stands in, how sure that is, and why.

Owns: the hard criteria, the choice inside the Pareto set, the quality floor, the reasons in sentences.
Never: loading or routing anything, how utility is computed (scoring.py).

1. Filter: active, capabilities, hardware, context, memory, latency, quality threshold. The unknown disqualifies nobody.
2. Score each by scoring.py; best first.
3. A version that is credibly far below the best quality (QUALITY_FLOOR), or worse than another in every known
   dimension, serves only when nothing else is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..errors import NoQualifyingModel
from .registry import Lifecycle, ModelVersion
from .scoring import (
    EMPTY,
    MIN_SAMPLES,
    Scale,
    Scored,
    Stats,
    dominates,
    pareto_front,
    probability_best,
    probability_better,
    row,
    score,
)
from .snapshot import RowView, Why, to_wire
from .stats import Dimensions
from .tasks import Criteria, Task
from .words import mib, plural, samples, share

QUALITY_FLOOR = 0.7  # of the best version's quality, both by their credible bounds
NOBODY: Mapping[str, str] = {}
ANY_CPU = frozenset({"cpu"})


@dataclass(frozen=True)  # no slots: cached_property needs a __dict__
class Selection:
    """``primary`` and ``fallback`` are versions; ``confidence`` in 0..1 is P(primary is better than the runner-up).

    ``scores`` has a row for every version that qualifies, best utility first; ``disqualified``: version -> why not.
    """

    primary: str
    fallback: str | None
    confidence: float
    reasoning: tuple[str, ...]
    disqualified: Mapping[str, str]
    ranked: Sequence[Scored] = field(repr=False)
    criteria: Criteria = field(default_factory=Criteria)  # those that were asked, and when
    at: float = 0.0

    @cached_property
    def scores(self) -> tuple[RowView, ...]:
        """Built when asked for: whoever only routes a request does not pay for the table."""
        front = pareto_front({s.version: s.stats for s in self.ranked})
        best = probability_best(self.ranked)
        return tuple(row(s, rank, s.version in front, best[s.version]) for rank, s in enumerate(self.ranked, start=1))

    def as_dict(self) -> dict[str, Any]:
        """The fields of the wire's answer, rows still as RowView."""
        return {
            "primary": self.primary,
            "fallback": self.fallback,
            "confidence": self.confidence,
            "scores": self.scores,
            "reasoning": list(self.reasoning),
        }


def select(
    task: Task,
    versions: Iterable[ModelVersion],
    stats: Mapping[str, Stats],
    *,
    now: float,
    criteria: Criteria | None = None,
    hardware: frozenset[str] = ANY_CPU,
    memory_limit: int | None = None,
    barred: Mapping[str, str] = NOBODY,
) -> Selection:
    """Who should serve ``task`` now (unix seconds). ``stats``: version -> what was measured of it on this task.

    ``criteria`` replaces the task's own; ``hardware`` is what this machine has; ``memory_limit`` the pool's bytes;
    ``barred``: version -> why it may not, whatever was measured.
    Raises NoQualifyingModel with ``details["reasons"]``: version -> why it does not qualify.
    """
    asked = criteria or task.criteria
    scale, priors = Scale.of(asked, now), task.priors
    ranked: list[Scored] = []
    reasons: dict[str, str] = {}
    for version in versions:
        name = version.version
        known = stats.get(name, EMPTY)
        reason = (barred.get(name) if barred else None) or disqualified(
            version, asked, known, hardware=hardware, memory_limit=memory_limit
        )
        if reason is None:
            ranked.append(score(scale, version, known, priors))
        else:
            reasons[name] = reason
    if not ranked:
        raise NoQualifyingModel(_nobody(task.name, reasons), details={"reasons": reasons, "why": _why(reasons)})
    ranked.sort(key=lambda s: s.order)
    return chosen(task, ranked, reasons, criteria=asked, at=now)


def chosen(
    task: Task,
    ranked: Sequence[Scored],
    reasons: Mapping[str, str],
    *,
    criteria: Criteria | None = None,
    at: float = 0.0,
) -> Selection:
    """The choice among those that qualify (``ranked``, best first, not empty); ``reasons``: why the others don't."""
    best = contenders(ranked, at_most=2)
    primary, fallback = best[0], best[1] if len(best) > 1 else _next(ranked, best[0])
    confidence = _confidence(primary, fallback)
    return Selection(
        primary=primary.version,
        fallback=fallback.version if fallback else None,
        confidence=confidence,
        reasoning=_reasoning(task, primary, fallback, confidence, len(ranked), len(reasons)),
        disqualified=reasons,
        ranked=ranked,
        criteria=criteria or task.criteria,
        at=at,
    )


def disqualified(
    version: ModelVersion,
    criteria: Criteria,
    stats: Stats,
    *,
    hardware: frozenset[str] = ANY_CPU,
    memory_limit: int | None = None,
) -> str | None:
    """Why ``version`` may not serve, as a sentence; None if it may. Only what is known can disqualify."""
    if version.lifecycle is not Lifecycle.ACTIVE:
        return f"is {version.lifecycle}, not active"
    if not criteria.capabilities <= version.capabilities:
        return f"lacks {', '.join(sorted(criteria.capabilities - version.capabilities))}"
    if version.hardware not in hardware:
        return f"needs {version.hardware}; this machine has {', '.join(sorted(hardware)) or 'nothing known'}"
    if criteria.hardware not in (None, version.hardware):
        return f"runs on {version.hardware}, {criteria.hardware} is asked for"
    if criteria.min_context is not None and version.context is not None and version.context < criteria.min_context:
        return f"context of {version.context} tokens, {criteria.min_context} needed"
    if memory_limit is not None or criteria.max_memory_bytes is not None:
        reason = _too_large(version, criteria, stats, memory_limit)
        if reason is not None:
            return reason
    return None if criteria.max_latency_s is criteria.quality_threshold is None else _too_weak(criteria, stats)


def _too_large(version: ModelVersion, criteria: Criteria, stats: Stats, memory_limit: int | None) -> str | None:
    needed = version.file_bytes if stats.memory_bytes is None else stats.memory_bytes
    if needed is None:
        return None
    if memory_limit is not None and needed > memory_limit:
        return f"needs {mib(needed)}, more than the pool's whole budget of {mib(memory_limit)}"
    if criteria.max_memory_bytes is not None and needed > criteria.max_memory_bytes:
        return f"needs {mib(needed)}, at most {mib(criteria.max_memory_bytes)} asked for"
    return None


def _too_weak(criteria: Criteria, stats: Stats) -> str | None:
    if stats.samples < MIN_SAMPLES:
        return None
    latency, quality = stats.latency_p50_s, stats.quality
    if criteria.max_latency_s is not None and latency is not None and latency > criteria.max_latency_s:
        return f"median latency {latency:.3g} s, at most {criteria.max_latency_s:.3g} s asked for"
    if criteria.quality_threshold is None or quality is None or stats.quality_weight < MIN_SAMPLES:
        return None
    if quality < criteria.quality_threshold:
        return f"quality {share(quality)}, at least {share(criteria.quality_threshold)} asked for"
    return None


def contenders(ranked: Sequence[Scored], at_most: int | None = None) -> list[Scored]:
    """Those of ``ranked`` (best first) that may serve: undominated and above the quality floor; never empty."""
    floor = QUALITY_FLOOR * max([s.stats.quality_interval[0] for s in ranked], default=0.0)
    known = [s.stats.dimensions for s in ranked if s.stats.samples >= MIN_SAMPLES]
    found: list[Scored] = []
    ahead = 0  # of those that are known, how many rank before: most often one of them is the better one, if any is
    for scored in ranked:
        stats = scored.stats
        measured = stats.samples >= MIN_SAMPLES
        ahead += measured
        if stats.quality_interval[1] < floor:
            continue
        if measured and _dominated(stats.dimensions, known[: ahead - 1], known[ahead:]):
            continue
        found.append(scored)
        if len(found) == at_most:
            break
    return found or list(ranked[:at_most])


def _dominated(mine: Dimensions, better: Sequence[Dimensions], others: Sequence[Dimensions]) -> bool:
    for other in better:
        if dominates(other, mine):
            return True
    return any(dominates(other, mine) for other in _rivals(others, mine[0]))


def _rivals(known: Sequence[Dimensions], quality: float | None) -> Sequence[Dimensions]:
    """Only what has at least this quality can dominate: for the best of many, that leaves few to compare."""
    if quality is None:
        return known
    return [other for other in known if other[0] is not None and other[0] >= quality]


def _next(ranked: Sequence[Scored], primary: Scored) -> Scored | None:
    return next((s for s in ranked if s is not primary), None)


def _confidence(primary: Scored, rival: Scored | None) -> float:
    if primary.stats.samples < MIN_SAMPLES:
        return 0.5 if rival is None else min(0.5, probability_better(primary, rival))
    return 1.0 if rival is None else probability_better(primary, rival)


def _reasoning(
    task: Task, primary: Scored, fallback: Scored | None, confidence: float, qualified: int, out: int
) -> tuple[str, ...]:
    verb = "qualifies" if qualified == 1 else "qualify"
    lines = [f"{qualified} of {plural(qualified + out, 'version')} {verb} for {task.name}."]
    if primary.stats.samples < MIN_SAMPLES:
        lines.append(
            f"{primary.version} has {primary.stats.samples} of {MIN_SAMPLES} samples, so its score is "
            f"{share(primary.utility)}; it is chosen by its bundled prior of {share(primary.prior)}."
        )
    else:
        lines.append(f"{primary.version} scores {share(primary.utility)}: {describe(primary.stats)}.")
    if fallback is None:
        lines.append("There is no fallback.")
    else:
        lead = primary.utility - fallback.utility
        place = "behind" if lead >= 0 else "ahead, but worse in every known dimension or below the quality floor"
        lines.append(
            f"{fallback.version} is the fallback, {share(abs(lead))} {place}; "
            f"the choice is right with P = {share(confidence)}."
        )
    return tuple(lines)


def describe(stats: Stats) -> str:
    """The known figures in a few words."""
    parts = []
    if stats.quality is not None:
        parts.append(f"quality {share(stats.quality)} ({stats.quality_source})")
    if stats.latency_p50_s is not None:
        parts.append(f"median {stats.latency_p50_s:.2g} s")
    if stats.memory_bytes is not None:
        parts.append(mib(stats.memory_bytes))
    if stats.success_rate is not None:
        parts.append(f"success {share(stats.success_rate)}")
    return f"{', '.join(parts)} on {samples(stats.samples)}"


def _nobody(task: str, reasons: Mapping[str, str]) -> str:
    if not reasons:
        return f"no model is registered that could serve {task}"
    listed = "; ".join(f"{version} {reason}" for version, reason in list(reasons.items())[:3])
    return f"nothing qualifies for {task}: {listed}{' …' if len(reasons) > 3 else ''}"


def _why(reasons: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        to_wire(Why(rule="qualifies", value=version, threshold=reason, would_change_if=f"{version} qualified"))
        for version, reason in reasons.items()
    ]
