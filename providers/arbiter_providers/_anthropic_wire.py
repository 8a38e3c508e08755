"""Anthropic's dialect: our Request -> a body of /v1/messages, its events -> our chunks, its errors -> ours.

Owns: pure translation. Never: a socket, a key.

A JSON schema travels as the one tool that the model must call; what it writes into that call is the answer's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from arbiter_tui.errors import (
    ContextOverflow,
    InvalidRequest,
    ModelUnusable,
    NotSupported,
    Overloaded,
    ProviderError,
)
from arbiter_tui.provider import Chunk, Done, FinishReason, Message, Request, Text, ToolPiece, Usage

from . import _media, _tools
from ._errors import Erring

MESSAGES = "/v1/messages"
VERSION = "2023-06-01"
MOST_BYTES = 8 * 1024 * 1024  # of one event: no real one is near; an endless one must not fill the memory
ANSWER = "answer"  # the tool that stands for a schema
_CHOICES: Mapping[str, str] = {"auto": "auto", "none": "none", "required": "any"}
_STOPS: Mapping[str, FinishReason] = {
    "max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tool_calls",
}  # fmt: skip
_KNOWN_STATUS = {"authentication_error": 401, "permission_error": 403, "not_found_error": 404, "rate_limit_error": 429,
                 "overloaded_error": 529, "invalid_request_error": 400}  # fmt: skip


def call(request: Request, model: str, *, leave_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The body. Raises NotSupported for what this API has no place for."""
    _refuse(request, model)
    system = "\n\n".join(m.content for m in request.messages if m.role == "system" and m.content)
    body: dict[str, Any] = {
        "model": model, "max_tokens": request.max_tokens, "temperature": min(1.0, request.temperature),
        "messages": _turns(request.messages, model),
    }  # fmt: skip
    if system:
        body["system"] = system
    if request.top_p < 1.0:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    body |= _tools_of(request)
    whole = {**body, **request.extra, "stream": True}
    return {name: value for name, value in whole.items() if name not in leave_out}


def original(request: Request, model: str, *, leave_out: frozenset[str] = frozenset()) -> dict[str, Any] | None:
    """The body as its client wrote it, for this model; None where it was written in another dialect. A temperature that
    is left out is said as ``call`` would say it, but to a model that shall think: that one takes none."""
    told = request.original
    if told is None or told.path != MESSAGES:
        return None
    thinks = isinstance(thinking := told.body.get("thinking"), Mapping) and thinking.get("type") != "disabled"
    usual = {} if thinks or "top_p" in told.body else {"temperature": request.temperature}
    body = {**usual, **told.body, "model": model, "stream": told.stream}
    return {name: value for name, value in body.items() if name not in leave_out and name != "keep_alive"}


def ended(data: bytes) -> Done:
    """What an answer took that came whole."""
    told = json.loads(data)
    reason = _STOPS.get(str(told.get("stop_reason")), "stop")
    return Done(finish_reason=reason, usage=_usage(told.get("usage") or {}))


def _refuse(request: Request, model: str) -> None:
    for wanted, what in (
        (not request.messages, "takes conversations only, no bare prompt"),
        (request.grammar is not None, "takes no grammars; a JSON schema works"),
        (request.logprobs is not None, "tells no log-probabilities"),
        (request.json_schema is not None and bool(request.tools), "takes a JSON schema or tools, not both"),
    ):
        if wanted:
            raise NotSupported(f"{model} {what}")


def _tools_of(request: Request) -> dict[str, Any]:
    if request.json_schema is not None:
        tool = {"name": ANSWER, "description": "The answer.", "input_schema": _object(request.json_schema)}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": ANSWER}}
    if not request.tools:
        return {}
    body: dict[str, Any] = {"tools": [_tool(tool["function"]) for tool in request.tools]}
    choice = request.tool_choice
    if isinstance(choice, str):
        body["tool_choice"] = {"type": _CHOICES[choice]}
    elif choice is not None:
        body["tool_choice"] = {"type": "tool", "name": choice["function"]["name"]}
    return body


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    told = {"name": function["name"], "input_schema": dict(schema)}
    return {**told, "description": function["description"]} if function.get("description") else told


def _object(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's input is an object: so must the answer be. Raises NotSupported."""
    if schema.get("type", "object") != "object":
        raise NotSupported("this service answers under a JSON schema with an object only")
    return {"type": "object", **schema}


def _turns(messages: tuple[Message, ...], model: str) -> list[dict[str, Any]]:
    """Results go in the user's turn, all of one round in the same."""
    turns: list[dict[str, Any]] = []
    for told in messages:
        if told.role == "system":
            continue
        role = "assistant" if told.role == "assistant" else "user"
        blocks = _blocks(told, model)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(told: Message, model: str) -> list[dict[str, Any]]:
    if told.parts:
        return [_part(part, model) for part in told.parts]
    if told.role == "tool":
        return [{"type": "tool_result", "tool_use_id": told.tool_call_id or told.name, "content": told.content}]
    text = [{"type": "text", "text": told.content}] if told.content else []
    calls = [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": _tools.arguments(c)} for c in told.tool_calls
    ]  # fmt: skip
    return [*text, *calls]


def _part(part: Mapping[str, Any], model: str) -> dict[str, Any]:
    if part.get("type") in ("text", "refusal"):
        return {"type": "text", "text": part[part["type"]]}
    url = _media.image(part, model)
    found = _media.inline(url)
    source = {"type": "url", "url": url} if found is None else {
        "type": "base64", "media_type": found[0], "data": found[1],
    }  # fmt: skip
    return {"type": "image", "source": source}


def error(status: int, body: bytes, *, name: str) -> ProviderError | Overloaded:
    message, kind = _told(body)
    sentence = f"{name}: {message or f'HTTP {status}'}"
    if "prompt is too long" in message or "exceed context limit" in message:
        return ContextOverflow(sentence)
    if status in (401, 403):
        return ProviderError(f"{name}: the service refuses us (HTTP {status}): set api_key to a reference to its key")
    if status == 404:
        return ModelUnusable(sentence)
    if status in (429, 503, 529) or kind == "overloaded_error":
        return Overloaded(sentence)
    if 300 <= status < 400:
        return ProviderError(f"{name}: its server redirects (HTTP {status}): set base_url to the new address")
    if status == 402 or kind == "billing_error":
        return ProviderError(sentence)  # waiting does not help, nor does another request
    return InvalidRequest(sentence) if 400 <= status < 500 else ProviderError(sentence)


def _told(body: bytes) -> tuple[str, str]:
    """(message, kind) of {"type": "error", "error": {type, message}}, or of plain text."""
    try:
        told = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")[:300], ""
    inner = told.get("error", told) if isinstance(told, Mapping) else told
    if not isinstance(inner, Mapping):
        return str(inner)[:300], ""
    return str(inner.get("message") or "")[:300], str(inner.get("type") or "")


class Events:
    """Cuts the byte stream into events and each event into chunks. One per answer."""

    def __init__(self, request: Request, *, name: str, error: Erring) -> None:
        self._name, self._error = name, error
        self._schema = request.json_schema is not None
        self._rest = b""
        self._finish: FinishReason | None = None
        self._usage: dict[str, Any] = {}
        self._calls: dict[int, int] = {}  # a block's index -> which call it is

    def feed(self, data: bytes) -> Iterator[Chunk]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            raise ProviderError(f"{self._name}: one event of the answer is over {MOST_BYTES} bytes long")
        for line in lines:
            if line.startswith(b"data:"):
                yield from self._event(json.loads(line[5:]))

    def _event(self, event: dict[str, Any]) -> Iterator[Chunk]:
        match event["type"]:
            case "message_start":
                self._count(event["message"].get("usage"))
            case "content_block_start":
                yield from self._begun(event["index"], event["content_block"])
            case "content_block_delta":
                yield from self._delta(event["index"], event["delta"])
            case "message_delta":
                self._count(event.get("usage"))
                self._finish = self._reason(event["delta"].get("stop_reason"))
            case "message_stop":
                if self._finish is None:
                    raise ProviderError(f"{self._name}: the answer ended without a reason")
                yield Done(finish_reason=self._finish, usage=_usage(self._usage))
            case "error":
                status = _KNOWN_STATUS.get(str(event["error"].get("type")), 500)
                raise self._error(status, json.dumps(event).encode(), name=self._name)

    def _begun(self, index: int, block: Mapping[str, Any]) -> Iterator[Chunk]:
        if block["type"] == "tool_use" and not self._schema:
            place = self._calls[index] = len(self._calls)
            yield ToolPiece(place, block["id"], block["name"])
        elif block["type"] == "text" and block.get("text") and not self._schema:
            yield Text(block["text"])

    def _delta(self, index: int, delta: Mapping[str, Any]) -> Iterator[Chunk]:
        """Thinking and signatures are no part of the answer; under a schema neither is what stands beside the call."""
        if delta["type"] == "text_delta" and delta["text"] and not self._schema:
            yield Text(delta["text"])
        elif delta["type"] == "input_json_delta" and delta["partial_json"]:
            if self._schema:
                yield Text(delta["partial_json"])
            elif index in self._calls:
                yield ToolPiece(self._calls[index], arguments=delta["partial_json"])

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        """The end repeats what the start said, or says it better."""
        self._usage |= {name: value for name, value in (usage or {}).items() if value is not None}

    def _reason(self, told: str | None) -> FinishReason | None:
        if told is None:
            return None
        reason = _STOPS.get(told, "stop")
        return "stop" if reason == "tool_calls" and self._schema else reason


def _usage(told: Mapping[str, Any]) -> Usage:
    """This API counts what came from its cache, or went into it, apart from the rest."""
    fresh, cached = told.get("input_tokens"), told.get("cache_read_input_tokens")
    written = told.get("cache_creation_input_tokens") or 0
    return Usage(
        tokens_in=None if fresh is None else fresh + (cached or 0) + written,
        tokens_out=told.get("output_tokens"),
        tokens_cached=cached,
    )
