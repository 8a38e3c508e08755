"""The state folder: made private, taken by one engine at a time, and who has taken it.

Owns: ``engine.lock`` (held while an engine lives; the kernel frees it at kill -9), ``engine.json`` (pid, URL), and
``engine.key``: what opens an engine that asks for keys, for whoever may read this folder, as long as that engine lives.
Never: the database. Where ``fcntl`` is missing, the lock is the existence of the file plus a living pid in it.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import StateFull, StateLocked, StateReadOnly, StoreError

LOCK_FILE = "engine.lock"
ENGINE_FILE = "engine.json"
KEY_FILE = "engine.key"
# A status command that looks whether the lock is held holds it for an instant itself.
PATIENCE_S = 0.5


def prepare(folder: Path) -> None:
    """Make the folder, private to its owner (0700). Raises StateReadOnly, StateFull."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise translate(error, folder) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StateReadOnly(f"the state folder {folder} can't be written", details={"path": str(folder)})


def translate(error: OSError, path: Path) -> StoreError:
    """An operating system's error about the state folder, as one of ours."""
    details = {"path": str(path)}
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StateFull(f"the disk with {path} is full", details=details)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return StateReadOnly(f"the state folder {path} can't be written: {error.strerror}", details=details)
    return StoreError(f"the state folder {path}: {error.strerror or error}", details=details)


class FolderLock:
    """One engine's claim on a state folder. ``release`` is idempotent."""

    def __init__(self, folder: Path, handle: int) -> None:
        self.folder = folder
        self._handle: int | None = handle

    @classmethod
    def take(cls, folder: Path, url: str | None) -> FolderLock:
        """Raises StateLocked, which names the other's pid and URL."""
        prepare(folder)
        try:
            handle = _acquire(folder)
            if handle is None:
                raise _locked(folder)
            lock = cls(folder, handle)
            lock.announce(url)
        except OSError as error:
            raise translate(error, folder) from error
        return lock

    def announce(self, url: str | None) -> None:
        """Say where this engine answers."""
        record = {"pid": os.getpid(), "url": url, "started_at": time.time()}
        (self.folder / KEY_FILE).unlink(missing_ok=True)  # another engine's, which was killed
        _write_private(self.folder / ENGINE_FILE, json.dumps(record))

    def release(self) -> None:
        if self._handle is None:
            return
        (self.folder / ENGINE_FILE).unlink(missing_ok=True)
        (self.folder / KEY_FILE).unlink(missing_ok=True)
        if not _has_fcntl():
            (self.folder / LOCK_FILE).unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None


def hand_key(folder: Path, token: str) -> None:
    """Leave the engine's own key to its folder's owner (0600)."""
    try:
        _write_private(folder / KEY_FILE, token)
    except OSError as error:
        raise translate(error, folder) from error


def own_key(folder: Path) -> str | None:
    """What opens this folder's engine; None where it asks for no key."""
    try:
        return (folder / KEY_FILE).read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _write_private(path: Path, text: str) -> None:
    fresh = path.with_suffix(path.suffix + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)


def running(folder: Path) -> Mapping[str, Any] | None:
    """``{pid, url, started_at}`` of the engine that holds the folder now, else None. Changes nothing."""
    if not _is_held(folder / LOCK_FILE):
        return None
    return _announced(folder)


def _announced(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / ENGINE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # not announced yet, or already gone
    return found if isinstance(found, dict) else None


def refuse_a_second(folder: Path) -> None:
    """Raises StateLocked where an engine runs on this folder."""
    if running(folder) is not None:
        raise _locked(folder)


def _locked(folder: Path) -> StateLocked:
    other = _announced(folder) or {}
    pid, url = other.get("pid"), other.get("url")
    who = f"pid {pid}" if pid else "another process"
    at = f" at {url}" if url else ""
    return StateLocked(
        f"the state folder {folder} is in use by the engine of {who}{at}; stop it with `arbiter stop`, "
        "or choose another folder with --state-dir",
        details={"path": str(folder), "pid": pid, "url": url},
    )


def _has_fcntl() -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    return hasattr(fcntl, "flock")


def _acquire(folder: Path) -> int | None:
    """An open handle that holds the lock, or None when another holds it."""
    path = folder / LOCK_FILE
    if not _has_fcntl():
        return _acquire_by_existence(path)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + PATIENCE_S
    while not _flock(handle):
        if time.monotonic() >= deadline:
            os.close(handle)
            return None
        time.sleep(0.02)
    return handle


def _flock(handle: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _acquire_by_existence(path: Path) -> int | None:
    for _ in range(2):
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if _pid_lives(path):
                return None
            path.unlink(missing_ok=True)
            continue
        os.write(handle, str(os.getpid()).encode())
        return handle
    return None


def _pid_lives(path: Path) -> bool:
    import psutil

    try:
        return bool(psutil.pid_exists(int(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        return False


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    if not _has_fcntl():
        return _pid_lives(path)
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _flock(handle)
    finally:
        os.close(handle)
