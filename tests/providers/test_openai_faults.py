"""The provider on OpenAI-compatible servers: what is special about their errors, lists and loading.

What goes wrong with any HTTP runtime is in test_http_faults.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arbiter_providers.openai_compatible import OpenAiCompatibleProvider
from faulty_server import (
    DONE,
    ENDLESS,
    GOOD,
    MODELS,
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
    ProviderError,
    Unreachable,
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
    ("too long, llama-server", answer({"error": {"message": "x", "type": "exceed_context_size_error"}}, status=400),
     ContextOverflow, "x"),
    ("too long, vLLM", answer({"message": "This model's maximum context length is 8 tokens."}, status=400),
     ContextOverflow, "8 tokens"),
    ("400 of another shape", answer({"detail": "bad temperature"}, status=400), InvalidRequest, "bad temperature"),
    ("a JSON error with 200", answer({"error": {"message": "no stream"}}), ProviderError, "no stream"),
    ("choices of another shape", stream(event({"choices": [7]})), ProviderError, "can't be read"),
    ("an error line", stream(CUT, b'error: {"message": "out of memory"}\n\n'), ProviderError, "out of memory"),
    ("an end without a reason", stream(CUT, DONE), ProviderError, "without a reason"),
    ("an endless error with 200", [*stream(kind="application/json"), b"x" * 65536, ENDLESS], ProviderError,
     "without end"),
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
            assert events == []
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


async def test_several_addresses_are_replicas_of_which_one_may_be_away() -> None:
    """What the first that answers lists is found; each is loaded by its number; the one that is away says so."""
    async with faulty_server() as there:
        there.script("/v1/models", MODELS).script(CHAT, GOOD)
        away = "http://127.0.0.1:9"
        options = {"base_urls": [away, there.url], "stall_timeout_s": 1}
        provider = OpenAiCompatibleProvider(ProviderConfig(name="box", kind="openai_compatible", options=options))
        try:
            assert await provider.available() is None
            version = await provider.inspect("m")
            assert provider.replicas(version) == 2
            with pytest.raises(Unreachable):
                await provider.load_replica(version, 0, timeout_s=5, on_event=lambda event: None)
            model = await provider.load_replica(version, 1, timeout_s=5, on_event=lambda event: None)
            assert (await model.stats()).base_url == there.url
        finally:
            await provider.close()


@pytest.mark.parametrize("urls", [["http://a", "http://a"], ["a"], [1], {"a": 1}])
def test_addresses_that_can_not_be_replicas_are_refused(urls: Any) -> None:
    """The same one twice, or no address."""
    with pytest.raises(ValueError, match="base_url"):
        OpenAiCompatibleProvider(ProviderConfig(name="b", kind="openai_compatible", options={"base_urls": urls}))
