"""The running engine as a policy that can be replayed: its own decisions, on recorded answers.

Owns: what stands for the engine's surroundings: when it looks, who serves first, the seconds and bytes that recorded
answers do not tell. Never: a rule (deciding.py, which asks those of the engine).

Each request takes its share of an hour, and the engine looks every few seconds. Where an answer tells no seconds or
bytes all are taken to be equal: then it goes by quality alone, at the weight that quality has.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from .autoswap import AutoSwapLimits
from .cost import Outcome
from .deciding import Decider
from .exploring import worth_asking
from .other_tasks import Grades
from .policies import Seen, Start
from .posterior import Belief
from .selection import select
from .tasks import Task

SECONDS, BYTES = 1.0, 10**9
EVERY_S = 5.0  # between two looks, or from each request to the next: recorded grades come no faster
LOAD_S = 2.0  # what a load is taken to cost where only one fits: as for a version that was never loaded


class EnginePolicy:
    """``graded``: the other tasks' benchmarks; ``step_s``: from one request to the next."""

    def __init__(
        self, start: Start, task: str, graded: Mapping[str, Grades], step_s: float, *, one_fits: bool = False
    ) -> None:
        self._names = list(start.names)
        self._decider = Decider(Task(name=task), self._names, AutoSwapLimits(), graded=graded, unmeasured=True)
        self._now, self._step_s, self._load_s = 0.0, step_s, LOAD_S if one_fits else 0.0
        for n in range(max(map(len, start.known), default=0)):
            for version, known in enumerate(start.known):
                if n < len(known):
                    self._teach(version, known[n])
        first = select(self._decider.task, self._decider.versions, self._decider.stats, now=self._now).primary
        self._decider.serve(first)
        self.incumbent: int | None = self._names.index(first)
        self._believed: tuple[Belief, ...] = self._decider.believed(self._now)
        self._looked_at = -EVERY_S

    def choose(self, chance: Random) -> int:
        serving = self._decider.route.incumbent
        asked = worth_asking(
            self._believed, [name for name in self._names if name != serving], serving, self._decider.stats
        )
        return self._names.index(asked or serving or "")

    def learn(self, version: int, seen: Seen) -> None:
        self._now += self._step_s
        self._teach(version, seen)
        self._look()

    def learn_idle(self, version: int, seen: Seen) -> None:
        """An answer that no client waited for."""
        self._teach(version, seen)

    def _look(self) -> None:
        if self._now - self._looked_at < EVERY_S:
            return
        self._looked_at, before = self._now, self._decider.route.incumbent
        self._believed = self._decider.look(self._now, load_cost_s=self._load_s)
        after = self._decider.route.incumbent
        if after != before:
            self._believed = self._decider.believed(self._now)
        self.incumbent = self._names.index(after or "")

    def _teach(self, version: int, seen: Seen) -> None:
        self._decider.learn(Outcome(
            id="", task=self._decider.task.name, version=self._names[version], at=self._now, success=True,
            latency_s=SECONDS if seen.latency_s is None else seen.latency_s,
            memory_bytes=BYTES if seen.memory_bytes is None else int(seen.memory_bytes), energy_j=seen.energy_j,
            quality=seen.quality, quality_source="suite", item=seen.item,
        ))  # fmt: skip
