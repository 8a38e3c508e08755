"""Hot swap: carries out, effect by effect, what core/swapping.py says.

Owns: running swaps, who waits behind them, and the switch itself. Never: decides whether to swap (an operator or the
autopilot does), which step follows (core/swapping.py does).

One order for every swap: the intent is committed; the new version is loaded and answers a real probe; the route table
is replaced in ONE assignment and committed with the swap's event; requests that the old version still serves end there;
the old version stays loaded as long as memory allows. Where both don't fit, new requests of the task wait (they are
accepted, not refused) until the switch or, after a failure, until the old version is back.

Swaps of one task run one after the other: one runs, one may wait, the next gets SwapInProgress.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.compatibility import Compatibility
from ..core.registry import ModelVersion
from ..core.routing import Route
from ..core.snapshot import SwapView, Why
from ..core.swapping import SwapEffect, SwapEvent, SwapEventKind, SwapPhase, start, step
from ..core.words import change
from ..errors import ArbiterError, ContextOverflow, NothingToRollBack, Refused, SwapInProgress, UnknownName
from .decisions import Decisions
from .evidence import Evidence
from .examples import posed
from .live import OFFLINE, Live
from .pool import PROBE, Pool
from .swap_checks import SwapChecks
from .swap_jobs import BEFORE_SWITCH, CANCELLABLE, Job, Lane

DRAIN_WITHIN_S = 60.0
OPERATORS = frozenset({"manual", "rollback"})


class Swapper:
    def __init__(self, live: Live, pool: Pool, evidence: Evidence, decisions: Decisions) -> None:
        self._live = live
        self._pool = pool
        self._evidence = evidence
        self._checks = SwapChecks(live, pool, evidence)
        self._decisions = decisions
        self._lanes: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[SwapView]] = set()
        self._jobs: dict[str, Job] = {}  # by the swap's id, while it runs
        self.held: dict[str, asyncio.Event] = {}  # task -> set when its requests may go on
        self.last_at: dict[str, float] = {}  # task -> unix seconds of its newest finished swap
        self._effects: Mapping[SwapEffect, Callable[[Job], Coroutine[Any, Any, SwapEvent]]] = {
            SwapEffect.RECORD: self._record,
            SwapEffect.WARM: self._warm,
            SwapEffect.PROBE: self._probe,
            SwapEffect.TRANSFER: self._transfer,
            SwapEffect.SWITCH: self._switch,
            SwapEffect.DRAIN: self._drain,
            SwapEffect.RESTORE: self._restore,
        }

    def running(self, task: str) -> str | None:
        """The id of the task's running swap."""
        lane = self._lanes.get(task)
        return lane.running if lane else None

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
        """Raises UnknownName, Refused (lifecycle), Incompatible, SwapInProgress. A failed swap is returned as such."""
        self._live.task(task)
        self._live.registry.get(to)
        view = SwapView(
            id=self._live.new_id(), task=task, to=to, trigger=trigger, reason=reason, why=tuple(why),
            started_at=self._live.clock.now(), evidence=dict(evidence or {}),
        )  # fmt: skip
        if dry_run:
            return self._foresee(view, strict)
        return await self._in_turn(view, lambda: self._start(view, to, strict=strict))

    async def cancel(self, id: str, reason: str = "cancelled by the operator") -> SwapView:
        """Before its switch a swap can be taken back: it ends as failed, the old version serves on. Raises UnknownName,
        Refused (it is over, or switched)."""
        job = self._jobs.get(id)
        if job is None:
            known = [s for s in self._live.swaps if s.id == id]
            if not known:
                raise UnknownName("swap", id, self._jobs)
            raise Refused(f"the swap {id} is over: {known[0].result}; `arbiter rollback {known[0].task}` takes it back")
        if job.state.phase not in BEFORE_SWITCH:
            raise Refused(f"the swap {id} is at {job.state.phase}: roll it back when it is done")
        job.cancel(reason)
        await job.over.wait()
        return job.view

    async def rollback(self, task: str, *, trigger: str = "rollback", reason: str = "", **more: Any) -> SwapView:
        """The previous version serves again. Raises NothingToRollBack when there is none (also the second time)."""
        self._live.task(task)
        view = SwapView(
            id=self._live.new_id(), task=task, trigger=trigger, reason=reason, started_at=self._live.clock.now(), **more
        )
        return await self._in_turn(view, lambda: self._start_back(view))

    async def settle(self) -> None:
        """Ends what still runs (the engine is stopping); the recorded intents are undone at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def recover(self, intents: Sequence[SwapView]) -> None:
        """After a restart: an intent whose route was switched is done, any other is undone. Cooldowns go on."""
        for swap in self._live.swaps:
            if swap.result in ("done", "rolled_back"):
                self.last_at.setdefault(swap.task, swap.started_at + (swap.duration_s or 0.0))
        self._evidence.restore_owed(await self._live.store.note("owed") or {})
        for intent in intents:
            serving = self._live.find(self._live.routes.get(intent.task).incumbent)
            switched = serving is not None and serving.version == intent.to
            view = replace(
                intent,
                result="done" if switched else "failed",
                error=None if switched else "undone at restart: the engine ended before the switch",
            )
            await self._live.store.save_swap(view)
            self._live.put_swap(view)
            self._live.event("swap", f"{view.task}: swap to {view.to} {view.result} at restart", swap=view.id)

    # ── one after the other ───────────────────────────────────────────────────────────────────────────────────

    async def _in_turn(self, view: SwapView, begin: Callable[[], Job | SwapView]) -> SwapView:
        """A client that leaves doesn't stop a swap: it runs as a task of its own."""
        lane = self._lanes.setdefault(view.task, Lane())
        if lane.running is not None and lane.waiting is not None:
            raise SwapInProgress(
                f"{view.task} is being swapped ({lane.running}) and one more waits",
                details={"id": lane.running, "waiting": lane.waiting, "task": view.task},
            )
        if lane.running is None:
            lane.running = view.id
        else:
            lane.waiting = view.id
        task = asyncio.create_task(self._turn(lane, view, begin), name=f"swap-{view.task}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _turn(self, lane: Lane, view: SwapView, begin: Callable[[], Job | SwapView]) -> SwapView:
        try:
            async with lane.lock:
                if lane.waiting == view.id:
                    lane.waiting = None
                lane.running = view.id
                job = begin()
                return job if isinstance(job, SwapView) else await self._drive(job)
        finally:
            if lane.waiting == view.id:
                lane.waiting = None
            if lane.running == view.id:
                lane.running = lane.waiting

    # ── before ────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, view: SwapView, to: str, *, strict: bool) -> Job | SwapView:
        live, route = self._live, self._live.routes.get(view.task)
        new, old = self._checks.active(live.registry.get(to)), live.find(route.incumbent)
        view = replace(view, from_=old.version if old else None, to=new.version)
        if old is not None and old.version == new.version and route.incumbent == to:
            return replace(view, result="done", reason=f"{new.version} already serves {view.task}", duration_s=0.0)
        verdict = self._checks.judge(view.task, old, new, strict)
        hold = live.clock.now() + live.config.autopilot.hold_s if view.trigger in OPERATORS else 0.0
        return self._job(view, to, old, new, verdict, back=False, hold=hold)

    def _start_back(self, view: SwapView) -> Job:
        live, route = self._live, self._live.routes.get(view.task)
        previous = live.find(route.previous)
        if route.previous is None or previous is None:
            raise NothingToRollBack(f"{view.task} has no previous version to roll back to")
        old = live.find(route.incumbent)
        view = replace(view, from_=old.version if old else None, to=previous.version)
        undone = self._undone_by(view)
        what = f"undoes {undone.id}" if undone else "the previous version serves again"
        view = replace(
            view,
            reason=view.reason or f"by the operator; {what}",
            evidence={**view.evidence, **({"undoes": undone.id} if undone else {})},
        )
        hold = live.clock.now() + live.config.autopilot.hold_s if view.trigger in OPERATORS else 0.0
        return self._job(view, route.previous, old, previous, None, back=True, hold=hold)

    def _job(
        self, view: SwapView, name: str, old: ModelVersion | None, new: ModelVersion,
        verdict: Compatibility | None, *, back: bool, hold: float,
    ) -> Job:  # fmt: skip
        warnings = tuple(verdict.warnings) if verdict else ()
        evidence = {**view.evidence, "warnings": list(warnings), **self._checks.figures(view.task, old, new)}
        if self._live.state == OFFLINE:
            evidence["offline"] = True  # the route is stored; nothing is loaded, probed or drained
        state, _ = start(self._live.clock.monotonic())
        return Job(
            view=replace(view, evidence=evidence), name=name, old=old, new=new, back=back, state=state,
            hold_until=hold, warnings=warnings,
        )  # fmt: skip

    def _foresee(self, view: SwapView, strict: bool) -> SwapView:
        found = self._start(view, view.to, strict=strict)
        if isinstance(found, SwapView):
            return replace(found, evidence={**found.evidence, "dry_run": True})
        exclusive = self._checks.exclusive(found.old, found.new)
        way = "held while one replaces the other" if exclusive else "served without a pause"
        return replace(
            found.view,
            result="done",
            duration_s=0.0,
            reason=f"dry run: {found.new.version} would replace {found.view.from_ or 'nothing'}; requests are {way}",
            evidence={
                **found.view.evidence,
                "dry_run": True,
                "exclusive": exclusive,
                "evict": list(self._pool.would_evict(found.new)),
                **self._checks.foreseen(found.view.task, found.old, found.new),
            },
        )

    # ── the way ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _drive(self, job: Job) -> SwapView:
        clock = self._live.clock
        told = SwapEvent(kind=SwapEventKind.VALIDATED, exclusive=self._checks.exclusive(job.old, job.new))
        self._jobs[job.view.id] = job
        try:
            while True:
                job.state, effects = step(job.state, told, clock.monotonic())
                self._show(job)
                if not effects or effects[0] is SwapEffect.CLOSE:
                    break
                told = await self._carry_out(effects[0], job)
        finally:
            self._let_go(job)
            del self._jobs[job.view.id]
        try:
            return await self._close(job)
        finally:
            job.over.set()

    async def _carry_out(self, effect: SwapEffect, job: Job) -> SwapEvent:
        if job.cancelled and job.state.phase in CANCELLABLE:
            return SwapEvent(kind=SwapEventKind.FAULT, error=job.cancelled)
        try:
            return await job.run(self._effects[effect](job))
        except (ArbiterError, TimeoutError) as error:
            return SwapEvent(kind=SwapEventKind.FAULT, error=str(error) or type(error).__name__)

    async def _record(self, job: Job) -> SwapEvent:
        await self._live.store.save_swap(job.view)
        self._live.event("swap", f"{job.view.task}: {change(job.view.from_, job.view.to)}", swap=job.view.id)
        return SwapEvent(kind=SwapEventKind.RECORDED)

    async def _warm(self, job: Job) -> SwapEvent:
        if self._live.state == OFFLINE:
            return SwapEvent(kind=SwapEventKind.WARMED)
        if job.state.exclusive:
            job.gate = self.held[job.view.task] = asyncio.Event()
        await self._pool.ensure(job.new)
        return SwapEvent(kind=SwapEventKind.WARMED)

    async def _probe(self, job: Job) -> SwapEvent:
        if self._live.state == OFFLINE:
            return SwapEvent(kind=SwapEventKind.PROBED)
        job.probe_s = max(await asyncio.gather(*(self._probe_once(job) for _ in range(self._abreast(job)))))
        return SwapEvent(kind=SwapEventKind.PROBED)

    def _abreast(self, job: Job) -> int:
        """As many probes as requests are under way now, so that each finds the task's worked examples read already.

        Without them the first answers after the switch take as long as reading the examples does. One is enough where
        requests are held meanwhile.
        """
        old = None if job.old is None or job.state.exclusive else self._pool.view(job.old.version)
        return max(1, min(job.new.parallel, old.in_flight if old else 1))

    async def _probe_once(self, job: Job) -> float:
        try:
            return await self._pool.probe(job.new, posed(self._live.tasks.get(job.view.task), PROBE))
        except ContextOverflow:  # requests will be asked without the examples, too
            return await self._pool.probe(job.new)

    async def _transfer(self, job: Job) -> SwapEvent:
        """What the task has learnt is committed before another version serves it; it names no model, so it stays."""
        await self._live.store.save_profiles([self._evidence.profile(job.view.task)])
        return SwapEvent(kind=SwapEventKind.TRANSFERRED)

    async def _switch(self, job: Job) -> SwapEvent:
        live, before = self._live, self._live.routes.get(job.view.task)
        live.put_route(self._route(before, job))
        self._let_go(job)
        try:
            await live.store.save_route(live.routes.get(job.view.task), job.view)
        except ArbiterError:
            live.put_route(before)  # what is not committed must not serve after the next start either
            raise
        self._decisions.current[job.view.task] = job.view.id
        return SwapEvent(kind=SwapEventKind.SWITCHED)

    def _route(self, before: Route, job: Job) -> Route:
        routes, now = self._live.routes, self._live.clock.now()
        back = routes.back(job.view.task, now=now, hold_until=job.hold_until) if job.back else None
        if back is not None:
            return back.get(job.view.task)
        if job.old is not None and job.old.version == job.new.version:
            return replace(before, incumbent=job.name, hold_until=max(before.hold_until, job.hold_until))
        return routes.switch(job.view.task, job.name, now=now, hold_until=job.hold_until).get(job.view.task)

    async def _drain(self, job: Job) -> SwapEvent:
        if job.old is not None and job.old.version != job.new.version:
            async with asyncio.timeout(DRAIN_WITHIN_S):
                await self._pool.drained(job.old.version)
        return SwapEvent(kind=SwapEventKind.DRAINED)

    async def _restore(self, job: Job) -> SwapEvent:
        if job.old is not None:
            await self._pool.ensure(job.old)
        return SwapEvent(kind=SwapEventKind.RESTORED)

    def _let_go(self, job: Job) -> None:
        """Requests that were held go on, wherever the route points now."""
        if job.gate is not None:
            job.gate.set()
            with contextlib.suppress(KeyError):
                del self.held[job.view.task]
            job.gate = None

    def _show(self, job: Job) -> None:
        state = job.state
        result = {SwapPhase.DONE: "done", SwapPhase.FAILED: "failed"}.get(state.phase, "running")
        job.view = replace(
            job.view,
            result=result,
            phases=() if self._live.state == OFFLINE else state.phases,
            error=state.error if result == "failed" else None,
            duration_s=self._live.clock.monotonic() - state.began if state.over else None,
        )
        self._live.put_swap(job.view)

    async def _close(self, job: Job) -> SwapView:
        live, view = self._live, job.view
        if view.result == "done":
            job.view = view = replace(view, evidence={**view.evidence, "probe_s": job.probe_s, "note": job.state.error})
            self._after_switch(job)
            await self._mark_rolled_back(job)
        live.put_swap(view)
        if view.result == "failed":
            live.alert("error", f"{view.task}: swap to {view.to} failed: {view.error}", task=view.task, version=view.to)
        await live.store.save_swap(view)
        self._decisions.of_swap(view)
        live.event("swap", f"{view.task}: {change(view.from_, view.to)}, {view.result.replace('_', ' ')}", swap=view.id)
        return view

    def _after_switch(self, job: Job) -> None:
        self.last_at[job.view.task] = self._live.clock.now()
        self._evidence.forgive(job.view.task, job.new.version)

    async def _mark_rolled_back(self, job: Job) -> None:
        """The version that goes needs new evidence to return, and the swap that brought it says what became of it."""
        if not job.back or job.old is None:
            return
        self._evidence.bar(job.view.task, job.old.version)
        await self._live.store.save_note("owed", self._evidence.all_owed())
        undone = self._undone_by(job.view)
        if undone is not None:
            by = replace(undone, result="rolled_back", evidence={**undone.evidence, "undone_by": job.view.id})
            self._live.put_swap(by)
            await self._live.store.save_swap(by)

    def _undone_by(self, back: SwapView) -> SwapView | None:
        """The swap that brought what the rollback takes away."""
        return next(
            (s for s in self._live.swaps if s.task == back.task and s.to == back.from_ and s.result == "done"), None
        )
