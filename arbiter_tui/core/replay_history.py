"""Replaying history: an arbiter's own outcomes, decided upon again under other limits, weights or policies.

Owns: the order of learning and deciding, what the swaps would have been, what they would have been worth. Never: reads
a store; another rule than the live one (autoswap.py, posterior.py, drift.py).

What a version that did not serve would have answered is not known. Its worth at a request is taken to be its mean grade
on the task, over the whole history, and so is that of the one that did serve: both are measured alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .autoswap import AutoSwapInput, AutoSwapLimits, Move, decide
from .cost import Outcome
from .drift import Alarm, Detectors, Signal
from .forgetting import hearsay, since, weighed
from .posterior import beliefs
from .registry import Lifecycle, ModelVersion
from .routing import Route
from .scoring import leaderboard
from .stats import EMPTY, Stats
from .tasks import AutopilotMode, Task

EVERY, EVERY_S = 25, 10.0  # a look after so many outcomes of a task, or so many seconds of the recorded time
MEASURING = frozenset({"fixed", "round_robin"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """``served``, ``replayed``: the mean worth of who served, and of who would have, over clients' requests; None where
    nobody of either was ever graded."""

    task: str
    outcomes: int
    requests: int
    first: str
    last: str
    moves: tuple[Move, ...]
    sentences: tuple[str, ...]
    served: float | None
    replayed: float | None


def replay_history(task: Task, outcomes: Sequence[Outcome], limits: AutoSwapLimits) -> Replayed | None:
    """One task's outcomes, in any order; None without any."""
    rows = sorted((o for o in outcomes if o.counts), key=lambda o: (o.at, o.id))
    return _Run(task, rows, limits).run() if rows else None


class _Run:
    def __init__(self, task: Task, rows: Sequence[Outcome], limits: AutoSwapLimits) -> None:
        self._task, self._rows = task, rows
        measuring = task.policy in MEASURING
        self._limits = replace(limits, triggers=()) if measuring else limits
        self._versions = [
            ModelVersion(
                version=name, provider="", model=name, source=name, lifecycle=Lifecycle.ACTIVE,
                capabilities=task.criteria.capabilities,
            )
            for name in sorted({row.version for row in rows})
        ]  # fmt: skip
        began = next((row.version for row in rows if row.source == "request"), rows[0].version)
        self._first = began
        self._route = Route(task=task.name, incumbent=began)
        self._stats: dict[str, Stats] = {}
        self._detectors: dict[str, Detectors] = {}
        self._alarms: dict[str, dict[Signal, Alarm]] = {}
        self._owed: dict[str, int] = {}
        self._moves: list[Move] = []
        self._sentences: list[str] = []

    def run(self) -> Replayed:
        worth = self._worth()
        looked_at, fresh = self._rows[0].at, 0
        served: list[float] = []
        replayed: list[float] = []
        for row in self._rows:
            mine, other = worth.get(row.version), worth.get(self._route.incumbent or "")
            if row.source == "request" and mine is not None and other is not None:
                served.append(mine)
                replayed.append(other)
            self._learn(row)
            fresh += 1
            if fresh >= EVERY or row.at - looked_at >= EVERY_S:
                self._look(row.at)
                looked_at, fresh = row.at, 0
        return Replayed(
            task=self._task.name, outcomes=len(self._rows), first=self._first, last=self._route.incumbent or "",
            requests=sum(row.source == "request" for row in self._rows), moves=tuple(self._moves),
            sentences=tuple(self._sentences), served=statistics.fmean(served) if served else None,
            replayed=statistics.fmean(replayed) if replayed else None,
        )  # fmt: skip

    def _worth(self) -> dict[str, float]:
        grades: dict[str, list[float]] = {}
        for row in self._rows:
            if row.quality is not None:
                grades.setdefault(row.version, []).append(row.quality)
        return {version: statistics.fmean(of) for version, of in grades.items()}

    def _learn(self, row: Outcome) -> None:
        name = row.version
        self._stats[name] = self._stats.get(name, EMPTY).add(row)
        self._detectors[name], raised = self._detectors.get(name, Detectors()).observe(row)
        for found in raised:
            alarm = weighed(found, self._stats[name])
            self._alarms.setdefault(name, {})[alarm.signal] = alarm
            if not hearsay(found, self._stats[name]):
                self._stats[name] = since(self._stats[name], alarm)

    def _look(self, now: float) -> None:
        given = self._given(now)
        verdict = decide(given)
        if verdict.action not in ("swap", "rollback") or verdict.to is None:
            return
        old = self._route.incumbent
        self._moves.append(Move(at=now, from_=old, to=verdict.to))
        self._sentences.append(verdict.sentence)
        if verdict.action == "rollback" and old is not None:
            self._owed[old] = self._stats.get(old, EMPTY).samples + self._limits.min_samples
        self._route = replace(self._route, incumbent=verdict.to, previous=old, since=now)
        for gone in (self._alarms, self._detectors):
            gone.pop(verdict.to, None)  # it starts afresh

    def _given(self, now: float) -> AutoSwapInput:
        known: Mapping[str, Stats] = self._stats
        measured = [v for v in self._versions if v.version in known]
        return AutoSwapInput(
            task=self._task, route=self._route, rows=leaderboard(self._task, measured, known, now=now), stats=known,
            now=now, mode=AutopilotMode.ON, limits=self._limits, owed=self._owed, moves=tuple(self._moves),
            last_swap_at=self._moves[-1].at if self._moves else None,
            alarms=tuple(self._alarms.get(self._route.incumbent or "", {}).values()),
            beliefs=beliefs(self._task, measured, known, {}, now) if self._task.policy == "bandit" else (),
        )  # fmt: skip
