"""The cockpit and its engine: silence, loss, return, what is repainted, who stops whom on leaving."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from canned import GEMMA, HEALTHY, NOW, SMOL
from cockpit_seat import seat, with_model, with_task
from fake_cockpit import Clock, FakeEngine, cockpit

from arbiter_tui.errors import UnknownName
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.state import FADES_AFTER_S, Notice


async def test_silence_is_stale_and_news_ends_it() -> None:
    """Three seconds without a snapshot are shown with their age."""
    clock = Clock()
    async with seat(now=clock) as s:
        clock.at += 2.9
        s.app.check_stale()
        assert s.app.view.link == "live"
        clock.at += 4.2
        s.app.check_stale()
        assert "stale 7 s" in s.screen_text()
        await s.show(with_task("topic", requests=1))
        assert s.app.view.link == "live"


async def test_a_lost_engine_is_reconnected_to() -> None:
    """The last picture stays, greyed; when the wire is back all goes on."""
    async with seat() as s:
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        assert "reconnecting" in s.screen_text()
        assert GEMMA.partition(".")[0] in s.screen_text()
        s.engine.fail = None
        await s.until(lambda: s.app.view.link == "live")


async def test_an_unchanged_snapshot_repaints_nothing() -> None:
    """The same figures under a new revision ask for no repaint at all."""
    async with seat() as s:
        asked: list[Any] = []
        for widget in (s.app.main.header, *s.app.main.panels, s.app.main.footer_):
            widget.refresh = lambda *a, **k: asked.append(a)  # type: ignore[method-assign, assignment]
        same = replace(HEALTHY, revision=42)
        await s.show(same)
        assert asked == []


async def test_one_changed_figure_repaints_one_place() -> None:
    """A model's speed touches its own cells (and nothing else in the region)."""
    async with seat() as s:
        asked: list[Any] = []
        s.app.main.pool.refresh = lambda *regions, **k: asked.extend(regions)  # type: ignore[method-assign, assignment]
        await s.show(with_model(SMOL, tokens_per_second=180.0))
        assert len(asked) == 1
        assert asked[0].height == 1
        assert asked[0].width <= 6


async def test_q_leaves_a_joined_engine_alone() -> None:
    """Only what this cockpit started does it stop."""
    async with seat() as s:
        await s.press("q")
        assert s.app.return_code == 0
        assert not s.did("stop")


async def test_q_stops_an_own_engine_that_nobody_else_used() -> None:
    """No question where there is nothing to ask."""
    async with seat(owns_engine=True) as s:
        await s.press("q")
        await s.until(lambda: s.app.return_code is not None)
        assert s.did("stop")


@pytest.mark.parametrize(("moves", "stopped"), [((), False), (("k",), True)])
async def test_q_asks_when_others_used_the_engine(moves: tuple[str, ...], stopped: bool) -> None:
    """Leaving it serving is the default: enter by mistake takes it from nobody. Stop is the other choice."""
    async with seat(owns_engine=True) as s:
        await s.show(replace(HEALTHY, revision=42, engine=replace(HEALTHY.engine, requests=12_600)))
        await s.press("q")
        assert isinstance(s.app.screen, Confirm)
        await s.press(*moves, "enter")
        await s.until(lambda: s.app.return_code is not None)
        assert s.did("stop") is stopped


async def test_a_story_stands_on_the_narrators_line() -> None:
    """A scripted show's newest line is what spectators read."""
    async with seat(story=lambda: "a fault is injected now") as s:
        s.app.tick()
        assert "a fault is injected now" in s.screen_text()
        assert NOW


@pytest.mark.parametrize(("token", "goes"), [("ok", True), ("label", False), ("warn", False), ("fail", False)])
async def test_only_a_notice_that_something_worked_goes_by_itself(token: str, goes: bool) -> None:
    """After twenty seconds; what is under way, and what went wrong, stays until it is answered or read."""
    clock = Clock()
    async with seat(now=clock) as s:
        s.app.say(Notice("the words of a notice", token))
        s.app.tick()
        assert "the words of a notice" in s.screen_text()
        clock.at += FADES_AFTER_S
        s.app.tick()
        await s.pilot.pause()
        assert ("the words of a notice" in s.screen_text()) is not goes


async def test_a_fault_in_the_poll_is_seen() -> None:
    """Whatever breaks while reading, the screen says so instead of standing still."""
    async with seat() as s:
        s.engine.fail = ValueError("not a snapshot")  # type: ignore[assignment]
        s.engine._news.set()
        await s.until(lambda: s.app.view.link == "error")
        assert "ValueError: not a snapshot" in (s.app.view.trouble.why if s.app.view.trouble else "")


def test_the_control_client_is_an_engine() -> None:
    """Every call that the cockpit makes exists on the client."""
    from arbiter_tui.client import ControlClient
    from arbiter_tui.tui.source import Engine

    wanted = {name for name in vars(Engine) if not name.startswith("_")}
    assert wanted <= set(dir(ControlClient))


async def test_a_task_that_the_engine_does_not_know_is_forgotten() -> None:
    """Remembered of another engine: the snapshot comes without it, and another task is shown."""

    class Particular(FakeEngine):
        async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Any:
            if task == "gone":
                raise UnknownName("task", "gone", ["topic"])
            return await super().snapshot(after, wait, task)

    engine = Particular(HEALTHY)
    app = cockpit(HEALTHY, engine=engine)
    app.view.task = "gone"
    async with app.run_test(size=(120, 40)) as pilot:
        async with asyncio.timeout(30):
            while app.view.snapshot is None:
                await pilot.pause()
        assert app.view.link == "live"
        assert app.view.task == "topic"
