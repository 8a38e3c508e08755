"""Ollama bodies -> provider.Request. Known fields are checked by type; unknown ones pass on in ``Request.extra``.

Owns: what the fields of /api/chat, /api/generate, /api/embed and /api/embeddings mean here. Never: HTTP, answers.

Load options (num_ctx, num_gpu, num_thread …) are the arbiter's to set: they are left aside, and a prompt that does not
fit is refused instead of cut. Sampling options pass on to the runtime by their names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..provider import Message, Original, Request, ToolCall
from .fields import (
    MAX_INPUTS,
    MAX_TOKENS,
    MAX_TOP_LOGPROBS,
    Asked,
    bad,
    call,
    calls_of,
    entry,
    flag,
    functions,
    integer,
    messages,
    model_name,
    number,
    role,
    seconds,
    stops,
    text,
)
from .problems import BadRequest

_COMMON = frozenset(
    {"model", "name", "stream", "format", "options", "keep_alive", "think", "logprobs", "top_logprobs", "truncate",
     "shift", "_debug_render_only"}
)  # fmt: skip
_CHAT = _COMMON | {"messages", "tools", "tool_choice"}
_GENERATE = _COMMON | {"prompt", "system", "template", "suffix", "context", "raw", "images"}
_EMBED = frozenset({"model", "name", "input", "prompt", "dimensions", "keep_alive", "options", "truncate"})
_OWN_OPTIONS = frozenset({"num_predict", "temperature", "top_p", "seed", "stop"})
_LOAD_OPTIONS = frozenset(
    {"num_ctx", "num_gpu", "num_thread", "num_batch", "main_gpu", "use_mmap", "use_mlock", "numa", "low_vram",
     "vocab_only", "f16_kv", "logits_all", "embedding_only", "draft_num_predict"}
)  # fmt: skip
_UNLIMITED = frozenset({-1, -2})  # until the model ends by itself / until the context is full


@dataclass(frozen=True, slots=True)
class Job:
    """What to do with one model. ``asked`` None: only load it (or unload it, with ``keep_s`` 0)."""

    name: str
    stream: bool
    keep_s: float | None
    asked: Asked | None


def read_name(body: Mapping[str, Any]) -> str:
    """``model``, or ``name`` as older clients say."""
    name = model_name(body) or model_name(body, "name")
    if not name:
        raise BadRequest("model is required", param="model")
    return name


def read_chat(body: Mapping[str, Any]) -> Job:
    """A body of /api/chat. Without messages it only loads."""
    if body.get("messages") in (None, []):
        return _job(body, None)
    if body.get("tool_choice") is not None:
        raise bad("tool_choice", "is not a field of Ollama's API")
    media: list[tuple[str, str]] = []
    request = Request(
        messages=tuple([_message(m, where, media) for m, where in messages(body)]),
        media=tuple(media),
        only_original=_thinks(body),
        original=Original("/api/chat", body, _streams(body)),
        tools=functions(body.get("tools")),
        **_settings(body, _CHAT),
    )
    return _job(body, request)


def read_generate(body: Mapping[str, Any]) -> Job:
    """A body of /api/generate. Without a prompt it only loads; ``raw`` is a completion, anything else a question."""
    prompt, system = text(body, "prompt"), text(body, "system")
    if not prompt:
        return _job(body, None)
    special = tuple(key for key in ("suffix", "template", "context") if body.get(key))
    given = _settings(body, _GENERATE)
    given |= {"only_original": _thinks(body) + special, "original": Original("/api/generate", body, _streams(body))}
    if flag(body, "raw"):
        if body.get("images"):
            raise bad("images", "need a conversation: leave raw out")
        return _job(body, Request(prompt=prompt, **given))
    asked = (Message("system", system),) if system else ()
    media: list[tuple[str, str]] = []
    question = Message("user", prompt, parts=_parts(prompt, body.get("images"), "images", media))
    return _job(body, Request(messages=(*asked, question), media=tuple(media), **given))


_PICTURES = {"/9j/": "jpeg", "iVBORw0KGgo": "png", "R0lGOD": "gif", "UklGR": "webp"}  # how their base64 begins


def _parts(
    said: str, pictures: Any, where: str, media: list[tuple[str, str]]
) -> tuple[Mapping[str, Any], ...]:  # fmt: skip
    """The text with its pictures, in the form that most runtimes take; none where there are no pictures."""
    if pictures in (None, []):
        return ()
    if not isinstance(pictures, list) or not all(isinstance(p, str) and p for p in pictures):
        raise bad(where, "must be a list of pictures in base64")
    media += [(f"{where}[{i}]", "vision") for i in range(len(pictures))]
    text = [{"type": "text", "text": said}] if said else []
    return (*text, *({"type": "image_url", "image_url": {"url": _address(p)}} for p in pictures))


def _address(picture: str) -> str:
    kind = next((kind for begin, kind in _PICTURES.items() if picture.startswith(begin)), "png")
    return f"data:image/{kind};base64,{picture}"


def read_inputs(body: Mapping[str, Any]) -> tuple[str, list[str], int | None, dict[str, Any]]:
    """Name, texts (none: only load), the wanted dimensions and unknown fields of a body of /api/embed."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise BadRequest("invalid input type: a text or a list of texts", param="input")
    if len(texts) > MAX_INPUTS:
        raise bad("input", f"has more than {MAX_INPUTS} texts")
    kept = [] if texts == [""] else texts
    extra = {key: value for key, value in body.items() if key not in _EMBED}
    return read_name(body), kept, integer(body, "dimensions", 1, 1_000_000), extra


def _job(body: Mapping[str, Any], request: Request | None) -> Job:
    name, stream, keep_s = read_name(body), _streams(body), seconds(body.get("keep_alive"))
    _thinks(body)
    asked = None if request is None else Asked(name, request, stream, keep_s=keep_s)
    return Job(name, stream, keep_s, asked)


def _streams(body: Mapping[str, Any]) -> bool:
    return flag(body, "stream", default=True)


def _thinks(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Thoughts apart from the answer, if they are asked for: only another Ollama tells them so."""
    value = body.get("think")
    if value not in (None, False, True, "low", "medium", "high", "max"):
        raise BadRequest('invalid think value (must be "high", "medium", "low", "max", true, or false)', param="think")
    return ("think",) if value else ()


def _settings(body: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    options = body.get("options")
    options = {} if options is None else entry(options, "options")
    top = integer(body, "top_logprobs", 0, MAX_TOP_LOGPROBS) or 0
    given: dict[str, Any] = {
        "temperature": number(options, "temperature", 0.0, 2.0),
        "top_p": number(options, "top_p", 0.0, 1.0),
        "seed": integer(options, "seed", -(2**63), 2**64 - 1),
        "stop": stops(options.get("stop")),
        "json_schema": _format(body.get("format")),
        "logprobs": top if flag(body, "logprobs") else None,
        "extra": {k: v for k, v in options.items() if k not in _OWN_OPTIONS | _LOAD_OPTIONS}
        | {k: v for k, v in body.items() if k not in known},
    }
    return {"max_tokens": _limit(options), **{k: v for k, v in given.items() if v is not None}}


def _limit(options: Mapping[str, Any]) -> int | None:
    limit = integer(options, "num_predict", -2, MAX_TOKENS)
    return None if limit in _UNLIMITED else limit


def _format(value: Any) -> Mapping[str, Any] | None:
    """``"json"`` (any object) or a JSON schema."""
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if not isinstance(value, dict):
        raise BadRequest(f'invalid format: {json.dumps(value)[:64]}; expected "json" or a JSON schema', param="format")
    return value


def _message(told: Mapping[str, Any], where: str, media: list[tuple[str, str]]) -> Message:
    content = told.get("content")
    if content is not None and not isinstance(content, str):
        raise bad(f"{where}.content", "must be a text")
    calls = tuple(_call(c, f"{where}.tool_calls[{i}]", i) for i, c in enumerate(calls_of(told, where)))
    name = text(told, "tool_name") or None
    id = text(told, "tool_call_id") or (name if told.get("role") == "tool" else None)
    parts = _parts(content or "", told.get("images"), f"{where}.images", media)
    return Message(role(told, where), content or "", calls, tool_call_id=id, name=name, parts=parts)


def _call(value: Any, where: str, index: int) -> ToolCall:
    function = entry(entry(value, where).get("function"), f"{where}.function")
    arguments = function.get("arguments")
    if not isinstance(arguments, dict):
        raise bad(f"{where}.function.arguments", "must be an object")
    return call(value.get("id") or f"call_{index}", function.get("name"), json.dumps(arguments), where)
