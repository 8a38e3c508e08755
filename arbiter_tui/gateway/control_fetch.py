"""A download as an operation: what ``POST /models`` with ``pull`` begins.

Owns: its progress and estimate. Never: fetches by itself (a provider's runtime does), registers (the catalogue does).
"""

from __future__ import annotations

from time import monotonic

from ..engine.arbiter import Arbiter


class Fetch:
    """One download. ``progress``: the share that is there and the seconds left, as far as the runtime tells."""

    def __init__(self, arbiter: Arbiter, provider: str, source: str) -> None:
        self._arbiter = arbiter
        self._provider, self._source = provider, source
        self._began: tuple[float, float] | None = None  # monotonic, share: when the first share was told
        self._share: float | None = None

    async def run(self) -> None:
        await self._arbiter.catalogue.fetch(self._provider, self._source, self._told)

    def _told(self, share: float | None) -> None:
        if share is not None and self._began is None:
            self._began = (monotonic(), share)
        self._share = share

    def progress(self) -> tuple[float | None, float | None]:
        if self._share is None or self._began is None:
            return None, None
        at, first = self._began
        gained = self._share - first
        return self._share, (monotonic() - at) * (1.0 - self._share) / gained if gained > 0 else None
