"""How each HTTP provider's server talks, for tests that let it misbehave: one entry a kind.

Owns: the bytes of a good answer, of its parts and of errors, in each dialect. Never: a test.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from arbiter_providers.anthropic import AnthropicProvider
from arbiter_providers.ollama import OllamaProvider
from arbiter_providers.openai import OpenAiProvider
from arbiter_providers.openai_compatible import OpenAiCompatibleProvider
from faulty_server import DONE, FaultyServer, Piece, answer, event, stream, word
from provider_kit import until

from arbiter_tui.errors import ProviderError, Unreachable, WorkerDied
from arbiter_tui.provider import LoadedModel, Message, Provider, ProviderConfig, Request, WorkerEvent

KEY = "sk-planted-0123456789"
HELLO = Request(messages=(Message("user", "Say hello."),), max_tokens=8)
SHAPELESS = [1, 2]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``path``: where a conversation is asked; ``lists``: where the models are listed; ``gone``: what a server that
    went away is to its client, and ``tells``: whether that is an event."""

    name: str
    make: Callable[[ProviderConfig], Provider]
    path: str
    lists: str
    framed: Callable[[Any], bytes]  # an event or line of the stream
    word: Callable[[str], bytes]  # one that carries a piece of text
    end: tuple[bytes, ...]
    failed: Callable[[str], bytes]  # an error in mid-stream
    refusal: Callable[[str], dict[str, Any]]  # an error's body
    ready: Callable[[FaultyServer], object]  # lets a model be found and loaded
    media: str = "text/event-stream"
    options: tuple[tuple[str, Any], ...] = ()
    gone: type[ProviderError] = WorkerDied
    tells: bool = True

    def stream(self, *pieces: Piece) -> list[Piece]:
        return stream(*pieces, kind=self.media)

    @property
    def good(self) -> list[Piece]:
        return self.stream(self.word("Hel"), self.word("lo"), *self.end)

    def provider(self, url: str, **options: Any) -> Provider:
        known = {"base_url": url, "api_key": KEY, "stall_timeout_s": 1, **dict(self.options), **options}
        return self.make(ProviderConfig(name="box", kind=self.name, options=known))

    @asynccontextmanager
    async def loaded(self, fault: FaultyServer, **options: Any) -> AsyncIterator[tuple[LoadedModel, list[WorkerEvent]]]:
        """A model on ``fault``; afterwards no connection is left open."""
        self.ready(fault)
        provider, events = self.provider(fault.url, **options), []  # type: Provider, list[WorkerEvent]
        try:
            version = await provider.inspect("m")
            yield await provider.load(version, timeout_s=10, on_event=events.append), events
        finally:
            await provider.close()
            await until(lambda: fault.open == 0, "no connection is left open")


def line(told: Any) -> bytes:
    return (told if isinstance(told, bytes) else json.dumps(told).encode()) + b"\n"


def said(text: str, **more: Any) -> bytes:
    return line({"message": {"role": "assistant", "content": text}, "done": False, **more})


def ollama_ready(fault: FaultyServer) -> None:
    tag = {"name": "m:latest", "model": "m:latest", "digest": "ab" * 32, "size": 1000}
    fault.script("/api/tags", answer({"models": [tag]})).script("/api/ps", answer({"models": [tag]}))
    fault.script("/api/show", answer({"template": "{{ .Messages }}"}))
    fault.script("/api/generate", answer({"done": True, "done_reason": "load", "response": ""}))


def plain_error(message: str) -> dict[str, Any]:
    return {"error": message}


def openai_error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x"}}


OLLAMA = Kind(
    name="ollama", make=OllamaProvider, path="/api/chat", lists="/api/tags", framed=line, word=said,
    end=(line({"message": {"content": ""}, "done": True, "done_reason": "stop"}),),
    failed=lambda message: line({"error": message}), refusal=plain_error, ready=ollama_ready,
    media="application/x-ndjson",
)  # fmt: skip
COMPATIBLE = Kind(
    name="openai_compatible", make=OpenAiCompatibleProvider, path="/v1/chat/completions", lists="/v1/models",
    framed=event, word=word, end=(word("", "stop"), DONE), failed=lambda message: event(openai_error(message)),
    refusal=openai_error, ready=lambda fault: None,
)  # fmt: skip
PAID = (("models", ["m"]),)
OPENAI = replace(
    COMPATIBLE, name="openai", make=OpenAiProvider, options=PAID, gone=Unreachable, tells=False,
    ready=lambda fault: fault.script("/v1/models/m", answer({"id": "m"})),
)  # fmt: skip


def named(told: dict[str, Any] | bytes | Any) -> bytes:
    """An event as Anthropic sends it: its type is also its name."""
    kind = told.get("type", "") if isinstance(told, dict) else ""
    return f"event: {kind}\n".encode() + event(told)


def text_delta(text: str) -> bytes:
    return named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def anthropic_error(message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "api_error", "message": message}}


ANTHROPIC = Kind(
    name="anthropic", make=AnthropicProvider, path="/v1/messages", lists="/v1/models", framed=named, word=text_delta,
    end=(named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
         named({"type": "message_stop"})),
    failed=lambda message: named(anthropic_error(message)), refusal=anthropic_error, options=PAID, gone=Unreachable,
    tells=False, ready=lambda fault: fault.script("/v1/models/m", answer({"id": "m"})),
)  # fmt: skip
KINDS: Sequence[Kind] = (OLLAMA, COMPATIBLE, OPENAI, ANTHROPIC)
