"""The internal benchmark as a table: each task that has a suite, each version that could be asked it.

Owns: the cells. Never: asks anything. A cell keeps its figure while it is measured again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.registry import Lifecycle
from ..core.stats import Stats, trust_of
from .evidence import Evidence
from .live import Live

EMPTY = Stats()


@dataclass(slots=True)
class Part:
    """One task and version of a benchmark that runs: ``asked`` of ``questions``."""

    operation: str
    task: str
    version: str
    questions: int
    asked: int = 0
    ended: bool = False


def cells(live: Live, evidence: Evidence, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """In the order of the tasks. ``quality``: the mean of ``samples`` grades by the suite since the last change that
    was noticed; None and 0 where nothing was measured. ``state``: idle, waiting, running, done (of a benchmark)."""
    under_way = {(p.task, p.version): p for p in parts}
    found = []
    for task in live.tasks.values():
        questions = len(live.suite(task))
        if not questions:
            continue
        stats: Mapping[str, Stats] = evidence.stats(task.name)
        for version in evidence.contenders(task.name):
            part = under_way.get((task.name, version.version))
            if version.lifecycle is not Lifecycle.ACTIVE and version.version not in stats and part is None:
                continue  # a draft that nobody has measured is no row of its own
            found.append({
                "task": task.name, "version": version.version, "questions": questions,
                **_measured(stats.get(version.version, EMPTY)), **_under_way(part),
            })  # fmt: skip
    return found


def _measured(stats: Stats) -> dict[str, Any]:
    good, bad = stats.told.get("suite", (0.0, 0.0))
    asked = round((good + bad) / trust_of("suite"))
    return {"quality": round(good / (good + bad), 4) if asked else None, "samples": asked}


def _under_way(part: Part | None) -> dict[str, Any]:
    if part is None:
        return {"state": "idle", "asked": None, "asking": None, "operation": None}
    state = "done" if part.ended else "running" if part.asked else "waiting"
    return {"state": state, "asked": part.asked, "asking": part.questions, "operation": part.operation}
