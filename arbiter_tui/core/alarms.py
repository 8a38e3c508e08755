"""Alarms: what changed for the worse, and since when.

Owns: the word for a signal, an alarm and its sentence, the location of a change by a generalised likelihood ratio, how
a detector takes several values at once.
Never: raises one (drift.py, share_drift.py), acts on one (autoswap.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self, TypeVar

from .words import figure, samples

Told = tuple[float, int | None]  # a value, and the tokens of its prompt where they are known
HISTORY = 400  # newest grades and failures kept to locate a change in
ROUNDING = 1e-9


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
        unit = "s" if self.signal is Signal.LATENCY else "share"
        verb = "fell" if self.signal is Signal.QUALITY else "rose"
        before, after = figure(self.before, unit), figure(self.after, unit)
        return f"{self.signal} {verb} from {before} to {after} {samples(self.since)} ago"


def alarm_at(signal: Signal, history: Sequence[float], start: int) -> Alarm:
    before, after = mean_of(history[:start]), mean_of(history[start:])
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


def mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


class Detector(Protocol):
    """What all detectors are to ``one_after_another``."""

    def run(self, values: Sequence[Told]) -> tuple[Self, int, bool]: ...

    def alarmed(self) -> tuple[Self, Alarm | None]: ...


D = TypeVar("D", bound=Detector)


def one_after_another(state: D, values: Sequence[Told]) -> tuple[D, list[tuple[int, Alarm]]]:
    """The state after the last of them, and each alarm with the place of its value."""
    taken, alarms = 0, list[tuple[int, Alarm]]()
    while taken < len(values):
        state, used, beyond = state.run(values[taken:] if taken else values)
        taken += used
        if beyond:
            state, alarm = state.alarmed()
            if alarm is not None:
                alarms.append((taken - 1, alarm))
    return state, alarms
