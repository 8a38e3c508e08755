"""What the task screen knows of its task beside the snapshot: criteria, guards, requests, profile, a preview.

Owns: reading the engine's answers (what can't be read is left out), and the figures
over time made of them. Never: asks, draws.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.cost import percentile
from ..core.guards import Guard
from ..core.learning import TaskProfile
from ..core.snapshot import RowView, SwapView, from_wire
from .charts import Mark
from .task_draft import Draft

NEWEST = 10  # values that a point of the curve over time is the mean or median of
_OUTCOME = ("id", "at", "version", "source", "success", "latency_s", "queue_s", "ttft_s", "tokens_out", "quality",
            "quality_source", "failure")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Served:
    """One measured request."""

    id: str
    at: float
    version: str
    source: str = ""
    success: bool = True
    latency_s: float | None = None
    queue_s: float | None = None
    ttft_s: float | None = None
    tokens_out: int | None = None
    quality: float | None = None
    quality_source: str | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the ranking would be with the draft; ``error``: why it could not be said."""

    rows: tuple[RowView, ...] = ()
    primary: str | None = None
    disqualified: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(slots=True)
class Facts:
    task: str
    told: Mapping[str, Any] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()
    sentence: str = ""
    action: str = ""
    served: tuple[Served, ...] = ()  # newest first
    profile: TaskProfile | None = None
    draft: Draft = field(default_factory=Draft)
    preview: Preview | None = None
    asking: bool = False  # a preview is on its way
    trouble: str = ""

    def take_task(self, told: Mapping[str, Any]) -> None:
        self.told = told
        outlook = self.told.get("outlook")
        said = outlook if isinstance(outlook, Mapping) else {}
        self.sentence, self.action = str(said.get("sentence") or ""), str(said.get("action") or "")
        self.guards = tuple(g for item in self.told.get("guards") or () if (g := _guard(item)) is not None)
        self.draft.rebase(self.told)

    def take_served(self, items: Sequence[Mapping[str, Any]]) -> None:
        self.served = tuple(s for item in items if (s := _served(item)) is not None)

    def take_profile(self, data: Mapping[str, Any]) -> None:
        try:
            self.profile = TaskProfile.from_dict(data)
        except (AttributeError, KeyError, TypeError, ValueError):
            self.profile = None  # of another kind than this version knows


def _guard(item: Any) -> Guard | None:
    if not isinstance(item, Mapping) or not {"rule", "kind", "met"} <= item.keys():
        return None
    return from_wire(Guard, item)


def _served(item: Mapping[str, Any]) -> Served | None:
    known = {name: item[name] for name in _OUTCOME if item.get(name) is not None}
    return Served(**known) if {"id", "at", "version"} <= known.keys() else None


def preview_of(answer: Mapping[str, Any]) -> Preview:
    found = answer
    rows = tuple(from_wire(RowView, row) for row in found.get("scores") or () if isinstance(row, Mapping))
    reasons = found.get("disqualified")
    return Preview(rows, found.get("primary"), reasons if isinstance(reasons, Mapping) else {})


# ── over time ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Past:
    """What the serving version did, request by request, oldest first. ``quality`` and ``latency`` are those of the
    NEWEST requests until there, of the version that served then."""

    quality: tuple[float | None, ...] = ()
    latency: tuple[float | None, ...] = ()
    marks: tuple[Mark, ...] = ()
    began: float | None = None
    ended: float | None = None

    @property
    def slowest(self) -> float | None:
        return max((v for v in self.latency if v is not None), default=None)


def past_of(served: Sequence[Served], swaps: Sequence[SwapView], incumbent: str | None) -> Past:
    """``served`` newest first, ``swaps`` of this task in any order."""
    done = sorted((s for s in swaps if s.result in ("done", "rolled_back")), key=lambda s: s.started_at)
    mine = [s for s in sorted(served, key=lambda s: s.at) if s.version == _serving(done, s.at, incumbent)]
    grades: deque[float] = deque(maxlen=NEWEST)
    times: deque[float] = deque(maxlen=NEWEST)
    quality: list[float | None] = []
    latency: list[float | None] = []
    marks: list[Mark] = []
    before: str | None = None
    for i, one in enumerate(mine):
        if before is not None and one.version != before:
            marks.append(Mark(i, one.version))
            grades.clear()
            times.clear()
        before = one.version
        if one.quality is not None:
            grades.append(one.quality)
        if one.success and one.latency_s is not None:
            times.append(max(0.0, one.latency_s - (one.queue_s or 0.0)))
        quality.append(sum(grades) / len(grades) if grades else None)
        latency.append(percentile(times, 0.5))
    ends = (mine[0].at, mine[-1].at) if mine else (None, None)
    return Past(tuple(quality), tuple(latency), tuple(marks), *ends)


def _serving(done: Sequence[SwapView], at: float, incumbent: str | None) -> str | None:
    """Who served at that moment: the newest swap before it says so, else the first one after it."""
    now = done[0].from_ if done else incumbent
    for swap in done:
        if swap.started_at + (swap.duration_s or 0.0) <= at:
            now = swap.to
    return now
