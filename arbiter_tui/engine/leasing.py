"""``async with pool.lease(version)``: takes a lease on entry, gives it back on exit whatever happens.

Owns: that pairing, whose place in line it is, how long it is waited for. Never: who gets a lease (the pool decides).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from types import TracebackType
from typing import TYPE_CHECKING

from ..core.registry import ModelVersion
from .balancer import NOBODY, Flow
from .instance import Lease
from .keyring import CALLER

if TYPE_CHECKING:
    from .answer import Leasing
    from .pool import Pool


WEIGHTS = {"high": 4.0, "normal": 1.0, "low": 0.25}
PRIORITY: ContextVar[str] = ContextVar("priority", default="normal")  # of the request that is being served


def lending(pool: Pool, task: str) -> Leasing:
    """Leases for the request that is being served."""
    caller, priority = CALLER.get(), PRIORITY.get()
    return partial(pool.lease, flow=_flow("" if caller is None else caller.key.name, task, priority))


@lru_cache(maxsize=512)
def _flow(key: str, task: str, priority: str) -> Flow:
    return Flow(key, task, WEIGHTS[priority])


def unwaited(task: str) -> Flow:
    """Of what nobody waits for: benchmarks, sentinels, shadows."""
    return Flow("", task, WEIGHTS["low"])


class Late(TimeoutError):
    """A model was not ready within the time that its request may wait."""


@asynccontextmanager
async def patient(
    pool: Pool, version: Callable[[], str | None], seconds: float | None
) -> AsyncIterator[Callable[[], None]]:
    """Raises Late after ``seconds`` (None: never), unless what it is given was called before: then there is no hurry
    any more. The load of ``version`` that is under way then goes on by itself: whoever asks again comes nearer to an
    answer, however long the load."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as limit:
            timer = None if seconds is None else loop.call_later(seconds, _run_out, pool, version, limit)
            try:
                yield _nothing if timer is None else timer.cancel
            finally:
                if timer is not None:
                    timer.cancel()
    except TimeoutError as error:
        if limit.expired():
            raise Late(f"not within {seconds:g} s") from error
        raise


def _nothing() -> None:
    return


def _run_out(pool: Pool, version: Callable[[], str | None], limit: asyncio.Timeout) -> None:
    """Before the waiter leaves: a load that nobody waits for is stopped."""
    if (waited_for := version()) is not None:
        pool.go_on(waited_for)
    limit.reschedule(asyncio.get_running_loop().time())


class LeaseContext(AbstractAsyncContextManager[Lease]):
    """Takes the lease on entry; where an instance is ready and free, entering never suspends."""

    __slots__ = ("_flow", "_lease", "_pool", "_timeout_s", "_version")

    def __init__(self, pool: Pool, version: ModelVersion, timeout_s: float | None, flow: Flow = NOBODY) -> None:
        self._pool, self._version, self._timeout_s, self._flow = pool, version, timeout_s, flow
        self._lease: Lease | None = None

    def at_once(self) -> Lease | None:
        """The lease, where an instance is ready and free; entered then. None: entering has to wait."""
        self._lease = self._pool.try_lease(self._version)
        return self._lease

    async def __aenter__(self) -> Lease:
        self._lease = self.at_once() or await self._pool.wait_lease(self._version, self._timeout_s, self._flow)
        return self._lease

    def leave(self, *, succeeded: bool) -> None:
        """Idempotent."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._pool.release(lease, succeeded=succeeded)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(succeeded=kind is None)
