"""What other runtimes on this machine have: looked for at the start, from time to time, and when one of theirs fails.

Owns: the moments. Never: what is found (the catalogue registers it, as drafts), a version that is known.

A model that was removed, or replaced under its name, shows as a load that fails: what is there instead is a version of
its own, and is registered before anybody asks for it.
"""

from __future__ import annotations

import asyncio

from .catalogue import OTHER_RUNTIMES, Catalogue
from .instance import State
from .live import Live
from .pool import Pool

EVERY_S = 300.0
_BROKEN = frozenset({State.FAILED, State.QUARANTINED})


class OtherRuntimes:
    def __init__(self, live: Live, pool: Pool, catalogue: Catalogue) -> None:
        self._live = live
        self._pool = pool
        self._catalogue = catalogue
        self._looking: asyncio.Task[None] | None = None
        self._next = live.clock.monotonic()
        self._failed: frozenset[str] = frozenset()

    def tick(self) -> None:
        """About once a second; never waits."""
        failed = self._failed_now()
        news, self._failed = failed - self._failed, failed
        now = self._live.clock.monotonic()
        if (news or now >= self._next) and (self._looking is None or self._looking.done()):
            self._next = now + EVERY_S
            self._looking = asyncio.create_task(self._look(), name="discover-other-runtimes")

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        try:
            await self._catalogue.discover_other_runtimes()
        except Exception as error:  # a runtime's odd answer must not end the looking
            self._live.alert("error", f"looking for other runtimes' models: {type(error).__name__}: {error}")

    def _failed_now(self) -> frozenset[str]:
        versions = self._live.registry.versions
        return frozenset(
            name
            for name, view in self._pool.views().items()
            if view.state in _BROKEN and name in versions and self._catalogue.kind(versions[name]) in OTHER_RUNTIMES
        )
