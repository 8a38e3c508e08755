"""The provider on any server that already runs and speaks OpenAI's dialect: LM Studio, llama-server, vLLM, LocalAI …

Owns: which of that server's models are ours to use. Never: starts or stops it (``server.py`` does that), holds memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import LoadFailed, ModelUnusable, Overloaded, ProviderError, Unreachable
from arbiter_tui.provider import EventSink, LoadedModel, ProviderConfig

from . import _openai_wire as wire
from . import _tools
from ._openai_runtime import OpenAiModel, Runtime
from ._options import address, names, positive

_POLL_S = 0.05


class OpenAiCompatibleProvider:
    """Options: base_url (without /v1), models (default ["*"]), api_key, context, parallel (default 4), chat (default
    true; false: the model has no chat template), stall_timeout_s (default 120)."""

    kind = "openai_compatible"

    def __init__(self, config: ProviderConfig) -> None:
        self.name = config.name
        url = address(config.options.get("base_url"), "http://127.0.0.1:8080")
        self._wanted = names(config.options.get("models"), "models") or ("*",)
        self._context = positive(config.options.get("context"), "context")
        self._parallel = positive(config.options.get("parallel"), "parallel")
        self._chat = bool(config.options.get("chat", True))
        stall = positive(config.options.get("stall_timeout_s"), "stall_timeout_s")
        self._runtime = Runtime(url, key=config.options.get("api_key"), stall_s=stall or 120.0)
        self._loaded: set[OpenAiModel] = set()

    @property
    def base_url(self) -> str:
        return self._runtime.base_url

    async def available(self) -> str | None:
        try:
            await self._runtime.models()
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
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._ready(version):  # noqa: ASYNC110 - another process's readiness
                    await asyncio.sleep(_POLL_S)
                props = await self._runtime.props()
        except TimeoutError:
            raise LoadFailed(f"{version.version} was not ready at {self.base_url} within {timeout_s:g} s") from None
        chat = bool(version.options.get("chat", self._chat))
        # llama-server alone has /props; it alone takes GBNF.
        dialect = wire.Dialect(version.source, grammar=bool(props), chat=chat, tools=_tools.supported(props))
        model = OpenAiModel(
            self._runtime, version, dialect, on_event=on_event, forget=self._loaded.discard, slots=_slots(props)
        )
        self._loaded.add(model)
        return model

    async def close(self) -> None:
        for model in list(self._loaded):
            await model.unload()
        await self._runtime.close()

    async def _ready(self, version: ModelVersion) -> bool:
        try:
            listed = [e.get("id") for e in await self._runtime.models()]
        except Overloaded:
            return False  # llama-server answers 503 while it loads
        if version.source not in listed:
            raise ModelUnusable(f"{self.base_url} has no model {version.source!r} (any more)")
        return True

    async def _versions(self, *, everything: bool = False) -> list[ModelVersion]:
        entries = await self._runtime.models()
        props = await self._runtime.props() if entries else {}
        context = self._context or _context(props)
        found = (
            wire.version_of(e, provider=self.name, context=context, parallel=self._parallel or _slots(props) or 4,
                            chat=self._chat)
            for e in entries
            if everything or "*" in self._wanted or e.get("id") in self._wanted
        )  # fmt: skip
        return [version for version in found if version is not None]


def _slots(props: dict[str, Any]) -> int | None:
    told = props.get("total_slots")
    return told if isinstance(told, int) and told > 0 else None


def _context(props: dict[str, Any]) -> int | None:
    """Tokens of one slot."""
    told = (props.get("default_generation_settings") or {}).get("n_ctx")
    return told if isinstance(told, int) and told > 0 else None
