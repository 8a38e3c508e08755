"""provider Chunks -> Ollama's answers, whole and as NDJSON lines; versions -> Ollama's lists of models.

Owns: the shapes and their bytes. Never: HTTP, the order of sending. Durations are nanoseconds; what nobody measured is
left out (of an answer) or null (in a list).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..core.registry import ModelVersion
from ..engine.answer import Answer
from ..engine.instance import InstanceView
from ..errors import ProviderError
from ..provider import Done, Text, TokenLogprob, ToolCall, ToolPiece
from .fields import FOREVER_S
from .generation import Calls, Counts, Whole

_FOREVER = "2318-01-01T00:00:00Z"  # a model that never expires: centuries ahead, as clients know it from Ollama
_WORDS = {"text-generation": "completion", "embeddings": "embedding", "infill": "insert"}
_HIDDEN = frozenset({"chat", "code"})  # ours alone
_SIZES = (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3))


def stamp(seconds: float | None = None) -> str:
    """RFC 3339 in UTC; now without an argument."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


@dataclass(slots=True)
class Shape:
    """One answer's form. ``chat`` chooses between a message and a bare response; ``model`` is the client's own word."""

    model: str
    chat: bool
    answer: Answer
    prefix: bytes = field(init=False)
    middle: bytes = field(init=False)
    suffix: bytes = field(init=False)
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        self.prefix = b'{"model":' + json.dumps(self.model).encode() + b',"created_at":"'
        self.middle = b'","message":{"role":"assistant","content":' if self.chat else b'","response":'
        self.suffix = b'},"done":false}\n' if self.chat else b',"done":false}\n'

    def opening(self) -> bytes:
        return b""

    def piece(self, chunk: Text) -> bytes:
        """One line of text."""
        if chunk.logprobs:
            return self._line({**self._head(chunk.text), "done": False, "logprobs": _logprobs(chunk.logprobs)})
        return self.prefix + stamp().encode() + self.middle + json.dumps(chunk.text).encode() + self.suffix

    def call(self, chunk: ToolPiece) -> bytes:
        """Nothing yet: Ollama's calls are whole."""
        self.calls.add(chunk)
        return b""

    def ending(self, done: Done, counts: Counts) -> bytes:
        """The tool calls in a line of their own, then why it is over, and what it took."""
        calls = self.calls.all()
        called = self._line({**self._head("", calls), "done": False}) if calls else b""
        return called + self._line({**self._head(""), "done": True, **self._end(done, counts)})

    def whole(self, answer: Whole) -> bytes:
        logprobs = {"logprobs": _logprobs(answer.tokens)} if answer.tokens else {}
        end = self._end(answer.done, answer.counts)
        reason = {"done_reason": end.pop("done_reason")}
        return json.dumps({**self._head(answer.text, answer.calls), "done": True, **reason, **logprobs, **end}).encode()

    def _head(self, content: str, calls: Sequence[ToolCall] = ()) -> dict[str, Any]:
        head: dict[str, Any] = {"model": self.model, "created_at": stamp()}
        if not self.chat:
            return {**head, "response": content}
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if calls:
            message["tool_calls"] = [_call(c, i) for i, c in enumerate(calls)]
        return {**head, "message": message}

    def _end(self, done: Done, counts: Counts) -> dict[str, Any]:
        usage = done.usage
        told = {
            "done_reason": "length" if done.finish_reason == "length" else "stop",
            "total_duration": _ns(self.answer.latency_s),
            "load_duration": _ns(self.answer.queue_s),
            "prompt_eval_count": counts.tokens_in,
            "prompt_eval_duration": _ns(usage.prompt_s),
            "eval_count": counts.tokens_out,
            "eval_duration": _ns(usage.decode_s),
        }
        return {k: v for k, v in told.items() if v is not None}

    def _line(self, told: Mapping[str, Any]) -> bytes:
        return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e9)


def _call(call: ToolCall, index: int) -> dict[str, Any]:
    function = {"index": index, "name": call.name, "arguments": arguments_of(call)}
    return {"id": call.id, "function": function}


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The object that the model wrote. Raises ProviderError if it is none: half a call is no call."""
    try:
        told = json.loads(call.arguments or "{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ProviderError(f"the model called {call.name!r} with arguments that are no JSON object")
    return told


def _logprobs(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    return [
        {**_token(t.token, t.logprob), **({"top_logprobs": [_token(*o) for o in t.top]} if t.top else {})}
        for t in tokens
    ]


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def loaded(model: str, reason: str, *, chat: bool) -> bytes:
    """The answer to a request that only loads or unloads; ``reason``: load, unload."""
    said: dict[str, Any] = {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
    return json.dumps(
        {"model": model, "created_at": stamp(), **said, "done": True, "done_reason": reason}
    ).encode()  # fmt: skip


def details(version: ModelVersion) -> dict[str, Any]:
    """What kind of model it is. An empty text is Ollama's own word for unknown."""
    family = version.family or ""
    return {
        "parent_model": "",
        "format": "gguf" if version.source.endswith(".gguf") or version.source.startswith("ollama:") else "",
        "family": family,
        "families": [family] if family else None,
        "parameter_size": _count(version.parameters),
        "quantization_level": version.quantization or "",
    }


def tag(name: str, version: ModelVersion) -> dict[str, Any]:
    """One item of /api/tags."""
    return {
        "name": name,
        "model": name,
        "modified_at": stamp(version.created_at),
        "size": version.file_bytes,
        "digest": _digest(version),
        "details": {**details(version), "context_length": version.context},
        "capabilities": capabilities(version),
    }


def running(name: str, version: ModelVersion, view: InstanceView, *, idle_ttl_s: float | None) -> dict[str, Any]:
    """One item of /api/ps."""
    ttl_s = idle_ttl_s if view.keep_s is None else view.keep_s
    forever = ttl_s is None or ttl_s == FOREVER_S or version.pinned or view.pinned
    return {
        "name": name,
        "model": name,
        "size": view.resident_bytes or view.predicted_bytes or version.file_bytes,
        "digest": _digest(version),
        "details": details(version),
        "expires_at": _FOREVER if forever else stamp((view.last_used_at or version.created_at) + (ttl_s or 0.0)),
        "size_vram": 0 if view.backend == "CPU" else None,
        "context_length": view.context or version.context,
    }


def shown(name: str, version: ModelVersion) -> dict[str, Any]:
    """The answer of /api/show: what the arbiter knows. Templates and parameters stay with the runtime."""
    family = version.family or "unknown"
    info: dict[str, Any] = {"general.architecture": family, "general.basename": version.model}
    known = {
        "general.parameter_count": version.parameters,
        "general.license": version.licence,
        f"{family}.context_length": version.context,
    }
    return {
        "modelfile": f"# served by arbiter as {version.version}\nFROM {name}\n",
        "parameters": "",
        "template": "",
        "details": details(version),
        "model_info": info | {k: v for k, v in known.items() if v is not None},
        "capabilities": capabilities(version),
        "modified_at": stamp(version.created_at),
    }


def capabilities(version: ModelVersion) -> list[str]:
    return sorted(_WORDS.get(c, c) for c in version.capabilities if c not in _HIDDEN)


def _digest(version: ModelVersion) -> str:
    return (version.digest or "").removeprefix("sha256:")


def _count(parameters: int | None) -> str:
    """134515008 -> "134.52M"; unknown is empty."""
    if parameters is None:
        return ""
    letter, size = next((s for s in _SIZES if parameters >= s[1]), ("", 1.0))
    return f"{parameters / size:.2f}{letter}"
