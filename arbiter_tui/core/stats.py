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
from typing import Any, TypeVar
from zlib import crc32

from .cost import Outcome, percentile, percentile_of
from .series import Brief, Codes, Grades

T = TypeVar("T")
Answer = tuple[float, str, int | None]  # a grade, its source, the code of its prompt
Dimensions = tuple[float | None, float | None, float | None, float | None]

NOTHING = (0.0, 0.0)
WINDOW = 200  # newest latencies and grades
ASKED = 60  # newest grades of which the prompt is known, too
CODES = 65_535  # prompts are told apart by so many codes: two of sixty share one in one case of forty
FEW = 40  # newest times to the first token and rates: only their medians are shown
LATENCY_SHARES = (0.25, 0.5, 0.75, 0.95)
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
    ``seen``: how many grades there ever were, and ``forgotten`` how many of them, the oldest, a detected change made
    untrue: so the place of a grade says whether it still counts. ``items``: the codes of the prompts of the newest
    grades, 0 where unknown. ``energies``: how many were measured, at most WINDOW, and their mean. Windows are packed
    (series.py): a version's state takes at most 2 KB, compressed, however long it serves.
    """

    samples: int = 0
    successes: int = 0
    failures: int = 0
    hits: float = 0.0
    misses: float = 0.0
    quality_sources: Mapping[str, float] = field(default_factory=dict)
    told: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    latencies: Sequence[float] = ()
    ttfts: Sequence[float] = ()
    rates: Sequence[float] = ()
    energies: tuple[int, float] = (0, 0.0)
    grades: Sequence[tuple[float, str]] = ()
    seen: int = 0
    forgotten: int = 0
    items: Sequence[float] = ()
    results: Sequence[int] = ()
    memory_bytes: int | None = None
    last_at: float | None = None

    def add(self, outcome: Outcome) -> Stats:
        """With one more outcome. Cancelled and malformed requests say nothing about the model and change nothing."""
        return self.add_all((outcome,))

    def add_all(self, outcomes: Sequence[Outcome]) -> Stats:
        """With several more, the oldest first: as one after another, at a fraction of the cost."""
        seen = [o for o in outcomes if o.failure is None or o.counts]
        if not seen:
            return self
        good = [o for o in seen if o.success]
        held = next((o.memory_bytes for o in reversed(good) if o.memory_bytes is not None), self.memory_bytes)
        at = max([o.at for o in seen])
        return replace(
            self,
            **self._graded([(o.quality, o.quality_source, o.item) for o in seen if o.quality is not None]),
            samples=self.samples + len(seen),
            successes=self.successes + len(good),
            failures=self.failures + len(seen) - len(good),
            latencies=_keep(self.latencies, [_served(o) for o in good], WINDOW),
            ttfts=_keep(self.ttfts, [o.ttft_s for o in good], FEW),
            rates=_keep(self.rates, [o.tokens_per_second for o in good], FEW),
            energies=_eased(self.energies, [o.energy_j for o in good if o.energy_j is not None]),
            results=(bytes(self.results) + bytes([o.success for o in seen]))[-SUCCESS_WINDOW:],
            memory_bytes=held,
            last_at=at if self.last_at is None else max(self.last_at, at),
        )

    def graded(self, quality: float | None, source: str | None = None) -> Stats:
        """With one more grade (0..1), which may come long after its request. None moves nothing."""
        return self if quality is None else replace(self, **self._graded([(quality, source, None)]))

    def regraded(self, place: int, before: float, after: float, source: str) -> Stats:
        """With a grade corrected by its source; ``place``: how many had been seen before it. One that a detected change
        made untrue is not brought back."""
        if not self.forgotten <= place < self.seen or source not in self.told:
            return self
        trust, (good, bad) = trust_of(source), self.told[source]
        told = {
            **self.told,
            source: (max(0.0, good + trust * (after - before)), max(0.0, bad + trust * (before - after))),
        }
        hits, misses, weights = _bounded(told)
        grades, at = _grades(self.grades), place - self.seen + len(self.grades)
        if at >= 0:
            grades = grades.regraded(at, after)
        return replace(self, hits=hits, misses=misses, quality_sources=weights, told=told, grades=grades)

    def _graded(self, several: Sequence[tuple[float, str | None, str | None]]) -> dict[str, Any]:
        """What changes with these grades, sources and prompts."""
        if not several:
            return {}
        told, grades, sources = dict(self.told), list[float](), list[str]()
        name, trust, good, bad = "", 0.0, 0.0, 0.0
        for quality, source, _ in several:
            if (source or "unknown") != name:
                if name:
                    told[name] = good, bad
                name = source or "unknown"
                trust, (good, bad) = trust_of(name), told.get(name, (0.0, 0.0))
            grade = 0.0 if quality < 0.0 else 1.0 if quality > 1.0 else quality
            good += trust * grade
            bad += trust * (1.0 - grade)
            grades.append(grade)
            sources.append(name)
        told[name] = good, bad
        hits, misses, weights = _bounded(told)
        items = [0 if item is None else code_of(item) for _, _, item in several[-ASKED:]]
        return {
            "hits": hits, "misses": misses, "quality_sources": weights, "told": told,
            "seen": self.seen + len(grades), "grades": _grades(self.grades).keep(grades, sources, WINDOW),
            "items": Codes.of(self.items).keep(items, ASKED) if self.items or any(items) else (),
        }  # fmt: skip

    def behind(self, older: Stats) -> Stats:
        """With what was measured before all of it."""
        if not older.samples and not older.told:
            return self
        if not self.samples and not self.told:
            return older
        told = {
            name: (
                sum(s.told.get(name, NOTHING)[0] for s in (older, self)),
                sum(s.told.get(name, NOTHING)[1] for s in (older, self)),
            )
            for name in {**older.told, **self.told}
        }
        hits, misses, weights = _bounded(told)
        mine = list(self.grades)
        energies = min(self.energies[0] + older.energies[0], WINDOW)
        aged = max(0, energies - self.energies[0])
        return Stats(
            samples=self.samples + older.samples,
            successes=self.successes + older.successes,
            failures=self.failures + older.failures,
            hits=hits,
            misses=misses,
            quality_sources=weights,
            told=told,
            latencies=Brief.of(older.latencies).keep(list(self.latencies), WINDOW),
            ttfts=Brief.of(older.ttfts).keep(list(self.ttfts), FEW),
            rates=Brief.of(older.rates).keep(list(self.rates), FEW),
            energies=(energies, (self.energies[0] * self.energies[1] + aged * older.energies[1]) / max(energies, 1)),
            grades=_grades(older.grades).keep([grade for grade, _ in mine], [source for _, source in mine], WINDOW),
            seen=self.seen,  # places of grades are told from the newest on: what lies behind them moves none
            forgotten=self.forgotten,
            items=self.items,
            results=(bytes(older.results) + bytes(self.results))[-SUCCESS_WINDOW:],
            memory_bytes=older.memory_bytes if self.memory_bytes is None else self.memory_bytes,
            last_at=max([at for at in (older.last_at, self.last_at) if at is not None], default=None),
        )

    def newest(self, grades: int) -> Stats:
        """Only what came after a detected change: the newest ``grades`` grades and as many of everything else."""
        results, items = _tail(self.results, grades), _tail(self.items, grades)
        kept = Stats()._graded([(grade, source, None) for grade, source in _tail(self.grades, grades)])
        return Stats(
            **{**kept, "items": items, "seen": self.seen},
            samples=min(self.samples, max(grades, 0)),
            successes=sum(results),
            failures=len(results) - sum(results),
            forgotten=self.seen - len(_tail(self.grades, grades)),
            latencies=_tail(self.latencies, grades),
            ttfts=_tail(self.ttfts, grades),
            rates=_tail(self.rates, grades),
            energies=(min(self.energies[0], max(grades, 0)), self.energies[1]),
            results=results,
            memory_bytes=self.memory_bytes,
            last_at=self.last_at,
        )

    def answers(self, newest: int) -> list[Answer]:
        """So many of the newest grades, the oldest first."""
        grades = list(_tail(self.grades, newest))
        items = [int(code) or None for code in _tail(self.items, len(grades))]
        blank: list[int | None] = [None] * (len(grades) - len(items))
        return [(grade, source, item) for (grade, source), item in zip(grades, blank + items, strict=True)]

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
    def latency_quantiles(self) -> tuple[float, ...]:
        """Those of LATENCY_SHARES; empty without values."""
        ordered = sorted(self.latencies)
        return tuple([percentile_of(ordered, share) for share in LATENCY_SHARES]) if ordered else ()

    @cached_property
    def latency_p50_s(self) -> float | None:
        return self.latency_quantiles[1] if self.latencies else None

    @property
    def latency_p95_s(self) -> float | None:
        return self.latency_quantiles[3] if self.latencies else None

    @property
    def latency_error_s(self) -> float | None:
        """Standard error of the median latency, from the interquartile range; None below 4 values."""
        n = len(self.latencies)
        if n < 4:
            return None
        low, _, high, _ = self.latency_quantiles
        return 1.2533 * (high - low) / 1.349 / math.sqrt(n)

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
        """Mean energy of a request; of the newest WINDOW or so, for older ones fade."""
        return self.energies[1] if self.energies[0] else None

    @cached_property
    def success_rate(self) -> float | None:
        """Of the newest SUCCESS_WINDOW requests."""
        return sum(self.results) / len(self.results) if self.results else None

    @cached_property
    def success_sd(self) -> float:
        """Standard deviation of the Beta(1 + successes, 1 + failures) posterior over the same window."""
        good = sum(self.results)
        return beta_sd(1.0 + good, 1.0 + len(self.results) - good)


def code_of(item: str) -> int:
    """Of a prompt's fingerprint, in 1..CODES."""
    return crc32(item.encode()) % CODES + 1


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


def _keep(values: Sequence[float], more: Sequence[float | None], most: int) -> Sequence[float]:
    known = [value for value in more if value is not None]
    return Brief.of(values).keep(known, most) if known else values


def _grades(given: Sequence[tuple[float, str]]) -> Grades:
    if isinstance(given, Grades):
        return given
    return Grades().keep([grade for grade, _ in given], [source for _, source in given], WINDOW)


def _eased(known: tuple[int, float], more: Sequence[float]) -> tuple[int, float]:
    n, mean = known
    for value in more:
        n = min(n + 1, WINDOW)
        mean += (value - mean) / n
    return n, mean


def _tail(values: Sequence[T], n: int) -> Sequence[T]:
    return values[-n:] if n > 0 else values[:0]
