"""The autopilot's own swaps, per task: what its daily budget and its memory of whom it replaced are counted from.

Owns: a short list per task, filled from the records of swaps (also of those that a restart reads back). Never: decides
(core/guards.py does), counts what an operator or a rollout did.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.guards import Move
from ..core.snapshot import SwapView
from .live import Live

KEPT = 200  # per task


class Moves:
    def __init__(self, live: Live) -> None:
        self._known: dict[str, dict[str, Move]] = {}  # task -> id of the swap -> move
        live.on_swap.append(self.saw)

    def saw(self, before: SwapView | None, after: SwapView) -> None:
        """A swap's record has changed. One that was undone later has happened all the same; a new name is no swap."""
        moved = after.from_ != after.to and after.result in ("done", "rolled_back")
        if after.trigger != "auto" or not moved:
            return
        known = self._known.setdefault(after.task, {})
        known[after.id] = Move(at=after.started_at, from_=after.from_, to=after.to)
        if len(known) > KEPT:
            del known[min(known, key=lambda id: known[id].at)]

    def of(self, task: str) -> tuple[Move, ...]:
        """Oldest first."""
        return tuple(sorted(self._known.get(task, {}).values(), key=lambda move: move.at))

    def restore(self, swaps: Sequence[SwapView]) -> None:
        """After a restart."""
        for swap in swaps:
            self.saw(None, swap)
