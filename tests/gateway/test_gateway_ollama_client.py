"""The official Ollama client against a running engine: what it parses is what we promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import ollama
import pytest
from gateway_cases import Stand, served

from arbiter_tui.provider import ToolCall
from arbiter_tui.testing import Behaviour

USER = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def sdk(live: Stand) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(host=live.url, trust_env=False) as client:
        yield client


async def test_chat_and_generate_whole_and_streamed(sdk: ollama.AsyncClient) -> None:
    """The pieces join to the whole; durations and counts are where the client looks."""
    whole = await sdk.chat("arbiter/chat", messages=USER)
    pieces = [p async for p in await sdk.chat("arbiter/chat:latest", messages=USER, stream=True)]
    assert "".join(p.message.content or "" for p in pieces) == whole.message.content == "hello wide world"
    assert (pieces[-1].done, pieces[-1].done_reason, pieces[-1].eval_count) == (True, "stop", 4)
    assert whole.total_duration is not None
    text = await sdk.generate("fake-b", prompt="hi")
    streamed = [p async for p in await sdk.generate("fake-b", prompt="hi", stream=True)]
    assert "".join(p.response for p in streamed) == text.response == "another answer"


async def test_lists_and_models(sdk: ollama.AsyncClient) -> None:
    """list, show, ps, preload, unload: as an Ollama front end uses them."""
    names = [m.model for m in (await sdk.list()).models]
    assert "fake-a:latest" in names
    assert "completion" in ((await sdk.show("fake-a")).capabilities or [])
    assert (await sdk.generate("fake-a", keep_alive="5m")).done_reason == "load"
    (running,) = (await sdk.ps()).models
    assert (running.name, running.size) == ("fake-a:latest", 100 * 2**20)
    assert running.expires_at is not None
    assert (await sdk.generate("fake-a", keep_alive=0)).done_reason == "unload"
    assert not (await sdk.ps()).models


async def test_embeddings_tools_and_log_probabilities(sdk: ollama.AsyncClient, live: Stand) -> None:
    """Typed all the way."""
    assert [len(v) for v in (await sdk.embed("fake-a", input=["a", "b"])).embeddings] == [8, 8]
    assert len((await sdk.embeddings("fake-a", prompt="a")).embedding) == 8
    live.how("fake-a").tools = (ToolCall("c1", "clock", '{"zone": "CET"}'),)

    def clock(zone: str) -> str:
        """The time.

        Args:
            zone: where
        """
        return zone

    answer = await sdk.chat("fake-a", messages=USER, tools=[clock])
    (call,) = answer.message.tool_calls or []
    assert (call.function.name, dict(call.function.arguments)) == ("clock", {"zone": "CET"})
    likely = await sdk.chat("fake-b", messages=USER, logprobs=True, top_logprobs=2)
    assert likely.logprobs is not None
    assert len(likely.logprobs[0].top_logprobs or []) == 2


async def test_its_errors_are_its_own(sdk: ollama.AsyncClient) -> None:
    """404, 400 and 501 arrive as ResponseError with our sentence."""
    for ask, status in (
        (sdk.chat("nope", messages=USER), 404),
        (sdk.chat("fake-a", messages=USER, options={"temperature": 99}), 400),
        (sdk.pull("fake-a"), 501),
    ):
        with pytest.raises(ollama.ResponseError) as refused:
            await ask
        assert refused.value.status_code == status


async def test_a_death_mid_stream_raises_in_the_client() -> None:
    """Silent truncation is impossible."""
    async with (
        served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one,
        ollama.AsyncClient(host=one.url, trust_env=False) as sdk,
    ):
        pieces: list[str] = []

        async def read() -> None:
            async for piece in await sdk.chat("fake-a", messages=USER, stream=True):
                pieces.append(piece.message.content or "")

        with pytest.raises(ollama.ResponseError, match="died"):
            await read()
        assert "".join(pieces) == "abc"


async def test_the_synchronous_client(live: Stand) -> None:
    """The same promises for the blocking client, in a thread beside the server's loop."""

    def use() -> tuple[str | None, str]:
        with ollama.Client(host=live.url, trust_env=False) as sdk:
            whole = sdk.chat("fake-a", messages=USER)
            return whole.message.content, "".join(
                p.message.content or "" for p in sdk.chat("fake-a", messages=USER, stream=True)
            )

    assert await asyncio.to_thread(use) == ("hello wide world", "hello wide world")
