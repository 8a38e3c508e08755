"""Sentinels: questions with known answers, asked of the version that serves, in idle time.

Owns: when which question of a task's suite is asked. Never: asks while a client's request runs, loads a model for it,
grades by itself (the suite's verifier does).

Live answers have no reference, so a model that has silently become worse would never be noticed. A task that clients
used within the last hour gets at most ``sentinels_per_hour`` of them; what nobody uses costs no computing.

Where the policy would like to know more of another version that is loaded (explore.py), every second one is that
version's: the question that the serving one was just asked, so that both are compared on it. No client waits for it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from math import gcd

from ..core.registry import ModelVersion
from ..core.tasks import AutopilotMode, Task
from ..core.verify import SuiteItem
from .bench import Asker
from .live import Live
from .pool import Pool
from .recorder import Recorder

QUIET_S = 0.5  # after the last client's request
USED_WITHIN_S = 3600.0


class Sentinels:
    def __init__(self, live: Live, pool: Pool, recorder: Recorder, asker: Asker, busy: Callable[[], bool]) -> None:
        self._live = live
        self._pool = pool
        self._recorder = recorder
        self._asker = asker
        self._busy = busy
        self._due: dict[str, float] = {}
        self._asked: dict[str, int] = {}
        self._again: dict[str, SuiteItem] = {}  # what the serving version was just asked
        # Whom else to ask, of those that are loaded; the explorer's word.
        self.promising: Callable[[str, str], ModelVersion | None] = lambda task, serving: None
        self._running: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Start at most one question; it runs beside the loop, so that a slow model delays no decision."""
        if self._running is not None and not self._running.done():
            return
        task = self._next()
        if task is not None:
            self._running = asyncio.create_task(self._ask(task), name=f"sentinel-{task.name}")

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _next(self) -> Task | None:
        """The task whose question is most overdue, if this is a quiet moment."""
        rate, now = self._live.config.autopilot.sentinels_per_hour, self._live.clock.monotonic()
        last = self._live.last_request_at
        if rate <= 0 or not self._live.spares() or self._busy() or last is None or now - last < QUIET_S:
            return None
        ready = [t for t in self._live.tasks.values() if self._may(t)]
        for task in ready:
            self._due.setdefault(task.name, now + 3600.0 / rate)
        due = [t for t in ready if self._due[t.name] <= now]
        return min(due, key=lambda t: self._due[t.name], default=None)

    def _may(self, task: Task) -> bool:
        version = self._live.find(self._live.routes.get(task.name).incumbent)
        used_at = self._live.served_at.get(task.name)
        return (
            version is not None
            and not self._live.paid(version)
            and used_at is not None
            and self._live.clock.monotonic() - used_at <= USED_WITHIN_S
            and self._pool.is_ready(version.version)
            and self._live.mode(task.name) is not AutopilotMode.OFF
            and bool(self._live.suite(task))
        )

    async def _ask(self, task: Task) -> None:
        rate = self._live.config.autopilot.sentinels_per_hour
        self._due[task.name] = self._live.clock.monotonic() + 3600.0 / rate
        serving = self._live.incumbent(task.name)
        asked = self._again.pop(task.name, None)
        other = None if asked is None else self._other(task, serving)
        if asked is None or other is None:
            asked = self._again[task.name] = self._item(task)
        self._recorder.append(await self._asker.ask(task, other or serving, asked, "sentinel"))

    def _other(self, task: Task, serving: ModelVersion) -> ModelVersion | None:
        """By the policy ``bandit``, and where exploring is allowed at all."""
        config = self._live.config.autopilot
        wanted = task.policy == "bandit" and config.explore_share > 0 and self._live.mode(task.name) is AutopilotMode.ON
        return self.promising(task.name, serving.version) if wanted else None

    def _item(self, task: Task) -> SuiteItem:
        """A walk through the suite with a stride that visits all of it, begun at a place of the task's own."""
        items = self._live.suite(task)
        n = self._asked[task.name] = self._asked.get(task.name, zlib.crc32(task.name.encode())) + 1
        return items[n * stride(len(items)) % len(items)]


def stride(count: int) -> int:
    """Coprime to ``count`` and near its golden section, so that neighbours in the suite are asked far apart."""
    step = max(1, round(count * 0.618))
    while gcd(step, count) != 1:
        step += 1
    return step
