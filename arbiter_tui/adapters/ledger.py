"""The ledger: who changed what, each line sealed by the hash of the line before it.

Owns: the chain (sha256 over the previous hash and the line's canonical JSON) and its verification.
Never: updates or deletes a line. The newest line's number is also kept apart, so that a cut-off end is found too.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

GENESIS = "0" * 64
HEAD = "ledger_head"


def seal(prev: str, line: dict[str, Any]) -> str:
    """The hash of a line (without ``prev`` and ``hash``) that follows the one with hash ``prev``."""
    canonical = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{prev}\n{canonical}".encode()).hexdigest()


def append(connection: sqlite3.Connection, *, at: float, who: str, action: str, subject: str) -> None:
    """One line, within the caller's transaction. ``at``: unix seconds."""
    last = connection.execute("SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1").fetchone()
    seq, prev = (last[0] + 1, last[1]) if last else (1, GENESIS)
    line = {"id": str(seq), "at": at, "who": who, "action": action, "subject": subject}
    connection.execute(
        "INSERT INTO ledger (seq, at, who, action, subject, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (seq, at, who, action, subject, prev, seal(prev, line)),
    )
    connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (HEAD, seq))


def page(
    connection: sqlite3.Connection, *, limit: int, after: str | None, subject: str | None = None
) -> list[dict[str, Any]]:
    """Oldest first; ``after`` is the id of the last one seen; ``subject``: a word of the lines that are wanted."""
    start = int(after) if after is not None and after.isdecimal() else 0
    word = None if subject is None else f" {subject} "
    rows = connection.execute(
        "SELECT * FROM ledger WHERE seq > ? AND (? IS NULL OR instr(' ' || subject || ' ', ?)) ORDER BY seq LIMIT ?",
        (start, word, word, limit),
    )
    names = [column[0] for column in rows.description]
    return [_line(dict(zip(names, row, strict=True))) for row in rows]


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": str(row.pop("seq")), **row}


def verify(connection: sqlite3.Connection) -> str | None:
    """None if the chain is whole, else a sentence that names the first broken entry."""
    prev, expected = GENESIS, 1
    for seq, at, who, action, subject, claimed, found in connection.execute(
        "SELECT seq, at, who, action, subject, prev, hash FROM ledger ORDER BY seq"
    ):
        if seq != expected:
            return f"ledger entry {expected} is missing"
        line = {"id": str(seq), "at": at, "who": who, "action": action, "subject": subject}
        if claimed != prev or seal(prev, line) != found:
            return f"ledger entry {seq} ({action} {subject}) was changed after it was written"
        prev, expected = found, expected + 1
    head = connection.execute("SELECT value FROM counters WHERE name = ?", (HEAD,)).fetchone()
    if head is not None and head[0] >= expected:
        return f"ledger entry {expected} is missing: the last entries were cut off"
    return None
