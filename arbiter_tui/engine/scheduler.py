"""What to load and what to evict next: the pool's head.

Owns: the pass over all instances that follows every change. Never: awaits (a pass is one synchronous step, so nobody
sees it half done), touches a provider but for its prediction, decides who fits (``core.placement.plan`` does).

One pass:

1. Every loaded instance starts the waiters that its turn admits; one that was asked to leave and is done leaves.
2. The models that somebody waits for, eldest waiter first, ask placement for room.
   The first gets it as soon as it can: idle victims are unloaded, busy ones finish their turn (balancer.Turn).
   Those behind it load only into room that neither the first needs nor anybody holds.
3. Automatic restarts take only what is free.

What can't fit even alone, or only beside what is pinned, fails at once and says the sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from ..core.placement import Held, Need, Plan, plan
from ..core.registry import ModelVersion
from ..core.scaling import ONE
from ..errors import OutOfBudget
from ..ports import Clock
from ..provider import Provider
from .balancer import Line, Turn
from .instance import Instance, Lease, State
from .keeper import Keeper, Spans, as_provider_error, fail_all

TURN_S = 2.0  # a victim may start admitted work for this long, or twice its own load, whichever is longer
UNKNOWN_RELOAD_S = 1.0


class Scheduler:
    def __init__(
        self,
        instances: Mapping[str, Instance],
        providers: Mapping[str, Provider],
        clock: Clock,
        keeper: Keeper,
        *,
        budget_bytes: int,
        max_loaded: int | None,
        measured: Callable[[str], int | None],
        serving: Callable[[], Iterable[str]],
        next_number: Callable[[], int],
        spans: Spans = lambda version: ONE,
    ) -> None:
        self._instances = instances
        self._providers = providers
        self._clock = clock
        self._keeper = keeper
        self.budget_bytes = budget_bytes
        self.max_loaded = max_loaded
        self._measured = measured
        self._serving = serving
        self._next_number = next_number
        self._spans = spans
        self.blocked = False  # somebody waits for memory: each release is news

    # ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────

    def predict(self, instance: Instance) -> int | None:
        """Bytes of all copies that it starts with: what one held last time, else what its provider predicts, else the
        size of its file."""
        version = instance.version
        each = self._measured(version.version)
        if each is None:
            each = self._providers[version.provider].predicted_bytes(version)
        if each is None:
            each = version.file_bytes
        return None if each is None else each * self._spans(version).low

    def claimed(self) -> int:
        return sum(i.claimed for i in self._instances.values())

    def room_for(self, need: int) -> bool:
        """Whether so many bytes are free and nobody waits for memory."""
        return not self.blocked and self._room(need, 0, 0, models=0)

    def occupied(self) -> int:
        """Instances with a process: loading, loaded, or not yet ended."""
        return sum(1 for i in self._instances.values() if i.life is not None or i.end_task is not None)

    # ── the pass ──────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        for instance in self._instances.values():
            self.serve(instance)
        self._place()

    def serve(self, instance: Instance) -> None:
        """Start what may start; then leave, if that was asked and nobody admitted is left."""
        life, now = instance.life, self._clock.monotonic()
        if life is None or life.model is None or not instance.loaded:
            return
        while len(life.leases) < instance.parallel:
            limit = instance.limit
            first = instance.line.first(limit.cutoff if limit is not None else None)
            if first is None or (limit is not None and not limit.admits(first.number, now)):
                break
            instance.line.take(first)
            first.future.set_result(grant(instance, since=first.since, now=now))
        if instance.leaving is not None and not life.leases:
            self._keeper.end(instance, "unloaded on request")

    def _place(self) -> None:
        demands = sorted((i for i in self._instances.values() if _is_cold(i) and i.wanted), key=_urgency)
        draining: dict[str, Turn] = {}
        reserved = seats = 0
        for instance in demands:
            need = self._need(instance)
            if need is None:
                continue
            if seats:
                self._try_beside(instance, need, reserved, seats)
            elif not instance.asked:
                self._try_beside(instance, need, 0, 0)
            elif not self._try_first(instance, need, draining):
                reserved, seats = reserved + need, seats + 1
        self.blocked = seats > 0
        self._set_turns(draining)

    def _need(self, instance: Instance) -> int | None:
        """Bytes; None if its provider failed on the question: its waiters are told, the pass goes on for the rest."""
        try:
            instance.predicted = self.predict(instance)
        except Exception as error:
            instance.restart_number, instance.error = None, str(error)
            fail_all(instance, as_provider_error(error, instance.name))
            return None
        return instance.predicted or 0

    def _try_first(self, instance: Instance, need: int, draining: dict[str, Turn]) -> bool:
        """True if settled (loading, or failed for good); False if it waits for room that is being made."""
        chosen = self._plan(instance, need, self.budget_bytes, self.max_loaded)
        if not chosen.fits:
            self._refuse(instance, need, chosen.sentence)
            return True
        for name in chosen.evict:
            self._instances[name].behind = self._next_number()
            self._keeper.end(self._instances[name], f"evicted for {instance.name}")
        for name in chosen.wait_for:
            draining[name] = self._turn(self._instances[name], instance)
        if chosen.wait_for or not self._room(need, 0, 0):
            return False
        self._keeper.start(instance, need)
        return True

    def _try_beside(self, instance: Instance, need: int, reserved: int, seats: int) -> None:
        """Load into free room only; evict nobody, make nobody wait. Alone it may be too large: that is said at once."""
        if instance.asked and need > self.budget_bytes:
            self._refuse(instance, need, "")
        elif self._room(need, reserved, seats):
            self._keeper.start(instance, need)

    def _room(self, need: int, reserved: int, seats: int, models: int = 1) -> bool:
        bytes_fit = self.claimed() + reserved + need <= self.budget_bytes
        return bytes_fit and (self.max_loaded is None or self.occupied() + seats + models <= self.max_loaded)

    def _plan(self, instance: Instance, need: int, budget: int, max_loaded: int | None) -> Plan:
        """What is being unloaded is as good as gone: planning with it would evict a second victim."""
        serving = set(self._serving())
        held = [self._held(i, serving) for i in self._instances.values() if i.life is not None]
        return plan(Need(version=instance.name, bytes=need), held, budget=budget, max_loaded=max_loaded)

    def would_evict(self, version: ModelVersion) -> tuple[str, ...]:
        """Versions that would go if ``version`` were loaded now, those that are idle first; none if it can't fit."""
        instance = self._instances.get(version.version) or Instance(version=version, line=Line())
        if instance.life is not None:
            return ()
        chosen = self._plan(instance, self.predict(instance) or 0, self.budget_bytes, self.max_loaded)
        return (*chosen.evict, *chosen.wait_for)

    def _held(self, instance: Instance, serving: set[str]) -> Held:
        """What already drains for somebody stays the chosen victim: a choice that flips would never be drained."""
        life, chosen = instance.life, instance.turn is not None
        busy = not instance.loaded or instance.in_flight > 0 or (life is not None and life.shielded)
        return Held(
            version=instance.name,
            bytes=instance.claimed,
            leased=max(instance.in_flight, int(busy)),
            pinned=instance.pinned,
            last_used_at=0.0 if chosen else instance.last_used_at or 0.0,
            value=0.0 if chosen else 1.0 if instance.name in serving else 0.5,
            reload_cost_s=self._keeper.expected_load_s(instance) or UNKNOWN_RELOAD_S,
        )

    def _turn(self, victim: Instance, demand: Instance) -> Turn:
        number, since = demand.place()
        life = victim.life
        if life is not None and life.shielded:  # whoever warmed it on purpose may still have its first lease
            return Turn(cutoff=sys.maxsize)
        ready_at, ready_number = (life.ready_at, life.ready_number) if life is not None else (since, 0)
        length = max(TURN_S, 2 * (victim.load_s or 0.0))
        return Turn(cutoff=max(number, ready_number), until=max(ready_at, since) + length)

    def _set_turns(self, draining: Mapping[str, Turn]) -> None:
        """A victim drains; one that nobody waits for any more serves again, including those who queued meanwhile."""
        for instance in self._instances.values():
            if not instance.loaded:
                continue
            instance.turn = draining.get(instance.name)
            instance.state = State.DRAINING if instance.limit is not None else State.READY
            self.serve(instance)

    def _refuse(self, instance: Instance, need: int, why: str) -> None:
        pinned = [i for i in self._instances.values() if i.pinned and i.claimed and i is not instance]
        held = sum(i.claimed for i in pinned)
        message = f"{instance.name} needs {size(need)}, the memory budget is {size(self.budget_bytes)}"
        if need <= self.budget_bytes and pinned:
            message += f" and pinned models hold {size(held)}: unpin {', '.join(i.name for i in pinned)}"
        elif need <= self.budget_bytes:
            message += f": {why}"
        else:
            message += ": raise [pool] memory_budget, or use a smaller quantisation, context or parallel"
        instance.error = message
        details = {"version": instance.name, "needed_bytes": need, "budget_bytes": self.budget_bytes, "why": why}
        fail_all(instance, OutOfBudget(message, details=details))


def grant(instance: Instance, *, since: float, now: float) -> Lease:
    """Count one more lease on this life. The caller has seen that a slot is free."""
    life = instance.life
    if life is None or life.model is None:
        raise AssertionError(f"{instance.name} is not loaded")
    load_s = max(0.0, life.ready_at - max(since, life.started_at))
    lease = Lease(life.model, instance.version, max(0.0, now - since - load_s), load_s, life)
    life.leases.add(lease)
    life.granted += 1
    life.shielded = False
    return lease


def _is_cold(instance: Instance) -> bool:
    states = (State.COLD, State.FAILED, State.QUARANTINED)
    return instance.state in states and instance.load_task is None and instance.end_task is None


def _urgency(instance: Instance) -> tuple[bool, int]:
    """Who is waited for comes before automatic restarts; among them the eldest waiter."""
    return (not instance.asked, instance.place()[0])


def size(count: int) -> str:
    """Bytes for a person: GiB with one decimal, or whole MiB."""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{round(count / 1024**2)} MiB"
