"""The filter of the tables, one region alone, and what is remembered for the next time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from canned import GEMMA, GEMMA_CPP, HEALTHY, SMOL, SMOL_CPP
from cockpit_seat import seat

from arbiter_tui.tui.filter import fields_of, matches
from arbiter_tui.tui.memory import Choices, load, save
from arbiter_tui.tui.screens.task_picker import TaskPicker


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("", {GEMMA, SMOL, GEMMA_CPP, SMOL_CPP}),
        ("smol", {SMOL, SMOL_CPP}),
        ("SMOL server", {SMOL}),
        ("state:ready", {GEMMA, SMOL}),
        ("state:ready task:topic", {GEMMA}),
        ("provider:llama_cpp -smol", {GEMMA_CPP}),
        ("alias:fast", {SMOL}),
        ("state:", {GEMMA, SMOL, GEMMA_CPP, SMOL_CPP}),
        ("nosuch:thing", set()),
    ],
)
def test_a_filter_keeps_the_lines_that_have_every_word(wanted: str, kept: set[str]) -> None:
    """Words look everywhere, pairs in their field, a minus turns a word around."""
    assert {m.version for m in HEALTHY.models if matches(wanted, fields_of(m.version, m, HEALTHY))} == kept


def versions(panel: Any) -> set[str]:
    return {panel.identity(x) for x in panel.items()}


async def test_slash_filters_while_it_is_typed() -> None:
    """Letters belong to the filter and not to the keymap; it stands in the title; the other region is not touched."""
    async with seat() as s:
        await s.press("slash", *"swap")
        assert not s.engine.calls
        assert "models · /swap▏" in s.screen_text()
        assert "No line has “swap”" in s.screen_text()
        await s.press(*["backspace"] * 3)
        assert s.app.main.pool.wanted == "s"
        await s.press(*"mol")
        assert versions(s.app.main.pool) == {SMOL, SMOL_CPP}
        assert len(s.app.main.board.items()) == 4


async def test_enter_keeps_the_filter_and_keys_are_keys_again() -> None:
    """A kept filter goes on applying to what arrives; what a key acts on is a line that is seen; esc shows all."""
    async with seat() as s:
        await s.press("slash", *"state:cold", "enter", "w")
        assert s.did("warm", SMOL_CPP)
        cold = replace(HEALTHY.models[1], state="cold", resident_bytes=None)
        await s.show(replace(HEALTHY, revision=60, models=(HEALTHY.models[0], cold, *HEALTHY.models[2:])))
        assert versions(s.app.main.pool) == {SMOL_CPP, GEMMA}
        assert s.app.main.target() == SMOL_CPP
        await s.press("escape")
        await s.press("escape")
        assert len(s.app.main.pool.items()) == 4
        assert s.app.main.target() == SMOL_CPP


async def test_the_ranking_is_filtered_by_what_the_models_are() -> None:
    """The rows of a ranking answer to the state of their models."""
    async with seat() as s:
        await s.press("2", "slash", *"state:ready", "enter")
        assert versions(s.app.main.board) == {GEMMA, SMOL}
        assert "ranking · topic · /state:ready" in s.screen_text()


@pytest.mark.parametrize("region", ["3", "4", "5"])
async def test_a_region_without_a_filter_says_so(region: str) -> None:
    """No key does nothing in silence."""
    async with seat() as s:
        await s.press(region, "slash")
        assert "no filter" in s.notice


async def test_z_shows_one_region_alone_and_all_again() -> None:
    """The focused region takes the whole screen; escape and z give the others back."""
    async with seat() as s:
        await s.press("4")
        for leave in ("z", "escape"):
            await s.press("z")
            await s.until(lambda: not s.app.main.pool.display)
            assert s.app.main.swaps.size.width == 120
            await s.press(leave)
            await s.until(lambda: s.app.main.pool.display)


async def test_the_choices_of_one_sitting_are_those_of_the_next(tmp_path: Path) -> None:
    """Order, region and task come back; the filter and the zoom, which hide, do not."""
    file = tmp_path / "state" / "cockpit.json"
    async with seat(remember=file) as s:
        await s.press("o", "slash", *"smol", "enter", "2", "o", "o", "z", "t", "slash", *"bool", "enter", "q")
    async with seat(remember=file) as s:
        main = s.app.main
        assert (main.pool.sort, main.board.sort) == ("memory", "p50")
        assert main.focused is main.board
        assert not main.zoomed
        assert main.pool.display
        assert s.app.view.task == "boolean"
        assert main.pool.wanted == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        json.dumps({"sorts": 3, "region": 9, "left_out": [], "hidden": 1, "task": 4, "new": 1}),
        "\x00\xff",
    ],
)
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, text: str) -> None:
    """A foreign or broken file is no reason not to start."""
    file = tmp_path / "cockpit.json"
    file.write_text(text, encoding="utf-8")
    assert load(file) == Choices()


async def test_an_order_and_a_task_that_are_gone_are_passed_over(tmp_path: Path) -> None:
    """The busiest task and the first order stand in."""
    file = tmp_path / "cockpit.json"
    save(file, Choices({"models": "colour"}, 1, {"models": ["shade"]}, [1, 2, 3, 4, 9], "no-such-task"))
    async with seat(remember=file) as s:
        assert s.app.main.pool.sort == "state"
        assert not s.app.main.pool.left_out
        assert not s.app.main.hidden
        assert s.app.view.task == "topic"


async def test_in_a_picker_letters_filter_at_once() -> None:
    """As in the palette; the letters that move there still move, and what nothing has is said."""
    async with seat() as s:
        await s.press("t", *"sent")
        assert isinstance(s.app.screen, TaskPicker)
        assert s.app.screen.wanted == "sent"
        assert s.app.screen.keys() == ["sentiment"]
        await s.press(*"zz")
        assert "No line has “sentzz”" in s.screen_text()
        await s.press("escape", "j")
        assert s.app.screen.wanted == ""
