"""What one request took of its worker: CPU time between its lease and its end, if it was alone there; memory.

Owns: the difference, and the rule when it means something. Never: reads a process itself (the provider's model does).

A worker's clock counts for all of its requests together. Whoever shared the worker for a moment is told None: a part
that nobody measured is not made up.
"""

from __future__ import annotations

from .instance import Lease
from .replicas import ReplicaSet


class Meter:
    """Made as soon as a lease is held. Seconds."""

    __slots__ = ("_before", "_granted", "_lease")

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._granted = lease.life.granted
        self._before = _now(lease) if len(lease.life.leases) == 1 else None

    def cpu_s(self) -> float | None:
        """Since then; None if another request had a part in it, or the model can't say."""
        if self._before is None or self._lease.life.granted != self._granted:
            return None
        now = _now(self._lease)
        return None if now is None else max(0.0, now - self._before)

    def memory_bytes(self) -> int | None:
        """Resident bytes of the worker when it was last looked at, of one of several copies; None if its runtime can't
        say, or one of them was on its way."""
        stats, copies = self._lease.life.stats, self._lease.model
        if stats is None or stats.resident_bytes is None or not isinstance(copies, ReplicaSet):
            return None if stats is None else stats.resident_bytes
        return stats.resident_bytes // copies.copies if copies.ready == copies.copies else None


def _now(lease: Lease) -> float | None:
    read = getattr(lease.model, "cpu_now", None)  # provider.Metered; many models have none
    return None if read is None else read()
