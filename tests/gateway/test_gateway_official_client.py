"""The official OpenAI client against a running engine: what it parses is what we promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from gateway_cases import Stand, served

from arbiter_tui.testing import Behaviour

USER = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def sdk(live: Stand) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_async_whole_and_streamed(sdk: openai.AsyncOpenAI) -> None:
    """Content, usage, finish reason; the stream joins to the same text and ends with usage."""
    whole = await sdk.chat.completions.create(model="arbiter/chat", messages=USER)  # type: ignore[arg-type]
    stream = await sdk.chat.completions.create(
        model="arbiter/chat",
        messages=USER,
        stream=True,
        stream_options={"include_usage": True},  # type: ignore[arg-type]
    )
    text, finish, usage = "", None, None
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert text == whole.choices[0].message.content
    assert finish == whole.choices[0].finish_reason == "stop"
    assert usage is not None
    assert whole.usage is not None
    assert usage.total_tokens == whole.usage.total_tokens


async def test_the_rest_of_the_async_client(sdk: openai.AsyncOpenAI) -> None:
    """Completions, embeddings (base64 by default), models, and the raw headers."""
    text = await sdk.completions.create(model="fake-b", prompt="x")
    assert text.choices[0].text == "another answer"
    parts = [c.choices[0].text async for c in await sdk.completions.create(model="fake-b", prompt="x", stream=True)]
    assert "".join(parts) == "another answer"
    vectors = await sdk.embeddings.create(model="fake-a", input=["a", "b"])
    assert [len(v.embedding) for v in vectors.data] == [8, 8]
    assert "fake-a" in [m.id async for m in sdk.models.list()]
    assert (await sdk.models.retrieve("fake-a")).id == "fake-a"
    raw = await sdk.chat.completions.with_raw_response.create(model="fake-b", messages=USER)  # type: ignore[arg-type]
    assert raw.headers["x-arbiter-model"] == "fake-b"


async def test_its_errors_are_the_right_classes(sdk: openai.AsyncOpenAI) -> None:
    """404 and 400 arrive as the client's own exceptions, with our code and message."""
    with pytest.raises(openai.NotFoundError) as missing:
        await sdk.chat.completions.create(model="fake-x", messages=USER)  # type: ignore[arg-type]
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        await sdk.chat.completions.create(model="fake-a", messages=USER, n=2)  # type: ignore[arg-type]
    assert wrong.value.param == "n"


async def test_a_death_mid_stream_raises_in_the_client() -> None:
    """Silent truncation is impossible: iterating raises."""
    async with (
        served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one,
        openai.AsyncOpenAI(base_url=f"{one.url}/v1", api_key="none", max_retries=0) as sdk,
    ):
        stream = await sdk.chat.completions.create(model="fake-a", messages=USER, stream=True)  # type: ignore[arg-type]
        pieces: list[str] = []

        async def read() -> None:
            async for chunk in stream:
                pieces.append(chunk.choices[0].delta.content or "")

        with pytest.raises(openai.APIError, match="died"):
            await read()
        assert "".join(pieces) == "abc"


async def test_closing_a_stream_frees_the_model(live: Stand) -> None:
    """The client's own way of leaving early."""
    gate = asyncio.Event()
    live.how("fake-a").chunks, live.how("fake-a").gate = 16, gate
    gate.set()
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as sdk:
        stream = await sdk.chat.completions.create(model="fake-a", messages=USER, stream=True)  # type: ignore[arg-type]
        async for _ in stream:
            gate.clear()
            break
        await stream.close()
        gate.set()
        again = await sdk.chat.completions.create(model="fake-a", messages=USER)  # type: ignore[arg-type]
    assert again.choices[0].message.content == "hello wide world"
    assert live.arbiter.in_flight == 0


async def test_the_synchronous_client_whole_and_streamed(live: Stand) -> None:
    """The same promises for the blocking client, in a thread beside the server's loop."""

    def use() -> tuple[str | None, str, str]:
        with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as sdk:
            whole = sdk.chat.completions.create(model="fake-a", messages=USER)  # type: ignore[arg-type]
            with sdk.chat.completions.create(model="fake-a", messages=USER, stream=True) as stream:  # type: ignore[arg-type]
                pieces = "".join(c.choices[0].delta.content or "" for c in stream)
            text = sdk.completions.create(model="fake-b", prompt="x")
        return whole.choices[0].message.content, pieces, text.choices[0].text

    assert await asyncio.to_thread(use) == ("hello wide world", "hello wide world", "another answer")
