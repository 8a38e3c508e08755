"""Where a sheet stands: either it takes the terminal to its edge, or enough of the screen beneath is seen."""

from __future__ import annotations

import pytest
from cockpit_seat import seat

from arbiter_tui.tui.screens.sheet import EDGE, Sheet

KEYS = {"model": ("enter",), "machine": ("m",), "swap": ("s",), "help": ("question_mark",), "record": ("4", "enter"),
        "task": ("t",), "shown": ("v",)}  # fmt: skip
WHOLE = ("model", "machine")


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
