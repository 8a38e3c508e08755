"""What goes first where there is little room: summaries before names, gaps before figures; and what is wrapped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import HEALTHY, NOW
from cockpit_seat import seat

from arbiter_tui.core.snapshot import OperationView
from arbiter_tui.tui.screens.task_picker import TaskPicker


@pytest.mark.parametrize("size", [(200, 60), (120, 40), (100, 30), (80, 24), (44, 10)])
async def test_the_chosen_tasks_name_outlives_the_rankings_summary(size: tuple[int, int]) -> None:
    """At every size the title of the ranking names its task whole."""
    async with seat(size=size) as s:
        s.app.show_task("sentiment")
        await s.pilot.pause()
        assert "2 ranking · sentiment " in s.screen_text()


async def test_at_100_columns_the_intervals_and_the_speed_are_still_there() -> None:
    """The gaps between columns are given up first."""
    async with seat(size=(100, 30)) as s:
        assert "●" in "\n".join(x for x in s.screen_text().splitlines() if ".84" in x)
        assert "tok/s" in s.screen_text()


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_the_task_picker_shows_its_last_column_whole(size: tuple[int, int]) -> None:
    """Requests and autopilot are not cut."""
    async with seat(size=size) as s:
        await s.press("t")
        assert isinstance(s.app.screen, TaskPicker)
        rows = [x for x in s.screen_text().splitlines() if " reqs" in x]
        assert len(rows) >= 5
        assert all("…" not in x.split(" reqs")[1] for x in rows)
        assert any(" observe " in x or " on " in x for x in rows)


async def test_an_appointment_is_told_whole_in_the_open_region() -> None:
    """Long work takes the lines that it needs."""
    said = "sentiment to smollm2-135m-instruct-q4_1.llama-server at Sun 22 Nov 06:00:00, as the operator has asked"
    waits = OperationView(id="ap1", kind="appointment", state="waiting", message=said, result={"at": NOW + 60})
    async with seat(replace(HEALTHY, operations=(waits,)), size=(80, 24)) as s:
        await s.press("5", "z")
        await s.pilot.pause()
        text = " ".join(s.screen_text().replace("│", " ").split())
        assert "06:00:00, as the operator has asked" in text
