"""The terminal before and after: its own size, the signals that end the cockpit, what Textual leaves set.

Owns: these three. Never: drawing, what the cockpit does on its way out (app.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def follow_window() -> None:
    """A size that a shell has exported is that of a moment ago, and would be believed for ever: the window's counts."""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)


def watch_signals(left: Callable[[int], None]) -> None:
    """TERM, HUP and INT leave through the door. Textual alone restores no terminal on the first two."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, left, number)


def deadline(number: int) -> threading.Timer:
    """Writing to a terminal that is gone may block for ever: a second later the process ends regardless."""
    timer = threading.Timer(1.0, os._exit, (128 + number,))
    timer.daemon = True
    timer.start()
    return timer


def restore() -> None:
    """Textual 8.2 leaves mouse mode 1016 set."""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        with contextlib.suppress(OSError):  # the terminal may be gone
            sys.__stdout__.write("\x1b[?1016l")
            sys.__stdout__.flush()
