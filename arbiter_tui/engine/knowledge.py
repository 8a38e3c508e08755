"""What other state folders learnt, joined to what is here: at a start, after an import, when a model arrives later.

Owns: which of the heard outcomes have taught which version here, and the views that put several origins together.
Never: the rules (core/knowledge.py), reading an archive (imports.py), a record of its own.

A model that is not here teaches nothing yet: what was heard of it is kept, and is learnt when the same content is
registered, under whatever name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.cost import Outcome
from ..core.intake import flaws, sound, unwelcome
from ..core.knowledge import HeardOutcome, Known, Said, filled, grades, lesson, matching, united
from ..core.learning import TaskProfile
from ..core.prediction import Traits, traits
from ..core.registry import ModelVersion
from ..core.scoring import MIN_SAMPLES
from ..core.stats import EMPTY, Stats
from ..core.traffic import Traffic
from .evidence import Evidence
from .live import Live
from .slices import sliced

Pair = tuple[str, str]  # origin and the version's name there


class Knowledge:
    """``kind_of``: of a version's runtime. ``machine``: this one's fingerprint; empty: nothing was measured on it."""

    def __init__(
        self, live: Live, evidence: Evidence, kind_of: Callable[[ModelVersion], str | None], machine: str
    ) -> None:
        self._live = live
        self._evidence = evidence
        self._kind_of = kind_of
        self.machine = machine
        self.known = Known()
        self._joined: dict[Pair, frozenset[str]] = {}
        self._seen: Mapping[str, ModelVersion] | None = None
        self._absent: dict[str, dict[Pair, Stats]] = {}  # task -> models that are not here, and their grades
        self._learning = asyncio.Lock()  # nothing is learnt twice because two read the store at once

    async def restore(self) -> None:
        """What is kept, and what it teaches of the versions that are registered now."""
        heard = await self._live.store.heard()
        self.known, self._joined, self._absent = Known.of(heard.said), {}, {}
        await self._learn(heard.outcomes, self._newly_joined(), absent=True)

    async def look(self) -> None:
        """When versions were registered: what was heard of them before is learnt now."""
        if self._live.registry.versions is self._seen:
            return
        async with self._learning:
            await self._learn_joined(self._newly_joined())

    async def took(self, new: Sequence[HeardOutcome], graded: Sequence[HeardOutcome], said: Sequence[Said]) -> None:
        """An import is committed. ``new``: its outcomes that were unknown; ``graded``: those that were known without a
        grade, and have one now; ``said``: all records as they stand now."""
        async with self._learning:
            joined = dict(self._joined)
            self.known = Known.of(said)
            await self._learn(new, joined, absent=True)
            await self._learn(graded, joined, absent=True, late=True)
            await self._learn_joined(self._newly_joined())

    async def _learn_joined(self, fresh: Mapping[Pair, frozenset[str]]) -> None:
        if fresh:
            await self._learn((await self._live.store.heard()).outcomes, fresh)

    # ── joining ───────────────────────────────────────────────────────────────────────────────────────────────

    def same_machine(self, origin: str) -> bool:
        return bool(self.machine) and self.known.machines.get(origin) == self.machine

    def match(self, origin: str, model: Mapping[str, Any], machines: Mapping[str, str] | None = None) -> list[str]:
        """The versions here that are this model. ``machines``: of origins, where an archive tells of new ones."""
        same = self.same_machine(origin) if machines is None else bool(self.machine) and (
            machines.get(origin) == self.machine
        )  # fmt: skip
        return matching(model, self._live.registry.versions.values(), self._kind_of, same_machine=same)

    def _newly_joined(self) -> dict[Pair, frozenset[str]]:
        """Pairs with the versions that they match since the last look."""
        self._seen, fresh = self._live.registry.versions, dict[Pair, frozenset[str]]()
        for pair, model in self.known.models.items():
            here = frozenset(self.match(pair[0], model))
            new = here - self._joined.get(pair, frozenset())
            if new:
                fresh[pair] = new
                self._joined[pair] = self._joined.get(pair, frozenset()) | here
        return fresh

    async def _learn(
        self, outcomes: Iterable[HeardOutcome], joined: Mapping[Pair, frozenset[str]], *, absent: bool = False,
        late: bool = False,
    ) -> None:  # fmt: skip
        """``absent``: also of models that are not here; ``late``: all but their grades is known already."""
        async for (origin, task, version), several in sliced(_together(outcomes).items(), 1):
            if task not in self._live.tasks:
                continue
            if absent and not joined.get((origin, version)):
                self._remember(task, (origin, version), several)
            for name in sorted(joined.get((origin, version), ())):
                if unwelcome(self._live.registry.versions[name]) is None:
                    self._evidence.hear(task, name, self._lesson(origin, name, several, late))

    def _lesson(self, origin: str, name: str, outcomes: Sequence[Outcome], late: bool) -> Sequence[Outcome] | Stats:
        now = self._live.clock.now()
        several = [replace(sound(o, flaws(o, now), now), version=name) for o in outcomes]
        same = self.same_machine(origin)
        return grades(several, same_machine=same) if late else lesson(several, same_machine=same)

    # ── absent ────────────────────────────────────────────────────────────────────────────────────────────────

    def _remember(self, task: str, pair: Pair, outcomes: Sequence[Outcome]) -> None:
        """What a model that is not here was graded: by it those that are like it are known a little."""
        told = grades(outcomes, same_machine=False)
        if told.quality is not None:
            known = self._absent.setdefault(task, {})
            known[pair] = known.get(pair, EMPTY).behind(told)

    def absent(self, task: str) -> list[tuple[Traits, float]]:
        """Models that are not here, each once, where enough of their answers on ``task`` were graded."""
        found: dict[str, tuple[Traits, float]] = {}
        for pair, stats in sorted(self._absent.get(task, {}).items()):
            model = self.known.models.get(pair)
            enough = stats.quality is not None and stats.quality_weight >= MIN_SAMPLES
            if model is not None and enough and not self._joined.get(pair) and stats.quality is not None:
                name = f"{pair[1]} (not here)"
                found.setdefault(name, (_traits(name, model), stats.quality))
        return list(found.values())

    # ── together ──────────────────────────────────────────────────────────────────────────────────────────────

    def profile(self, task: str) -> TaskProfile:
        """What all state folders together know of a task."""
        heard = [
            (profile, self.same_machine(origin))
            for (origin, named), profile in sorted(self.known.profiles.items()) if named == task
        ]  # fmt: skip
        own = self._evidence.profile(task)
        return united(own, heard) if heard else own

    def traffic(self, own: Traffic) -> Traffic:
        heard = self.known.traffic
        return filled(own, [heard[origin] for origin in sorted(heard)]) if heard else own


def _traits(name: str, model: Mapping[str, Any]) -> Traits:
    """As of a version that is registered."""
    return traits(
        ModelVersion(
            version=name, provider="", model=str(model["name"]), source="", quantization=model.get("quantization"),
            family=model.get("family"), parameters=model.get("parameters"),
        )
    )  # fmt: skip


def _together(outcomes: Iterable[HeardOutcome]) -> dict[tuple[str, str, str], list[Outcome]]:
    found: dict[tuple[str, str, str], list[Outcome]] = {}
    for h in outcomes:
        found.setdefault((h.origin, h.outcome.task, h.outcome.version), []).append(h.outcome)
    return found
