"""A seat in a cockpit on a fake engine: press keys, wait for what they bring about, read the screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from canned import HEALTHY
from fake_cockpit import FakeEngine, cockpit
from textual.pilot import Pilot

from arbiter_tui.tui.app import CockpitApp
from arbiter_tui.tui.text import plain
from arbiter_tui.tui.widgets.panel import LineWidget


class Seat:
    """One cockpit with its engine and its pilot."""

    def __init__(self, app: CockpitApp, engine: FakeEngine, pilot: Pilot[int]) -> None:
        self.app, self.engine, self.pilot = app, engine, pilot

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():
                await self.pilot.pause()

    async def show(self, snapshot: Any) -> None:
        self.engine.show(snapshot)
        await self.until(lambda: self.app.view.snapshot is snapshot)

    @property
    def notice(self) -> str:
        return self.app.view.notice.text if self.app.view.notice else ""

    def did(self, *call: Any) -> bool:
        return call in self.engine.calls

    def screen_text(self) -> str:
        body = self.app.screen._body if hasattr(self.app.screen, "_body") else None
        if body is None and self.app.screen is not self.app.main:
            return "\n".join(plain(x) for w in self.app.screen.query(LineWidget) for x in w._lines)
        widgets = [body] if body else [self.app.main.header, *self.app.main.panels, self.app.main.footer_]
        return "\n".join(plain(x) for w in widgets for x in w._lines)


@asynccontextmanager
async def seat(*snapshots: Any, size: tuple[int, int] = (120, 40), **kw: Any) -> AsyncIterator[Seat]:
    engine = FakeEngine(*(snapshots or (HEALTHY,)))
    app = cockpit(*(snapshots or (HEALTHY,)), engine=engine, **kw)
    async with app.run_test(size=size) as pilot:
        s = Seat(app, engine, pilot)
        await s.until(lambda: app.view.snapshot is not None)
        yield s


def with_model(version: str, **change: Any) -> Any:
    models = tuple(replace(m, **change) if m.version == version else m for m in HEALTHY.models)
    return replace(HEALTHY, revision=HEALTHY.revision + 100, models=models)


def with_task(task: str, **change: Any) -> Any:
    tasks = tuple(replace(t, **change) if t.task == task else t for t in HEALTHY.tasks)
    return replace(HEALTHY, revision=HEALTHY.revision + 100, tasks=tasks)
