"""What the screen knows besides the snapshot. Owns: the view's state and small questions asked of it. Never: widgets,
I/O.

``Link``: connecting (nothing seen yet) -> live -> stale (silent for 3 s) -> gone (the wire is down, reconnecting);
error when the engine could not be started or refused the cockpit for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..core.snapshot import ModelView, RowView, Snapshot, SwapView, TaskView
from . import format as fmt

Link = Literal["connecting", "live", "stale", "gone", "error"]
FADES_AFTER_S = 20.0
STALE_AFTER_S = 3.0
SAMPLE_S = 0.95  # curves take one sample a second, however often snapshots come
FEW = 5  # samples below which a quality is a guess
HISTORY = 480  # samples kept: 8 minutes


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error for a person: what happened, why, what to do."""

    what: str
    why: str
    do: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The cockpit's own line: what a key has set off. ``token`` is label, ok, warn or fail."""

    text: str
    token: str = "label"


class Fading:
    """A notice that only says that something worked goes by itself; what went wrong stays until it is read (esc)."""

    def __init__(self) -> None:
        self._notice: Notice | None = None
        self._since = 0.0

    def over(self, notice: Notice | None, now: float) -> bool:
        """Asked again and again: whether ``notice`` has stood there long enough. ``now``: monotonic seconds."""
        if notice is not self._notice:
            self._notice, self._since = notice, now
        return notice is not None and notice.token == "ok" and now - self._since >= FADES_AFTER_S


class History:
    """Curves of the machine by name (0..1 or None), at most one sample a second; an older time starts anew."""

    def __init__(self) -> None:
        self.curves: dict[str, deque[float | None]] = {}
        self._at = float("-inf")
        self._since = float("inf")

    def add(self, at: float, values: dict[str, float | None]) -> None:
        if at < self._at:
            self.curves.clear()
            self._since = at
        elif at - self._at < SAMPLE_S:
            return
        self._at, self._since = at, min(at, self._since)
        for name, value in values.items():
            self.curves.setdefault(name, deque(maxlen=HISTORY)).append(value)

    def before(self, at: Sequence[float], curves: Mapping[str, Sequence[float | None]]) -> None:
        """What the engine remembers of the time before the first sample; of curves that are drawn here only."""
        older = sum(t < self._since - SAMPLE_S / 2 for t in at)
        for name, curve in self.curves.items():
            room = HISTORY - len(curve)
            curve.extendleft(reversed(list(curves.get(name, ()))[max(0, older - room) : older]))
        self._since = min([self._since, *at[:1]])

    def of(self, name: str) -> list[float | None]:
        return list(self.curves.get(name, ()))


@dataclass(slots=True)
class View:
    snapshot: Snapshot | None = None
    link: Link = "connecting"
    age_s: int = 0
    trouble: Trouble | None = None
    task: str | None = None
    frozen: bool = False
    read_only: bool = False
    attached: str = ""  # where: to an engine that somebody else has started
    ascii: bool = False  # the terminal can show nothing else
    notice: Notice | None = None
    where: str = ""
    address: str = ""  # where this cockpit reaches the engine; programs on this machine can, too
    keys: Mapping[str, str] = field(default_factory=dict)  # action -> key, where the configuration differs
    story: str | None = None  # what a scripted show says of itself
    story_fresh: bool = False  # and whether it has just said so
    theme: str | None = None  # chosen in the palette
    theme_over: str | None = None  # what the configuration says
    draft: str = ""  # what was typed into the playground's prompt: leaving loses nothing
    history: History = field(default_factory=History)

    @property
    def dimmed(self) -> bool:
        return self.link in ("stale", "gone")

    @property
    def reads_only(self) -> bool:
        """Whether this cockpit was started so, or the engine takes no changes."""
        return self.read_only or (self.snapshot is not None and self.snapshot.engine.read_only)

    @property
    def away(self) -> bool:
        """Whether the engine is not there, not yet, or not for long: what it does not list may well be there."""
        state = self.snapshot.engine.state if self.snapshot else "starting"
        return self.link in ("gone", "error", "connecting") or state in ("starting", "draining")

    def task_view(self) -> TaskView | None:
        return task_of(self.snapshot, self.task)


def task_of(snapshot: Snapshot | None, name: str | None) -> TaskView | None:
    return next((t for t in snapshot.tasks if t.task == name), None) if snapshot else None


def model_of(snapshot: Snapshot | None, version: str | None) -> ModelView | None:
    return next((m for m in snapshot.models if m.version == version), None) if snapshot else None


def quality_of(row: RowView | None) -> str:
    """``~`` before what a few samples say: one of them is a whole 1.00 or .00."""
    few = row is not None and row.quality is not None and row.samples < FEW
    return ("~" if few else "") + fmt.score(row.quality if row is not None else None)


def row_of(task: TaskView | None, version: str | None) -> RowView | None:
    return next((r for r in task.leaderboard if r.version == version), None) if task else None


def swap_of(snapshot: Snapshot | None, id: str | None) -> SwapView | None:
    return next((s for s in snapshot.swaps if s.id == id), None) if snapshot else None


def busiest_task(snapshot: Snapshot) -> str | None:
    """The task to show first: the one with the most requests, the first of equals."""
    return max(snapshot.tasks, key=lambda t: t.requests).task if snapshot.tasks else None


def serves(snapshot: Snapshot, version: str) -> list[str]:
    """Tasks that ``version`` answers now."""
    return [t.task for t in snapshot.tasks if t.incumbent == version]


def on_trial(snapshot: Snapshot, version: str) -> list[str]:
    return [t.task for t in snapshot.tasks if t.candidate == version]


def announced(snapshot: Snapshot | None, task: str | None) -> TaskView | None:
    """The task whose announced swap a veto means: the chosen one's, else the one that comes first."""
    coming = [t for t in snapshot.tasks if t.next_incumbent is not None] if snapshot else []
    return min(coming, key=lambda t: (t.task != task, t.next_at or 0.0, t.task), default=None)


def machine_values(snapshot: Snapshot) -> dict[str, float | None]:
    """Shares 0..1 of what the machine panel draws as curves."""
    hw, budget = snapshot.hardware, snapshot.budget
    values = {"cpu": hw.cpu.value, "ram": share(hw.ram_used_bytes.value, hw.ram_total_bytes.value)}
    values["pool"] = share(budget.used_bytes, budget.limit_bytes)
    for gpu in hw.gpus:
        values[f"gpu{gpu.index}"] = gpu.utilisation.value
    return values


def share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
