"""The ways out of the cockpit: q, ctrl+q, a signal, a terminal that is gone.

Owns: whether the engine ends with it, what would be lost by that, and what is remembered for the next sitting. Never:
what the terminal needs (terminal.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App

from ..core.snapshot import Snapshot
from ..errors import ArbiterError
from . import format as fmt
from . import memory, terminal
from .keys import BY_ID, shown
from .source import Engine
from .state import Notice, View

if TYPE_CHECKING:
    from .screens.main import MainScreen

USED_S = 300.0  # "in the last minutes"
STOP_S = 0.2  # how long q waits for the engine to have heard that it shall stop
ON_TRIAL = ("shadow", "canary", "promoting")


def at_stake(snapshot: Snapshot | None, *, used_by_others: bool) -> list[str]:
    """What ends, or will not happen, if the engine ends now: a sentence each."""
    said = ["Others have used this engine in the last minutes."] if used_by_others else []
    for o in snapshot.operations if snapshot is not None else ():
        if o.kind == "appointment" and o.state == "waiting":
            said.append(f"An appointment waits: {o.message}. Without an engine it is missed.")
        elif o.kind == "bench" and o.state == "running":
            left = f", {fmt.left(o.eta_s)}" if o.eta_s is not None else ""
            said.append(f"A benchmark is running{left}. What it has measured is kept.")
    for r in snapshot.rollouts if snapshot is not None else ():
        if r.phase in ON_TRIAL:
            said.append(f"{r.to} is on trial for {r.task}; the next start goes on with it.")
    return said


class Leaving(App[int]):
    """What an application needs to be left; the cockpit is one."""

    main: MainScreen
    view: View
    engine: Engine | None
    _owns: bool | Callable[[], bool]
    _remember: Path | None
    _toured: bool
    _used_at: float | None
    _now: Callable[[], float]
    stop_engine = False
    stops_over_wire = True
    last_resort: threading.Timer | None = None
    _stopping: asyncio.Task[None] | None = None

    @property
    def owns_engine(self) -> bool:
        """Whether it ends with this cockpit: one that went away may have been replaced by an own one."""
        return self._owns() if callable(self._owns) else self._owns

    def used_by_others(self) -> bool:
        return self._used_at is not None and self._now() - self._used_at <= USED_S

    def at_stake(self) -> list[str]:
        return at_stake(self.view.snapshot, used_by_others=self.used_by_others()) if self.owns_engine else []

    async def action_quit(self) -> None:
        """ctrl+q, which is Textual's own: the same as q, from everywhere."""
        self.main.cockpit.act("quit")

    def action_help_quit(self) -> None:
        """ctrl+c ends nothing here: a hand that is used to it must not end an engine. It says what does."""
        self.main.cockpit.say(Notice(f"▲ {shown(BY_ID['quit'], self.view.keys)} quits, ctrl+q from everywhere", "warn"))

    def leave(self, *, stop: bool, code: int = 0) -> None:
        """Give the terminal back. Who stops the engine: ``on_quit`` of run_cockpit, else a call over the wire here."""
        self.stop_engine = stop
        if self._remember is not None:
            choices = self.main.choices()
            choices.toured = self._toured
            memory.save(self._remember, choices)
        if stop and self.stops_over_wire and self.engine is not None:
            self._stopping = asyncio.create_task(self._stop_then_exit(self.engine, code))
        else:
            self.exit(code, return_code=code)

    async def _stop_then_exit(self, engine: Engine, code: int) -> None:
        with contextlib.suppress(ArbiterError, OSError, TimeoutError):  # it drains by itself; leaving must not wait
            async with asyncio.timeout(STOP_S):
                await engine.stop()
        self.exit(code, return_code=code)

    def _signalled(self, number: int) -> None:
        if self.last_resort is None:
            self.last_resort = terminal.deadline(number)
            self.leave(stop=self.owns_engine, code=128 + number)
