"""Versions that were replaced or deprecated: kept at hand for ``keep_warm_s``, then unloaded and archived.

Owns: since when each one is deprecated (kept over restarts), and what time alone does to it. Never: evicts (where
memory is short they are the pool's first victims), archives one that serves, is on trial, or is pinned.

A version that a task was swapped away from stays loaded as long as memory allows, so that a rollback is at once; the
pool's ``idle_ttl_s`` does not end it. Only what an operator has deprecated is archived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..core.registry import Lifecycle, ModelVersion
from ..core.words import span
from ..errors import ArbiterError
from .catalogue import Catalogue
from .live import Live
from .pool import Pool

NOTE = "deprecated"
EVERY_S = 10.0


class Retirement:
    def __init__(self, live: Live, pool: Pool, catalogue: Catalogue) -> None:
        self._live, self._pool, self._catalogue = live, pool, catalogue
        self._since: dict[str, float] = {}  # version -> unix seconds
        self._looked_at: float | None = None

    async def restore(self) -> None:
        stored: Mapping[str, float] = await self._live.store.note(NOTE) or {}
        self._since = {str(version): float(at) for version, at in stored.items()}

    async def look(self) -> None:
        """Every few seconds."""
        now = self._live.clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < EVERY_S:
            return
        self._looked_at = now
        await self._note()
        self._keep()
        for version in self._due():
            await self._archive(version)

    async def _note(self) -> None:
        now, versions = self._live.clock.now(), self._live.registry.versions.values()
        known = {v.version: self._since.get(v.version, now) for v in versions if v.lifecycle is Lifecycle.DEPRECATED}
        if known != self._since:
            self._since = known
            await self._live.store.save_note(NOTE, known)

    def _keep(self) -> None:
        """Time alone ends none of them before; a client that asked for another time gets that one."""
        now, keep_s = self._live.clock.now(), self._live.config.rollout.keep_warm_s
        routes = self._live.routes.routes.values()
        replaced = {v.version: r.since for r in routes if (v := self._live.find(r.previous)) is not None}
        for name, since in {**replaced, **self._since}.items():
            view, left = self._pool.view(name), since + keep_s - now
            if view is not None and view.keep_s is None and left > 0:
                self._pool.keep(name, left)

    def _due(self) -> list[ModelVersion]:
        now, keep_s = self._live.clock.now(), self._live.config.rollout.keep_warm_s
        due = [self._live.registry.versions[name] for name, since in self._since.items() if now - since >= keep_s]
        return [v for v in due if not v.pinned and not self._in_use(v)]

    def _in_use(self, version: ModelVersion) -> bool:
        on_trial = {v.version for r in self._live.routes.routes.values() if (v := self._live.find(r.candidate))}
        return version.version in self._live.serving() | on_trial

    async def _archive(self, version: ModelVersion) -> None:
        """Nothing can be rolled back to it any more. What was learnt of it stays."""
        name, kept = version.version, span(self._live.config.rollout.keep_warm_s)
        try:
            await self._pool.unload(name)
            for route in list(self._live.routes.routes.values()):
                if (found := self._live.find(route.previous)) is not None and found.version == name:
                    cleared = replace(route, previous=None)
                    await self._live.store.save_route(cleared)
                    self._live.put_route(cleared)
            await self._catalogue.move(name, Lifecycle.ARCHIVED)
        except ArbiterError as error:
            self._live.alert("warning", f"{name} could not be archived: {error}", version=name)
            return
        self._live.alert("info", f"{name} was deprecated {kept} ago: it is unloaded and archived", version=name)
