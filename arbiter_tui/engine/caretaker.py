"""The pool's regular round: what time alone changes.

Owns: idle time-to-live, health questions, automatic restarts after their back-off, relief when models grew beyond the
budget. Never: waits longer than one bounded question, wakes a model or renews its time-to-live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from ..ports import Clock
from .health import ask, is_hung, strikes_after
from .instance import Instance, Life, State
from .keeper import Keeper
from .scheduler import Scheduler


class Caretaker:
    def __init__(
        self,
        instances: Mapping[str, Instance],
        clock: Clock,
        keeper: Keeper,
        scheduler: Scheduler,
        *,
        idle_ttl_s: float | None,
        serving: Callable[[], Iterable[str]] | None,
        next_number: Callable[[], int],
    ) -> None:
        self._instances = instances
        self._clock = clock
        self._keeper = keeper
        self._scheduler = scheduler
        self.idle_ttl_s = idle_ttl_s
        self._serving = serving
        self._next_number = next_number

    async def look(self) -> None:
        self._expire()
        self._restart()
        lives = [(i, i.life) for i in self._instances.values() if i.loaded and i.life is not None]
        await asyncio.gather(*(self._examine(i, life) for i, life in lives))
        self._relieve()

    def _expire(self) -> None:
        for instance in self._instances.values():
            kept_s = instance.life.keep_s if instance.life else None
            ttl_s = self.idle_ttl_s if kept_s is None else kept_s
            idle_s = self._clock.now() - (instance.last_used_at or 0.0)
            if ttl_s is not None and idle_s >= ttl_s and _evictable(instance):
                self._keeper.end(instance, f"idle for {idle_s:.0f} s")

    def _restart(self) -> None:
        """A quarantined one stays down until somebody asks for it."""
        wanted = None if self._serving is None else set(self._serving())
        now = self._clock.monotonic()
        for instance in self._instances.values():
            ran = instance.load_s is not None
            worth = instance.pinned or (ran if wanted is None else instance.name in wanted)
            if worth and instance.state is State.FAILED and not instance.wanted and now >= instance.failures.retry_at:
                instance.restart_number = self._next_number()

    async def _examine(self, instance: Instance, life: Life) -> None:
        if life.model is None:
            return
        answer = await ask(life.model)
        if instance.life is not life or not instance.loaded:
            return
        life.strikes = strikes_after(answer, life.strikes)
        if is_hung(answer, life.strikes, busy=bool(life.leases)):
            self._keeper.die(instance, life, f"it does not answer: {answer} {life.strikes} times")
        else:
            await self._keeper.refresh(instance, life)

    def _relieve(self) -> None:
        """Models may hold more than was predicted. Unload what was idle longest, but never the last one."""
        idle = sorted((i for i in self._instances.values() if _evictable(i)), key=lambda i: i.last_used_at or 0.0)
        over = self._scheduler.claimed() - self._scheduler.budget_bytes
        for instance in idle:
            if over <= 0 or sum(1 for i in self._instances.values() if i.loaded) <= 1:
                return
            over -= instance.claimed
            self._keeper.end(instance, "models grew beyond the memory budget")


def _evictable(instance: Instance) -> bool:
    shielded = instance.life is not None and instance.life.shielded
    return instance.idle and not instance.pinned and not shielded and not instance.asked
