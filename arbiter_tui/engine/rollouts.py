"""Rollouts: a version on trial beside the one that serves, step by step, until it is promoted or taken back.

Owns: the open rollouts, who of the clients is assigned to one, when it is quiet enough to ask, their record in the
store. Never: the rules (core/rollout.py, core/trial.py), what is asked (pairs.py; blocks.py where only one version fits
into memory), the promotion itself (hot_swap.py).

A rollout survives a restart: its state is stored at every step and, while evidence comes in, every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..core.cost import Failure, Outcome
from ..core.registry import Lifecycle, ModelVersion
from ..core.rollout import CLOSED, Effect, Event, Kind, Stage, in_share, promoted_by, step
from ..core.snapshot import RolloutView
from ..core.trial import Trial
from ..errors import ArbiterError, Refused, UnknownName
from ..provider import Request
from .answer import Answer
from .bench import Asker
from .blocks import Blocks
from .decisions import Decisions
from .evidence import Evidence
from .hot_swap import Swapper
from .live import Live, Target
from .pairs import Pairs
from .pool import Pool
from .questions import Questions
from .recorder import Recorder
from .sentinels import QUIET_S
from .trial_checks import TrialChecks
from .trials import Running, key_of, pack, sentence, unpack, with_outcome

NOTE = "rollouts"
KEPT = 20  # that are over
STORE_EVERY_S = 5.0


class Rollouts:
    def __init__(
        self, live: Live, pool: Pool, evidence: Evidence, decisions: Decisions, swapper: Swapper, asker: Asker,
        recorder: Recorder,
    ) -> None:  # fmt: skip
        self._live, self._pool, self._evidence = live, pool, evidence
        self._decisions, self._swapper, self._recorder = decisions, swapper, recorder
        self._checks = TrialChecks(live, pool, evidence)
        self._open: dict[str, Running] = {}  # by task: one at a time
        self._over: list[Running] = []  # newest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None
        self._due = 0.0
        self._stored_at = 0.0
        self.questions = Questions(live)
        self._pairs = Pairs(live, pool, asker, recorder)
        self.blocks = Blocks(live, pool, asker, recorder, self.questions)
        self.blocks.swapping = swapper.running
        self.busy: Callable[[], bool] = lambda: False  # whether a client's request is running

    # ── orders ────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, task: str, to: str, *, strict: bool = False) -> RolloutView:
        """Raises UnknownName, Refused (lifecycle, one is under way, nothing to judge it by), Incompatible."""
        running = self._checks.begun(task, to, strict, under_way=self._open.get(task))
        self._open[task] = running
        try:
            await self._put_share(running)
            await self._store()
        except BaseException:
            del self._open[task]
            raise
        self._live.event("rollout", f"{task}: {running.new} on trial beside {running.old}", rollout=running.id)
        if not running.state.plan.blocks:
            self._spawn(self._load(running))
        return running.view()

    def foresee(self, task: str, to: str, *, strict: bool = False) -> RolloutView:
        """What ``start`` would begin, with the same refusals; changes nothing."""
        return self._checks.begun(task, to, strict, under_way=self._open.get(task)).view()

    async def pause(self, id: str) -> RolloutView:
        return await self._order(id, Kind.PAUSE)

    async def resume(self, id: str) -> RolloutView:
        return await self._order(id, Kind.RESUME)

    async def abort(self, id: str) -> RolloutView:
        return await self._order(id, Kind.ABORT)

    async def promote(self, id: str) -> RolloutView:
        """The swap itself goes on in the background."""
        return await self._order(id, Kind.PROMOTE)

    async def _order(self, id: str, kind: Kind) -> RolloutView:
        running = self._find(id)
        if running.state.stage in CLOSED:
            raise Refused(f"the rollout {id} is over: {running.state.stage}, {running.state.reason}")
        await self._step(running, Event(kind=kind))
        await self._store()
        return running.view()

    def _find(self, id: str) -> Running:
        for running in (*self._open.values(), *self._over):
            if running.id == id:
                return running
        raise UnknownName("rollout", id, [r.id for r in (*self._open.values(), *self._over)])

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────

    def version_for(self, target: Target, request: Request) -> ModelVersion | None:
        """The version on trial, for those who belong to it; synchronous, and never waits for a load."""
        running = self._open.get(target.task)
        if running is None or target.named or running.state.stage is not Stage.CANARY:
            return None
        if not in_share(key_of(request), running.salt, running.state.share) or not self._pool.is_ready(running.new):
            return None
        return self._live.find(running.new)

    def on_trial_now(self, version: ModelVersion, target: Target) -> bool:
        """Whether it answers because it is on trial: then who serves the task stands behind it."""
        running = self._open.get(target.task)
        return running is not None and not target.named and version.version == running.new

    def fell_back(self, answer: Answer, failure: Failure) -> None:
        """The version on trial failed before its first word and the client got the other one's answer."""
        failed = Outcome(
            id=self._live.new_id(), task=answer.task, version=answer.version.version, at=self._live.clock.now(),
            success=False, failure=failure, source="shadow",
        )  # fmt: skip
        self._recorder.append(failed)
        self.saw(failed)

    def saw(self, outcome: Outcome) -> None:
        """On the request's path: a few additions; what follows from them is done by ``look``."""
        running = self._open.get(outcome.task)
        if running is None or not outcome.counts or outcome.version not in (running.old, running.new):
            return
        limit_s = self._live.task(outcome.task).criteria.max_latency_s
        new = outcome.version == running.new
        running.saw(outcome.id)
        self._shown(running, with_outcome(running.state.trial, outcome, new=new, limit_s=limit_s))

    def graded(self, outcome: Outcome, score: float, source: str, before: float | None = None) -> None:
        """A grade that came after its request; ``before``: the one of the same source that it corrects."""
        running = self._open.get(outcome.task)
        if running is None or outcome.id not in running.seen:
            return
        trial, new = running.state.trial, outcome.version == running.new
        if before is not None:
            trial = trial.untold(before, source, new=new)
        self._shown(running, trial.told(score, source, new=new))

    def _shown(self, running: Running, trial: Trial) -> None:
        running.state = replace(running.state, trial=trial)
        running.changed = True

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def look(self) -> None:
        """About once a second: weigh what came in, climb where it is time, ask one pair of questions if it is quiet."""
        for running in list(self._open.values()):
            await self._look_at(running)
        self._ask_in_idle_time()
        if (due := self.blocks.next_due(list(self._open.values()))) is not None and not self._is_asking():
            self._asking = asyncio.create_task(self.blocks.begin(due, self._step), name="rollout-block")
        now = self._live.clock.monotonic()
        if now - self._stored_at >= STORE_EVERY_S and any(r.changed for r in self._open.values()):
            await self._store()

    async def _look_at(self, running: Running) -> None:
        route = self._live.routes.get(running.task)
        serving = self._live.find(route.incumbent)
        if running.state.open and serving is not None and serving.version == running.new:
            how = next((s.trigger for s in self._live.swaps if s.task == running.task), "")
            await self._step(running, promoted_by(how))  # an operator was quicker: it serves everybody
        elif running.state.open and (serving is None or serving.version != running.old):
            why = f"{running.task} is served by {serving.version if serving else 'nobody'} now"
            await self._step(running, Event(kind=Kind.ABORT, message=why))
        elif self._live.registry.get(running.new).lifecycle is not Lifecycle.ACTIVE:
            await self._step(running, Event(kind=Kind.ABORT, message=f"{running.new} is active no more"))
        elif (grown := self._checks.too_large(running)) is not None:
            await self._step(running, Event(kind=Kind.FAULT, message=grown))
        elif running.changed:
            await self._step(running, Event(kind=Kind.EVIDENCE, trial=running.state.trial))
        if running.state.open:
            await self._step(running, Event(kind=Kind.TICK))

    async def _step(self, running: Running, event: Event) -> None:
        before, now = running.state, self._live.clock.now()
        running.state, effects = step(before, event, now)
        after = running.state
        for effect in effects:
            await self._effect(running, effect)
        if effects:
            await self._decisions.of_step(running.view(), before, event, now, after, effects)
        if effects or running.state.paused != before.paused:
            self._live.event("rollout", self._sentence(running), task=running.task, rollout=running.id)
            await self._store()
        elif running.state != before:
            running.changed = True
        if not running.state.open or running.state.paused:
            self.blocks.end(running)
        self._live.dirty()

    async def _effect(self, running: Running, effect: Effect) -> None:
        match effect:
            case Effect.SHARE:
                await self._put_share(running)
            case Effect.PROMOTE:
                self._spawn(self._promote(running))
            case Effect.WITHDRAW:
                await self._take_back(running)
            case Effect.CLOSE:
                await self._close(running)

    def _sentence(self, running: Running) -> str:
        state = running.state
        doing = f"at {state.share:.0%}" if state.stage is Stage.CANARY else str(state.stage)
        return f"{running.task}: {running.new} {'paused ' if state.paused else ''}{doing}. {state.reason}".strip()

    # ── effects ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _put_share(self, running: Running) -> None:
        route = replace(self._live.routes.get(running.task), candidate=running.new, candidate_share=running.state.share)
        await self._live.store.save_route(route)
        self._live.put_route(route)

    async def _take_back(self, running: Running) -> None:
        """Those who were assigned to it are the old version's from the next request on."""
        route = self._live.routes.get(running.task)
        if route.candidate == running.new:
            cleared = replace(route, candidate=None, candidate_share=0.0)
            self._live.put_route(cleared)
            await self._live.store.save_route(cleared)

    async def _close(self, running: Running) -> None:
        running.ended_at = self._live.clock.now()
        self._open.pop(running.task, None)
        self._over = [running, *self._over][:KEPT]
        if running.state.stage is Stage.WITHDRAWN:
            self._evidence.bar(running.task, running.new)
            text = f"{running.task}: {running.new} was taken back: {running.state.reason}"
            self._live.alert("warning", text, task=running.task, version=running.new)

    async def _promote(self, running: Running) -> None:
        view = running.view()
        try:
            swap = await self._swapper.swap(
                running.task, running.name, trigger="rollout", reason=running.state.reason, why=view.why,
                evidence={"rollout": running.id, "pairs": view.pairs, "p_worse": view.p_worse},
            )  # fmt: skip
        except ArbiterError as error:
            await self._step(running, Event(kind=Kind.FAULT, message=f"its swap was refused: {error}"))
            return
        done = swap.result == "done"
        event = Event(kind=Kind.PROMOTED) if done else Event(kind=Kind.FAULT, message=swap.error or "its swap failed")
        await self._step(running, event)

    async def _load(self, running: Running) -> None:
        """It must answer a real probe before anybody is assigned to it."""
        try:
            await self._pool.ensure(self._live.registry.get(running.new))
            await self._pool.probe(self._live.registry.get(running.new))
        except ArbiterError as error:
            await self._step(running, Event(kind=Kind.FAULT, message=str(error)))
            return
        await self._step(running, Event(kind=Kind.READY))

    # ── questions ─────────────────────────────────────────────────────────────────────────────────────────────

    def _is_asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    def _ask_in_idle_time(self) -> None:
        rate, now = self._live.config.rollout.shadow_per_hour, self._live.clock.monotonic()
        last = self._live.last_request_at
        quiet = self._live.spares() and not self.busy() and (last is None or now - last >= QUIET_S)
        if rate <= 0 or now < self._due or not quiet or self._is_asking():
            return
        ready = [r for r in self._open.values() if self._may_ask(r)]
        if ready:
            self._due = now + 3600.0 / rate
            self._asking = asyncio.create_task(self._ask(min(ready, key=lambda r: r.asked)), name="rollout-pair")

    def _may_ask(self, running: Running) -> bool:
        return self.blocks.may_prepare(running) if running.state.plan.blocks else self._pairs.may(running)

    async def _ask(self, running: Running) -> None:
        if running.state.plan.blocks:
            await self.blocks.prepare(running)
        elif (trial := await self._pairs.ask(running)) != running.state.trial:
            self._shown(running, trial)

    # ── the store ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _store(self) -> None:
        self._stored_at = self._live.clock.monotonic()
        for running in self._open.values():
            running.changed = False
        known = [pack(r) for r in (*self._open.values(), *self._over)]
        await self._live.store.save_note(NOTE, {"at": self._live.clock.now(), "rollouts": known})

    async def restore(self) -> None:
        """After a restart: open rollouts go on where they were; the time in between counts for no step."""
        stored: Mapping[str, Any] = await self._live.store.note(NOTE) or {"at": 0.0, "rollouts": []}
        away_s = max(0.0, self._live.clock.now() - stored["at"])
        for one in stored["rollouts"]:
            try:
                running = unpack(one)
            except (KeyError, TypeError, ValueError) as error:
                self._live.alert("warning", f"a stored rollout can't be read ({error!r}); it is left out")
                continue
            if running.state.stage in CLOSED:
                self._over.append(running)
            elif self._live.find(running.new) is not None and running.task in self._live.tasks:
                self._go_on(running, away_s)

    def _go_on(self, running: Running, away_s: float) -> None:
        state = running.state
        stage = Stage.CANARY if state.stage is Stage.PROMOTING else state.stage
        running.state = replace(state, stage=stage, step_at=self._live.clock.now(), began=state.began + away_s)
        self._open[running.task] = running

    def resume_loads(self) -> None:
        """Once the engine serves: what was on trial is loaded again."""
        for running in self._open.values():
            if not running.state.plan.blocks:
                self._spawn(self._load(running))

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────

    def views(self) -> tuple[RolloutView, ...]:
        """The open ones, then those that are over, newest first."""
        return tuple(r.view() for r in (*self._open.values(), *self._over))

    def sentence(self) -> str | None:
        """For the narrator: the newest one under way, with its figures."""
        running = next(reversed(self._open.values()), None)
        if running is None:
            return None
        return sentence(running.view())

    def on_trial(self) -> set[str]:
        """Those that shall stay loaded; where both don't fit, only while it is its turn."""
        return {r.new for r in self._open.values() if r.in_block or not r.state.plan.blocks}

    def under_way(self, task: str) -> bool:
        return task in self._open

    async def stop(self) -> None:
        await self.blocks.stop()
        running = [*self._tasks, *([self._asking] if self._asking else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._open:
            await self._store()

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
