"""Share drift: has a share of good answers fallen, and since when?

Owns: the detector of falling quality and rising failures. Never: seconds (drift.py), acting on an alarm (autoswap.py).

Four CUSUMs (Page 1954) at once, each for the odds of a good answer falling by one factor e^-s, against the share p that
was seen before. A value x = 1 (good) or 0, or between, multiplies a ratio that never falls below 1 by
p1^x (1 - p1)^(1-x) / (p^x (1 - p)^(1-x)). The alarm goes when the weighted mean of the four ratios exceeds e^limit. p
goes on being learnt while that mean is below e^SUSPICION; what comes after is counted only once the suspicion is over,
so a slow decline does not become the new normal.

Shares are held against those of prompts of about the same length (lengths.py), where a prompt's tokens are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import sqrt

from .alarms import HISTORY, Alarm, Signal, Told, alarm_at, locate, one_after_another
from .lengths import CAUTION, NEW, SHRINK, UNSEEN, ByLength, size_of
from .series import Shares

SHIFTS = (0.5, 1.0, 2.0, 3.5)  # by which the logarithm of the odds may have fallen; all that are looked for
WEIGHTS = (0.19, 0.57, 0.19, 0.05)  # of each of them
FALLEN = tuple(math.exp(-shift) for shift in SHIFTS)
LIMIT, WARM, LEAST_LIMIT = 7.0, 4.0, 3.0
SUSPICION = 2.0
EDGE = 0.005  # no share is taken to be nearer to 0 or 1
LEAST, MOST = EDGE, 1.0 - EDGE
LEAST_SPREAD = 0.05
HIGHEST = 50.0  # the logarithm of a ratio is cut there: far above any limit, far below what overflows
NONE = (1.0,) * len(SHIFTS)


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
    ratios: tuple[float, ...] = NONE
    history: Sequence[float] = ()
    lengths: ByLength = field(default_factory=ByLength)

    @property
    def sums(self) -> tuple[float, ...]:
        """The logarithms of the four ratios."""
        return tuple(math.log(ratio) for ratio in self.ratios)

    @property
    def evidence(self) -> float:
        """The logarithm of their weighted mean: what the limit is held against."""
        return math.log(_weighted(*self.ratios))

    def step(self, value: float, tokens: int | None = None) -> tuple[ShareDrift, Alarm | None]:
        """One more value (quality 0..1, 1 = a failure), to a prompt of so many tokens: the next state, and an alarm."""
        grown, alarms = self.steps([(value, tokens)])
        return grown, alarms[0][1] if alarms else None

    def steps(self, values: Sequence[Told]) -> tuple[ShareDrift, list[tuple[int, Alarm]]]:
        """Several more, one after another: the state after the last, and each alarm with the place of its value."""
        return one_after_another(self, values)

    def alarmed(self) -> tuple[ShareDrift, Alarm | None]:
        history = tuple(self.history)
        start = locate(history, rises=self.signal is not Signal.QUALITY)
        alarm = alarm_at(self.signal, history, start)
        if not alarm.worse:  # nowhere among what is remembered did it become worse
            return replace(self, ratios=NONE), None
        return self._restarted(history[start:]), alarm

    def run(self, values: Sequence[Told]) -> tuple[ShareDrift, int, bool]:
        """Up to the first value whose evidence is beyond the limit: the state, how many values, whether one was."""
        n, mean, needed, falls = self.n, self.mean, self.min_samples, self.signal is Signal.QUALITY
        good, bad, squares = self.good, self.bad, self.squares
        late_good, late_bad, late_squares = self.late_good, self.late_bad, self.late_squares
        ratios, known, used, beyond = self.ratios, dict(self.lengths.seen), 0, False
        least, evidence = _reach(self.limit), _weighted(*ratios)
        for value, tokens in values:
            x = value if falls else 1.0 - value
            size, before, count, strange = -1, 0.0, 0, False
            if tokens is not None:
                size = size_of(tokens)
                before, count = known.get(size, UNSEEN)
                strange = count < NEW and n >= needed
            if not strange and (x != 1.0 or ratios != NONE):  # a good answer makes no ratio larger
                seen = good + bad
                overall = share = good / seen
                if size >= 0:  # as ByLength.share has it
                    weight = count + SHRINK
                    share = (before + SHRINK * overall) / weight
                    share -= CAUTION * sqrt(share * (1.0 - share) / weight)
                ratios, evidence = _next(ratios, x, overall, squares / seen, share)
            used += 1
            n += 1
            mean += (value - mean) / n
            late_good += x
            late_bad += 1.0 - x
            late_squares += x * x
            calm = evidence < SUSPECTED or n <= needed
            if calm:
                good, bad, squares = good + late_good, bad + late_bad, squares + late_squares
                late_good = late_bad = late_squares = 0.0
            if size >= 0 and (calm or strange):
                known[size] = (before + x, count + 1)
            if evidence > least and n >= needed and math.log(evidence) > self.limit + self.warm * needed / n:
                beyond = True
                break
        return ShareDrift(
            signal=self.signal, min_samples=needed, limit=self.limit, warm=self.warm, n=n, mean=mean, good=good,
            bad=bad, squares=squares, late_good=late_good, late_bad=late_bad, late_squares=late_squares, ratios=ratios,
            history=Shares.of(self.history).keep([value for value, _ in values[:used]], HISTORY),
            lengths=ByLength(seen=known),
        ), used, beyond  # fmt: skip

    def _restarted(self, values: Sequence[float]) -> ShareDrift:
        fresh = ShareDrift(signal=self.signal, min_samples=self.min_samples, limit=math.inf, warm=self.warm)
        for value in values:
            fresh = replace(fresh.run([(value, None)])[0], ratios=NONE)
        return replace(fresh, limit=self.limit)  # what lengths explained of the old state says nothing of the new one


SUSPECTED, CUT = math.exp(SUSPICION), math.exp(HIGHEST)
COIN = 1.0 - 1e-9  # a spread above it is that of right and wrong, but for rounding
(_A, _B, _C, _D), (_WA, _WB, _WC, _WD) = FALLEN, WEIGHTS


def _reach(limit: float) -> float:
    """What evidence must at least exceed, whatever the warm-up adds, and however it is rounded."""
    return math.exp(min(limit, HIGHEST)) * (1.0 - 1e-9)


def _weighted(a: float, b: float, c: float, d: float) -> float:
    return _WA * a + _WB * b + _WC * c + _WD * d


def _next(
    ratios: tuple[float, ...], x: float, mean: float, square: float, share: float
) -> tuple[tuple[float, ...], float]:
    """The ratios with ``x``, of which ``share`` were good at this length before, ``mean`` at all lengths; and their
    weighted mean.

    Odds that fall from p / (1 - p) by f leave (1 - p1) / (1 - p) = 1 / (1 - p + p f) and p1 / p = f times that.
    Grades between 0 and 1 scatter less than a coin does and say more: to the power of a coin's variance over theirs.
    """
    p = share if LEAST < share < MOST else _inside(share)
    q = 1.0 - p
    a, b, c, d = 1.0 / (q + p * _A), 1.0 / (q + p * _B), 1.0 / (q + p * _C), 1.0 / (q + p * _D)
    if x == 1.0:
        a, b, c, d = a * _A, b * _B, c * _C, d * _D
    elif x != 0.0:
        a, b, c, d = a * _A**x, b * _B**x, c * _C**x, d * _D**x
    if square != mean or not LEAST < mean < MOST:  # some were neither right nor wrong, or nearly all the same
        overall = _inside(mean)
        spread = (square - mean * mean) / (overall * (1.0 - overall))
        if spread < COIN:
            power = 1.0 / max(LEAST_SPREAD, spread)
            a, b, c, d = a**power, b**power, c**power, d**power
    e, f, g, h = ratios
    a, b, c, d = a * e, b * f, c * g, d * h
    a = 1.0 if a < 1.0 else CUT if a > CUT else a
    b = 1.0 if b < 1.0 else CUT if b > CUT else b
    c = 1.0 if c < 1.0 else CUT if c > CUT else c
    d = 1.0 if d < 1.0 else CUT if d > CUT else d
    return (a, b, c, d), _WA * a + _WB * b + _WC * c + _WD * d


def _inside(share: float) -> float:
    return min(max(share, LEAST), MOST)
