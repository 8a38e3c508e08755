"""One swap on its way, and one task's queue of swaps. Owns: what is held of them while they run; their cancellation.

Never: an effect, the order of the phases (core/swapping.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from ..core.registry import ModelVersion
from ..core.snapshot import SwapView
from ..core.swapping import SwapEvent, SwapEventKind, SwapPhase, SwapState

INTERRUPTIBLE = frozenset({SwapPhase.WARMING, SwapPhase.PROBING})
CANCELLABLE = INTERRUPTIBLE | {SwapPhase.TRANSFERRING, SwapPhase.SWITCHING}  # at the beginning of these
BEFORE_SWITCH = INTERRUPTIBLE | {SwapPhase.VALIDATING, SwapPhase.RECORDING, SwapPhase.TRANSFERRING}


@dataclass(slots=True, eq=False)
class Lane:
    """One task's queue of swaps: at most one running and one waiting."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    running: str | None = None
    waiting: str | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One swap on its way. ``name``: what the route will say (a version or an alias)."""

    view: SwapView
    name: str
    old: ModelVersion | None
    new: ModelVersion
    back: bool
    state: SwapState
    hold_until: float = 0.0
    probe_s: float | None = None
    warnings: tuple[str, ...] = ()
    gate: asyncio.Event | None = None
    effect: asyncio.Future[SwapEvent] | None = None  # under way, where it can be interrupted
    cancelled: str = ""  # why
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def cancel(self, reason: str) -> None:
        """It ends at the next step; a load or a probe under way ends now."""
        self.cancelled = reason
        if self.effect is not None:
            self.effect.cancel()

    async def run(self, effect: Coroutine[Any, Any, SwapEvent]) -> SwapEvent:
        """The effect's event; a fault if it was cancelled meanwhile."""
        if self.state.phase not in INTERRUPTIBLE:
            return await effect
        self.effect = asyncio.ensure_future(effect)
        try:
            return await self.effect
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.cancelled and not (task is not None and task.cancelling()):
                return SwapEvent(kind=SwapEventKind.FAULT, error=self.cancelled)
            self.effect.cancel()
            raise
        finally:
            self.effect = None
