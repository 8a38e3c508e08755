"""The control API's reading half: snapshot, lists, explanations. Wakes nothing, changes nothing.

Owns: which GET exists and what it returns. Never: a write (control_writes.py), the machinery (calls.py).
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..core.registry import ModelVersion
from ..core.snapshot import ModelView, Snapshot, TaskView, to_wire
from ..engine.arbiter import Arbiter
from ..errors import UnknownName
from .bodies import Field, page, whole_page
from .calls import AFTER, LIMIT, PAGED, TASK, WAIT, Ask, Call, Reply
from .fields import bare_id
from .operations import Operations

TOP_ROWS = 3
LOG_MARK = 4  # lines whose checksum is a log's cursor: a ring has no numbers of its own
LOG_POLL_S = 0.2
DRAINING_WAIT_S = 0.25  # a stopping engine keeps nobody waiting


class Reads:
    def __init__(self, arbiter: Arbiter, operations: Operations) -> None:
        self._arbiter = arbiter
        self._operations = operations
        self._encoded: tuple[tuple[int, str | None], bytes] | None = None

    def calls(self) -> list[Call]:
        version = {"version": Field("text", help="only this version's")}
        waiting = {"after": Field("integer", low=0, help="the revision you have"), "wait": WAIT}
        return [
            Call(method="GET", path="/snapshot", summary="Everything a screen shows; ?after&wait waits for news",
                 do=self.snapshot, query={**waiting, "task": Field("text", help="this task's whole leaderboard")},
                 answer="Snapshot"),
            Call(method="GET", path="/models", summary="All versions", do=self.models, query=PAGED, answer="Models"),
            Call(method="GET", path="/models/{v}", summary="One version", do=self.model, answer="ModelView"),
            Call(method="GET", path="/models/{v}/log", summary="Its worker's newest output", do=self.log,
                 query={"after": AFTER, "wait": WAIT}, answer="Texts"),
            Call(method="GET", path="/aliases", summary="All aliases", do=self.aliases, query=PAGED, answer="Objects"),
            Call(method="GET", path="/tasks", summary="All tasks: criteria, weights, route", do=self.tasks,
                 query=PAGED, answer="Objects"),
            Call(method="GET", path="/tasks/{t}", summary="One task", do=self.task),
            Call(method="GET", path="/swaps", summary="Swap events, newest first", do=self.swaps,
                 query={**PAGED, "task": TASK}, answer="Swaps"),
            Call(method="GET", path="/rollouts", summary="Rollouts: under way, then over, newest first",
                 do=self.rollouts, query=PAGED, answer="Objects"),
            Call(method="GET", path="/outcomes", summary="Measured requests, newest first", do=self.outcomes,
                 query={**PAGED, "task": TASK, **version}, answer="Objects"),
            Call(method="GET", path="/requests", summary="The newest requests and what served them", do=self.requests,
                 query={**PAGED, "task": TASK, "prompts": Field("flag", help="with `messages`, where remembered")},
                 answer="Objects"),
            Call(method="GET", path="/bench", summary="The internal benchmark: each task and version, what is known",
                 do=self.bench, answer="Objects"),
            Call(method="GET", path="/events", summary="What happened, oldest first; ?after&wait waits for more",
                 do=self.events, query={**waiting, "limit": LIMIT}, answer="Objects"),
            Call(method="GET", path="/profiles/{t}", summary="What was learnt about a task", do=self.profile),
            Call(method="GET", path="/explain/{id}", summary="The record behind a swap, decision, request, or task",
                 do=self.explain),
            Call(method="GET", path="/statistics", summary="Counts since the start", do=self.statistics),
            Call(method="GET", path="/ledger", summary="Who changed what, hash-chained; ?verify=true checks the chain",
                 do=self.ledger, query={**PAGED, "verify": Field("flag")}, answer="Objects"),
            Call(method="GET", path="/operations", summary="Long work, newest first", do=self.operations, query=PAGED,
                 answer="Objects"),
            Call(method="GET", path="/operations/{id}", summary="One long work", do=self.operation,
                 answer="OperationView"),
        ]  # fmt: skip

    # ── snapshot ──────────────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, ask: Ask) -> Reply:
        task, after, wait = ask.query.get("task"), ask.query.get("after"), ask.query.get("wait", 0.0)
        if task is not None and task not in self._arbiter.tasks:
            raise UnknownName("task", task, self._arbiter.tasks)
        if after is None or wait <= 0:
            return Reply(_encode(trimmed(self._arbiter.snapshot(task), task)))
        if self._arbiter.state == "draining":
            wait = min(wait, DRAINING_WAIT_S)
        seen = await self._arbiter.feed.wait(after, wait)
        return Reply(self._cached(seen, task))

    def _cached(self, snapshot: Snapshot, task: str | None) -> bytes:
        """Several screens that look at the same revision cost one encoding."""
        key = (snapshot.revision, task)
        if self._encoded is None or self._encoded[0] != key:
            self._encoded = (key, _encode(trimmed(snapshot, task)))
        return self._encoded[1]

    # ── models ────────────────────────────────────────────────────────────────────────────────────────────────

    async def models(self, ask: Ask) -> Reply:
        registry = self._arbiter.registry
        views = self._arbiter.snapshot().models
        items = [model_body(v, registry.versions[v.version]) for v in views if v.version in registry.versions]
        return Reply(page(items, ask.query, key="version"))

    async def model(self, ask: Ask) -> Reply:
        return Reply(self.one_model(ask.path["v"]))

    def one_model(self, name: str) -> dict[str, Any]:
        """A version (or an alias) as /models shows it. Raises UnknownName."""
        version = self._arbiter.registry.get(name)
        views = self._arbiter.snapshot().models
        view = next((m for m in views if m.version == version.version), ModelView(version=version.version))
        seen = self._arbiter.pool.view(version.version)
        return {**model_body(view, version), "base_url": seen.base_url if seen else None}

    async def log(self, ask: Ask) -> Reply:
        name, after = self._arbiter.registry.get(ask.path["v"]).version, ask.query.get("after")
        loop = asyncio.get_running_loop()
        until = loop.time() + ask.query.get("wait", 0.0)
        lines = log_after(self._arbiter.log(name), after)
        while not lines and loop.time() < until and self._arbiter.state == "ready":
            await asyncio.sleep(min(LOG_POLL_S, max(0.0, until - loop.time())))
            lines = log_after(self._arbiter.log(name), after)
        return Reply({"items": lines, "next": log_mark(self._arbiter.log(name))})

    async def aliases(self, ask: Ask) -> Reply:
        items = [{"alias": a, "version": v} for a, v in self._arbiter.registry.aliases.items()]
        return Reply(page(items, ask.query, key="alias"))

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def tasks(self, ask: Ask) -> Reply:
        views = {t.task: t for t in self._arbiter.snapshot().tasks}
        items = [self._task(name, views.get(name)) for name in self._arbiter.tasks]
        return Reply(page(items, ask.query, key="task"))

    async def task(self, ask: Ask) -> Reply:
        return Reply(self.one_task(ask.path["t"]))

    def one_task(self, name: str) -> dict[str, Any]:
        """With the autopilot's outlook: what it would do now, and its guards. Raises UnknownName."""
        if name not in self._arbiter.tasks:
            raise UnknownName("task", name, self._arbiter.tasks)
        view = next((t for t in self._arbiter.snapshot().tasks if t.task == name), None)
        outlook = self._arbiter.autopilot.outlook(name)
        return {**self._task(name, view), "guards": outlook.pop("guards"), "outlook": outlook}

    def _task(self, name: str, view: TaskView | None) -> dict[str, Any]:
        shown = {} if view is None else to_wire(replace(view, leaderboard=()))
        shown.pop("leaderboard", None)
        return {**self._arbiter.tasks[name].as_dict(), **shown}

    async def profile(self, ask: Ask) -> Reply:
        return Reply(self._arbiter.profile(ask.path["t"]).as_dict())

    # ── history ───────────────────────────────────────────────────────────────────────────────────────────────

    async def swaps(self, ask: Ask) -> Reply:
        query = {"limit": 100, **ask.query}
        found = await self._arbiter.store.list_swaps(
            limit=query["limit"], after=query.get("after"), task=query.get("task")
        )
        return Reply(whole_page([to_wire(s) for s in found], query))

    async def rollouts(self, ask: Ask) -> Reply:
        return Reply(page([to_wire(r) for r in self._arbiter.rollouts.views()], ask.query))

    async def outcomes(self, ask: Ask) -> Reply:
        query = {"limit": 100, **ask.query}
        found = await self._arbiter.store.list_outcomes(
            limit=query["limit"], after=query.get("after"), task=query.get("task"), version=query.get("version")
        )
        return Reply(whole_page([asdict(o) for o in found], query))

    async def requests(self, ask: Ask) -> Reply:
        query = {"limit": 100, **ask.query}
        rows = await self._arbiter.history.page(
            limit=query["limit"], after=query.get("after"), task=query.get("task"),
            prompts=query.get("prompts", False),
        )  # fmt: skip
        return Reply(whole_page(rows, query))

    async def bench(self, ask: Ask) -> Reply:
        return Reply({"items": self._arbiter.bench_cells(), "next": None})

    async def events(self, ask: Ask) -> Reply:
        after, wait = ask.query.get("after", 0), ask.query.get("wait", 0.0)
        if self._arbiter.state == "draining":
            wait = min(wait, DRAINING_WAIT_S)
        found = await self._arbiter.events(after, wait)
        shown = found[: ask.query.get("limit", 1000)]
        return Reply({"items": shown, "next": str(shown[-1]["revision"]) if shown else str(after)})

    async def explain(self, ask: Ask) -> Reply:
        found = await self._arbiter.explain(bare_id(ask.path["id"]))
        if found.get("kind") == "task":
            found["outlook"] = self._arbiter.autopilot.outlook(found["task"])
        return Reply(found)

    async def statistics(self, ask: Ask) -> Reply:
        return Reply(self._arbiter.statistics())

    async def ledger(self, ask: Ask) -> Reply:
        query = {"limit": 100, **ask.query}
        lines = await self._arbiter.store.ledger(limit=query["limit"], after=query.get("after"))
        body = whole_page(lines, query)
        if query.get("verify"):
            body["broken"] = await self._arbiter.store.verify_ledger()
        return Reply(body)

    async def operations(self, ask: Ask) -> Reply:
        return Reply(page([to_wire(o) for o in self._operations.list()], ask.query))

    async def operation(self, ask: Ask) -> Reply:
        return Reply(to_wire(self._operations.get(ask.path["id"])))


def trimmed(snapshot: Snapshot, task: str | None) -> Snapshot:
    """With ``task``: its leaderboard whole, the others' first rows."""
    if task is None:
        return snapshot
    cut = (t if t.task == task else replace(t, leaderboard=t.leaderboard[:TOP_ROWS]) for t in snapshot.tasks)
    return replace(snapshot, tasks=tuple(cut))


def model_body(view: ModelView, version: ModelVersion) -> dict[str, Any]:
    """The live view and what is known of the content."""
    known = asdict(version)
    known["capabilities"] = sorted(version.capabilities)
    return {**known, **to_wire(view), "context": view.context or version.context}


def log_mark(lines: Sequence[str]) -> str:
    return f"{zlib.crc32(chr(10).join(lines[-LOG_MARK:]).encode()):08x}"


def log_after(lines: list[str], mark: str | None) -> list[str]:
    """The lines behind the mark; all of them if it has left the ring."""
    if mark is None:
        return lines
    for end in range(len(lines), -1, -1):
        if log_mark(lines[:end]) == mark:
            return lines[end:]
    return lines


def _encode(snapshot: Snapshot) -> bytes:
    return json.dumps(to_wire(snapshot)).encode()


def operation_reply(view: Mapping[str, Any]) -> Reply:
    """202: where the work can be watched and cancelled."""
    return Reply(view, status=202, headers=[(b"location", f"/arbiter/v1/operations/{view['id']}".encode())])
