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
from typing import Protocol, Self, TypeVar

from .cost import Outcome
from .lengths import ByLength, Levels

Told = tuple[float, int | None]  # a value, and the tokens of its prompt where they are known
HISTORY = 500  # newest values kept to locate a change in
SHIFTS = (0.5, 1.0, 2.0, 3.5)  # by which the logarithm of the odds may have fallen; all that are looked for
WEIGHTS = (0.19, 0.57, 0.19, 0.05)  # of each of them
FALLEN = tuple(math.exp(-shift) for shift in SHIFTS)
LIMIT, WARM, LEAST_LIMIT = 7.0, 4.0, 3.0
SUSPICION = 2.0
EDGE = 0.005  # no share is taken to be nearer to 0 or 1
LEAST_SPREAD = 0.05
ROUNDING = 1e-9
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
        """Whether it tells of a change for the worse at all: equal values may have means that differ by rounding."""
        fall = self.before - self.after if self.signal is Signal.QUALITY else self.after - self.before
        return fall > ROUNDING

    @property
    def sentence(self) -> str:
        unit = " s" if self.signal is Signal.LATENCY else ""
        verb = "fell" if self.signal is Signal.QUALITY else "rose"
        ago = f"{self.since} sample{'' if self.since == 1 else 's'} ago"
        return f"{self.signal} {verb} from {self.before:.2g}{unit} to {self.after:.2g}{unit} {ago}"


class _Detector(Protocol):
    """What both detectors are to ``_one_after_another``."""

    def _run(self, values: Sequence[Told]) -> tuple[Self, int, bool]: ...

    def _alarmed(self) -> tuple[Self, Alarm | None]: ...


D = TypeVar("D", bound=_Detector)


def _one_after_another(state: D, values: Sequence[Told]) -> tuple[D, list[tuple[int, Alarm]]]:
    """The state after the last of them, and each alarm with the place of its value."""
    taken, alarms = 0, list[tuple[int, Alarm]]()
    while taken < len(values):
        state, used, beyond = state._run(values[taken:])
        taken += used
        if beyond:
            state, alarm = state._alarmed()
            if alarm is not None:
                alarms.append((taken - 1, alarm))
    return state, alarms


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

    def step(self, value: float) -> tuple[PageHinkley, Alarm | None]:
        """One more value (quality 0..1, log seconds, 1 = a failure): the next state, and an alarm on a change."""
        return self.timed(value, None)

    def timed(self, value: float, tokens: int | None) -> tuple[PageHinkley, Alarm | None]:
        """One more log-latency, of a prompt of so many tokens: as it would be at the usual lengths. A length that is
        new teaches only."""
        grown, alarms = self.steps([(value, tokens)])
        return grown, alarms[0][1] if alarms else None

    def steps(self, values: Sequence[Told]) -> tuple[PageHinkley, list[tuple[int, Alarm]]]:
        """Several more, one after another: the state after the last, and each alarm with the place of its value."""
        return _one_after_another(self, values)

    def _alarmed(self) -> tuple[PageHinkley, Alarm | None]:
        rises = self.signal is not Signal.QUALITY
        start = locate(self.history, shares=self.signal is not Signal.LATENCY, rises=rises)
        alarm = _alarm(self.signal, self.history, start)
        if not alarm.worse:  # nowhere among what is remembered did it become worse
            return replace(self, total=0.0, lowest=0.0), None
        return self._restarted(self.history[start:]), alarm

    def _run(self, values: Sequence[Told]) -> tuple[PageHinkley, int, bool]:
        """Up to the first value that takes the sum beyond the limit: the state, how many values, whether one did."""
        n, mean, total, lowest, levels, beyond = self.n, self.mean, self.total, self.lowest, self.levels, False
        sign, used, folded = -1.0 if self.signal is Signal.QUALITY else 1.0, 0, list[float]()
        for value, tokens in values:
            used += 1
            if tokens is not None:
                known, before = levels.knows(tokens), levels
                levels = levels.add(tokens, value)
                if not known and n >= self.min_samples:
                    continue
                value = before.usually(tokens, value)
            folded.append(value)
            n += 1
            mean += (value - mean) / n
            total += sign * (value - mean) - self.delta
            lowest = min(lowest, total)
            if beyond := n >= self.min_samples and total - lowest > self.threshold:
                break
        history = (*self.history, *folded)[-HISTORY:]
        return replace(self, n=n, mean=mean, total=total, lowest=lowest, history=history, levels=levels), used, beyond

    def _restarted(self, values: Sequence[float]) -> PageHinkley:
        fresh = replace(self, n=0, mean=0.0, total=0.0, lowest=0.0, history=(), threshold=math.inf)
        fresh, _, _ = fresh._run([(value, None) for value in values])
        return replace(fresh, total=0.0, lowest=0.0, threshold=self.threshold)


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
        grown, alarms = self.steps([(value, tokens)])
        return grown, alarms[0][1] if alarms else None

    def steps(self, values: Sequence[Told]) -> tuple[ShareDrift, list[tuple[int, Alarm]]]:
        """Several more, one after another: the state after the last, and each alarm with the place of its value."""
        return _one_after_another(self, values)

    def _alarmed(self) -> tuple[ShareDrift, Alarm | None]:
        start = locate(self.history, rises=self.signal is not Signal.QUALITY)
        alarm = _alarm(self.signal, self.history, start)
        if not alarm.worse:  # nowhere among what is remembered did it become worse
            return replace(self, sums=(0.0,) * len(SHIFTS)), None
        return self._restarted(self.history[start:]), alarm

    def _run(self, values: Sequence[Told]) -> tuple[ShareDrift, int, bool]:
        """Up to the first value whose evidence is beyond the limit: the state, how many values, whether one was."""
        n, mean, sums, lengths, used, beyond = self.n, self.mean, self.sums, self.lengths, 0, False
        good, bad, squares = self.good, self.bad, self.squares
        late_good, late_bad, late_squares = self.late_good, self.late_bad, self.late_squares
        falls = self.signal is Signal.QUALITY
        for value, tokens in values:
            x = value if falls else 1.0 - value
            strange = n >= self.min_samples and not lengths.knows(tokens)
            if not strange:
                seen = good + bad
                sums = _weighed(sums, x, good / seen, squares / seen, lengths.share(tokens, good / seen))
            evidence = math.log(sum([w * math.exp(known) for w, known in zip(WEIGHTS, sums, strict=True)]))
            used, n = used + 1, n + 1
            mean += (value - mean) / n
            late_good, late_bad, late_squares = late_good + x, late_bad + 1.0 - x, late_squares + x * x
            calm = evidence < SUSPICION or n <= self.min_samples
            if calm:
                good, bad, squares = good + late_good, bad + late_bad, squares + late_squares
                late_good = late_bad = late_squares = 0.0
            if calm or strange:
                lengths = lengths.add(tokens, x)
            if beyond := n >= self.min_samples and evidence > self.limit + self.warm * self.min_samples / n:
                break
        return ShareDrift(
            signal=self.signal, min_samples=self.min_samples, limit=self.limit, warm=self.warm, n=n, mean=mean,
            good=good, bad=bad, squares=squares, late_good=late_good, late_bad=late_bad, late_squares=late_squares,
            sums=sums, history=(*self.history, *(value for value, _ in values[:used]))[-HISTORY:], lengths=lengths,
        ), used, beyond  # fmt: skip

    def _restarted(self, values: Sequence[float]) -> ShareDrift:
        fresh = ShareDrift(signal=self.signal, min_samples=self.min_samples, limit=math.inf, warm=self.warm)
        for value in values:
            fresh = replace(fresh._run([(value, None)])[0], sums=(0.0,) * len(SHIFTS))
        return replace(fresh, limit=self.limit)  # what lengths explained of the old state says nothing of the new one


def _weighed(known: tuple[float, ...], x: float, mean: float, square: float, share: float) -> tuple[float, ...]:
    """The sums with ``x``, of which ``share`` were good at this length before, ``mean`` at all lengths.

    Odds that fall from p / (1 - p) by f leave (1 - p1) / (1 - p) = 1 / (1 - p + p f) and p1 / p = f times that.
    Grades between 0 and 1 scatter less than a coin does and say the more: divided by their share of its variance.
    """
    overall = min(max(mean, EDGE), 1.0 - EDGE)
    spread = min(1.0, max(LEAST_SPREAD, (square - mean * mean) / (overall * (1.0 - overall))))
    p = min(max(share, EDGE), 1.0 - EDGE)
    return tuple(
        [
            min(HIGHEST, max(0.0, before - (math.log(1.0 - p + p * fallen) + x * shift) / spread))
            for before, fallen, shift in zip(known, FALLEN, SHIFTS, strict=True)
        ]
    )


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
        grown, alarms = self.observe_all((outcome,))
        return grown, tuple(alarm for _, alarm in alarms)

    def observe_all(self, outcomes: Sequence[Outcome]) -> tuple[Detectors, list[tuple[int, Alarm]]]:
        """Several more, one after another; each alarm with the place of the outcome that raised it, in their order."""
        seen = [(n, o) for n, o in enumerate(outcomes) if o.counts]
        timed = [(n, o) for n, o in seen if o.success and o.latency_s is not None]
        rated = [(n, (o.quality, o.tokens_in)) for n, o in seen if o.quality is not None]
        failures, failing = self.failures.steps([(float(not o.success), o.tokens_in) for _, o in seen])
        latency, slower = self.latency.steps([(_log_served(o), o.tokens_in) for _, o in timed])
        quality, worse = self.quality.steps([told for _, told in rated])
        alarms = [
            *((seen[at][0], alarm) for at, alarm in failing),
            *((timed[at][0], alarm) for at, alarm in slower),
            *((rated[at][0], alarm) for at, alarm in worse),
        ]
        alarms.sort(key=lambda found: found[0])
        return Detectors(quality=quality, latency=latency, failures=failures), alarms

    def graded(self, quality: float | None, tokens: int | None = None) -> tuple[Detectors, tuple[Alarm, ...]]:
        """A grade that came later, of an answer to a prompt of so many tokens; None moves nothing."""
        if quality is None:
            return self, ()
        detector, alarm = self.quality.step(quality, tokens)
        return replace(self, quality=detector), () if alarm is None else (alarm,)


def _log_served(outcome: Outcome) -> float:
    """The logarithm of the seconds without the wait in the queue."""
    return math.log(max(1e-6, (outcome.latency_s or 0.0) - (outcome.queue_s or 0.0)))
