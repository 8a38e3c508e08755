"""Signals in the middle of a command: what it began is ended in order, and the exit code is the signal's own.

Owns: SIGINT, SIGTERM and SIGHUP while a command waits. Never: what there is to tidy up (the command knows).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one exists only where terminals hang up


def run(work: Coroutine[Any, Any, int]) -> int:
    """``work``'s exit code; 128 + the signal's number where one came first: then ``work`` was cancelled and awaited."""
    return asyncio.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, int]) -> int:
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    came: list[int] = []

    def stop(number: int) -> None:
        came.append(number)
        task.cancel()

    for name in _NAMES:
        if (number := getattr(signal, name, None)) is not None:
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not came:
            raise
        return 128 + came[0]
