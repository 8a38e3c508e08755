"""A fake engine for the cockpit's tests and pictures, and the app upon it: deterministic in place, clock and curves."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from canned import NOW
from canned_past import ABOUT, past
from canned_task import EXPLAINED, LEARNT, MEASURED, TOLD, previewed
from fake_views import FakeViews

from arbiter_tui.core.snapshot import Snapshot
from arbiter_tui.errors import ArbiterError, EngineUnreachable
from arbiter_tui.tui.app import CockpitApp
from arbiter_tui.tui.state import Trouble, machine_values

NO_PAST: Mapping[str, Any] = {"at": [], "curves": {}, "spent": []}


PREVIEW: Mapping[str, Any] = {
    "warnings": [], "evict": [], "needs_bytes": 390 << 20, "free_bytes": 1400 << 20, "load_s": 0.6, "in_flight": 2,
    "checks": [{"name": name, "met": True} for name in ("lifecycle", "capabilities", "memory", "context")]
    + [{"name": "quality", "met": None}],
}  # fmt: skip


class FakeEngine(FakeViews):
    """An engine behind no wire: hands out what it is given, records every call, waits like the long poll does."""

    def __init__(self, *snapshots: Snapshot, fail: ArbiterError | None = None) -> None:
        super().__init__()
        self.snapshots = list(snapshots)
        self.fail = fail
        self.calls: list[tuple[Any, ...]] = []
        self.preview: Mapping[str, Any] = PREVIEW
        self.refuse: dict[str, ArbiterError] = {}
        self.machine_answer: Mapping[str, Any] = NO_PAST
        self.stored: dict[str, dict[str, Any]] = {}  # task -> criteria that were saved
        self._news = asyncio.Event()

    def show(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)
        self._news.set()

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Snapshot:
        if self.fail is not None:
            raise self.fail
        if not self.snapshots or (after is not None and self.snapshots[-1].revision == after):
            self._news.clear()
            with contextlib.suppress(TimeoutError):  # nothing new: the same revision again, as on the wire
                async with asyncio.timeout(wait if self.snapshots else None):
                    await self._news.wait()
            if self.fail is not None:
                raise self.fail
        return self.snapshots[-1]

    def lose(self) -> None:
        self.fail = EngineUnreachable("connection refused")
        self._news.set()

    async def _note(self, *call: Any) -> Any:
        self.calls.append(call)
        if call[0] in self.refuse:
            raise self.refuse[call[0]]
        return None

    async def warm(self, v: str) -> Any:
        return await self._note("warm", v)

    async def unload(self, v: str) -> Any:
        return await self._note("unload", v)

    async def swap(
        self, task: str, to: str, *, dry_run: bool = False, canary: bool = False, at: float | None = None
    ) -> Any:
        how = "dry_run" if dry_run else "canary" if canary else "swap" if at is None else "schedule"
        await self._note(how, task, to, *([] if at is None else [at]))
        return self.preview

    async def cancel_swap(self, id: str) -> Any:
        return await self._note("cancel_swap", id)

    async def rollout(self, id: str, order: str) -> Any:
        return await self._note("rollout", id, order)

    async def rollback(self, task: str) -> Any:
        return await self._note("rollback", task)

    async def veto(self, task: str) -> Any:
        return await self._note("veto", task)

    async def autopilot(self, task: str | None, mode: str) -> Any:
        return await self._note("autopilot", task, mode)

    async def bench(self, tasks: Sequence[str] | None = None, versions: Sequence[str] | None = None) -> Any:
        return await self._note("bench", tasks, *([versions] if versions else []))

    async def cancel(self, op_id: str) -> Any:
        return await self._note("cancel", op_id)

    async def explain(self, id: str) -> Mapping[str, Any]:
        await self._note("explain", id)
        return EXPLAINED.get(id) or {
            "task": "topic",
            "verdict": "swap",
            "at": NOW,
            "why": [
                {
                    "rule": "better",
                    "value": 0.79,
                    "threshold": 0.65,
                    "would_change_if": "its lower bound falls below .65",
                }
            ],
        }

    async def log(self, v: str) -> Sequence[str]:
        await self._note("log", v)
        return [f"llama_model_load: line {i}" for i in range(40)] + ["error: something\x1b[31m went wrong"]

    async def model(self, v: str) -> Mapping[str, Any]:
        await self._note("model", v)
        return ABOUT

    async def model_history(self, v: str) -> Mapping[str, Any]:
        await self._note("model_history", v)
        return past(v)

    async def machine(self, after: float | None = None) -> Mapping[str, Any]:
        return self.machine_answer

    async def select(self, task: str, **criteria: Any) -> Mapping[str, Any]:
        await self._note("select", task, criteria)
        return previewed(criteria)

    async def task(self, task: str) -> Mapping[str, Any]:
        await self._note("task", task)
        return {**TOLD, "task": task, **self.stored.get(task, {})}

    async def put_task(self, task: str, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._note("put_task", task, dict(patch))
        kept = self.stored.get(task, {})
        gone = dict.fromkeys(patch.get("unset", ()))
        new = {**kept, **{k: v for k, v in patch.items() if k != "unset"}, **gone, "settings": "changed"}
        self.stored[task] = new
        return {**TOLD, **new}

    async def outcomes(self, task: str, limit: int = 100) -> Sequence[Mapping[str, Any]]:
        await self._note("outcomes", task)
        return MEASURED[:limit]

    async def profile(self, task: str) -> Mapping[str, Any]:
        await self._note("profile", task)
        return LEARNT

    async def stop(self) -> Any:
        return await self._note("stop")

    async def aclose(self) -> None:
        await self._note("aclose")


class Clock:
    """Monotonic time that only a test moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def wave(snapshot: Snapshot, seconds: int = 240) -> list[tuple[float, dict[str, float | None]]]:
    """A past for the curves: two slow waves and a ripple around the present values."""
    now = machine_values(snapshot)
    out = []
    for i in range(seconds):
        swing = 0.5 + 0.32 * math.sin(i / 17) + 0.18 * math.sin(i / 3.1) * math.cos(i / 41)
        out.append(
            (
                snapshot.taken_at - seconds + i,
                {k: None if v is None else min(1.0, max(0.02, v * (0.45 + swing))) for k, v in now.items()},
            )
        )
    return out


def cockpit(
    *snapshots: Snapshot,
    theme: str = "dark",
    history: bool = True,
    state: str = "live",
    engine: FakeEngine | None = None,
    **kw: Any,
) -> CockpitApp:
    """The app on a fake engine. ``state``: live, stale, gone, error, connecting."""
    engine = engine or FakeEngine(*snapshots)
    kw.setdefault("now", Clock())
    connects = None if state in ("live", "stale", "gone") else engine
    app = CockpitApp(None if connects else engine, theme=theme, where="me@gpu-box", **kw)
    if history and snapshots:
        for at, values in wave(snapshots[0]):
            app.view.history.add(at, values)
    if state in ("stale", "gone", "error"):
        app.start_polling = lambda: None  # type: ignore[method-assign]
        app.view.snapshot, app.view.link = (snapshots[0] if snapshots else None), state  # type: ignore[assignment]
        app.view.task, app.view.age_s = "topic", 7
        app.view.trouble = Trouble(
            "The engine could not be started",
            "port 8017 is in use by another program (pid 4242)",
            "q quits; arbiter doctor says what is missing.",
        )
    return app
