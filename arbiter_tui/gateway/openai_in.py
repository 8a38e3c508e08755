"""OpenAI bodies -> provider.Request. Known fields are checked by type; unknown ones pass on in ``Request.extra``.

Owns: what the fields of /v1/chat/completions, /v1/completions and /v1/embeddings mean here. Never: HTTP, answers.
Where the client says nothing, ``Request``'s own defaults hold (temperature 0, 256 tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..provider import Message, Request
from .problems import BadRequest

_COMMON = frozenset(
    {"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed",
     "stop", "n", "logprobs", "response_format", "grammar"}
)  # fmt: skip
_CHAT = _COMMON | {"messages", "top_logprobs"}
_TEXT = _COMMON | {"prompt"}
MAX_STOPS = 16
MAX_TOP_LOGPROBS = 20
MAX_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class Asked:
    """What the client asked for: under which name, in which form the answer goes back."""

    name: str
    request: Request
    stream: bool
    include_usage: bool


def bad(param: str, message: str) -> BadRequest:
    return BadRequest(f"{param!r} {message}", param=param)


def number(body: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad(key, "must be a number")
    if not low <= value <= high:
        raise bad(key, f"must be between {low:g} and {high:g}")
    return float(value)


def integer(body: Mapping[str, Any], key: str, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(key, "must be an integer")
    if not low <= value <= high:
        raise bad(key, f"must be between {low} and {high}")
    return value


def flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise bad(key, "must be true or false")
    return value


def model_name(body: Mapping[str, Any], *, default: str | None = None) -> str:
    """The name to resolve; ``default`` stands in where the client can't set it (a task named by header)."""
    value = body.get("model", default)
    if not isinstance(value, str) or not value:
        raise bad("model", "is required: a version, an alias, or arbiter/TASK")
    if len(value) > 256:
        raise bad("model", "is longer than 256 characters")
    return value


def read_chat(body: Mapping[str, Any], *, default_model: str | None = None) -> Asked:
    """A body of /v1/chat/completions. Raises BadRequest naming the field."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad("messages", "must be a non-empty list")
    request = Request(
        messages=tuple(_message(m, i) for i, m in enumerate(messages)),
        logprobs=_chat_logprobs(body),
        **_settings(body, _CHAT),
    )
    return _asked(body, request, default_model)


def read_completion(body: Mapping[str, Any], *, default_model: str | None = None) -> Asked:
    """A body of /v1/completions."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise bad("prompt", "must be one text (token lists and several prompts are not supported)")
    for key in ("echo", "suffix"):
        if body.get(key):
            raise bad(key, "is not supported")
    request = Request(prompt=prompt, logprobs=integer(body, "logprobs", 0, MAX_TOP_LOGPROBS), **_settings(body, _TEXT))
    return _asked(body, request, default_model)


def read_embeddings(body: Mapping[str, Any]) -> tuple[str, list[str], str]:
    """Name, texts and encoding (float or base64) of a body of /v1/embeddings."""
    texts = body.get("input")
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise bad("input", "must be a text or a non-empty list of texts")
    if len(texts) > MAX_INPUTS:
        raise bad("input", f"has more than {MAX_INPUTS} texts")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise bad("encoding_format", "must be float or base64")
    if body.get("dimensions") is not None:
        raise bad("dimensions", "is not supported")
    return model_name(body), texts, encoding


def _asked(body: Mapping[str, Any], request: Request, default_model: str | None) -> Asked:
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise bad("stream_options", "must be an object")
    return Asked(
        name=model_name(body, default=default_model),
        request=request,
        stream=flag(body, "stream"),
        include_usage=flag(options or {}, "include_usage"),
    )


def _settings(body: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The keyword arguments of Request that both bodies share; what the client leaves out keeps its default."""
    if integer(body, "n", 1, 128) not in (None, 1):
        raise bad("n", "must be 1: one answer per request")
    max_tokens = integer(body, "max_completion_tokens", 1, 10_000_000) or integer(body, "max_tokens", 1, 10_000_000)
    given: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": number(body, "temperature", 0.0, 2.0),
        "top_p": number(body, "top_p", 0.0, 1.0),
        "seed": integer(body, "seed", -(2**63), 2**64 - 1),
        "stop": _stop(body.get("stop")),
        "json_schema": _schema(body.get("response_format")),
        "grammar": _grammar(body.get("grammar")),
        "extra": {k: v for k, v in body.items() if k not in known},
    }
    return {k: v for k, v in given.items() if v is not None}


def _message(value: Any, index: int) -> Message:
    where = f"messages[{index}]"
    if not isinstance(value, dict):
        raise bad(where, "must be an object")
    role = value.get("role")
    if not isinstance(role, str) or not role:
        raise bad(f"{where}.role", "must be a text")
    content = value.get("content")
    if isinstance(content, str):
        return Message(role, content)
    if content is None and role == "assistant":
        return Message(role, "")
    if isinstance(content, list):
        return Message(role, "".join(_part(p, f"{where}.content[{i}]") for i, p in enumerate(content)))
    raise bad(f"{where}.content", "must be a text or a list of text parts")


def _part(value: Any, where: str) -> str:
    if not isinstance(value, dict) or value.get("type") != "text" or not isinstance(value.get("text"), str):
        raise bad(where, "must be a text part: images, audio and files are not supported")
    text: str = value["text"]
    return text


def _stop(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) and s for s in stops):
        raise bad("stop", "must be a text or a list of non-empty texts")
    if len(stops) > MAX_STOPS:
        raise bad("stop", f"has more than {MAX_STOPS} entries")
    return tuple(stops)


def _schema(value: Any) -> Mapping[str, Any] | None:
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
