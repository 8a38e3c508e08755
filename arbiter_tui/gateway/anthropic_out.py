"""provider Chunks -> Anthropic's messages, whole and as named SSE events.

Owns: the shapes and their bytes. Never: HTTP, the order of sending. ::

    message_start · (content_block_start · content_block_delta … · content_block_stop) … · message_delta · message_stop
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ProviderError
from ..provider import Done, Text, ToolCall, ToolPiece
from .generation import Counts, Whole
from .ollama_out import arguments_of

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_TEXT = -1  # stands for the text among the tool calls' numbers


@dataclass(slots=True)
class Shape:
    """One answer's form. ``tokens_in``: estimated, for the start; the true number follows at the end."""

    id: str
    model: str
    tokens_in: int
    block: int = -1  # the number of the block that is open, or of the last one
    inside: int | None = None  # which tool call (or _TEXT) the open block belongs to
    seen: int = _TEXT  # the highest tool call so far
    prefix: bytes = b""

    def opening(self) -> bytes:
        message = {**self._head(), "content": [], "stop_reason": None, "stop_sequence": None}
        usage = {"input_tokens": self.tokens_in, "output_tokens": 0}
        return _event("message_start", {"message": {**message, "usage": usage}})

    def piece(self, chunk: Text) -> bytes:
        if self.inside != _TEXT:
            begun = self._open(_TEXT, {"type": "text", "text": ""})
            self.prefix = _delta_prefix(self.block)
            return begun + self.prefix + json.dumps(chunk.text).encode() + b"}}\n\n"
        return self.prefix + json.dumps(chunk.text).encode() + b"}}\n\n"

    def call(self, chunk: ToolPiece) -> bytes:
        begun = b""
        if self.inside != chunk.index:
            if chunk.index <= self.seen:
                raise ProviderError("the runtime mixes the parts of several tool calls: they can't be told in order")
            self.seen = chunk.index
            tool = {"type": "tool_use", "id": chunk.id or f"call_{chunk.index}", "name": chunk.name or "", "input": {}}
            begun = self._open(chunk.index, tool)
        if not chunk.arguments:
            return begun
        delta = {"type": "input_json_delta", "partial_json": chunk.arguments}
        return begun + _event("content_block_delta", {"index": self.block, "delta": delta})

    def ending(self, done: Done, counts: Counts) -> bytes:
        delta = {"stop_reason": _STOPS.get(done.finish_reason, "end_turn"), "stop_sequence": None}
        return (
            self._close()
            + _event("message_delta", {"delta": delta, "usage": usage_of(counts)})
            + _event("message_stop", {})
        )

    def whole(self, answer: Whole) -> bytes:
        content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
        content += [_tool_use(c) for c in answer.calls]
        reason = _STOPS.get(answer.done.finish_reason, "end_turn")
        body = {**self._head(), "content": content, "stop_reason": reason, "stop_sequence": None}
        return json.dumps({**body, "usage": usage_of(answer.counts)}).encode()

    def _head(self) -> dict[str, Any]:
        return {"id": f"msg_{self.id}", "type": "message", "role": "assistant", "model": self.model}

    def _open(self, inside: int, block: Mapping[str, Any]) -> bytes:
        closed = self._close()
        self.block, self.inside = self.block + 1, inside
        return closed + _event("content_block_start", {"index": self.block, "content_block": block})

    def _close(self) -> bytes:
        if self.inside is None:
            return b""
        self.inside = None
        return _event("content_block_stop", {"index": self.block})


def _event(name: str, body: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **body}, separators=(',', ':'))}\n\n".encode()


def _delta_prefix(block: int) -> bytes:
    """Everything of a text delta before its text; built once a block."""
    head = f'"type":"content_block_delta","index":{block},"delta":'
    return b"event: content_block_delta\ndata: {" + head.encode() + b'{"type":"text_delta","text":'


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call)}


def usage_of(counts: Counts) -> dict[str, Any]:
    """Anthropic counts what came from the cache apart from the rest; what is estimated says so."""
    cached = counts.cached or 0
    told: dict[str, Any] = {"input_tokens": max(0, counts.tokens_in - cached), "output_tokens": counts.tokens_out}
    if counts.cached is not None:
        told["cache_read_input_tokens"] = cached
    if counts.estimated:
        told["estimated"] = True
    return told
