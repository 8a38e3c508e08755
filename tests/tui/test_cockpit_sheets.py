"""What every sheet has: a place to its edge or well within it, its keys on ?, its picture and data on x."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from canned import GEMMA
from cockpit_seat import seat

from arbiter_tui.tui.screens.sheet import EDGE, Sheet
from arbiter_tui.tui.screens.sheet_keys import TITLE
from arbiter_tui.tui.text import plain

KEYS = {"model": ("enter",), "machine": ("m",), "swap": ("s",), "help": ("question_mark",), "record": ("4", "enter"),
        "task": ("t",), "shown": ("v",)}  # fmt: skip
WHOLE = ("model", "machine")
COMMANDED = [name for name in KEYS if name != "task"]  # there every letter is one of the filter


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (88, 30), (120, 40), (200, 60)])
@pytest.mark.parametrize("name", KEYS)
async def test_no_strip_of_what_lies_beneath_is_left(name: str, size: tuple[int, int]) -> None:
    """A border of another screen, one cell beside this one's, is noise."""
    async with seat(size=size) as s:
        await s.press(*KEYS[name])
        await s.until(lambda: isinstance(s.app.screen, Sheet))
        await s.pilot.pause()
        region = s.app.screen.query_one("SheetBody").region
        for there, taken in zip(size, region.size, strict=True):
            assert taken == there or there - taken >= EDGE
        if name in WHOLE:
            assert region.size == size


@pytest.mark.parametrize("name", COMMANDED)
async def test_every_sheet_tells_its_keys(name: str) -> None:
    """Read off its bindings; ? again and escape lead back to it."""
    async with seat() as s:
        await s.press(*KEYS[name])
        await s.until(lambda: isinstance(s.app.screen, Sheet))
        sheet = s.app.screen
        for back in ("question_mark", "escape"):
            await s.press("question_mark")
            await s.until(lambda: s.app.screen is not sheet)
            assert isinstance(s.app.screen, Sheet)
            assert plain(s.app.screen.heading()) == TITLE
            assert "esc q" in s.screen_text()
            assert "write this picture" in s.screen_text()
            if name == "model":
                assert "unload it" in s.screen_text()
            await s.press(back)
            await s.until(lambda: s.app.screen is sheet)


@pytest.mark.parametrize("name", COMMANDED)
async def test_every_sheet_is_exported_with_what_is_behind_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lower edge says where the files are, until the next key."""
    monkeypatch.chdir(tmp_path)
    async with seat() as s:
        await s.press(*KEYS[name])
        await s.until(lambda: isinstance(s.app.screen, Sheet))
        await s.press("x")
        assert "written" in s.screen_text()
        await s.press("j")
        assert "written" not in s.screen_text()
    items = exported(tmp_path)
    assert items
    if name == "model":
        assert items[0]["version"] == GEMMA
    if name == "machine":
        assert {"reading": "cpu", "value": 0.34}.items() <= items[0].items()


def exported(folder: Path) -> list[dict[str, Any]]:
    (found,) = folder.glob("arbiter-*.json")
    items: list[dict[str, Any]] = json.loads(found.read_text())["items"]
    return items
