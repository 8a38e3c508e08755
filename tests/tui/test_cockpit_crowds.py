"""Many models under names of every width and direction: no column breaks, no frame opens, every key still works."""

from __future__ import annotations

import pytest
from canned_states import many
from cockpit_seat import Seat, seat
from rich.cells import cell_len

from arbiter_tui.tui.text import plain

SIZES = [(80, 24), (100, 30), (120, 40), (200, 60)]
EDGES = "┌│└─"


def framed(s: Seat) -> None:
    """Every line that a region drew is as wide as the region, in cells, and has both its edges in their column."""
    for panel in (*s.app.main.panels[:4], s.app.main.header, s.app.main.footer_):
        if not panel.display or not panel.size.area:
            continue
        for drawn in panel._lines:
            text = plain(drawn)
            assert sum(cell_len(x.text) for x in drawn) == panel.size.width, (panel.id, text)
            assert text.isprintable() or "\u200d" in text
            if panel in s.app.main.panels and panel.size.height > 1:
                assert text[0] in EDGES, text
                assert text[-1] in "┐│┘─", text


@pytest.mark.parametrize("size", SIZES)
async def test_no_column_breaks_in_any_region_sorted_in_any_way(size: tuple[int, int]) -> None:
    """Each region alone and in its place, through every order of its table."""
    async with seat(many(), size=size) as s:
        framed(s)
        for digit in "1234":
            await s.press(digit)
            if s.app.main.zoomed:
                await s.press("z")
            for key in ("z", "G", "home", "o", "o", "o", "z"):
                await s.press(key)
                framed(s)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [["enter"], ["t"], ["m"], ["v"], ["question_mark"], ["u"], ["4", "enter"]])
async def test_no_sheet_breaks_either(size: tuple[int, int], keys: list[str]) -> None:
    """A dialog's lines are as wide as the dialog, at its start and at its end."""
    async with seat(many(), size=size) as s:
        await s.press(*keys)
        body = getattr(s.app.screen, "_body", None)
        if body is None:
            return
        for key in ("G", "home"):
            await s.press(key)
            for drawn in body._lines:
                assert sum(cell_len(x.text) for x in drawn) == body.size.width, plain(drawn)


async def test_the_trial_is_seen_in_both_tables() -> None:
    """◇ marks the candidate among the models and in the ranking; its share stands where there is room."""
    async with seat(many(), size=(200, 60)) as s:
        assert "◇" in "".join(plain(x) for x in s.app.main.board._lines)
        trial = s.app.view.task_view()
        assert trial is not None
        row = next(plain(x) for x in s.app.main.board._lines if "◇" in plain(x))
        assert (trial.candidate or "")[:3] in row


@pytest.mark.parametrize("wanted", ["日本語", "🚀", "נמודל", "coder -5"])
async def test_a_filter_finds_names_of_every_script(wanted: str) -> None:
    """What is typed is what is found."""
    async with seat(many()) as s:
        await s.press("slash")
        s.app.main.pool.wanted = wanted
        s.app.main.pool.sync()
        first = wanted.split()[0]
        assert s.app.main.pool.items()
        assert all(first in m.version for m in s.app.main.pool.items())
        framed(s)
