"""Blocks: a version on trial that doesn't fit into memory beside the one that serves answers in turns of its own.

Owns: which questions are due, when a block begins and ends, and who is brought back afterwards. Never: how often a load
may be (core/rollout.py), the verdict (core/trial.py), an eviction (the pool's).

In idle time the version that serves answers questions first, one after the other, for it is loaded anyway. When a block
of its answers is there and no client has asked for a while, the new version is loaded, answers the same questions, and
whoever was unloaded for it is loaded again. A client that waits for a model ends the block at once: what it waits for
is that model's load, as in any swap. What clients can be served beside the block, they are, and it waits meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

from ..core.cost import Outcome
from ..core.registry import ModelVersion
from ..core.rollout import Event, Kind, Stage
from ..core.tasks import Task
from ..errors import ArbiterError, LoadFailed, OutOfBudget
from .bench import YIELD_AT_MOST_S, YIELD_S, Asker
from .live import Live
from .pool import Pool
from .questions import Question, Questions
from .recorder import Recorder
from .trials import Running

QUIET_S = 5.0  # a load is dearer than a question: so long no client has asked before one begins
UNGRADED = 10  # prompts per rollout that tell of success and seconds only
ENDED = frozenset({Stage.PROMOTING, Stage.PROMOTED})
Stepped = Callable[[Running, Event], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Block:
    """The one under way. ``evicted``: who left memory for it."""

    running: Running
    evicted: tuple[str, ...]
    task: asyncio.Task[None] | None = None


class Blocks:
    def __init__(self, live: Live, pool: Pool, asker: Asker, recorder: Recorder, questions: Questions) -> None:
        self._live, self._pool, self._asker, self._recorder = live, pool, asker, recorder
        self._questions = questions
        self._block: Block | None = None
        self._bringing: asyncio.Task[None] | None = None
        self._stopped = False
        self.busy: Callable[[], bool] = lambda: False  # whether a client's request is running
        self.measuring: Callable[[], object] = lambda: None  # the benchmark that runs
        self.swapping: Callable[[str], object] = lambda task: None  # the task's swap under way

    # ── who is asked when ─────────────────────────────────────────────────────────────────────────────────────

    def may_prepare(self, running: Running) -> bool:
        """Whether the version that serves should answer one more question of the next block."""
        wanted = len(running.halves) < self._size and self._pool.is_ready(running.old)
        return running.state.next_block_at is not None and wanted and self._next(running) is not None

    async def prepare(self, running: Running) -> None:
        question = self._next(running)
        if question is None:
            return
        running.done.add(question.id)
        outcome = await self._put(running, running.old, question)
        if outcome.quality is not None:
            running.halves[question.id] = (outcome.quality, outcome.latency_s)
        running.changed = True

    def next_due(self, open_ones: list[Running]) -> Running | None:
        """Whose block may begin now; one at a time."""
        due = [r for r in open_ones if self._due(r)] if self._block is None and self._quiet() else []
        return min(due, key=lambda r: r.state.block_at or 0.0, default=None)

    def _due(self, running: Running) -> bool:
        at = running.state.next_block_at
        whole = len(running.halves) >= self._size or (bool(running.halves) and self._next(running) is None)
        return at is not None and self._live.clock.now() >= at and whole

    def _quiet(self) -> bool:
        last = self._live.last_request_at
        still = last is None or self._live.clock.monotonic() - last >= QUIET_S
        idle = self._live.spares() and not self.busy() and self.measuring() is None
        return still and idle and not (self._bringing is not None and not self._bringing.done())

    @property
    def _size(self) -> int:
        return self._live.config.rollout.block_questions

    def _next(self, running: Running) -> Question | None:
        task = self._live.task(running.task)
        return next((q for q in self._questions.graded(task) if q.id not in running.done), None)

    # ── one block ─────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, running: Running, step: Stepped) -> None:
        """Returns when it is over; whoever left memory for it is being loaded again then."""
        new = self._live.registry.get(running.new)
        block = self._block = Block(running, self._pool.would_evict(new))
        await step(running, Event(kind=Kind.BLOCK))
        running.in_block = True
        block.task = asyncio.create_task(self._run(running, new, step), name=f"block-{running.task}")
        try:
            await asyncio.wait({block.task})
            if not block.task.cancelled() and (error := block.task.exception()) is not None:
                raise error
        finally:
            block.task.cancel()
            running.in_block, running.changed, self._block = False, True, None
            self._live.dirty()
            self._bring_back(block)

    async def _run(self, running: Running, new: ModelVersion, step: Stepped) -> None:
        try:
            await self._pool.ensure(new)
            if not running.state.ready:
                await self._pool.probe(new)
                await step(running, Event(kind=Kind.READY))
        except (LoadFailed, OutOfBudget) as error:
            await step(running, Event(kind=Kind.FAULT, message=str(error)))
            return
        except ArbiterError:
            return  # the engine stops, or the pool is crowded: the next block tries again
        limit = self._live.clock.monotonic() + running.state.plan.load_every_s / 2
        for question in self._of_block(running):
            await self._yield()
            over = not running.state.open or running.state.paused or self._live.clock.monotonic() > limit
            if over or not self._pool.is_ready(running.new):
                return
            await self._pair(running, question, step)

    def _of_block(self, running: Running) -> list[Question]:
        """Those that the old version has answered, and a few of the clients' own that nobody can grade. What is no
        longer kept in memory is forgotten."""
        task = self._live.task(running.task)
        known = {q.id: q for q in self._questions.graded(task) if q.id in running.halves}
        running.halves = {id: half for id, half in running.halves.items() if id in known}
        fresh = (q for q in self._questions.ungraded(task) if q.id not in running.done)
        return [*known.values(), *islice(fresh, max(0, UNGRADED - running.ungraded))]

    async def _pair(self, running: Running, question: Question, step: Stepped) -> None:
        outcome = await self._put(running, running.new, question)
        if not outcome.counts:
            running.halves.pop(question.id, None)
            return
        limit_s = self._live.task(running.task).criteria.max_latency_s
        trial = running.state.trial.served(
            new=True, success=outcome.success, latency_s=outcome.latency_s, limit_s=limit_s
        )
        half = running.halves.pop(question.id, None)
        if half is None:
            running.done.add(question.id)
            running.ungraded += 1
        elif outcome.quality is not None:
            trial = trial.pair(half[0], outcome.quality, half[1], outcome.latency_s)
        await step(running, Event(kind=Kind.EVIDENCE, trial=trial))

    async def _put(self, running: Running, version: str, question: Question) -> Outcome:
        task: Task = self._live.task(running.task)
        outcome = await self._asker.put(
            task, self._live.registry.get(version), question.request, question.grade, "shadow"
        )
        self._recorder.append(outcome)
        return outcome

    async def _yield(self) -> None:
        """Clients who can be served beside it come first."""
        waited = 0.0
        while self.busy() and waited < YIELD_AT_MOST_S:
            await self._live.clock.sleep(YIELD_S)
            waited += YIELD_S

    # ── its end ───────────────────────────────────────────────────────────────────────────────────────────────

    def make_room(self, version: ModelVersion) -> None:
        """A client waits for ``version``: where it is not loaded, the block ends in this step."""
        if self._block is not None and not self._pool.is_ready(version.version):
            self._cancel(self._block)

    def end(self, running: Running) -> None:
        """It was paused, or is over."""
        if self._block is not None and self._block.running is running:
            self._cancel(self._block)

    def _cancel(self, block: Block) -> None:
        if block.task is not None and block.task is not asyncio.current_task():
            block.task.cancel()

    def _bring_back(self, block: Block) -> None:
        running = block.running
        if self._stopped or running.state.stage in ENDED or self.swapping(running.task) is not None:
            return  # what a swap needs in memory is the swap's affair
        wanted = [v for name in block.evicted if (v := self._live.find(name)) is not None]
        self._bringing = asyncio.create_task(self._load_again(wanted), name="block-over")

    async def _load_again(self, wanted: list[ModelVersion]) -> None:
        for version in wanted:
            with contextlib.suppress(ArbiterError):  # it will be loaded when somebody asks for it
                await self._pool.ensure(version)

    async def stop(self) -> None:
        self._stopped = True
        found = [self._block.task if self._block else None, self._bringing]
        running = [task for task in found if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
