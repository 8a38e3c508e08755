"""The feed: the newest Snapshot for everybody who looks.

Owns: the revision, the tick, the waiting readers. Never: what a snapshot contains (views.py builds it).

At most one Snapshot per TICK_S, only while somebody looks and when something was marked dirty, and a new revision only
if the content differs apart from the time it was taken: a still engine costs its readers nothing, and an engine at work
costs nothing for nobody's sake. A slow reader skips what it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from ..core.snapshot import Snapshot
from ..ports import Clock

TICK_S = 0.25


class Feed:
    def __init__(self, clock: Clock, build: Callable[[], Snapshot]) -> None:
        self._clock = clock
        self._build = build
        self._dirty = True
        self._built_at = -TICK_S
        self._content: Snapshot | None = None
        self._waiters: set[asyncio.Event] = set()
        self.latest = Snapshot()

    @property
    def revision(self) -> int:
        return self.latest.revision

    def mark_dirty(self) -> None:
        self._dirty = True

    def tick(self) -> bool:
        """Build if dirty; True if there is a new revision."""
        if not self._dirty:
            return False
        self._dirty = False
        self._built_at = self._clock.monotonic()
        fresh = self._build()
        self._dirty = any(m.progress is not None for m in fresh.models)  # a load moves without any event
        content = _content(fresh)
        if content == self._content:
            self.latest = replace(fresh, revision=self.revision)
            return False
        self._content = content
        self.latest = replace(fresh, revision=self.revision + 1)
        for waiter in self._waiters:
            waiter.set()
        return True

    async def wait(self, after: int, timeout_s: float) -> Snapshot:
        """The newest snapshot as soon as its revision is not ``after``; the same again after ``timeout_s`` seconds.

        An ``after`` that this engine never gave out (it was restarted) is answered at once.
        """
        if not self._waiters and self._clock.monotonic() - self._built_at >= TICK_S:
            self.tick()  # nobody looked until now
        if self.revision != after or timeout_s <= 0:
            return self.latest
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await waiter.wait()
        finally:
            self._waiters.discard(waiter)
        return self.latest

    async def run(self) -> None:
        while True:
            if self._waiters:
                self.tick()
            await self._clock.sleep(TICK_S)


def _content(snapshot: Snapshot) -> Snapshot:
    """What a reader would see change."""
    return replace(snapshot, revision=0, taken_at=0.0, engine=replace(snapshot.engine, uptime_s=0.0))
