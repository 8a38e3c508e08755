"""OpenAI's Responses API, without a memory: the official client, the order of events, what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from gateway_cases import Stand, served, stand

from arbiter_tui.provider import Request, ToolCall
from arbiter_tui.testing import Behaviour

PATH = "/v1/responses"
CLOCK: Any = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}, "strict": False}
CALLS = (ToolCall("c1", "clock", '{"zone": "CET"}'), ToolCall("c2", "clock", "{}"))


@pytest.fixture
async def sdk(live: Stand) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def post(one: Stand, **body: Any) -> httpx.Response:
    return await one.http.post(PATH, json={"model": "fake-a", "input": "hi", **body})


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    """The data of the events; fails if a name and its data's type differ."""
    found = []
    for block in answer.text.strip().split("\n\n"):
        name, data = (line.split(": ", 1)[1] for line in block.splitlines())
        found.append(json.loads(data))
        assert found[-1]["type"] == name
    return found


async def test_the_official_client_whole_and_streamed(sdk: openai.AsyncOpenAI) -> None:
    """The same text and usage, whichever way; nothing is stored."""
    whole = await sdk.responses.create(model="arbiter/chat", input="hi")
    async with sdk.responses.stream(model="arbiter/chat", input="hi") as stream:
        deltas = "".join([e.delta async for e in stream if e.type == "response.output_text.delta"])
        last = await stream.get_final_response()
    assert whole.output_text == last.output_text == deltas == "hello wide world"
    assert whole.status == last.status == "completed"
    assert whole.usage is not None
    assert whole.usage == last.usage
    assert whole.store is False


async def test_the_official_client_with_tools(sdk: openai.AsyncOpenAI, live: Stand) -> None:
    """Text, then both calls, as items of their own."""
    live.how("fake-a").tools = CALLS
    whole = await sdk.responses.create(model="fake-a", input="hi", tools=[CLOCK], tool_choice="required")
    async with sdk.responses.stream(model="fake-a", input="hi", tools=[CLOCK]) as stream:
        last = await stream.get_final_response()
    for response in (whole, last):
        assert [i.type for i in response.output] == ["message", "function_call", "function_call"]
        assert [(i.call_id, i.name, i.arguments) for i in response.output if i.type == "function_call"] == [
            (c.id, c.name, c.arguments) for c in CALLS
        ]


async def test_the_order_of_events(inside: Stand) -> None:
    """Each item is added, filled and done before the next; numbers run through; the end repeats the whole output."""
    inside.how("fake-a").tools = CALLS
    events = told(await post(inside, stream=True, tools=[CLOCK]))
    text = ["output_item.added", "content_part.added", *["output_text.delta"] * 4, "output_text.done",
            "content_part.done", "output_item.done"]  # fmt: skip
    call = ["output_item.added", *["function_call_arguments.delta"] * 2, "function_call_arguments.done",
            "output_item.done"]  # fmt: skip
    names = ["created", "in_progress", *text, *call, *call, "completed"]
    assert [e["type"] for e in events] == [f"response.{n}" for n in names]
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == done
    assert len({item["id"] for item in done}) == 3


async def test_a_whole_answer_has_the_streams_items(inside: Stand) -> None:
    """One shape for both ways, ids aside."""
    inside.how("fake-a").tools = CALLS
    whole = (await post(inside, tools=[CLOCK])).json()
    last = told(await post(inside, tools=[CLOCK], stream=True))[-1]["response"]
    assert whole.keys() == last.keys()
    strip = [[{k: v for k, v in i.items() if k != "id"} for i in r["output"]] for r in (whole, last)]
    assert strip[0] == strip[1]


async def test_items_and_fields_reach_the_model() -> None:
    """Instructions, parts, calls that follow each other as one turn, results, schema, unknown fields."""
    seen: list[Request] = []
    async with stand({"fake-a": Behaviour(answer=lambda r: seen.append(r) or "ok")}) as one:  # type: ignore[func-returns-value]
        call = {"type": "function_call", "name": "clock", "arguments": "{}"}
        items = [
            {"role": "developer", "content": "d"},
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            {"type": "reasoning", "summary": []},
            {**call, "call_id": "c1"}, {**call, "call_id": "c2"},
            {"type": "function_call_output", "call_id": "c1", "output": "12:00"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "noon"}]},
        ]  # fmt: skip
        schema = {"type": "object"}
        form = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
        answer = await post(
            one, input=items, instructions="be brief", text=form, max_output_tokens=7, tools=[CLOCK],
            tool_choice={"type": "function", "name": "clock"}, new_field=1, metadata={"a": "b"},
        )  # fmt: skip
    assert answer.status_code == 200, answer.text
    (request,) = seen
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "be brief"), ("system", "d"), ("user", "ab"), ("assistant", ""), ("tool", "12:00"),
        ("assistant", "noon"),
    ]  # fmt: skip
    assert [c.id for c in request.messages[3].tool_calls] == ["c1", "c2"]
    assert (request.max_tokens, request.json_schema, request.extra) == (7, schema, {"new_field": 1})
    assert request.tools[0]["function"]["name"] == "clock"
    assert answer.json()["metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": None}, "input"), ({"input": []}, "input"), ({"input": [5]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"), ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"), ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"), ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"max_output_tokens": 0}, "max_output_tokens"), ({"include": "x"}, "include"), ({"model": None}, "model"),
    ],
)  # fmt: skip
async def test_what_can_not_be_is_named(inside: Stand, change: dict[str, Any], param: str) -> None:
    """400 with the field; whatever needs a memory is refused; nothing is loaded."""
    answer = await post(inside, **change)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert inside.provider.loads == []


async def test_a_death_mid_stream_raises_in_the_client() -> None:
    """An error event, then the cut: iterating raises."""
    async with (
        served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one,
        openai.AsyncOpenAI(base_url=f"{one.url}/v1", api_key="none", max_retries=0) as sdk,
    ):
        pieces: list[str] = []

        async def read() -> None:
            async for event in await sdk.responses.create(model="fake-a", input="hi", stream=True):
                if event.type == "response.output_text.delta":
                    pieces.append(event.delta)

        with pytest.raises(openai.APIError, match="died"):
            await read()
        assert "".join(pieces) == "abc"


async def test_log_probabilities_on_request(inside: Stand) -> None:
    """With ``top_logprobs``, in the part of the text."""
    whole = (await post(inside, top_logprobs=2)).json()
    assert len(whole["output"][0]["content"][0]["logprobs"][0]["top_logprobs"]) == 2
    assert (await post(inside)).json()["output"][0]["content"][0]["logprobs"] == []
