"""Swaps for later: what shall happen when, until it is done or cancelled.

Owns: the appointments and their record in the store. Never: the swap (hot_swap.py), the rollout (rollouts.py).
An appointment survives a restart; one whose time passed while no engine ran is carried out at the start, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..core.snapshot import OperationView
from ..errors import ArbiterError, Refused, UnknownName
from .hot_swap import Swapper
from .live import Live
from .rollouts import Rollouts

NOTE = "appointments"
KEPT = 20
SHOWN = 5  # of those that came to nothing, in a snapshot
FARTHEST_S = 366 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """``at``, ``ended_at``: unix seconds. ``state``: waiting, running, done, failed, cancelled."""

    id: str
    task: str
    to: str
    at: float
    when: str  # as a person reads it
    canary: bool = False
    strict: bool = False
    reason: str = ""
    state: str = "waiting"
    message: str = ""
    ended_at: float | None = None

    @property
    def view(self) -> OperationView:
        what = f"canary of {self.to} on {self.task}" if self.canary else f"{self.task} to {self.to}"
        return OperationView(
            id=self.id, kind="appointment", state=self.state, progress=1.0 if self.state == "done" else 0.0,
            message=self.message or f"{what} at {self.when}",
            result={"task": self.task, "to": self.to, "at": self.at, "canary": self.canary, "ended_at": self.ended_at},
        )  # fmt: skip


class Schedule:
    def __init__(self, live: Live, swapper: Swapper, rollouts: Rollouts) -> None:
        self._live, self._swapper, self._rollouts = live, swapper, rollouts
        self._known: dict[str, Appointment] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def add(
        self, task: str, to: str, *, at: float, when: str, canary: bool = False, strict: bool = False, reason: str = ""
    ) -> OperationView:
        """Committed when this returns. Raises UnknownName, Refused (a time that is past or more than a year away)."""
        now = self._live.clock.now()
        name, version = self._live.task(task).name, self._live.registry.get(to)
        if not now < at <= now + FARTHEST_S:
            why = "is past" if at <= now else "is more than a year away"
            raise Refused(f"{when} {why}: a swap can be scheduled for a time within the next year")
        one = Appointment(
            id=self._live.new_id(), task=name, to=to, at=at, when=when, canary=canary, strict=strict, reason=reason
        )
        self._known[one.id] = one
        try:
            await self._store()
        except BaseException:
            del self._known[one.id]
            raise
        self._live.event("schedule", one.view.message, task=name, version=version.version)
        return one.view

    async def cancel(self, id: str) -> OperationView:
        """Idempotent; what has begun is the swap's own affair. Raises UnknownName."""
        one = self._known.get(id)
        if one is None:
            raise UnknownName("appointment", id, self._known)
        if one.state == "waiting":
            await self._becomes(one, "cancelled", f"cancelled: {one.view.message}")
        return self._known[id].view

    def knows(self, id: str) -> bool:
        return id in self._known

    def views(self) -> list[OperationView]:
        """Those that wait, the nearest first; then the others, newest first."""
        waiting = sorted((a for a in self._known.values() if a.state == "waiting"), key=lambda a: a.at)
        return [a.view for a in (*waiting, *(a for a in reversed(self._known.values()) if a.state != "waiting"))]

    def shown(self) -> list[OperationView]:
        """For a snapshot: those that wait, and the newest that were cancelled or refused; the others are swaps now."""
        views = self.views()
        ended = [v for v in views if v.state in ("cancelled", "failed")]
        return [*(v for v in views if v.state == "waiting"), *ended[:SHOWN]]

    async def look(self) -> None:
        """Begin what is due; each in the background, so that a slow load delays no other."""
        now = self._live.clock.now()
        for one in list(self._known.values()):
            if one.state == "waiting" and one.at <= now:
                await self._becomes(one, "running", "")
                task = asyncio.create_task(self._carry_out(one), name=f"appointment-{one.task}")
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _carry_out(self, one: Appointment) -> None:
        try:
            if one.canary:
                await self._rollouts.start(one.task, one.to, strict=one.strict)
                await self._becomes(one, "done", f"the rollout of {one.to} on {one.task} has begun")
                return
            reason = one.reason or f"as scheduled for {one.when}"
            swap = await self._swapper.swap(one.task, one.to, trigger="schedule", strict=one.strict, reason=reason)
        except ArbiterError as error:
            await self._becomes(one, "failed", f"{one.view.message}: {error}")
            self._live.alert(
                "error", f"the scheduled swap of {one.task} to {one.to} was refused: {error}", task=one.task
            )
            return
        done = swap.result == "done"
        await self._becomes(one, "done" if done else "failed", swap.error or "")

    async def _becomes(self, one: Appointment, state: str, message: str) -> None:
        ended_at = None if state == "running" else self._live.clock.now()
        self._known[one.id] = replace(one, state=state, message=message, ended_at=ended_at)
        over = [a.id for a in self._known.values() if a.state not in ("waiting", "running")]
        for id in over[: max(0, len(over) - KEPT)]:
            del self._known[id]
        await self._store()
        self._live.dirty()

    async def _store(self) -> None:
        await self._live.store.save_note(NOTE, [asdict(a) for a in self._known.values()])

    async def restore(self) -> None:
        """One that had begun when the engine ended is the swap's intent now, and not begun again."""
        stored: list[Mapping[str, Any]] = await self._live.store.note(NOTE) or []
        for told in stored:
            one = Appointment(**told)
            message = f"{one.view.message}: the engine ended while it ran"
            ended = replace(one, state="failed", message=message, ended_at=self._live.clock.now())
            self._known[one.id] = ended if one.state == "running" else one

    async def stop(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
