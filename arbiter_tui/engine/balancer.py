"""Who is next: the bounded line before an instance, and the turn that a victim may finish.

Owns: the order in which waiters are served. Never: loads, unloads, reads a clock.

Fairness, when two models don't fit together. Each waiter gets a number of one sequence over all models. A cold model
that asks for a loaded model's memory ends that model's turn: the victim still serves those who were in its line when
it became ready, or who came before the cold model's first waiter, and everybody later queues behind the swap. So a
load serves whole batches (A B A B becomes A A B B), and the wait for a cold model is bounded: by the victim's line,
which is bounded, and by ``Turn.until``, after which the victim starts nothing new.

Fairness within one line: start-time fair queueing (Goyal, Vin and Cheng 1996). Whoever asks with one key for one task
at one priority is a flow. The first waiter of each is due 1 / weight after the last of its flow that was served, or
after it came, in a virtual time that goes by what is served; who is due first is next. So a flood of one flow waits
behind itself, and what weighs little waits longer, not for ever. Where the line is full, the newest of the flow that
takes most for its weight gives way to one that would take less.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from ..core.words import plural
from ..errors import Overloaded

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a draining instance may still start: waiters numbered up to ``cutoff``, before ``until`` (monotonic s)."""

    cutoff: int
    until: float = float("inf")

    def admits(self, number: int, now: float) -> bool:
        return number <= self.cutoff and now < self.until


class Flow(NamedTuple):
    """Whose a place is. Flows of double ``weight`` are served twice as often while all of them wait."""

    key: str = ""
    task: str = ""
    weight: float = 1.0


NOBODY = Flow()


@dataclass(slots=True, eq=False)
class Waiter(Generic[T]):
    """A place in a line. ``number``: its place in the sequence over all models; ``since``: monotonic seconds;
    ``came``: virtual time."""

    number: int
    since: float
    future: asyncio.Future[T]
    flow: Flow = NOBODY
    came: float = 0.0


class Line(Generic[T]):
    """Fair between flows; within one, first come, first served. A waiter whose future is done (granted, failed or
    cancelled) is no longer in it."""

    __slots__ = ("_now", "_served", "_waiters")

    def __init__(self) -> None:
        self._waiters: deque[Waiter[T]] = deque()
        self._now = 0.0  # virtual time
        self._served: dict[Flow, float] = {}  # when a flow has had its share, of those served lately

    def __len__(self) -> int:
        """Never counts the dead: they would make a free instance look wanted."""
        if not self._waiters:
            return 0  # nearly always
        self._prune()
        return len(self._waiters)

    def join(self, number: int, now: float, *, whose: str, limit: int | None = None, flow: Flow = NOBODY) -> Waiter[T]:
        """Raises Overloaded where ``limit`` are in line already and nobody takes more than its share."""
        if limit is not None and len(self) >= limit:
            self._make_way(flow, whose, limit)
        waiter: Waiter[T] = Waiter(number, now, asyncio.get_running_loop().create_future(), flow, self._now)
        self._waiters.append(waiter)
        return waiter

    def _make_way(self, flow: Flow, whose: str, limit: int) -> None:
        counts = Counter(w.flow for w in self._waiters)
        many = plural(len(self._waiters), "request is", "requests are")
        full = Overloaded(
            f"{whose} is busy and {many} waiting already (limit {limit})",
            details={"version": whose, "queued": len(self._waiters), "limit": limit},
        )
        most = max(counts, key=lambda f: counts[f] / f.weight, default=flow)
        if not counts or counts[most] / most.weight <= (counts[flow] + 1) / flow.weight:
            raise full
        last = next(w for w in reversed(self._waiters) if w.flow == most)
        self._waiters.remove(last)
        last.future.set_exception(full)

    def first(self, cutoff: int | None = None) -> Waiter[T] | None:
        """Who is next; with ``cutoff`` among those numbered up to it."""
        self._prune()
        heads: dict[Flow, Waiter[T]] = {}
        for waiter in self._waiters:
            if cutoff is None or waiter.number <= cutoff:
                heads.setdefault(waiter.flow, waiter)
        return min(heads.values(), key=lambda w: (self._due(w), w.number), default=None)

    def _due(self, head: Waiter[T]) -> float:
        return max(head.came, self._served.get(head.flow, 0.0)) + 1.0 / head.flow.weight

    def eldest(self) -> Waiter[T] | None:
        self._prune()
        return self._waiters[0] if self._waiters else None

    def take(self, waiter: Waiter[T]) -> None:
        """Its turn has come: it leaves the line; the caller settles its future."""
        self._waiters.remove(waiter)
        due = self._due(waiter)
        self._now = max(self._now, due - 1.0 / waiter.flow.weight)
        waiting = {w.flow for w in self._waiters}
        self._served = {f: until for f, until in self._served.items() if until > self._now or f in waiting}
        self._served[waiter.flow] = due

    def pop(self) -> Waiter[T] | None:
        """The next living waiter, taken out of the line; the caller settles its future."""
        waiter = self.first()
        if waiter is not None:
            self.take(waiter)
        return waiter

    def leave(self, waiter: Waiter[T]) -> None:
        """Frees this waiter's place and nobody else's. Idempotent."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def settle(self, value: T) -> None:
        """Grants ``value`` to everybody."""
        while waiter := self.pop():
            waiter.future.set_result(value)

    def fail(self, make: Callable[[], Exception]) -> None:
        """Each waiter gets its own error: a shared one would collect the tracebacks of all."""
        while waiter := self.pop():
            waiter.future.set_exception(make())

    def _prune(self) -> None:
        if any(w.future.done() for w in self._waiters):
            self._waiters = deque(w for w in self._waiters if not w.future.done())
