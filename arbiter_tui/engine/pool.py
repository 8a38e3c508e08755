"""The pool: loaded instances within a memory budget, and leases on them.

Owns: every instance (single writer: keeper.py, scheduler.py and balancer.py are its hands, head and line). Never:
knows a task or a route, generates for anybody but its own probe, persists anything.

Laws: what is leased is never evicted; claimed bytes never exceed the budget; one load per version however many join;
a waiter that leaves frees its own place only; a load that everybody left is cancelled; nobody polls: every change
runs one synchronous pass of the scheduler, which wakes exactly those who may go on.

Everything happens on one event loop. Between two awaits of this room nobody else sees the instances.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from ..core.registry import ModelVersion
from ..core.scaling import ONE
from ..core.words import plural
from ..errors import Draining, LoadFailed, Overloaded, UnknownName
from ..ports import Clock
from ..provider import Done, Message, Provider, Request
from .balancer import NOBODY, Flow, Line, Turn, Waiter
from .caretaker import Caretaker
from .instance import Instance, InstanceView, Lease, State
from .keeper import UNLOAD_WITHIN_S, EventLog, Keeper, Spans, fail_all
from .leasing import LeaseContext
from .scaling import Scaler
from .scheduler import Scheduler, grant

_STOPPING = Draining("the engine is stopping")
PROBE = Request(messages=(Message("user", "Hi"),), max_tokens=2)

__all__ = ["InstanceView", "Lease", "Pool", "State"]


class Pool:
    """``budget_bytes`` for all instances together; ``measured``: bytes that a version held when it last ran, or None.

    ``serving``: versions worth an automatic restart and the last to be evicted (None: everything that ran).
    ``spans``: how many replicas of a version there may be.
    ``on_change()`` follows every visible change; ``on_event(kind, version, message)`` every step of an instance's life.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        clock: Clock,
        *,
        budget_bytes: int,
        on_change: Callable[[], None],
        on_event: EventLog,
        measured: Callable[[str], int | None],
        max_loaded: int | None = None,
        idle_ttl_s: float | None = None,
        load_timeout_s: float = 120.0,
        queue_limit: int = 64,
        serving: Callable[[], Iterable[str]] | None = None,
        spans: Spans = lambda version: ONE,
    ) -> None:
        self._providers, self._clock, self._on_change = providers, clock, on_change
        self._queue_limit, self._load_timeout_s = queue_limit, load_timeout_s
        self._instances: dict[str, Instance] = {}
        self._pins: dict[str, bool] = {}
        self._number = 0
        self._closing = False
        self.allowed: Callable[[ModelVersion], None] = lambda version: None  # asked before each lease; may refuse
        self._quiet: Line[None] = Line()
        self._keeper = Keeper(
            providers, clock, load_timeout_s=load_timeout_s, changed=self._step, log=on_event,
            newest_number=lambda: self._number, spans=spans,
        )  # fmt: skip
        self._scheduler = Scheduler(
            self._instances, providers, clock, self._keeper, budget_bytes=budget_bytes, max_loaded=max_loaded,
            measured=measured, serving=serving or tuple, next_number=self._next, spans=spans,
        )  # fmt: skip
        self._caretaker = Caretaker(
            self._instances, clock, self._keeper, self._scheduler, idle_ttl_s=idle_ttl_s, serving=serving,
            next_number=self._next,
        )  # fmt: skip

        self._scaler = Scaler(self._instances, clock, self._scheduler, spans=spans, log=on_event)

    # ── leases ────────────────────────────────────────────────────────────────────────────────────────────────

    def lease(self, version: ModelVersion, *, timeout_s: float | None = None, flow: Flow = NOBODY) -> LeaseContext:
        """A claim on a ready instance of ``version``, loading it where needed; waits ``timeout_s`` at most.

        Raises Overloaded (line full, or not served in time), Draining, UnknownName (provider), OutOfBudget,
        LoadFailed and what else its provider's load raises; what ``allowed`` raises.
        """
        self.allowed(version)
        return LeaseContext(self, version, timeout_s, flow)

    def try_lease(self, version: ModelVersion) -> Lease | None:
        """A lease if the version is ready, has a free slot and nobody waits for it. Never suspends."""
        instance = self._instances.get(version.version)
        if instance is None or instance.state is not State.READY or self._closing:
            return None
        if instance.in_flight >= instance.parallel or len(instance.line):
            return None
        now = self._clock.monotonic()
        lease = grant(instance, since=now, now=now)
        instance.last_used_at = self._clock.now()
        self._on_change()
        return lease

    async def wait_lease(self, version: ModelVersion, timeout_s: float | None, flow: Flow = NOBODY) -> Lease:
        """The slow path of ``lease``; the caller must ``release`` what it gets."""
        instance = self._admit(version)
        free = instance.parallel - instance.in_flight  # those at the head don't queue for a slot, only for the load
        waiter = instance.line.join(
            self._next(), self._clock.monotonic(), whose=instance.name, limit=self._queue_limit + max(0, free),
            flow=flow,
        )  # fmt: skip
        self._step()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._await(instance, waiter)
        except TimeoutError as late:
            raise self._late(instance, timeout_s) from late

    async def _await(self, instance: Instance, waiter: Waiter[Lease]) -> Lease:
        try:
            return await waiter.future
        except BaseException:
            self._leave(instance, waiter)
            raise

    def _leave(self, instance: Instance, waiter: Waiter[Lease]) -> None:
        """A waiter goes: cancelled, timed out or failed. A lease granted in the same moment is given back."""
        instance.line.leave(waiter)
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self.release(future.result(), succeeded=False)
        self._abandon(instance)
        self._step()

    def go_on(self, version: str) -> None:
        """A load under way goes on, whoever leaves: what comes of it is there for who asks again. Else a no-op."""
        instance = self._instances.get(version)
        if instance is not None and instance.state is State.LOADING:
            waiter = instance.warmers.join(self._next(), self._clock.monotonic(), whose=instance.name)
            waiter.future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody waits for it

    def _abandon(self, instance: Instance) -> None:
        if instance.state is State.LOADING and not instance.wanted:
            self._keeper.cancel(instance)

    def _late(self, instance: Instance, timeout_s: float | None) -> Overloaded:
        view = self._view(instance)
        loading = view.state == State.LOADING
        what = "is still loading" if loading else f"is {view.state}, {view.in_flight} in flight"
        return Overloaded(
            f"{instance.name} {what}: not served within {timeout_s:g} s",
            details={"version": instance.name, "state": view.state, "loading": loading, "queued": view.queued,
                     "progress": view.progress, "eta_s": view.eta_s},
        )  # fmt: skip

    def release(self, lease: Lease, *, succeeded: bool) -> None:
        """Gives the slot back. Idempotent; a lease of a dead life frees nothing of the next one."""
        if lease not in lease.life.leases:
            return
        lease.life.leases.discard(lease)
        instance = self._instances[lease.version.version]
        instance.last_used_at = self._clock.now()
        if succeeded and instance.life is lease.life:
            instance.failures.reset()
        for remaining, future in instance.watchers:
            remaining.discard(lease)
            if not remaining and not future.done():
                future.set_result(None)
        if self._scheduler.blocked or self._closing or instance.limit is not None or len(instance.line):
            self._step()
        else:
            self._on_change()

    # ── orders ────────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure(self, version: ModelVersion) -> None:
        """Warm: returns when it is ready; joins a load under way, tries a quarantined one again. Raises as lease."""
        instance = self._admit(version, insist=True)
        if instance.loaded and instance.leaving is None:
            instance.last_used_at = self._clock.now()
            return
        waiter = instance.warmers.join(self._next(), self._clock.monotonic(), whose=instance.name)
        self._step()
        try:
            await waiter.future
        finally:
            instance.warmers.leave(waiter)
            if waiter.future.done() and not waiter.future.cancelled():
                waiter.future.exception()  # seen, even where we were cancelled in the same moment
            self._abandon(instance)
            self._step()

    async def probe(self, version: ModelVersion, request: Request = PROBE) -> float:
        """One real generation of a few tokens; seconds from asking to its end. Raises what it fails with."""
        async with self.lease(version, timeout_s=self._load_timeout_s) as lease:
            started = self._clock.monotonic()
            stream, finished = lease.model.generate(request), False
            try:
                async with asyncio.timeout(self._load_timeout_s):
                    async for chunk in stream:
                        finished = finished or isinstance(chunk, Done)
            except TimeoutError as late:
                raise LoadFailed(f"{version.version} loaded, but its probe never ended") from late
            finally:
                await stream.aclose()
            if not finished:
                raise LoadFailed(f"{version.version} loaded, but its probe ended without a finish")
            return self._clock.monotonic() - started

    async def unload(self, name: str) -> None:
        """Returns when its process has ended. Requests accepted before finish first; later ones wait for a new load."""
        instance = self._instances.get(name)
        if instance is None or (instance.life is None and instance.end_task is None):
            return
        instance.leaving = Turn(cutoff=self._number)
        if instance.state is State.LOADING and not len(instance.line):
            self.cancel_load(name)
        waiter = instance.gone.join(self._next(), self._clock.monotonic(), whose=name)
        self._step()
        await waiter.future

    async def drained(self, name: str) -> None:
        """Returns when the leases that are held now have been given back; later ones don't prolong it."""
        instance = self._instances.get(name)
        if instance is None or instance.life is None or not instance.life.leases:
            return
        watcher = (set(instance.life.leases), asyncio.get_running_loop().create_future())
        instance.watchers.append(watcher)
        try:
            await watcher[1]
        finally:
            instance.watchers.remove(watcher)

    def pin(self, name: str, pinned: bool) -> None:
        """A pinned version is never evicted and never expires; it may still be unloaded by hand. Loads nothing."""
        self._pins[name] = pinned
        if (instance := self._instances.get(name)) is not None:
            instance.pinned = pinned
        self._step()

    def adopt(self, *, queue_limit: int, idle_ttl_s: float | None, max_loaded: int | None) -> None:
        """Other limits: for who comes next, at the next round, for the next load. Unloads nobody by itself."""
        self._queue_limit, self._caretaker.idle_ttl_s, self._scheduler.max_loaded = queue_limit, idle_ttl_s, max_loaded
        self._step()

    def keep(self, name: str, seconds: float) -> None:
        """Its process ends after so long without a request, instead of the pool's ``idle_ttl_s``. Loads nothing."""
        instance = self._instances.get(name)
        if instance is not None and instance.life is not None:
            instance.life.keep_s = seconds

    def cancel_load(self, name: str) -> None:
        """Ends a load under way; everybody who waits for it gets LoadFailed. No-op in any other state."""
        instance = self._instances.get(name)
        if instance is not None and instance.state is State.LOADING:
            fail_all(instance, LoadFailed(f"the load of {name} was cancelled", details={"cancelled": True}))
            instance.restart_number = None
            self._keeper.cancel(instance)

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def budget_bytes(self) -> int:
        return self._scheduler.budget_bytes

    def used_bytes(self) -> int:
        """Bytes that count against the budget now: predicted, or resident where that is more."""
        return self._scheduler.claimed()

    def would_evict(self, version: ModelVersion) -> tuple[str, ...]:
        """Versions that would be unloaded to make room if ``version`` were loaded now. A question: changes nothing."""
        return self._scheduler.would_evict(version) if version.provider in self._providers else ()

    def expected_load_s(self, name: str) -> float | None:
        """Of its last load, else by size from another one of its provider; None if neither is known."""
        return None if (one := self._instances.get(name)) is None else self._keeper.expected_load_s(one)

    def is_ready(self, name: str) -> bool:
        instance = self._instances.get(name)
        return instance is not None and instance.state is State.READY

    def view(self, name: str) -> InstanceView | None:
        """None for a version that was never asked for. Wakes nothing."""
        instance = self._instances.get(name)
        return None if instance is None else self._view(instance)

    def views(self) -> Mapping[str, InstanceView]:
        return {name: self._view(i) for name, i in self._instances.items()}

    def _view(self, instance: Instance) -> InstanceView:
        return instance.view(self._clock.monotonic(), self._keeper.expected_load_s(instance))

    def pids(self) -> dict[int, str]:
        """The workers' process ids -> version."""
        running = ((i.life.stats, name) for name, i in self._instances.items() if i.life is not None)
        known = ((stats.pids or (stats.pid,), name) for stats, name in running if stats is not None)
        return {pid: name for pids, name in known for pid in pids if pid is not None}

    def log(self, name: str) -> list[str]:
        """The worker's newest lines, or the last ones of the worker that ended."""
        instance = self._instances.get(name)
        if instance is None:
            return []
        model = instance.life.model if instance.life else None
        return model.log() if model is not None else list(instance.last_log)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def tick(self) -> None:
        """About once a second: time-to-live, health, restarts after their back-off, resident bytes, replicas."""
        if not self._closing:
            await self._caretaker.look()
            self._scaler.look()
            self._step()

    async def close(self, deadline_s: float) -> None:
        """Refuse new work, finish what is in flight or in line, end every process. Later calls find nothing to do."""
        self._closing = self._keeper.closing = True
        for instance in self._instances.values():
            instance.turn = None  # nobody will load in its place
            if not instance.loaded:
                self._dismiss(instance)
        self._step()
        try:
            async with asyncio.timeout(deadline_s):
                await self._quietness()
        except TimeoutError:
            for instance in self._instances.values():
                self._dismiss(instance)
        await self._end_all()

    def _dismiss(self, instance: Instance) -> None:
        fail_all(instance, _STOPPING)
        instance.restart_number = None
        self._keeper.cancel(instance)

    async def _quietness(self) -> None:
        while any(i.in_flight or len(i.line) for i in self._instances.values()):
            waiter = self._quiet.join(0, 0.0, whose="pool")
            await waiter.future

    async def _end_all(self) -> None:
        for instance in self._instances.values():
            self._keeper.end(instance, "the engine stops")
        while pending := [t for i in self._instances.values() for t in (i.load_task, i.end_task) if t is not None]:
            _, hanging = await asyncio.wait(pending, timeout=UNLOAD_WITHIN_S)
            if hanging:  # a provider that breaks its contract; its own close() ends what is left
                return
            await asyncio.sleep(0)  # their done-callbacks settle the instances

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────────

    def _admit(self, version: ModelVersion, *, insist: bool = False) -> Instance:
        if self._closing:
            raise Draining(str(_STOPPING))
        if version.provider not in self._providers:
            raise UnknownName("provider", version.provider, self._providers)
        instance = self._instances.get(version.version)
        if instance is None:
            instance = Instance(version=version, line=Line())
            instance.pinned = self._pins.get(version.version, version.pinned)
            self._instances[version.version] = instance
        instance.version = version
        if not insist:
            self._refuse_quarantined(instance)
        return instance

    def _refuse_quarantined(self, instance: Instance) -> None:
        """One trial after each pause; until then nobody waits for what has failed again and again."""
        wait_s = instance.failures.wait_s(self._clock.monotonic())
        if instance.state is State.QUARANTINED and wait_s > 0:
            error = LoadFailed(
                f"{instance.name} is quarantined after {plural(instance.failures.count, 'failure')} "
                f"({instance.error}); next attempt in {wait_s:.0f} s, or warm it by hand",
                details={"version": instance.name, "error": instance.error, "retry_after_s": wait_s},
            )
            error.retry_after_s = wait_s
            raise error

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _step(self) -> None:
        """One pass after a change."""
        if not self._closing:
            self._scheduler.run()
        else:
            for instance in self._instances.values():
                if instance.loaded:
                    self._scheduler.serve(instance)
                else:
                    fail_all(instance, _STOPPING)
            self._quiet.settle(None)
        self._on_change()
