"""OpenAI bodies -> provider.Request. Known fields are checked by type; unknown ones pass on in ``Request.extra``.

Owns: what the fields of /v1/chat/completions, /v1/completions and /v1/embeddings mean here. Never: HTTP, answers.
Where the client says nothing, ``Request``'s own defaults hold (temperature 0), but no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
)

_COMMON = frozenset(
    {"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed",
     "stop", "n", "logprobs", "response_format", "grammar", "keep_alive"}
)  # fmt: skip
_CHAT = _COMMON | {"messages", "top_logprobs", "tools", "tool_choice"}
_TEXT = _COMMON | {"prompt"}
_EMBEDDING = frozenset({"model", "input", "encoding_format", "dimensions", "keep_alive"})
MEDIA = {"image_url": "vision", "input_audio": "audio", "file": ""}  # type of a part -> the capability that it needs


def read_chat(body: Mapping[str, Any], raw: bytes | None = None) -> Asked:
    """A body of /v1/chat/completions; ``raw``: what it was read from. Raises BadRequest naming the field."""
    tools = functions(body.get("tools"))
    stream = flag(body, "stream")
    media: list[tuple[str, str]] = []
    request = Request(
        messages=tuple([_message(m, where, media) for m, where in messages(body)]),
        media=tuple([m for m in media if m[1]]) if media else (),
        only_original=_special(body, media) if media or "n" in body else (),
        logprobs=_chat_logprobs(body),
        tools=tools,
        tool_choice=_choice(body.get("tool_choice"), given=bool(tools)),
        original=Original("/v1/chat/completions", body, stream, raw),
        **_settings(body, _CHAT),
    )
    return _asked(body, request, stream)


def read_completion(body: Mapping[str, Any], raw: bytes | None = None) -> Asked:
    """A body of /v1/completions."""
    prompt, listed = _prompt(body.get("prompt"))
    special = [key for key in ("echo", "suffix") if body.get(key)]
    stream = flag(body, "stream")
    request = Request(
        prompt=prompt,
        only_original=(*listed, *special, *_several(body)),
        logprobs=integer(body, "logprobs", 0, MAX_TOP_LOGPROBS),
        original=Original("/v1/completions", body, stream, raw),
        **_settings(body, _TEXT),
    )
    return _asked(body, request, stream)


def _prompt(value: Any) -> tuple[str, tuple[str, ...]]:
    """Its text, and what is none: several prompts, or tokens, which only some servers take."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str):
        return value, ()
    if not isinstance(value, list) or not value:
        raise bad("prompt", "must be a text")
    return "\n".join(v for v in value if isinstance(v, str)), ("prompt",)


def read_embeddings(body: Mapping[str, Any]) -> tuple[str, list[str], str, int | None, dict[str, Any]]:
    """Name, texts, encoding (float or base64), the wanted dimensions and unknown fields of a body of /v1/embeddings."""
    texts = body.get("input")
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise bad("input", "must be a text or a non-empty list of texts (tokens of another model mean nothing here)")
    if len(texts) > MAX_INPUTS:
        raise bad("input", f"has more than {MAX_INPUTS} texts")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise bad("encoding_format", "must be float or base64")
    extra = {key: value for key, value in body.items() if key not in _EMBEDDING}
    return model_name(body), texts, encoding, integer(body, "dimensions", 1, 1_000_000), extra


def _asked(body: Mapping[str, Any], request: Request, stream: bool) -> Asked:
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise bad("stream_options", "must be an object")
    return Asked(
        name=model_name(body),
        request=request,
        stream=stream,
        include_usage=flag(options or {}, "include_usage"),
        keep_s=seconds(body.get("keep_alive")),
    )


def _settings(body: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The keyword arguments of Request that both bodies share; what the client leaves out keeps its default, but for
    the limit: who names none gets none."""
    given: dict[str, Any] = {"max_tokens": None}
    extra: dict[str, Any] = {}
    for key in body:
        reader = _SETTINGS.get(key)
        if reader is not None:
            name, read = reader
            if (value := read(body)) is not None:
                given[name] = value
        elif key not in known:
            extra[key] = body[key]
    if extra:
        given["extra"] = extra
    return given


def _special(body: Mapping[str, Any], media: list[tuple[str, str]]) -> tuple[str, ...]:
    return (*[place.split(" ")[0] for place, needed in media if not needed], *_several(body))


def _several(body: Mapping[str, Any]) -> tuple[str, ...]:
    """More answers than one; the engine itself makes one of a request."""
    return () if integer(body, "n", 1, 128) in (None, 1) else ("n",)


def _limit(body: Mapping[str, Any]) -> int | None:
    """``max_completion_tokens``, or ``max_tokens`` as it was called; -1 is none, say LM Studio and llama-server."""
    key = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    limit = integer(body, key, -1, MAX_TOKENS)
    if limit == 0:
        raise bad(key, f"must be between 1 and {MAX_TOKENS}, or -1 for no limit")
    return None if limit == -1 else limit


# A known field -> its name in Request, and what reads it.
_SETTINGS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "max_tokens": ("max_tokens", _limit),
    "max_completion_tokens": ("max_tokens", _limit),
    "temperature": ("temperature", lambda body: number(body, "temperature", 0.0, 2.0)),
    "top_p": ("top_p", lambda body: number(body, "top_p", 0.0, 1.0)),
    "seed": ("seed", lambda body: integer(body, "seed", -(2**63), 2**64 - 1)),
    "stop": ("stop", lambda body: stops(body["stop"])),
    "response_format": ("json_schema", lambda body: response_schema(body["response_format"])),
    "grammar": ("grammar", lambda body: _grammar(body["grammar"])),
}


def _message(told: Mapping[str, Any], where: str, media: list[tuple[str, str]]) -> Message:
    speaker = _role(told, where)
    if len(told) == 2 and isinstance(content := told.get("content"), str):
        return Message(speaker, content)  # nearly every one
    calls = tuple(_call(c, f"{where}.tool_calls[{i}]") for i, c in enumerate(calls_of(told, where)))
    source = {key: _name(told, key, where) for key in ("tool_call_id", "name")}
    known = len(media)
    text = _content(told, where, media, optional=bool(calls) or speaker == "assistant")
    parts = tuple(told["content"]) if len(media) > known else ()
    return Message(speaker, text, calls, **source, parts=parts)


def _role(told: Mapping[str, Any], where: str) -> str:
    """``developer`` is OpenAI's newer word for the system's instructions; templates and other dialects know the old."""
    given = role(told, where)
    return "system" if given == "developer" else given


def _content(told: Mapping[str, Any], where: str, media: list[tuple[str, str]], *, optional: bool) -> str:
    content = told.get("content")
    if isinstance(content, str):
        return content
    if content is None and optional:
        return ""
    if isinstance(content, list):
        return "".join([_part(p, f"{where}.content[{i}]", media) for i, p in enumerate(content)])
    raise bad(f"{where}.content", "must be a text or a list of parts")


def _name(told: Mapping[str, Any], key: str, where: str) -> str | None:
    value = told.get(key)
    if value is not None and not isinstance(value, str):
        raise bad(f"{where}.{key}", "must be a text")
    return value


def _call(value: Any, where: str) -> ToolCall:
    function = entry(entry(value, where).get("function"), f"{where}.function")
    return call(value.get("id"), function.get("name"), function.get("arguments"), where)


def _choice(value: Any, *, given: bool) -> str | Mapping[str, Any] | None:
    """``tool_choice``: auto, none, required, or one function."""
    if value is None or (not given and value in ("auto", "none")):
        return None
    if not given:
        raise bad("tool_choice", "needs tools")
    if isinstance(value, dict) and value.get("type") == "function" and isinstance(value.get("function"), dict):
        return value
    if value not in ("auto", "none", "required"):
        raise bad("tool_choice", "must be auto, none, required or a function")
    chosen: str = value
    return chosen


def _part(value: Any, where: str, media: list[tuple[str, str]]) -> str:
    """Its text. What is none is noted in ``media``: whether it can go on is known when it is known who answers."""
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in MEDIA and isinstance(value.get(kind), dict):
        media.append((f"{where} ({kind})", MEDIA[kind]))
        return ""
    if kind not in ("text", "refusal") or not isinstance(value.get(kind), str):
        raise bad(where, f"must be a part of the type text, {' or '.join(MEDIA)}, with what it says")
    text: str = value[kind]
    return text


def response_schema(value: Any) -> Mapping[str, Any] | None:
    """``response_format``: text, json_object (any object) or json_schema."""
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    match kind:
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema":
            schema = value["json_schema"].get("schema") if isinstance(value.get("json_schema"), dict) else None
            if not isinstance(schema, dict):
                raise bad("response_format.json_schema.schema", "must be an object")
            return schema
    raise bad("response_format", "must have the type text, json_object or json_schema")


def _grammar(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise bad("grammar", "must be a text in GBNF")
    return value


def _chat_logprobs(body: Mapping[str, Any]) -> int | None:
    top = integer(body, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    if not flag(body, "logprobs"):
        if top:
            raise bad("top_logprobs", "needs logprobs: true")
        return None
    return top or 0
