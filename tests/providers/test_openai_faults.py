"""The provider on OpenAI-compatible servers against one that misbehaves in every way: typed errors, nothing leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arbiter_providers.openai_compatible import OpenAiCompatibleProvider
from faulty_server import (
    DONE,
    ENDLESS,
    GOOD,
    HANG,
    MODELS,
    RESET,
    FaultyServer,
    Piece,
    answer,
    event,
    faulty_server,
    stream,
    word,
)
from provider_kit import SCHEMA, until

from arbiter_tui.errors import (
    ArbiterError,
    ContextOverflow,
    InvalidRequest,
    LoadFailed,
    ModelUnusable,
    NotSupported,
    Overloaded,
    ProviderError,
    Unreachable,
    WorkerDied,
)
from arbiter_tui.provider import LoadedModel, Message, ProviderConfig, Request, WorkerEvent
from arbiter_tui.testing import collect

CHAT = "/v1/chat/completions"
KEY = "sk-planted-0123456789"
HELLO = Request(messages=(Message("user", "Say hello."),), max_tokens=8)


def provider_at(url: str, **options: Any) -> OpenAiCompatibleProvider:
    known = {"base_url": url, "api_key": KEY, "stall_timeout_s": 1, **options}
    return OpenAiCompatibleProvider(ProviderConfig(name="box", kind="openai_compatible", options=known))


@asynccontextmanager
async def loaded(fault: FaultyServer, **options: Any) -> AsyncIterator[tuple[LoadedModel, list[WorkerEvent]]]:
    provider, events = provider_at(fault.url, **options), []  # type: OpenAiCompatibleProvider, list[WorkerEvent]
    try:
        version = await provider.inspect("m")
        yield await provider.load(version, timeout_s=10, on_event=events.append), events
    finally:
        await provider.close()
        await until(lambda: fault.open == 0, "no connection is left open")


CUT = word("Hel")
WRONG_ANSWERS: list[tuple[str, Sequence[Piece], type[ArbiterError], str]] = [
    ("reset before the answer", [RESET], WorkerDied, "nobody answers|broke off"),
    ("reset in the middle", stream(CUT, RESET), WorkerDied, "broke off|in the middle"),
    ("an end without an end", stream(CUT), WorkerDied, "in the middle"),
    ("half a chunk", stream(CUT, b'data: {"choices": [{"del'), WorkerDied, "in the middle"),
    ("a stall in the middle", stream(CUT, HANG), WorkerDied, "no answer in time"),
    ("slow headers", [b"HTTP/1.1 200 OK\r\nContent-", HANG], WorkerDied, "no answer in time"),
    ("rubbish instead of HTTP", [b"\x00\x01\x02 what?\r\n\r\n", RESET], WorkerDied, "nobody answers|broke off"),
    ("429", answer({"error": {"message": "busy"}}, status=429), Overloaded, "busy"),
    ("500", answer({"error": {"message": "oops " + KEY, "code": 500}}, status=500), ProviderError, "oops"),
    ("500 in HTML", answer(b"<h1>oops</h1>", status=500, kind="text/html"), ProviderError, "oops"),
    ("503", answer({"error": {"message": "Loading model"}}, status=503), Overloaded, "Loading model"),
    ("400", answer({"detail": "bad temperature"}, status=400), InvalidRequest, "bad temperature"),
    ("401", answer({"error": "invalid key " + KEY}, status=401), ProviderError, "api_key"),
    ("404", answer({"message": "no model m"}, status=404), ModelUnusable, "no model m"),
    ("a redirect", answer(b"", status=307), ProviderError, "redirects"),
    ("too long, llama-server", answer({"error": {"message": "x", "type": "exceed_context_size_error"}}, status=400),
     ContextOverflow, "x"),
    ("too long, vLLM", answer({"message": "This model's maximum context length is 8 tokens."}, status=400),
     ContextOverflow, "8 tokens"),
    ("a page instead of a stream", answer(b"<html>login</html>", kind="text/html"), WorkerDied, "in the middle"),
    ("a JSON error with 200", answer({"error": {"message": "no stream"}}), ProviderError, "no stream"),
    ("invalid JSON", stream(event(b"{nope")), ProviderError, "can't be read"),
    ("invalid UTF-8", stream(event(b'{"choices": [{"delta": {"content": "\xff\xfe"}}]}')), ProviderError, "read"),
    ("JSON of another shape", stream(event([1, 2])), ProviderError, "can't be read"),
    ("choices of another shape", stream(event({"choices": [7]})), ProviderError, "can't be read"),
    ("an error event", stream(CUT, event({"error": {"message": "out of memory"}})), ProviderError, "out of memory"),
    ("an end without a reason", stream(CUT, DONE), ProviderError, "without a reason"),
    ("an endless line", stream(b"data: " + b"x" * 65536, ENDLESS), ProviderError, "bytes long"),
    ("an endless error", [*stream(kind="application/json"), b"x" * 65536, ENDLESS], ProviderError, "without end"),
]  # fmt: skip


@pytest.mark.parametrize(("pieces", "kind", "words"), [case[1:] for case in WRONG_ANSWERS],
                         ids=[case[0] for case in WRONG_ANSWERS])  # fmt: skip
async def test_a_wrong_answer_is_a_typed_error(pieces: Sequence[Piece], kind: type[ArbiterError], words: str) -> None:
    """Whatever comes back: the error of that kind, in words, without the key; the connection is closed; the next
    request is answered."""
    async with faulty_server() as fault:
        fault.script(CHAT, pieces, GOOD)
        async with loaded(fault) as (model, events):
            with pytest.raises(kind, match=words) as seen:
                await collect(model, HELLO)
            assert type(seen.value) is kind
            assert KEY not in str(seen.value)
            assert [e.kind for e in events] == (["exited"] if kind is WorkerDied else [])
            assert (await collect(model, HELLO))[0] == "Hello"


async def test_nobody_there_and_no_such_server() -> None:
    """Refused, or something else listens: sentences that name the address; discover finds nothing."""
    provider = provider_at("http://127.0.0.1:9")
    assert (await provider.available() or "").startswith("nobody answers at http://127.0.0.1:9 (Connection refused)")
    assert await provider.discover() == []
    with pytest.raises(Unreachable):
        await provider.inspect("m")
    await provider.close()
    for body in (b"hello", b"[]", b'{"data": 7}'):
        async with faulty_server() as fault:
            other = provider_at(fault.script("/v1/models", answer(body)).url)
            assert "no OpenAI-compatible server" in (await other.available() or "")
            await other.close()


async def test_tls_to_a_server_without_it() -> None:
    """An https address of a plain server: Unreachable, typed."""
    async with faulty_server() as fault:
        provider = provider_at(fault.url.replace("http:", "https:"))
        with pytest.raises(Unreachable, match="nobody answers at https:"):
            await provider.inspect("m")
        await provider.close()


async def test_the_key_goes_in_the_header_and_nowhere_else() -> None:
    """Bearer KEY with each request; it is in no repr."""
    async with faulty_server() as fault:
        fault.script(CHAT, GOOD)
        async with loaded(fault) as (model, _):
            await collect(model, HELLO)
            assert {h.get("authorization") for _, h, _ in fault.asked} == {f"Bearer {KEY}"}
            assert KEY not in repr(model) + repr(vars(model)) + repr(await model.stats())


async def test_a_redirect_does_not_carry_the_key_away() -> None:
    """A redirect to another address is not followed."""
    async with faulty_server() as elsewhere, faulty_server() as fault:
        away = f"HTTP/1.1 307 X\r\nLocation: {elsewhere.url}/v1/models\r\nContent-Length: 0\r\n\r\n".encode()
        provider = provider_at(fault.script("/v1/models", [away]).url)
        with pytest.raises(ProviderError, match="redirects"):
            await provider.inspect("m")
        assert elsewhere.asked == []
        await provider.close()


async def test_a_client_that_leaves_frees_the_server() -> None:
    """Closing the stream, and cancelling its task, closes the connection in mid-answer."""
    async with faulty_server() as fault:
        fault.script(CHAT, stream(CUT, HANG))
        async with loaded(fault, stall_timeout_s=600) as (model, events):
            chunks = model.generate(HELLO)
            await anext(chunks)
            assert fault.open == 1
            await chunks.aclose()
            await until(lambda: fault.open == 0, "the stream that was closed is gone")
            reading = asyncio.create_task(collect(model, HELLO))
            await until(lambda: fault.open == 1, "the next one is asked")
            reading.cancel()
            await until(lambda: fault.open == 0, "the one that was cancelled is gone")
            assert events == []


async def test_loading_waits_while_the_server_loads() -> None:
    """503 to the list means: not yet. A model that is gone is refused; nothing within the time fails."""
    async with faulty_server() as fault:
        busy = answer({"error": {"message": "Loading model"}}, status=503)
        provider = provider_at(fault.url)
        version = await provider.inspect("m")
        fault.script("/v1/models", busy, busy, MODELS)
        await provider.load(version, timeout_s=30, on_event=lambda e: None)
        fault.script("/v1/models", busy)
        with pytest.raises(LoadFailed, match="not ready"):
            await provider.load(version, timeout_s=0.2, on_event=lambda e: None)
        fault.script("/v1/models", answer({"data": [{"id": "other"}]}))
        with pytest.raises(ModelUnusable, match="any more"):
            await provider.load(version, timeout_s=30, on_event=lambda e: None)
        await provider.close()


async def test_what_the_servers_tell_besides() -> None:
    """vLLM's max_model_len, LM Studio's quantisation, family and kind, llama-server's slots and context are taken."""
    listed = [{"id": "org/a-7b", "max_model_len": 8192}, {"id": "nomic"}, {"id": "voice"}]
    more = [
        {"id": "nomic", "type": "embeddings", "quantization": "Q8_0", "arch": "bert"},
        {"id": "voice", "type": "tts"},
    ]
    async with faulty_server() as fault:
        fault.script("/v1/models", answer({"data": listed})).script("/api/v0/models", answer({"data": more}))
        fault.script("/props", answer({"total_slots": 6, "default_generation_settings": {"n_ctx": 4096}}))
        provider = provider_at(fault.url)
        seven, nomic = await provider.discover()
        assert (seven.version, seven.source, seven.context, seven.parallel) == ("a-7b.box", "org/a-7b", 4096, 6)
        assert seven.capabilities == {"text-generation", "chat"}
        assert (nomic.quantization, nomic.family, nomic.capabilities) == ("Q8_0", "bert", {"embeddings"})
        assert [v.source for v in await provider_named(fault.url, "nomic").discover()] == ["nomic"]
        await provider.close()


def provider_named(url: str, *names: str) -> OpenAiCompatibleProvider:
    return provider_at(url, models=list(names))


async def test_grammars_only_where_there_are_some_and_schemas_everywhere() -> None:
    """GBNF is refused unless it is a llama-server; a JSON schema goes out in OpenAI's form; plain models get text."""
    async with faulty_server() as fault:
        fault.script(CHAT, GOOD).script(
            "/v1/completions", stream(event({"choices": [{"text": " Rome", "finish_reason": "stop"}]}), DONE)
        )
        async with loaded(fault) as (model, _):
            with pytest.raises(NotSupported, match="grammar"):
                await collect(model, Request(prompt="x", grammar='root ::= "a"'))
            await collect(model, Request(messages=HELLO.messages, json_schema=SCHEMA))
            assert b'"json_schema"' in fault.asked[-1][2]
        async with loaded(fault, chat=False) as (model, _):
            assert (await collect(model, HELLO))[0] == "Rome"
            assert fault.asked[-1][0] == "/v1/completions"


@pytest.mark.parametrize("options", [{}, {"base_url": "box:80"}, {"base_url": "http://x", "parallel": 0},
                                     {"base_url": "http://x", "context": "many"}])  # fmt: skip
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    """No address, no scheme, numbers that are none."""
    with pytest.raises(ValueError, match=r"base_url|parallel|context"):
        OpenAiCompatibleProvider(ProviderConfig(name="box", kind="openai_compatible", options=options))
