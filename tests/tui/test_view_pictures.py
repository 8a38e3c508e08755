"""Pictures of the whole-screen views, compared with accepted ones: sizes, themes, states."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from canned import HEALTHY
from canned_states import BENCHING, EMPTY
from fake_cockpit import FakeEngine, cockpit
from fake_views import run_half_way
from textual.pilot import Pilot

from arbiter_tui.tui.app import CockpitApp
from arbiter_tui.tui.screens.playground import Playground

SMALL, USUAL = (80, 24), (120, 40)
PROMPT = [*"Rates", "space", *"are", "space", *"held", "enter"]


async def played(pilot: Pilot[int], press: list[str]) -> None:
    """Each key, and what it asked has come; a fixed clock's figures are put in place."""
    while cast(CockpitApp, pilot.app).view.snapshot is None:
        await pilot.pause()
    for name in press:
        await pilot.press(name)
        await settled(pilot)


async def settled(pilot: Pilot[int]) -> None:
    for _ in range(5):
        await pilot.pause()
    screen: Any = pilot.app.screen
    while any(t.get_name().startswith("playground-") for t in asyncio.all_tasks()):
        await pilot.pause()
    if isinstance(screen, Playground) and screen.duel is not None:
        for side, ttft, took in zip(screen.duel.sides, (0.042, 0.066), (0.31, 0.62), strict=False):
            side.began, side.first_at, side.ended_at = 0.0, ttft, took
    if hasattr(screen, "redraw"):
        screen.redraw()
    await pilot.pause()


CASES: dict[str, tuple[Any, tuple[int, int], dict[str, Any], list[str]]] = {
    "playground-120": (HEALTHY, USUAL, {}, ["g"]),
    "playground-80": (HEALTHY, SMALL, {}, ["g"]),
    "playground-answered-120": (HEALTHY, USUAL, {}, ["g", *PROMPT]),
    "playground-judged-80": (HEALTHY, SMALL, {}, ["g", *PROMPT, "a"]),
    "playground-light-80": (HEALTHY, SMALL, {"theme": "light"}, ["g", *PROMPT]),
    "playground-ansi-120": (HEALTHY, USUAL, {"theme": "ansi"}, ["g", *PROMPT]),
    "recent-120": (HEALTHY, USUAL, {}, ["g", "ctrl+r"]),
    "history-120": (HEALTHY, USUAL, {}, ["H"]),
    "history-80": (HEALTHY, SMALL, {"theme": "light"}, ["H"]),
    "requests-120": (HEALTHY, USUAL, {}, ["R"]),
    "requests-80": (HEALTHY, SMALL, {}, ["R"]),
    "requests-held-80": (HEALTHY, SMALL, {"theme": "light"}, ["R", "k", "k", "k"]),
    "requests-filter-120": (HEALTHY, USUAL, {}, ["R", "slash", *"task:topic"]),
    "benchmark-120": (HEALTHY, USUAL, {}, ["B"]),
    "benchmark-80": (HEALTHY, SMALL, {}, ["B", "j", "j", "l"]),
    "benchmark-running-120": (BENCHING, USUAL, {}, ["B"]),
    "benchmark-running-light-80": (BENCHING, SMALL, {"theme": "light"}, ["B"]),
    "benchmark-ask-80": (HEALTHY, SMALL, {}, ["B", "a"]),
    "log-120": (HEALTHY, USUAL, {}, ["l"]),
    "log-errors-80": (HEALTHY, SMALL, {}, ["l", "o"]),
    "log-engine-120": (HEALTHY, USUAL, {}, ["L"]),
    "log-engine-light-80": (HEALTHY, SMALL, {"theme": "light"}, ["L"]),
    "registry-120": (HEALTHY, USUAL, {}, ["M"]),
    "registry-80": (HEALTHY, SMALL, {"theme": "light"}, ["M", "j"]),
    "registry-register-80": (HEALTHY, SMALL, {}, ["M", "n"]),
    "registry-found-120": (HEALTHY, USUAL, {}, ["M", "d", "j", "space"]),
    "registry-deprecate-120": (HEALTHY, USUAL, {}, ["M", "end", "D"]),
    "requests-empty-80": (EMPTY, SMALL, {}, ["R"]),
}


@pytest.mark.parametrize("case", CASES)
def test_picture(snap_compare: Callable[..., bool], case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view looks as it was accepted to look, and is no blank."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    snapshot, size, kw, press = CASES[case]
    engine = FakeEngine(snapshot)
    if snapshot is EMPTY:
        engine.rows.clear()
    if snapshot is BENCHING:
        run_half_way(engine.cells)
    app = cockpit(snapshot, engine=engine, **kw)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: played(pilot, press))
    assert app._exception is None
