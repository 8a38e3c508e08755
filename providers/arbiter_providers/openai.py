"""The provider on OpenAI's own API, or on one that is paid like it. Off unless a block names its key and its models.

Owns: how that API differs from a local server of the same dialect. Never: asks for a model that its block doesn't name.
"""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import NotSupported, ProviderError, Unreachable
from arbiter_tui.provider import EventSink, InstanceStats, LoadedModel, Request

from . import _openai_wire as wire
from ._openai_runtime import OpenAiModel, Runtime
from ._paid import Looks, PaidProvider


class OpenAiProvider(PaidProvider):
    __doc__ = PaidProvider.__doc__

    kind = "openai"
    relays = ()
    default_url = "https://api.openai.com"
    key_example = "env:OPENAI_API_KEY"
    vendor = "openai"

    def make_runtime(self, url: str, key: str, stall_s: float) -> Runtime:
        return Runtime(url, key=key, stall_s=stall_s)

    def make_model(self, version: ModelVersion, on_event: EventSink) -> LoadedModel:
        return PaidOpenAiModel(self, version, on_event)


class PaidOpenAiModel(OpenAiModel):
    """Its connections break without its model being gone: that is no event."""

    def __init__(self, provider: OpenAiProvider, version: ModelVersion, on_event: EventSink) -> None:
        dialect = wire.Dialect(
            version.source, raw=False, limit="max_completion_tokens", leave_out=provider.leave_out
        )  # fmt: skip
        super().__init__(provider.runtime, version, dialect, on_event=on_event, forget=provider.forget)
        self._looks = Looks(lambda: provider.check(version.source))

    def _words(self, request: Request) -> bytes | None:
        """Never: what an answer took has to be known, and the client's own words may not ask for it."""
        return None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise NotSupported(
            f"{self.version.version}: embeddings of a paid service are not offered, their cost is untold"
        )

    async def health(self) -> bool:
        return not self._unloaded and await self._looks.well()

    async def stats(self) -> InstanceStats:
        return InstanceStats(context=self.version.context, parallel=self.version.parallel)

    def _gone(self, why: str) -> ProviderError:
        return Unreachable(f"{self.version.version}: {why}")
