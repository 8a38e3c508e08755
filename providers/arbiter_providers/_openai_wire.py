"""OpenAI's dialect as local runtimes speak it: /v1/models -> our versions, our Request -> JSON, SSE -> our chunks.

Owns: pure translation, and what differs between llama-server, vLLM, LM Studio, LocalAI and mlx_lm.server. Never: a
socket, a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from arbiter_tui.core.prompts import plain_prompt
from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import (
    ContextOverflow,
    InvalidRequest,
    ModelUnusable,
    NotSupported,
    Overloaded,
    ProviderError,
)
from arbiter_tui.provider import Done, FinishReason, Request, Text, TokenLogprob, ToolPiece, Usage

from . import _media, _tools
from ._errors import Erring

CHAT, COMPLETIONS, EMBEDDINGS, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models"
OWN = (CHAT, COMPLETIONS)  # paths of a client's own words
MOST_BYTES = 8 * 1024 * 1024  # of one event: no real one is near; an endless one must not fill the memory
_TOO_LONG = re.compile(
    r"exceeds? (the )?(available |maximum )?context|maximum context length|context[_ ]length[_ ]exceeded"
    r"|exceed_context_size|longer than the (maximum|model)|too large to process|context (window|size) of",
    re.IGNORECASE,
)
_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one model of one runtime wants. ``grammar``: it takes GBNF; ``chat``: it applies a chat template; ``tools``:
    there is a place for them in it; ``raw``: it completes a bare text; ``limit``: its word for the longest answer;
    ``leave_out``: fields that it refuses."""

    model: str
    grammar: bool = False
    chat: bool = True
    tools: bool = True
    raw: bool = True
    limit: str = "max_tokens"
    leave_out: frozenset[str] = frozenset()


def call(request: Request, dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """(path, body). Raises NotSupported for a grammar or for tools where the runtime has none."""
    if not dialect.tools:
        _tools.refuse(request, dialect.model, "its chat template has no place for them")
    if request.grammar is not None and not dialect.grammar:
        raise NotSupported(f"{dialect.model}: its server takes no grammars; a JSON schema works")
    if not request.messages and not dialect.raw:
        raise NotSupported(f"{dialect.model} takes conversations only, no bare prompt")
    body: dict[str, Any] = {
        "model": dialect.model, dialect.limit: request.max_tokens, "temperature": request.temperature,
        "top_p": request.top_p, "stream_options": {"include_usage": True},
    }  # fmt: skip
    stops = [*request.stop, "\n\n"] if is_plain(request, dialect) else list(request.stop)
    if stops:
        body["stop"] = stops
    if request.seed is not None:
        body["seed"] = request.seed
    if request.grammar is not None:
        body["grammar"] = request.grammar
    if request.json_schema is not None:
        schema = {"name": "answer", "schema": dict(request.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.messages and dialect.chat:
        body["messages"] = [_tools.message(m) for m in request.messages]
        if request.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": request.logprobs}
        whole = {**body, **_tools.fields(request), **request.extra, "stream": True}
        return CHAT, {name: value for name, value in whole.items() if name not in dialect.leave_out}
    _tools.refuse(request, dialect.model, "its server has no chat endpoint for it")
    _media.refuse(request, dialect.model, "its server has no chat endpoint for it")
    body["prompt"] = _plain(request) if request.messages else request.prompt or ""
    if request.logprobs is not None:
        body["logprobs"] = max(1, request.logprobs)
    return COMPLETIONS, {**body, **request.extra, "stream": True}


def original(request: Request, dialect: Dialect) -> bytes | None:
    """The body that its client sent, for this model; None where the runtime can't be asked in these words.

    A temperature that it leaves out is said as ``call`` would say it; a limit that it leaves out is its server's to
    set. How long a model stays loaded is our own affair.
    """
    told = request.original
    if (
        told is None
        or told.path not in OWN
        or (told.path == CHAT and not dialect.chat)
        or (request.grammar and not dialect.grammar)
    ):
        return None
    if request.needs_tools and not dialect.tools:
        return None
    added: dict[str, float] = {}  # numbers, finite ones: Python writes them as JSON does
    if "temperature" not in told.body:
        added["temperature"] = request.temperature
    if told.raw is not None and "keep_alive" not in told.body:
        spliced = _spliced(told.raw, dialect.model, added)
        if spliced is not None:
            return spliced
    body = {**added, **told.body, "model": dialect.model}
    body.pop("keep_alive", None)
    return json.dumps(body).encode()


def _spliced(raw: bytes, model: str, added: Mapping[str, float]) -> bytes | None:
    """``raw``, an object that was read strictly (no key twice in any), with this model and ``added`` in it, byte for
    byte the same besides. None where the place can't be known for sure: the word stands there more than once, or a
    letter of it may be written as an escape."""
    if raw.count(b'"model"') != 1 or b"\\u" in raw:
        return None
    found = _MODEL.search(raw)
    at = raw.find(b"{") + 1
    if found is None or not 0 < at <= found.start():
        return None
    head = "".join([f'"{name}": {value!r}, ' for name, value in added.items()])
    return b"".join((b"{", head.encode(), raw[at : found.start()], _named(model), raw[found.end() :]))


@lru_cache(maxsize=256)
def _named(model: str) -> bytes:
    return b'"model": %s' % json.dumps(model).encode()


def is_plain(request: Request, dialect: Dialect) -> bool:
    """Is this a conversation that goes to the model as plain text?"""
    return bool(request.messages) and not dialect.chat


def _plain(request: Request) -> str:
    return plain_prompt([(m.role, m.content) for m in request.messages], request.few_shot)


def version_of(
    entry: Mapping[str, Any],
    *,
    provider: str,
    context: int | None,
    parallel: int,
    chat: bool,
    senses: frozenset[str] = frozenset(),
) -> ModelVersion | None:
    """The draft version of one entry of /v1/models (with what llama-server, vLLM and LM Studio tell besides).

    None for what is no language model here (LM Studio lists its speech and vision encoders, too).
    """
    source = entry.get("id")
    if not isinstance(source, str) or not source or entry.get("type") in ("tts", "stt", "vision-encoder"):
        return None
    meta = entry["meta"] if isinstance(entry.get("meta"), dict) else {}
    embedding = entry.get("type") == "embeddings"
    word = {"embeddings"} if embedding else {"text-generation", *(("chat",) if chat else ()), *senses}
    if entry.get("type") == "vlm":  # LM Studio's word
        word.add("vision")
    told = (entry.get("max_model_len"), entry.get("loaded_context_length"), entry.get("max_context_length"))
    limit = next((n for n in map(_number, told) if n), None)
    sizes = [n for n in (context, limit) if n]
    safe = safe_name(source)
    return ModelVersion(
        version=f"{safe}.{safe_name(provider)[:20]}", provider=provider, model=safe, source=source,
        quantization=_text(entry.get("quantization")), family=_text(entry.get("arch")),
        parameters=_number(meta.get("n_params")), context=min(sizes, default=None), parallel=parallel,
        capabilities=frozenset(word),
    )  # fmt: skip


def senses(props: Mapping[str, Any]) -> frozenset[str]:
    """What else than text the one model of a llama-server takes, by its /props."""
    told = props.get("modalities")
    return frozenset(s for s in ("vision", "audio") if isinstance(told, dict) and told.get(s) is True)


def safe_name(source: str) -> str:
    """A runtime's own name of a model (a path, ``org/name``, ``name:tag``) as a part of a version's name."""
    name = source.rstrip("/").rsplit("/", 1)[-1].removesuffix(".gguf")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.").lower()[:100] or "model"


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def error(status: int, body: bytes, *, name: str) -> ProviderError | Overloaded:
    """The runtime's error, in any of the forms that they use, as ours."""
    message, kind = _told(body)
    sentence = f"{name}: {message or f'HTTP {status}'}"
    if _TOO_LONG.search(f"{kind} {message}"):
        return ContextOverflow(sentence)
    if status in (401, 403):
        return ProviderError(f"{name}: its server refuses us (HTTP {status}): set api_key to a reference to its key")
    if status == 404:
        return ModelUnusable(sentence)
    if "insufficient_quota" in kind:
        return ProviderError(sentence)  # waiting does not help
    if status in (429, 503):
        return Overloaded(sentence)
    if status == 501 or "not supported" in message.lower() or "not_supported" in kind:
        return NotSupported(sentence)
    if 300 <= status < 400:
        return ProviderError(f"{name}: its server redirects (HTTP {status}): set base_url to the new address")
    return InvalidRequest(sentence) if 400 <= status < 500 else ProviderError(sentence)


def _told(body: bytes) -> tuple[str, str]:
    """(message, kind) of {"error": {...}}, {"error": "…"}, {"message": …}, {"detail": …} or plain text."""
    try:
        told = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")[:300], ""
    inner = told.get("error", told) if isinstance(told, Mapping) else told
    if not isinstance(inner, Mapping):
        return str(inner)[:300], ""
    message = inner.get("message") or inner.get("detail") or ""
    return str(message)[:300], f"{inner.get('type') or ''} {inner.get('code') or ''}"


class Events:
    """Cuts the byte stream into events and each event into chunks. One per answer. ``error``: makes ours of theirs."""

    def __init__(self, request: Request, dialect: Dialect, *, name: str, error: Erring = error) -> None:
        self._top, self._name, self._tools, self._error = request.logprobs, name, bool(request.tools), error
        self._strip = is_plain(request, dialect)  # blanks before a plain answer are no part of it
        self._rest = b""
        self._finish: FinishReason | None = None
        self._usage: dict[str, Any] = {}
        self._timings: dict[str, Any] = {}

    def feed(self, data: bytes) -> Iterator[Text | ToolPiece | Done]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            raise ProviderError(f"{self._name}: one event of the answer is over {MOST_BYTES} bytes long")
        for line in lines:
            line = line.strip()
            if line == b"data: [DONE]" or line == b"data:[DONE]":
                yield self._done()
                return
            if line.startswith(b"data:"):
                yield from self._event(json.loads(line[5:]))
            elif line.startswith(b"error:"):
                raise self._error(500, line[6:], name=self._name)

    def ended(self) -> Done | None:
        """The stream is over: some runtimes send no [DONE]. None if the answer had not ended: it was cut off."""
        return None if self._finish is None else self._done()

    def _done(self) -> Done:
        if self._finish is None:
            raise ProviderError(f"{self._name}: the answer ended without a reason")
        return Done(finish_reason=self._finish, usage=_usage(self._usage, self._timings))

    def _event(self, event: dict[str, Any]) -> Iterator[Text | ToolPiece | Done]:
        if event.get("error"):
            inner = event["error"]
            code = inner.get("code") if isinstance(inner, dict) else None
            status = code if isinstance(code, int) else 500
            raise self._error(status, json.dumps(event).encode(), name=self._name)
        self._usage = event.get("usage") or self._usage
        self._timings = event.get("timings") or self._timings
        for choice in event.get("choices") or ():
            chat = "delta" in choice
            content = (choice["delta"].get("content") if chat else choice.get("text")) or ""
            if self._strip and content:
                content = content.lstrip()
                self._strip = not content
            if content:
                yield Text(content, self._logprobs(choice.get("logprobs")))
            if self._tools and chat:
                yield from _tools.pieces(choice["delta"].get("tool_calls"))
            if reason := choice.get("finish_reason"):
                self._finish = reason if reason in ("length", "tool_calls") else "stop"

    def _logprobs(self, told: Any) -> tuple[TokenLogprob, ...]:
        """Chat: {content: [{token, logprob, top_logprobs}]}; completions: {tokens, token_logprobs, top_logprobs}."""
        if self._top is None or not isinstance(told, Mapping):
            return ()
        if told.get("content"):
            return tuple(
                TokenLogprob(t["token"], t["logprob"], _top((o["token"], o["logprob"]) for o in t["top_logprobs"]))
                for t in told["content"]
            )
        best = told.get("top_logprobs") or [{}] * len(told.get("tokens") or ())
        return tuple(
            TokenLogprob(token, value, _top((top or {}).items()))
            for token, value, top in zip(told.get("tokens") or (), told.get("token_logprobs") or (), best, strict=False)
        )


def _top(pairs: Any) -> tuple[tuple[str, float], ...]:
    return tuple((str(token), float(value)) for token, value in pairs)


def _usage(usage: Mapping[str, Any], timings: Mapping[str, Any]) -> Usage:
    """``timings`` is llama-server's; the others count and don't time."""
    prompt_ms, decode_ms = timings.get("prompt_ms"), timings.get("predicted_ms")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return Usage(
        tokens_in=usage.get("prompt_tokens"),
        tokens_out=usage.get("completion_tokens", timings.get("predicted_n")),
        tokens_cached=timings.get("cache_n", cached),
        prompt_s=None if prompt_ms is None else prompt_ms / 1000,
        decode_s=None if decode_ms is None else decode_ms / 1000,
    )
