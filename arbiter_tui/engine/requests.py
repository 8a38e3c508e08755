"""The way of a client's request through the engine: from the name it asks for to the outcome that it leaves.

Owns: the requests that are open, the order of what is asked on their way, and who is told of their end. Never: HTTP,
an answer's stream (answer.py), any rule that is asked (each has its own file).

Name -> version -> lease without an await in between; where a lease is free at once there is none at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core.cost import Failure, Outcome
from ..core.registry import ModelVersion
from ..errors import ArbiterError, Draining
from ..provider import Request, vectors
from . import special
from .answer import Answer, failure_of
from .examples import posed as in_form
from .explore import Explorer
from .instance import Lease
from .leasing import LeaseContext, lending, patient
from .live import Served, Target
from .views import Rate

if TYPE_CHECKING:
    from .arbiter import Arbiter


NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class Embedded:
    """What made some vectors. ``overhead_s``: what the arbiter itself added; None: it had no lease."""

    id: str
    task: str
    version: ModelVersion
    decision_id: str
    overhead_s: float | None = None
    tokens: int | None = None  # that its runtime counted


class Requests:
    def __init__(self, engine: Arbiter, rate: Rate) -> None:
        self._engine, self._live, self._clock, self._rate = engine, engine.live, engine.clock, rate
        self._explorer = Explorer(engine.live, engine.pool, engine.evidence, engine.autopilot.beliefs)
        engine.autopilot.sentinels.promising = self._explorer.promising
        self.open: set[Answer] = set()

    def prepare(
        self, name: str, request: Request, *, task: str | None = None, source: str = "request", examples: bool = False,
        began: float | None = None,
    ) -> Answer | None:  # fmt: skip
        """The answer in the making, not open yet. None: a swap holds the requests of its task, ``hold`` waits for it.

        ``began``: when it came (monotonic); ``examples``: as ``Arbiter.begin``, which says what is raised, too.
        """
        engine, live = self._engine, self._live
        if live.state != "ready":
            raise Draining(f"the engine is {live.state}")
        target = engine.admission.resolve(name, task)
        if not target.named and target.task in engine.swapper.held:
            return None
        version = engine.fallbacks.first(target, engine.admission.lawful(target, self._chosen(target, request)))
        if request.media or request.only_original:
            special.check(request, version, engine.providers.get(version.provider))
        shown = in_form(live.tasks.get(target.task), request) if examples or not target.named else request
        answer = Answer(
            id=live.new_id(), task=target.task, version=version, named=target.named, request=shown, bare=request,
            decision_id=engine.decisions.current.get(target.task, ""), lend=lending(engine.pool, target.task),
            source=source, clock=self._clock, began=self._clock.monotonic() if began is None else began,
            on_end=self._ended, instead=partial(engine.fallbacks.instead, target),
        )  # fmt: skip
        self.open.add(answer)
        return answer

    async def hold(self, name: str, task: str | None) -> float:
        """Waits while a swap holds the task's requests. Seconds."""
        before = self._clock.monotonic()
        target = self._engine.admission.resolve(name, task)
        gate = self._engine.swapper.held.get(target.task)
        if gate is not None:
            await gate.wait()
        return self._clock.monotonic() - before

    def open_at_once(self, answer: Answer) -> bool:
        """False where its lease has to be waited for: ``wait`` does. Raises what refuses it."""
        try:
            if not answer.open_at_once():
                return False
        except ArbiterError:
            self._refused(answer)
            raise
        answer.mark_overhead()
        return True

    async def wait(self, answer: Answer) -> Answer:
        """Opens it, however long its lease takes. Raises what refuses it."""
        self._engine.rollouts.blocks.make_room(answer.version)
        try:
            await answer.open()
        except ArbiterError:
            self._refused(answer)
            raise
        except BaseException:
            await answer.aclose()  # the client left while it waited
            raise
        answer.mark_overhead()
        return answer

    async def embed(
        self, name: str, texts: Sequence[str], task: str | None, wait_s: float | None = None,
        extra: Mapping[str, Any] = NOTHING,
    ) -> tuple[Embedded, list[list[float]]]:  # fmt: skip
        """One vector per text, and what is known of it; ``extra``: further fields, for runtimes that take some. It is
        remembered like any request; but nothing is learnt of it: its seconds say nothing about answers. Raises
        NotSupported, what ``prepare`` and a lease raise, and Late where the model is not there within ``wait_s``."""
        engine, live, began = self._engine, self._live, self._clock.monotonic()
        if live.state != "ready":
            raise Draining(f"the engine is {live.state}")
        target = engine.admission.resolve(name, task)
        version = engine.admission.lawful(target, target.version)
        told = Embedded(live.new_id(), target.task, version, engine.decisions.current.get(target.task, ""))
        failure: Failure | None = Failure.CANCELLED
        claim = lending(engine.pool, target.task)(version)
        engine.rollouts.blocks.make_room(version)
        try:
            lease = await self._leased(claim, version, wait_s)
            told.overhead_s = max(0.0, self._clock.monotonic() - began - lease.queue_s - lease.load_s)
            found, told.tokens = await vectors(lease.model, texts, extra)
            failure = None
        except (ArbiterError, TimeoutError) as error:
            failure = failure_of(error)
            raise
        finally:
            claim.leave(succeeded=failure is None)
            if told.overhead_s is not None:  # what never began is refused, not answered
                self._embedded(told, target, failure, began)
        engine.admission.embedded(texts, told.tokens)
        return told, found

    async def _leased(self, claim: LeaseContext, version: ModelVersion, wait_s: float | None) -> Lease:
        async with patient(self._engine.pool, lambda: version.version, wait_s):
            return await claim.__aenter__()

    def _embedded(self, told: Embedded, target: Target, failure: Failure | None, began: float) -> None:
        live, now = self._live, self._clock.monotonic()
        outcome = Outcome(
            id=told.id, task=told.task, version=told.version.version, at=self._clock.now(), success=failure is None,
            failure=failure, latency_s=now - began, overhead_s=told.overhead_s, tokens_in=told.tokens,
        )  # fmt: skip
        live.measures.ended(outcome, told.version.provider)
        for tell in live.on_embedding:
            tell(replace(outcome, source="embedding"), told.version)
        live.recent.append(Served(outcome, told.decision_id, target.named))
        live.on_dirty()

    def _refused(self, answer: Answer) -> None:
        """A refusal is no outcome; a load that failed has recorded itself."""
        self.open.discard(answer)
        self._engine.fallbacks.take(answer)
        self._engine.breakers.ended(answer.version.version, Failure.CANCELLED)

    def _chosen(self, target: Target, request: Request) -> ModelVersion:
        """Synchronous: nothing changes before the lease."""
        if self._engine.rollouts.under_way(target.task):
            return self._engine.rollouts.version_for(target, request) or target.version
        return self._explorer.version_for(target)

    def _ended(self, answer: Answer, outcome: Outcome) -> None:
        """On the request's path: constant time, no store, no statistics."""
        engine, live, now = self._engine, self._live, self._clock.monotonic()
        self.open.discard(answer)
        outcome = engine.spending.charged(outcome, answer)
        live.requests += 1
        live.failed += outcome.counts and not outcome.success
        self._rate.count(now)
        live.last_request_at = live.served_at[outcome.task] = now
        engine.breakers.ended(outcome.version, outcome.failure)
        engine.admission.ended(answer, outcome)
        live.measures.ended(outcome, answer.version.provider)
        for tell in live.on_outcome:
            tell(outcome, answer.version)
        engine.recorder.append(outcome)
        engine.rollouts.saw(outcome)
        failed = engine.fallbacks.take(answer)
        told = tuple(asdict(f) for f in failed) if failed else ()
        live.recent.append(Served(outcome, answer.decision_id, answer.named, told))
        engine.history.keep(outcome, answer.bare)
        live.on_dirty()
