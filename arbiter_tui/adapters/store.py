"""The store: everything that must survive a restart, in one SQLite file of the state folder.

Owns: the life of the folder's lock, the database and its two threads; ports.Store. Never: decides, or keeps a copy of
what it stores. An awaited write is committed (WAL, one writer thread, waiting writes share a commit): ``kill -9`` of
the process loses none. Changes by an operator also append a line to the hash-chained ledger, in the same transaction.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..config import RetentionConfig
from ..core.cost import Outcome
from ..core.grading import Grading
from ..core.knowledge import Heard, Said
from ..core.learning import TaskProfile
from ..core.registry import Registry
from ..core.routing import Route
from ..core.snapshot import SwapView
from ..errors import StateDamaged
from ..ports import Clock, Import, StoredState
from . import heard, ledger, queries, records
from .database import FILE_NAME, Reader, Writer, open_database, translate
from .losses import LossCounter
from .state_folder import FolderLock
from .state_folder import translate as translate_os

T = TypeVar("T")
DAY_S = 86_400.0
TASKS = "tasks"  # the note with what was changed of tasks at run time
PRUNE_ROWS = 20_000  # a start may not wait for a year's worth


class SqliteStore:
    """ports.Store. Made by :meth:`open`. ``notice``: a sentence for the operator about what happened at the start."""

    def __init__(
        self, lock: FolderLock, connection: sqlite3.Connection, path: Path, losses: LossCounter, clock: Clock
    ) -> None:
        self.path = path
        self.notice: str | None = None
        self.lost: int | None = None
        self._lock = lock
        self._clock = clock
        self._losses = losses
        self._announced: set[str] = set()
        self._damaged = False
        self._closing: asyncio.Task[None] | None = None
        self._reader = Reader(path)
        self._writer = Writer(connection, path)

    @classmethod
    async def open(
        cls, state_dir: Path, *, url: str | None = None, clock: Clock, retention: RetentionConfig | None = None
    ) -> SqliteStore:
        """Take the folder and open its database. Raises StateLocked, StateReadOnly, StateFull, StateTooNew.

        ``url``: where this engine answers; None for a command that only looks. Without ``retention`` nothing is pruned.
        """
        return await asyncio.to_thread(cls._open, state_dir, url, clock, retention)

    @classmethod
    def _open(cls, state_dir: Path, url: str | None, clock: Clock, retention: RetentionConfig | None) -> SqliteStore:
        lock = FolderLock.take(state_dir, url)
        path = state_dir / FILE_NAME
        connection: sqlite3.Connection | None = None
        try:
            connection, notice = open_database(path, now=clock.now())
            losses = LossCounter(state_dir)
            lost = _begin(connection, losses, clock.now(), retention, serves=url is not None)
            store = cls(lock, connection, path, losses, clock)
        except BaseException as error:
            if connection is not None:
                connection.close()
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise translate(error, path) from error
            if isinstance(error, OSError):
                raise translate_os(error, path) from error
            raise
        # A fresh database after a damaged one knows of no outcome at all: the count would be an invention.
        store.notice, store.lost = notice, None if notice else lost
        return store

    def expect(self, outcome_id: str) -> None:
        """This outcome will be recorded soon; should the process end first, it counts as lost. Never waits."""
        if outcome_id not in self._announced:
            self._announced.add(outcome_id)
            self._losses.announce()

    async def load(self) -> StoredState:
        return await self._read(self._state)

    def _state(self, connection: sqlite3.Connection) -> StoredState:
        profiles = queries.read_table(connection, "profiles")
        return StoredState(
            registry=queries.read_registry(connection),
            routes=queries.read_routes(connection),
            profiles={task: TaskProfile.from_dict(json.loads(data)) for task, data in profiles.items()},
            modes=queries.read_table(connection, "modes"),
            swaps=queries.page_swaps(connection, queries.SWAPS_AT_START, None, None),
            outcomes=queries.newest_outcomes(connection, queries.OUTCOMES_AT_START),
            intents=queries.running_swaps(connection),
            lost=self.lost,
        )

    async def save_registry(self, registry: Registry, *, who: str, action: str, subject: str) -> None:
        def job(connection: sqlite3.Connection) -> None:
            queries.write_registry(connection, registry)
            self._note_change(connection, who, action, subject)

        await self._write(job)

    async def save_route(self, route: Route, swap: SwapView | None = None) -> None:
        def job(connection: sqlite3.Connection) -> None:
            queries.write_route(connection, route)
            if swap is not None:
                queries.write_swap(connection, swap)
            who = swap.trigger if swap is not None else "engine"
            self._note_change(connection, who, "route", f"{route.task} -> {route.incumbent}")

        await self._write(job)

    async def save_swap(self, swap: SwapView) -> None:
        await self._write(lambda connection: queries.write_swap(connection, swap))

    async def save_profiles(self, profiles: Iterable[TaskProfile]) -> None:
        kept = list(profiles)
        await self._write(lambda connection: queries.write_profiles(connection, kept))

    async def save_mode(self, task: str, mode: str) -> None:
        def job(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO modes VALUES (?, ?)", (task, mode))
            self._note_change(connection, "operator", "autopilot", f"{task} {mode}")

        await self._write(job)

    async def record(self, outcomes: Sequence[Outcome]) -> None:
        announced = self._announced & {o.id for o in outcomes}
        await self._write(lambda connection: queries.insert_outcomes(connection, outcomes, announced))
        self._announced -= announced

    async def known(self, ids: Sequence[str]) -> frozenset[str]:
        return await self._read(lambda c: queries.known_outcomes(c, ids) | heard.known(c, ids))

    async def heard(self) -> Heard:
        return await self._read(heard.read)

    async def ungraded(self, ids: Sequence[str]) -> frozenset[str]:
        return await self._read(lambda connection: heard.known(connection, ids, graded=False))

    async def said(self) -> Sequence[Said]:
        return await self._read(heard.said)

    async def take_in(self, change: Import) -> None:
        def job(connection: sqlite3.Connection) -> None:
            heard.write(connection, change.heard)
            queries.write_profiles(connection, change.profiles)
            if change.registry is not None:
                queries.write_registry(connection, change.registry)
            if change.tasks:
                known = json.loads(queries.read_note(connection, TASKS) or "{}")
                queries.write_note(connection, TASKS, records.dumps({**known, **change.tasks}))
            self._note_change(connection, change.who, "import", change.subject)

        await self._write(job)

    async def set_quality(self, outcome_id: str, quality: float, source: str, comment: str = "") -> Grading | None:
        return await self._write(lambda c: queries.grade(c, outcome_id, quality, source, comment))

    async def save_decision(self, decision_id: str, record: Mapping[str, Any]) -> None:
        now = self._clock.now()
        await self._write(lambda connection: queries.write_decision(connection, decision_id, now, record))

    async def decision(self, decision_id: str) -> Mapping[str, Any] | None:
        return await self._read(lambda connection: queries.read_decision(connection, decision_id))

    async def list_swaps(
        self, *, limit: int = 100, after: str | None = None, task: str | None = None
    ) -> list[SwapView]:
        return await self._read(lambda connection: queries.page_swaps(connection, limit, after, task))

    async def swap(self, swap_id: str) -> SwapView | None:
        return await self._read(lambda connection: queries.read_swap(connection, swap_id))

    async def list_outcomes(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        task: str | None = None,
        version: str | None = None,
        source: str | None = None,
    ) -> list[Outcome]:
        return await self._read(
            lambda connection: queries.page_outcomes(connection, limit, after, task, version, source)
        )

    async def ledger(
        self, *, limit: int = 100, after: str | None = None, subject: str | None = None
    ) -> list[dict[str, Any]]:
        return await self._read(lambda connection: ledger.page(connection, limit=limit, after=after, subject=subject))

    async def spent_since(self, at: float) -> list[dict[str, Any]]:
        return await self._read(lambda connection: queries.spent_since(connection, at))

    async def money_since(self, at: float) -> dict[str, float]:
        return await self._read(lambda connection: queries.money_since(connection, at))

    async def note_change(self, who: str, action: str, subject: str) -> None:
        await self._write(lambda connection: self._note_change(connection, who, action, subject))

    async def verify_ledger(self) -> str | None:
        return await self._read(ledger.verify)

    async def save_note(self, key: str, value: Any) -> None:
        data = records.dumps(value)
        await self._write(lambda connection: queries.write_note(connection, key, data))

    async def note(self, key: str) -> Any:
        found = await self._read(lambda connection: queries.read_note(connection, key))
        return None if found is None else json.loads(found)

    async def close(self) -> None:
        """Commit what waits, mark the end as clean, close, free the folder. Idempotent, also while it is running."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="store-close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        def last(connection: sqlite3.Connection) -> None:
            # A damaged file is not marked clean: the next start must look at it closely.
            queries.set_counter(connection, queries.CLEAN, int(not self._damaged))

        await self._reader.close()  # first: the last connection to close folds the log into the file
        try:
            await self._writer.close(last)
        finally:
            self._losses.close()
            await asyncio.to_thread(self._lock.release)

    def _note_change(self, connection: sqlite3.Connection, who: str, action: str, subject: str) -> None:
        ledger.append(connection, at=self._clock.now(), who=who, action=action, subject=subject)

    async def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._writer.run(job)
        except StateDamaged:
            self._damaged = True
            raise

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._reader.run(job)
        except StateDamaged:
            self._damaged = True
            raise


def _begin(
    connection: sqlite3.Connection, losses: LossCounter, now: float, retention: RetentionConfig | None, *, serves: bool
) -> int | None:
    """Open the account of outcomes. Returns what crashes cost that no engine has told of yet; None: nothing to tell."""
    connection.execute("BEGIN IMMEDIATE")
    lost = _sum(queries.counter(connection, queries.UNTOLD), _lost(connection, losses))
    if serves or lost is None:
        queries.drop_counter(connection, queries.UNTOLD)
    else:  # a command that only looks into the folder leaves it to the next engine to tell
        queries.set_counter(connection, queries.UNTOLD, lost)
    losses.begin(0)
    queries.set_counter(connection, queries.SETTLED, 0)
    queries.set_counter(connection, queries.CLEAN, 0)
    if retention is not None:
        _prune(connection, now, retention)
    connection.execute("COMMIT")
    return lost


def _prune(connection: sqlite3.Connection, now: float, retention: RetentionConfig) -> None:
    queries.prune(
        connection,
        outcomes_before=now - retention.outcomes_days * DAY_S,
        decisions_before=now - retention.decisions_days * DAY_S,
        most=PRUNE_ROWS,
    )


def _lost(connection: sqlite3.Connection, losses: LossCounter) -> int | None:
    """What the last process lost: None after a clean end, or if it can't be known."""
    clean, settled = queries.counter(connection, queries.CLEAN), queries.counter(connection, queries.SETTLED)
    if clean != 0 or settled is None or losses.announced_before is None:
        return None
    return max(0, losses.announced_before - settled)


def _sum(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b
