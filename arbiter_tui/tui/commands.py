"""Carries out what a key asked of the engine. Owns: the call, its refusal in words, and the wait for a snapshot that
proves it. Never: dialogs, drawing.

A command is announced at once and called done only when a snapshot shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..core.snapshot import OperationView, RolloutView, Snapshot, SwapView
from ..errors import ArbiterError, EngineUnreachable
from . import format as fmt
from .source import Engine
from .state import Notice, model_of, task_of

Proof = Callable[[Snapshot], Notice | None]


@dataclass(slots=True)
class Pending:
    """What was asked and the snapshot that would prove it."""

    asked: str
    proof: Proof


class Commander:
    """One command's notice at a time; the newest wins."""

    def __init__(self, engine: Callable[[], Engine | None], say: Callable[[Notice | None], None]) -> None:
        self._engine, self._say = engine, say
        self._pending: Pending | None = None
        self._running: set[asyncio.Task[None]] = set()

    def run(self, asked: str, call: Callable[[Engine], Awaitable[Any]], proof: Proof) -> None:
        """Announce, call, and wait for the proof."""
        engine = self._engine()
        if engine is None:
            self._say(Notice("✕ no engine to ask: the cockpit is still connecting", "fail"))
            return
        self._pending = Pending(asked, proof)
        self._say(Notice(f"◐ {asked} …"))
        task = asyncio.create_task(self._call(asked, call(engine)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _call(self, asked: str, answer: Awaitable[Any]) -> None:
        try:
            await answer
        except EngineUnreachable as error:
            self._failed(asked, f"{error}")
        except ArbiterError as error:
            self._failed(asked, str(error))
        except (OSError, TimeoutError) as error:
            self._failed(asked, f"the engine does not answer ({error or type(error).__name__})")

    def _failed(self, asked: str, why: str) -> None:
        self._pending = None
        self._say(Notice(f"✕ {asked}: {why}", "fail"))

    def arrived(self, snapshot: Snapshot) -> None:
        """A snapshot may prove what is pending."""
        if self._pending is None:
            return
        notice = self._pending.proof(snapshot)
        if notice is not None:
            self._pending = None
            self._say(notice)

    def close(self) -> None:
        for task in self._running:
            task.cancel()

    # the commands ------------------------------------------------------------------------------------------------
    def warm(self, version: str) -> None:
        def proof(s: Snapshot) -> Notice | None:
            model = model_of(s, version)
            if model is None or model.state not in ("ready", "failed"):
                return None
            return (
                Notice(f"✓ {version} is warm", "ok")
                if model.state == "ready"
                else Notice(f"✕ {version}: {model.error or 'loading failed'}", "fail")
            )

        self.run(f"warming {version}", lambda e: e.warm(version), proof)

    def unload(self, version: str) -> None:
        def proof(s: Snapshot) -> Notice | None:
            model = model_of(s, version)
            return Notice(f"✓ {version} is unloaded", "ok") if model is None or model.state == "cold" else None

        self.run(f"unloading {version}", lambda e: e.unload(version), proof)

    def activate(self, version: str) -> None:
        self._life(f"activating {version}", version, "active", lambda e: e.activate(version))

    def deprecate(self, version: str) -> None:
        self._life(f"deprecating {version}", version, "deprecated", lambda e: e.deprecate(version))

    def _life(self, asked: str, version: str, stage: str, call: Callable[[Engine], Awaitable[Any]]) -> None:
        def proof(s: Snapshot) -> Notice | None:
            model = model_of(s, version)
            reached = model is not None and model.lifecycle == stage
            return Notice(f"✓ {version} is {stage}", "ok") if reached else None

        self.run(asked, call, proof)

    def pin(self, version: str, pinned: bool) -> None:
        def proof(s: Snapshot) -> Notice | None:
            model = model_of(s, version)
            done = "pinned: it is never evicted" if pinned else "no longer pinned"
            return Notice(f"✓ {version} is {done}", "ok") if model is not None and model.pinned is pinned else None

        self.run(f"{'pinning' if pinned else 'unpinning'} {version}", lambda e: e.pin(version, pinned), proof)

    def swap(self, task: str, to: str) -> None:
        self.run(f"{task}: swapping to {to}", lambda e: e.swap(task, to), self._serves(task, to, "r undoes it"))

    def cancel_swap(self, swap: SwapView) -> None:
        def proof(s: Snapshot) -> Notice | None:
            seen = next((x for x in s.swaps if x.id == swap.id), None)
            if seen is None or seen.result == "running":
                return None
            done = seen.result == "failed"
            return Notice(
                f"✓ taken back: {swap.from_ or 'nobody'} serves {swap.task}" if done
                else f"▲ too late: {swap.to} serves {swap.task} now; r rolls back", "ok" if done else "warn",
            )  # fmt: skip

        self.run(f"{swap.task}: taking the swap back", lambda e: e.cancel_swap(swap.id), proof)

    def canary(self, task: str, to: str) -> None:
        def proof(s: Snapshot) -> Notice | None:
            begun = any(r.task == task and r.to == to and r.ended_at is None for r in s.rollouts)
            return Notice(f"✓ {to} is on trial for {task}; c shows how it stands", "ok") if begun else None

        self.run(f"{task}: {to} on trial", lambda e: e.swap(task, to, canary=True), proof)

    def schedule(self, task: str, to: str, at: float) -> None:
        def proof(s: Snapshot) -> Notice | None:
            waits = any(o.kind == "appointment" and o.result.get("to") == to for o in s.operations)
            return Notice(f"✓ {task} will be swapped to {to}; s drops it again", "ok") if waits else None

        self.run(f"{task}: scheduling {to}", lambda e: e.swap(task, to, at=at), proof)

    def unschedule(self, waiting: OperationView) -> None:
        def proof(s: Snapshot) -> Notice | None:
            gone = not any(o.id == waiting.id and o.state == "waiting" for o in s.operations)
            return Notice(f"✓ dropped: {waiting.message}", "ok") if gone else None

        self.run("dropping the appointment", lambda e: e.cancel(waiting.id), proof)

    def rollout(self, rollout: RolloutView, order: str) -> None:
        words = {
            "pause": "paused", "resume": "going on", "abort": "taken back", "promote": "being promoted: it will serve",
        }  # fmt: skip

        def proof(s: Snapshot) -> Notice | None:
            seen = next((r for r in s.rollouts if r.id == rollout.id), None)
            shown = {
                "pause": seen is not None and seen.paused, "resume": seen is not None and not seen.paused,
                "abort": seen is None or seen.phase == "aborted",
                "promote": seen is None or seen.phase in ("promoting", "promoted"),
            }[order]  # fmt: skip
            return Notice(f"✓ {rollout.to} on {rollout.task} is {words[order]}", "ok") if shown else None

        self.run(f"{rollout.task}: {order} the rollout", lambda e: e.rollout(rollout.id, order), proof)

    def rollback(self, task: str, to: str) -> None:
        self.run(f"{task}: back to {to}", lambda e: e.rollback(task), self._serves(task, to, "s chooses another"))

    @staticmethod
    def _serves(task: str, to: str, hint: str) -> Proof:
        def proof(s: Snapshot) -> Notice | None:
            view = task_of(s, task)
            if view is not None and view.incumbent == to:
                return Notice(f"✓ {to} serves {task} now; {hint}", "ok")
            newest = next((x for x in s.swaps if x.task == task), None)
            if newest is not None and newest.to == to and newest.result == "failed":
                return Notice(f"✕ {task} stays as it was: {newest.error or newest.reason or 'the swap failed'}", "fail")
            return None

        return proof

    def autopilot(self, task: str, mode: str) -> None:
        def proof(s: Snapshot) -> Notice | None:
            view = task_of(s, task)
            return (
                Notice(f"✓ autopilot of {task}: {mode}", "ok") if view is not None and view.autopilot == mode else None
            )

        self.run(f"autopilot of {task}: {mode}", lambda e: e.autopilot(task, mode), proof)

    def veto(self, task: str, to: str) -> None:
        def proof(s: Snapshot) -> Notice | None:
            view = task_of(s, task)
            if view is None or view.next_incumbent == to or view.hold_until is None:
                return None
            until = fmt.clock(view.hold_until, s.taken_at)
            return Notice(f"✓ {to} does not take over {task}; it is held until {until}, s swaps it by hand", "ok")

        self.run(f"{task}: vetoing {to}", lambda e: e.veto(task), proof)

    def bench(self, tasks: list[str] | None, versions: list[str] | None = None) -> None:
        what = ", ".join(tasks) if tasks else "every task"
        if versions:
            what = f"{', '.join(versions)} on {what}"

        def proof(s: Snapshot) -> Notice | None:
            return (
                None
                if not any(o.state == "running" for o in s.operations)
                else Notice(f"✓ benchmark of {what} is running; B shows it, b cancels it", "ok")
            )

        self.run(f"benchmark of {what}", lambda e: e.bench(tasks, versions), proof)

    def cancel(self, op_id: str) -> None:
        def proof(s: Snapshot) -> Notice | None:
            running = any(o.id == op_id and o.state == "running" for o in s.operations)
            return None if running else Notice("✓ the benchmark is cancelled; what it has measured is kept", "ok")

        self.run("cancelling the benchmark", lambda e: e.cancel(op_id), proof)
