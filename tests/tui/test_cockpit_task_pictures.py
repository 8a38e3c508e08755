"""Pictures of the task screen and of explanations, compared with accepted ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from canned import HEALTHY
from canned_states import crowd
from fake_cockpit import cockpit
from textual.pilot import Pilot

from arbiter_tui.tui.screens.task_detail import TaskDetail

SMALL, USUAL, LARGE = (80, 24), (120, 40), (200, 60)
FASTER = ["j", *["right"] * 4]
CASES: dict[str, tuple[Any, tuple[int, int], dict[str, Any], list[str]]] = {
    "task-120": (HEALTHY, USUAL, {}, []),
    "task-80": (HEALTHY, SMALL, {}, []),
    "task-200": (HEALTHY, LARGE, {}, []),
    "task-120-light": (HEALTHY, USUAL, {"theme": "light"}, ["2"]),
    "task-120-ansi": (HEALTHY, USUAL, {"theme": "ansi"}, []),
    "task-preview-120": (HEALTHY, USUAL, {}, FASTER),
    "task-preview-80": (HEALTHY, SMALL, {}, [*FASTER, "3"]),
    "task-typing-80": (HEALTHY, SMALL, {}, [*["j"] * 6, "enter", *"2x", "enter"]),
    "task-save-120": (HEALTHY, USUAL, {}, [*FASTER, "ctrl+s"]),
    "task-guards-80": (HEALTHY, SMALL, {}, ["2", *["j"] * 10]),
    "task-past-80": (HEALTHY, SMALL, {}, ["4"]),
    "task-trade-offs-80": (HEALTHY, SMALL, {}, ["5"]),
    "task-requests-80": (HEALTHY, SMALL, {}, ["6"]),
    "task-learnt-80": (HEALTHY, SMALL, {}, ["7"]),
    "task-crowd-120": (crowd(), USUAL, {}, []),
    "task-explained-120": (HEALTHY, USUAL, {}, ["e"]),
    "task-request-120": (HEALTHY, USUAL, {}, ["6", "enter"]),
}
OPENS = {"e", "ctrl+s"}  # opens a dialog, perhaps after an answer


@pytest.mark.parametrize("case", CASES)
def test_task_picture(snap_compare: Callable[..., bool], case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen looks as it was accepted to look."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    snapshot, size, kw, press = CASES[case]
    app = cockpit(snapshot, **kw)

    async def keys(pilot: Pilot[int]) -> None:
        async def until(true: Callable[[], bool]) -> None:
            async with asyncio.timeout(30):
                while not true():
                    await pilot.pause()

        await until(lambda: app.view.snapshot is not None)
        await pilot.press("T")
        await until(lambda: isinstance(app.screen, TaskDetail) and app.screen.facts.profile is not None)
        detail = app.screen
        assert isinstance(detail, TaskDetail)
        for key in press:
            before = app.screen
            await pilot.press(key)
            if key in OPENS or (press[0] == "6" and key == "enter"):
                await until(lambda before=before: app.screen is not before)  # type: ignore[misc]
        await until(lambda: not detail.facts.asking)
        await pilot.pause()

    assert snap_compare(app, run_before=keys, terminal_size=size)
    assert app._exception is None
