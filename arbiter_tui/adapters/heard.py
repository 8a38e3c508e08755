"""The SQL of what other state folders learnt: written in the one transaction of an import, read at a start.

Owns: statements on the tables ``heard`` and ``heard_outcomes``, as functions of a connection. Never: which record
prevails (core/knowledge.py), a transaction's begin or end.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.cost import Failure, Outcome
from ..core.knowledge import KEPT, Heard, HeardOutcome, Said
from . import records
from .queries import known_outcomes

_GRADED = "instr({}.data, '\"quality\":')"  # what is unknown is not in the data at all
_INSERT = (
    "INSERT INTO heard_outcomes (id, origin, task, version, at, data) VALUES (?, ?, ?, ?, ?, ?) "
    f"ON CONFLICT (id) DO UPDATE SET data = excluded.data WHERE NOT {_GRADED.format('heard_outcomes')} "
    f"AND {_GRADED.format('excluded')}"
)
_BEYOND = (
    "DELETE FROM heard_outcomes WHERE seq IN (SELECT seq FROM heard_outcomes WHERE origin = ? AND task = ? "
    "AND version = ? ORDER BY at DESC, seq DESC LIMIT -1 OFFSET ?)"
)


def said(connection: sqlite3.Connection) -> list[Said]:
    return [
        Said(kind=row["kind"], origin=row["origin"], name=row["name"], at=row["at"], data=json.loads(row["data"]))
        for row in connection.execute("SELECT * FROM heard ORDER BY kind, origin, name")
    ]


def read(connection: sqlite3.Connection) -> Heard:
    rows = connection.execute("SELECT origin, data FROM heard_outcomes ORDER BY at, seq")
    return Heard(
        said=said(connection), outcomes=[HeardOutcome(row["origin"], _outcome_from(row["data"])) for row in rows]
    )


def write(connection: sqlite3.Connection, heard: Heard) -> None:
    """Records replace those with their key. Outcomes whose id is known, here or from elsewhere, are left out; but a
    grade that came later is taken."""
    connection.executemany(
        "INSERT OR REPLACE INTO heard (kind, origin, name, at, data) VALUES (?, ?, ?, ?, ?)",
        [(s.kind, s.origin, s.name, s.at, records.dumps(s.data)) for s in heard.said],
    )
    own = known_outcomes(connection, [h.outcome.id for h in heard.outcomes])
    new = [h for h in heard.outcomes if h.outcome.id not in own]
    connection.executemany(_INSERT, [_row(h) for h in new])
    for origin, task, version in sorted({(h.origin, h.outcome.task, h.outcome.version) for h in new}):
        connection.execute(_BEYOND, (origin, task, version, KEPT))


def known(connection: sqlite3.Connection, ids: Sequence[str], *, graded: bool = True) -> frozenset[str]:
    """Those of ``ids`` that were heard before; with ``graded`` False only those without a grade."""
    only = "" if graded else f" AND NOT {_GRADED.format('heard_outcomes')}"
    found: set[str] = set()
    for start in range(0, len(ids), 900):
        part = ids[start : start + 900]
        marks = ", ".join("?" * len(part))
        rows: Iterable[Any] = connection.execute(f"SELECT id FROM heard_outcomes WHERE id IN ({marks}){only}", part)
        found.update(row[0] for row in rows)
    return frozenset(found)


def _row(heard: HeardOutcome) -> tuple[Any, ...]:
    o = heard.outcome
    data = {name: value for name in records.OUTCOME_COLUMNS if (value := getattr(o, name)) is not None}
    return o.id, heard.origin, o.task, o.version, o.at, records.dumps(data)


def _outcome_from(data: str) -> Outcome:
    found = json.loads(data)
    failure = found.get("failure")
    kept = {name: found[name] for name in records.OUTCOME_COLUMNS if name in found}
    return Outcome(**{**kept, "failure": None if failure is None else Failure(failure)})
