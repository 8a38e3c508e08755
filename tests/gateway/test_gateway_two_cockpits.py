"""Two cockpits on one engine, each over a connection of its own: what one does is on the other's screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from gateway_cases import Stand, control, served
from textual.pilot import Pilot

from arbiter_tui.core.tasks import Task
from arbiter_tui.tui.app import CockpitApp
from arbiter_tui.tui.text import plain
from arbiter_tui.tui.widgets.panel import LineWidget

WITHIN_S = 20.0  # far above what it takes; how long it takes is a figure of benchmarks/cockpit_pair.py


class Sitting:
    """One cockpit and its keys."""

    def __init__(self, app: CockpitApp, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    def text(self) -> str:
        """Everything that is drawn, dialogs included."""
        return "\n".join(
            plain(x) for screen in self.app.screen_stack for w in screen.query(LineWidget) for x in w._lines
        )

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()


async def until(true: Callable[[], bool], *sittings: Sitting) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():
            for sitting in sittings:
                await sitting.pilot.pause(0.01)


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Stand, Sitting, Sitting]]:
    tasks = (Task(name="chat", suite="chat"), Task(name="code"))
    async with served(config={"tasks": tasks}) as stand:
        one, other = (CockpitApp(control(stand), where=name) for name in ("one", "other"))
        async with one.run_test(size=(120, 40)) as here, other.run_test(size=(120, 40)) as there:
            a, b = Sitting(one, here), Sitting(other, there)
            await until(lambda: "fake-b" in a.text() and "fake-b" in b.text(), a, b)
            yield stand, a, b


@pytest.mark.parametrize("swapped", [False, True])
async def test_a_swap_and_a_mode_set_in_one_are_on_the_others_screen(swapped: bool) -> None:
    """Whichever of the two acts: the swap is in the other's history with who serves now, the mode in its ranking's
    title; nobody there pressed a key."""
    async with pair() as (stand, a, b):
        actor, watcher = (b, a) if swapped else (a, b)
        incumbent = stand.arbiter.routes.get("chat").incumbent
        other = "fake-b" if incumbent == "fake-a" else "fake-a"
        await actor.press("s")
        await until(lambda: "compatib" in actor.text() or "✓ active" in actor.text(), actor, watcher)
        await actor.press("enter", "home", "enter")
        await until(lambda: stand.arbiter.routes.get("chat").incumbent == other, actor, watcher)
        await until(lambda: watcher.app.view.task_view() is not None, watcher)
        await until(
            lambda: f"◆  {other}" in watcher.text() and "✓" in watcher.app.main.swaps.figure()[0].text, actor, watcher
        )
        await until(
            lambda: actor.app.view.notice is not None and "serves chat now" in actor.app.view.notice.text, actor
        )
        assert watcher.app.view.notice is None, "what others do is on the screen, not a notice of one's own"
        await watcher.press("a", "j", "enter")
        await until(lambda: "autopilot observe" in actor.text(), actor, watcher)


async def test_work_that_one_started_can_be_ended_by_the_other() -> None:
    """A model warmed here can be unloaded there; both see each state."""
    async with pair() as (stand, a, b):
        cold = next(v for v in ("fake-a", "fake-b") if not stand.arbiter.pool.is_ready(v))
        for sitting in (a, b):
            sitting.app.main.pool.cursor = cold
        await a.press("w")
        await until(lambda: stand.arbiter.pool.is_ready(cold), a, b)
        seen = lambda s: next(m.state for m in s.app.view.snapshot.models if m.version == cold)  # noqa: E731
        await until(lambda: seen(a) == seen(b) == "ready", a, b)
        await b.press("u", "k", "enter")
        await until(lambda: seen(a) == seen(b) == "cold", a, b)
        assert "○ cold" in a.text()
