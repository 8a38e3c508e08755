"""Beliefs: what the live policy of each task holds of its versions, worked out anew when there is something new.

Owns: asking core/posterior.py and core/prediction.py with what was measured, whom a plugin's policy nominates, their
cache. Never: decides (core/autoswap.py), measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.other_tasks import Grades
from ..core.policies import POLICIES, Seen, Start
from ..core.posterior import Belief, Posterior, firm
from ..core.prediction import ENOUGH, Expectation, Traits, predict, traits
from ..core.registry import ModelVersion
from ..core.scoring import MIN_SAMPLES
from ..core.stats import EMPTY
from .evidence import Evidence
from .live import Live

SCORED = frozenset({"score", "fixed", "round_robin"})  # policies that need no beliefs
STALE_S = 60.0
OTHERS = 20  # tasks from which is learnt what to expect, and how far off that is


class Beliefs:
    def __init__(self, live: Live, evidence: Evidence) -> None:
        self._live, self._evidence = live, evidence
        self._known: dict[str, tuple[Any, float, tuple[Belief, ...]]] = {}
        self._posteriors: dict[str, Posterior] = {}
        # Models that are not here and what they were worth on a task, by what an archive told; knowledge.py's word.
        self.absent: Callable[[str], Sequence[tuple[Traits, float]]] = lambda task: ()

    def of(self, task: str) -> tuple[Belief, ...]:
        """Best first; empty unless the task's policy is ``bandit``."""
        described = self._live.task(task)
        if described.policy != "bandit":
            return ()
        now = self._live.clock.now()
        serving = self._live.find(self._live.routes.get(task).incumbent)
        incumbent = None if serving is None else serving.version
        key = (self._evidence.revision(task), self._live.registry, described, incumbent)
        cached = self._known.get(task)
        if cached is not None and now - cached[1] < STALE_S and cached[0] == key:
            return cached[2]
        versions = self._evidence.contenders(task)
        found = self._posteriors.setdefault(task, Posterior()).of(
            described, versions, self._evidence.stats(task), self.expected(task, versions), now,
            incumbent=incumbent, graded=self._other_tasks(task),
        )  # fmt: skip
        self._known[task] = (key, now, found)
        return found

    def newest(self, task: str) -> tuple[Belief, ...]:
        """As they were worked out last: on a request's path nothing is worked out anew."""
        cached = self._known.get(task)
        return self.of(task) if cached is None else cached[2]

    def expected(self, task: str, versions: list[ModelVersion] | None = None) -> dict[str, Expectation]:
        """Of the versions that nobody has graded on this task, from those that are known there or on other tasks."""
        versions = self._evidence.contenders(task) if versions is None else versions
        here = self._table(task)
        if len(here) < ENOUGH or all(v.version in here for v in versions):
            return {}
        tables = [here, *(self._table(other) for other in self._others(task))]
        known = [traits(v) for v in self._live.registry.versions.values() if v.version in here]
        known += [model for model, _ in self.absent(task)]
        found: dict[str, Expectation] = {}
        for version in versions:
            if version.version not in here:
                told = predict(traits(version), known, tables)[0]
                if told is not None:
                    found[version.version] = told
        return found

    def _others(self, task: str) -> list[str]:
        return [other for other in self._live.tasks if other != task][:OTHERS]

    def _table(self, task: str) -> Mapping[str, float]:
        """Version -> quality, where enough was graded; models that are not here among them."""
        measured = {
            name: stats.quality
            for name, stats in self._evidence.stats(task).items()
            if stats.quality is not None and stats.quality_weight >= MIN_SAMPLES
        }
        return {**{model.name: quality for model, quality in self.absent(task)}, **measured}

    def _other_tasks(self, task: str) -> dict[str, Grades]:
        """What trusted sources said of each version there, where they said enough."""
        return {
            other: {
                name: told
                for name, stats in self._evidence.stats(other).items()
                if (told := firm(stats))[1] >= MIN_SAMPLES
            }
            for other in self._others(task)
        }

    def nominee(self, task: str) -> str | None:
        """Whom a policy beyond those of the engine would have serve: only that one may take over for being better."""
        name = self._live.task(task).policy
        if name == "bandit" or name in SCORED:
            return None
        versions = [v.version for v in self._evidence.contenders(task)]
        stats = self._evidence.stats(task)
        known = [[Seen(quality=q) for q, _ in stats.get(v, EMPTY).grades] for v in versions]
        told = self.expected(task)
        start = Start(
            names=versions, known=known, expected=[told[v].value if v in told else None for v in versions]
        )  # fmt: skip
        chosen = POLICIES[name](start).incumbent if versions else None
        return "" if chosen is None else versions[chosen]
