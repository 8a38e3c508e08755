"""Long work that a client may wait for, leave, look at and cancel: loads, unloads, swaps.

Owns: the tasks behind 202 answers and their views. Never: what the work does. The engine's own long work (benchmarks)
is listed beside it, under the same paths.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from ..core.snapshot import OperationView
from ..engine.arbiter import Arbiter
from ..errors import ArbiterError, Draining, Refused, UnknownName
from .problems import internal, problem

KEPT = 200
Progress = Callable[[], tuple[float | None, float | None]]  # progress 0..1, seconds left


@dataclass(slots=True)
class _Job:
    view: OperationView
    task: asyncio.Task[Mapping[str, Any]]
    progress: Progress
    on_cancel: Callable[[], None]


class Operations:
    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._jobs: dict[str, _Job] = {}

    def start(
        self, kind: str, message: str, work: Coroutine[Any, Any, Mapping[str, Any]], *,
        progress: Progress = lambda: (None, None), on_cancel: Callable[[], None] = lambda: None,
    ) -> str:  # fmt: skip
        """Run ``work`` as a task of its own: a client that leaves doesn't stop it. The id."""
        id = f"op-{uuid4().hex[:16]}"
        view = OperationView(id=id, kind=kind, message=message)
        task = asyncio.create_task(self._run(id, work), name=f"{kind} {id}")
        task.add_done_callback(_retrieve)
        self._jobs[id] = _Job(view, task, progress, on_cancel)
        self._forget()
        return id

    async def _run(self, id: str, work: Coroutine[Any, Any, Mapping[str, Any]]) -> Mapping[str, Any]:
        try:
            result = await work
        except asyncio.CancelledError:
            self._end(id, state="cancelled", message="cancelled")
            raise
        except ArbiterError as error:
            self._end(id, state="failed", message=str(error), result=problem(error))
            raise
        except Exception as error:
            self._end(id, state="failed", message=str(internal(error)))
            raise
        self._end(id, state="done", progress=1.0, result=dict(result))
        return result

    def _end(self, id: str, **changes: Any) -> None:
        job = self._jobs[id]
        job.view = replace(job.view, eta_s=None, **changes)

    def _forget(self) -> None:
        ended = [id for id, job in self._jobs.items() if job.task.done()]
        for id in ended[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[id]

    async def outcome(self, id: str, wait_s: float) -> Mapping[str, Any] | None:
        """The result within ``wait_s`` seconds, None if it takes longer. Raises the work's own error."""
        task = self._jobs[id].task
        if wait_s > 0:
            await asyncio.wait({task}, timeout=wait_s)
        if not task.done():
            return None
        if task.cancelled():
            state = self._arbiter.live.state
            if state != "ready":
                raise Draining(f"the engine is {state}: the operation was ended, and what it had begun is undone")
            raise Refused("the operation was cancelled")
        return task.result()

    def get(self, id: str) -> OperationView:
        """Raises UnknownName."""
        job = self._jobs.get(id)
        if job is not None:
            return _now(job)
        try:
            return self._arbiter.operation(id)
        except UnknownName:
            raise UnknownName("operation", id, [o.id for o in self.list()]) from None

    def list(self) -> list[OperationView]:
        """Newest first: ours, then the engine's."""
        return [*(_now(job) for job in reversed(self._jobs.values())), *self._arbiter.operations()]

    async def cancel(self, id: str) -> OperationView:
        """Ask it to stop and return how it stands. Idempotent. Raises UnknownName."""
        job = self._jobs.get(id)
        if job is None:
            self.get(id)
            return await self._arbiter.cancel_operation(id)
        if not job.task.done():
            job.on_cancel()
            job.task.cancel()
            await asyncio.wait({job.task})
        return _now(job)


def _now(job: _Job) -> OperationView:
    if job.task.done():
        return job.view
    progress, eta_s = job.progress()
    return replace(job.view, progress=progress or 0.0, eta_s=eta_s)


def _retrieve(task: asyncio.Task[Mapping[str, Any]]) -> None:
    """Nobody may be waiting: the error is in the view, so asyncio need not complain that it was never read."""
    if not task.cancelled():
        task.exception()
