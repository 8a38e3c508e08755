"""Deciding: one task as the engine decides on it, without an engine, a model or a clock.

Owns: the order of learning, noticing, believing and judging, and what a verdict does to the route. Never: a rule
(autoswap.py, posterior.py, drift.py, exploring.py have them), what was answered.

A swap takes effect at once. The engine's own parts do the same with the same calls (engine/evidence.py, beliefs.py,
autopilot.py); what they add is time, memory, and an operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .autoswap import AutoSwapInput, AutoSwapLimits, Move, decide
from .cost import Outcome
from .drift import Alarm
from .forgetting import hearsay, since, weighed
from .other_tasks import Grades
from .posterior import Belief, Posterior
from .registry import Lifecycle, ModelVersion
from .routing import Route
from .scoring import leaderboard
from .stats import EMPTY, Stats
from .tasks import AutopilotMode, Task
from .watch import Watch

MEASURING = frozenset({"fixed", "round_robin"})  # policies under which nothing is swapped by itself
DRIFT_SAMPLES = 30


class Decider:
    """``graded``: other tasks' grades; ``unmeasured``: whether versions count before they have answered; ``sentences``:
    one for each of the ``moves``."""

    def __init__(
        self, task: Task, names: Sequence[str], limits: AutoSwapLimits, first: str | None = None,
        graded: Mapping[str, Grades] | None = None, unmeasured: bool = False,
    ) -> None:  # fmt: skip
        self.task, self._unmeasured = task, unmeasured
        self._limits = replace(limits, triggers=()) if task.policy in MEASURING else limits
        self.versions = [
            ModelVersion(
                version=name, provider="", model=name, source=name, lifecycle=Lifecycle.ACTIVE,
                capabilities=task.criteria.capabilities,
            )
            for name in names
        ]  # fmt: skip
        self.route = Route(task=task.name, incumbent=first)
        self.stats: dict[str, Stats] = {}
        self.moves: list[Move] = []
        self.sentences: list[str] = []
        self._watch = Watch(min_samples=DRIFT_SAMPLES)
        self._owed: dict[str, int] = {}
        self._graded = graded
        self._posterior = Posterior()

    def serve(self, name: str) -> None:
        """The first one."""
        self.route = replace(self.route, incumbent=name)

    def learn(self, outcome: Outcome) -> None:
        name = outcome.version
        raised = self._watch.outcomes(self.task.name, name, (outcome,))
        self._watch.settle(self.task.name, name, (outcome,))
        self.stats[name] = self.stats.get(name, EMPTY).add(outcome)
        for _, found in raised:
            self._changed(name, found)

    def _changed(self, name: str, found: Alarm) -> None:
        known = self.stats[name]
        alarm = weighed(found, known)
        self._watch.stand(self.task.name, name, alarm)
        if not hearsay(found, known):
            self.stats[name] = since(known, alarm)

    def believed(self, now: float) -> tuple[Belief, ...]:
        """Best first; empty unless the task's policy is ``bandit``."""
        if self.task.policy != "bandit":
            return ()
        return self._posterior.of(
            self.task, self._contenders(), self.stats, {}, now, incumbent=self.route.incumbent, graded=self._graded
        )

    def _contenders(self) -> list[ModelVersion]:
        return [v for v in self.versions if self._unmeasured or v.version in self.stats]

    def look(self, now: float, *, load_cost_s: float = 0.0) -> tuple[Belief, ...]:
        """Judges, and does what the verdict says; returns what it went by."""
        believed = self.believed(now)
        verdict = decide(self._given(now, believed, load_cost_s))
        if verdict.action not in ("swap", "rollback") or verdict.to is None:
            return believed
        old = self.route.incumbent
        self.moves.append(Move(at=now, from_=old, to=verdict.to))
        self.sentences.append(verdict.sentence)
        if verdict.action == "rollback" and old is not None:
            self._owed[old] = self.stats.get(old, EMPTY).samples + self._limits.min_samples
        self.route = replace(self.route, incumbent=verdict.to, previous=old, since=now)
        self._watch.reset(self.task.name, verdict.to)  # it starts afresh
        return believed

    def _given(self, now: float, believed: Sequence[Belief], load_cost_s: float) -> AutoSwapInput:
        incumbent = self.route.incumbent
        return AutoSwapInput(
            task=self.task, route=self.route, rows=leaderboard(self.task, self._contenders(), self.stats, now=now),
            stats=self.stats, now=now, mode=AutopilotMode.ON, owed=self._owed, moves=tuple(self.moves),
            limits=replace(self._limits, load_cost_s=load_cost_s) if load_cost_s else self._limits,
            last_swap_at=self.moves[-1].at if self.moves else None, beliefs=believed,
            alarms=self._watch.alarms(self.task.name, incumbent) if incumbent else (),
        )  # fmt: skip
