"""Names that are written from right to left: columns keep their place, and nothing turns what stands behind them."""

from __future__ import annotations

import pytest
from canned_states import ARABIC, CONTROLS, HEBREW, HIDDEN, RIGHT_TO_LEFT
from cockpit_seat import seat
from rich.cells import cell_len

from arbiter_tui.commands.text import clean
from arbiter_tui.tui import format as fmt
from arbiter_tui.tui.glyphs import safe
from arbiter_tui.tui.names import beside
from arbiter_tui.tui.text import plain


def column(line: str, glyphs: str) -> int:
    """The cell in which the first of these stands."""
    at = min(i for i, c in enumerate(line) if c in glyphs)
    return cell_len(line[:at])


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_columns_keep_their_place(size: tuple[int, int]) -> None:
    """The state of each model stands in the same cell, whatever its name is made of; no line is too long."""
    async with seat(RIGHT_TO_LEFT, size=size) as s:
        rows = [plain(x) for x in s.app.main.pool._lines]
        states = [column(r, "●◐○") for r in rows if any(g in r for g in "●◐○")]
        assert len(states) == 4
        assert len(set(states)) == 1, rows
        for digit in "1234":
            await s.press(digit)
            panel = s.app.main.panels[int(digit) - 1]
            assert {sum(cell_len(x.text) for x in drawn) for drawn in panel._lines} == {panel.size.width}


@pytest.mark.parametrize(
    "keys", [(), ("enter",), ("t",), ("s",), ("4", "enter"), ("T",), ("e",), ("u",), ("5", "enter")]
)
async def test_no_control_of_the_writing_direction_reaches_the_terminal(keys: tuple[str, ...]) -> None:
    """In no table, sheet, dialog or sentence; the letters themselves do."""
    async with seat(RIGHT_TO_LEFT) as s:
        await s.press(*keys)
        drawn = "".join(strip.text for strip in s.app.screen._compositor.render_strips(s.app.size))
        assert not set(CONTROLS) & set(drawn)
        assert set(drawn) & set(HEBREW + ARABIC)


@pytest.mark.parametrize("width", range(8, 40, 3))
def test_names_are_cut_by_their_cells(width: int) -> None:
    """However narrow the column."""
    drawn = beside((HEBREW, ARABIC, HIDDEN), width)
    assert all(fmt.cells(safe(plain(x))) <= width for x in drawn.values())
    assert len({safe(plain(x)) for x in drawn.values()}) == 3


def test_the_shell_does_not_print_them_either() -> None:
    """What joins letters to words stays: it belongs to names."""
    assert clean(HIDDEN) == "gpj.exe-q4.llama-server"
    assert clean(f"{HEBREW}\u200d{ARABIC}") == f"{HEBREW}\u200d{ARABIC}"
    assert clean("a\tb\nc\xa0d 日本語") == "a\tb\nc\xa0d 日本語"
