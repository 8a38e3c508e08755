"""What answers cost, in the store: an older database gets the column, and the day's sum is read per version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from arbiter_tui.adapters import migrations
from arbiter_tui.adapters.database import FILE_NAME
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.core.cost import Outcome
from arbiter_tui.testing import FakeClock


def outcome(id: str, at: float, money: float | None, version: str = "dear") -> Outcome:
    return Outcome(id=id, task="work", version=version, at=at, success=True, money=money)


async def test_a_database_of_before_keeps_its_outcomes_and_learns_what_things_cost(tmp_path: Path) -> None:
    """The step adds a column and drops nothing; what was recorded before has no known cost."""
    connection = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    migrations._apply(connection, 1, 0.0)
    connection.execute("INSERT INTO outcomes (id, task, version, at, success) VALUES ('old', 'work', 'dear', 50.0, 1)")
    connection.close()
    store = await SqliteStore.open(tmp_path, clock=FakeClock())
    try:
        await store.record([outcome("new", 60.0, 0.25)])
        assert [(o.id, o.money) for o in await store.list_outcomes()] == [("new", 0.25), ("old", None)]
    finally:
        await store.close()


async def test_the_sum_of_a_day_per_version(tmp_path: Path) -> None:
    """Only from that moment on, only what cost something."""
    store = await SqliteStore.open(tmp_path, clock=FakeClock())
    try:
        await store.record([
            outcome("yesterday", 10.0, 9.0), outcome("a", 20.0, 0.5), outcome("b", 30.0, 0.25),
            outcome("own", 30.0, None, "own"), outcome("c", 30.0, 2.0, "other"),
        ])  # fmt: skip
        assert await store.money_since(20.0) == {"dear": 0.75, "other": 2.0}
    finally:
        await store.close()
