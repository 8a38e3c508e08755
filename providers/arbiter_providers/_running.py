"""A model of a server that speaks OpenAI's dialect and is not paid for: embeddings with all that their client says, and
what the server says of its own work.

Owns: these two exchanges. Never: the address or the key (the runtime's), an answer (_openai_runtime.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from arbiter_tui.errors import ProviderError
from arbiter_tui.provider import InstanceStats

from . import _openai_wire as wire
from ._harvest import Harvest
from ._openai_runtime import OpenAiModel


class RunningModel(OpenAiModel):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.harvest = Harvest(self._runtime)

    async def stats(self) -> InstanceStats:
        return replace(await super().stats(), load=await self.harvest.load())

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors, _ = await self.embed_with(texts, {})
        return vectors

    async def embed_with(self, texts: Sequence[str], extra: Mapping[str, Any]) -> tuple[list[list[float]], int | None]:
        self._check()
        if not texts:
            return [], None
        body = {**extra, "model": self._dialect.model, "input": list(texts)}
        told = await self._runtime.post(wire.EMBEDDINGS, body, name=self.version.version)
        try:
            rows = sorted(told["data"], key=lambda row: row["index"])
            vectors = [[float(x) for x in row["embedding"]] for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"{self.version.version} gave no embeddings ({type(error).__name__})") from error
        return vectors, _tokens(told.get("usage"))


def _tokens(usage: Any) -> int | None:
    found = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None
