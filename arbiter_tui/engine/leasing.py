"""``async with pool.lease(version)``: takes a lease on entry, gives it back on exit whatever happens.

Owns: that pairing, and whose place in line it is. Never: decides who gets a lease (the pool does).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
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
