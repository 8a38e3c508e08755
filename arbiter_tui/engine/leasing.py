"""``async with pool.lease(version)``: takes a lease on entry, gives it back on exit whatever happens.

Owns: that pairing, and whose place in line it is. Never: decides who gets a lease (the pool does).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from functools import partial
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
    caller = CALLER.get()
    return partial(pool.lease, flow=Flow(caller.key.name if caller is not None else "", task, WEIGHTS[PRIORITY.get()]))


def unwaited(task: str) -> Flow:
    """Of what nobody waits for: benchmarks, sentinels, shadows."""
    return Flow("", task, WEIGHTS["low"])


class LeaseContext(AbstractAsyncContextManager[Lease]):
    """Takes the lease on entry; where an instance is ready and free, entering never suspends."""

    __slots__ = ("_flow", "_lease", "_pool", "_timeout_s", "_version")

    def __init__(self, pool: Pool, version: ModelVersion, timeout_s: float | None, flow: Flow = NOBODY) -> None:
        self._pool, self._version, self._timeout_s, self._flow = pool, version, timeout_s, flow
        self._lease: Lease | None = None

    async def __aenter__(self) -> Lease:
        lease = self._pool.try_lease(self._version)
        self._lease = lease or await self._pool.wait_lease(self._version, self._timeout_s, self._flow)
        return self._lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            self._pool.release(lease, succeeded=kind is None)
