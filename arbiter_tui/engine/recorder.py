"""The recorder: outcomes leave the request path into a bounded queue, teach the engine, and reach the store in batches.

Owns: the queue, its back-pressure (what does not fit is dropped and counted), the batches. Never: scores, decides.

A served request's outcome is acknowledged by nobody: ``append`` returns at once, and a batch is committed every
FLUSH_S or as soon as BATCH are waiting, so at most one second of them can be lost at ``kill -9``. What a client reports
is acknowledged: ``commit`` returns after the commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ..core.cost import Outcome
from ..core.words import plural
from ..errors import StoreError
from ..ports import Clock, Store

FLUSH_S = 0.25
BATCH = 256
QUEUE = 10_000
SEEN = 2_500  # ids of one generation; two are kept. They are for what is not stored yet: the store knows all others


class Recorder:
    """``learn`` is given each outcome once, in order, several at a time; ``on_trouble`` a sentence when the store
    refuses."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        learn: Callable[[Sequence[Outcome]], None],
        *,
        on_trouble: Callable[[str], None],
        queue: int = QUEUE,
    ) -> None:
        self._store = store
        self._clock = clock
        self._learn = learn
        self._on_trouble = on_trouble
        self._limit = queue
        self._fresh: deque[Outcome] = deque()
        self._unsaved: list[Outcome] = []
        self._seen: set[str] = set()
        self._seen_before: set[str] = set()
        self._lock = asyncio.Lock()
        self._early: asyncio.Task[None] | None = None
        self._closed = False
        self.dropped = 0
        self.saved = 0
        self.duplicates = 0  # outcomes with an id that was there already: they teach nothing

    def append(self, outcome: Outcome) -> bool:
        """Constant time, never waits. False if the queue was full, or is closed: the outcome is dropped and counted."""
        if self._closed or len(self._fresh) + len(self._unsaved) >= self._limit:
            self.dropped += 1
            return False
        self._store.expect(outcome.id)  # so that a crash before its commit is known to have cost it
        self._fresh.append(outcome)
        if len(self._fresh) >= BATCH and (self._early is None or self._early.done()):
            self._early = asyncio.get_running_loop().create_task(self.flush(), name="recorder-early-flush")
        return True

    def absorb(self) -> None:
        """Teach what has arrived, now (synchronous): whoever decides or shows calls this first."""
        if not self._fresh:
            return
        taught = [outcome for outcome in self._fresh if self._new(outcome.id)]
        self._fresh.clear()
        self._unsaved += taught
        self._learn(taught)

    async def flush(self) -> None:
        """Teach and commit everything; a store that refuses keeps the batch for the next time, and is told."""
        self.absorb()
        async with self._lock:
            batch = self._unsaved
            if not batch:
                return
            self._unsaved = []
            try:
                await self._store.record(batch)
            except StoreError as error:
                self._unsaved = batch + self._unsaved
                self._on_trouble(
                    f"{plural(len(self._unsaved), 'outcome waits', 'outcomes wait')} to be stored: {error}"
                )
                return
            except BaseException:
                self._unsaved = batch + self._unsaved
                raise
            self.saved += len(batch)

    async def close(self) -> None:
        """Commit what waits. Whatever ends from now on is too late: its store may be closed already."""
        await self.flush()
        self._closed = True
        await self.flush()  # what came meanwhile

    async def commit(self, outcomes: Sequence[Outcome]) -> int:
        """Commit, then teach: for outcomes whose sender waits for the acknowledgement. Returns how many were new."""
        self.absorb()
        fresh = [o for o in outcomes if not self._known(o.id)]
        # What was reported long ago, or before a restart, is remembered by the store alone.
        stored = await self._store.known([o.id for o in fresh])
        fresh = [o for o in fresh if o.id not in stored]
        self.duplicates += len(outcomes) - len(fresh)
        await self._store.record(fresh)
        taught = [o for o in fresh if self._new(o.id)]
        self._learn(taught)
        self.saved += len(taught)
        return len(taught)

    def remember(self, ids: Sequence[str]) -> None:
        """Ids that are in the store already: the same again teaches nothing."""
        for known in ids:
            self._new(known)

    async def run(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_S)
            await self.flush()

    def _new(self, outcome_id: str) -> bool:
        if self._known(outcome_id):
            self.duplicates += 1
            return False
        self._seen.add(outcome_id)
        if len(self._seen) >= SEEN:
            self._seen_before, self._seen = self._seen, set()
        return True

    def _known(self, outcome_id: str) -> bool:
        return outcome_id in self._seen or outcome_id in self._seen_before
