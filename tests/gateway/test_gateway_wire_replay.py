"""The recorded requests of a real Ollama's clients, asked of our gateway: what a client may rely on is equal.

Equal are the status, the kind of body, the first and the last line of a stream, and every field's presence and type.
Not compared are texts, times, counts and ids. What deviates on purpose stands in DEVIATIONS with its reason; one that
is no longer needed fails.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from gateway_cases import Stand, stand
from wire_recordings import ABSENT, Exchange, messages, missing, recorded

from arbiter_tui.errors import InvalidRequest, NotSupported
from arbiter_tui.provider import ToolCall
from arbiter_tui.testing import Behaviour

FILES = (
    "root", "version", "tags", "show", "ps", "generate_preload", "generate_nonstream", "generate_stream",
    "chat_stream", "chat_nonstream", "chat_logprobs", "format", "tools", "think", "embed", "embeddings", "keep_alive",
    "errors_unknown_model", "errors_bad_request", "errors_unknown_endpoint", "delete_copy", "v1_models",
    "v1_chat_nonstream", "v1_chat_stream", "v1_completions", "v1_embeddings",
    "v1_messages", "v1_responses",
)  # fmt: skip
EXCHANGES = recorded(*FILES)
pytestmark = pytest.mark.skipif(not EXCHANGES, reason=ABSENT)

NAMES = ("smollm2:135m", "gemma3:270m", "smollm2-tools:135m", "smollm2-think:135m", "smollm2-embed:135m")
WEATHER = ToolCall("call_1", "get_weather", '{"city": "Paris"}')

# A regular expression over "file.exchange field: problem" -> why ours is another one.
DEVIATIONS: dict[str, str] = {
    r"errors_unknown_endpoint\.\w+ kind|post_version kind": "errors are JSON, for unknown paths, too",
    r"errors_unknown_endpoint\.(trailing|double)_slash": "no redirects to pages; a doubled slash is another path",
    r"errors_unknown_endpoint\.options_\w+ status": "no cross-origin requests: preflights are refused",
    r"errors_unknown_endpoint\.\w+foreign\w+ kind": "a refusal says why",
    r"errors_bad_request\.api_(generate|embed)_empty_object status": "a model that is missing is a wrong request: 400",
    r"errors_bad_request\.v1_completions_empty_object status": "a field that is missing is a wrong request: 400",
    r"errors_bad_request\.api_chat_bad_model_name status": "a name that is no name is a model that isn't there: 404",
    r"chat_nonstream\.chat_bad_option_type status": "a wrong type is the client's mistake: 400, not 500",
    r"format\.format_(bad_string|number) status": "a wrong type is the client's mistake: 400, not 500",
    r"chat_nonstream\.chat_model_uppercase": "names are exact",
    r"\.error\.(param|code): null became text": "OpenAI's errors name the field and the code, as OpenAI does",
    r"system_fingerprint: is not there": "nobody here could say what it would stand for",
    r"generate_\w+\.generate_\w+ \.context: is not there": "token ids of a conversation stay with the runtime",
    r"\.embedding_length: is not there|\.load_duration: is not there": "not known here; what is unknown is left out",
    r"show\.\w+ \.(model_info\.|tensors|license)": "the file's own header and tensors are the runtime's to tell",
    r"embeddings\.embeddings_generative_model status": "what a model can't do is 501 in both embedding calls",
    r"embed\.embed_too_long_truncate_false": "the stand-in model has no limit to exceed",
    r"think\.(think_stream|think_nonstream|v1_reasoning_stream)": "thoughts are not told apart from the answer yet",
    r"delete_copy\.": "models are the arbiter's to register: 501",
    r"v1_tool_call_nonstream .*\.index: is not there": "OpenAI's whole calls have no index",
    r"v1_tool_call_nonstream .*\.content: text became null": "OpenAI's content is null beside calls",
    r"v1_tool_call_stream .*\.delta.tool_calls: is not there": "OpenAI's first event names the role alone",
    r"v1_completions\.completions_stream_usage .*\.usage: ": "OpenAI's usage is null until the last event",
    r"v1_messages.* \.request_id: is not there": "our id of a request is a header, and can be asked for",
    r"v1_messages\.count_tokens": "Ollama does not count; we estimate",
    r"v1_chat_nonstream\.chat_n_2": "several answers are refused; Ollama leaves the wish out in silence",
}


def _how(name: str) -> Behaviour:
    """A stand-in that can do what the recorded model could."""
    return Behaviour(
        answer="Hello there.", chunks=3, tools=(WEATHER,) if "tools" in name else None, timed=(0.01, 0.02),
        embeddings="embed" in name, context=2048, backend="CPU",
    )  # fmt: skip


@asynccontextmanager
async def _house() -> AsyncIterator[Stand]:
    """An engine whose models are those of an Ollama behind it, under the recorded names."""
    async with stand({name.replace(":", "-"): _how(name) for name in NAMES}) as one:
        registry = one.arbiter.registry
        sources = {name.replace(":", "-"): f"ollama:{name}" for name in NAMES}
        versions = {
            n: replace(v, source=sources[n], family="llama", parameters=134_515_008, quantization="Q4_1")
            for n, v in registry.versions.items()
        }
        one.arbiter.live.registry = replace(registry, versions=versions)
        yield one


@pytest.fixture
async def house() -> AsyncIterator[Stand]:
    async with _house() as one:
        yield one


async def _prepare(house: Stand, exchange: Exchange) -> None:
    """The state of the world that the recording was made in, and the refusals that were the runtime's own."""
    if exchange.path == "/api/ps":
        for item in messages(exchange.kind, exchange.text)[0]["models"]:
            await house.arbiter.warm(item["name"].replace(":", "-"))
        await house.arbiter.pool.tick()
    house.how("smollm2-tools-135m").answer = "" if "tool_call" in exchange.name else "Hello there."
    embedding = house.how("smollm2-embed-135m")
    embedding.fail_generate = [NotSupported("does not support chat")] if "on_embedding_model" in exchange.name else None
    plain = house.how("smollm2-135m")
    plain.fail_generate = [InvalidRequest("no such schema")] if exchange.name == "format_bad_schema" else None


async def _ask(house: Stand, exchange: Exchange) -> httpx.Response:
    body = None if exchange.body is None else exchange.body.encode()
    return await house.http.request(exchange.method, exchange.path, content=body, headers=exchange.headers)


async def _problems(house: Stand, exchange: Exchange) -> list[str]:
    await _prepare(house, exchange)
    answer = await _ask(house, exchange)
    found = []
    if answer.status_code != exchange.status:
        found.append(f"status {exchange.status} became {answer.status_code}")
    kind = answer.headers.get("content-type", "").split(";")[0]
    if kind != exchange.kind:
        found.append(f"kind {exchange.kind!r} became {kind!r}")
    real, ours = messages(exchange.kind, exchange.text), messages(kind, answer.text)
    if real and not ours:
        found.append("body: is empty")
    elif real:
        found += sorted({*missing(real[0], ours[0]), *missing(real[-1], ours[-1])})
    return [f"{exchange.id} {problem}" for problem in found]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e.id)
async def test_an_answer_is_what_a_client_may_rely_on(house: Stand, exchange: Exchange) -> None:
    """Every field that the real server sends is there, of the same type, unless a deviation says why not."""
    unexplained = [p for p in await _problems(house, exchange) if not any(re.search(d, p) for d in DEVIATIONS)]
    assert not unexplained, "\n".join(unexplained)


async def test_no_deviation_is_left_that_is_none() -> None:
    """The table tells the truth: each entry is still needed by some exchange."""
    seen: list[str] = []
    for exchange in EXCHANGES:
        async with _house() as house:
            seen += await _problems(house, exchange)
    unused = [d for d in DEVIATIONS if not any(re.search(d, p) for p in seen)]
    assert not unused
