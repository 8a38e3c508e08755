"""The store without a disk; public as ``arbiter_tui.testing.MemoryStore``.

Owns: ports.Store in memory. Never: imported by anything but testing.py; keeps what JSON could not carry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .core.cost import Outcome
from .core.grading import Grading, replaces
from .core.knowledge import KEPT, Heard, HeardOutcome, Said
from .core.learning import TaskProfile
from .core.registry import Registry
from .core.routing import Route, RouteTable
from .core.snapshot import SwapView
from .ports import Import, StoredState


class MemoryStore:
    """ports.Store without a disk: the same answers, and everything goes through JSON as it would on disk."""

    def __init__(self, state: StoredState | None = None) -> None:
        self.state = state or StoredState()
        self.registry: Registry = self.state.registry
        self.routes: RouteTable = self.state.routes
        self.profiles: dict[str, TaskProfile] = dict(self.state.profiles)
        self.modes: dict[str, str] = dict(self.state.modes)
        self.swaps: dict[str, SwapView] = {s.id: s for s in reversed(self.state.swaps)}
        self.outcomes: dict[str, Outcome] = {o.id: o for o in self.state.outcomes}
        self.decisions: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.records: dict[tuple[str, str, str], Said] = {}
        self.heard_outcomes: dict[str, HeardOutcome] = {}
        self.ledger_lines: list[dict[str, Any]] = []
        self.expected: set[str] = set()
        self.closed = False
        self.fail_next: list[Exception] = []

    def _check(self) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)

    async def load(self) -> StoredState:
        return StoredState(
            registry=self.registry, routes=self.routes, profiles=dict(self.profiles), modes=dict(self.modes),
            swaps=list(reversed(self.swaps.values())), outcomes=list(self.outcomes.values()),
            intents=[s for s in self.swaps.values() if s.result == "running"],
        )  # fmt: skip

    async def save_registry(self, registry: Registry, *, who: str, action: str, subject: str) -> None:
        self._check()
        self.registry = registry
        await self.note_change(who, action, subject)

    async def note_change(self, who: str, action: str, subject: str) -> None:
        self._check()
        line_id = str(len(self.ledger_lines) + 1)
        self.ledger_lines.append({"id": line_id, "who": who, "action": action, "subject": subject})

    async def save_route(self, route: Route, swap: SwapView | None = None) -> None:
        self._check()
        self.routes = self.routes.with_route(route)
        if swap is not None:
            self.swaps[swap.id] = swap

    async def save_swap(self, swap: SwapView) -> None:
        self._check()
        self.swaps[swap.id] = swap

    async def save_profiles(self, profiles: Iterable[TaskProfile]) -> None:
        self._check()
        self.profiles.update({p.task: TaskProfile.from_dict(json.loads(json.dumps(p.as_dict()))) for p in profiles})

    async def save_mode(self, task: str, mode: str) -> None:
        self._check()
        self.modes[task] = mode

    def expect(self, outcome_id: str) -> None:
        self.expected.add(outcome_id)

    async def known(self, ids: Sequence[str]) -> frozenset[str]:
        return frozenset(id for id in ids if id in self.outcomes or id in self.heard_outcomes)

    async def heard(self) -> Heard:
        return Heard(
            said=await self.said(),
            outcomes=sorted(self.heard_outcomes.values(), key=lambda h: h.outcome.at),
        )

    async def ungraded(self, ids: Sequence[str]) -> frozenset[str]:
        found = (self.heard_outcomes.get(id) for id in ids)
        return frozenset(h.outcome.id for h in found if h is not None and h.outcome.quality is None)

    async def said(self) -> Sequence[Said]:
        return [self.records[key] for key in sorted(self.records)]

    async def take_in(self, change: Import) -> None:
        self._check()
        self.records.update({s.key: replace(s, data=json.loads(json.dumps(s.data))) for s in change.heard.said})
        new = [h for h in change.heard.outcomes if h.outcome.id not in self.outcomes]
        ungraded = await self.ungraded([h.outcome.id for h in new if h.outcome.quality is not None])
        for h in new:
            if h.outcome.id not in self.heard_outcomes or h.outcome.id in ungraded:
                self.heard_outcomes[h.outcome.id] = h
        self._keep_newest()
        self.profiles.update({p.task: p for p in change.profiles})
        if change.registry is not None:
            self.registry = change.registry
        if change.tasks:
            self.notes["tasks"] = json.dumps({**json.loads(self.notes.get("tasks", "{}")), **change.tasks})
        await self.note_change(change.who, "import", change.subject)

    def _keep_newest(self) -> None:
        together: dict[tuple[str, str, str], list[HeardOutcome]] = {}
        for h in sorted(self.heard_outcomes.values(), key=lambda h: h.outcome.at):
            together.setdefault((h.origin, h.outcome.task, h.outcome.version), []).append(h)
        self.heard_outcomes = {h.outcome.id: h for several in together.values() for h in several[-KEPT:]}

    async def record(self, outcomes: Sequence[Outcome]) -> None:
        self._check()
        for outcome in outcomes:
            self.outcomes.setdefault(outcome.id, outcome)

    async def set_quality(self, outcome_id: str, quality: float, source: str, comment: str = "") -> Grading | None:
        self._check()
        known = self.outcomes.get(outcome_id)
        if known is None:
            return None
        if replaces(source, known):
            self.outcomes[outcome_id] = replace(known, quality=quality, quality_source=source)
        return Grading(known, self.outcomes[outcome_id], source)

    async def save_decision(self, decision_id: str, record: Mapping[str, Any]) -> None:
        self._check()
        self.decisions[decision_id] = json.dumps(record)

    async def decision(self, decision_id: str) -> Mapping[str, Any] | None:
        found = self.decisions.get(decision_id)
        return None if found is None else json.loads(found)

    async def list_swaps(
        self, *, limit: int = 100, after: str | None = None, task: str | None = None
    ) -> list[SwapView]:
        newest = [s for s in reversed(self.swaps.values()) if task in (None, s.task)]
        return _page(newest, limit, after)

    async def swap(self, swap_id: str) -> SwapView | None:
        return self.swaps.get(swap_id)

    async def list_outcomes(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        task: str | None = None,
        version: str | None = None,
        source: str | None = None,
    ) -> list[Outcome]:
        wanted = ((task, "task"), (version, "version"), (source, "source"))
        kept = reversed(self.outcomes.values())
        newest = [o for o in kept if all(value in (None, getattr(o, name)) for value, name in wanted)]
        return _page(newest, limit, after)

    async def ledger(
        self, *, limit: int = 100, after: str | None = None, subject: str | None = None
    ) -> list[dict[str, Any]]:
        lines = [line for line in self.ledger_lines if after is None or int(line["id"]) > int(after)]
        return [line for line in lines if subject is None or subject in line["subject"].split()][:limit]

    async def spent_since(self, at: float) -> list[dict[str, Any]]:
        out = []
        for task in sorted({o.task for o in self.outcomes.values() if o.task}):
            today = [o for o in self.outcomes.values() if o.task == task and o.at >= at]
            used = [o.energy_j for o in today if o.energy_j is not None]
            if today:
                paid = [o.money for o in today if o.money is not None]
                out.append({
                    "task": task, "requests": len(today), "measured": len(used),
                    "energy_j": sum(used) if used else None, "priced": len(paid), "money": sum(paid) if paid else None,
                })  # fmt: skip
        return out

    async def money_since(self, at: float) -> dict[str, float]:
        out: dict[str, float] = {}
        for o in self.outcomes.values():
            if o.at >= at and o.money is not None:
                out[o.version] = out.get(o.version, 0.0) + o.money
        return out

    async def verify_ledger(self) -> str | None:
        return None

    async def save_note(self, key: str, value: Any) -> None:
        self._check()
        self.notes[key] = json.dumps(value)

    async def note(self, key: str) -> Any:
        found = self.notes.get(key)
        return None if found is None else json.loads(found)

    async def close(self) -> None:
        self.closed = True


def _page(items: list[Any], limit: int, after: str | None) -> list[Any]:
    start = 0
    if after is not None:
        start = next((i + 1 for i, item in enumerate(items) if item.id == after), 0)
    return items[start : start + limit]
