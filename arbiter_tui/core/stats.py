"""Stats: the bounded aggregate of what was measured of one version on one task.

Owns: folding outcomes and grades into figures, and forgetting after a detected change. Never: judging.
Units: seconds, bytes, joules; unknown is None. Percentiles are computed when first asked for and then kept, so that a
selection among many versions reads numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from .cost import Outcome, percentile

T = TypeVar("T")
Dimensions = tuple[float | None, float | None, float | None, float | None]

WINDOW = 200  # newest latencies, rates, grades
SUCCESS_WINDOW = 100  # newest requests from which the success rate comes

TRUST: Mapping[str, float] = {
    "suite": 1.0,
    "sentinel": 1.0,
    "verifier": 1.0,
    "feedback": 0.6,
    "judge": 0.4,
    "reported": 0.8,
}
UNKNOWN_TRUST = 0.5
FIRM = 0.8  # sources trusted so much, or more, are bounded by nothing
ALONE = 30.0  # exact grades that another source is worth at most where firm ones say little
Z = 1.645  # intervals are 90%: each bound is passed with P = .05


@dataclass(frozen=True)  # no slots: cached_property needs a __dict__
class Stats:
    """Everything measured of one version on one task, bounded. Immutable: ``add`` returns another one.

    ``hits`` and ``misses`` are trust-weighted grades (a grade of .7 with trust 1 is .7 hits and .3 misses): with a
    prior they are the Beta posterior of quality. However many grades come from one source below FIRM, of trust t, they
    weigh at most ALONE grades, or t / (1 - t) of what the firm ones do, and so move the mean by no more than t of the
    way. ``told``: source -> its hits and misses before that bound; ``quality_sources``: source -> what it weighs.
    Latencies are those of answered requests, without the wait in the queue (that is the load's, not the model's).
    """

    samples: int = 0
    successes: int = 0
    failures: int = 0
    hits: float = 0.0
    misses: float = 0.0
    quality_sources: Mapping[str, float] = field(default_factory=dict)
    told: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    latencies: tuple[float, ...] = ()
    ttfts: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    energies: tuple[float, ...] = ()
    grades: tuple[tuple[float, str], ...] = ()
    results: tuple[bool, ...] = ()
    memory_bytes: int | None = None
    last_at: float | None = None

    def add(self, outcome: Outcome) -> Stats:
        """With one more outcome. Cancelled and malformed requests say nothing about the model and change nothing."""
        return self.add_all((outcome,))

    def add_all(self, outcomes: Sequence[Outcome]) -> Stats:
        """With several more, the oldest first: as one after another, at a fraction of the cost."""
        seen = [o for o in outcomes if o.counts]
        if not seen:
            return self
        good = [o for o in seen if o.success]
        held = [o.memory_bytes for o in good if o.memory_bytes is not None]
        grown = replace(
            self,
            samples=self.samples + len(seen),
            successes=self.successes + len(good),
            failures=self.failures + len(seen) - len(good),
            latencies=_keep(self.latencies, [_served(o) for o in good]),
            ttfts=_keep(self.ttfts, [o.ttft_s for o in good]),
            rates=_keep(self.rates, [o.tokens_per_second for o in good]),
            energies=_keep(self.energies, [o.energy_j for o in good]),
            memory_bytes=held[-1] if held else self.memory_bytes,
            results=(*self.results, *(o.success for o in seen))[-SUCCESS_WINDOW:],
            last_at=max(o.at for o in seen) if self.last_at is None else max(self.last_at, *(o.at for o in seen)),
        )
        return grown._graded([(o.quality, o.quality_source) for o in seen])

    def graded(self, quality: float | None, source: str | None = None) -> Stats:
        """With one more grade (0..1), which may come long after its request. None moves nothing."""
        return self._graded([(quality, source)])

    def _graded(self, several: Sequence[tuple[float | None, str | None]]) -> Stats:
        told, grades = dict(self.told), list[tuple[float, str]]()
        for quality, source in several:
            if quality is None:
                continue
            grade, name = min(1.0, max(0.0, quality)), source or "unknown"
            trust = trust_of(name)
            good, bad = told.get(name, (0.0, 0.0))
            told[name] = (good + trust * grade, bad + trust * (1.0 - grade))
            grades.append((grade, name))
        if not grades:
            return self
        hits, misses, weights = _bounded(told)
        return replace(
            self,
            hits=hits,
            misses=misses,
            quality_sources=weights,
            told=told,
            grades=(*self.grades, *grades)[-WINDOW:],
        )

    def newest(self, grades: int) -> Stats:
        """Only what came after a detected change: the newest ``grades`` grades and as many of everything else."""
        fresh = replace(
            self,
            samples=min(self.samples, max(grades, 0)),
            hits=0.0,
            misses=0.0,
            quality_sources={},
            told={},
            grades=(),
            latencies=_tail(self.latencies, grades),
            ttfts=_tail(self.ttfts, grades),
            rates=_tail(self.rates, grades),
            energies=_tail(self.energies, grades),
            results=_tail(self.results, grades),
        )
        fresh = fresh._graded(_tail(self.grades, grades))
        return replace(fresh, successes=sum(fresh.results), failures=len(fresh.results) - sum(fresh.results))

    @property
    def quality_weight(self) -> float:
        """Trust-weighted number of grades."""
        return self.hits + self.misses

    @cached_property
    def settled(self) -> dict[object, tuple[float, float]]:
        """What scoring.py has worked out of these figures, by the scale that it used. It dies with them."""
        return {}

    @cached_property
    def dimensions(self) -> Dimensions:
        """What the Pareto set compares, larger is better: quality, -latency, -memory, success rate."""
        latency, memory = self.latency_p50_s, self.memory_bytes
        return (
            self.quality,
            None if latency is None else -latency,
            None if memory is None else -float(memory),
            self.success_rate,
        )

    @cached_property
    def quality(self) -> float | None:
        """Mean grade; None when nothing has been graded."""
        return self.hits / self.quality_weight if self.quality_weight > 0 else None

    @cached_property
    def quality_interval(self) -> tuple[float, float]:
        """90% interval of the quality, in 0..1, from Beta(1, 1); all of it when nothing has been graded."""
        if self.quality_weight <= 0:
            return 0.0, 1.0
        good, bad = self.hits + 1.0, self.misses + 1.0
        mean, reach = good / (good + bad), Z * beta_sd(good, bad)
        return max(0.0, mean - reach), min(1.0, mean + reach)

    @property
    def quality_source(self) -> str | None:
        """The source that has contributed most."""
        if not self.quality_sources:
            return None
        return max(self.quality_sources, key=lambda name: (self.quality_sources[name], name))

    @cached_property
    def latency_p50_s(self) -> float | None:
        return percentile(self.latencies, 0.5)

    @cached_property
    def latency_p95_s(self) -> float | None:
        return percentile(self.latencies, 0.95)

    @cached_property
    def latency_error_s(self) -> float | None:
        """Standard error of the median latency, from the interquartile range; None below 4 values."""
        n = len(self.latencies)
        if n < 4:
            return None
        spread = (percentile(self.latencies, 0.75) or 0.0) - (percentile(self.latencies, 0.25) or 0.0)
        return 1.2533 * spread / 1.349 / math.sqrt(n)

    @cached_property
    def ttft_s(self) -> float | None:
        """Median time to the first token."""
        return percentile(self.ttfts, 0.5)

    @cached_property
    def tokens_per_second(self) -> float | None:
        """Median decode rate."""
        return percentile(self.rates, 0.5)

    @cached_property
    def energy_j(self) -> float | None:
        """Mean energy of a request."""
        return sum(self.energies) / len(self.energies) if self.energies else None

    @cached_property
    def success_rate(self) -> float | None:
        """Of the newest SUCCESS_WINDOW requests."""
        return sum(self.results) / len(self.results) if self.results else None

    @cached_property
    def success_sd(self) -> float:
        """Standard deviation of the Beta(1 + successes, 1 + failures) posterior over the same window."""
        good = sum(self.results)
        return beta_sd(1.0 + good, 1.0 + len(self.results) - good)


def trust_of(source: str) -> float:
    return TRUST.get(source, UNKNOWN_TRUST)


def _bounded(told: Mapping[str, tuple[float, float]]) -> tuple[float, float, dict[str, float]]:
    """Hits, misses, and each source's weight, none above what its trust allows."""
    firm = sum(good + bad for source, (good, bad) in told.items() if trust_of(source) >= FIRM)
    hits = misses = 0.0
    weights: dict[str, float] = {}
    for source, (good, bad) in told.items():
        trust, weight = trust_of(source), good + bad
        most = weight if trust >= FIRM else max(ALONE, firm * trust / (1.0 - trust))
        share = min(1.0, most / weight) if weight > 0.0 else 1.0
        hits, misses, weights[source] = hits + share * good, misses + share * bad, share * weight
    return hits, misses, weights


def beta_sd(a: float, b: float) -> float:
    """Standard deviation of Beta(a, b)."""
    total = a + b
    return math.sqrt(a * b / (total * total * (total + 1.0)))


EMPTY = Stats()


def _served(outcome: Outcome) -> float | None:
    """Seconds without the wait in the queue."""
    return None if outcome.latency_s is None else max(0.0, outcome.latency_s - (outcome.queue_s or 0.0))


def _keep(values: tuple[float, ...], more: Sequence[float | None]) -> tuple[float, ...]:
    known = [value for value in more if value is not None]
    return (*values, *known)[-WINDOW:] if known else values


def _tail(values: tuple[T, ...], n: int) -> tuple[T, ...]:
    return values[-n:] if n > 0 else ()
