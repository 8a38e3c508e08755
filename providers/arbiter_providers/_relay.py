"""The bytes of an answer that passes through as its runtime sends it: whether it came to its end, and what it took.

Owns: the newest bytes of a stream, and what they say once it is over. Never: changes a byte, looks at one on its way.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from arbiter_tui.errors import ProviderError
from arbiter_tui.provider import Done, FinishReason, Sink, Usage

TAIL_BYTES = 16 * 1024  # the reason, the usage and the timings of an answer are its last events, and short
OVER = b"[DONE]"
BYTES_PER_TOKEN = 4  # where a runtime counts nothing: of English text, about
_READ = json.JSONDecoder().decode  # without the guess at an encoding: JSON on a wire is UTF-8


class Tail:
    """Of one streamed answer."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def add(self, data: bytes) -> None:
        """Copies nothing: the pieces that its last bytes are in."""
        self._pieces.append(data)
        self._size += len(data)
        while self._size - len(self._pieces[0]) >= TAIL_BYTES:
            self._size -= len(self._pieces.popleft())

    def done(self, hidden: Callable[[bytes], bytes] = bytes) -> Done | None:
        """None: the stream broke off. Raises ProviderError where the runtime itself said that something failed.

        ``hidden``: an error's bytes without what must not go on.
        """
        reason: FinishReason | None = None
        found: dict[str, Any] = {}
        over = False
        for line in reversed(b"".join(self._pieces)[-TAIL_BYTES:].splitlines()):
            if not line.startswith((b"data:", b"error:")):
                continue
            told = line.split(b":", 1)[1].strip()
            if told == OVER:
                over = True
                continue
            event = _object(told)
            if event.get("error") or line.startswith(b"error:"):
                raise ProviderError(f"its runtime said: {hidden(told)[:300].decode('utf-8', 'replace')}")
            found = {**event, **found}
            if event.get("choices"):  # all that follows the reason has none
                reason = _reason(event)
                break
        if reason is None and not over:
            return None
        return Done(finish_reason=reason or "stop", usage=usage_of(found))


class Told:
    """A sink on whose way the end of a stream is noted."""

    __slots__ = ("_sink", "_tail", "drain")

    def __init__(self, tail: Tail, sink: Sink) -> None:
        self._tail, self._sink, self.drain = tail, sink, sink.drain

    def write(self, data: bytes) -> bool:
        self._tail.add(data)
        return self._sink.write(data)


def whole(body: bytes) -> Done:
    """Of an answer that came in one piece. Raises ProviderError for what is none."""
    told = _object(body)
    reason = _reason(told)
    if reason is None:
        raise ProviderError("its runtime's answer has no choices")
    usage = usage_of(told)
    if usage.tokens_out is None and (text := _text(told["choices"][0])):
        usage = replace(usage, tokens_out=-(-len(text.encode()) // BYTES_PER_TOKEN), estimated=True)
    return Done(finish_reason=reason, usage=usage)


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def _reason(event: Mapping[str, Any]) -> FinishReason | None:
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    reason = choices[0].get("finish_reason")
    return None if reason is None else reason if reason in ("length", "tool_calls") else "stop"


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = _READ(data.decode())
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def usage_of(told: Mapping[str, Any]) -> Usage:
    """``usage`` counts; ``timings`` (llama-server's) count and time. What neither says stays unknown."""
    usage, timings = told.get("usage"), told.get("timings")
    usage, timings = usage if isinstance(usage, dict) else {}, timings if isinstance(timings, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    if not timings:
        return Usage(
            tokens_in=usage.get("prompt_tokens"), tokens_out=usage.get("completion_tokens"), tokens_cached=cached
        )
    cached = timings.get("cache_n", cached)
    prompt = timings.get("prompt_n")
    counted = None if prompt is None else prompt + (timings.get("cache_n") or 0)
    return Usage(
        tokens_in=usage.get("prompt_tokens", counted),
        tokens_out=usage.get("completion_tokens", timings.get("predicted_n")),
        tokens_cached=cached,
        prompt_s=_seconds(timings.get("prompt_ms")),
        decode_s=_seconds(timings.get("predicted_ms")),
    )


def _seconds(ms: Any) -> float | None:
    return ms / 1000 if isinstance(ms, int | float) else None
