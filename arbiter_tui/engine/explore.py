"""Exploration: a small share of a task's requests goes to another version that is loaded anyway.

Owns: which request explores, and who of the others is worth asking. Never: loads a model for it, explores when the
operator chose the version (by name, by a hold, by switching the autopilot off), uses randomness: each request saves its
share, and one explores when a whole one is saved.

The quality of a live answer is unknown unless somebody grades it, so what exploring teaches by itself is latency,
memory and reliability; it ends at ENOUGH samples of a version. By the policy ``bandit`` whoever promises more than the
one that serves is asked, mean and what may be learnt (core/exploring.py), unless another one is surely better; by
``score`` the least known; by ``fixed`` nobody; by ``round_robin``, which is for measuring, each version that is loaded
answers in turn. Sentinels ask the same one in idle time (sentinels.py).
"""

from __future__ import annotations

from ..core.exploring import Ration, worth_asking
from ..core.registry import Lifecycle, ModelVersion
from ..core.stats import EMPTY
from ..core.tasks import AutopilotMode
from .beliefs import Beliefs
from .evidence import Evidence
from .live import Live, Target
from .pool import Pool

ENOUGH = 200


class Explorer:
    def __init__(self, live: Live, pool: Pool, evidence: Evidence, beliefs: Beliefs) -> None:
        self._live = live
        self._pool = pool
        self._evidence = evidence
        self._beliefs = beliefs
        self._count: dict[str, int] = {}
        self._rations: dict[str, Ration] = {}

    def version_for(self, target: Target) -> ModelVersion:
        """The version that answers; synchronous, so that nothing changes before the lease."""
        share = self._live.config.autopilot.explore_share
        policy = self._live.task(target.task).policy if target.task in self._live.tasks else "fixed"
        if target.named or policy == "fixed":
            return target.version
        if policy == "round_robin":
            return self._in_turn(target) if self._may(target.task) else target.version
        if share <= 0:
            return target.version
        ration = self._rations.setdefault(target.task, Ration())
        if not ration.asked(share) or not self._may(target.task):
            return target.version
        serving = target.version.version
        chosen = self.promising(target.task, serving) if policy == "bandit" else self._least_known(target)
        if chosen is None:
            return target.version
        ration.used()
        return chosen

    def _may(self, task: str) -> bool:
        held = self._live.routes.get(task).hold_until > self._live.clock.now()
        return self._live.mode(task) is AutopilotMode.ON and not held and self._live.spares()

    def _least_known(self, target: Target) -> ModelVersion | None:
        stats = self._evidence.stats(target.task)
        found = [
            (samples, v.version, v)
            for v in self._others(target.task, target.version.version)
            if (samples := stats.get(v.version, EMPTY).samples) < ENOUGH
        ]
        return min(found)[2] if found else None

    def promising(self, task: str, serving: str) -> ModelVersion | None:
        """Of the others that are loaded the one that is worth asking most, by the policy ``bandit``."""
        stats = self._evidence.stats(task)
        others = {
            v.version: v for v in self._others(task, serving) if stats.get(v.version, EMPTY).samples < ENOUGH
        }  # fmt: skip
        found = worth_asking(self._beliefs.newest(task), others, serving, stats) if others else None
        return None if found is None else others[found]

    def _in_turn(self, target: Target) -> ModelVersion:
        n = self._count.get(target.task, 0)
        self._count[target.task] = n + 1
        everyone = sorted([target.version, *self._others(target.task, target.version.version)], key=lambda v: v.version)
        return everyone[n % len(everyone)]

    def _others(self, task: str, serving: str) -> list[ModelVersion]:
        """Loaded, active, and not the one that serves."""
        return [
            v
            for v in self._evidence.contenders(task)
            if v.lifecycle is Lifecycle.ACTIVE
            and v.version != serving
            and not self._live.paid(v)
            and self._pool.is_ready(v.version)
        ]
