"""The keys that change what is seen and where one is: tasks, details, sorting, motion, regions, mouse, pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import GEMMA, HEALTHY, SMOL, SMOL_CPP
from canned_states import crowd
from cockpit_seat import seat, with_task

from arbiter_tui.tui.screens.explain import Reading
from arbiter_tui.tui.screens.model_detail import ModelDetail
from arbiter_tui.tui.screens.swap_dialog import SwapDialog
from arbiter_tui.tui.screens.task_picker import TaskPicker
from arbiter_tui.tui.text import plain


async def test_p_holds_the_picture_while_collecting_goes_on() -> None:
    """Frozen, snapshots arrive but are not drawn; p shows the newest."""
    async with seat() as s:
        await s.press("p")
        assert "frozen" in s.screen_text()
        newer = with_task("topic", requests=9999)
        s.engine.show(newer)
        await s.until(lambda: s.app._requests == newer.engine.requests)
        assert s.app.view.snapshot is HEALTHY
        await s.press("p")
        await s.until(lambda: s.app.view.snapshot is newer)


async def test_t_chooses_a_task_by_typing() -> None:
    """The picker filters; the ranking follows and the wire is asked for that task."""
    async with seat() as s:
        await s.press("t")
        assert isinstance(s.app.screen, TaskPicker)
        await s.press("slash", *"sent", "enter")
        assert s.app.view.task == "sentiment"
        assert "ranking · sentiment" in s.screen_text()


async def test_enter_shows_details_of_what_is_selected() -> None:
    """In the models: the version; in the swaps: the swap with its phases."""
    async with seat() as s:
        await s.press("enter")
        assert isinstance(s.app.screen, ModelDetail)
        assert "gemma3-270m" in s.screen_text()
        await s.press("escape", "4", "enter")
        assert "phases" in s.screen_text()
        assert "probing" in s.screen_text()


async def test_e_explains_the_swap_or_the_tasks_choice() -> None:
    """The record comes from the engine by the identity under the cursor."""
    async with seat() as s:
        await s.press("e")
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert s.did("explain", "topic")
        assert "best utility" in s.screen_text()
        assert "must hold for a swap" in s.screen_text()
        await s.press("escape", "4", "j", "e")
        await s.until(lambda: s.did("explain", "sw-6"))


async def test_o_sorts_and_the_title_shows_it() -> None:
    """The column's title carries the mark."""
    async with seat() as s:
        await s.press("o")
        assert s.app.main.pool.sort == "memory"
        assert "mem▾" in s.screen_text()


async def test_the_cursor_stays_on_its_model_when_rows_move() -> None:
    """Identity, never index: sorting and arriving models do not change what a key acts on."""
    async with seat() as s:
        await s.press("j", "j", "j")
        chosen = s.app.main.pool.cursor
        await s.press("o", "o", "o", "o")
        assert s.app.main.target() == chosen
        await s.show(replace(HEALTHY, revision=99, models=HEALTHY.models[::-1]))
        assert s.app.main.target() == chosen


async def test_motion_reaches_both_ends() -> None:
    """j k G home ctrl+d ctrl+u, in a list longer than its region."""
    async with seat(crowd()) as s:
        pool = s.app.main.pool
        first = pool.cursor
        await s.press("G")
        assert pool.cursor == pool.identity(pool.items()[-1])
        await s.press("ctrl+u", "ctrl+d", "k", "home")
        assert pool.cursor == first


async def test_digits_focus_and_zoom() -> None:
    """A digit goes to its region; again, that region stands alone; again, all are back."""
    async with seat() as s:
        for digit, panel in enumerate(s.app.main.panels, 1):
            await s.press(str(digit))
            if digit > 1:
                assert s.app.main.focused is panel
        await s.press("2", "2")
        assert not s.app.main.pool.display
        await s.press("2")
        assert s.app.main.pool.display


async def test_the_accordion_opens_the_focused_region() -> None:
    """At 80x24 the others are folded to their title line, which still says the essential."""
    async with seat(size=(80, 24)) as s:
        await s.press("3")
        heights = {p.name_: p.size.height for p in s.app.main.panels[:4]}
        assert heights["machine"] > 10
        assert heights["models"] == heights["swaps"] == 1
        assert "ranking · topic" in s.screen_text()


async def test_too_small_names_the_size_that_is_needed() -> None:
    """Below the smallest form one polite line stands."""
    async with seat(size=(40, 8)) as s:
        assert "44×10" in "".join(plain(x) for x in s.app.main.small._lines)


async def test_keys_can_be_remapped_and_are_shown_as_they_are() -> None:
    """An action's id is its name in the configuration; footer and help name the key that works."""
    async with seat(keys={"swap": "f2", "help": "h", "region-4": "f4"}) as s:
        assert "f2 swap" in s.screen_text()
        assert "h help" in s.screen_text()
        await s.press("f2")
        assert isinstance(s.app.screen, SwapDialog)
        await s.press("escape", "f4")
        assert s.app.main.focused is s.app.main.swaps
        await s.press("h")
        lines = [x.split() for x in s.screen_text().splitlines()]
        assert any(x[1:3] == ["f2", "swap"] or x[2:4] == ["f2", "swap"] for x in lines)


async def test_a_click_selects_and_a_second_opens() -> None:
    """The mouse does what the cursor does."""
    async with seat() as s:
        await s.pilot.click("#pool", offset=(10, 3))
        assert s.app.main.pool.cursor == SMOL
        await s.pilot.click("#pool", offset=(10, 5), times=2)
        await s.until(lambda: isinstance(s.app.screen, ModelDetail))
        assert SMOL_CPP in s.screen_text()


async def test_the_swaps_cursor_follows_the_newest_until_it_is_moved() -> None:
    """What has just happened is what enter opens; a line that was chosen stays chosen."""
    newer = replace(HEALTHY.swaps[0], id="sw-9")
    async with seat() as s:
        await s.show(replace(HEALTHY, revision=50, swaps=(newer, *HEALTHY.swaps)))
        assert s.app.main.swaps.selected() is newer
        await s.press("4", "j")
        await s.show(replace(HEALTHY, revision=51, swaps=(replace(newer, id="sw-10"), newer, *HEALTHY.swaps)))
        assert s.app.main.swaps.selected() is HEALTHY.swaps[0]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_no_name_of_an_embedded_version_is_cut(size: tuple[int, int]) -> None:
    """In models and ranking the provider is shortened, never dropped or cut, at the three usual sizes."""
    async with seat(size=size) as s:
        for digit, panel in (("1", s.app.main.pool), ("2", s.app.main.board)):
            await s.press(*([digit] if s.app.main.focused is not panel else []))
            text = "\n".join(plain(x) for x in panel._lines)
            for version in (GEMMA, SMOL, SMOL_CPP):
                stem, _, provider = version.rpartition(".")
                assert f"{stem}.{provider} " in text or f"{stem}.{provider.rpartition('-')[2]} " in text
