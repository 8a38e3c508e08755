"""The dialect of Ollama: tags -> our versions, our Request -> its JSON, its NDJSON -> our chunks, its errors -> ours.

Owns: pure translation. Never: a socket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
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
    WorkerDied,
)
from arbiter_tui.provider import Done, FinishReason, Message, Request, Text, TokenLogprob, ToolPiece, Usage

from . import _media, _tools
from ._errors import Erring

CHAT, GENERATE, SHOW, PULL = "/api/chat", "/api/generate", "/api/show", "/api/pull"
MOST_BYTES = 8 * 1024 * 1024  # of one line: no real one is near; an endless one must not fill the memory
BARE_TEMPLATE = "{{ .Prompt }}"  # what Ollama gives a model without a chat template
_CAPABILITIES = {
    "completion": ("text-generation", "chat"), "embedding": ("embeddings",), "tools": ("tools",),
    "vision": ("vision",), "thinking": ("thinking",), "insert": ("infill",),
}  # fmt: skip
_SIZES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_OPTIONS = frozenset(
    {"top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty",
     "num_keep", "mirostat", "mirostat_tau", "mirostat_eta", "penalize_newline", "tfs_z"}
)  # fmt: skip
# How it is loaded and for how long is the arbiter's to say: another value in one request would load the model anew.
_OURS = frozenset(
    {"keep_alive", "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock", "numa"}
)
_WORDS = ("text", "refusal")  # types of parts that are in the content already
_FROM = re.compile(r"^FROM +(.+)$", re.MULTILINE)
_DEAD = ("unexpected EOF", "runner process", "connection refused", "connection reset", "broken pipe")


def name_of(version: ModelVersion) -> str:
    return version.source.removeprefix("ollama:")


def tagged(entry: Mapping[str, Any]) -> str:
    """Ollama's own name of an entry of /api/tags or /api/ps."""
    return str(entry.get("model") or entry.get("name") or "")


def digest_of(entry: Mapping[str, Any]) -> str | None:
    return f"sha256:{entry['digest']}" if entry.get("digest") else None


def short(digest: str | None) -> str:
    return (digest or "no digest").removeprefix("sha256:")[:12]


def is_bare(shown: Mapping[str, Any]) -> bool:
    """Of /api/show: has the model no chat template?"""
    return str(shown.get("template", "")).strip() == BARE_TEMPLATE


def weights_of(shown: Mapping[str, Any]) -> str | None:
    """Of /api/show: the file that the model's weights lie in; models made from one another share it."""
    found = _FROM.search(str(shown.get("modelfile", "")))
    return found[1].strip() if found else None


def version_of(tag: Mapping[str, Any], *, provider: str, context: int, parallel: int) -> ModelVersion | None:
    """The draft version of one entry of /api/tags; None for a cloud model: it does not run on this machine."""
    name = tagged(tag)
    if tag.get("remote_model") or tag.get("remote_host"):
        return None
    details = tag.get("details") or {}
    trained = details.get("context_length")
    told = tag.get("capabilities") or ("completion",)
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name.removesuffix(":latest")).strip("-")
    return ModelVersion(
        version=f"{safe[:110]}.ollama", provider=provider, model=safe[:110], source=f"ollama:{name}",
        digest=digest_of(tag), quantization=details.get("quantization_level") or None,
        family=details.get("family") or None, parameters=_count(details.get("parameter_size")),
        file_bytes=tag.get("size"), context=min(context, trained) if trained else context, parallel=parallel,
        capabilities=frozenset(c for name in told for c in _CAPABILITIES.get(name, (name,))),
    )  # fmt: skip


def _count(text: str | None) -> int | None:
    """ "134.52M" -> 134520000."""
    match = re.fullmatch(r"([0-9.]+)([KMBT])", text or "")
    return int(float(match[1]) * _SIZES[match[2]]) if match else None


def call(request: Request, *, model: str, context: int | None, bare: bool) -> tuple[str, dict[str, Any]]:
    """(path, body). ``bare``: the model has no chat template, a conversation goes to it as plain text."""
    if request.grammar is not None:
        raise NotSupported("Ollama has no grammars; a JSON schema works")
    plain = bool(request.messages) and bare
    options: dict[str, Any] = {
        "num_predict": request.max_tokens, "temperature": request.temperature, "top_p": request.top_p,
    }  # fmt: skip
    if context is not None:
        options["num_ctx"] = context
    if request.seed is not None:
        options["seed"] = request.seed
    stops = [*request.stop, "\n\n"] if plain else list(request.stop)
    if stops:
        options["stop"] = stops
    extra = {name: value for name, value in request.extra.items() if name not in _OURS}
    options |= {name: extra.pop(name) for name in _OPTIONS & extra.keys()}
    own = extra.pop("options", None)
    options |= {n: v for n, v in own.items() if n not in _OURS} if isinstance(own, Mapping) else {}
    # Without these two Ollama cuts a prompt that is too long in silence.
    body: dict[str, Any] = {"model": model, "options": options, "keep_alive": -1, "truncate": False, "shift": False}
    if request.json_schema is not None:
        body["format"] = dict(request.json_schema)
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    if request.messages and not plain:
        if request.tools and request.tool_choice != "none":
            body["tools"] = [dict(tool) for tool in request.tools]
        if request.tool_choice not in (None, "auto", "none"):
            raise NotSupported("Ollama can't be told which tool to choose")
        messages = [_turn(m, model) for m in request.messages]
        return CHAT, {**body, "messages": messages, **extra, "stream": True}
    _tools.refuse(request, model, "it has no chat template")
    _media.refuse(request, model, "it has no chat template")
    prompt = request.prompt or ""
    if plain:
        prompt = plain_prompt([(m.role, m.content) for m in request.messages], request.few_shot)
    return GENERATE, {**body, "prompt": prompt, "raw": True, **extra, "stream": True}


def original(request: Request, *, model: str, context: int | None, bare: bool) -> tuple[str, dict[str, Any]] | None:
    """(path, body) as its client wrote it, for this model; None where it was written in another dialect, or where the
    model has no chat template, and would be put the question in a form that it does not know.

    How it is loaded and for how long is ours to say; a temperature that is left out is said as ``call`` would say it.
    """
    told = request.original
    if told is None or told.path not in (CHAT, GENERATE) or (bare and request.messages):
        return None
    own = told.body.get("options")
    given = {n: v for n, v in own.items() if n not in _OURS} if isinstance(own, Mapping) else {}
    options = {"temperature": request.temperature, **given, **({} if context is None else {"num_ctx": context})}
    body = {name: value for name, value in told.body.items() if name != "name"}
    ours = {"model": model, "options": options, "keep_alive": -1, "truncate": False, "shift": False}
    return told.path, {**body, **ours, "stream": told.stream}


def ended(line: bytes) -> Done:
    """What an answer took that came whole."""
    told = json.loads(line)
    return Done(finish_reason="length" if told.get("done_reason") == "length" else "stop", usage=_usage(told))


def _turn(told: Message, model: str) -> dict[str, Any]:
    """Ollama's calls hold their arguments as an object, a result names its tool, and pictures stand beside the text."""
    plain: dict[str, Any] = {"role": told.role, "content": told.content}
    if told.parts:
        plain["images"] = [_picture(part, model) for part in told.parts if part.get("type") not in _WORDS]
    if told.tool_calls:
        plain["tool_calls"] = [
            {"id": c.id, "function": {"name": c.name, "arguments": _tools.arguments(c)}} for c in told.tool_calls
        ]
    if told.tool_call_id is not None:
        plain["tool_call_id"] = told.tool_call_id
    if told.name is not None:
        plain["tool_name"] = told.name
    return plain


def _picture(part: Mapping[str, Any], model: str) -> str:
    found = _media.inline(_media.image(part, model))
    if found is None:
        raise NotSupported(f"{model}: Ollama fetches no pictures; send it as data:image/png;base64,…")
    return found[1]


def _pieces(listed: Any, begun: int) -> Iterator[ToolPiece]:
    """Whole calls; ``begun``: how many came before."""
    for place, call in enumerate(listed or (), begun):
        function = call["function"]
        arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
        yield ToolPiece(place, call.get("id") or f"call_{place}", function["name"], arguments)


def error(status: int, body: bytes, *, name: str) -> ProviderError | Overloaded:
    """Ollama's {"error": "..."} as ours."""
    message = _message(body) or f"HTTP {status}"
    sentence = f"Ollama, {name}: {message}"
    lower = message.lower()
    if "exceed" in lower and "context" in lower:
        return ContextOverflow(sentence)
    if any(sign.lower() in lower for sign in _DEAD):
        return WorkerDied(sentence)
    if status in (401, 403):
        return ProviderError(f"Ollama, {name}: it refuses us (HTTP {status}): set api_key to a reference to its key")
    if 300 <= status < 400:
        return ProviderError(f"Ollama, {name}: it redirects (HTTP {status}): set base_url to the new address")
    if status == 404:
        return ModelUnusable(sentence)
    if status in (429, 503):
        return Overloaded(sentence)
    if status == 501 or "does not support" in lower:
        return NotSupported(sentence)
    if 400 <= status < 500:
        return InvalidRequest(sentence)
    return ProviderError(sentence)


def _message(body: bytes) -> str:
    """Its runner's own error is handed on as JSON within JSON."""
    try:
        told = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")[:300]
    found = told.get("error") if isinstance(told, dict) else told
    if isinstance(found, dict):
        return str(found.get("message", found))[:300]
    if isinstance(found, str) and found.startswith('{"error"'):
        return _message(found.encode())
    return str(found or "")[:300]


def bounded(rest: bytes, name: str) -> None:
    """Raises ProviderError for a line that does not end."""
    if len(rest) > MOST_BYTES:
        raise ProviderError(f"Ollama, {name}: one line of the answer is over {MOST_BYTES} bytes long")


class Lines:
    """Cuts the byte stream into lines and each line into chunks. One per answer."""

    def __init__(self, request: Request, *, error: Erring, name: str, strip: bool) -> None:
        self._top, self._error, self._name, self._strip = request.logprobs, error, name, strip
        self._rest = b""
        self._called = 0

    def feed(self, data: bytes) -> Iterator[Text | ToolPiece | Done]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        bounded(self._rest, self._name)
        for line in lines:
            if line.strip():
                yield from self._line(json.loads(line))

    def _line(self, line: dict[str, Any]) -> Iterator[Text | ToolPiece | Done]:
        if "error" in line:
            raise self._error(500, json.dumps(line).encode(), name=self._name)
        content = line["message"]["content"] if "message" in line else line.get("response", "")
        if self._strip and content:
            content = content.lstrip()
            self._strip = not content
        if content:
            yield Text(content, self._logprobs(line.get("logprobs")))
        if "message" in line and line["message"].get("tool_calls"):
            for piece in _pieces(line["message"]["tool_calls"], self._called):
                self._called += 1
                yield piece
        if line["done"]:
            ended: FinishReason = "tool_calls" if self._called else "stop"
            reason: FinishReason = "length" if line.get("done_reason") == "length" else ended
            yield Done(finish_reason=reason, usage=_usage(line))

    def _logprobs(self, listed: Any) -> tuple[TokenLogprob, ...]:
        if not listed or self._top is None:
            return ()
        return tuple(
            TokenLogprob(t["token"], t["logprob"], tuple((o["token"], o["logprob"]) for o in t.get("top_logprobs", ())))
            for t in listed
        )


class PullLines:
    """The progress of /api/pull: what it does now, and the share of all bytes known so far that is there.

    ``done`` once it said that all is there.
    """

    def __init__(self, error: Erring, *, name: str) -> None:
        self._error, self._name = error, name
        self._rest = b""
        self._layers: dict[str, tuple[int, int]] = {}  # digest -> bytes there, bytes in all
        self.done = False

    def feed(self, data: bytes) -> Iterator[tuple[str, float | None]]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        bounded(self._rest, self._name)
        for line in lines:
            if line.strip():
                yield self._line(line)

    def _line(self, line: bytes) -> tuple[str, float | None]:
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise ProviderError(f"Ollama, {self._name}: its progress can't be read")
        if told.get("error"):
            raise self._failed(line)
        self.done = told.get("status") == "success"
        total, there = told.get("total"), told.get("completed") or 0
        if isinstance(total, int) and total > 0 and isinstance(there, int):
            self._layers[str(told.get("digest"))] = (there, total)
        return str(told.get("status") or ""), self._share()

    def _failed(self, line: bytes) -> ProviderError | Overloaded:
        found = self._error(500, line, name=self._name)
        if "file does not exist" in str(found):
            return ModelUnusable(f"Ollama, {self._name}: its library has no such model")
        return found

    def _share(self) -> float | None:
        whole = sum(total for _, total in self._layers.values())
        return sum(there for there, _ in self._layers.values()) / whole if whole else None


def _usage(line: Mapping[str, Any]) -> Usage:
    prompt_ns, decode_ns = line.get("prompt_eval_duration"), line.get("eval_duration")
    return Usage(
        tokens_in=line.get("prompt_eval_count"),
        tokens_out=line.get("eval_count"),
        prompt_s=None if prompt_ns is None else prompt_ns / 1e9,
        decode_s=None if decode_ns is None else decode_ns / 1e9,
    )
