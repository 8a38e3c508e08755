"""The requests' view: it follows, it holds still, it filters, it tells all of one, and it draws only what changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from canned import GEMMA, HEALTHY
from canned_states import EMPTY
from cockpit_seat import Seat, seat
from fake_views import request

from arbiter_tui.errors import EngineUnreachable
from arbiter_tui.tui.screens.explain import Reading
from arbiter_tui.tui.screens.requests import Requests
from arbiter_tui.tui.widgets.request_table import RequestTable, Row


@asynccontextmanager
async def opened(*snapshots: Any, **kw: Any) -> AsyncIterator[Seat]:
    async with seat(*snapshots, **kw) as s:
        await s.press("R")
        await s.until(lambda: isinstance(s.app.screen, Requests))
        await s.until(lambda: table(s).loaded)
        await s.pilot.pause()
        yield s


def table(s: Seat) -> RequestTable:
    return cast(Requests, s.app.screen).rows


async def arrive(s: Seat, *rows: dict[str, Any]) -> None:
    """Requests end at the engine, and a snapshot says so."""
    s.engine.rows += rows
    await s.show(replace(HEALTHY, revision=s.engine.snapshots[-1].revision + 1))
    await s.until(lambda: all(r["id"] in table(s).rows for r in rows))
    await s.pilot.pause()


async def test_the_newest_request_stands_last_and_the_cursor_goes_along() -> None:
    """Task, model, times, tokens and outcome of each; what comes is followed."""
    async with opened() as s:
        assert table(s).cursor == request(59)["id"]
        text = s.screen_text()
        assert "✕ worker died" in text
        assert "○ left" in text
        await arrive(s, request(60))
        assert table(s).cursor == request(60)["id"]


async def test_moved_up_it_holds_still_and_says_what_came() -> None:
    """The cursor stays on its request, the rows around it on their lines; G follows again."""
    async with opened() as s:
        await s.press("k", "k")
        held = table(s).cursor
        before = list(table(s)._lines[1:-1])
        await arrive(s, request(60), request(61))
        assert table(s).cursor == held
        assert table(s)._lines[1:-1] == before
        assert "held, 2 newer" in s.screen_text()
        await s.press("G")
        assert table(s).cursor == request(61)["id"]
        assert "held" not in s.screen_text()


async def test_memory_is_bounded_and_forgetting_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest rows go; a held cursor keeps its request and its place."""
    monkeypatch.setattr(RequestTable, "KEPT", 60)
    async with opened() as s:
        await s.press("k", "k")
        held, before = table(s).cursor, list(table(s)._lines[1:-1])
        await arrive(s, *(request(n) for n in range(60, 70)))
        assert len(table(s).rows) == 60
        assert table(s).cursor == held
        assert table(s)._lines[1:-1] == before


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("task:boolean", {"boolean"}),
        ("outcome:worker_died", {"boolean", "extraction", "sentiment"}),
        ("smol sent", {"sentiment"}),
    ],
)
async def test_the_filter_takes_the_same_words(typed: str, kept: set[str]) -> None:
    """Words and pairs; escape shows all of them again and leaves the view only then."""
    async with opened() as s:
        await s.press("slash", *typed, "enter")
        assert {r.task for r in table(s).items()} == kept
        assert "of 60" in s.screen_text()
        await s.press("escape")
        assert len(table(s).items()) == 60
        await s.press("escape")
        assert s.app.screen is s.app.main


async def test_enter_tells_the_whole_record() -> None:
    """The explanation of the selected request, and back to the same row."""
    async with opened() as s:
        await s.press("k", "enter")
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert s.did("explain", request(58)["id"])
        await s.press("escape")
        assert table(s).cursor == request(58)["id"]


async def test_a_grade_that_comes_later_is_shown() -> None:
    """The row changes in place, one cell is repainted."""
    async with opened() as s:
        asked: list[Any] = []
        table(s).refresh = lambda *regions, **k: asked.extend(regions)  # type: ignore[method-assign, assignment]
        s.engine.rows[-1] = {**s.engine.rows[-1], "quality": 1.0}
        await arrive(s, s.engine.rows.pop())
        await s.until(lambda: bool(asked))
        assert [r.height for r in asked] == [1]
        assert asked[0].width <= 6


async def test_nothing_new_repaints_nothing() -> None:
    """The same requests again ask for no repaint at all."""
    async with opened() as s:
        asked: list[Any] = []
        table(s).refresh = lambda *a, **k: asked.append(a)  # type: ignore[method-assign, assignment]
        calls = len([c for c in s.engine.calls if c[0] == "requests"])
        await s.show(replace(HEALTHY, revision=99))
        await s.until(lambda: len([c for c in s.engine.calls if c[0] == "requests"]) > calls)
        await s.pilot.pause()
        assert asked == []


async def test_no_request_yet_says_how_to_send_one() -> None:
    """An empty list is no error, and its keys say why they do nothing."""
    async with seat(EMPTY) as s:
        s.engine.rows.clear()
        await s.press("R")
        await s.until(lambda: "No requests yet" in s.screen_text())
        await s.press("enter")
        assert "no request is selected" in s.screen_text()


async def test_a_refusal_is_told_and_asked_again() -> None:
    """What the engine answers instead of its requests stands where they would."""
    async with seat() as s:
        s.engine.refuse["requests"] = EngineUnreachable("too busy")
        await s.press("R")
        await s.until(lambda: "too busy" in s.screen_text())
        del s.engine.refuse["requests"]
        await s.show(replace(HEALTHY, revision=99))
        await s.until(lambda: "too busy" not in s.screen_text() and table(s).loaded)


async def test_a_lost_engine_leaves_the_rows_and_says_so() -> None:
    """What was known stays readable; the line of news tells why nothing comes."""
    async with opened() as s:
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        await s.until(lambda: "the engine does not answer" in s.screen_text())
        assert GEMMA.partition(".")[0] in s.screen_text()


def test_a_row_of_another_engine_is_read_as_far_as_it_goes() -> None:
    """Missing and odd fields are unknown; control characters never reach a line."""
    row = Row.of({"id": "x", "task": "to\x1b[31mpic", "latency_s": "soon", "tokens_out": True, "success": 1})
    assert row.task == "to [31mpic"
    assert (row.latency_s, row.tokens_out, row.rate) == (None, None, None)
    assert Row.of({}).outcome == "failed"


async def test_the_keys_of_the_view_are_listed() -> None:
    """? tells each key, and why it does not apply; q goes back."""
    async with opened() as s:
        await s.press("question_mark")
        assert "it does follow" in s.screen_text()
        await s.press("escape", "q")
        assert s.app.screen is s.app.main


def test_a_rate_needs_more_than_two_tokens() -> None:
    """The time between two packets is no speed of a model."""
    data = {"id": "r", "at": 1.0, "success": True, "latency_s": 1.0, "ttft_s": 0.9996}
    assert Row.of({**data, "tokens_out": 2}).rate is None
    assert Row.of({**data, "ttft_s": 0.5, "tokens_out": 11}).rate is not None
