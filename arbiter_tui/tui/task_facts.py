"""What the task screen knows of its task beside the snapshot: criteria, guards, requests, profile, a preview.

Owns: reading the engine's answers (what can't be read is left out), and the figures
over time made of them. Never: asks, draws.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..core.cost import percentile
from ..core.guards import Guard
from ..core.learning import TaskProfile
from ..core.snapshot import RowView, SwapView, from_wire
from ..core.tasks import Weights
from .charts import Mark
from .task_draft import Draft

NEWEST = 10  # values that a point of the curve over time is the mean or median of
UNKNOWN = 0.5  # what a share counts of which nothing is known: as the ranking has it
_OUTCOME = ("id", "at", "version", "source", "success", "latency_s", "queue_s", "ttft_s", "tokens_out", "quality",
            "quality_source", "failure", "memory_bytes")  # fmt: skip


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
    memory_bytes: int | None = None


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
    today: Mapping[str, Any] | None = None  # requests, energy and money since midnight; None: nobody told

    def take_spent(self, machine: Mapping[str, Any]) -> None:
        """Of what the engine tells of the machine the day's row of this task."""
        rows = [row for row in machine.get("spent") or () if isinstance(row, Mapping)]
        self.today = next((row for row in rows if row.get("task") == self.task), {})

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
class Ruler:
    """What a task measures by: shares that sum to 1 (``weights.NAME``), and where latency and memory earn nothing."""

    shares: tuple[tuple[str, float], ...]
    latency_budget_s: float
    memory_budget_bytes: float

    @classmethod
    def of(cls, draft: Draft) -> Ruler | None:
        """With the draft's changes; None while the criteria are not known."""
        latency, memory = draft.value("latency_budget_s"), draft.value("memory_budget_bytes")
        weights = [draft.value(f"weights.{f.name}") for f in fields(Weights)]
        if not all(isinstance(v, int | float) for v in (latency, memory, *weights)) or not latency or not memory:
            return None
        return cls(tuple(sorted(draft.shares().items())), float(latency), float(memory))

    def utility(self, seen: Window) -> float:
        """The ranking's score of these few requests; their evidence is fresh by what it is."""
        latency, memory = seen.latency, seen.memory_bytes
        found = {
            "weights.quality": UNKNOWN if seen.quality is None else seen.quality,
            "weights.latency": UNKNOWN if latency is None else max(0.0, 1.0 - latency / self.latency_budget_s),
            "weights.memory": UNKNOWN if memory is None else max(0.0, 1.0 - memory / self.memory_budget_bytes),
            "weights.reliability": seen.success,
        }
        return sum(share * found.get(name, 1.0) for name, share in self.shares)


class Window:
    """The NEWEST requests of one version."""

    def __init__(self) -> None:
        self._grades: deque[float] = deque(maxlen=NEWEST)
        self._times: deque[float] = deque(maxlen=NEWEST)
        self._whole: deque[bool] = deque(maxlen=NEWEST)
        self.memory_bytes: int | None = None

    def add(self, one: Served) -> None:
        if one.quality is not None:
            self._grades.append(one.quality)
        if one.success and one.latency_s is not None:
            self._times.append(max(0.0, one.latency_s - (one.queue_s or 0.0)))
        self._whole.append(one.success)
        self.memory_bytes = one.memory_bytes if one.memory_bytes is not None else self.memory_bytes

    @property
    def quality(self) -> float | None:
        return sum(self._grades) / len(self._grades) if self._grades else None

    @property
    def latency(self) -> float | None:
        return percentile(self._times, 0.5)

    @property
    def success(self) -> float:
        return sum(self._whole) / len(self._whole)


@dataclass(frozen=True, slots=True)
class Past:
    """What the serving version did, request by request, oldest first. ``utility``, ``quality`` and ``latency`` are
    those of the NEWEST requests until there, of the version that served then."""

    quality: tuple[float | None, ...] = ()
    latency: tuple[float | None, ...] = ()
    utility: tuple[float | None, ...] = ()
    marks: tuple[Mark, ...] = ()
    began: float | None = None
    ended: float | None = None

    @property
    def slowest(self) -> float | None:
        return max((v for v in self.latency if v is not None), default=None)


def past_of(
    served: Sequence[Served], swaps: Sequence[SwapView], incumbent: str | None, ruler: Ruler | None = None
) -> Past:
    """``served`` newest first, ``swaps`` of this task in any order. Without a ``ruler`` the utility is unknown."""
    done = sorted((s for s in swaps if s.result in ("done", "rolled_back")), key=lambda s: s.started_at)
    mine = [s for s in sorted(served, key=lambda s: s.at) if s.version == _serving(done, s.at, incumbent)]
    window = Window()
    quality: list[float | None] = []
    latency: list[float | None] = []
    utility: list[float | None] = []
    marks: list[Mark] = []
    before: str | None = None
    for i, one in enumerate(mine):
        if before is not None and one.version != before:
            marks.append(Mark(i, one.version))
            window = Window()
        before = one.version
        window.add(one)
        quality.append(window.quality)
        latency.append(window.latency)
        utility.append(None if ruler is None else ruler.utility(window))
    ends = (mine[0].at, mine[-1].at) if mine else (None, None)
    return Past(tuple(quality), tuple(latency), tuple(utility), tuple(marks), *ends)


def _serving(done: Sequence[SwapView], at: float, incumbent: str | None) -> str | None:
    """Who served at that moment: the newest swap before it says so, else the first one after it."""
    now = done[0].from_ if done else incumbent
    for swap in done:
        if swap.started_at + (swap.duration_s or 0.0) <= at:
            now = swap.to
    return now
