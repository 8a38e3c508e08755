"""``async with pool.lease(version)``: takes a lease on entry, gives it back on exit whatever happens.

Owns: that pairing. Never: decides who gets a lease (the pool does).
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from ..core.registry import ModelVersion
from .instance import Lease

if TYPE_CHECKING:
    from .pool import Pool


class LeaseContext(AbstractAsyncContextManager[Lease]):
    """Takes the lease on entry; where an instance is ready and free, entering never suspends."""

    __slots__ = ("_lease", "_pool", "_timeout_s", "_version")

    def __init__(self, pool: Pool, version: ModelVersion, timeout_s: float | None) -> None:
        self._pool, self._version, self._timeout_s = pool, version, timeout_s
        self._lease: Lease | None = None

    async def __aenter__(self) -> Lease:
        lease = self._pool.try_lease(self._version)
        self._lease = lease or await self._pool.wait_lease(self._version, self._timeout_s)
        return self._lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            self._pool.release(lease, succeeded=kind is None)
