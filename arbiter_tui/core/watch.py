"""Watching for drift: one set of detectors per task and version, and the alarms that stand.

Owns: feeding drift.py, and when an alarm ends. Never: acts on an alarm (the autopilot does).

An alarm stands until its version is put in charge anew, or until the values after it are, over ``min_samples`` of them,
nearer to what they were before the change than to what they became.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .cost import Outcome
from .drift import Alarm, Detectors, Signal

THRESHOLD = 10.0  # Page-Hinkley's lambda with its 30 samples; in proportion where the configuration asks for fewer
FULL_SAMPLES = 30


@dataclass(slots=True)
class Standing:
    """An alarm and the values that came after it."""

    alarm: Alarm
    values: list[float] = field(default_factory=list)

    def over(self, value: float, needed: int) -> bool:
        self.values = [*self.values[-(needed - 1) :], value] if needed > 1 else [value]
        if len(self.values) < needed:
            return False
        mean = sum(self.values) / len(self.values)
        if self.alarm.signal is Signal.LATENCY:
            mean = math.exp(mean)
        return abs(mean - self.alarm.before) < abs(mean - self.alarm.after)


class Watch:
    def __init__(self, *, min_samples: int) -> None:
        self._min_samples = min_samples
        share = min(1.0, min_samples / FULL_SAMPLES)
        self._fresh = Detectors.with_limits(min_samples=min_samples, threshold=max(1.5, THRESHOLD * share))
        self._detectors: dict[tuple[str, str], Detectors] = {}
        self._standing: dict[tuple[str, str], dict[Signal, Standing]] = {}

    def outcomes(self, task: str, version: str, outcomes: Sequence[Outcome]) -> list[tuple[int, Alarm]]:
        """New alarms that these raise, each with the place of the outcome that did. Who weighs them lets them stand."""
        key = (task, version)
        self._detectors[key], alarms = self._detectors.get(key, self._fresh).observe_all(outcomes)
        return alarms

    def changes(self, outcomes: Sequence[Outcome]) -> list[tuple[int, Alarm]]:
        """As ``outcomes``, of a past that is over: nothing is remembered of it, and no alarm can stand for it."""
        return self._fresh.observe_all(outcomes)[1]

    def settle(self, task: str, version: str, outcomes: Sequence[Outcome]) -> None:
        """These came after what stands: an alarm whose change is over stands no longer."""
        key = (task, version)
        if self._standing.get(key):
            for outcome in outcomes:
                self._settle(key, outcome)

    def grade(self, task: str, version: str, quality: float, tokens: int | None = None) -> tuple[Alarm, ...]:
        """New alarms that a late grade raises."""
        key = (task, version)
        self._clear(key, Signal.QUALITY, quality)
        self._detectors[key], alarms = self._detectors.get(key, self._fresh).graded(quality, tokens)
        for alarm in alarms:
            self.stand(task, version, alarm)
        return alarms

    def alarms(self, task: str, version: str) -> tuple[Alarm, ...]:
        """Those that stand now."""
        return tuple(s.alarm for s in self._standing.get((task, version), {}).values())

    def stand(self, task: str, version: str, alarm: Alarm) -> None:
        """An alarm that was raised stands with these figures."""
        self._standing.setdefault((task, version), {})[alarm.signal] = Standing(alarm)

    def reset(self, task: str, version: str) -> None:
        self._standing.pop((task, version), None)
        self._detectors.pop((task, version), None)

    def _settle(self, key: tuple[str, str], outcome: Outcome) -> None:
        if key not in self._standing or not outcome.counts:
            return
        self._clear(key, Signal.FAILURES, float(not outcome.success))
        if outcome.success and outcome.latency_s is not None:
            served = max(1e-6, outcome.latency_s - (outcome.queue_s or 0.0))
            self._clear(key, Signal.LATENCY, math.log(served))
        if outcome.quality is not None:
            self._clear(key, Signal.QUALITY, outcome.quality)

    def _clear(self, key: tuple[str, str], signal: Signal, value: float) -> None:
        standing = self._standing.get(key, {}).get(signal)
        if standing is not None and standing.over(value, self._min_samples):
            del self._standing[key][signal]
