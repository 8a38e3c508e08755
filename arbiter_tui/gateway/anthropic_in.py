"""Anthropic bodies -> provider.Request. Known fields are checked by type; unknown ones pass on in ``Request.extra``.

Owns: what the fields of /v1/messages mean here. Never: HTTP, answers.

Blocks become messages: a tool's result is a message of its own before the text that came with it. Thoughts of earlier
turns are left aside, as the model would not be shown them either; thinking that is asked for now is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..provider import Message, Original, Request, ToolCall
from .fields import (
    MAX_TOKENS,
    Asked,
    bad,
    call,
    entry,
    flag,
    integer,
    messages,
    model_name,
    number,
    seconds,
    stops,
)

_KNOWN = frozenset(
    {"model", "messages", "system", "max_tokens", "stop_sequences", "stream", "temperature", "top_p", "tools",
     "tool_choice", "thinking", "metadata", "service_tier", "output_config", "output_format", "inference_geo",
     "keep_alive"}
)  # fmt: skip
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_SERVICES = (
    "document",
    "search_result",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "container_upload",
)  # blocks that only the service itself understands
_THOUGHTS = ("thinking", "redacted_thinking")  # no sets: what a client sends may not be hashable


def read_messages(body: Mapping[str, Any]) -> Asked:
    """A body of /v1/messages. Raises BadRequest naming the field."""
    limit = integer(body, "max_tokens", 1, MAX_TOKENS)
    if limit is None:
        raise bad("max_tokens", "is required")
    stream = flag(body, "stream")
    request = _request(body, limit, Original("/v1/messages", body, stream))
    return Asked(model_name(body), request, stream, keep_s=seconds(body.get("keep_alive")))


def read_count(body: Mapping[str, Any]) -> tuple[str, Request]:
    """Name and request of a body of /v1/messages/count_tokens, which has no max_tokens."""
    return model_name(body), _request(body, 1)


def _request(body: Mapping[str, Any], limit: int, original: Original | None = None) -> Request:
    special = _thinks(body.get("thinking"))
    tools = tuple(_tools(body.get("tools"), special))
    given: dict[str, Any] = {
        "temperature": number(body, "temperature", 0.0, 1.0),
        "top_p": number(body, "top_p", 0.0, 1.0),
        "stop": stops(body.get("stop_sequences"), "stop_sequences"),
        "json_schema": _schema(body),
        "tool_choice": _choice(body.get("tool_choice"), given=bool(tools)),
    }
    extra = {k: v for k, v in body.items() if k not in _KNOWN}
    if _one_at_a_time(body.get("tool_choice")):
        extra["parallel_tool_calls"] = False
    media: list[tuple[str, str]] = []
    told = (*_system(body.get("system")), *_conversation(body, media))
    special += [where for where, needed in media if not needed]
    return Request(
        messages=told, media=tuple(m for m in media if m[1]), max_tokens=limit, tools=tools, extra=extra,
        original=original, only_original=tuple(special),
        **{k: v for k, v in given.items() if v is not None},
    )  # fmt: skip


def _system(value: Any) -> Iterator[Message]:
    text = "" if value is None else _text(value, "system")
    if text:
        yield Message("system", text)


def _conversation(body: Mapping[str, Any], media: list[tuple[str, str]]) -> Iterator[Message]:
    for told, where in messages(body):
        role = told.get("role")
        if role not in ("user", "assistant", "system"):
            raise bad(f"{where}.role", "must be user or assistant")
        yield from _turn(role, told.get("content"), f"{where}.content", media)


def _turn(role: str, content: Any, where: str, media: list[tuple[str, str]]) -> Iterator[Message]:
    """One message of theirs: the results in it first, each as a message, then its text with its calls."""
    if isinstance(content, str):
        yield Message(role, content)
        return
    if not isinstance(content, list) or not content:
        raise bad(where, "must be a text or a non-empty list of blocks")
    parts: list[dict[str, Any]] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    known = len(media)
    for i, block in enumerate(content):
        _block(role, entry(block, f"{where}[{i}]"), f"{where}[{i}]", parts, calls, results, media)
    yield from results
    if parts or calls or not results:
        text = "".join(part["text"] for part in parts if "text" in part)
        yield Message(role, text, tuple(calls), parts=tuple(parts) if len(media) > known else ())


def _block(
    role: str, block: Mapping[str, Any], where: str, parts: list[dict[str, Any]], calls: list[ToolCall],
    results: list[Message], media: list[tuple[str, str]],
) -> None:  # fmt: skip
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        parts.append({"type": "text", "text": block["text"]})
    elif kind == "image" and role == "user":
        parts.append({"type": "image_url", "image_url": {"url": _address(block.get("source"), f"{where}.source")}})
        media.append((where, "vision"))
    elif kind == "tool_use" and role == "assistant":
        given = entry(block.get("input"), f"{where}.input")
        calls.append(call(block.get("id"), block.get("name"), json.dumps(given, ensure_ascii=False), where))
    elif kind == "tool_result" and role == "user":
        id = block.get("tool_use_id")
        if not isinstance(id, str):
            raise bad(f"{where}.tool_use_id", "must be a text")
        content = block.get("content")
        results.append(Message("tool", "" if content is None else _text(content, f"{where}.content"), tool_call_id=id))
    elif kind in _SERVICES:
        media.append((where, ""))
    elif not (kind in _THOUGHTS and role == "assistant"):
        raise bad(where, "must be a text, image, tool_use or tool_result block")


def _address(source: Any, where: str) -> str:
    """Of a picture: where it lies, or itself."""
    told = entry(source, where)
    if told.get("type") == "url" and isinstance(told.get("url"), str):
        return str(told["url"])
    kind, data = told.get("media_type"), told.get("data")
    if told.get("type") != "base64" or not isinstance(kind, str) or not isinstance(data, str):
        raise bad(where, "must be base64 with media_type and data, or url with a url")
    return f"data:{kind};base64,{data}"


def _text(value: Any, where: str) -> str:
    """A text, or a list of text blocks."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise bad(where, "must be a text or a list of text blocks")
    for i, block in enumerate(value):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise bad(f"{where}[{i}]", "must be a text block: images and documents are not supported")
    return "".join(block["text"] for block in value)


def _tools(value: Any, special: list[str]) -> Iterator[Mapping[str, Any]]:
    """Their definitions in OpenAI's form. A tool that runs at Anthropic (web_search …) is ``special``: it can't run
    here."""
    if value is not None and not isinstance(value, list):
        raise bad("tools", "must be a list")
    for i, tool in enumerate(value or ()):
        where = f"tools[{i}]"
        kind = entry(tool, where).get("type")
        if kind is not None and not isinstance(kind, str):
            raise bad(f"{where}.type", "must be a text")
        if kind not in (None, "custom"):
            special.append(where)
            continue
        name = tool.get("name")
        if not isinstance(name, str) or not name:
            raise bad(f"{where}.name", "must be a non-empty text")
        function = {"name": name, "parameters": entry(tool.get("input_schema"), f"{where}.input_schema")}
        if isinstance(tool.get("description"), str):
            function["description"] = tool["description"]
        yield {"type": "function", "function": function}


def _choice(value: Any, *, given: bool) -> str | Mapping[str, Any] | None:
    if value is None:
        return None
    kind = entry(value, "tool_choice").get("type")
    if kind == "none" and not given:
        return None
    if not given:
        raise bad("tool_choice", "needs tools")
    if kind == "tool" and isinstance(value.get("name"), str):
        return {"type": "function", "function": {"name": value["name"]}}
    if not isinstance(kind, str) or kind not in _CHOICES:
        raise bad("tool_choice", "must have the type auto, any, none, or tool with a name")
    return _CHOICES[kind]


def _one_at_a_time(choice: Any) -> bool:
    return isinstance(choice, dict) and flag(choice, "disable_parallel_tool_use")


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """``output_config.format`` (or the older ``output_format``): a JSON schema."""
    config = body.get("output_config")
    given = body.get("output_format") if config is None else entry(config, "output_config").get("format")
    if given is None:
        return None
    schema = given.get("schema") if isinstance(given, dict) and given.get("type") == "json_schema" else None
    if not isinstance(schema, dict):
        raise bad("output_config.format", "must have the type json_schema and a schema")
    return schema


def _thinks(value: Any) -> list[str]:
    """Thoughts, if they are asked for: only the service itself tells them."""
    return [] if value is None or entry(value, "thinking").get("type") == "disabled" else ["thinking"]
