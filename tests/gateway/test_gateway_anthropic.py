"""Anthropic's dialect: its official client against a running engine, and what a client would hide."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import pytest
from gateway_cases import Stand, served, stand, until

from arbiter_tui.provider import Request, ToolCall
from arbiter_tui.testing import Behaviour

PATH = "/v1/messages"
USER: Any = [{"role": "user", "content": "hi"}]
CLOCK: Any = {"name": "clock", "description": "The time.", "input_schema": {"type": "object", "properties": {}}}
CALLS = (ToolCall("c1", "clock", '{"zone": "CET"}'), ToolCall("c2", "clock", "{}"))


@pytest.fixture
async def sdk(live: Stand) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=live.url, api_key="none", max_retries=0) as client:
        yield client


async def post(one: Stand, **body: Any) -> httpx.Response:
    return await one.http.post(PATH, json={"model": "fake-a", "max_tokens": 9, "messages": USER, **body})


def told(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """(event, data) of a stream; fails if a name and its data's type differ."""
    found = []
    for block in answer.text.strip().split("\n\n"):
        name, data = (line.split(": ", 1)[1] for line in block.splitlines())
        assert json.loads(data)["type"] == name
        found.append((name, json.loads(data)))
    return found


# ── the official client ───────────────────────────────────────────────────────────────────────────────────────────


async def test_whole_and_streamed(sdk: anthropic.AsyncAnthropic) -> None:
    """The same text, stop reason and usage, whichever way."""
    whole = await sdk.messages.create(model="arbiter/chat", max_tokens=9, messages=USER)
    async with sdk.messages.stream(model="arbiter/chat", max_tokens=9, messages=USER) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        last = await stream.get_final_message()
    assert whole.content[0].type == "text"
    assert text == whole.content[0].text == "hello wide world"
    assert whole.stop_reason == last.stop_reason == "end_turn"
    assert whole.usage.output_tokens == last.usage.output_tokens == 4
    raw = await sdk.messages.with_raw_response.create(model="fake-b", max_tokens=9, messages=USER)
    assert raw.headers["x-arbiter-model"] == (await raw.parse()).model == "fake-b"


async def test_tools_whole_and_streamed(sdk: anthropic.AsyncAnthropic, live: Stand) -> None:
    """Text, then both calls as blocks with their inputs; the reason is tool_use."""
    live.how("fake-a").tools = CALLS
    ask: Any = {"model": "fake-a", "max_tokens": 9, "messages": USER, "tools": [CLOCK], "tool_choice": {"type": "any"}}
    whole = await sdk.messages.create(**ask)
    async with sdk.messages.stream(**ask) as stream:
        last = await stream.get_final_message()
    for message in (whole, last):
        assert message.stop_reason == "tool_use"
        assert [b.type for b in message.content] == ["text", "tool_use", "tool_use"]
        assert [(b.id, b.input) for b in message.content if b.type == "tool_use"] == [
            ("c1", {"zone": "CET"}),
            ("c2", {}),
        ]


async def test_counting_tokens_wakes_nobody(sdk: anthropic.AsyncAnthropic, live: Stand) -> None:
    """An estimate that grows with the question; an unknown model is refused."""
    short = await sdk.messages.count_tokens(model="fake-a", messages=USER)
    long = await sdk.messages.count_tokens(model="fake-a", messages=USER, system="be brief " * 50, tools=[CLOCK])
    assert 0 < short.input_tokens < long.input_tokens
    with pytest.raises(anthropic.NotFoundError):
        await sdk.messages.count_tokens(model="nope", messages=USER)
    assert live.provider.loads == []


async def test_its_errors_are_the_right_classes(sdk: anthropic.AsyncAnthropic) -> None:
    """404 and 400 arrive as the client's own exceptions."""
    with pytest.raises(anthropic.NotFoundError, match="nope"):
        await sdk.messages.create(model="nope", max_tokens=9, messages=USER)
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        await sdk.messages.create(model="fake-a", max_tokens=9, messages=USER, extra_body={"temperature": 1.5})


async def test_a_bearer_token_is_as_good_as_a_key(live: Stand) -> None:
    """Without keys of its own the engine asks for none, and neither way of sending one is a mistake."""
    async with anthropic.AsyncAnthropic(base_url=live.url, auth_token="none", max_retries=0) as sdk:
        assert (await sdk.messages.create(model="fake-a", max_tokens=9, messages=USER)).stop_reason == "end_turn"


async def test_a_death_mid_stream_raises_in_the_client() -> None:
    """Silent truncation is impossible: the error event raises."""
    async with (
        served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one,
        anthropic.AsyncAnthropic(base_url=one.url, api_key="none", max_retries=0) as sdk,
    ):
        pieces: list[str] = []

        async def read() -> None:
            async with sdk.messages.stream(model="fake-a", max_tokens=9, messages=USER) as stream:
                async for piece in stream.text_stream:
                    pieces.append(piece)

        with pytest.raises(anthropic.APIStatusError, match="died"):
            await read()
        assert "".join(pieces) == "abc"


async def test_the_synchronous_client(live: Stand) -> None:
    """The same promises for the blocking client, in a thread beside the server's loop."""

    def use() -> tuple[str, str]:
        with anthropic.Anthropic(base_url=live.url, api_key="none", max_retries=0) as sdk:
            whole = sdk.messages.create(model="fake-a", max_tokens=9, messages=USER)
            with sdk.messages.stream(model="fake-a", max_tokens=9, messages=USER) as stream:
                return "".join(b.text for b in whole.content if b.type == "text"), "".join(stream.text_stream)

    assert await asyncio.to_thread(use) == ("hello wide world", "hello wide world")


# ── the bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_order_of_events(inside: Stand) -> None:
    """Each block is opened, filled and closed before the next; the reason and the counts come last."""
    inside.how("fake-a").tools = CALLS
    events = told(await post(inside, stream=True, tools=[CLOCK]))
    names = [name for name, _ in events]
    block = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    text = [block[0], *["content_block_delta"] * 4, block[3]]
    assert names == ["message_start", *text, *block, *block, "message_delta", "message_stop"]
    assert [data["index"] for _, data in events if "index" in data] == [0] * 6 + [1] * 4 + [2] * 4
    assert events[0][1]["message"]["content"] == []
    assert events[0][1]["message"]["usage"]["input_tokens"] >= 1
    assert events[-2][1]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2][1]["usage"] == {"input_tokens": 1, "output_tokens": 4}


async def test_an_empty_answer_has_no_block(inside: Stand) -> None:
    """Nothing is invented: no empty text."""
    inside.how("fake-a").answer = ""
    assert [n for n, _ in told(await post(inside, stream=True))] == ["message_start", "message_delta", "message_stop"]
    assert (await post(inside)).json()["content"] == []


async def test_fields_and_blocks_reach_the_model() -> None:
    """System blocks, stop words, choices, calls and results of earlier turns, unknown fields; old thoughts stay out."""
    seen: list[Request] = []
    async with stand({"fake-a": Behaviour(answer=lambda r: seen.append(r) or "ok")}) as one:  # type: ignore[func-returns-value]
        turns = [
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "b"},
                {"type": "tool_use", "id": "c1", "name": "clock", "input": {"zone": "é"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "12:00"}]},
                {"type": "text", "text": "and now?"},
            ]},
        ]  # fmt: skip
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        answer = await post(
            one, messages=turns, system=[{"type": "text", "text": "brief"}], stop_sequences=["END"], temperature=0.5,
            tools=[CLOCK], tool_choice={"type": "tool", "name": "clock", "disable_parallel_tool_use": True}, top_k=5,
            output_config={"format": {"type": "json_schema", "schema": schema}}, metadata={"user_id": "u"},
            thinking={"type": "disabled"},
        )  # fmt: skip
    assert answer.status_code == 200, answer.text
    (request,) = seen
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "brief"), ("user", "a"), ("assistant", "b"), ("tool", "12:00"), ("user", "and now?")
    ]  # fmt: skip
    assert request.messages[2].tool_calls == (ToolCall("c1", "clock", '{"zone": "é"}'),)
    assert request.messages[3].tool_call_id == "c1"
    assert (request.max_tokens, request.stop, request.temperature) == (9, ("END",), 0.5)
    assert request.json_schema == schema
    assert request.tools[0]["function"]["parameters"] == CLOCK["input_schema"]
    assert request.tool_choice == {"type": "function", "function": {"name": "clock"}}
    assert request.extra == {"top_k": 5, "parallel_tool_calls": False}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": None}, "max_tokens"), ({"max_tokens": 0}, "max_tokens"), ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "f"}]}]},
         "messages[0].content[0].input"),
        ({"system": 5}, "system"), ({"system": [{"type": "image"}]}, "system[0]"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"temperature": 2}, "temperature"), ({"tools": {}}, "tools"), ({"tools": [{}]}, "tools[0].name"),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema"), ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"), ({"tools": [CLOCK], "tool_choice": {}}, "tool_choice"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format"), ({"model": None}, "model"),
    ],
)  # fmt: skip
async def test_wrong_fields_are_named_in_the_dialect(inside: Stand, change: dict[str, Any], param: str) -> None:
    """400, Anthropic's shape, the field in the message; nothing is loaded."""
    answer = await post(inside, **change)
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert param in body["error"]["message"]
    assert inside.provider.loads == []


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"[]", 400, "invalid_request_error"), (b"\xff", 400, "invalid_request_error"),
        (b'{"a":' * 100_000, 400, "invalid_request_error"), (b'{"a": NaN}', 400, "invalid_request_error"),
        (b'{"model": "a", "model": "b"}', 400, "invalid_request_error"),
        (b" " * (9 * 2**20), 413, "request_too_large"),
    ],
    ids=["array", "utf-8", "nested", "nan", "twice", "large"],
)  # fmt: skip
async def test_malformed_bodies_in_the_dialect(inside: Stand, body: bytes, status: int, kind: str) -> None:
    """Every refusal has Anthropic's shape, whoever made it."""
    answer = await inside.http.post(PATH, content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    foreign = await inside.http.post(PATH, content=b"{}", headers={"host": "evil.example"})
    assert (foreign.status_code, foreign.json()["error"]["type"]) == (403, "permission_error")
    assert (await inside.http.get(PATH)).json()["type"] == "error"


async def test_a_model_that_can_not_do_tools_says_so(inside: Stand) -> None:
    """400, and nothing was generated."""
    inside.how("fake-a").tools = None
    answer = await post(inside, tools=[CLOCK])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_supported")


async def test_a_stream_stays_alive_while_its_model_loads() -> None:
    """Comments before message_start, which the official client passes over."""
    gate = asyncio.Event()
    async with (
        served({"fake-a": Behaviour(answer="hi", load_gate=gate)}, ping_s=0.01) as one,
        anthropic.AsyncAnthropic(base_url=one.url, api_key="none", max_retries=0) as sdk,
    ):

        async def ask() -> str:
            async with sdk.messages.stream(model="fake-a", max_tokens=9, messages=USER) as stream:
                return await stream.get_final_text()

        asked = asyncio.create_task(ask())
        await until(lambda: one.provider.loads == ["fake-a"])
        await asyncio.wait({asked}, timeout=0.05)
        gate.set()
        assert await asked == "hi"
