"""The providers of paid services: opt-in, only what is named, prices; and a request in Anthropic's dialect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from arbiter_providers import _anthropic_wire as wire
from arbiter_providers.anthropic import AnthropicProvider
from arbiter_providers.openai import OpenAiProvider, PaidOpenAiModel
from paid_service import KEY, PaidService, paid_service
from provider_kit import SCHEMA

from arbiter_tui.adapters.plugins import load_providers
from arbiter_tui.config import parse
from arbiter_tui.errors import (
    ConfigError,
    ContextOverflow,
    ModelUnusable,
    NotSupported,
    Overloaded,
    ProviderError,
)
from arbiter_tui.provider import (
    Done,
    LoadedModel,
    Message,
    Original,
    Provider,
    ProviderConfig,
    Request,
    Text,
    ToolCall,
    ToolPiece,
)
from arbiter_tui.testing import ProviderContract, collect

FACTORIES = {"openai": OpenAiProvider, "anthropic": AnthropicProvider}
CHATS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
PRICES = {"big": {"input": 2.0, "output": 10.0, "cached_input": 0.5}}
TOOL = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": {"type": "object"}}}
HELLO = Request(messages=(Message("user", "Say hello."),))
both = pytest.mark.parametrize("kind", FACTORIES)


def made(kind: str, url: str = "http://127.0.0.1:9", **options: Any) -> Any:
    known = {"base_url": url, "api_key": KEY, "models": ["big", "small"], "prices": PRICES, **options}
    return FACTORIES[kind](ProviderConfig(name="cloud", kind=kind, options=known))


@asynccontextmanager
async def loaded(kind: str, **options: Any) -> AsyncIterator[tuple[LoadedModel, PaidService]]:
    async with paid_service() as service:
        provider = made(kind, service.url, **options)
        try:
            version = await provider.inspect("big")
            yield await provider.load(version, timeout_s=10, on_event=lambda e: pytest.fail("an event")), service
        finally:
            await provider.close()


class _Contract(ProviderContract):
    kind = ""
    bad_source = "a-model-that-nobody-named"

    @pytest.fixture(autouse=True)
    async def _service(self) -> AsyncIterator[None]:
        async with paid_service() as service:
            self.url = service.url
            yield

    def make_provider(self) -> Provider:
        provider: Provider = made(self.kind, self.url)
        return provider


class TestOpenAiContract(_Contract):
    """The contract, against a service that speaks OpenAI's dialect."""

    kind = "openai"


class TestAnthropicContract(_Contract):
    """The contract, against a service that speaks Anthropic's."""

    kind = "anthropic"


@both
async def test_nobody_is_asked_before_a_model_is_wanted(kind: str) -> None:
    """Making, listing and describing use the block alone; loading asks once, for nothing that costs; never local."""
    async with paid_service() as service:
        provider = made(kind, service.url)
        assert await provider.available() is None
        assert [(v.source, v.version) for v in await provider.discover()] == [
            ("big", "big.cloud"), ("small", "small.cloud"),
        ]  # fmt: skip
        version = await provider.inspect("big")
        assert service.asked == []
        model = await provider.load(version, timeout_s=10, on_event=lambda e: None)
        for _ in range(5):
            assert await model.health()
        assert service.asked == [("/v1/models/big", None)]
        assert provider.local is False
        assert (await model.stats()).base_url is None, "other clients must not be sent there"
        await provider.close()


@both
async def test_a_key_or_a_name_that_is_wrong_is_told_at_the_load(kind: str) -> None:
    """Before any request: 401 says what to set; a model that the service doesn't have is named."""
    async with paid_service() as service:
        stranger = made(kind, service.url, api_key="sk-other")
        with pytest.raises(ProviderError, match="api_key"):
            await stranger.load(await stranger.inspect("big"), timeout_s=10, on_event=lambda e: None)
        await stranger.close()
        hopeful = made(kind, service.url, models=["huge"], prices={})
        with pytest.raises(ModelUnusable, match="huge"):
            await hopeful.load(await hopeful.inspect("huge"), timeout_s=10, on_event=lambda e: None)
        with pytest.raises(ModelUnusable, match="its block names huge"):
            await hopeful.inspect("big")
        await hopeful.close()


@both
async def test_a_proxy_that_has_only_the_list_will_do(kind: str) -> None:
    """No path for one model: the list decides."""
    async with paid_service() as service:
        service.only_list = True
        provider = made(kind, service.url)
        assert await provider.load(await provider.inspect("big"), timeout_s=10, on_event=lambda e: None)
        await provider.close()


@both
async def test_usage_is_the_service_s_own_count(kind: str) -> None:
    """All that went in, what of it came from a cache, what came out: in both dialects the same meaning."""
    async with loaded(kind) as (model, _):
        text, done = await collect(model, HELLO)
        usage = done.usage
        assert (text, done.finish_reason) == ("Hello", "stop")
        assert (usage.tokens_in, usage.tokens_cached, usage.tokens_out) == (1000, 400, 10)
        assert usage.decode_s is None, "these services don't say"


@both
async def test_tools_go_there_and_calls_come_back(kind: str) -> None:
    """A definition in the dialect's form; the call whole, and the end says that it is one."""
    async with loaded(kind) as (model, service):
        asked = Request(messages=HELLO.messages, tools=(TOOL,), tool_choice="required")
        chunks = [c async for c in model.generate(asked)]
        pieces = [c for c in chunks if isinstance(c, ToolPiece)]
        assert (pieces[0].id, pieces[0].name) == ("c1", "clock")
        assert json.loads("".join(p.arguments for p in pieces)) in ({}, {"wet": True})
        assert isinstance(chunks[-1], Done)
        assert chunks[-1].finish_reason == "tool_calls"
        body = service.asked[-1][1]
        assert body["tool_choice"] == ("required" if kind == "openai" else {"type": "any"})


@both
async def test_fields_that_a_model_refuses_can_be_left_out(kind: str) -> None:
    """``leave_out`` names them; without it they are sent."""
    async with loaded(kind) as (model, service):
        await collect(model, HELLO)
        assert service.asked[-1][1]["temperature"] == 0.0
    async with loaded(kind, leave_out=["temperature"]) as (model, service):
        await collect(model, HELLO)
        assert "temperature" not in service.asked[-1][1]


async def test_what_openai_s_own_models_want() -> None:
    """Their word for the longest answer; no bare prompts; embeddings, whose cost nobody tells, are refused."""
    async with loaded("openai") as (model, service):
        await collect(model, Request(messages=HELLO.messages, json_schema=SCHEMA, max_tokens=7))
        body = service.asked[-1][1]
        assert body["max_completion_tokens"] == 7
        assert "max_tokens" not in body
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
        said = Original("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}, stream=True)
        assert isinstance(model, PaidOpenAiModel)
        assert model.relay(replace(HELLO, original=said)) is None, "its own words may not ask for the usage"
        with pytest.raises(NotSupported, match="conversations"):
            await collect(model, Request(prompt="2 + 2 ="))
        with pytest.raises(NotSupported, match="embeddings"):
            await model.embed(["x"])


async def test_a_schema_for_anthropic_is_a_tool_that_it_must_call() -> None:
    """What it writes into that call is the text of the answer, which ends as an answer does."""
    async with loaded("anthropic") as (model, service):
        chunks = [c async for c in model.generate(Request(messages=HELLO.messages, json_schema=SCHEMA))]
        assert json.loads("".join(c.text for c in chunks if isinstance(c, Text))) == {"wet": True}
        assert isinstance(chunks[-1], Done)
        assert chunks[-1].finish_reason == "stop"
        body = service.asked[-1][1]
        assert body["tool_choice"] == {"type": "tool", "name": "answer"}
        assert body["tools"][0]["input_schema"] == SCHEMA


def test_a_conversation_in_anthropic_s_form() -> None:
    """System apart; calls and results as blocks; results of one round in one turn of the user."""
    calls = (ToolCall("c1", "clock", '{"zone": "CET"}'), ToolCall("c2", "clock", ""))
    turns = (
        Message("system", "Be brief."), Message("user", "What time is it?"), Message("assistant", "I look.", calls),
        Message("tool", "12:00", tool_call_id="c1"), Message("tool", "13:00", tool_call_id="c2"),
    )  # fmt: skip
    chosen = {"type": "function", "function": {"name": "clock"}}
    asked = Request(messages=turns, tools=(TOOL,), tool_choice=chosen, stop=("x",), top_p=0.5, extra={"top_k": 3})
    body = wire.call(asked, "big")
    assert body["system"] == "Be brief."
    assert [t["role"] for t in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c1", "name": "clock", "input": {"zone": "CET"}},
        {"type": "tool_use", "id": "c2", "name": "clock", "input": {}},
    ]
    assert [b["tool_use_id"] for b in body["messages"][2]["content"]] == ["c1", "c2"]
    assert (body["stop_sequences"], body["top_p"], body["top_k"], body["stream"]) == (["x"], 0.5, 3, True)
    assert body["tool_choice"] == {"type": "tool", "name": "clock"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Request(prompt="2 + 2 ="), "conversations"),
        (Request(messages=HELLO.messages, grammar='root ::= "a"'), "grammars"),
        (Request(messages=HELLO.messages, logprobs=2), "log-probabilities"),
        (Request(messages=HELLO.messages, json_schema=SCHEMA, tools=(TOOL,)), "not both"),
        (Request(messages=HELLO.messages, json_schema={"type": "array"}), "object"),
    ],
)
def test_what_anthropic_s_api_has_no_place_for_is_refused(asked: Request, words: str) -> None:
    """NotSupported, in words; nothing is left out in silence."""
    with pytest.raises(NotSupported, match=words):
        wire.call(asked, "big")


@pytest.mark.parametrize(
    ("status", "kind", "wrong"),
    [
        (529, "overloaded_error", Overloaded), (429, "rate_limit_error", Overloaded),
        (402, "billing_error", ProviderError), (404, "not_found_error", ModelUnusable),
        (500, "api_error", ProviderError),
    ],
)  # fmt: skip
def test_anthropic_s_errors_become_ours(status: int, kind: str, wrong: type[Exception]) -> None:
    """By status and kind; the same words."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "told so"}}).encode()
    found = wire.error(status, body, name="big")
    assert type(found) is wrong
    assert "told so" in str(found)
    long = json.dumps({"error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}).encode()
    assert type(wire.error(400, long, name="big")) is ContextOverflow


@both
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_key": None}, "api_key is needed"),
        ({"models": []}, "named one by one"),
        ({"models": ["*"]}, "named one by one"),
        ({"base_url": "api.example"}, "base_url"),
        ({"budget_per_dya": 5}, "budget_per_dya is no option; nearest: budget_per_day"),
        ({"budget_per_day": 5}, "budget_per_day needs prices.*small"),
        ({"budget_per_day": -1, "models": ["big"]}, "an amount of money"),
        ({"prices": {"huge": {"input": 1, "output": 1}}}, "none of the models"),
        ({"prices": {"big": {"input": 1}}}, "needs input and output"),
        ({"prices": {"big": {"input": 1, "output": 1, "outptu": 2}}}, "outptu is no option; nearest: output"),
        ({"prices": {"big": {"input": "two", "output": 1}}}, "an amount of money"),
        ({"parallel": 0}, "parallel"),
    ],
)
def test_wrong_options_are_named(kind: str, options: dict[str, Any], words: str) -> None:
    """Nothing about money or a key passes in silence."""
    with pytest.raises(ValueError, match=words):
        made(kind, **options)


BLOCK = """
[[providers]]
name = "cloud"
kind = "anthropic"
api_key = "env:CLOUD_KEY"
models = ["big"]
budget_per_day = 5.0

[providers.prices."big"]
input = 3.0
output = 15.0
"""


def test_a_block_of_the_configuration_is_all_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices and cap from the file, the key by reference; without a block there is no such provider."""
    monkeypatch.setenv("CLOUD_KEY", KEY)
    provider: Any = load_providers(parse(BLOCK).providers)["cloud"]
    assert provider.budget_per_day == 5.0
    version = provider._version("big")
    assert provider.price(version).of(1_000_000, 100_000) == pytest.approx(4.5)
    assert provider.base_url == "https://api.anthropic.com"
    assert not {"openai", "anthropic"} & load_providers().keys()
    with pytest.raises(ConfigError, match="must be a reference"):
        parse(BLOCK.replace("env:CLOUD_KEY", KEY))
    monkeypatch.delenv("CLOUD_KEY")
    with pytest.raises(ConfigError, match="CLOUD_KEY is not set"):
        load_providers(parse(BLOCK).providers)
