"""The child's end of the pipes between a provider and its worker process.

Owns: the lifeline (a worker never outlives its parent), the first line (parameters) and the messages both ways, one
JSON object a line. Never: a model. It imports little: a worker's start is a user's wait.

stdin carries messages from the parent; its end means that the parent is gone, even by ``kill -9``. What the engine
prints, on stdout too, goes to stderr, where the parent keeps a log ring.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_NICE = 10


class Channel:
    """Messages to the parent (``send``, any thread) and from it (``listen``)."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._in = os.fdopen(os.dup(0), "rb")
        _no_input()
        self._lock = threading.Lock()

    def parameters(self) -> dict[str, Any]:
        """The first line. Exits if the parent is already gone."""
        line = self._in.readline()
        if not line:
            os._exit(0)
        parameters: dict[str, Any] = json.loads(line)
        return parameters

    def send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._out.write(line)

    def listen(self, receive: Callable[[dict[str, Any]], None], last: Callable[[], None] | None = None) -> None:
        """Calls ``receive`` on a thread of its own for every message; ends the process when the parent is gone, after
        ``last``."""
        threading.Thread(target=self._read, args=(receive, last), daemon=True).start()

    def _read(self, receive: Callable[[dict[str, Any]], None], last: Callable[[], None] | None) -> None:
        for line in self._in:
            receive(json.loads(line))
        if last is not None:
            last()
        os._exit(0)  # nothing to save: the quickest exit frees the memory soonest


def _no_input() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _yield_to_others() -> None:
    """Who steers, serves or types goes before who computes: a model uses all the time that nobody else wants.

    Where the system shares processors between sessions first (Linux's autogroups), the session has a level of its own.
    """
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write(str(_NICE))


def open_channel(parent: int) -> Channel:
    """Tie this process to ``parent`` (its pid) and open the pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine stops its workers in order; a terminal's Ctrl-C does not
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _yield_to_others()
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)
    return Channel()
