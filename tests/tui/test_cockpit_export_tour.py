"""What x writes, and the tour of the first sitting."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from canned import GEMMA, HEALTHY, MODELS
from canned_states import FOUR_GPUS
from cockpit_seat import seat

from arbiter_tui.tui import memory
from arbiter_tui.tui.export import table
from arbiter_tui.tui.screens.help import Help
from arbiter_tui.tui.screens.tour import PLACES, Tour


def written(folder: Path) -> tuple[str, dict[str, Any], list[dict[str, str]]]:
    (svg,) = folder.glob("arbiter-*.svg")
    data = json.loads(svg.with_suffix(".json").read_text())
    with svg.with_suffix(".csv").open() as file:
        return svg.read_text(), data, list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("digit", "view", "first"),
    [
        ("1", "models", {"version": GEMMA, "state": "ready"}),
        ("2", "ranking", {"version": GEMMA, "rank": 1}),
        ("4", "swaps", {"id": "sw-7", "task": "topic"}),
        ("5", "now", {"kind": "alert", "level": "error"}),
        ("3", "machine", {"reading": "cpu", "value": 0.34}),
    ],
)
async def test_x_writes_the_picture_and_the_data_behind_the_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digit: str, view: str, first: dict[str, Any]
) -> None:
    """Three files with one name; the notice says where; JSON has the items whole, CSV a row each."""
    monkeypatch.chdir(tmp_path)
    async with seat(HEALTHY) as s:
        if digit != "1":
            await s.press(digit)
        await s.press("x")
        assert str(tmp_path) in s.notice
        assert ".csv and .json" in s.notice
    svg, data, rows = written(tmp_path)
    assert svg.startswith("<svg")
    assert "gemma3-270m" in svg
    assert data["view"] == view
    assert data["taken_at"] == HEALTHY.taken_at
    assert first.items() <= data["items"][0].items()
    assert {k: str(v) for k, v in first.items()}.items() <= rows[0].items()
    assert len(rows) == len(data["items"])


async def test_the_machines_data_have_each_reading_and_the_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every GPU by its path; what is unknown is null with its reason; the past of each curve."""
    monkeypatch.chdir(tmp_path)
    async with seat(FOUR_GPUS) as s:
        await s.press("3", "x")
    _, data, _ = written(tmp_path)
    found = {item["reading"]: item for item in data["items"]}
    assert found["gpus[3].temperature_c"]["value"] == 87
    assert found["ane"]["value"] is None
    assert len(found["history.cpu"]["value"]) > 100


async def test_a_second_export_takes_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is ever written over."""
    monkeypatch.chdir(tmp_path)
    async with seat(HEALTHY) as s:
        await s.press("x", "x")
    suffixes = sorted(name.rpartition(".")[2] for name in os.listdir(tmp_path))
    assert suffixes == ["csv", "csv", "json", "json", "svg", "svg"]


async def test_a_folder_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a forbidden folder is a sentence, not a traceback."""
    from arbiter_tui.tui import export

    monkeypatch.setattr(export, "place", lambda: tmp_path / "missing")
    async with seat(HEALTHY) as s:
        await s.press("x")
        assert "nothing was written: No such file" in s.notice


def test_the_table_is_safe_for_spreadsheets_and_terminals() -> None:
    """Formulas are text, control characters are gone, the unknown is empty, lists are JSON."""
    text = table([{"a": "=1+1", "b": None}, {"a": "x\x1b[31m\n", "c": [1, None]}])
    assert list(csv.reader(text.splitlines())) == [["a", "b", "c"], ["'=1+1", "", ""], ["x[31m", "", "[1, null]"]]


# the tour -------------------------------------------------------------------------------------------------------------
async def test_the_first_sitting_begins_with_five_steps_and_never_again(tmp_path: Path) -> None:
    """Each step focuses its region; the last one leads out; it is remembered."""
    kept = tmp_path / "cockpit.json"
    async with seat(HEALTHY, remember=kept, tour=True) as s:
        await s.until(lambda: isinstance(s.app.screen, Tour))
        for digit in PLACES:
            assert f"{digit} of 5" in s.screen_text()
            assert s.app.main.focused is s.app.main.panels[digit - 1]
            assert PLACES[digit][0] in s.screen_text()
            await s.press("enter")
        assert s.app.screen is s.app.main
        assert s.app.main.focused is s.app.main.pool
        await s.press("q")
    assert memory.load(kept).toured
    async with seat(HEALTHY, remember=kept, tour=True) as s:
        await s.show(replace(HEALTHY, revision=99))
        assert s.app.screen is s.app.main


@pytest.mark.parametrize("key", ["escape", "q", "s"])
async def test_one_key_skips_the_tour(tmp_path: Path, key: str) -> None:
    """At any step; a step back works, too; the region from before is focused again."""
    async with seat(HEALTHY, remember=tmp_path / "c.json", tour=True, size=(80, 24)) as s:
        await s.until(lambda: isinstance(s.app.screen, Tour))
        await s.press("enter", "enter", "backspace")
        assert "2 of 5" in s.screen_text()
        await s.press(key)
        assert s.app.screen is s.app.main
        assert s.app.main.focused is s.app.main.pool


async def test_the_tour_comes_back_on_demand_and_names_the_keys_as_they_are() -> None:
    """T, the help and the palette open it; remapped keys are told as they are now."""
    async with seat(HEALTHY, keys={"warm": "f5"}) as s:
        assert s.app.screen is s.app.main  # nothing is remembered here, so nothing begins by itself
        await s.press("i")
        assert isinstance(s.app.screen, Tour)
        assert "f5 loads" in " ".join(s.screen_text().split())
        await s.press("escape", "ctrl+p", *"tour", "enter")
        await s.until(lambda: isinstance(s.app.screen, Tour))


async def test_an_engine_that_is_not_ready_brings_no_tour_yet(tmp_path: Path) -> None:
    """It waits for the first whole picture."""
    starting = replace(HEALTHY, engine=replace(HEALTHY.engine, state="starting"))
    async with seat(starting, remember=tmp_path / "c.json", tour=True) as s:
        assert s.app.screen is s.app.main
        await s.show(replace(HEALTHY, revision=99, models=MODELS))
        await s.until(lambda: isinstance(s.app.screen, Tour))


async def test_help_tells_what_the_region_is_for() -> None:
    """Asked from the swaps it speaks of the swaps."""
    async with seat(HEALTHY) as s:
        for digit in ("4", "2"):
            await s.press(digit, "question_mark")
            assert isinstance(s.app.screen, Help)
            assert f"here: {PLACES[int(digit)][0]}" in " ".join(s.screen_text().split())
            await s.press("escape")


async def test_a_cockpit_that_only_reads_is_not_told_of_keys_that_write() -> None:
    """The tour's steps keep their sentences without those parts."""
    async with seat(read_only=True) as s:
        await s.press("i")
        seen = ""
        for _ in PLACES:
            seen += " ".join(s.screen_text().replace("│", " ").split())
            await s.press("enter")
        for gone in ("w loads", "gives its memory back", "b measures", "s lets", "r takes", "a sets"):
            assert gone not in seen, gone
        for kept in ("⏎ tells all about it.", "t chooses another task.", "e opens the record behind it."):
            assert kept in seen, kept
