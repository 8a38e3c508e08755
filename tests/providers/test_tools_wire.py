"""Tools through each runtime's own dialect: definitions, calls and results go in whole, calls come out whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from arbiter_providers import _llama_server_wire, _ollama_wire, _openai_wire, _tools

from arbiter_tui.errors import NotSupported
from arbiter_tui.provider import Done, Message, Request, Text, ToolCall, ToolPiece

TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
CALL = ToolCall("c1", "clock", '{"zone": "CET"}')
TURNS = (
    Message("user", "What time is it?"),
    Message("assistant", "", (CALL,)),
    Message("tool", "12:00", tool_call_id="c1", name="clock"),
)
ASKED = Request(messages=TURNS, tools=(TOOL,), tool_choice="auto")
OPENAI = _openai_wire.Dialect("m")


def events(*told: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(t).encode() + b"\n\n" for t in told)


def deltas(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    """A call in parts, as both engines stream it, then its end and the usage."""
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [p]}, "finish_reason": None}]} for p in parts]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    return [*chunks, end, {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}]


def joined(chunks: Iterable[Text | ToolPiece | Done]) -> tuple[list[tuple[int, str | None, str | None, str]], str]:
    """The calls, put together by index, and how it ended."""
    seen: dict[int, tuple[int, str | None, str | None, str]] = {}
    finish = ""
    for chunk in chunks:
        if isinstance(chunk, ToolPiece):
            index, id, name, arguments = seen.get(chunk.index, (chunk.index, chunk.id, chunk.name, ""))
            seen[chunk.index] = (index, id, name, arguments + chunk.arguments)
        elif isinstance(chunk, Done):
            finish = chunk.finish_reason
    return list(seen.values()), finish


@pytest.mark.parametrize("runtime", ["openai", "llama_server"])
def test_openais_form_carries_definitions_calls_and_results(runtime: str) -> None:
    """Both servers get what a client of OpenAI would have sent; a plain message stays plain."""
    if runtime == "openai":
        path, body = _openai_wire.call(ASKED, OPENAI)
    else:
        path, body = _llama_server_wire.call(ASKED, chat_template=True)
    assert path == "/v1/chat/completions"
    assert (body["tools"], body["tool_choice"]) == ([TOOL], "auto")
    plain, called, result = body["messages"]
    assert plain == {"role": "user", "content": "What time is it?"}
    assert called["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": "CET"}'}}
    ]
    assert (result["tool_call_id"], result["content"]) == ("c1", "12:00")


@pytest.mark.parametrize("runtime", ["openai", "llama_server"])
@pytest.mark.parametrize("numbered", [True, False])
def test_streamed_calls_come_out_in_their_pieces(runtime: str, numbered: bool) -> None:
    """Arguments join to what the model wrote; the end says tool_calls; calls without a number are whole ones."""
    place = {"index": 0} if numbered else {}
    first = {**place, "id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone": '}}
    rest = {"index": 0, "function": {"arguments": '"CET"}'}}
    whole = {**first, "function": {"name": "clock", "arguments": CALL.arguments}}
    told = events(*deltas(*((first, rest) if numbered else (whole,))))
    if runtime == "openai":
        chunks = list(_openai_wire.Events(ASKED, OPENAI, name="m").feed(told + b"data: [DONE]\n\n"))
    else:
        chunks = list(_llama_server_wire.Events("/v1/chat/completions", ASKED, version="m", plain=False).feed(told))
    assert joined(chunks) == ([(0, "c1", "clock", CALL.arguments)], "tool_calls")


def test_ollamas_form_holds_arguments_as_objects() -> None:
    """In and out; calls without an id get one that is unique in the answer."""
    path, body = _ollama_wire.call(ASKED, model="m", context=None, bare=False)
    assert (path, body["tools"]) == ("/api/chat", [TOOL])
    _, called, result = body["messages"]
    assert called["tool_calls"][0]["function"] == {"name": "clock", "arguments": {"zone": "CET"}}
    assert result["tool_name"] == "clock"
    calls = [{"function": {"name": "clock", "arguments": {"n": n}}} for n in (1, 2)]
    message = {"role": "assistant", "content": "", "tool_calls": calls}
    lines = [{"message": message, "done": False}, {"message": {"content": ""}, "done": True, "done_reason": "stop"}]
    fed = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    found, finish = joined(_ollama_wire.Lines(ASKED, error=_ollama_wire.error, name="m", strip=False).feed(fed))
    told = [(id, json.loads(arguments)) for _, id, _, arguments in found]
    assert told == [
        ("call_0", {"n": 1}),
        ("call_1", {"n": 2}),
    ]
    assert finish == "tool_calls"


def test_sampling_options_of_other_dialects_reach_ollamas_options() -> None:
    """top_k and its like are options there, not fields."""
    request = Request(prompt="x", extra={"top_k": 5, "min_p": 0.1, "new": 1})
    _, body = _ollama_wire.call(request, model="m", context=None, bare=False)
    assert (body["options"]["top_k"], body["options"]["min_p"], body["new"]) == (5, 0.1, 1)
    assert "top_k" not in body


@pytest.mark.parametrize("request_", [ASKED, Request(messages=TURNS)], ids=["definitions", "results alone"])
def test_a_model_without_a_chat_template_refuses_tools(request_: Request) -> None:
    """Plain text has no place for them: NotSupported before anything is sent."""
    with pytest.raises(NotSupported, match="tools"):
        _llama_server_wire.call(request_, chat_template=False, version="m")
    with pytest.raises(NotSupported, match="tools"):
        _openai_wire.call(request_, _openai_wire.Dialect("m", chat=False))
    with pytest.raises(NotSupported, match="tools"):
        _ollama_wire.call(request_, model="m", context=None, bare=True)


def test_ollama_can_not_be_told_which_tool_to_choose() -> None:
    """ "none" leaves the tools at home; a forced choice is refused, not forgotten."""
    none = Request(messages=TURNS[:1], tools=(TOOL,), tool_choice="none")
    assert "tools" not in _ollama_wire.call(none, model="m", context=None, bare=False)[1]
    with pytest.raises(NotSupported, match="choose"):
        _ollama_wire.call(
            Request(messages=TURNS[:1], tools=(TOOL,), tool_choice="required"), model="m", context=None, bare=False
        )


@pytest.mark.parametrize("props", [{}, {"chat_template_caps": None}, {"chat_template_caps": {"supports_tools": True}}])
def test_a_server_that_says_nothing_of_tools_is_given_them(props: dict[str, Any]) -> None:
    """vLLM, LM Studio and others refuse by themselves."""
    assert _tools.supported(props)


def test_a_template_without_a_place_for_tools_is_known_and_refused() -> None:
    """llama-server would leave them out in silence: its own word for the template decides."""
    assert not _tools.supported({"chat_template_caps": {"supports_tools": False}})
    with pytest.raises(NotSupported, match="template"):
        _llama_server_wire.call(ASKED, chat_template=True, tools=False, version="m")
    with pytest.raises(NotSupported, match="template"):
        _openai_wire.call(ASKED, _openai_wire.Dialect("m", tools=False))
    assert _openai_wire.call(Request(messages=TURNS[:1]), _openai_wire.Dialect("m", tools=False))
