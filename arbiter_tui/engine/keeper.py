"""Loads, ends and buries processes: the pool's hands.

Owns: the tasks that load and unload, and the state changes that follow from them. Never: chooses what to load or to
evict (the scheduler does), grants a lease (the pool does).

An instance's ``claimed`` bytes are set before its load starts and given back only after its process has ended, so the
sum over all instances bounds what is resident. A task is settled in its done-callback: a task that is cancelled before
its first step never runs its own ``finally``.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from ..core.registry import ModelVersion
from ..core.scaling import ONE, Span
from ..core.words import plural
from ..errors import ArbiterError, LoadFailed, ProviderError
from ..ports import Clock
from ..provider import EventSink, LoadedModel, Provider, WorkerEvent
from .health import measure
from .instance import Instance, Life, State
from .replica import Owner, loader
from .replicas import ReplicaSet

EventLog = Callable[[str, str, str], None]
Spans = Callable[[ModelVersion], Span]
LOAD_GRACE_S = 5.0  # a provider keeps its own deadline; this one is for a provider that doesn't
UNLOAD_WITHIN_S = 20.0
SHIELD_S = 1.0  # whoever warmed it gets this long to take the first lease


class Keeper:
    def __init__(
        self,
        providers: Mapping[str, Provider],
        clock: Clock,
        *,
        load_timeout_s: float,
        changed: Callable[[], None],
        log: EventLog,
        newest_number: Callable[[], int],
        spans: Spans = lambda version: ONE,
    ) -> None:
        self._providers = providers
        self._clock = clock
        self._load_timeout_s = load_timeout_s
        self._changed = changed
        self._log = log
        self._newest_number = newest_number
        self._spans = spans
        self._tasks: set[asyncio.Task[Any]] = set()
        self.closing = False
        self.seconds_per_byte: dict[str, float] = {}  # provider -> of its newest load

    def expected_load_s(self, instance: Instance) -> float | None:
        """The last load of this version, else by size from another load of its provider; None if neither is known."""
        rate = self.seconds_per_byte.get(instance.version.provider)
        if instance.load_s is not None:
            return instance.load_s
        return rate * instance.predicted if rate is not None and instance.predicted else None

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Keeps a reference: a task without one may vanish while it runs."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ── load ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, instance: Instance, claim: int) -> None:
        """Cold, failed or quarantined -> loading. ``claim``: bytes held from now on."""
        life = Life(started_at=self._clock.monotonic(), each=claim // self._spans(instance.version).low)
        if instance.failures.count:
            instance.restarts += 1
        instance.state, instance.life, instance.claimed, instance.error = State.LOADING, life, claim, None
        task = asyncio.get_running_loop().create_task(self._load(instance, life))
        instance.load_task = task
        task.add_done_callback(partial(self._settle, instance, life))
        self._log("loading", instance.name, "loading")

    def cancel(self, instance: Instance) -> None:
        """Stops a load under way; the provider leaves nothing running. No-op in any other state."""
        if instance.load_task is not None:
            instance.load_task.cancel()

    async def _load(self, instance: Instance, life: Life) -> LoadedModel:
        version = instance.version
        provider = self._providers[version.provider]
        hear = partial(self._hear, instance, life)
        limit_s: float = getattr(provider, "load_timeout_s", self._load_timeout_s)
        try:
            async with asyncio.timeout(limit_s + LOAD_GRACE_S):
                if self._spans(version).high > 1:
                    return await self._load_several(instance, life, provider, limit_s, hear)
                return await provider.load(version, timeout_s=limit_s, on_event=hear)
        except TimeoutError as late:
            raise LoadFailed(f"{version.version} did not load within {limit_s:.0f} s") from late

    async def _load_several(
        self, instance: Instance, life: Life, provider: Provider, limit_s: float, hear: EventSink
    ) -> LoadedModel:
        owner = Owner(
            changed=self._changed, freed=partial(self._freed, instance, life), died=hear, retried=instance.retry,
            tell=lambda text: self._log("replica", instance.name, text),
        )  # fmt: skip
        load = loader(provider, instance.version, limit_s)
        several = ReplicaSet(instance.version, load, self._clock, owner, low=self._spans(instance.version).low)
        await several.start()
        return several

    def _freed(self, instance: Instance, life: Life) -> None:
        """A replica that was one too many has ended."""
        if instance.life is life:
            instance.claimed = max(0, instance.claimed - life.each)

    def _settle(self, instance: Instance, life: Life, task: asyncio.Task[LoadedModel]) -> None:
        instance.load_task = None
        if task.cancelled():
            self._rest(instance)
            self._log("cancelled", instance.name, "the load was cancelled")
        elif (error := task.exception()) is not None:
            self._rest(instance)
            self._fail(instance, as_provider_error(error, instance.name))
        else:
            life.model = task.result()
            self._born(instance, life)
        self._changed()

    def _born(self, instance: Instance, life: Life) -> None:
        if life.death is not None:
            self.die(instance, life, life.death)
            return
        now, wanted = self._clock.monotonic(), instance.wanted
        life.ready_at, life.ready_number = now, self._newest_number()
        instance.load_s, instance.state = now - life.started_at, State.READY
        instance.last_used_at, instance.restart_number = self._clock.now(), None
        if instance.predicted:
            self.seconds_per_byte[instance.version.provider] = instance.load_s / instance.predicted
        self._log("ready", instance.name, f"ready after {instance.load_s:.2f} s")
        if self.closing or not wanted:
            self.end(instance, "nobody wants it any more")
            return
        if len(instance.warmers):
            life.shielded = True
            asyncio.get_running_loop().call_later(SHIELD_S, self._unshield, life)
            instance.warmers.settle(None)
        self.spawn(self.refresh(instance, life))

    def _unshield(self, life: Life) -> None:
        if life.shielded:
            life.shielded = False
            self._changed()

    async def refresh(self, instance: Instance, life: Life) -> None:
        """Take the worker's own figures; what it really holds may be more than was predicted."""
        if life.model is None or (stats := await measure(life.model)) is None or instance.life is not life:
            return
        life.stats = stats
        if stats.resident_bytes is not None and instance.loaded:
            instance.claimed = max(instance.claimed, stats.resident_bytes)

    # ── failure ───────────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, instance: Instance, life: Life, event: WorkerEvent) -> None:
        """A provider's event about this life. An exit that we asked for is no news."""
        if event.kind == "restarted":
            self._log("restarted", instance.name, event.message)
        elif instance.life is life and instance.state is State.LOADING:
            life.death = event.message
        elif instance.life is life and instance.loaded:
            self._log(event.kind, instance.name, event.message)
            self.die(instance, life, event.message)
            self._changed()

    def die(self, instance: Instance, life: Life, message: str) -> None:
        """Ready -> failed. Leases of this life stay with it; their generators raise WorkerDied by themselves."""
        self._end_life(instance, life, State.FAILED)
        self._fail(instance, None, message)

    def _fail(self, instance: Instance, error: ProviderError | None, message: str = "") -> None:
        """Count it; waiters of a failed load get its error, waiters behind a crash stay for the next life."""
        now = self._clock.monotonic()
        instance.failures.add(now)
        instance.restart_number = None
        instance.error = str(error) if error is not None else message
        instance.state = State.FAILED
        self._log("failed", instance.name, instance.error)
        if instance.failures.quarantined:
            instance.state = State.QUARANTINED
            count = instance.failures.count
            self._log("quarantined", instance.name, f"quarantined after {plural(count, 'failure')}: {instance.error}")
            error = error or LoadFailed(
                f"{instance.name} is quarantined after {plural(count, 'failure')}: {instance.error}"
            )
        if error is not None:
            fail_all(instance, error)

    # ── end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def end(self, instance: Instance, why: str) -> None:
        """Ready or draining -> unloading -> cold. The caller has made sure that nobody holds a lease."""
        if instance.life is None or not instance.loaded:
            return
        self._log("unloading", instance.name, why)
        self._end_life(instance, instance.life, State.UNLOADING)

    def _end_life(self, instance: Instance, life: Life, state: State) -> None:
        instance.state, instance.life, instance.turn = state, None, None
        if life.model is not None:
            instance.last_log = life.model.log()
            instance.end_task = self.spawn(self._unload(instance, life.model))
            instance.end_task.add_done_callback(partial(self._ended, instance))

    async def _unload(self, instance: Instance, model: LoadedModel) -> None:
        try:
            async with asyncio.timeout(UNLOAD_WITHIN_S):
                await model.unload()
        except (TimeoutError, ProviderError, OSError) as error:
            self._log("failed", instance.name, f"unloading: {error or 'did not end in time'}")

    def _ended(self, instance: Instance, task: asyncio.Task[None]) -> None:
        instance.end_task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log("failed", instance.name, f"unloading: {error!r}")
        if instance.state is State.UNLOADING:
            self._log("unloaded", instance.name, "unloaded")
            instance.state = State.COLD
        self._buried(instance)
        self._changed()

    def _rest(self, instance: Instance) -> None:
        """A load came to nothing: nothing runs."""
        instance.state, instance.life, instance.restart_number = State.COLD, None, None
        self._buried(instance)

    def _buried(self, instance: Instance) -> None:
        instance.claimed, instance.leaving = 0, None
        instance.gone.settle(None)


def fail_all(instance: Instance, error: ArbiterError) -> None:
    """Everybody who waits for this instance gets the error, each their own copy."""
    instance.line.fail(lambda: _again(error))
    instance.warmers.fail(lambda: _again(error))


def _again(error: ArbiterError) -> ArbiterError:
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin


def as_provider_error(error: BaseException, name: str) -> ProviderError:
    """A provider that breaks its contract still may not break the pool."""
    if isinstance(error, ProviderError):
        return error
    wrapped = LoadFailed(f"{name}: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
