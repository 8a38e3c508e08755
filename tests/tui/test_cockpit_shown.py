"""What is shown: regions hidden and brought back, columns chosen, and both remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from cockpit_seat import Seat, seat
from textual.pilot import Pilot

from arbiter_tui.tui.screens import places
from arbiter_tui.tui.screens.shown import ShownSheet
from arbiter_tui.tui.text import plain


def columns(s: Seat) -> str:
    """The header of the models' table."""
    return plain(s.app.main.pool._lines[1])


async def toggle(s: Seat, *keys: str) -> None:
    """Open the list, set the cursor on each key and press space."""
    await s.press("v")
    sheet = s.app.screen
    assert isinstance(sheet, ShownSheet)
    for key in keys:
        sheet.cursor = key
        await s.press("space")
    await s.press("escape")


async def test_space_takes_a_column_away_and_makes_room_for_the_next_one() -> None:
    """The order stays, a column that lacked room says so and comes as soon as there is room."""
    async with seat() as s:
        assert "tok/s" in columns(s)
        assert "busy" not in columns(s)
        await s.press("v")
        assert "no room for it now" in s.screen_text()
        await s.press("escape")
        await toggle(s, "1:speed", "1:ttft")
        assert "tok/s" not in columns(s)
        assert columns(s).index("mem") < columns(s).index("busy")
        await toggle(s, "1:speed")
        assert columns(s).index("mem") < columns(s).index("tok/s")


async def test_the_list_opens_on_the_focused_tables_columns() -> None:
    """Two keys take a column of the table that one looks at; the cells of the other keep theirs."""
    async with seat() as s:
        await s.press("2", "v", "space", "escape")
        assert s.app.main.board.left_out == {"utility"}
        assert not s.app.main.pool.left_out
        assert "util " not in plain(s.app.main.board._lines[1])


@pytest.mark.parametrize("hidden", [{1}, {2}, {3}, {4}, {1, 2}, {1, 3}, {1, 4}, {2, 3}, {3, 4}, {1, 2, 3}])
async def test_hidden_regions_leave_no_hole(hidden: set[int]) -> None:
    """Whatever is hidden, the others fill the whole body and nothing overlaps."""
    async with seat() as s:
        await toggle(s, *(str(d) for d in sorted(hidden)))
        shown = [p for p in s.app.main.panels[:4] if p.digit not in hidden]
        await s.until(lambda: sum(p.region.area for p in shown) == s.app.main.query_one("#body").region.area)
        assert [p.digit for p in s.app.main.panels if not p.display] == sorted(hidden)
        for a in shown:
            assert all(not a.region.overlaps(b.region) for b in shown if b is not a)


async def test_the_digit_of_a_hidden_region_shows_it_again() -> None:
    """A region that was hidden is one key away; tab passes it over meanwhile."""
    async with seat() as s:
        await toggle(s, "2")
        await s.press("1", "tab")
        assert s.app.main.focused is s.app.main.machine
        await s.press("2")
        await s.until(lambda: s.app.main.board.display)
        assert s.app.main.focused is s.app.main.board


async def test_the_focus_never_stays_in_a_hidden_region_and_the_last_one_stays() -> None:
    """Keys always go to something that is seen."""
    async with seat() as s:
        await s.press("4")
        await toggle(s, "4", "1", "2", "3")
        assert s.app.main.hidden == {1, 2, 4}
        await s.until(lambda: s.app.main.focused is s.app.main.machine)


@pytest.mark.parametrize("size", [(80, 24), (80, 50), (120, 40)])
async def test_choices_are_remembered_at_every_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """Hidden regions and columns come back in the next sitting."""
    file = tmp_path / "cockpit.json"
    async with seat(remember=file, size=size) as s:
        await toggle(s, "3", "1:speed", "2:p50")
        await s.press("q")
    async with seat(remember=file, size=size) as s:
        assert s.app.main.hidden == {3}
        assert not s.app.main.machine.display
        assert (s.app.main.pool.left_out, s.app.main.board.left_out) == ({"speed"}, {"p50"})


async def test_five_keys_show_five_regions_at_80_by_24() -> None:
    """One column: each digit opens its region, the others stay as title lines, all in sight."""
    async with seat(size=(80, 24)) as s:
        for digit, panel in enumerate(s.app.main.panels, 1):
            await s.press(str(digit))
            if digit != 1 or s.app.main.focused is not panel:
                await s.until(lambda p=panel: s.app.main.focused is p)
            if s.app.main.zoomed:
                await s.press("z")
            await s.until(lambda p=panel: p.size.height > 10)
            assert all(p.size.height >= 1 for p in s.app.main.panels)


async def settled(pilot: Pilot[int]) -> None:
    await pilot.pause()
    await pilot.pause()


async def test_a_show_that_is_told_has_a_line_of_its_own() -> None:
    """Where a story stands above the narrator, what the engine says still has a whole sentence."""
    async with seat(size=(80, 24), story=lambda: "act two: the model that serves sentiment starts to fail") as s:
        before = s.app.main.narrator.size.height
        s.app.tick()
        await settled(s.pilot)
        assert s.app.main.narrator.size.height == before + 1


def test_forms() -> None:
    """Every size has one form; 80x24 is one column, 120x40 the grid."""
    assert places.form_of(40, 8, zoomed=True) == "small"
    assert places.form_of(80, 24, zoomed=False) == "accordion"
    assert places.form_of(80, 44, zoomed=False) == "stack"
    assert places.form_of(100, 26, zoomed=False) == "wide"
    assert places.form_of(200, 60, zoomed=True) == "zoom"
    assert [places.narrator_lines(h, told=False) for h in (10, 24, 40)] == [1, 2, 3]
