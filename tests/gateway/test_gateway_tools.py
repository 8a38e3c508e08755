"""Tools in OpenAI's dialect, through the official client and bare."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from gateway_cases import CHAT, Stand, events

from arbiter_tui.provider import Request, ToolCall

CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
CALLS = (ToolCall("c1", "clock", '{"zone": "CET"}'), ToolCall("c2", "clock", '{"zone": "UTC"}'))
USER = [{"role": "user", "content": "hi"}]


async def test_the_official_client_gets_whole_and_streamed_calls(live: Stand) -> None:
    """Ids, names and arguments are those of the model, whole or joined from the deltas; the end says so."""
    live.how("fake-a").tools, live.how("fake-a").answer = CALLS, ""
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as sdk:
        ask: Any = {"model": "fake-a", "messages": USER, "tools": [CLOCK]}
        whole = (await sdk.chat.completions.create(**ask)).choices[0]
        assert whole.finish_reason == "tool_calls"
        assert whole.message.content is None
        told = [(c.id, c.function.name, c.function.arguments) for c in whole.message.tool_calls or []]
        assert told == [(c.id, c.name, c.arguments) for c in CALLS]
        async with sdk.chat.completions.stream(**ask) as stream:
            async for _ in stream:
                pass
            last = (await stream.get_final_completion()).choices[0]
        assert last.finish_reason == "tool_calls"
        assert [(c.id, c.function.arguments) for c in last.message.tool_calls or []] == [
            (c.id, c.arguments) for c in CALLS
        ]


async def test_a_streams_order_with_tools(inside: Stand) -> None:
    """Role and text first, then the calls' parts in order, then the reason, then [DONE]."""
    inside.how("fake-a").tools = CALLS
    answer = await inside.chat(tools=[CLOCK], stream=True)
    *told, done = events(answer.text)
    deltas = [json.loads(t)["choices"][0]["delta"] for t in told]
    assert done == "[DONE]"
    assert deltas[0]["role"] == "assistant"
    kinds = ["tool" if "tool_calls" in d else "text" for d in deltas[1:-1]]
    assert kinds == ["text"] * 4 + ["tool"] * 4
    assert json.loads(told[-1])["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_conversation_with_results_reaches_the_model(inside: Stand) -> None:
    """Calls of an earlier turn with null content, results with their id, the choice, parallel_tool_calls untouched."""
    seen: list[Request] = []
    inside.how("fake-a").answer = lambda request: seen.append(request) or "ok"  # type: ignore[func-returns-value]
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    turns = [
        *USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
    ]
    body = {
        "model": "fake-a", "messages": turns, "tools": [CLOCK], "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "clock"}},
    }  # fmt: skip
    assert (await inside.http.post(CHAT, json=body)).status_code == 200
    (request,) = seen
    assert request.messages[1].tool_calls == (ToolCall("c1", "clock", "{}"),)
    assert (request.messages[2].role, request.messages[2].tool_call_id) == ("tool", "c1")
    assert request.tools == (CLOCK,)
    assert request.tool_choice == body["tool_choice"]
    assert request.extra == {"parallel_tool_calls": False}


@pytest.mark.parametrize("ask", [{"tools": [CLOCK]}, {"messages": [*USER, {"role": "tool", "content": "x"}]}])
async def test_a_model_that_can_not_says_so(inside: Stand, ask: dict[str, Any]) -> None:
    """400 not_supported; tools are never left out in silence."""
    inside.how("fake-a").tools = None
    answer = await inside.http.post(CHAT, json={"model": "fake-a", "messages": USER, **ask})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_supported")
    assert inside.model("fake-a").served == 0


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": "clock"}, "tools"), ({"tools": ["clock"]}, "tools[0]"), ({"tools": [{}]}, "tools[0].function"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"), ({"tools": [CLOCK], "tool_choice": "clock"}, "tool_choice"),
        ({"tools": [CLOCK], "tool_choice": [1]}, "tool_choice"), ({"keep_alive": "soon"}, "keep_alive"),
        ({"messages": [{"role": "assistant", "tool_calls": [5]}]}, "messages[0].tool_calls[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": 5}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": {}}}]}]},
         "messages[0].tool_calls[0].arguments"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": 5}]}, "messages[0].tool_call_id"),
    ],
)  # fmt: skip
async def test_wrong_tools_are_named(inside: Stand, change: dict[str, Any], param: str) -> None:
    """400 with the field at fault; nothing is loaded."""
    answer = await inside.http.post(CHAT, json={"model": "fake-a", "messages": USER, **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert inside.provider.loads == []
