"""provider Chunks -> OpenAI's answers, whole and as SSE events.

Owns: the two shapes (chat and text) and their bytes. Never: HTTP, the order of sending.
A streamed piece costs one small ``json.dumps``: everything around the text is built once per answer.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..provider import Done, Text, TokenLogprob, Usage

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

    def ending(self, done: Done, usage: Mapping[str, Any]) -> bytes:
        """finish_reason, then usage if it was asked for, then [DONE]."""
        last = self._event(None, None, done.finish_reason).encode()
        if not self.include_usage:
            return last + DONE
        body = {**self._head(self._chunk_kind), "choices": [], "usage": usage}
        return last + f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode() + DONE

    def logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        if self.chat:
            return {"content": [_chat_token(t) for t in tokens], "refusal": None}
        return {
            "tokens": [t.token for t in tokens],
            "token_logprobs": [t.logprob for t in tokens],
            "top_logprobs": [dict(t.top) for t in tokens],
            "text_offset": _offsets(tokens),
        }

    def whole(self, text: str, tokens: Sequence[TokenLogprob], done: Done, usage: Mapping[str, Any]) -> bytes:
        """The body of an answer that is not streamed."""
        choice: dict[str, Any] = {"index": 0}
        if self.chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        choice |= {"logprobs": self.logprobs(tokens) if tokens else None, "finish_reason": done.finish_reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return json.dumps({**self._head(kind), "choices": [choice], "usage": usage}).encode()


def _chat_token(token: TokenLogprob) -> dict[str, Any]:
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


def usage_of(usage: Usage, *, pieces: int, prompt_bytes: int) -> dict[str, Any]:
    """OpenAI's usage. What the engine did not count is estimated (a piece is a token, so are four bytes), and said so.

    ``pieces``: text chunks received; ``prompt_bytes``: UTF-8 bytes of the prompt.
    """
    tokens_in = usage.tokens_in if usage.tokens_in is not None else -(-prompt_bytes // 4)
    tokens_out = usage.tokens_out if usage.tokens_out is not None else pieces
    body: dict[str, Any] = {
        "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out
    }  # fmt: skip
    if usage.tokens_cached is not None:
        body["prompt_tokens_details"] = {"cached_tokens": usage.tokens_cached}
    if usage.tokens_in is None or usage.tokens_out is None:
        body["estimated"] = True
    return body


def embeddings(model: str, vectors: Sequence[Sequence[float]], *, encoding: str, prompt_bytes: int) -> bytes:
    tokens = -(-prompt_bytes // 4)
    data = [
        {"object": "embedding", "index": i, "embedding": _packed(v) if encoding == "base64" else list(v)}
        for i, v in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "estimated": True}
    return json.dumps({"object": "list", "data": data, "model": model, "usage": usage}).encode()


def _packed(vector: Sequence[float]) -> str:
    """float32, little-endian, base64: what the official clients ask for by default."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
