"""The log's view: it follows, holds still, searches, filters by level, goes sideways, changes its source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from canned import GEMMA, SMOL
from canned_states import EMPTY
from cockpit_seat import Seat, seat

from arbiter_tui.errors import EngineUnreachable
from arbiter_tui.tui.screens.log import LogView
from arbiter_tui.tui.screens.prompt_picker import ModelPicker
from arbiter_tui.tui.widgets.log_table import LogLine, LogTable


def table(s: Seat) -> LogTable:
    return cast(LogView, s.app.screen).lines


@asynccontextmanager
async def opened(key: str = "l", **kw: bool) -> AsyncIterator[Seat]:
    async with seat(**kw) as s:
        await s.press(key)
        await s.until(lambda: isinstance(s.app.screen, LogView) and table(s).loaded)
        await s.pilot.pause()
        yield s


async def printed(s: Seat, *lines: str) -> None:
    s.engine.prints(*lines)
    await s.until(lambda: any(r.text == lines[-1] for r in table(s).rows.values()))
    await s.pilot.pause()


async def test_new_lines_are_followed_until_it_is_scrolled_up() -> None:
    """At the end it stays at the end; moved up, its lines stand still and the newer ones are counted."""
    async with opened() as s:
        assert s.did("log", GEMMA)
        await printed(s, "one more")
        assert "one more" in s.screen_text()
        await s.press("k", "k")
        still = list(table(s)._lines[1:-1])
        await printed(s, "two more", "three more")
        assert table(s)._lines[1:-1] == still
        assert "held, 2 newer" in s.screen_text()
        await s.press("f")
        assert "three more" in s.screen_text()
        assert "held" not in s.screen_text()


async def test_a_worker_draws_nothing_on_this_screen() -> None:
    """Control characters are spaces; trouble is marked by a glyph, not by colour alone."""
    async with opened() as s:
        assert "✕ error: something [31m went wrong" in s.screen_text()
        assert "▲ warn: the context is small" in s.screen_text()


async def test_words_search_and_levels_filter() -> None:
    """Together, too; escape gives the words back first, then leaves."""
    async with opened() as s:
        await s.press("slash", *"line", "space", *"7", "enter")
        assert [r.text for r in table(s).items()] == [f"llama_model_load: line {n}" for n in (7, 17, 27, 37)]
        await s.press("escape", "o")
        assert [r.level for r in table(s).items()] == ["warning", "error"]
        assert "warnings and errors" in s.screen_text()
        await s.press("o")
        assert [r.level for r in table(s).items()] == ["error"]
        await s.press("o", "slash", *"level:warning", "enter")
        assert [r.level for r in table(s).items()] == ["warning"]
        await s.press("escape", "escape")
        assert s.app.screen is s.app.main


async def test_long_lines_scroll_sideways_and_no_further_than_they_go() -> None:
    """The column that is seen first stands in the title."""
    async with opened() as s:
        await printed(s, "x" * 140 + " the end")
        assert "the end" not in s.screen_text()
        await s.press(*["right"] * 20)
        assert "the end" in s.screen_text()
        assert "from column" in s.screen_text()
        await s.press(*["left"] * 20)
        assert table(s).aside == 0


async def test_memory_is_bounded() -> None:
    """The oldest lines go."""
    async with opened() as s:
        await printed(s, *(f"flood {n}" for n in range(LogTable.KEPT + 50)))
        assert len(table(s).rows) == LogTable.KEPT
        assert "newest" in s.screen_text()


async def test_the_engines_own_log_tells_what_happened() -> None:
    """Time, kind and sentence of each event; warnings of its libraries among them."""
    async with opened("L") as s:
        text = s.screen_text()
        assert "log · the engine" in text
        assert "a worker did not answer its probe" in text
        s.engine.happened.append({"revision": 99, "at": 0, "kind": "swap", "message": "news\x1b[2J"})
        s.engine.printed.set()
        await s.until(lambda: "news [2J" in s.screen_text())


async def test_another_log_is_chosen() -> None:
    """The list has the engine and every model; the new one starts at its end."""
    async with opened() as s:
        await s.press("m")
        assert isinstance(s.app.screen, ModelPicker)
        await s.press("slash", *"smollm2-135m-q4_1.llama-server", "enter")
        await s.until(lambda: s.did("log", SMOL))
        await s.until(lambda: f"log · {SMOL}" in s.screen_text())


async def test_a_log_that_cannot_be_read_says_why_and_is_tried_again() -> None:
    """The reason stands where the lines would; then they come."""
    async with seat() as s:
        s.engine.refuse["log"] = EngineUnreachable("connection refused")
        await s.press("l")
        await s.until(lambda: "connection refused" in s.screen_text())
        del s.engine.refuse["log"]
        await s.until(lambda: table(s).loaded)
        assert "connection refused" not in s.screen_text()


async def test_a_worker_that_said_nothing() -> None:
    """No line is no error; without any model the engine's log is still there."""
    async with seat() as s:
        s.engine.output.clear()
        await s.press("l")
        await s.until(lambda: "Nothing was printed yet" in s.screen_text())
    async with seat(EMPTY) as s:
        await s.press("L")
        await s.until(lambda: isinstance(s.app.screen, LogView) and table(s).loaded)


def test_a_level_that_is_written_counts_for_more_than_words() -> None:
    """llama.cpp's own letter decides; without one the words do."""
    said = ("0.55.954.749 I slot: 0 failed", "0.55.954.749 W odd", "0.1 E bad", "it failed", "warn: small", "fine")
    levels = [LogLine.said(n, text).level for n, text in enumerate(said)]
    assert levels == ["info", "warning", "error", "error", "warning", "info"]


def test_an_event_of_another_engine_is_read_as_far_as_it_goes() -> None:
    """Missing and odd fields do no harm."""
    line = LogLine.happened({"revision": 3, "level": ["odd"], "at": "soon"})
    assert (line.id, line.level, line.at, line.text) == ("3", "info", 0.0, "")
