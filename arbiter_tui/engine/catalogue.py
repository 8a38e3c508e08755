"""The catalogue: which versions exist, under which names, and who serves a task that nobody serves yet.

Owns: registration, discovery, lifecycle, aliases, pins, first incumbents; each is committed before it is acknowledged.
Never: loads a model (the pool does), replaces an incumbent (hot_swap.py does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from ..config import ModelBlock
from ..core.registry import Lifecycle, ModelVersion, Registry
from ..core.routing import Route
from ..core.words import change
from ..errors import ArbiterError, NoQualifyingModel, NotSupported, ProviderError, Refused, UnknownName
from ..provider import Provider
from .decisions import Decisions
from .evidence import Evidence
from .live import Live
from .pool import Pool

OTHER_RUNTIMES = frozenset({"ollama", "openai_compatible", "openai", "anthropic", "server"})  # runtimes of their own
DISCOVER_WITHIN_S = 10.0


class Catalogue:
    def __init__(
        self, live: Live, pool: Pool, evidence: Evidence, decisions: Decisions, providers: Mapping[str, Provider]
    ) -> None:
        self._live = live
        self._pool = pool
        self._evidence = evidence
        self._decisions = decisions
        self._providers = providers
        self._writing = asyncio.Lock()  # one change of the table at a time: each is computed from the newest

    @property
    def changing(self) -> asyncio.Lock:
        """Held by whoever changes the table."""
        return self._writing

    def provider(self, name: str) -> Provider:
        found = self._providers.get(name)
        if found is None:
            raise UnknownName("provider", name, self._providers)
        return found

    def kind(self, version: ModelVersion) -> str | None:
        """The kind of its provider; None where that is no longer configured."""
        found = self._providers.get(version.provider)
        return None if found is None else found.kind

    # ── changes ───────────────────────────────────────────────────────────────────────────────────────────────

    async def register(
        self, provider: str, source: str, *, name: str | None = None, labels: Sequence[str] = ()
    ) -> ModelVersion:
        """A draft; the same content again is the version that is already there. Raises ModelUnusable, UnknownName."""
        found = await self.provider(provider).inspect(source)
        wanted = replace(
            found, version=name or found.version, labels=tuple(labels) or found.labels,
            created_at=self._live.clock.now(), lifecycle=Lifecycle.DRAFT,
        )  # fmt: skip
        async with self._writing:
            registry, version = self._live.registry.register(wanted)
            if registry is not self._live.registry:
                await self._commit(registry, "register", version.version)
        return version

    async def fetch(self, provider: str, source: str, tell: Callable[[float | None], None]) -> None:
        """Let the runtime fetch ``source``; ``tell`` hears the share (0..1) that is there. Cancelling stops it.

        Raises NotSupported where it fetches nothing, UnknownName, and what the runtime fails with.
        """
        found = self.provider(provider)
        pull = getattr(found, "pull", None)  # provider.Pulling; most have none
        if pull is None:
            raise NotSupported(f"{provider} fetches no models: put the file or model there and register it")
        self._live.event("registry", f"pull: {provider} fetches {source}")
        async with aclosing(pull(source)) as steps:
            async for _, share in steps:
                tell(share)

    async def move(self, name: str, to: Lifecycle) -> ModelVersion:
        """Activate or deprecate. Who serves a task can't be deprecated. Raises Refused, UnknownName."""
        async with self._writing:
            version = self._live.registry.get(name)
            if to is not Lifecycle.ACTIVE and version.version in self._live.serving():
                served = [t for t in self._live.tasks if self._serves(t, version)]
                raise Refused(
                    f"{version.version} serves {', '.join(served)}: swap that first",
                    details={"why": [{"rule": "serves", "value": served, "threshold": [],
                                      "would_change_if": f"another version served {', '.join(served)}"}]},
                )  # fmt: skip
            registry = self._live.registry.move(version.version, to)
            if registry is not self._live.registry:
                await self._commit(registry, to.value, version.version)
        if to is Lifecycle.ACTIVE:
            await self.fill_routes()
        return self._live.registry.get(name)

    async def alias(self, alias: str, name: str) -> ModelVersion:
        async with self._writing:
            before = self._live.registry.versions.get(self._live.registry.aliases.get(alias, ""))
            await self._commit(self._live.registry.alias(alias, name), "alias", f"{alias} → {name}")
            self._tell_who_serves(alias, before)
        return self._live.registry.get(alias)

    def _tell_who_serves(self, alias: str, before: ModelVersion | None) -> None:
        """A route that names an alias serves by another version from now on, and no swap tells it."""
        now = self._live.registry.get(alias)
        if before is None or before.version == now.version:
            return
        for task in self._live.tasks:
            if self._live.routes.get(task).incumbent == alias:
                moved = f"{task}: {change(before.version, now.version)}, because the alias {alias} was moved"
                self._live.alert("info", moved, task=task, version=now.version)

    async def pin(self, name: str, pinned: bool) -> ModelVersion:
        async with self._writing:
            version = self._live.registry.get(name)
            await self._commit(self._live.registry.pin(version.version, pinned), "pin", f"{version.version} {pinned}")
            self._pool.pin(version.version, pinned)
        return self._live.registry.get(name)

    async def _commit(self, registry: Registry, action: str, subject: str) -> None:
        await self._live.store.save_registry(registry, who="operator", action=action, subject=subject)
        self._live.registry = registry
        self._live.event("registry", f"{action}: {subject}")

    def _serves(self, task: str, version: ModelVersion) -> bool:
        serving = self._live.find(self._live.routes.get(task).incumbent)
        return serving is not None and serving.version == version.version

    async def discover_embedded(self) -> None:
        """What is installed beside the arbiter serves without being asked for."""
        await self._adopt_all([p for p in self._providers.values() if p.kind not in OTHER_RUNTIMES], quiet=False)

    async def discover_other_runtimes(self) -> None:
        """What other runtimes on this machine have, as drafts; one that does not run here is no trouble."""
        await self._adopt_all([p for p in self._providers.values() if p.kind in OTHER_RUNTIMES], quiet=True)

    async def _adopt_all(self, providers: Sequence[Provider], *, quiet: bool) -> list[ModelVersion]:
        return [await self._adopt(v) for v in await self._found(providers, quiet=quiet)]

    async def _found(self, providers: Sequence[Provider], *, quiet: bool) -> list[ModelVersion]:
        several = await asyncio.gather(*(self._found_by(p, quiet) for p in providers))
        return [version for versions in several for version in versions]

    # ── discovery ─────────────────────────────────────────────────────────────────────────────────────────────

    async def discover(self, *, apply: bool) -> list[ModelVersion]:
        """What every provider can serve now. ``apply`` registers it: active from embedded ones, else as a draft."""
        everybody = list(self._providers.values())
        if apply:
            return await self._adopt_all(everybody, quiet=False)
        return await self._found(everybody, quiet=False)

    async def _found_by(self, provider: Provider, quiet: bool) -> list[ModelVersion]:
        """A provider that can't say is told as an alert (not if ``quiet``), and hides nobody else's.

        A runtime of its own that nobody configured and that does not run here is simply not there.
        """
        try:
            async with asyncio.timeout(DISCOVER_WITHIN_S):
                missing = await provider.available()
                if missing is None:
                    return await provider.discover()
        except (ProviderError, TimeoutError) as error:
            missing = str(error) or "did not answer in time"
        if not quiet and not self._uninvited(provider):
            self._live.alert("warning", f"{provider.name}: {missing}")
        return []

    def _uninvited(self, provider: Provider) -> bool:
        return provider.kind in OTHER_RUNTIMES and provider.name not in {b.name for b in self._live.config.providers}

    async def _adopt(self, version: ModelVersion) -> ModelVersion:
        kind = self._providers[version.provider].kind
        wanted = replace(version, created_at=self._live.clock.now())
        async with self._writing:
            registry, known = self._live.registry.register(wanted)
            if registry is self._live.registry:
                return known
            if kind not in OTHER_RUNTIMES:
                registry = registry.move(known.version, Lifecycle.ACTIVE)
            await self._commit(registry, "discover", known.version)
        self._tell_changed(known)
        return registry.get(known.version)

    def _tell_changed(self, new: ModelVersion) -> None:
        """Another model lies under a name that was registered before: the old version is never changed for it."""
        for old in self._live.registry.versions.values():
            replaced = old.provider == new.provider and old.source == new.source and old.digest != new.digest
            if replaced and old.digest is not None:
                self._live.alert(
                    "warning", f"{old.source} is another model now: {new.version}, a draft; {old.version} can't be "
                    "loaded any more", version=new.version,
                )  # fmt: skip

    async def configured(self, blocks: Sequence[ModelBlock]) -> None:
        """The configuration's models are active. One that can't be used is told as an alert; the others serve."""
        for block in blocks:
            try:
                await self._configured(block)
            except ArbiterError as error:
                self._live.alert("error", f"model {block.name}: {error}", version=block.name)

    async def _configured(self, block: ModelBlock) -> None:
        if block.name in self._live.registry.versions:
            return
        found = await self.provider(block.provider).inspect(block.source)
        wanted = replace(
            found,
            version=block.name,
            context=block.context or found.context,
            parallel=block.parallel or found.parallel,
            capabilities=frozenset(block.capabilities) or found.capabilities,
            labels=block.labels or found.labels,
            pinned=block.pinned,
            options={**found.options, **block.options},
            created_at=self._live.clock.now(),
        )
        async with self._writing:
            registry, known = self._live.registry.register(wanted)
            if known.lifecycle is Lifecycle.DRAFT:
                registry = registry.move(known.version, Lifecycle.ACTIVE)
            if registry is not self._live.registry:
                await self._commit(registry, "configure", known.version)

    # ── first incumbents ──────────────────────────────────────────────────────────────────────────────────────

    async def fill_routes(self) -> None:
        """Each task that nobody serves gets the best of what qualifies (bundled priors, until there is evidence)."""
        for task in list(self._live.tasks):  # another one may be made meanwhile
            if self._live.find(self._live.routes.get(task).incumbent) is None:
                await self._fill(task)

    async def _fill(self, task: str) -> None:
        try:
            choice = self._evidence.select(task, None, memory_limit=self._pool.budget_bytes)
        except NoQualifyingModel:
            return  # the task answers with the reasons until something qualifies
        route = Route(task=task, incumbent=choice.primary, since=self._live.clock.now())
        await self._live.store.save_route(route)
        self._live.put_route(route)
        await self._decisions.of_choice(self._live.task(task), choice)
