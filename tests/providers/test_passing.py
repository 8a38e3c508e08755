"""Ollama's and Anthropic's own answers to clients of their own: byte for byte, read on their way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from arbiter_providers import _anthropic_wire, _ollama_wire, _openai_wire
from arbiter_providers.anthropic import AnthropicProvider
from arbiter_providers.ollama import OllamaModel, OllamaProvider

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import InvalidRequest, NotSupported, ProviderError, Unreachable, WorkerDied
from arbiter_tui.provider import Done, Message, Original, ProviderConfig, Request, WorkerEvent

THOUGHT = {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False}
WORD = {"model": "m", "message": {"role": "assistant", "content": "yes"}, "done": False, "odd": [1]}
END = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "length",
       "prompt_eval_count": 7, "eval_count": 3, "eval_duration": 2_000_000_000}  # fmt: skip
CUT = object()  # the connection breaks there
EVENTS = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]


def lines(*told: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(t).encode() + b"\n" for t in told)


def events(*told: dict[str, Any]) -> bytes:
    return b"".join(f"event: {t['type']}\ndata: {json.dumps(t)}\n\n".encode() for t in told)


class Server:
    """Answers every POST with ``status`` and ``pieces``."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(json.loads(await request.text() or "{}"))
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        for piece in self.pieces:
            if piece is CUT:
                assert request.transport is not None
                request.transport.abort()
                break
            await response.write(piece)
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


def asked(path: str = "/api/chat", stream: bool = True, **more: Any) -> Request:
    body = {"model": "arbiter/chat", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **more}
    return Request(messages=(Message("user", "hi"),), original=Original(path, body, stream))


@asynccontextmanager
async def models(server: Server) -> AsyncIterator[tuple[dict[str, Any], list[WorkerEvent]]]:
    """A model behind each, as if it were loaded; and what they tell of themselves."""
    told: list[WorkerEvent] = []
    version = ModelVersion(version="m.x", provider="x", model="m", source="ollama:m", context=512)
    ollama = OllamaProvider(ProviderConfig(name="x", kind="ollama", options={"base_url": server.url}))
    options = {"base_url": server.url, "api_key": "sk-planted", "models": ["big"], "leave_out": ["top_k"]}
    paid = AnthropicProvider(ProviderConfig(name="x", kind="anthropic", options=options))
    big = ModelVersion(version="big.x", provider="x", model="big", source="big")
    try:
        yield (
            {
                "/api/chat": OllamaModel(ollama, version, "m", bare=False, on_event=told.append),
                "/v1/messages": paid.make_model(big, told.append),
            },
            told,
        )
    finally:
        await ollama.runtime.close()
        await paid.close()


async def passed(model: Any, request: Request) -> tuple[bytes, Done]:
    """The bytes that came, and Done."""
    data, done = b"", None
    async with aclosing(model.relay(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Done):
                done = piece
            else:
                data += piece
    assert done is not None
    return data, done


@pytest.mark.parametrize(("path", "answer", "counts"), [
    ("/api/chat", lines(THOUGHT, WORD, END), (7, 3)), ("/v1/messages", events(*EVENTS), (5, 9)),
], ids=["ollama", "anthropic"])  # fmt: skip
async def test_a_stream_passes_byte_for_byte(server: Server, path: str, answer: bytes, counts: tuple[int, int]) -> None:
    """Thoughts and unknown fields included, however it is cut; what it took is known at the end."""
    for size in (7, 64, len(answer)):
        server.pieces = [answer[i : i + size] for i in range(0, len(answer), size)]
        async with models(server) as (each, _):
            data, done = await passed(each[path], asked(path))
        assert data == answer
        assert (done.usage.tokens_in, done.usage.tokens_out, done.finish_reason) == (*counts, "length")


@pytest.mark.parametrize(("path", "answer", "counts"), [
    ("/api/chat", json.dumps(END).encode(), (7, 3)),
    ("/v1/messages", json.dumps({"type": "message", "content": [], "stop_reason": "max_tokens",
                                 "usage": {"input_tokens": 5, "output_tokens": 9}}).encode(), (5, 9)),
], ids=["ollama", "anthropic"])  # fmt: skip
async def test_a_whole_answer_passes_byte_for_byte(
    server: Server, path: str, answer: bytes, counts: tuple[int, int]
) -> None:
    """In one piece."""
    server.pieces = [answer[:9], answer[9:]]
    async with models(server) as (each, _):
        data, done = await passed(each[path], asked(path, stream=False))
    assert data == answer
    assert (done.usage.tokens_in, done.usage.tokens_out, done.finish_reason) == (*counts, "length")


async def test_ollama_is_asked_in_the_clients_words_but_for_what_is_ours(server: Server) -> None:
    """Its name there, how it is loaded and for how long; a temperature that is left out is 0."""
    server.pieces = [lines(END)]
    options = {"top_k": 3, "num_ctx": 99_999, "num_gpu": 7}
    async with models(server) as (each, _):
        await passed(each["/api/chat"], asked(think="high", keep_alive="5m", options=options, new_field=1))
    (body,) = server.asked
    assert body == {
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, "think": "high", "new_field": 1,
        "options": {"temperature": 0.0, "top_k": 3, "num_ctx": 512}, "keep_alive": -1, "truncate": False,
        "shift": False,
    }  # fmt: skip


async def test_anthropic_is_asked_in_the_clients_words_but_for_what_it_refuses(server: Server) -> None:
    """Its name there, without what the block leaves out; a temperature that is left out is 0 where it may be said."""
    server.pieces = [events(*EVENTS)]
    async with models(server) as (each, _):
        thinking = {"type": "enabled", "budget_tokens": 1024}
        await passed(each["/v1/messages"], asked("/v1/messages", thinking=thinking, top_k=3, keep_alive=5))
        await passed(each["/v1/messages"], asked("/v1/messages", max_tokens=4))
    first, second = server.asked
    said = {"model": "big", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert first == {**said, "thinking": thinking}
    assert second == {**said, "max_tokens": 4, "temperature": 0.0}


@pytest.mark.parametrize(("path", "pieces", "error"), [
    ("/api/chat", [lines(WORD), CUT], WorkerDied), ("/api/chat", [lines(WORD)], WorkerDied),
    ("/api/chat", [lines(WORD, {"error": "an error was encountered"})], ProviderError),
    ("/api/chat", [b"{broken\n"], ProviderError),
    ("/v1/messages", [events(*EVENTS[:3]), CUT], Unreachable), ("/v1/messages", [events(*EVENTS[:3])], Unreachable),
    ("/v1/messages", [events({"type": "error", "error": {"type": "api_error", "message": "sk-planted"}})],
     ProviderError),
], ids=["cut", "no end", "error", "broken", "cut off", "never ended", "refused"])  # fmt: skip
async def test_an_answer_that_breaks_off_is_a_typed_error(
    server: Server, path: str, pieces: list[Any], error: type[ProviderError]
) -> None:
    """Never a silent end; without the key; a cut of Ollama's is told to whoever keeps the model."""
    server.pieces = pieces
    async with models(server) as (each, told):
        with pytest.raises(error) as raised:
            await passed(each[path], asked(path))
    assert "sk-planted" not in str(raised.value)
    assert bool(told) == (error is WorkerDied)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/messages"])
async def test_what_it_refuses_is_refused(server: Server, path: str) -> None:
    """With its status, before a byte."""
    server.status, server.pieces = 400, [b'{"error": "does not support thinking", "type": "error"}']
    async with models(server) as (each, _):
        with pytest.raises((InvalidRequest, NotSupported)):
            await passed(each[path], asked(path))


def test_nobody_is_asked_in_words_of_another_dialect() -> None:
    """They are put into the runtime's own instead; so is a chat with a model that has no template for it."""
    for path in ("/v1/chat/completions", "/v1/messages"):
        assert _ollama_wire.original(asked(path), model="m", context=None, bare=False) is None
    assert _ollama_wire.original(asked(), model="m", context=None, bare=True) is None
    assert _anthropic_wire.original(asked(), "m") is None
    for path in ("/api/chat", "/v1/messages"):
        assert _openai_wire.original(asked(path), _openai_wire.Dialect("m")) is None
