"""What the store says of the past for whole-screen views: one version's ledger lines, today's energy per task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.registry import Registry
from arbiter_tui.testing import FakeClock, MemoryStore


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Any]:
    """The real one and the public fake keep the same promises."""
    if kind == "memory":
        yield MemoryStore()
        return
    store = await SqliteStore.open(folder, url="http://127.0.0.1:1", clock=FakeClock())
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_a_versions_lines_are_those_that_name_it(kind: str, tmp_path: Path) -> None:
    """By whole words: neither a longer name nor one that a wildcard would match."""
    async with opened(kind, tmp_path) as store:
        for action, subject in [
            ("register", "a_1"), ("register", "a-1"), ("register", "a_1-2"), ("alias", "champion -> a_1"),
            ("pin", "a_1 True"), ("active", "b"),
        ]:  # fmt: skip
            await store.save_registry(Registry(), who="operator", action=action, subject=subject)
        found = await store.ledger(subject="a_1")
        assert [(x["action"], x["subject"]) for x in found] == [
            ("register", "a_1"), ("alias", "champion -> a_1"), ("pin", "a_1 True"),
        ]  # fmt: skip
        assert len(await store.ledger()) == 6
        assert len(await store.ledger(subject="a_1", limit=1)) == 1


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_energy_and_money_are_summed_per_task_and_unknown_where_nothing_was_measured(
    kind: str, tmp_path: Path
) -> None:
    """None is not 0, yesterday is not today, and a request without a task belongs to none."""

    def outcome(id: str, task: str, at: float, energy: float | None, money: float | None = None) -> Outcome:
        return Outcome(id=id, task=task, version="a", at=at, success=True, energy_j=energy, money=money)

    async with opened(kind, tmp_path) as store:
        await store.record([
            outcome("1", "code", 100.0, 2.0), outcome("2", "code", 101.0, None), outcome("3", "code", 102.0, 1.5, 0.25),
            outcome("4", "talk", 100.0, None), outcome("5", "code", 99.0, 50.0), outcome("6", "", 100.0, 9.0),
        ])  # fmt: skip
        assert await store.spent_since(100.0) == [
            {"task": "code", "requests": 3, "measured": 2, "energy_j": 3.5, "priced": 1, "money": 0.25},
            {"task": "talk", "requests": 1, "measured": 0, "energy_j": None, "priced": 0, "money": None},
        ]
