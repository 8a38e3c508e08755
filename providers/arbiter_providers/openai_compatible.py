"""The provider on any server that already runs and speaks OpenAI's dialect: LM Studio, llama-server, vLLM, LocalAI …

Owns: which of that server's models are ours to use. Never: starts or stops it (``server.py`` does that), holds memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import LoadFailed, ModelUnusable, Overloaded, ProviderError, Unreachable
from arbiter_tui.provider import EventSink, LoadedModel, ProviderConfig

from . import _openai_wire as wire
from . import _tools
from ._openai_runtime import OpenAiModel, Runtime
from ._options import address, flag, known, names, positive, seconds
from ._running import RunningModel

OPTIONS = ("base_url", "base_urls", "models", "api_key", "context", "parallel", "chat", "stall_timeout_s")
_POLL_S = 0.015  # a swap is felt no longer than this after its server is ready


class OpenAiCompatibleProvider:
    """Options: base_url (without /v1), or base_urls (replicas: each serves the same models), models (default ["*"]),
    api_key, context, parallel (default 4), chat (default true; false: the model has no chat template), stall_timeout_s
    (default 120)."""

    kind = "openai_compatible"
    relays = wire.OWN

    def __init__(self, config: ProviderConfig) -> None:
        self.name = config.name
        known(config.options, OPTIONS)
        several = names(config.options.get("base_urls"), "base_urls") or (config.options.get("base_url"),)
        urls = [address(url, "http://127.0.0.1:8080") for url in several]
        if len(set(urls)) < len(urls):
            raise ValueError("base_urls names an address twice: each is a replica of its own")
        self._wanted = names(config.options.get("models"), "models") or ("*",)
        self._context = positive(config.options.get("context"), "context")
        self._parallel = positive(config.options.get("parallel"), "parallel")
        self._chat = flag(config.options.get("chat"), "chat", True)
        stall_s = seconds(config.options.get("stall_timeout_s"), "stall_timeout_s", 120.0)
        key = config.options.get("api_key")
        self._runtimes = [Runtime(url, key=key, stall_s=stall_s) for url in urls]
        self._loaded: set[OpenAiModel] = set()

    @property
    def base_url(self) -> str:
        return self._runtimes[0].base_url

    @property
    def base_urls(self) -> tuple[str, ...]:
        return tuple(runtime.base_url for runtime in self._runtimes)

    def replicas(self, version: ModelVersion) -> int:
        """One at each address."""
        return len(self._runtimes)

    async def available(self) -> str | None:
        try:
            await self._listed()
        except Unreachable as error:
            return f"{error}: start that server, or correct base_url"
        except (ProviderError, Overloaded) as error:
            return str(error)
        return None

    async def discover(self) -> list[ModelVersion]:
        """What /v1/models lists and ``models`` names; a server that is not there has none."""
        try:
            return await self._versions()
        except Unreachable:
            return []

    async def inspect(self, source: str) -> ModelVersion:
        versions = await self._versions(everything=True)
        for version in versions:
            if source in (version.source, version.model, f"{self.name}:{version.source}"):
                return version
        known = ", ".join(v.source for v in versions) or "nothing"
        raise ModelUnusable(f"{self.base_url} has no model {source!r}; it has {known}")

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        """Unknown, and none of our budget: a server that we don't steer holds the model, or loads it on demand."""
        return None

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        """Waits until the server is ready and lists the model; a server that loads on demand does so at the first
        request."""
        return await self.load_replica(version, 0, timeout_s=timeout_s, on_event=on_event)

    async def load_replica(
        self, version: ModelVersion, number: int, *, timeout_s: float, on_event: EventSink
    ) -> LoadedModel:
        """As ``load``, at the address ``number``."""
        runtime = self._runtimes[number]
        try:
            async with asyncio.timeout(timeout_s):
                while not await _ready(runtime, version):  # noqa: ASYNC110 - another process's readiness
                    await asyncio.sleep(_POLL_S)
                props = await runtime.props()
        except TimeoutError:
            raise LoadFailed(f"{version.version} was not ready at {runtime.base_url} within {timeout_s:g} s") from None
        chat = bool(version.options.get("chat", self._chat))
        # llama-server alone has /props; it alone takes GBNF.
        dialect = wire.Dialect(version.source, grammar=bool(props), chat=chat, tools=_tools.supported(props))
        model = RunningModel(
            runtime, version, dialect, on_event=on_event, forget=self._loaded.discard, slots=_slots(props)
        )
        self._loaded.add(model)
        return model

    async def close(self) -> None:
        for model in list(self._loaded):
            await model.unload()
        for runtime in self._runtimes:
            await runtime.close()

    async def _listed(self) -> tuple[Runtime, list[dict[str, Any]]]:
        """The first address that answers, and the models that it lists. Raises what the last of them failed with."""
        *others, last = self._runtimes
        for runtime in others:
            with contextlib.suppress(ProviderError, Overloaded):
                return runtime, await runtime.models()
        return last, await last.models()

    async def _versions(self, *, everything: bool = False) -> list[ModelVersion]:
        runtime, entries = await self._listed()
        props = await runtime.props() if entries else {}
        context = self._context or _context(props)
        found = (
            wire.version_of(e, provider=self.name, context=context, parallel=self._parallel or _slots(props) or 4,
                            chat=self._chat, senses=wire.senses(props))
            for e in entries
            if everything or "*" in self._wanted or e.get("id") in self._wanted
        )  # fmt: skip
        return [version for version in found if version is not None]


async def _ready(runtime: Runtime, version: ModelVersion) -> bool:
    try:
        listed = [e.get("id") for e in await runtime.models()]
    except Overloaded:
        return False  # llama-server answers 503 while it loads
    if version.source not in listed:
        raise ModelUnusable(f"{runtime.base_url} has no model {version.source!r} (any more)")
    return True


def _slots(props: dict[str, Any]) -> int | None:
    told = props.get("total_slots")
    return told if isinstance(told, int) and told > 0 else None


def _context(props: dict[str, Any]) -> int | None:
    """Tokens of one slot."""
    told = (props.get("default_generation_settings") or {}).get("n_ctx")
    return told if isinstance(told, int) and told > 0 else None
