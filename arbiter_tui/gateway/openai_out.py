"""provider Chunks -> OpenAI's answers, whole and as SSE events.

Owns: the two shapes (chat and text) and their bytes. Never: HTTP, the order of sending.
A streamed piece costs one small ``json.dumps``: everything around the text is built once per answer.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..provider import Done, Text, TokenLogprob, ToolCall, ToolPiece
from .generation import Counts, Whole

DONE = b"data: [DONE]\n\n"
_MARK = "\u0000piece\u0000"  # stands where the text goes while the prefix and the suffix are cut
_MARK_JSON = json.dumps(_MARK)


@dataclass(slots=True)
class Shape:
    """One answer's form. ``chat`` chooses between chat.completion and text_completion."""

    id: str
    model: str
    created: int
    chat: bool
    include_usage: bool = False
    prefix: bytes = field(init=False)
    suffix: bytes = field(init=False)

    def __post_init__(self) -> None:
        before, after = self._event(_MARK, None, None).split(_MARK_JSON, 1)
        self.prefix, self.suffix = before.encode(), after.encode()

    def _head(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if self.chat else "cmpl"
        return {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _event(self, text: str | None, logprobs: Any, finish: str | None) -> str:
        choice: dict[str, Any] = {"index": 0}
        if self.chat:
            choice["delta"] = {} if text is None else {"content": text}
        else:
            choice["text"] = text or ""
        choice |= {"logprobs": logprobs, "finish_reason": finish}
        body = {**self._head(self._chunk_kind), "choices": [choice]}
        if self.include_usage:
            body["usage"] = None
        return f"data: {json.dumps(body, separators=(',', ':'))}\n\n"

    def opening(self) -> bytes:
        """The role chunk (chat only)."""
        if not self.chat:
            return b""
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        body = {**self._head(self._chunk_kind), "choices": [choice]}
        if self.include_usage:
            body["usage"] = None
        return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()

    def piece(self, chunk: Text) -> bytes:
        """One SSE event of text."""
        if chunk.logprobs:
            return self._event(chunk.text, self.logprobs(chunk.logprobs), None).encode()
        return self.prefix + json.dumps(chunk.text).encode() + self.suffix

    def call(self, chunk: ToolPiece) -> bytes:
        """One SSE event of a part of a tool call, as the runtime cut it."""
        body = {**self._head(self._chunk_kind), "choices": [{
            "index": 0, "delta": {"tool_calls": [_call_delta(chunk)]}, "logprobs": None, "finish_reason": None,
        }]}  # fmt: skip
        if self.include_usage:
            body["usage"] = None
        return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()

    def ending(self, done: Done, counts: Counts) -> bytes:
        """finish_reason, then usage if it was asked for, then [DONE]."""
        last = self._event(None, None, done.finish_reason).encode()
        if not self.include_usage:
            return last + DONE
        body = {**self._head(self._chunk_kind), "choices": [], "usage": usage_of(counts)}
        return last + f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode() + DONE

    def logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        if self.chat:
            return {"content": [chat_token(t) for t in tokens], "refusal": None}
        return {
            "tokens": [t.token for t in tokens],
            "token_logprobs": [t.logprob for t in tokens],
            "top_logprobs": [dict(t.top) for t in tokens],
            "text_offset": _offsets(tokens),
        }

    def whole(self, answer: Whole) -> bytes:
        """The body of an answer that is not streamed."""
        choice: dict[str, Any] = {"index": 0}
        if self.chat:
            choice["message"] = _message(answer)
        else:
            choice["text"] = answer.text
        logprobs = self.logprobs(answer.tokens) if answer.tokens else None
        choice |= {"logprobs": logprobs, "finish_reason": answer.done.finish_reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return json.dumps({**self._head(kind), "choices": [choice], "usage": usage_of(answer.counts)}).encode()


def _message(answer: Whole) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.calls:
        message |= {"content": answer.text or None, "tool_calls": [_call(c) for c in answer.calls]}
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _call_delta(piece: ToolPiece) -> dict[str, Any]:
    function: dict[str, Any] = {} if piece.name is None else {"name": piece.name}
    told: dict[str, Any] = {"index": piece.index, "function": {**function, "arguments": piece.arguments}}
    return told if piece.id is None else {**told, "id": piece.id, "type": "function"}


def chat_token(token: TokenLogprob) -> dict[str, Any]:
    return {
        **_token(token.token, token.logprob),
        "top_logprobs": [_token(text, logprob) for text, logprob in token.top],
    }


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}


def _offsets(tokens: Sequence[TokenLogprob]) -> list[int]:
    offsets, at = [], 0
    for token in tokens:
        offsets.append(at)
        at += len(token.token)
    return offsets


def usage_of(counts: Counts) -> dict[str, Any]:
    """OpenAI's usage; what is estimated says so."""
    body: dict[str, Any] = {
        "prompt_tokens": counts.tokens_in, "completion_tokens": counts.tokens_out,
        "total_tokens": counts.tokens_in + counts.tokens_out,
    }  # fmt: skip
    if counts.cached is not None:
        body["prompt_tokens_details"] = {"cached_tokens": counts.cached}
    if counts.estimated:
        body["estimated"] = True
    return body


def embeddings(
    model: str, vectors: Sequence[Sequence[float]], *, encoding: str, usage: Mapping[str, int]
) -> bytes:  # fmt: skip
    data = [
        {"object": "embedding", "index": i, "embedding": _packed(v) if encoding == "base64" else list(v)}
        for i, v in enumerate(vectors)
    ]
    return json.dumps({"object": "list", "data": data, "model": model, "usage": usage}).encode()


def cut(vector: Sequence[float], dimensions: int | None) -> list[float]:
    """Its first ``dimensions``, of length 1 again; all of it as it came where nothing is cut."""
    if dimensions is None or dimensions >= len(vector):
        return list(vector)
    kept = vector[:dimensions]
    length = math.sqrt(sum(x * x for x in kept))
    return [x / length for x in kept] if length else list(kept)


def _packed(vector: Sequence[float]) -> str:
    """float32, little-endian, base64: what the official clients ask for by default."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
