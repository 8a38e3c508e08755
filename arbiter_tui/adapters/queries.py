"""The SQL of the store: what a transaction writes and what a page reads.

Owns: statements, as functions of a connection. Never: a thread, a transaction's begin or end, a file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from ..core.cost import Outcome
from ..core.grading import Grading, replaces
from ..core.learning import TaskProfile
from ..core.registry import Registry
from ..core.routing import Route, RouteTable
from ..core.snapshot import SwapView
from . import records

ROUTES_REVISION = "routes_revision"
SETTLED = "outcomes_settled"
CLEAN = "clean"
UNTOLD = "lost_untold"
SWAPS_AT_START = 200
OUTCOMES_AT_START = 500
LOOKED_THROUGH = 100_000

_COLUMNS = ", ".join(records.OUTCOME_COLUMNS)
_MARKS = ", ".join("?" * len(records.OUTCOME_COLUMNS))
_INSERT_OUTCOMES = f"INSERT OR IGNORE INTO outcomes ({_COLUMNS}) VALUES "
# One statement takes the interpreter's lock once; with one a row, a busy event loop kept the writer at a few hundred
# rows a second. SQLite before 3.32 allows 999 values a statement.
_AT_ONCE = 40
_IDS_AT_ONCE = 900


def counter(connection: sqlite3.Connection, name: str) -> int | None:
    found = connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    return None if found is None else int(found[0])


def set_counter(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))


def drop_counter(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM counters WHERE name = ?", (name,))


def write_registry(connection: sqlite3.Connection, registry: Registry) -> None:
    """The whole table; rows that are as they were are not written."""
    kept = {row[0]: tuple(row) for row in connection.execute("SELECT name, position, data FROM versions")}
    rows = [records.version_row(v, i) for i, v in enumerate(registry.versions.values())]
    changed = [row for row in rows if kept.get(row[0]) != row]
    connection.executemany("INSERT OR REPLACE INTO versions (name, position, data) VALUES (?, ?, ?)", changed)
    gone = kept.keys() - registry.versions.keys()
    connection.executemany("DELETE FROM versions WHERE name = ?", [(name,) for name in gone])
    connection.execute("DELETE FROM aliases")
    connection.executemany("INSERT INTO aliases VALUES (?, ?)", list(registry.aliases.items()))


def read_registry(connection: sqlite3.Connection) -> Registry:
    rows = connection.execute("SELECT data FROM versions ORDER BY position")
    versions = [records.version_from(row[0]) for row in rows]
    aliases = {row[0]: row[1] for row in connection.execute("SELECT alias, version FROM aliases")}
    return Registry({v.version: v for v in versions}, aliases)


def write_route(connection: sqlite3.Connection, route: Route) -> None:
    connection.execute("INSERT OR REPLACE INTO routes VALUES (?, ?)", (route.task, records.route_data(route)))
    set_counter(connection, ROUTES_REVISION, (counter(connection, ROUTES_REVISION) or 0) + 1)


def read_routes(connection: sqlite3.Connection) -> RouteTable:
    routes = [records.route_from(row[0]) for row in connection.execute("SELECT data FROM routes ORDER BY task")]
    return RouteTable({r.task: r for r in routes}, counter(connection, ROUTES_REVISION) or 0)


def write_swap(connection: sqlite3.Connection, swap: SwapView) -> None:
    connection.execute(
        "INSERT INTO swaps (id, task, running, data) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET running = excluded.running, data = excluded.data",
        (swap.id, swap.task, int(swap.result == "running"), records.swap_data(swap)),
    )


def running_swaps(connection: sqlite3.Connection) -> list[SwapView]:
    rows = connection.execute("SELECT data FROM swaps WHERE running ORDER BY seq DESC")
    return [records.swap_from(row[0]) for row in rows]


def read_swap(connection: sqlite3.Connection, id: str) -> SwapView | None:
    found = connection.execute("SELECT data FROM swaps WHERE id = ?", (id,)).fetchone()
    return None if found is None else records.swap_from(found[0])


def page_swaps(connection: sqlite3.Connection, limit: int, after: str | None, task: str | None) -> list[SwapView]:
    where, values = _page_where(connection, "swaps", after, {"task": task})
    rows = connection.execute(f"SELECT data FROM swaps {where} ORDER BY seq DESC LIMIT ?", (*values, limit))
    return [records.swap_from(row[0]) for row in rows]


def insert_outcomes(connection: sqlite3.Connection, outcomes: Sequence[Outcome], announced: Collection[str]) -> int:
    """Insert what is new. Returns how many of them had been announced, and counts these as arrived."""
    rows = [records.outcome_row(o) for o in outcomes]
    for first in range(0, len(rows), _AT_ONCE):
        part = rows[first : first + _AT_ONCE]
        marks = ", ".join([f"({_MARKS})"] * len(part))
        connection.execute(_INSERT_OUTCOMES + marks, list(chain.from_iterable(part)))
    settled = len({o.id for o in outcomes if o.id in announced})
    if settled:
        connection.execute("UPDATE counters SET value = value + ? WHERE name = ?", (settled, SETTLED))
    return settled


def known_outcomes(connection: sqlite3.Connection, ids: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        marks = ", ".join("?" * len(part))
        found.update(row[0] for row in connection.execute(f"SELECT id FROM outcomes WHERE id IN ({marks})", part))
    return frozenset(found)


def page_outcomes(
    connection: sqlite3.Connection,
    limit: int,
    after: str | None,
    task: str | None,
    version: str | None,
    source: str | None = None,
) -> list[Outcome]:
    where, values = _page_where(connection, "outcomes", after, {"task": task, "version": version, "source": source})
    if source is not None:  # no index helps here: what is asked for may be rare among very many
        where += " AND seq > (SELECT max(seq) FROM outcomes) - ?"
        values.append(LOOKED_THROUGH)
    rows = connection.execute(f"SELECT * FROM outcomes {where} ORDER BY seq DESC LIMIT ?", (*values, limit))
    return [records.outcome_from(row) for row in rows]


def spent_since(connection: sqlite3.Connection, at: float) -> list[dict[str, Any]]:
    """Per task; SQL's sum of nothing is NULL, which is what an unmeasured energy and an unknown price are."""
    rows = connection.execute(
        "SELECT task, count(*), count(energy_j), sum(energy_j), count(money), sum(money) FROM outcomes "
        "WHERE at >= ? AND task <> '' GROUP BY task ORDER BY task",
        (at,),
    )
    names = ("task", "requests", "measured", "energy_j", "priced", "money")
    return [dict(zip(names, row, strict=True)) for row in rows]


def money_since(connection: sqlite3.Connection, at: float) -> dict[str, float]:
    """Per version; only of those that cost something."""
    rows = connection.execute(
        "SELECT version, sum(money) FROM outcomes WHERE at >= ? AND money IS NOT NULL GROUP BY version", (at,)
    )
    return {str(row[0]): float(row[1]) for row in rows}


def newest_outcomes(connection: sqlite3.Connection, each: int) -> list[Outcome]:
    """At most ``each`` of every (task, version), newest last. Goes by the index, so history's length costs nothing."""
    rows: list[sqlite3.Row] = []
    for pair in _pairs(connection):
        rows += connection.execute(
            "SELECT * FROM outcomes WHERE task = ? AND version = ? ORDER BY seq DESC LIMIT ?", (*pair, each)
        ).fetchall()
    return [records.outcome_from(row) for row in sorted(rows, key=lambda row: int(row["seq"]))]


def _pairs(connection: sqlite3.Connection) -> Iterable[tuple[str, str]]:
    last = ("", "")
    while True:
        found = connection.execute(
            "SELECT task, version FROM outcomes WHERE (task, version) > (?, ?) ORDER BY task, version LIMIT 1", last
        ).fetchone()
        if found is None:
            return
        last = (found[0], found[1])
        yield last


def grade(connection: sqlite3.Connection, id: str, quality: float, source: str, comment: str) -> Grading | None:
    """A grade that may not stand leaves its comment all the same."""
    found = connection.execute("SELECT * FROM outcomes WHERE id = ?", (id,)).fetchone()
    if found is None:
        return None
    before = after = records.outcome_from(found)
    if replaces(source, before):
        after = replace(before, quality=quality, quality_source=source)
        connection.execute(
            "UPDATE outcomes SET quality = ?, quality_source = ?, comment = ? WHERE id = ?",
            (quality, source, comment or None, id),
        )
    elif comment:
        connection.execute("UPDATE outcomes SET comment = ? WHERE id = ?", (comment, id))
    return Grading(before, after, source)


def write_profiles(connection: sqlite3.Connection, profiles: Iterable[TaskProfile]) -> None:
    rows = [(p.task, records.dumps(p.as_dict())) for p in profiles]
    connection.executemany("INSERT OR REPLACE INTO profiles VALUES (?, ?)", rows)


def read_table(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """A two-column table (modes, profiles, notes) as a mapping."""
    return {row[0]: row[1] for row in connection.execute(f"SELECT * FROM {table}")}


def write_note(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))


def read_note(connection: sqlite3.Connection, key: str) -> str | None:
    found = connection.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
    return None if found is None else str(found[0])


def write_decision(connection: sqlite3.Connection, id: str, at: float, record: Mapping[str, Any]) -> None:
    connection.execute("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?)", (id, at, records.pack(dict(record))))


def read_decision(connection: sqlite3.Connection, id: str) -> Mapping[str, Any] | None:
    found = connection.execute("SELECT data FROM decisions WHERE id = ?", (id,)).fetchone()
    decision: Mapping[str, Any] | None = None if found is None else records.unpack(found[0])
    return decision


def prune(connection: sqlite3.Connection, *, outcomes_before: float, decisions_before: float, most: int) -> int:
    """Forget what is older (unix seconds), at most ``most`` rows of each kind. Returns the number of rows."""
    gone = 0
    for table, before in (("outcomes", outcomes_before), ("decisions", decisions_before)):
        inner = f"SELECT rowid FROM {table} WHERE at < ? LIMIT ?"
        gone += connection.execute(f"DELETE FROM {table} WHERE rowid IN ({inner})", (before, most)).rowcount
    return gone


def _page_where(
    connection: sqlite3.Connection, table: str, after: str | None, equal: Mapping[str, str | None]
) -> tuple[str, list[Any]]:
    parts, values = (
        [f"{name} = ?" for name, value in equal.items() if value is not None],
        [value for value in equal.values() if value is not None],
    )
    seen = connection.execute(f"SELECT seq FROM {table} WHERE id = ?", (after,)).fetchone() if after else None
    if seen is not None:
        parts.append("seq < ?")
        values.append(seen[0])
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values
