"""OpenAI's Responses bodies -> provider.Request. Known fields are checked by type; unknown ones pass on.

Owns: what the fields and items of /v1/responses mean here. Never: HTTP, answers, memory: the door keeps no response, so
whatever refers to an earlier one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..provider import Message, Request, ToolCall
from .fields import (
    MAX_TOKENS,
    MAX_TOP_LOGPROBS,
    Asked,
    bad,
    call,
    entry,
    flag,
    integer,
    model_name,
    number,
    seconds,
    text,
)

_KNOWN = frozenset(
    {"model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "stream", "tools", "tool_choice",
     "text", "previous_response_id", "conversation", "background", "store", "metadata", "include", "truncation", "user",
     "service_tier", "prompt", "top_logprobs", "keep_alive", "stream_options", "safety_identifier", "prompt_cache_key",
     "max_tool_calls", "prompt_cache_retention"}
)  # fmt: skip
_STATEFUL = ("previous_response_id", "conversation", "prompt", "background")
_TEXTS = ("input_text", "output_text", "text")  # no set: what a client sends may not be hashable
LOGPROBS = "message.output_text.logprobs"


def read_response(body: Mapping[str, Any]) -> Asked:
    """A body of /v1/responses. Raises BadRequest naming the field."""
    for key in _STATEFUL:
        if body.get(key):
            raise bad(key, "is not supported: nothing is kept between requests; send the whole conversation")
    tools = tuple(_tools(body.get("tools")))
    given: dict[str, Any] = {
        "temperature": number(body, "temperature", 0.0, 2.0),
        "top_p": number(body, "top_p", 0.0, 1.0),
        "json_schema": _schema(body),
        "tool_choice": _choice(body.get("tool_choice"), given=bool(tools)),
        "logprobs": _logprobs(body),
    }
    media: list[tuple[str, str]] = []
    said = (*_instructions(body), *_conversation(body.get("input"), media))
    request = Request(
        messages=said, media=tuple(media), tools=tools,
        max_tokens=integer(body, "max_output_tokens", 1, MAX_TOKENS),
        extra={k: v for k, v in body.items() if k not in _KNOWN}, **{k: v for k, v in given.items() if v is not None},
    )  # fmt: skip
    return Asked(model_name(body), request, flag(body, "stream"), keep_s=seconds(body.get("keep_alive")))


def _instructions(body: Mapping[str, Any]) -> Iterator[Message]:
    told = text(body, "instructions")
    if told:
        yield Message("system", told)


def _conversation(value: Any, media: list[tuple[str, str]]) -> Iterator[Message]:
    """Items in their order; calls that follow each other are one turn of the assistant."""
    if isinstance(value, str) and value:
        yield Message("user", value)
        return
    if not isinstance(value, list) or not value:
        raise bad("input", "must be a text or a non-empty list of items")
    calls: list[ToolCall] = []
    for i, item in enumerate(value):
        where = f"input[{i}]"
        kind = entry(item, where).get("type", "message")
        if kind == "function_call":
            calls.append(call(item.get("call_id"), item.get("name"), item.get("arguments"), where))
            continue
        if calls:
            yield Message("assistant", "", tuple(calls))
            calls = []
        yield from _item(kind, item, where, media)
    if calls:
        yield Message("assistant", "", tuple(calls))


def _item(kind: Any, item: Mapping[str, Any], where: str, media: list[tuple[str, str]]) -> Iterator[Message]:
    if kind == "message":
        role = item.get("role")
        if role not in ("user", "assistant", "system", "developer"):
            raise bad(f"{where}.role", "must be user, assistant, system or developer")
        parts = _pictured(item.get("content"), f"{where}.content", media) if role == "user" else ()
        text = _text([p for p in parts if "text" in p] if parts else item.get("content"), f"{where}.content")
        yield Message("system" if role == "developer" else role, text, parts=parts)
    elif kind == "function_call_output":
        id = item.get("call_id")
        if not isinstance(id, str):
            raise bad(f"{where}.call_id", "must be a text")
        yield Message("tool", _text(item.get("output"), f"{where}.output"), tool_call_id=id)
    elif kind != "reasoning":  # thoughts of an earlier turn: the model would not be shown them either
        raise bad(f"{where}.type", "must be message, function_call or function_call_output")


def _pictured(value: Any, where: str, media: list[tuple[str, str]]) -> tuple[Mapping[str, Any], ...]:
    """A user's parts in the form that most runtimes take, where there is a picture among them; else none."""
    if not isinstance(value, list) or not any(isinstance(p, dict) and p.get("type") == "input_image" for p in value):
        return ()
    return tuple(_part(entry(part, f"{where}[{i}]"), f"{where}[{i}]", media) for i, part in enumerate(value))


def _part(part: Mapping[str, Any], where: str, media: list[tuple[str, str]]) -> Mapping[str, Any]:
    if part.get("type") != "input_image":
        return {"type": "text", "text": _text([part], where)}
    if not isinstance(part.get("image_url"), str):
        raise bad(where, "must have an image_url: there are no files here")
    media.append((where, "vision"))
    detail = {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
    return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise bad(where, "must be a text or a list of text parts")
    for i, part in enumerate(value):
        if not isinstance(part, dict) or part.get("type") not in _TEXTS or not isinstance(part.get("text"), str):
            raise bad(
                f"{where}[{i}]", "must be a text part, or a user's input_image: audio and files are not supported"
            )
    return "".join(part["text"] for part in value)


def _tools(value: Any) -> Iterator[Mapping[str, Any]]:
    """Their flat definitions in the nested form. A tool that runs at OpenAI can't run here."""
    if value is not None and not isinstance(value, list):
        raise bad("tools", "must be a list")
    for i, tool in enumerate(value or ()):
        where = f"tools[{i}]"
        if entry(tool, where).get("type") != "function":
            raise bad(f"{where}.type", "must be function: tools that a server runs are not offered here")
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            raise bad(f"{where}.name", "must be a non-empty text")
        function = {k: v for k, v in tool.items() if k != "type" and v is not None}
        yield {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}, **function}}


def _choice(value: Any, *, given: bool) -> str | Mapping[str, Any] | None:
    if value is None or (not given and value in ("auto", "none")):
        return None
    if not given:
        raise bad("tool_choice", "needs tools")
    if isinstance(value, dict) and value.get("type") == "function" and isinstance(value.get("name"), str):
        return {"type": "function", "function": {"name": value["name"]}}
    if value not in ("auto", "none", "required"):
        raise bad("tool_choice", "must be auto, none, required or a function")
    chosen: str = value
    return chosen


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    told = body.get("text")
    form = None if told is None else entry(told, "text").get("format")
    kind = "text" if form is None else entry(form, "text.format").get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    schema = form.get("schema") if kind == "json_schema" and form is not None else None
    if not isinstance(schema, dict):
        raise bad("text.format", "must have the type text, json_object, or json_schema with a schema")
    return schema


def _logprobs(body: Mapping[str, Any]) -> int | None:
    top = integer(body, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    include = body.get("include")
    if include is not None and not isinstance(include, list):
        raise bad("include", "must be a list")
    return top or 0 if top is not None or LOGPROBS in (include or ()) else None
