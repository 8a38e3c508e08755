"""The record behind each decision: inputs, thresholds, verdict; and its explanation by id.

Owns: what is written when a model is chosen, swapped, held back, and how an id (of a swap, a decision, a request)
becomes an explanation. Never: decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..core.cost import Outcome
from ..core.recompute import of_step, same
from ..core.record import pack_selection, pack_step
from ..core.rollout import Effects, Event, Rollout
from ..core.selection import Selection
from ..core.snapshot import RolloutView, SwapView, to_wire
from ..core.tasks import Task
from ..errors import ArbiterError, StoreError, UnknownName
from .live import Live

SEARCHED = 1_000  # outcomes of the store among which an older request, or what lies around a swap, is looked for
BESIDE = 40  # outcomes on each side of a swap


class Decisions:
    def __init__(self, live: Live) -> None:
        self._live = live
        self.current: dict[str, str] = {}  # task -> id of the decision because of which its incumbent serves
        self._chosen: dict[str, dict[str, Any]] = {}  # task -> {id, version, at} of the newest choice without a swap

    async def save(self, kind: str, task: str, record: Mapping[str, Any]) -> str:
        """Commit one decision; a store that refuses is told as an alert, the decision stands. Returns its id."""
        decision_id = self._live.new_id()
        whole = {"id": decision_id, "kind": kind, "task": task, "at": self._live.clock.now(), **record}
        try:
            await self._live.store.save_decision(decision_id, whole)
        except StoreError as error:
            self._live.alert("error", f"a decision on {task} could not be stored: {error}", task=task)
        return decision_id

    def of_swap(self, swap: SwapView) -> None:
        """A swap's event is its record; it is stored once."""
        if swap.result == "done":
            self.current[swap.task] = swap.id

    async def of_choice(self, task: Task, choice: Selection) -> None:
        """The first incumbent of a task, by bundled priors or by what was measured."""
        name, left_out = task.name, dict(choice.disqualified)
        record = {
            "verdict": choice.primary, "reasoning": list(choice.reasoning),
            "inputs": {"qualified": [s.version for s in choice.ranked], "disqualified": left_out},
            "basis": pack_selection(task, choice.criteria, choice.at, choice.ranked, left_out),
        }  # fmt: skip
        id = self.current[name] = await self.save("selection", name, record)
        self._chosen[name] = {"id": id, "version": choice.primary, "at": self._live.clock.now()}
        try:
            await self._live.store.save_note("chosen", self._chosen)
        except StoreError as error:
            self._live.alert("error", f"a decision on {name} could not be stored: {error}", task=name)

    async def of_step(
        self, view: RolloutView, before: Rollout, event: Event, now: float, after: Rollout, effects: Effects
    ) -> None:
        """Each step of a rollout that does something is a decision of its own."""
        told = {"to": view.to, "rollout": to_wire(view), "basis": pack_step(before, event, now)}
        await self.save("rollout", view.task, {**of_step(after, effects), **told})

    async def restore(self, swaps: Sequence[SwapView]) -> None:
        """After a restart: each task serves because of its newest finished swap, or of a choice after it."""
        for swap in swaps:  # newest first
            if swap.result == "done":
                self.current.setdefault(swap.task, swap.id)
        began = {swap.id: swap.started_at for swap in swaps}
        self._chosen = dict(await self._live.store.note("chosen") or {})
        for task, choice in self._chosen.items():
            if choice["at"] > began.get(self.current.get(task, ""), float("-inf")):
                self.current[task] = choice["id"]

    async def explain(self, id: str) -> dict[str, Any]:
        """By the id of a decision, a swap or a request, or by the name of a task. Raises UnknownName."""
        found = await self._decision(id)
        if found is not None:
            return {**found, **await self._beside(found["swap"])} if "swap" in found else found
        if id in self._live.tasks:
            return await self._of_task(id)
        recent = next((r for r in reversed(self._live.recent) if r.outcome.id == id), None)
        if recent is not None:
            return await self._of_request(id, recent.as_dict(), recent.decision_id)
        stored = await self._live.store.list_outcomes(limit=SEARCHED)
        for outcome in stored:
            if outcome.id == id:
                told = {**asdict(outcome), **_failed_over(id, stored)}
                return await self._of_request(id, told, self._decided_before(outcome))
        raise UnknownName("decision, swap, request or task", id, self._live.tasks)

    async def _beside(self, swap: Mapping[str, Any]) -> dict[str, Any]:
        """What the old version's newest requests before the swap showed, and the new one's first after it, oldest
        first; only what is still among the newest of the store."""
        done_at = swap["started_at"] + (swap["duration_s"] or 0.0)
        old, new = await self._newest(swap["task"], swap["from"]), await self._newest(swap["task"], swap["to"])
        before = [o for o in old if o.at <= done_at][-BESIDE:]
        after = [o for o in new if o.at > done_at][:BESIDE] if swap["result"] in ("done", "rolled_back") else []
        return {"before": [_brief(o) for o in before], "after": [_brief(o) for o in after]}

    async def _newest(self, task: str, version: str | None) -> list[Outcome]:
        """Oldest first."""
        if version is None:
            return []
        found = await self._live.store.list_outcomes(limit=SEARCHED, task=task, version=version)
        return [o for o in reversed(found) if o.counts]

    async def _of_task(self, task: str) -> dict[str, Any]:
        """Why this version serves it: the decision that put it in charge, as far as it is known."""
        route = self._live.routes.get(task)
        version = self._live.find(route.incumbent)
        id = self.current.get(task)
        decision = await self._decision(id) if id else None
        if version is None:
            reasoning = ["Nobody serves it: register a model and activate it."]
        elif decision is None:
            reasoning = [f"{version.version} serves {task}; the record of that decision is no longer kept."]
        else:
            reasoning = list(decision.get("reasoning") or ())
        return {
            "id": task, "kind": "task", "task": task, "at": route.since or (decision or {}).get("at"),
            "verdict": version.version if version else None, "previous": route.previous, "decision": decision,
            "reasoning": reasoning,
        }  # fmt: skip

    async def _decision(self, id: str) -> dict[str, Any] | None:
        """As stored; a swap as it is now."""
        swap = next((s for s in self._live.swaps if s.id == id), None) or await self._live.store.swap(id)
        if swap is None:
            found = await self._live.store.decision(id)
            return None if found is None else {**found, "recomputed": _again(found)}
        whole = to_wire(swap)
        return {
            "id": id, "kind": "swap", "task": swap.task, "at": swap.started_at, "verdict": swap.result, "swap": whole,
        }  # fmt: skip

    async def _of_request(self, id: str, request: Mapping[str, Any], decision_id: str | None) -> dict[str, Any]:
        decision = await self._decision(decision_id) if decision_id else None
        return {
            "id": id,
            "kind": "request",
            "task": request.get("task"),
            "verdict": request.get("version"),
            "request": dict(request),
            "decision": decision,
            "reasoning": [
                f"{request.get('version')} was named by the client."
                if not request.get("task") or request.get("named")
                else f"{request.get('version')} served {request.get('task')} when the request came."
                if not request.get("failed_over")
                else f"{request.get('version')} answered: whoever was asked before failed.",
                *(_failing(f) for f in request.get("failed_over", ())),
            ],
        }

    def _decided_before(self, outcome: Outcome) -> str | None:
        """The newest swap of its task that was done before the request and led to its version; else the choice."""
        for swap in self._live.swaps:
            if (swap.task, swap.to) == (outcome.task, outcome.version) and swap.started_at <= outcome.at:
                return swap.id
        choice = self._chosen.get(outcome.task)
        if choice is None or choice["version"] != outcome.version or choice["at"] > outcome.at:
            return None
        return str(choice["id"])


def _failed_over(id: str, stored: Sequence[Outcome]) -> dict[str, Any]:
    """Who failed a request before somebody answered, oldest first; the failure's own words are not kept so long."""
    failed = [o for o in reversed(stored) if o.source == "failover" and o.id.rpartition("-")[0] == id]
    rows = [{"version": o.version, "failure": o.failure, "reason": None} for o in failed]
    return {"failed_over": rows} if rows else {}


def _failing(failed: Mapping[str, Any]) -> str:
    words = str(failed["failure"]).replace("_", " ")
    return f"{failed['version']} failed first ({words})" + (f": {failed['reason']}" if failed["reason"] else ".")


def _brief(outcome: Outcome) -> dict[str, Any]:
    return {"at": outcome.at, "success": outcome.success, "quality": outcome.quality, "latency_s": outcome.latency_s}


def _again(record: Mapping[str, Any]) -> bool | None:
    """Whether the record's own basis leads to what it says; None for one that can't be computed again."""
    try:
        return same(record)
    except (KeyError, TypeError, ValueError, ArbiterError):
        return False
