"""Drift: has something changed for the worse, and since when?

Owns: one one-sided detector per signal (quality falls, failures rise, log-latency rises), fed by outcomes. Never:
acting on an alarm (autoswap.py decides).

Shares of 1 (quality, failures): share_drift.py. Seconds (latency, as logarithms): Page-Hinkley, m_t = sum of
(x_i - mean_i - delta); alarm when m_t - min(m) > lambda.

Prompts of another length than before are no change of the model: log-seconds are told as at the usual lengths, and
shares are held against those of prompts of about the same length (lengths.py), where a prompt's tokens are known.

After an alarm only what came after the located change is kept, so that one change gives one alarm. What is remembered
for that is packed (series.py), so what is kept of a change is right to about a thousandth. What the detectors do on
real updates of real models, beside CUSUMs that know both rates: benchmarks/detection.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .alarms import HISTORY, Alarm, Signal, Told, alarm_at, locate, one_after_another
from .cost import Outcome
from .lengths import NEW, UNSEEN, Levels, size_of
from .series import Logs
from .share_drift import FALLEN, LEAST_LIMIT, LIMIT, SHIFTS, WARM, WEIGHTS, ShareDrift

__all__ = [
    "FALLEN", "HISTORY", "LIMIT", "REMEMBERED", "SHIFTS", "WARM", "WEIGHTS", "Alarm", "Detectors", "PageHinkley",
    "ShareDrift", "Signal", "locate",
]  # fmt: skip

REMEMBERED = 160  # newest log-seconds kept to locate a change in


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
    history: Sequence[float] = ()
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
        return one_after_another(self, values)

    def alarmed(self) -> tuple[PageHinkley, Alarm | None]:
        rises, history = self.signal is not Signal.QUALITY, tuple(self.history)
        start = locate(history, shares=self.signal is not Signal.LATENCY, rises=rises)
        alarm = alarm_at(self.signal, history, start)
        if not alarm.worse:  # nowhere among what is remembered did it become worse
            return replace(self, total=0.0, lowest=0.0), None
        return self._restarted(history[start:]), alarm

    def run(self, values: Sequence[Told]) -> tuple[PageHinkley, int, bool]:
        """Up to the first value that takes the sum beyond the limit: the state, how many values, whether one did."""
        n, mean, total, lowest, beyond = self.n, self.mean, self.total, self.lowest, False
        needed, delta, sign = self.min_samples, self.delta, -1.0 if self.signal is Signal.QUALITY else 1.0
        levels, used, folded = self.levels, 0, list[float]()
        by_length, all_n, all_mean, usual = dict(levels.seen), levels.n, levels.mean, levels.usual
        for value, tokens in values:
            used += 1
            if tokens is not None:  # as Levels.add and Levels.usually have it
                size = size_of(tokens)
                level, known = by_length.get(size, UNSEEN)
                before = usual
                all_n += 1
                all_mean += (value - all_mean) / all_n
                by_length[size] = (level + (value - level) / (known + 1), known + 1)
                if usual is None and all_n >= NEW:
                    usual = all_mean
                if known < NEW:
                    if n >= needed:
                        continue
                elif before is not None:
                    value = value - level + before
            folded.append(value)
            n += 1
            mean += (value - mean) / n
            total += sign * (value - mean) - delta
            if total < lowest:
                lowest = total
            if beyond := n >= needed and total - lowest > self.threshold:
                break
        return PageHinkley(
            signal=self.signal, min_samples=needed, delta=delta, threshold=self.threshold, n=n, mean=mean, total=total,
            lowest=lowest, history=Logs.of(self.history).keep(folded, REMEMBERED),
            levels=Levels(n=all_n, mean=all_mean, usual=usual, seen=by_length),
        ), used, beyond  # fmt: skip

    def _restarted(self, values: Sequence[float]) -> PageHinkley:
        fresh = replace(self, n=0, mean=0.0, total=0.0, lowest=0.0, history=(), threshold=math.inf)
        fresh, _, _ = fresh.run([(value, None) for value in values])
        return replace(fresh, total=0.0, lowest=0.0, threshold=self.threshold)


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
        seen = [(n, o) for n, o in enumerate(outcomes) if o.failure is None or o.counts]
        timed = [(n, o) for n, o in seen if o.success and o.latency_s is not None]
        rated = [(n, (o.quality, o.tokens_in)) for n, o in seen if o.quality is not None]
        failures, failing = self.failures.steps([(0.0 if o.success else 1.0, o.tokens_in) for _, o in seen])
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
