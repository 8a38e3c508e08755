"""Carries out what a key asked of the engine. Owns: the call, its refusal in words, and the wait for a snapshot that
proves it. Never: dialogs, drawing.

A command is announced at once and called done only when a snapshot shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..core.snapshot import Snapshot
from ..errors import ArbiterError, EngineUnreachable
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

    def swap(self, task: str, to: str) -> None:
        self.run(f"{task}: swapping to {to}", lambda e: e.swap(task, to), self._serves(task, to, "r undoes it"))

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
