"""Who is next: the bounded line before an instance, and the turn that a victim may finish.

Owns: the order in which waiters are served. Never: loads, unloads, reads a clock.

Fairness, when two models don't fit together. Each waiter gets a number of one sequence over all models. A cold model
that asks for a loaded model's memory ends that model's turn: the victim still serves those who were in its line when
it became ready, or who came before the cold model's first waiter, and everybody later queues behind the swap. So a
load serves whole batches (A B A B becomes A A B B), and the wait for a cold model is bounded: by the victim's line,
which is bounded, and by ``Turn.until``, after which the victim starts nothing new.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import Overloaded

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a draining instance may still start: waiters numbered up to ``cutoff``, before ``until`` (monotonic s)."""

    cutoff: int
    until: float = float("inf")

    def admits(self, number: int, now: float) -> bool:
        return number <= self.cutoff and now < self.until


@dataclass(slots=True, eq=False)
class Waiter(Generic[T]):
    """A place in a line. ``number``: its place in the sequence over all models; ``since``: monotonic seconds."""

    number: int
    since: float
    future: asyncio.Future[T]


class Line(Generic[T]):
    """First come, first served. A waiter whose future is done (granted, failed or cancelled) is no longer in it."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: deque[Waiter[T]] = deque()

    def __len__(self) -> int:
        """Never counts the dead: they would make a free instance look wanted."""
        self._prune()
        return len(self._waiters)

    def join(self, number: int, now: float, *, whose: str, limit: int | None = None) -> Waiter[T]:
        """Raises Overloaded where ``limit`` are in line already."""
        if limit is not None and len(self) >= limit:
            raise Overloaded(
                f"{whose} is busy and {len(self)} requests are waiting already (limit {limit})",
                details={"version": whose, "queued": len(self), "limit": limit},
            )
        waiter: Waiter[T] = Waiter(number, now, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        return waiter

    def first(self) -> Waiter[T] | None:
        self._prune()
        return self._waiters[0] if self._waiters else None

    def pop(self) -> Waiter[T] | None:
        """The next living waiter, taken out of the line; the caller settles its future."""
        self._prune()
        return self._waiters.popleft() if self._waiters else None

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
