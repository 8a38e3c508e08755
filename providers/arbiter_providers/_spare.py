"""A worker process that is started before its model has room: interpreter and engine are there, no model is.

Owns: at most one such process, and its end where nobody came for it. Never: a model, its parameters (whoever takes it
sends them).

Where only one model fits, the next one's process starts while the last one finishes its answers: what a load needs
beside memory is then done already.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable

import psutil

KEPT_S = 15.0  # room is made within a turn; later the load was called off


class Spare:
    """``start`` starts a process that waits for its parameters. Raises OSError."""

    def __init__(self, start: Callable[[], Awaitable[Process]], *, kept_s: float = KEPT_S) -> None:
        self._start, self._kept_s = start, kept_s
        self._coming: asyncio.Future[Process] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Start one, unless one is there. Returns at once; what fails here is told by the load that would have used
        it."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._start())
            self._timer = asyncio.get_running_loop().call_later(self._kept_s, self._drop)

    async def take(self) -> Process | None:
        """The process, the taker's from now on; None where there is none that lives."""
        coming = self._forget()
        if coming is None:
            return None
        try:
            process = await asyncio.shield(coming)
        except OSError:
            return None
        except asyncio.CancelledError:
            self._end(coming)
            raise
        return process if process.returncode is None and _lives(process.pid) else None

    async def close(self) -> None:
        self._drop()
        await asyncio.gather(*self._ends)

    def _forget(self) -> asyncio.Future[Process] | None:
        if self._timer is not None:
            self._timer.cancel()
        coming, self._coming, self._timer = self._coming, None, None
        return coming

    def _drop(self) -> None:
        coming = self._forget()
        if coming is not None:
            self._end(coming)

    def _end(self, coming: asyncio.Future[Process]) -> None:
        task = asyncio.ensure_future(_ended(coming))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


def _lives(pid: int) -> bool:
    """The event loop hears of an end a moment later than the system."""
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


async def _ended(coming: asyncio.Future[Process]) -> None:
    with contextlib.suppress(OSError):
        process = await coming
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
