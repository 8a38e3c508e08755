"""The database file: opened, checked, moved aside when damaged; and the two threads on which it is used.

Owns: connections, the writer thread (the only one that writes; waiting jobs share one commit), the reader thread, and
the translation of SQLite's errors. Never: what is in the tables. A damaged database is renamed, never overwritten.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StateDamaged, StateFull, StateLocked, StateReadOnly, StoreError
from .migrations import check_version, migrate
from .state_folder import translate as translate_os

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]
FILE_NAME = "state.db"
GROUP = 256  # jobs that may share one commit: bounds how long the first of them waits
_SIDE_FILES = ("-wal", "-shm")
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_READ_ONLY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's error as one of ours."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    details = {"path": str(path)}
    if code == sqlite3.SQLITE_FULL:
        return StateFull(
            f"the disk with {path} is full: nothing more can be stored until there is room", details=details
        )
    if code in _DAMAGED:
        return StateDamaged(f"{path} is damaged: restart arbiter, it keeps it aside and begins afresh", details=details)
    if code in _READ_ONLY:
        return StateReadOnly(f"{path} can't be written: {error}", details=details)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateLocked(f"{path} is locked by another program", details=details)
    return StoreError(f"{path}: {error}", details=details)


def open_database(path: Path, *, now: float) -> tuple[sqlite3.Connection, str | None]:
    """A writable, migrated connection, and a notice if a damaged database had to be put aside. Raises StoreError."""
    try:
        return _open(path, now), None
    except StateDamaged:
        kept = put_aside(path, now)
        notice = f"the database {path} was damaged; it is kept as {kept.name}, and a fresh one was begun"
        return _open(path, now), notice


def _open(path: Path, now: float) -> sqlite3.Connection:
    try:
        # SQLite gives its side files the permissions of the main one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        os.chmod(path, 0o600)
    except OSError as error:
        raise translate_os(error, path) from error
    connection = connect(path)
    try:
        # Before anything is written: a newer arbiter's file stays as it is, a damaged one too.
        if check_version(connection):
            _check_whole(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection, now=now)
    except sqlite3.Error as error:
        connection.close()
        raise translate(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode that one thread at a time may use."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.row_factory = sqlite3.Row
    if read_only:
        connection.execute("PRAGMA query_only = 1")
    return connection


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found[0] != "ok":
        raise StateDamaged(f"{path} is damaged: {found[0]}", details={"path": str(path)})


def put_aside(path: Path, now: float) -> Path:
    """Rename the database and its side files to ``state.damaged-<UTC time>.db``; an existing file is never replaced."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    target, n = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}"), 2
    while target.exists():
        target, n = path.with_name(f"{path.stem}.damaged-{stamp}-{n}{path.suffix}"), n + 1
    for side in _SIDE_FILES:
        beside = path.with_name(path.name + side)
        if beside.exists():
            os.rename(beside, target.with_name(target.name + side))
    os.rename(path, target)
    return target


@dataclass(slots=True)
class _Waiting:
    job: Job
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        if self.future.done():  # its caller was cancelled; what it asked for is committed all the same
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """The one thread that writes. ``run`` completes after the commit that holds its job."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``job`` within a transaction. It may be run twice (never committed twice), so it only uses SQL."""
        if self._closed:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(job, loop.create_future(), loop)
        self._queue.put(waiting)
        found: T = await waiting.future
        return found

    async def close(self, last: Job) -> None:
        """Do what waits, then ``last``, then fold the log into the file and close."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        end = _Waiting(last, loop.create_future(), loop)
        self._queue.put(end)
        self._queue.put(None)
        try:
            await end.future
        finally:
            await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._next_group()
            if group:
                self._commit_group(group)
                for loop in {id(w.loop): w.loop for w in group}.values():
                    _deliver(loop, [w for w in group if w.loop is loop])
        self._connection.close()  # the last connection to close folds the log into the file

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        group: list[_Waiting] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) >= GROUP or self._queue.empty():
                return group, True
            item = self._queue.get()
        return group, False

    def _commit_group(self, group: Sequence[_Waiting]) -> None:
        if self._commit(group) or len(group) == 1:
            return
        for waiting in group:  # one of them failed and took the others with it: each on its own now
            self._commit([waiting])

    def _commit(self, group: Sequence[_Waiting]) -> bool:
        """All of them in one transaction, or none. False if none; then each of them carries the error."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for waiting in group:
                waiting.result, waiting.error = waiting.job(connection), None
            connection.execute("COMMIT")
            return True
        except BaseException as error:  # the thread must outlive any job; the error reaches whoever asked
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            ours = translate(error, self._path) if isinstance(error, sqlite3.Error) else error
            ours.__cause__ = error if ours is not error else error.__cause__
            for waiting in group:
                waiting.error = ours
            return False


def _deliver(loop: asyncio.AbstractEventLoop, group: Sequence[_Waiting]) -> None:
    def tell() -> None:
        for waiting in group:
            waiting.deliver()

    if not loop.is_closed():
        loop.call_soon_threadsafe(tell)


class Reader:
    """A connection of its own on a thread of its own: lists don't wait for writes, nor writes for lists."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path, read_only=True)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._closed = False

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, job)

    def _do(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return job(self._connection)
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()
