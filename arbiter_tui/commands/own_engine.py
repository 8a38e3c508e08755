"""This state folder's engine, from the cockpit's side: found, joined, or started, and found again after it has gone.

Owns: which engine process this cockpit has started. Never: drawing; ending an engine (the cockpit asks it to stop).

    one runs                                  -> join it
    none runs, none was seen                  -> start one
    what was joined had a starter of its own  -> it ended with that command or cockpit: start one
    `arbiter serve` was joined and has ended  -> its owner may be restarting it: wait, and say so
    the own one ended with 0                  -> somebody stopped it on purpose: say so
    the own one crashed                       -> start another, at most three a minute
"""

from __future__ import annotations

import subprocess
import time
from argparse import Namespace
from collections.abc import Callable

from ..core.words import plural
from ..errors import EngineUnreachable
from .connect import in_background, running, spawn, until_started, wait_for_engine

CRASHES, WITHIN_S = 3, 60.0


class OwnEngine:
    """``url()`` may block for as long as an engine needs to start; call it on a thread of its own."""

    def __init__(self, options: Namespace, *, now: Callable[[], float] = time.monotonic) -> None:
        self._options, self._now = options, now
        self.process: subprocess.Popen[bytes] | None = None  # the own one
        self._joined: str | None = None  # the address of another's engine
        self._joined_guest = False  # whether that one ends with who started it
        self._answered = False  # whether the own one ever did
        self._failed: EngineUnreachable | None = None
        self._started: list[float] = []

    @property
    def owned(self) -> bool:
        """Whether the engine is this cockpit's to stop."""
        return self.process is not None and self.process.poll() is None

    @property
    def ever_owned(self) -> bool:
        return bool(self._started)

    def begin(self) -> None:
        """Start one before the screen is there, where none runs: both take their time at once."""
        if running(self._options) is None:
            self._spawn()

    def url(self) -> str:
        """Where the engine answers. Raises EngineUnreachable with the reason."""
        found = running(self._options)
        if found is not None and not (self.process is not None and self.process.pid == found.get("pid")):
            self._joined, self._joined_guest = str(found["url"]), in_background(self._options, found)
            until_started(self._joined)
            return self._joined
        if self.process is None:
            if self._joined is not None and not self._joined_guest:
                raise EngineUnreachable(f"the engine at {self._joined} was stopped; this goes on when it is back")
            self._spawn()
        elif self.process.poll() is not None:
            self._after_its_end(self.process.returncode)
        return self._wait()

    def _spawn(self) -> None:
        self._answered, self._failed = False, None
        self._started.append(self._now())
        self.process = spawn(self._options, port=self._options.port)

    def _after_its_end(self, code: int) -> None:
        if self._failed is not None:
            raise self._failed
        if self._answered and code == 0:
            raise EngineUnreachable("the engine of this cockpit was stopped; q, then arbiter, starts another")
        if self._answered:
            lately = [at for at in self._started if self._now() - at < WITHIN_S]
            if len(lately) >= CRASHES:
                raise EngineUnreachable(
                    f"the engine ended {plural(len(lately), 'time')} within a minute; engine.log says why"
                )
            self._spawn()

    def _wait(self) -> str:
        assert self.process is not None
        try:
            url = wait_for_engine(self._options, self.process)
        except EngineUnreachable as error:
            if self.process.poll() is None:
                raise
            other = running(self._options)
            if other is None:
                self._failed = error
                raise
            self.process, self._joined = None, str(other["url"])  # another was a moment faster
            self._joined_guest = in_background(self._options, other)
            return self._joined
        self._answered = True
        return url
