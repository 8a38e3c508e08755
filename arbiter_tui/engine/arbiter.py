"""The facade: everything that a door (gateway, daemon, library user) asks of the engine.

Owns: the composition of the engine's parts, their start and stop, and the way of a request. Never: HTTP, files,
policies (core has those), instances (the pool's), the switch (hot_swap.py's).

A request: name -> version (no await between reading the route and taking the lease) -> lease -> stream -> outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..config import Config
from ..core.cost import Outcome
from ..core.learning import TaskProfile
from ..core.registry import Lifecycle, ModelVersion, Registry
from ..core.routing import TASK_PREFIX, RouteTable
from ..core.selection import Selection
from ..core.snapshot import OperationView, Snapshot, SwapView, Why
from ..core.tasks import AutopilotMode, Task
from ..core.verify import SuiteItem
from ..errors import Refused
from ..ports import Clock, HardwareProbe, Store
from ..provider import Done, Provider, Request, Text
from .admission import Admission
from .answer import Answer, Result
from .autopilot import Autopilot
from .bench import Asker, Bench
from .breakers import Breakers
from .catalogue import Catalogue
from .criteria import criteria_with
from .decisions import Decisions
from .evidence import Evidence
from .exports import Exports
from .fallbacks import Fallbacks
from .feed import Feed
from .history import History
from .hot_swap import Swapper
from .imports import Imports
from .keyring import KeyRing
from .knowledge import Knowledge
from .life import Life, budget
from .live import Live
from .matrix import cells
from .pool import Pool
from .recorder import Recorder
from .reported import Reported
from .requests import NOTHING, Embedded, Requests
from .retire import Retirement
from .rollouts import Rollouts
from .rush import Rush
from .scaling import spans_of
from .schedule import Schedule
from .spending import Spending
from .surroundings import Surroundings
from .views import SHOWN_ROLLOUTS, Rate, build_snapshot


class Arbiter:
    """The engine. ``config.tasks`` are all its tasks; ``suites``: suite name -> its questions; ``state_dir``: to show;
    ``machine``: a fingerprint of the hardware, by which outcomes of an archive are known to have been measured here.

    The pool's budget, where the configuration names none, is half of the memory that is available at construction
    (2 GiB where that can't be read).
    """

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        providers: Mapping[str, Provider],
        probe: HardwareProbe,
        clock: Clock,
        new_id: Callable[[], str],
        suites: Mapping[str, Sequence[SuiteItem]],
        state_dir: str = "",
        machine: str = "",
    ) -> None:
        self.config = config
        self.store = store
        self.providers = providers
        self.clock = clock
        self.keyring = KeyRing(store, clock)
        self.live = live = Live(config, store=store, probe=probe, clock=clock, new_id=new_id, suites=suites)
        live.state_dir = state_dir
        self.surroundings = Surroundings(live)
        self.admission = Admission(live, providers)
        spans = spans_of(lambda: live.config, providers)
        self.spending = Spending(live, providers)
        self.evidence = Evidence(
            live, lambda v: providers[v.provider].predicted_bytes(v) if v.provider in providers else None,
            copies=lambda v: spans(v).low,
        )  # fmt: skip
        self.pool = Pool(
            providers, clock, budget_bytes=budget(config, probe), max_loaded=config.pool.max_loaded,
            idle_ttl_s=config.pool.idle_ttl_s, load_timeout_s=config.pool.load_timeout_s,
            queue_limit=config.pool.queue_limit, on_change=live.dirty, on_event=live.step,
            measured=lambda name: self.evidence.totals(name).memory_bytes,
            serving=lambda: live.serving() | self.rollouts.on_trial(), spans=spans,
        )  # fmt: skip
        self.pool.allowed = self.spending.check
        self.recorder = Recorder(store, clock, self.evidence.learn, on_trouble=lambda text: live.alert("error", text))
        self.decisions = Decisions(live)
        self.catalogue = Catalogue(live, self.pool, self.evidence, self.decisions, providers)
        self.swapper = Swapper(live, self.pool, self.evidence, self.decisions)
        asker = Asker(live, self.pool)
        self.bench = Bench(live, self.pool, self.recorder, asker)
        self.autopilot = Autopilot(live, self.pool, self.evidence, self.recorder, self.decisions, self.swapper, asker)
        self.rollouts = Rollouts(live, self.pool, self.evidence, self.decisions, self.swapper, asker, self.recorder)
        self.autopilot.narrator.trial = self.rollouts.sentence
        self.autopilot.narrator.spending = self.autopilot.budgets.sentence
        self.autopilot.narrator.saving = self.surroundings.why_not
        self.breakers = Breakers(live)
        self.fallbacks = Fallbacks(live, self.pool, self.evidence, self.recorder, self.rollouts, self.breakers)
        self.schedule = Schedule(live, self.swapper, self.rollouts)
        self.rush = Rush(live)
        self.retirement = Retirement(live, self.pool, self.catalogue)
        self._rate = Rate()
        self.asked = Requests(self, self._rate)
        self.feed = Feed(clock, self.snapshot)
        live.on_dirty = self.feed.mark_dirty
        self.autopilot.narrator.measuring = self.bench.running
        self.bench.busy = self.autopilot.busy = self.rollouts.busy = lambda: bool(self.asked.open)
        self.history = History(live, self.recorder)
        self.rollouts.blocks.busy, self.rollouts.blocks.measuring = self.rollouts.busy, self.bench.running
        self.rollouts.questions.kept = self.history.kept
        self._reported = Reported(live, self.recorder, self.evidence, self.rollouts)
        self._life = Life(self)
        self.knowledge = Knowledge(live, self.evidence, self.catalogue.kind, machine)
        self.rush.joined = self.knowledge.traffic
        self.autopilot.beliefs.absent = self.knowledge.absent
        self.exports = Exports(
            live, self.evidence, self.recorder, self.knowledge, self.catalogue.kind,
            rollouts=self.rollouts.views, traffic=lambda: self.rush.traffic,
        )  # fmt: skip
        self.imports = Imports(
            live, self.evidence, self.knowledge, self.catalogue, origin=self.exports.origin,
            check_task=self.admission.constitution.check_change, apply_task=self._life.apply_task,
        )  # fmt: skip

    # ── what it holds ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def registry(self) -> Registry:
        return self.live.registry

    @property
    def routes(self) -> RouteTable:
        return self.live.routes

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self.live.tasks

    @property
    def state(self) -> str:
        """starting, ready, draining."""
        return self.live.state

    @property
    def swaps(self) -> list[SwapView]:
        """Newest first, the running ones included."""
        return list(self.live.swaps)

    async def start(self, *, serving: bool = True) -> None:
        """Load the state, settle half-made swaps, register what is there, begin the loops. Raises StoreError.

        ``serving`` False opens the state only: nothing is loaded, a swap stores its route.
        """
        await self._life.start(serving=serving)

    async def stop(self, deadline_s: float = 10.0) -> None:
        """Refuse new work, drain, end the instances, flush the store. Idempotent. Seconds."""
        await self._life.stop(deadline_s)

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(
        self, name: str, request: Request, *, task: str | None = None, source: str = "request", examples: bool = False
    ) -> Answer:
        """``name``: version, alias, or ``arbiter/TASK``. Everything that can be refused is refused here.

        ``examples``: a version that is named is asked in the task's form, too, as it would be if it served the task.

        Raises Draining, UnknownName, NoQualifyingModel, Overloaded, LoadFailed, OutOfBudget and the like.
        """
        began, held_s = self.clock.monotonic(), 0.0
        while (
            answer := self.asked.prepare(name, request, task=task, source=source, examples=examples, began=began)
        ) is None:
            held_s += await self.asked.hold(name, task)
        answer.queue_s = held_s
        return answer if self.asked.open_at_once(answer) else await self.asked.wait(answer)

    async def execute(self, task: str, request: Request) -> Result:
        """One whole answer of ``task``. Raises what ``begin`` raises, and the provider's errors."""
        before = self.live.routes.get(task).incumbent
        answer = await self.begin(TASK_PREFIX + task, request, task=task)
        answer.whole = True
        pieces, finish = list[str](), "stop"
        try:
            async for chunk in answer:
                if isinstance(chunk, Text):
                    pieces.append(chunk.text)
                elif isinstance(chunk, Done):
                    finish = chunk.finish_reason
        finally:
            await answer.aclose()
        return Result(
            text="".join(pieces), task=task, version=answer.version.version, id=answer.id, usage=answer.usage,
            latency_s=answer.latency_s or 0.0, ttft_s=answer.ttft_s, finish_reason=finish,
            swapped=self.live.routes.get(task).incumbent != before,
            why=(f"{answer.version.version} serves {task}",),
        )  # fmt: skip

    async def embed(
        self, name: str, texts: Sequence[str], task: str | None = None, wait_s: float | None = None,
        extra: Mapping[str, Any] = NOTHING,
    ) -> tuple[Embedded, list[list[float]]]:  # fmt: skip
        """What made them, and one vector per text. Raises NotSupported, what ``begin`` raises, and Late."""
        return await self.asked.embed(name, texts, task, wait_s, extra)

    # ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────

    def select(self, task: str, **overrides: Any) -> Selection:
        """Who would serve, and why; changes nothing. ``overrides``: fields of Criteria. Raises NoQualifyingModel."""
        self.recorder.absorb()
        criteria = criteria_with(self.live.task(task).criteria, overrides)
        return self.evidence.select(task, criteria, memory_limit=self.pool.budget_bytes)

    async def swap(
        self,
        task: str,
        to: str,
        *,
        trigger: str = "manual",
        strict: bool = False,
        dry_run: bool = False,
        reason: str = "",
        why: Sequence[Why] = (),
        evidence: Mapping[str, Any] | None = None,
    ) -> SwapView:
        """Returns the finished swap; one that failed has ``result`` "failed". Errors: see Swapper.swap."""
        return await self.swapper.swap(
            task, to, trigger=trigger, strict=strict, dry_run=dry_run, reason=reason, why=why, evidence=evidence
        )

    async def rollback(self, task: str, *, trigger: str = "rollback") -> SwapView:
        return await self.swapper.rollback(task, trigger=trigger)

    async def set_autopilot(self, mode: str, task: str | None = None) -> None:
        """``task`` None: every task. Raises UnknownName, Refused."""
        if mode not in tuple(AutopilotMode):
            raise Refused(f"autopilot can be {', '.join(AutopilotMode)}, not {mode!r}")
        for name in [self.live.task(task).name] if task else list(self.live.tasks):
            await self.store.save_mode(name, mode)
            self.live.modes[name] = AutopilotMode(mode)
        self.live.event("autopilot", f"{task or 'all tasks'}: {mode}", task=task)

    async def put_task(self, patch: Mapping[str, Any]) -> Task:
        """Create or change a task; the keys of a [[tasks]] block. Raises ConfigError."""
        return await self._life.put_task(patch)

    async def explain(self, id: str) -> dict[str, Any]:
        """The record behind a swap, a decision or a request. Raises UnknownName."""
        await self.recorder.flush()
        return await self.decisions.explain(id)

    # ── models ────────────────────────────────────────────────────────────────────────────────────────────────

    async def warm(self, name: str) -> None:
        await self.pool.ensure(self.live.registry.get(name))

    async def unload(self, name: str) -> None:
        await self.pool.unload(self.live.registry.get(name).version)

    async def pin(self, name: str, pinned: bool = True) -> ModelVersion:
        return await self.catalogue.pin(name, pinned)

    async def activate(self, name: str) -> ModelVersion:
        return await self.catalogue.move(name, Lifecycle.ACTIVE)

    async def deprecate(self, name: str) -> ModelVersion:
        return await self.catalogue.move(name, Lifecycle.DEPRECATED)

    async def alias(self, alias: str, name: str) -> ModelVersion:
        return await self.catalogue.alias(alias, name)

    async def register(
        self, provider: str, source: str, *, name: str | None = None, labels: Sequence[str] = ()
    ) -> ModelVersion:
        return await self.catalogue.register(provider, source, name=name, labels=labels)

    async def discover(self, *, apply: bool = False) -> list[ModelVersion]:
        return await self.catalogue.discover(apply=apply)

    def log(self, name: str) -> list[str]:
        return self.pool.log(self.live.registry.get(name).version)

    # ── measuring ─────────────────────────────────────────────────────────────────────────────────────────────

    async def start_bench(
        self, tasks: Sequence[str] | None = None, versions: Sequence[str] | None = None
    ) -> OperationView:
        return await self.bench.start(tasks, versions)

    def operations(self) -> list[OperationView]:
        return [*self.schedule.shown(), *self.bench.list()]

    def operation(self, id: str) -> OperationView:
        return next((o for o in (*self.schedule.views(), *self.bench.list()) if o.id == id), None) or self.bench.get(id)

    async def cancel_operation(self, id: str) -> OperationView:
        return await (self.schedule if self.schedule.knows(id) else self.bench).cancel(id)

    async def feedback(self, request_id: str, score: float, comment: str = "") -> Outcome:
        """A user's grade (0..1) of an answer; committed when this returns. Raises UnknownName, Refused."""
        return await self._reported.feedback(request_id, score, comment)

    async def report(self, outcomes: Iterable[Outcome]) -> None:
        """Outcomes measured elsewhere; committed when this returns, idempotent by id. Raises UnknownName."""
        await self._reported.report(outcomes)

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self, task: str | None = None) -> Snapshot:
        """Now, with the revision that the feed gave out last. Wakes nothing."""
        self.recorder.absorb()
        built = build_snapshot(
            self.live, self.pool, self.evidence, rate=self._rate, operations=self.operations(), task=task
        )
        return replace(built, revision=self.feed.revision, rollouts=self.rollouts.views()[:SHOWN_ROLLOUTS])

    def statistics(self) -> dict[str, Any]:
        self.recorder.absorb()
        return self._life.statistics()

    def profile(self, task: str) -> TaskProfile:
        self.recorder.absorb()
        """What is known of it, what other state folders learnt included."""
        return self.knowledge.profile(self.live.task(task).name)

    def bench_cells(self) -> list[dict[str, Any]]:
        """What the internal benchmark knows of each task with a suite and each version, and what it asks now."""
        self.recorder.absorb()
        return cells(self.live, self.evidence, self.bench.parts())

    async def events(self, after: int = 0, wait_s: float = 0.0) -> list[dict[str, Any]]:
        return await self.live.events(after, wait_s)

    def requests(self, limit: int = 100) -> list[dict[str, Any]]:
        """Newest first: the fields of the outcome, and the decision behind it."""
        return self.live.newest_requests(limit)

    @property
    def in_flight(self) -> int:
        return len(self.asked.open)
