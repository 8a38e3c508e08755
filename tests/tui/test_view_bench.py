"""The benchmark's view: figures that stay, a run that fills in, what a start would ask, and who may start it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from canned import GEMMA, GEMMA_CPP, HEALTHY, SMOL
from canned_states import BENCHING, EMPTY, crowd
from cockpit_seat import Seat, seat
from fake_cockpit import Clock
from fake_views import run_half_way

from arbiter_tui.errors import EngineUnreachable
from arbiter_tui.tui.screens.bench_view import BenchView
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.widgets.bench_matrix import BenchMatrix, Cell


def matrix(s: Seat) -> BenchMatrix:
    return cast(BenchView, s.app.screen).matrix


@asynccontextmanager
async def opened(*snapshots: Any, **kw: Any) -> AsyncIterator[Seat]:
    async with seat(*snapshots, **kw) as s:
        await s.press("B")
        await s.until(lambda: isinstance(s.app.screen, BenchView) and matrix(s).loaded)
        await s.pilot.pause()
        yield s


def asked(s: Seat) -> int:
    return len([c for c in s.engine.calls if c[0] == "bench_cells"])


async def test_every_task_and_model_has_its_figure_with_its_count() -> None:
    """What was measured stands with n; what was not is a dash, never 0. The cell under the cursor is told in words."""
    async with opened() as s:
        text = s.screen_text()
        assert ".41 n40" in text
        assert "Quality .41 on 40 graded answers." in text
        assert matrix(s).cursor == ("topic", SMOL)
        await s.press("j", "j", "l", "l")
        assert matrix(s).cursor == ("language", GEMMA_CPP)
        assert "Not measured yet; its suite has 40 questions." in s.screen_text()


@pytest.mark.parametrize(
    ("key", "moves", "wanted"),
    [
        ("enter", (), ("bench", ["topic"], [SMOL])),
        ("b", (), ("bench", ["topic"], [SMOL])),
        ("t", ("k",), ("bench", ["topic"])),
        ("m", ("k",), ("bench", None, [SMOL])),
        ("a", ("k",), ("bench", None)),
    ],
)
async def test_a_run_is_started_for_a_cell_a_row_a_column_or_all(
    key: str, moves: tuple[str, ...], wanted: tuple[Any, ...]
) -> None:
    """It asks first and names how many questions; only one cell starts by enter, the rest needs a choice."""
    async with opened() as s:
        await s.press(key)
        assert isinstance(s.app.screen, Confirm)
        assert "question" in s.screen_text()
        if moves:
            await s.press("enter")
            assert not s.did(*wanted)
            await s.press(key)
        await s.press(*moves, "enter")
        assert s.did(*wanted)


async def test_a_run_fills_in_and_keeps_the_figures() -> None:
    """How many of how many, what waits, what is done; the line of news has its progress and what is left."""
    async with opened() as s:
        run_half_way(s.engine.cells)
        await s.show(BENCHING)
        await s.until(lambda: "17/40" in s.screen_text())
        text = s.screen_text()
        assert "✓ .41 n40" in text
        assert "◌ .41 n40" in text or "◌ –" in text or "◌ .55" in text
        assert "42%" in text
        assert "31 s left" in text


async def test_the_progress_takes_the_place_of_the_notice_that_it_runs() -> None:
    """What a key has set off is seen as the work itself."""
    async with opened() as s:
        await s.press("enter", "enter")
        assert s.did("bench", ["topic"], [SMOL])
        await s.show(BENCHING)
        await s.until(lambda: "31 s left" in s.screen_text())
        assert s.notice == ""


async def test_while_a_run_goes_on_cells_are_asked_for_once_a_second() -> None:
    """Snapshots come faster than that; the last one of a run is never missed."""
    clock = Clock()
    async with opened(BENCHING, now=clock) as s:
        before = -1
        while before != asked(s):  # what the opening itself set off has ended
            before = asked(s)
            for _ in range(5):
                await s.pilot.pause()
        for n in range(3):
            op = replace(BENCHING.operations[0], progress=0.5 + n / 100)
            await s.show(replace(BENCHING, revision=200 + n, operations=(op,)))
            await s.pilot.pause()
        assert asked(s) == before
        clock.at += 1.1
        await s.show(replace(HEALTHY, revision=300))
        await s.until(lambda: asked(s) > before)


async def test_what_changes_no_cell_asks_for_none() -> None:
    """A snapshot of other news is no reason to ask, and draws nothing."""
    async with opened() as s:
        before, drawn = asked(s), list[Any]()
        matrix(s).refresh = lambda *a, **k: drawn.append(a)  # type: ignore[method-assign, assignment]
        await s.show(replace(HEALTHY, revision=99))
        assert (asked(s), drawn) == (before, [])


async def test_c_ends_a_run_after_asking() -> None:
    """The default leaves it running; while it runs nothing else is started."""
    async with opened(BENCHING) as s:
        await s.press("enter")
        assert "a benchmark is running" in s.notice
        await s.press("c", "enter")
        assert not s.did("cancel", "op-1")
        await s.press("c", "k", "enter")
        assert s.did("cancel", "op-1")


async def test_nothing_runs_nothing_is_cancelled() -> None:
    """c says so."""
    async with opened() as s:
        await s.press("c")
        assert "no benchmark is running" in s.notice


async def test_many_models_scroll_sideways_with_the_cursor() -> None:
    """The cursor's column and row stay in sight; the edge tells which part is seen."""
    snapshot = crowd()
    async with seat(snapshot, size=(80, 24)) as s:
        s.engine.cells = [
            {"task": t.task, "version": m.version, "questions": 9, "quality": 0.5, "samples": 9, "state": "idle"}
            for t in snapshot.tasks
            for m in snapshot.models
        ]
        await s.press("B")
        await s.until(lambda: isinstance(s.app.screen, BenchView) and matrix(s).loaded)
        await s.press(*["right"] * 9, "G")
        assert matrix(s).cursor == ("task-19", snapshot.models[9].version)
        assert "of 50" in s.screen_text()
        assert "▸ task-19" in s.screen_text()


async def test_an_engine_with_nothing_to_measure_says_what_to_do() -> None:
    """No cell is no error, and every key says why it does nothing."""
    async with seat(EMPTY) as s:
        s.engine.cells = []
        await s.press("B")
        await s.until(lambda: "Nothing to measure." in s.screen_text())
        await s.press("enter")
        assert "there is nothing to measure" in s.notice


async def test_a_refusal_is_told_and_asked_again() -> None:
    """The reason stands where the cells would; with the next snapshot they come."""
    async with seat() as s:
        s.engine.refuse["bench_cells"] = EngineUnreachable("too busy")
        await s.press("B")
        await s.until(lambda: "too busy" in s.screen_text())
        del s.engine.refuse["bench_cells"]
        await s.show(replace(HEALTHY, revision=99))
        await s.until(lambda: matrix(s).loaded)
        await s.until(lambda: "too busy" not in s.screen_text())


@pytest.mark.parametrize("key", ["enter", "t", "m", "a", "c"])
async def test_a_cockpit_that_only_reads_starts_nothing(key: str) -> None:
    """It looks, and its line of keys offers nothing that writes."""
    async with opened(read_only=True) as s:
        await s.press(key)
        assert "only reads" in s.notice
        assert not [c for c in s.engine.calls if c[0] in ("bench", "cancel")]
        assert not cast(BenchView, s.app.screen).shown_keys()


async def test_a_lost_engine_leaves_the_figures() -> None:
    """They stay, greyed; nothing can be started."""
    async with opened() as s:
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        await s.until(lambda: "the engine does not answer" in s.screen_text())
        assert ".41 n40" in s.screen_text()
        await s.press("enter")
        assert "the engine does not answer" in s.notice


def test_a_cell_of_another_engine_is_read_as_far_as_it_goes() -> None:
    """Missing figures are unknown; control characters stay out."""
    cell = Cell.of({"task": "to\x1bpic", "version": GEMMA, "quality": "good"})
    assert (cell.task, cell.quality, cell.samples, cell.state) == ("to pic", None, 0, "idle")
