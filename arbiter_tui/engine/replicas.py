"""Several replicas of one version behind the face of one loaded model.

Owns: the replicas' lives, their breakers, and which of them answers (core/balancing.py decides). Never: memory (the
pool has claimed it), leases, the number of replicas (scaling.py orders one more or one less).

A replica's death fails only the requests that it had begun to answer. One that had not begun is asked of another
replica, each at most once and at the cost of two workers of its own, so that a prompt which kills whoever reads it ends
soon. The dead one is loaded again at once, then after growing pauses. Where none is ready but one is loading, the set
has no places and its requests wait in the pool's line; where none is even loading the set dies, and with it the
instance, as a single model would. ::

    loading ──> ready ──> leaving ──> (gone)
       ^  └failed┐ └died, hung┐
       └──────── resting <────┘
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..core.balancing import Seat, choose, prefix_key
from ..core.breaker import NEW, REPLICA, Effect, Event, step
from ..core.registry import ModelVersion
from ..core.snapshot import ReplicaView
from ..errors import (
    ArbiterError,
    ContextOverflow,
    InvalidRequest,
    LoadFailed,
    NotSupported,
    Overloaded,
    ProviderError,
    WorkerDied,
)
from ..ports import Clock
from ..provider import Chunk, Done, InstanceStats, LoadedModel, Request, Sink, WorkerEvent, poured, vectors
from .health import BACK_OFF_CAP_S, Answer, ask, back_off, is_hung, measure, strikes_after
from .replica import Loader, Owner, Replica, Stage, shown, texts, together

DEATHS = 2  # workers that one request may cost
ASK_WITHIN_S = 4.0  # below the caretaker's own limit, so that one silent replica does not silence the set
_OWN_FAULT = (ContextOverflow, InvalidRequest, NotSupported)  # of the request: every replica would say the same


class ReplicaSet:
    """A LoadedModel. ``low``: so many are kept alive; what was added beyond is given up where it fails."""

    def __init__(self, version: ModelVersion, load: Loader, clock: Clock, owner: Owner, *, low: int) -> None:
        self.version, self.slots = version, 0  # slots: places of the replicas that are ready
        self._load, self._clock, self.owner, self._low = load, clock, owner, low
        self._replicas: list[Replica] = []
        self._each = max(1, version.parallel)
        self._tasks: set[asyncio.Task[None]] = set()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed, self._no_more_before = False, 0.0  # monotonic: a further one did not load

    async def start(self) -> None:
        """Returns when the first replica is ready; the others follow. Raises what the last of them failed with."""
        try:
            for _ in range(self._low):
                self.grow()
            await self._first
        except BaseException:
            await self.unload()
            raise

    # ── how many ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def copies(self) -> int:
        """Those that are wanted, whatever their state."""
        return sum(r.stage is not Stage.LEAVING for r in self._replicas)

    @property
    def ready(self) -> int:
        return sum(r.stage is Stage.READY for r in self._replicas)

    @property
    def coming(self) -> int:
        return sum(r.stage is Stage.LOADING for r in self._replicas)

    @property
    def leaving(self) -> int:
        return sum(r.stage is Stage.LEAVING for r in self._replicas)

    def views(self) -> tuple[ReplicaView, ...]:
        """Each as a screen may show it, by its number."""
        return shown(self._replicas)

    @property
    def may_grow(self) -> bool:
        return self._clock.monotonic() >= self._no_more_before

    def grow(self) -> None:
        """One more; its memory has been claimed."""
        taken = {r.number for r in self._replicas}
        replica = Replica(next(n for n in range(len(taken) + 1) if n not in taken))
        self._replicas.append(replica)
        replica.task = self._spawn(self._bring_up(replica))

    def shrink(self) -> None:
        """One less: one that answers nothing where there is one; what it has begun it ends."""
        wanted = [r for r in self._replicas if r.stage is not Stage.LEAVING]
        if len(wanted) <= 1:
            return
        replica = min(wanted, key=lambda r: (r.stage is Stage.READY, r.in_flight, -r.number))
        if replica.task is not None:
            replica.task.cancel()
        replica.stage = Stage.LEAVING
        self._recount()
        self._leave(replica)

    def _leave(self, replica: Replica) -> None:
        if replica.stage is Stage.LEAVING and not replica.in_flight and not self._closed:
            self._spawn(self._end(replica))

    async def _end(self, replica: Replica) -> None:
        if replica not in self._replicas:
            return
        if replica.task is not None:
            await asyncio.wait([replica.task])
        if replica.model is not None:
            await replica.model.unload()
        if replica in self._replicas:
            self._drop(replica)

    def _drop(self, replica: Replica) -> None:
        self._replicas.remove(replica)
        self.owner.freed()
        self._recount()

    # ── lives ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _bring_up(self, replica: Replica) -> None:
        """Load it, again and again with growing pauses; one beyond the least number is given up instead."""
        while True:
            error = await self._try(replica)
            if error is None:
                return
            replica.failures.add(self._clock.monotonic())
            if self.copies > self._low:
                self.owner.tell(f"a further replica did not load: {error}")
                self._no_more_before = self._clock.monotonic() + BACK_OFF_CAP_S
                self._drop(replica)
                self._bereaved(error)
                return
            self.owner.tell(f"replica {replica.number + 1} did not load: {error}")
            replica.stage = Stage.RESTING
            self._bereaved(error)
            await self._clock.sleep(back_off(replica.failures.count))
            replica.stage = Stage.LOADING

    async def _try(self, replica: Replica) -> ProviderError | None:
        """What it failed with, or None: it is ready."""
        life = replica.life = object()
        replica.death = None
        try:
            replica.model = await self._load(replica.number, partial(self._hear, replica, life))
        except ProviderError as error:
            return error
        except Exception as error:  # a provider that breaks its contract still may not break the set
            return LoadFailed(f"{self.version.version}: {type(error).__name__}: {error}")
        if replica.death is not None:
            await replica.model.unload()
            replica.model = None
            return LoadFailed(replica.death)
        replica.stage, replica.breaker, replica.strikes, replica.died_with = Stage.READY, NEW, 0, 0
        if self._first.done():
            self.owner.tell(f"replica {replica.number + 1} is ready")
        else:
            self._first.set_result(None)
        self._recount()
        return None

    def _hear(self, replica: Replica, life: object, event: WorkerEvent) -> None:
        if replica.life is not life or self._closed:
            return
        if event.kind == "restarted":
            self.owner.tell(f"replica {replica.number + 1}: {event.message}")
        elif replica.stage is Stage.LOADING:
            replica.death = event.message
        elif replica.stage is Stage.READY:
            self._lost(replica, event.message)

    def _lost(self, replica: Replica, message: str) -> None:
        """A ready one died or hung. Its worker is buried before the next one starts: two would need two's memory."""
        model, replica.model, replica.life = replica.model, None, None
        replica.stage, replica.died_with = Stage.LOADING, replica.died_with or replica.in_flight
        replica.failures.add(self._clock.monotonic())
        self.owner.tell(f"replica {replica.number + 1} is gone: {message}")
        if model is not None:
            replica.last_log = model.log()
        pause = back_off(replica.failures.count - 1) if replica.failures.count > 1 else 0.0
        if pause:
            replica.stage = Stage.RESTING
        replica.task = self._spawn(self._replace(replica, model, pause))
        self._recount()
        self._bereaved(WorkerDied(message))

    async def _replace(self, replica: Replica, dead: LoadedModel | None, pause: float) -> None:
        if dead is not None:
            await dead.unload()
        if pause:
            await self._clock.sleep(pause)
            replica.stage = Stage.LOADING
        await self._bring_up(replica)

    def _bereaved(self, error: ProviderError) -> None:
        """The last one that was ready or loading is gone."""
        if self._closed or any(r.stage in (Stage.READY, Stage.LOADING) for r in self._replicas):
            return
        if not self._first.done():
            self._first.set_exception(error)
            self._first.exception()  # marks it as seen: the load may have been cancelled in the same moment
        else:
            self.owner.died(WorkerEvent(version=self.version.version, kind="exited", message=str(error)))

    def _recount(self) -> None:
        self.slots = self._each * self.ready
        if not self._closed:
            self.owner.changed()

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────

    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        return self._answers(request, lambda model: model.generate(request))

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        """The bytes of whoever answers, where the runtimes pass this request on."""
        first = next((r.model for r in self._replicas if r.stage is Stage.READY and r.model is not None), None)
        if first is None or _relayed(first, request) is None:
            return None
        # A replica that can't is asked for chunks: whoever reads takes either, as long as an answer is of one kind.
        return self._answers(request, lambda model: _relayed(model, request) or model.generate(request))

    async def _answers(
        self, request: Request, ask: Callable[[LoadedModel], AsyncGenerator[Any, Any]]
    ) -> AsyncGenerator[Any, Any]:
        tries = _Tries(self, prefix_key(texts(request)))
        while True:
            with tries.next() as (replica, model):
                stream = ask(model)
                try:
                    chunk = await anext(stream, None)
                    while chunk is not None:
                        if not tries.begun:
                            tries.begin(replica)
                        sink = yield chunk
                        chunk = await (anext(stream, None) if sink is None else poured(stream, sink))
                    if tries.begun:
                        return
                    raise ProviderError(f"{self.version.version} ended its answer before it began")
                finally:
                    await stream.aclose()

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return (await self.embed_with(texts, {}))[0]

    async def embed_with(self, texts: Sequence[str], extra: Mapping[str, Any]) -> tuple[list[list[float]], int | None]:
        tries = _Tries(self, None)
        while True:
            with tries.next() as (replica, model):
                found = await vectors(model, texts, extra)
                tries.begin(replica)
                return found

    def seat(self, key: bytes | None, tried: set[int]) -> Replica | None:
        """Who is asked next; None if nobody who is ready is left."""
        found = [r for r in self._replicas if r.stage is Stage.READY and r.number not in tried]
        seats = [Seat(number=r.number, in_flight=r.in_flight, slots=self._each, breaker=r.breaker) for r in found]
        number = choose(seats, key, self._clock.monotonic())
        return next((r for r in found if r.number == number), None)

    def step(self, replica: Replica, event: Event) -> None:
        replica.breaker, effects = step(replica.breaker, event, self._clock.monotonic(), REPLICA)
        if event is Event.SUCCEEDED and replica.failures.count:
            replica.failures.reset()
        if Effect.OPENED in effects:
            self.owner.tell(f"replica {replica.number + 1} fails again and again: the others answer in its place")
        elif Effect.CLOSED in effects:
            self.owner.tell(f"replica {replica.number + 1} answers again")

    def left(self, replica: Replica) -> None:
        replica.in_flight -= 1
        self._leave(replica)

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────

    async def health(self) -> bool:
        """Asks each one; one that hangs is replaced like one that died. True while one is well or on its way."""
        asked = [(r, r.life, r.model) for r in self._replicas if r.stage is Stage.READY and r.model is not None]
        answers = await asyncio.gather(*(ask(model, within_s=ASK_WITHIN_S) for _, _, model in asked))
        well = False
        for (replica, life, _), answer in zip(asked, answers, strict=True):
            if replica.life is not life or replica.stage is not Stage.READY:
                continue
            well = well or answer is Answer.WELL
            replica.strikes = strikes_after(answer, replica.strikes)
            if is_hung(answer, replica.strikes, busy=replica.in_flight > 0):
                self._lost(replica, f"it does not answer: {answer} {replica.strikes} times")
        return well or bool(self.coming)

    async def stats(self) -> InstanceStats:
        """Sums; what one of them can't say is unknown of all."""
        told = await asyncio.gather(*(measure(r.model) for r in self._replicas if r.model is not None))
        known = [s for s in told if s is not None]
        if not known:
            return InstanceStats()
        first = known[0]
        resident, cpu = [s.resident_bytes for s in known], [s.cpu_s for s in known]
        return InstanceStats(
            resident_bytes=None if None in resident else sum(b for b in resident if b is not None),
            cpu_s=None if None in cpu else sum(c for c in cpu if c is not None),
            context=first.context, parallel=self.slots, backend=first.backend, base_url=first.base_url, pid=first.pid,
            pids=tuple(s.pid for s in known if s.pid is not None), load=together([s.load for s in known]),
        )  # fmt: skip

    def log(self) -> list[str]:
        """Of all, each line with its replica's number."""
        parts = ((r, r.model.log() if r.model is not None else r.last_log) for r in self._replicas)
        return [f"[{replica.number + 1}] {line}" for replica, lines in parts for line in lines]

    async def unload(self) -> None:
        if self._closed:
            return
        self._closed, self.slots = True, 0
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        await asyncio.gather(*(r.model.unload() for r in self._replicas if r.model is not None))


class _Tries:
    """One request's way through the replicas, until one of them has begun to answer."""

    def __init__(self, replicas: ReplicaSet, key: bytes | None) -> None:
        self._set, self._key = replicas, key
        self._tried: set[int] = set()
        self._deaths = 0.0  # a worker that it shared with others counts in parts: which of them killed it is unknown
        self._error: ArbiterError | TimeoutError | None = None
        self.begun = False

    def begin(self, replica: Replica) -> None:
        """Its first piece has come: from here on it is this one's answer, and it is known to be well."""
        self.begun = True
        self._set.step(replica, Event.SUCCEEDED)

    @contextmanager
    def next(self) -> Iterator[tuple[Replica, LoadedModel]]:
        """The next replica. A failure before the answer has begun is swallowed if another one may be asked; the caller
        comes again, and it is raised if there is none. Raises it at once where nobody else would do better."""
        replica = self._set.seat(self._key, self._tried) if self._deaths < DEATHS else None
        if replica is None or replica.model is None:
            raise self._last()
        if self._error is not None:
            self._set.owner.retried()
        self._set.step(replica, Event.ADMITTED)
        replica.in_flight += 1
        try:
            yield replica, replica.model
        except _OWN_FAULT:
            self._set.step(replica, Event.WITHDRAWN)
            raise
        except (ProviderError, Overloaded, TimeoutError) as error:
            self._set.step(replica, Event.FAILED)
            if isinstance(error, WorkerDied):
                replica.died_with = replica.died_with or replica.in_flight
                self._deaths += 1 / replica.died_with
                error.details["deaths"] = self._deaths
            if self.begun:
                raise
            self._tried.add(replica.number)
            self._error = error
        except BaseException:
            if not self.begun:
                self._set.step(replica, Event.WITHDRAWN)
            raise
        finally:
            self._set.left(replica)

    def _last(self) -> ArbiterError | TimeoutError:
        none = f"no replica of {self._set.version.version} is ready"
        return self._error or WorkerDied(none, details={"deaths": 0})


def _relayed(model: LoadedModel, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
    return getattr(model, "relay", lambda _: None)(request)  # provider.Relaying
