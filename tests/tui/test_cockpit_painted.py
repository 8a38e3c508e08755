"""What was sent to the terminal bit by bit is the picture that a whole repaint would leave: dialogs over a screen that
changes beneath them, opened, moved in and closed, at random."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from canned import HEALTHY
from cockpit_seat import Seat, seat
from rich.color import ColorSystem
from rich.console import RenderableType
from test_cockpit_thin import cells
from textual._compositor import CompositorUpdate
from textual.screen import Screen

from arbiter_tui.tui.app import CockpitApp
from arbiter_tui.tui.thin import thinned

KEYS = ("s", "j", "k", "escape", "question_mark", "t", "enter", "e", "z", "2", "1", "o", "escape")
STATES = ("ready", "cold", "loading", "failed", "draining")


def another(snapshot: Any, rng: random.Random, revision: int) -> Any:
    """States, figures and counters moved."""
    models = tuple(
        replace(m, state=rng.choice(STATES), requests=rng.randrange(10**6), in_flight=rng.randrange(3))
        if rng.random() < 0.6 else m
        for m in snapshot.models
    )  # fmt: skip
    tasks = tuple(
        replace(
            t, leaderboard=tuple(replace(r, utility=rng.random()) if rng.random() < 0.5 else r for r in t.leaderboard)
        )
        for t in snapshot.tasks
    )
    engine = replace(snapshot.engine, requests=rng.randrange(10**7))
    return replace(snapshot, revision=revision, models=models, tasks=tasks, engine=engine)


def whole(s: Seat) -> str:
    console = s.app.console
    return "\x1b[1;1H" + "\n".join(x.render(console) for x in s.app.screen._compositor.render_strips(s.app.size))


async def comes(s: Seat, true: Callable[[], bool], where: str) -> None:
    """What is still to be painted is painted soon; what was forgotten never is."""
    end = time.monotonic() + 20.0
    while not true():
        assert time.monotonic() < end, where
        await s.pilot.pause(0.03)


@pytest.mark.parametrize("seed", range(12))
async def test_the_terminal_shows_what_a_whole_repaint_would(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any run of keys and news."""
    sent: list[str] = []

    def display(self: CockpitApp, screen: Screen[object], renderable: RenderableType | None) -> None:
        self.console._color_system = ColorSystem.TRUECOLOR
        update = self.picture.update(renderable, self.console)
        if screen is self.screen and isinstance(update, CompositorUpdate):
            sent.append(thinned(update.render_segments(self.console)))

    monkeypatch.setattr(CockpitApp, "_display", display)
    rng = random.Random(seed)
    async with seat() as s:
        for step in range(25):
            if rng.random() < 0.5:
                await s.press(rng.choice(KEYS))
            else:
                await s.show(another(HEALTHY, rng, 1000 + step))
            if step % 8 == 7:
                where = f"step {step}, on {type(s.app.screen).__name__}"
                await comes(s, lambda: cells("".join(sent)) == cells(whole(s)), where)
