"""Every swap there was: pages come as one scrolls, the newest stand first, the record of each behind enter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from canned import GEMMA, HEALTHY, NOW, SMOL
from cockpit_seat import Seat, seat

from arbiter_tui.core.snapshot import SwapView, to_wire
from arbiter_tui.errors import EngineUnreachable
from arbiter_tui.tui.screens.explain import Reading
from arbiter_tui.tui.screens.history import PAGE, History
from arbiter_tui.tui.widgets.swap_table import SwapTable


def past(count: int) -> list[dict[str, Any]]:
    """Newest first; every third one failed."""
    return [
        to_wire(SwapView(id=f"s{n}", task="topic" if n % 2 else "boolean", from_=SMOL, to=GEMMA, trigger="auto",
                         result="failed" if n % 3 == 0 else "done", reason=f"reason {n}", started_at=NOW - 100 - n * 60,
                         duration_s=0.2))
        for n in range(count)
    ]  # fmt: skip


@asynccontextmanager
async def opened(count: int = 450, **kw: Any) -> AsyncIterator[Seat]:
    async with seat(**kw) as s:
        s.engine.past_swaps = past(count)
        await s.press("H")
        await s.until(lambda: isinstance(s.app.screen, History))
        await s.until(lambda: table(s).loaded)
        await s.pilot.pause()
        yield s


def table(s: Seat) -> SwapTable:
    return cast(History, s.app.screen).rows


async def test_pages_come_as_one_scrolls_and_then_no_more() -> None:
    """The first page at once; the next ones when the cursor comes near; at the end nothing more is asked."""
    async with opened() as s:
        newest = [swap.id for swap in HEALTHY.swaps]
        assert [swap.id for swap in table(s).items()][: len(newest)] == newest, "the snapshot's stand first"
        assert len(table(s).rows) == len(newest) + PAGE
        while not table(s).complete:
            await s.press("G")
            await s.pilot.pause()
        assert len(table(s).rows) == len(newest) + 450
        asked = [c for c in s.engine.calls if c[0] == "swaps"]
        await s.press("home", "G", "G")
        assert [c for c in s.engine.calls if c[0] == "swaps"] == asked


async def test_the_cursor_stays_on_its_swap_when_a_new_one_comes() -> None:
    """A new swap stands first, and the same one is selected."""
    async with opened() as s:
        await s.press("j", "j", "j")
        chosen = table(s).cursor
        new = SwapView(id="new", task="topic", from_=SMOL, to=GEMMA, result="running", started_at=NOW)
        await s.show(replace(HEALTHY, revision=900, swaps=(new, *HEALTHY.swaps)))
        assert table(s).items()[0].id == "new"
        assert table(s).cursor == chosen
        await s.show(replace(HEALTHY, revision=901, swaps=(replace(new, result="done"), *HEALTHY.swaps)))
        assert table(s).items()[0].result == "done"


async def test_a_filter_keeps_what_it_names() -> None:
    """By task, by state, by a word of the reason."""
    async with opened(count=30) as s:
        await s.press("slash", *"task:topic state:failed", "enter")
        kept = table(s).items()
        assert kept
        assert all((swap.task, swap.result) == ("topic", "failed") for swap in kept)
        await s.press("escape", "slash", *"reason 29", "enter")
        assert [swap.id for swap in table(s).items()] == ["s29"]


async def test_enter_opens_the_record_and_escape_comes_back() -> None:
    """The same record as from the main screen."""
    async with opened() as s:
        await s.press("enter")
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert s.did("explain", HEALTHY.swaps[0].id)
        await s.press("escape")
        assert isinstance(s.app.screen, History)
        await s.press("escape")
        assert s.app.screen is s.app.main


async def test_an_engine_that_does_not_tell_says_so_and_is_asked_again() -> None:
    """The words stand where the list would be; the next snapshot brings it."""
    async with seat(replace(HEALTHY, swaps=())) as s:
        working = s.engine.swaps

        async def fails(limit: int = 100, after: str | None = None) -> Any:
            raise EngineUnreachable("connection refused")

        s.engine.swaps = fails  # type: ignore[method-assign]
        await s.press("H")
        await s.until(lambda: "did not tell its swaps" in s.screen_text())
        s.engine.swaps, s.engine.past_swaps = working, past(3)  # type: ignore[method-assign]
        await s.show(replace(HEALTHY, revision=905, swaps=()))
        await s.until(lambda: len(table(s).rows) == 3)


async def test_without_any_swap_it_says_how_one_is_made() -> None:
    """Empty, and complete."""
    async with seat(replace(HEALTHY, swaps=())) as s:
        await s.press("H")
        await s.until(lambda: "No swap yet" in s.screen_text())
