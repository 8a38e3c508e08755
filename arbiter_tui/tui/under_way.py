"""A swap that is under way: which phase it is in, for how long, and what is left as far as that is known.

Owns: the phase between those that are over, its word, its bar. Never: drawing regions, an estimate of its own (the
engine's of the load is the only one).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.snapshot import Snapshot, SwapView
from ..core.swapping import SwapPhase
from . import format as fmt
from .state import model_of

ORDER = tuple(p.value for p in SwapPhase if p not in (SwapPhase.RESTORING, SwapPhase.DONE, SwapPhase.FAILED))
SHORT = {"validating": "checks", "recording": "records", "transferring": "moves", "switching": "switch",
         "draining": "drains"}  # fmt: skip
BAR = 6  # cells of the load's bar


@dataclass(frozen=True, slots=True)
class UnderWay:
    """``share`` and ``left_s`` are known only while a model is loaded whose kind was loaded before."""

    phase: str
    elapsed_s: float
    share: float | None = None
    left_s: float | None = None

    @property
    def short(self) -> str:
        """The phase in the cells of a model's state."""
        return SHORT.get(self.phase, self.phase)

    def told(self) -> str:
        """``loading ▰▰▱▱▱▱ 2 s left, 3 s so far``."""
        so_far = f"{self.elapsed_s:.0f} s so far"
        if self.left_s is None:
            return f"{self.phase}, {so_far}"
        return f"{self.phase} {fmt.steps(self.share, BAR)} {fmt.left(self.left_s)}, {so_far}"

    def brief(self) -> str:
        return self.phase if self.left_s is None else f"{self.phase} · {fmt.left(self.left_s)}"


def under_way(swap: SwapView, snapshot: Snapshot) -> UnderWay:
    """Of a running swap, at the moment of the snapshot."""
    over = swap.phases[-1].name if swap.phases else ""
    at = min(ORDER.index(over) + 1, len(ORDER) - 1) if over in ORDER else 0
    elapsed = max(0.0, snapshot.taken_at - swap.started_at)
    model = model_of(snapshot, swap.to)
    if ORDER[at] != SwapPhase.WARMING or model is None or model.state != "loading":
        return UnderWay(ORDER[at], elapsed)
    return UnderWay("loading", elapsed, model.progress, model.eta_s)


def running_swap(snapshot: Snapshot | None, task: str | None) -> SwapView | None:
    """The task's swap that is under way."""
    swaps = snapshot.swaps if snapshot else ()
    return next((s for s in swaps if s.task == task and s.result == "running"), None)


def brought(snapshot: Snapshot | None, version: str) -> SwapView | None:
    """The swap under way that lets ``version`` serve."""
    swaps = snapshot.swaps if snapshot else ()
    return next((s for s in swaps if s.to == version and s.result == "running"), None)
