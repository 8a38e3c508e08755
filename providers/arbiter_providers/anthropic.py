"""The provider on Anthropic's API, or on one that speaks it. Off unless a block names its key and its models.

Owns: the conversation with that service. Never: asks for a model that its block doesn't name.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import NotSupported, Overloaded, ProviderError, Unreachable, WorkerDied
from arbiter_tui.provider import Chunk, Done, EventSink, InstanceStats, LoadedModel, Request, Sink

from . import _anthropic_wire as wire
from ._openai_runtime import Runtime
from ._paid import Looks, PaidProvider
from ._passing import passed
from ._streams import chunks


class AnthropicRuntime(Runtime):
    what = "Anthropic API"

    def __init__(self, base_url: str, *, key: str, stall_s: float) -> None:
        super().__init__(base_url, key=key, stall_s=stall_s)
        self._headers = {"x-api-key": key, "anthropic-version": wire.VERSION}

    def error(self, status: int, body: bytes, *, name: str) -> ProviderError | Overloaded:
        return wire.error(status, self.hidden(body), name=name)


class AnthropicProvider(PaidProvider):
    __doc__ = PaidProvider.__doc__

    kind = "anthropic"
    relays = (wire.MESSAGES,)
    default_url = "https://api.anthropic.com"
    key_example = "env:ANTHROPIC_API_KEY"
    vendor = "anthropic"

    def make_runtime(self, url: str, key: str, stall_s: float) -> Runtime:
        return AnthropicRuntime(url, key=key, stall_s=stall_s)

    def make_model(self, version: ModelVersion, on_event: EventSink) -> LoadedModel:
        return AnthropicModel(self, version)


class AnthropicModel:
    """Its connections break without its model being gone: that is no event."""

    def __init__(self, provider: AnthropicProvider, version: ModelVersion) -> None:
        self.version = version
        self._provider = provider
        self._looks = Looks(lambda: provider.check(version.source))
        self._unloaded = False

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if self._unloaded:
            raise WorkerDied(f"{self.version.version} was unloaded")
        runtime, name = self._provider.runtime, self.version.version
        body = wire.call(request, self.version.source, leave_out=self._provider.leave_out)
        events = wire.Events(request, name=name, error=runtime.error)
        async with aclosing(chunks(runtime, wire.MESSAGES, body, events, name=name, gone=self._gone)) as pieces:
            async for chunk in pieces:
                yield chunk

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        """The service's own answer to a client of its own."""
        body = wire.original(request, self.version.source, leave_out=self._provider.leave_out)
        return None if body is None else self._relay(body, request)

    async def _relay(self, body: dict[str, Any], request: Request) -> AsyncGenerator[bytes | Done, Sink | None]:
        if self._unloaded:
            raise WorkerDied(f"{self.version.version} was unloaded")
        runtime, name = self._provider.runtime, self.version.version
        events = wire.Events(request, name=name, error=runtime.error)
        whole = None if body["stream"] else wire.ended
        passing = passed(runtime, wire.MESSAGES, body, events, name=name, gone=self._gone, whole=whole)
        async with aclosing(passing) as pieces:
            async for piece in pieces:
                yield piece

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise NotSupported(f"{self.version.version}: this service has no embeddings")

    async def health(self) -> bool:
        return not self._unloaded and await self._looks.well()

    async def stats(self) -> InstanceStats:
        return InstanceStats(context=self.version.context, parallel=self.version.parallel)

    def log(self) -> list[str]:
        return []

    async def unload(self) -> None:
        self._unloaded = True
        self._provider.forget(self)

    def _gone(self, why: str) -> ProviderError:
        return Unreachable(f"{self.version.version}: {why}")
