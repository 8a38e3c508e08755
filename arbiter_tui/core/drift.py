"""Drift: has something changed for the worse, and since when?

Owns: one one-sided detector per signal (quality falls, failures rise, log-latency rises) and the location of the change
by a generalised likelihood ratio. Never: acting on an alarm (autoswap.py decides).

Shares of 1 (quality, failures): ShareDrift, four CUSUMs (Page 1954) at once, each for the odds of a good answer falling
by one factor e^-s, against the share p that was seen before. A value x = 1 (good) or 0, or between, adds
log(p1^x (1 - p1)^(1-x) / (p^x (1 - p)^(1-x))) to a sum that never falls below 0. The alarm goes when the weighted mean
of the four e^sum exceeds e^limit. p goes on being learnt while that mean is below e^SUSPICION; what comes after is
counted only once the suspicion is over, so a slow decline does not become the new normal.

Seconds (latency, as logarithms): Page-Hinkley, m_t = sum of (x_i - mean_i - delta); alarm when m_t - min(m) > lambda.

Prompts of another length than before are no change of the model: log-seconds are told as at the usual lengths, and
shares are held against those of prompts of about the same length (lengths.py), where a prompt's tokens are known.

After an alarm only what came after the located change is kept, so that one change gives one alarm. What the detectors
do on real updates of real models, beside CUSUMs that know both rates: benchmarks/detection.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from .cost import Outcome
from .lengths import ByLength, Levels

HISTORY = 500  # newest values kept to locate a change in
SHIFTS = (0.5, 1.0, 2.0, 3.5)  # by which the logarithm of the odds may have fallen; all that are looked for
WEIGHTS = (0.19, 0.57, 0.19, 0.05)  # of each of them
FALLEN = tuple(math.exp(-shift) for shift in SHIFTS)
LIMIT, WARM, LEAST_LIMIT = 7.0, 4.0, 3.0
SUSPICION = 2.0
EDGE = 0.005  # no share is taken to be nearer to 0 or 1
LEAST_SPREAD = 0.05
HIGHEST = 50.0  # a sum is cut there: far above any limit, far below what overflows


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
    def worse(self) -> bool:
        """Whether it tells of a change for the worse at all."""
        return self.after < self.before if self.signal is Signal.QUALITY else self.after > self.before

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
    levels: Levels = field(default_factory=Levels)

    def timed(self, value: float, tokens: int | None) -> tuple[PageHinkley, Alarm | None]:
        """One more log-latency, of a prompt of so many tokens: as it would be at the usual lengths. A length that is
        new teaches only."""
        if tokens is None:
            return self.step(value)
        grown = replace(self, levels=self.levels.add(tokens, value))
        if not self.levels.knows(tokens) and self.n >= self.min_samples:
            return grown, None
        return grown.step(self.levels.usually(tokens, value))

    def step(self, value: float) -> tuple[PageHinkley, Alarm | None]:
        """One more value (quality 0..1, log seconds, 1 = a failure): the next state, and an alarm on a change."""
        grown = self._fold(value)
        if grown.n < self.min_samples or grown.total - grown.lowest <= self.threshold:
            return grown, None
        rises = self.signal is not Signal.QUALITY
        start = locate(grown.history, shares=self.signal is not Signal.LATENCY, rises=rises)
        alarm = _alarm(self.signal, grown.history, start)
        if not alarm.worse:  # nowhere among what is remembered did it become worse
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
            levels=self.levels,
        )

    def _restarted(self, values: Sequence[float]) -> PageHinkley:
        fresh = replace(self, n=0, mean=0.0, total=0.0, lowest=0.0, history=())
        for value in values:
            fresh = fresh._fold(value)
        return replace(fresh, total=0.0, lowest=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareDrift:
    """One detector of a falling share (quality) or a rising one (failures). ``good``, ``bad``: what the share before is
    known by, with one of each for a start; ``late_good``, ``late_bad``: seen under suspicion. ``n`` and ``mean`` are
    of all values. Until some multiples of ``min_samples`` are known, ``warm`` is added to the limit in proportion."""

    signal: Signal = Signal.QUALITY
    min_samples: int = 30
    limit: float = LIMIT
    warm: float = WARM
    n: int = 0
    mean: float = 0.0
    good: float = 1.0
    bad: float = 1.0
    squares: float = 1.0
    late_good: float = 0.0
    late_bad: float = 0.0
    late_squares: float = 0.0
    sums: tuple[float, ...] = (0.0,) * len(SHIFTS)
    history: tuple[float, ...] = ()
    lengths: ByLength = field(default_factory=ByLength)

    def step(self, value: float, tokens: int | None = None) -> tuple[ShareDrift, Alarm | None]:
        """One more value (quality 0..1, 1 = a failure), to a prompt of so many tokens: the next state, and an alarm."""
        grown, evidence = self._fold(value, tokens)
        if grown.n < self.min_samples or evidence <= self.limit + self.warm * self.min_samples / grown.n:
            return grown, None
        rises = self.signal is not Signal.QUALITY
        start = locate(grown.history, rises=rises)
        alarm = _alarm(self.signal, grown.history, start)
        if not alarm.worse:  # nowhere among what is remembered did it become worse
            return replace(grown, sums=(0.0,) * len(SHIFTS)), None
        return grown._restarted(grown.history[start:]), alarm

    def _fold(self, value: float, tokens: int | None = None) -> tuple[ShareDrift, float]:
        """The next state, and the logarithm of the weighted evidence for a change."""
        x = value if self.signal is Signal.QUALITY else 1.0 - value
        strange = self.n >= self.min_samples and not self.lengths.knows(tokens)
        sums = self.sums if strange else self._weigh(x, tokens)
        evidence = math.log(sum(w * math.exp(known) for w, known in zip(WEIGHTS, sums, strict=True)))
        n, good, bad, squares = self.n + 1, self.late_good + x, self.late_bad + 1.0 - x, self.late_squares + x * x
        calm = evidence < SUSPICION or n <= self.min_samples
        return ShareDrift(
            signal=self.signal,
            min_samples=self.min_samples,
            limit=self.limit,
            warm=self.warm,
            n=n,
            mean=self.mean + (value - self.mean) / n,
            good=self.good + good if calm else self.good,
            bad=self.bad + bad if calm else self.bad,
            squares=self.squares + squares if calm else self.squares,
            late_good=0.0 if calm else good,
            late_bad=0.0 if calm else bad,
            late_squares=0.0 if calm else squares,
            sums=sums,
            history=(*self.history[-(HISTORY - 1) :], value),
            lengths=self.lengths.add(tokens, x) if calm or strange else self.lengths,
        ), evidence

    def _weigh(self, x: float, tokens: int | None) -> tuple[float, ...]:
        """Odds that fall from p / (1 - p) by f leave (1 - p1) / (1 - p) = 1 / (1 - p + p f) and p1 / p = f times that.
        Grades between 0 and 1 scatter less than a coin does and say the more: divided by their share of its variance.
        """
        seen = self.good + self.bad
        mean = self.good / seen
        overall = min(max(mean, EDGE), 1.0 - EDGE)
        spread = min(1.0, max(LEAST_SPREAD, (self.squares / seen - mean * mean) / (overall * (1.0 - overall))))
        p = min(max(self.lengths.share(tokens, mean), EDGE), 1.0 - EDGE)
        return tuple(
            min(HIGHEST, max(0.0, known - (math.log(1.0 - p + p * fallen) + x * shift) / spread))
            for known, fallen, shift in zip(self.sums, FALLEN, SHIFTS, strict=True)
        )

    def _restarted(self, values: Sequence[float]) -> ShareDrift:
        fresh = ShareDrift(signal=self.signal, min_samples=self.min_samples, limit=self.limit, warm=self.warm)
        for value in values:
            fresh = replace(fresh._fold(value)[0], sums=(0.0,) * len(SHIFTS))
        return fresh  # what lengths explained of the old state says nothing of the new one


def _alarm(signal: Signal, history: Sequence[float], start: int) -> Alarm:
    before, after = _mean(history[:start]), _mean(history[start:])
    if signal is Signal.LATENCY:
        before, after = math.exp(before), math.exp(after)
    return Alarm(signal=signal, before=before, after=after, since=len(history) - start, samples=len(history))


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


def _failure_detector() -> ShareDrift:
    return ShareDrift(signal=Signal.FAILURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectors:
    """The three detectors of one version on one task."""

    quality: ShareDrift = field(default_factory=ShareDrift)
    latency: PageHinkley = field(default_factory=_latency_detector)
    failures: ShareDrift = field(default_factory=_failure_detector)

    @classmethod
    def with_limits(cls, *, min_samples: int = 30, delta: float = 0.05, threshold: float = 10.0) -> Detectors:
        """All three as sensitive as a Page-Hinkley detector with these limits; shares never below LEAST_LIMIT."""
        scale = threshold / 10.0
        quality, failures = (
            ShareDrift(signal=signal, min_samples=min_samples, limit=max(LEAST_LIMIT, LIMIT * scale), warm=WARM * scale)
            for signal in (Signal.QUALITY, Signal.FAILURES)
        )
        latency = PageHinkley(signal=Signal.LATENCY, min_samples=min_samples, delta=delta, threshold=threshold)
        return cls(quality=quality, latency=latency, failures=failures)

    def observe(self, outcome: Outcome) -> tuple[Detectors, tuple[Alarm, ...]]:
        """One more outcome. Cancelled and malformed requests, and unknown values, move nothing."""
        if not outcome.counts:
            return self, ()
        failures, failing = self.failures.step(float(not outcome.success), outcome.tokens_in)
        latency, slower = self._latency(outcome)
        grown, worse = replace(self, failures=failures, latency=latency).graded(outcome.quality, outcome.tokens_in)
        return grown, tuple(alarm for alarm in (failing, slower, *worse) if alarm is not None)

    def _latency(self, outcome: Outcome) -> tuple[PageHinkley, Alarm | None]:
        if not outcome.success or outcome.latency_s is None:
            return self.latency, None
        served = math.log(max(1e-6, outcome.latency_s - (outcome.queue_s or 0.0)))
        return self.latency.timed(served, outcome.tokens_in)

    def graded(self, quality: float | None, tokens: int | None = None) -> tuple[Detectors, tuple[Alarm, ...]]:
        """A grade that came later, of an answer to a prompt of so many tokens; None moves nothing."""
        if quality is None:
            return self, ()
        detector, alarm = self.quality.step(quality, tokens)
        return replace(self, quality=detector), () if alarm is None else (alarm,)
