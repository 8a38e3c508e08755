"""Replicas in the cockpit: how many of a model run, and of each one its state, its work and why it is passed over."""

from __future__ import annotations

import pytest
from canned import GEMMA, MODELS
from canned_states import REPLICATED
from cockpit_seat import seat

from arbiter_tui.core.snapshot import Snapshot, from_wire, to_wire
from arbiter_tui.tui.text import plain
from arbiter_tui.tui.widgets.facts import replicas


def rows_of(index: int, width: int = 70) -> list[str]:
    return [plain(x) for x in replicas(REPLICATED.models[index], width)]


def test_each_copy_is_told_with_its_state_its_work_and_its_breaker() -> None:
    """Ejected and why; what it died with; whether it is asked at all."""
    head, first, second, third = rows_of(1, 110)
    assert head == "replicas  2 of 3 ready"
    assert "● ready · 2 in flight" in first
    assert "▲ ejected: failed 3 times in a row, not asked · 0 in flight" in second
    assert "✕ waits before it is loaded again · 0 in flight · died: its worker" in third


@pytest.mark.parametrize("width", [30, 44, 66])
def test_nothing_of_it_is_cut(width: int) -> None:
    """Narrow or wide: every word of the worst one stands there."""
    text = " ".join(" ".join(rows_of(1, width)).split())
    assert "its worker was killed by SIGKILL" in text
    assert all(len(row) <= width for row in rows_of(1, width))


def test_a_model_with_one_copy_has_no_such_rows() -> None:
    """Nor has one of an older engine, which tells of none."""
    assert replicas(MODELS[0], 70) == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_table_says_how_many_run(size: tuple[int, int]) -> None:
    """In its state, which no width drops: how many answer, of how many where not all do."""
    async with seat(REPLICATED, size=size) as s:
        rows = [plain(x) for x in s.app.main.pool._lines]
        assert any("● ready×2 " in row for row in rows), rows
        assert any("▲ 1 of 3 " in row for row in rows), rows
        await s.press("1", "home")
        s.app.main.pool.cursor = GEMMA
        await s.press("enter")
        await s.until(lambda: "2 of 3 ready" in s.screen_text())


def test_the_wire_carries_them_and_an_older_one_has_none() -> None:
    """Optional: what is missing is an empty list."""
    told = to_wire(REPLICATED)
    assert from_wire(Snapshot, told).models[1].replicas == REPLICATED.models[1].replicas
    for model in told["models"]:
        del model["replicas"]
    assert from_wire(Snapshot, told).models[1].replicas == ()
