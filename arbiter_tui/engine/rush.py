"""Which hours are usually quiet here: requests counted by the hour, kept over restarts.

Owns: the count of the hour that runs, the note in the store, and what ``live.around`` says of traffic. Never: what is
expected of an hour (core/traffic.py), a veto. Only hours that were watched from beginning to end count: the engine's
own absence is no quiet hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ..core.cost import Outcome
from ..core.registry import ModelVersion
from ..core.traffic import Traffic, unpack
from .live import Live

NOTE, HOUR_S = "traffic", 3600.0


class Rush:
    def __init__(self, live: Live) -> None:
        self._live = live
        self.traffic = Traffic()
        self.joined: Callable[[Traffic], Traffic] = lambda own: own  # knowledge.py's word: with what was seen elsewhere
        self._hour: int | None = None  # since 1970, local
        self._whole = False
        self._count = 0
        self._busy: float | None = None
        self._quiet_in: int | None = None
        live.on_outcome.append(self._came)

    def _came(self, outcome: Outcome, version: ModelVersion) -> None:
        """On the request's path: one addition."""
        self._count += 1

    async def restore(self) -> None:
        stored = await self._live.store.note(NOTE)
        if stored is None:
            return
        try:
            self.traffic = unpack(stored)
        except (KeyError, TypeError, ValueError) as error:
            self._live.alert("warning", f"what was learnt of quiet hours can't be read ({error}); it is learnt anew")

    async def look(self) -> None:
        """About once a second."""
        hour, into_s = _local(self._live.clock.now())
        if hour != self._hour:
            await self._turn(hour)
        left = None if self._quiet_in is None else max(0.0, self._quiet_in * HOUR_S - into_s)
        quiet_in_s = 0.0 if self._quiet_in == 0 else left
        self._live.around = replace(self._live.around, busy=self._busy, quiet_in_s=quiet_in_s)

    async def _turn(self, hour: int) -> None:
        """An hour is over. One that was slept through is not known."""
        before, self._hour = self._hour, hour
        next_one = before is not None and hour == before + 1
        if next_one and self._whole:
            self.traffic = self.traffic.hour(_of_week(hour - 1), self._count)
            await self._live.store.save_note(NOTE, self.traffic.pack())
        self._whole, self._count = next_one, 0
        known = self.joined(self.traffic)
        self._busy, self._quiet_in = known.busy(_of_week(hour)), known.quiet_in(_of_week(hour))


def _local(at: float) -> tuple[int, float]:
    """Whole hours since 1970 by the local clock, and seconds into this one."""
    offset = datetime.fromtimestamp(at).astimezone().utcoffset()
    local = at + (offset.total_seconds() if offset else 0.0)
    return int(local // HOUR_S), local % HOUR_S


def _of_week(hour: int) -> int:
    """0 is the first hour of Monday; 1970 began on a Thursday."""
    return (hour + 3 * 24) % 168
