"""The database's shape, as numbered steps that are applied once each, in order.

Owns: the tables. Never: a row of anybody's data is dropped by a step. A step that has been released is never changed;
a new need is a new step. A database with a higher number than ours is refused (StateTooNew) and left as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from sqlite_utils import Database

from ..errors import StateTooNew

VERSION_TABLE = "schema_version"


def _first(db: Database) -> None:
    # Small tables, written whole as JSON: they are read once, at the start.
    db.table("versions").create({"name": str, "position": int, "data": str}, pk="name")
    db.table("aliases").create({"alias": str, "version": str}, pk="alias")
    db.table("routes").create({"task": str, "data": str}, pk="task")
    db.table("modes").create({"task": str, "mode": str}, pk="task")
    db.table("profiles").create({"task": str, "data": str}, pk="task")
    db.table("notes").create({"key": str, "value": str}, pk="key")
    db.table("counters").create({"name": str, "value": int}, pk="name")
    # History. seq is the order of arrival; pages go by it.
    db.table("swaps").create({"seq": int, "id": str, "task": str, "running": int, "data": bytes}, pk="seq")
    db.table("swaps").create_index(["id"], unique=True)
    db.table("swaps").create_index(["task"])
    db.table("decisions").create({"id": str, "at": float, "data": bytes}, pk="id")
    db.table("ledger").create(
        {"seq": int, "at": float, "who": str, "action": str, "subject": str, "prev": str, "hash": str}, pk="seq"
    )
    db.table("outcomes").create(
        {
            "seq": int, "id": str, "task": str, "version": str, "at": float, "success": int, "latency_s": float,
            "ttft_s": float, "queue_s": float, "overhead_s": float, "tokens_in": int, "tokens_out": int,
            "memory_bytes": int, "cpu_s": float, "energy_j": float, "failure": str, "quality": float,
            "quality_source": str, "source": str, "comment": str,
        },
        pk="seq",
    )  # fmt: skip
    db.table("outcomes").create_index(["id"], unique=True)
    db.table("outcomes").create_index(["task", "version"])  # SQLite appends the rowid, so this index is in order of seq
    db.table("outcomes").create_index(["at"])


def _money(db: Database) -> None:
    db.table("outcomes").add_column("money", float)


def _estimates(db: Database) -> None:
    db.table("outcomes").add_column("tokens_estimated", int, not_null_default=0)


def _heard(db: Database) -> None:
    # What other state folders learnt, as they said it: it names their versions, and joins what is here when it is read.
    db.table("heard").create(
        {"kind": str, "origin": str, "name": str, "at": float, "data": str}, pk=("kind", "origin", "name")
    )
    db.table("heard_outcomes").create(
        {"seq": int, "id": str, "origin": str, "task": str, "version": str, "at": float, "data": str}, pk="seq"
    )
    db.table("heard_outcomes").create_index(["id"], unique=True)
    db.table("heard_outcomes").create_index(["origin", "task", "version", "at"])


def _prompts(db: Database) -> None:
    db.table("outcomes").add_column("item", str)


MIGRATIONS: Sequence[Callable[[Database], None]] = (_first, _money, _estimates, _heard, _prompts)
CURRENT = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """The number of the last step applied; 0 for an empty database. Changes nothing."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone()
    if known is None:
        return 0
    found = connection.execute(f"SELECT max(version) FROM {VERSION_TABLE}").fetchone()
    return int(found[0] or 0)


def check_version(connection: sqlite3.Connection) -> int:
    """:func:`version_of`, or StateTooNew."""
    found = version_of(connection)
    if found > CURRENT:
        raise StateTooNew(
            f"the state was written by a newer arbiter (schema {found}, this one knows {CURRENT}): "
            "update arbiter, or choose another folder with --state-dir; nothing was changed",
            details={"found": found, "known": CURRENT},
        )
    return found


def migrate(connection: sqlite3.Connection, *, now: float) -> None:
    """Apply the steps that are missing, each with its number in ONE transaction. ``now``: unix seconds."""
    applied = check_version(connection)
    for number in range(applied + 1, CURRENT + 1):
        _apply(connection, number, now)


def _apply(connection: sqlite3.Connection, number: int, now: float) -> None:
    # sqlite-utils joins the transaction that is open instead of committing by itself.
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version INTEGER PRIMARY KEY, applied_at REAL)")
        MIGRATIONS[number - 1](Database(connection))
        connection.execute(f"INSERT INTO {VERSION_TABLE} VALUES (?, ?)", (number, now))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
