"""Replaying history: an arbiter's own outcomes, decided upon again under other limits, weights or policies.

Owns: when it looks, what the swaps would have been, what they would have been worth. Never: reads a store; another rule
than the live one (deciding.py).

What a version that did not serve would have answered is not known. Its worth at a request is taken to be its mean grade
on the task, over the whole history, and so is that of the one that did serve: both are measured alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .autoswap import AutoSwapLimits, Move
from .cost import Outcome
from .deciding import Decider
from .tasks import Task

EVERY, EVERY_S = 25, 10.0  # a look after so many outcomes of a task, or so many seconds of the recorded time


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
        self._rows = rows
        self._first = next((row.version for row in rows if row.source == "request"), rows[0].version)
        self._decider = Decider(task, sorted({row.version for row in rows}), limits, self._first)

    def run(self) -> Replayed:
        worth, decider = self._worth(), self._decider
        looked_at, fresh = self._rows[0].at, 0
        served: list[float] = []
        replayed: list[float] = []
        for row in self._rows:
            mine, other = worth.get(row.version), worth.get(decider.route.incumbent or "")
            if row.source == "request" and mine is not None and other is not None:
                served.append(mine)
                replayed.append(other)
            decider.learn(row)
            fresh += 1
            if fresh >= EVERY or row.at - looked_at >= EVERY_S:
                decider.look(row.at)
                looked_at, fresh = row.at, 0
        return Replayed(
            task=decider.task.name, outcomes=len(self._rows), first=self._first, last=decider.route.incumbent or "",
            requests=sum(row.source == "request" for row in self._rows), moves=tuple(decider.moves),
            sentences=tuple(decider.sentences), served=statistics.fmean(served) if served else None,
            replayed=statistics.fmean(replayed) if replayed else None,
        )  # fmt: skip

    def _worth(self) -> dict[str, float]:
        grades: dict[str, list[float]] = {}
        for row in self._rows:
            if row.quality is not None:
                grades.setdefault(row.version, []).append(row.quality)
        return {version: statistics.fmean(of) for version, of in grades.items()}
