"""The terminal before and after: its own size, the signals that end the cockpit, its loss, what Textual leaves set.

Owns: these four. Never: drawing, what the cockpit does on its way out (app.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import stat
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
    """TERM, HUP, INT and the terminal's end leave through the door. Textual alone restores none on TERM and HUP."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, left, number)
    _watch_loss(left)


def _watch_loss(lost: Callable[[int], None]) -> None:
    """A terminal that goes away sends HUP only to those it controls, and nohup ignores that: its end is looked for.

    What is still written then goes nowhere, instead of failing on the way out; ``lost`` is called on the event loop.
    """
    if not hasattr(select, "poll") or sys.__stdin__ is None or not sys.__stdin__.isatty():
        return
    loop, poll = asyncio.get_running_loop(), select.poll()
    poll.register(sys.__stdin__.fileno(), 0)  # nothing but its end

    def wait() -> None:
        if not any(what & select.POLLHUP for _, what in poll.poll()):
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            if stat.S_ISCHR(os.fstat(number).st_mode):  # not a file that the output was sent to
                os.dup2(nowhere, number)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the cockpit has ended already
            loop.call_soon_threadsafe(lost, signal.SIGHUP)

    threading.Thread(target=wait, daemon=True, name="terminal-loss").start()


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
