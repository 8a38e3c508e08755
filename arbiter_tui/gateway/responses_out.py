"""provider Chunks -> OpenAI's response objects, whole and as named SSE events.

Owns: the shapes and their bytes. Never: HTTP, the order of sending, memory (``store`` is always false). ::

    created · in_progress · (output_item.added · content_part.added · output_text.delta … · output_text.done ·
    content_part.done · output_item.done) · (output_item.added · function_call_arguments.delta … · .done ·
    output_item.done) … · completed | incomplete
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ProviderError
from ..provider import Done, Request, Text, TokenLogprob, ToolCall, ToolPiece
from .generation import Counts, Whole
from .openai_out import chat_token


@dataclass(slots=True)
class Shape:
    """One answer's form. It remembers what was sent, for the last event repeats it."""

    id: str
    model: str
    created: int
    body: Mapping[str, Any]
    request: Request
    sequence: int = 0
    output: list[dict[str, Any]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    tokens: list[TokenLogprob] = field(default_factory=list)
    inside: int | None = None  # the tool call whose item is open; -1: the message
    seen: int = -1
    tool: tuple[str, str] = ("", "")  # id and name of the open call

    def opening(self) -> bytes:
        head = {"response": self._response("in_progress", [], None)}
        return self._event("response.created", head) + self._event("response.in_progress", head)

    def piece(self, chunk: Text) -> bytes:
        begun = b"" if self.inside == -1 else self._close() + self._open_message()
        self.texts.append(chunk.text)
        self.tokens += chunk.logprobs
        logprobs = [chat_token(t) for t in chunk.logprobs]
        return begun + self._event(
            "response.output_text.delta", {**self._at(), "delta": chunk.text, "logprobs": logprobs}
        )

    def call(self, chunk: ToolPiece) -> bytes:
        begun = b""
        if self.inside != chunk.index:
            if chunk.index <= self.seen:
                raise ProviderError("the runtime mixes the parts of several tool calls: they can't be told in order")
            begun = self._close() + self._open_call(chunk)
        if not chunk.arguments:
            return begun
        self.texts.append(chunk.arguments)
        told = {"item_id": self._item_id(), "output_index": len(self.output), "delta": chunk.arguments}
        return begun + self._event("response.function_call_arguments.delta", told)

    def ending(self, done: Done, counts: Counts) -> bytes:
        closed = self._close()
        status = _status(done)
        response = self._response(status, self.output, counts)
        return closed + self._event(f"response.{status}", {"response": response})

    def whole(self, answer: Whole) -> bytes:
        items = [self._message(answer.text, answer.tokens)] if answer.text else []
        items += [self._call_item(c, len(items) + n) for n, c in enumerate(answer.calls)]
        return json.dumps(self._response(_status(answer.done), items, answer.counts)).encode()

    # ── items ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _open_message(self) -> bytes:
        self.inside = -1
        item = {**self._message("", ()), "status": "in_progress", "content": []}
        added = self._event("response.output_item.added", {"output_index": len(self.output), "item": item})
        return added + self._event("response.content_part.added", {**self._at(), "part": _part("", ())})

    def _open_call(self, chunk: ToolPiece) -> bytes:
        self.inside = self.seen = chunk.index
        self.tool = (chunk.id or f"call_{chunk.index}", chunk.name or "")
        item = {**self._call_item(ToolCall(*self.tool, ""), len(self.output)), "status": "in_progress"}
        return self._event("response.output_item.added", {"output_index": len(self.output), "item": item})

    def _close(self) -> bytes:
        if self.inside is None:
            return b""
        told, at = "".join(self.texts), len(self.output)
        if self.inside == -1:
            item, sent = self._message(told, self.tokens), self._text_done(told)
        else:
            item = self._call_item(ToolCall(*self.tool, told), at)
            done = {"item_id": item["id"], "output_index": at, "name": self.tool[1], "arguments": told}
            sent = self._event("response.function_call_arguments.done", done)
        sent += self._event("response.output_item.done", {"output_index": at, "item": item})
        self.output.append(item)
        self.inside, self.texts, self.tokens = None, [], []
        return sent

    def _text_done(self, told: str) -> bytes:
        logprobs = [chat_token(t) for t in self.tokens]
        done = self._event("response.output_text.done", {**self._at(), "text": told, "logprobs": logprobs})
        return done + self._event("response.content_part.done", {**self._at(), "part": _part(told, self.tokens)})

    def _message(self, told: str, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        return {
            "id": f"msg_{self.id}_{len(self.output)}", "type": "message", "status": "completed", "role": "assistant",
            "content": [_part(told, tokens)],
        }  # fmt: skip

    def _call_item(self, call: ToolCall, at: int) -> dict[str, Any]:
        return {
            "id": f"fc_{self.id}_{at}", "type": "function_call", "status": "completed", "call_id": call.id,
            "name": call.name, "arguments": call.arguments,
        }  # fmt: skip

    def _item_id(self) -> str:
        return f"{'msg' if self.inside == -1 else 'fc'}_{self.id}_{len(self.output)}"

    def _at(self) -> dict[str, Any]:
        return {"item_id": self._item_id(), "output_index": len(self.output), "content_index": 0}

    # ── the response ──────────────────────────────────────────────────────────────────────────────────────────

    def _event(self, name: str, body: Mapping[str, Any]) -> bytes:
        told = json.dumps({"type": name, "sequence_number": self.sequence, **body}, separators=(",", ":"))
        self.sequence += 1
        return f"event: {name}\ndata: {told}\n\n".encode()

    def _response(self, status: str, output: Sequence[Mapping[str, Any]], counts: Counts | None) -> dict[str, Any]:
        asked, given = self.body, self.request
        running = status == "in_progress"
        return {
            "id": f"resp_{self.id}", "object": "response", "created_at": self.created, "status": status,
            "completed_at": None if running else int(time.time()), "background": False, "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": asked.get("instructions"), "max_output_tokens": asked.get("max_output_tokens"),
            "max_tool_calls": None, "model": self.model, "output": list(output), "previous_response_id": None,
            "parallel_tool_calls": asked.get("parallel_tool_calls", True), "store": False,
            "temperature": given.temperature, "top_p": given.top_p, "top_logprobs": given.logprobs or 0,
            "presence_penalty": asked.get("presence_penalty", 0), "service_tier": "default",
            "frequency_penalty": asked.get("frequency_penalty", 0), "truncation": "disabled",
            "text": asked.get("text") or {"format": {"type": "text"}}, "tools": asked.get("tools") or [],
            "tool_choice": asked.get("tool_choice") or "auto", "reasoning": asked.get("reasoning"),
            "metadata": asked.get("metadata") or {}, "user": asked.get("user"),
            "prompt_cache_key": asked.get("prompt_cache_key"), "safety_identifier": asked.get("safety_identifier"),
            "usage": None if counts is None else _usage(counts),
        }  # fmt: skip


def _status(done: Done) -> str:
    return "incomplete" if done.finish_reason == "length" else "completed"


def _part(told: str, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"type": "output_text", "text": told, "annotations": [], "logprobs": [chat_token(t) for t in tokens]}


def _usage(counts: Counts) -> dict[str, Any]:
    told: dict[str, Any] = {
        "input_tokens": counts.tokens_in, "input_tokens_details": {"cached_tokens": counts.cached or 0},
        "output_tokens": counts.tokens_out, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counts.tokens_in + counts.tokens_out,
    }  # fmt: skip
    return {**told, "estimated": True} if counts.estimated else told
