"""Pairs: questions of the suite that the version on trial and the one that serves both answer, side by side.

Owns: which question comes next, and what its two answers add to the evidence. Never: when it is quiet enough to ask
(rollouts.py), versions that don't fit into memory together (blocks.py), the verdict (core/trial.py).
"""

from __future__ import annotations

from ..core.trial import Trial
from .bench import Asker
from .live import Live
from .pool import Pool
from .recorder import Recorder
from .sentinels import stride
from .trials import Running


class Pairs:
    def __init__(self, live: Live, pool: Pool, asker: Asker, recorder: Recorder) -> None:
        self._live, self._pool, self._asker, self._recorder = live, pool, asker, recorder

    def may(self, running: Running) -> bool:
        known = self._live.suite(self._live.task(running.task))
        return (
            running.state.open
            and running.asked < len(known)  # the same question again would be no new evidence
            and self._pool.is_ready(running.old)
            and self._pool.is_ready(running.new)
        )

    async def ask(self, running: Running) -> Trial:
        """The evidence with one more pair, where both answers could be graded."""
        task = self._live.task(running.task)
        items = self._live.suite(task)
        item = items[running.asked * stride(len(items)) % len(items)]
        running.asked += 1
        old, new = (self._live.registry.get(name) for name in (running.old, running.new))
        first = await self._asker.ask(task, old, item, "shadow")
        second = await self._asker.ask(task, new, item, "shadow")
        for outcome in (first, second):
            self._recorder.append(outcome)
        trial = running.state.trial
        for outcome, mine in ((first, False), (second, True)):
            if outcome.counts:  # one that fails its questions is taken back before it fails a client
                trial = trial.served(new=mine, success=outcome.success, shadow=True)
        if first.quality is None or second.quality is None:
            return trial
        return trial.pair(first.quality, second.quality, first.latency_s, second.latency_s)
