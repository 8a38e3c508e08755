"""The dialect of llama-server: our Request -> its JSON, its event stream -> our chunks, its errors -> ours.

Owns: pure translation. Never: a socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from arbiter_tui.core.prompts import plain_prompt
from arbiter_tui.errors import ContextOverflow, InvalidRequest, NotSupported, Overloaded, ProviderError
from arbiter_tui.provider import Done, FinishReason, Request, Text, TokenLogprob, ToolPiece, Usage

from . import _media, _tools

CHAT, COMPLETION = "/v1/chat/completions", "/completion"


def call(
    request: Request, *, chat_template: bool, tools: bool = True, version: str = ""
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """(path, body). Chat goes to the engine's chat endpoint; raw prompts and models without a template to the other.

    ``tools``: the template has a place for them. Raises NotSupported for tools where it has none, or is none.
    """
    _media.refuse(request, version, "this engine loads no projector; serve it with a llama-server of your own")
    if not tools:
        _tools.refuse(request, version, "its chat template has no place for them")
    if request.messages and chat_template:
        return CHAT, _chat(request)
    _tools.refuse(request, version, "it has no chat template")
    return COMPLETION, _completion(request)


def original(request: Request, *, model: str) -> dict[str, Any]:
    """The body that its client sent; what it leaves out is said as ``call`` would say it."""
    told = request.original.body if request.original is not None else {}
    body: dict[str, Any] = {"temperature": request.temperature, **told, "model": model}
    if "max_tokens" not in body and "max_completion_tokens" not in body:
        body["max_tokens"] = request.max_tokens
    body.pop("keep_alive", None)
    return body


def is_plain(request: Request, *, chat_template: bool) -> bool:
    """Is this a conversation that goes to the model as plain text?"""
    return bool(request.messages) and not chat_template


def plain_stops(request: Request) -> tuple[str, ...]:
    """A plain answer is over at a blank line: there the next question would begin."""
    return (*request.stop, "\n\n")


def _chat(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": [_tools.message(m) for m in request.messages],
        "max_tokens": request.max_tokens,
        "reasoning_format": "none",  # thoughts stay in the text instead of vanishing from it
        "stream_options": {"include_usage": True},
        **_sampling(request),
    }
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": max(1, request.logprobs)}
    if request.json_schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": dict(request.json_schema)}}
    return {**body, **_tools.fields(request), **request.extra, "stream": True}


def _completion(request: Request) -> dict[str, Any]:
    plain = bool(request.messages)
    prompt = request.prompt or ""
    if plain:
        prompt = plain_prompt([(m.role, m.content) for m in request.messages], request.few_shot)
    body: dict[str, Any] = {"prompt": prompt, "n_predict": request.max_tokens, **_sampling(request)}
    if plain:
        body["stop"] = list(plain_stops(request))
    if request.logprobs is not None:
        body["n_probs"] = max(1, request.logprobs)
    if request.json_schema is not None:
        body["json_schema"] = dict(request.json_schema)
    return {**body, **request.extra, "stream": True}


def _sampling(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = {"temperature": request.temperature, "top_p": request.top_p}
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.grammar is not None:
        body["grammar"] = request.grammar
    return body


def error(status: int, body: bytes | Mapping[str, Any], *, version: str) -> ProviderError | Overloaded:
    """The engine's error object as ours."""
    told = _error_object(body)
    message = str(told.get("message") or f"HTTP {status}")
    kind = told.get("type")
    if kind == "exceed_context_size_error":
        used, limit = told.get("n_prompt_tokens"), told.get("n_ctx")
        return ContextOverflow(
            f"the prompt has {used} tokens, {version} holds {limit}", details={"tokens": used, "context": limit}
        )
    if "too large to process" in message:
        return ContextOverflow(f"{version}: {message}")
    if kind == "not_supported_error" or status == 501:
        return NotSupported(f"{version}: {message}")
    if status == 503:
        return Overloaded(f"{version}: {message}")
    if 400 <= status < 500:
        return InvalidRequest(f"{version}: {message}")
    return ProviderError(f"{version}: {message}")


def _error_object(body: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        told = json.loads(body) if isinstance(body, bytes) else body
    except ValueError:
        return {"message": bytes(body).decode("utf-8", "replace")[:300]} if isinstance(body, bytes) else {}
    inner = told.get("error", told) if isinstance(told, Mapping) else {}
    return inner if isinstance(inner, Mapping) else {"message": str(inner)}


class Events:
    """Cuts the byte stream into events and each event into chunks. One per answer."""

    def __init__(self, path: str, request: Request, *, version: str, plain: bool) -> None:
        self._chat = path == CHAT
        self._top = request.logprobs
        self._tools = bool(request.tools)
        self._version = version
        self._strip = plain  # a plain prompt ends at a line's end; blanks before the answer are no part of it
        self._rest = b""
        self._finish: FinishReason = "stop"

    def feed(self, data: bytes) -> Iterator[Text | ToolPiece | Done]:
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: {"):
                yield from self._event(json.loads(event[6:]))
            elif event.startswith(b"error: "):
                raise error(500, event[7:], version=self._version)

    def _event(self, event: dict[str, Any]) -> Iterator[Text | ToolPiece | Done]:
        if "error" in event:
            raise error(int(event["error"].get("code") or 500), event, version=self._version)
        yield from self._chat_event(event) if self._chat else self._completion_event(event)

    def _chat_event(self, event: dict[str, Any]) -> Iterator[Text | ToolPiece | Done]:
        for choice in event["choices"]:
            content = choice["delta"].get("content")
            if content:
                listed = (choice.get("logprobs") or {}).get("content", ()) if self._top is not None else ()
                yield Text(content, self._logprobs(listed))
            if self._tools:
                yield from _tools.pieces(choice["delta"].get("tool_calls"))
            reason = choice.get("finish_reason")
            if reason:
                self._finish = reason if reason in ("length", "tool_calls") else "stop"
        if not event["choices"] and "usage" in event:
            usage = event["usage"]
            timings = event.get("timings") or {}
            yield Done(finish_reason=self._finish, usage=_usage(timings, usage.get("prompt_tokens")))

    def _completion_event(self, event: dict[str, Any]) -> Iterator[Text | ToolPiece | Done]:
        content = event["content"]
        if self._strip and content:
            content = content.lstrip()
            self._strip = not content
        if content:
            listed = event.get("completion_probabilities", ()) if self._top is not None else ()
            yield Text(content, self._logprobs(listed))
        if event["stop"]:
            reason: FinishReason = "length" if event.get("stop_type") == "limit" else "stop"
            yield Done(finish_reason=reason, usage=_usage(event.get("timings") or {}, event.get("tokens_evaluated")))

    def _logprobs(self, listed: Any) -> tuple[TokenLogprob, ...]:
        if not listed:
            return ()
        top = self._top or 0
        return tuple(
            TokenLogprob(
                t["token"], t["logprob"], tuple((o["token"], o["logprob"]) for o in t.get("top_logprobs", ())[:top])
            )
            for t in listed
        )


def _usage(timings: Mapping[str, Any], tokens_in: int | None) -> Usage:
    prompt_ms, decode_ms = timings.get("prompt_ms"), timings.get("predicted_ms")
    return Usage(
        tokens_in=tokens_in,
        tokens_out=timings.get("predicted_n"),
        tokens_cached=timings.get("cache_n"),
        prompt_s=None if prompt_ms is None else prompt_ms / 1000,
        decode_s=None if decode_ms is None else decode_ms / 1000,
    )
