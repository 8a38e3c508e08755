"""The internal benchmark: each suite's questions to each version, graded by their verifiers.

Owns: benchmark operations: their order, progress, estimate, cancellation, and resumption. Never: the suites' content,
what a grade means for who serves.

It yields to clients: a question waits while a client's request is waiting for a model. What was answered is remembered
per question in the store, so that a benchmark that was cancelled or interrupted goes on where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ..core.cost import Failure, Outcome
from ..core.prompts import fingerprint, suite_request
from ..core.registry import Lifecycle, ModelVersion
from ..core.snapshot import OperationView
from ..core.tasks import Task
from ..core.verify import SuiteItem, verify
from ..core.words import plural, span
from ..errors import ArbiterError, Refused, UnknownName
from ..provider import Done, Message, Request, Text
from .answer import failure_of
from .leasing import unwaited
from .live import Live
from .matrix import Part
from .metering import Meter
from .pool import Pool
from .recorder import Recorder

SAVE_EVERY = 8
YIELD_S = 0.05
YIELD_AT_MOST_S = 5.0
KEPT_OPERATIONS = 20


def request_of(task: Task, item: SuiteItem) -> Request:
    """One question of a suite as a Request, greedy, with the task's worked examples before it."""
    fields = suite_request(task, item.prompt)
    turns = tuple(Message(role, content) for role, content in fields.pop("messages"))
    schema = item.verifier.get("schema") if item.verifier.get("constrain") else None
    return Request(messages=turns, json_schema=schema, **fields)


def _name_of(request: Request) -> str:
    """By which other answers to the same question are found."""
    return fingerprint(part for message in request.messages for part in (message.role, message.content))


@dataclass(frozen=True, slots=True)
class Work:
    task: Task
    version: ModelVersion
    items: tuple[SuiteItem, ...]  # what is still to be asked
    key: str  # of the note that remembers what was asked


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


class Asker:
    """Asks one known question and grades the answer: for the benchmark and for sentinels."""

    def __init__(self, live: Live, pool: Pool) -> None:
        self._live = live
        self._pool = pool

    async def ask(self, task: Task, version: ModelVersion, item: SuiteItem, source: str) -> Outcome:
        """``source``: suite, sentinel, shadow. A failure of the model is an outcome, too; a client's fault of ours
        (context too small) says so."""

        def grade(text: str) -> float | None:
            return verify(item.verifier, text, item.reference)

        return await self.put(task, version, request_of(task, item), grade, source)

    async def put(
        self, task: Task, version: ModelVersion, request: Request, grade: Callable[[str], float | None], source: str
    ) -> Outcome:
        """Any question; ``grade``: what its answer is worth, None where that can't be told."""
        clock = self._live.clock
        began = clock.monotonic()
        base = Outcome(
            id=self._live.new_id(), task=task.name, version=version.version, at=clock.now(), success=False,
            source=source if source in ("sentinel", "shadow") else "bench",
        )  # fmt: skip
        unasked = source != "suite" and self._live.paid(version)  # what costs money is only asked when a person asks
        if unasked or self._live.forbids(task.name, version) is not None:  # a suite's questions are the task's, too
            return replace(base, failure=Failure.CLIENT_ERROR, latency_s=0.0)
        try:
            async with self._pool.lease(version, flow=unwaited(task.name)) as lease:
                waited = lease.queue_s + lease.load_s
                leased, first, text, done = clock.monotonic(), None, "", None
                meter, cpu_s = Meter(lease), None
                stream = lease.model.generate(request)
                try:
                    async for chunk in stream:
                        if isinstance(chunk, Done):
                            done, cpu_s = chunk, meter.cpu_s()
                        elif isinstance(chunk, Text):
                            first = first if first is not None else clock.monotonic() - leased
                            text += chunk.text
                finally:
                    await stream.aclose()
        except ArbiterError as error:
            return replace(base, failure=failure_of(error), latency_s=clock.monotonic() - began)
        if done is None:
            return replace(base, failure=Failure.PROVIDER_ERROR, latency_s=clock.monotonic() - began)
        view, quality = self._pool.view(version.version), grade(text)
        answered = replace(
            base,
            success=True,
            latency_s=clock.monotonic() - began,
            ttft_s=first,
            queue_s=waited,
            cpu_s=cpu_s,
            tokens_in=done.usage.tokens_in,
            tokens_out=done.usage.tokens_out,
            memory_bytes=view.resident_bytes if view else None,
            quality=quality,
            quality_source=None if quality is None else "suite" if source == "shadow" else source,
            item=None if quality is None else _name_of(request),
        )
        return self._live.charged(answered)


class Bench:
    def __init__(self, live: Live, pool: Pool, recorder: Recorder, asker: Asker) -> None:
        self._live = live
        self._pool = pool
        self._recorder = recorder
        self._asker = asker
        self._operations: dict[str, OperationView] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._parts: dict[str, list[Part]] = {}
        self.busy: Callable[[], bool] = lambda: False  # whether a client waits for a model now

    # ── orders ────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, tasks: Sequence[str] | None = None, versions: Sequence[str] | None = None) -> OperationView:
        """Begin; tasks without a suite are refused when named, else left out. Raises UnknownName, Refused."""
        chosen = [self._live.task(t) for t in tasks] if tasks else list(self._live.tasks.values())
        for task in chosen:
            if tasks and not self._live.suite(task):
                raise Refused(f"{task.name} has no suite: there is nothing to measure it with")
        models = [self._live.registry.get(v) for v in versions] if versions else self._live.registry.query(
            lifecycle=(Lifecycle.ACTIVE,)
        )  # fmt: skip
        work = [await self._work(t, m) for m in models for t in chosen if self._fits(t, m)]
        operation = OperationView(id=self._live.new_id(), kind="bench", message=self._title(work))
        self._put(operation)
        self._parts[operation.id] = [Part(operation.id, w.task.name, w.version.version, len(w.items)) for w in work]
        runner = asyncio.create_task(self._run(operation.id, work), name=f"bench-{operation.id}")
        self._tasks[operation.id] = runner
        runner.add_done_callback(lambda _: self._ended(operation.id))
        return self._operations[operation.id]

    def _ended(self, id: str) -> None:
        self._tasks.pop(id, None)
        self._parts.pop(id, None)

    def parts(self) -> list[Part]:
        """Every task and version of the benchmarks under way."""
        return [part for parts in self._parts.values() for part in parts]

    def running(self) -> OperationView | None:
        return next((op for op in self.list() if op.state == "running"), None)

    def list(self) -> list[OperationView]:
        """Newest first."""
        return list(reversed(self._operations.values()))

    def get(self, id: str) -> OperationView:
        found = self._operations.get(id)
        if found is None:
            raise UnknownName("operation", id, self._operations)
        return found

    async def cancel(self, id: str) -> OperationView:
        """Returns when it has stopped; what was measured stays. Idempotent."""
        self.get(id)
        task = self._tasks.get(id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return self.get(id)

    async def stop(self) -> None:
        for id in list(self._tasks):
            await self.cancel(id)

    # ── one run ───────────────────────────────────────────────────────────────────────────────────────────────

    def _fits(self, task: Task, version: ModelVersion) -> bool:
        capable = task.criteria.capabilities <= version.capabilities
        return bool(self._live.suite(task)) and capable and self._live.forbids(task.name, version) is None

    async def _work(self, task: Task, version: ModelVersion) -> Work:
        """What was asked before is left out; when all of it was, everything is asked again."""
        key = f"bench/{task.name}/{version.version}"
        items, known = self._live.suite(task), set(await self._live.store.note(key) or ())
        left = tuple(i for i in items if i.id not in known)
        if left:
            return Work(task, version, left, key)
        await self._live.store.save_note(key, [])
        return Work(task, version, tuple(items), key)

    def _title(self, work: Sequence[Work]) -> str:
        tasks, models = {w.task.name for w in work}, {w.version.version for w in work}
        asked = sum(len(w.items) for w in work)
        return f"{_count(asked, 'question')}: {_count(len(tasks), 'task')}, {_count(len(models), 'model')}"

    async def _run(self, id: str, work: Sequence[Work]) -> None:
        began, total, done = self._live.clock.monotonic(), sum(len(w.items) for w in work) or 1, 0
        result: dict[str, Any] = {}
        try:
            for part, shown in zip(work, self._parts[id], strict=True):
                grades: list[float] = []
                async with aclosing(self._answers(part)) as outcomes:
                    async for outcome in outcomes:
                        done += 1
                        shown.asked += 1
                        if outcome.quality is not None:
                            grades.append(outcome.quality)
                        self._progress(id, part, done, total, began)
                shown.ended = True
                if grades:
                    mine = result.setdefault(part.task.name, {})
                    mine[part.version.version] = round(sum(grades) / len(grades), 4)
            self._finish(
                id, "done", result, f"{plural(done, 'question')} in {span(self._live.clock.monotonic() - began)}"
            )
        except asyncio.CancelledError:
            self._finish(id, "cancelled", result, f"cancelled after {done} of {total}; the next one goes on there")
        except (ArbiterError, ValueError) as error:
            self._finish(id, "failed", result, str(error))

    async def _answers(self, part: Work) -> AsyncGenerator[Outcome, None]:
        asked: list[str] = list(await self._live.store.note(part.key) or ())
        try:
            for number, item in enumerate(part.items, start=1):
                await self._yield()
                outcome = await self._asker.ask(part.task, part.version, item, "suite")
                self._recorder.append(outcome)
                asked.append(item.id)
                if number % SAVE_EVERY == 0:
                    await self._remember(part.key, asked)
                yield outcome
        finally:
            await self._remember(part.key, asked)

    async def _remember(self, key: str, asked: Sequence[str]) -> None:
        """The outcomes first: a question counts as asked only when its outcome is committed."""
        await self._recorder.flush()
        await self._live.store.save_note(key, list(asked))

    async def _yield(self) -> None:
        """Clients come first, but a benchmark is not starved by them."""
        waited = 0.0
        while self.busy() and waited < YIELD_AT_MOST_S:
            await self._live.clock.sleep(YIELD_S)
            waited += YIELD_S

    # ── progress ──────────────────────────────────────────────────────────────────────────────────────────────

    def _progress(self, id: str, part: Work, done: int, total: int, began: float) -> None:
        spent = self._live.clock.monotonic() - began
        self._put(
            replace(
                self._operations[id],
                progress=round(done / total, 3),
                eta_s=round(spent / done * (total - done)),
                message=f"{part.version.version} on {part.task.name}: {done} of {total}",
            )
        )

    def _finish(self, id: str, state: str, result: dict[str, Any], message: str) -> None:
        known = self._operations[id]
        progress = 1.0 if state == "done" else known.progress
        self._put(replace(known, state=state, progress=progress, eta_s=None, result=result, message=message))
        self._live.event("bench", f"benchmark {state}: {message}", operation=id)

    def _put(self, operation: OperationView) -> None:
        self._operations[operation.id] = operation
        while len(self._operations) > KEPT_OPERATIONS:
            oldest = next(iter(self._operations))
            if oldest in self._tasks:
                break
            del self._operations[oldest]
        self._live.on_dirty()
