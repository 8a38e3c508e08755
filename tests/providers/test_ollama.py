"""The provider on Ollama, against recordings of a real server replayed over loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from aiohttp import web
from arbiter_providers.ollama import OllamaProvider
from ollama_kit import FakeOllama, hello, loaded, ready, recorded, serving
from provider_kit import SCHEMA, until

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import (
    ContextOverflow,
    InvalidRequest,
    ModelUnusable,
    NotSupported,
    Overloaded,
    Unreachable,
    WorkerDied,
)
from arbiter_tui.provider import (
    Done,
    Provider,
    ProviderConfig,
    Request,
    Text,
    ToolPiece,
    WorkerEvent,
)
from arbiter_tui.testing import ProviderContract, collect


@recorded
async def test_discover_lists_what_the_server_has() -> None:
    """Names, digests as identity, sizes, families and capabilities come from /api/tags."""
    async with serving(ready()) as provider:
        assert await provider.available() is not None, "no version answer was scripted"
        versions = {v.source: v for v in await provider.discover()}
        smollm2 = versions["ollama:smollm2:135m"]
        assert smollm2.version == "smollm2-135m.ollama"
        assert smollm2.digest == "sha256:fd5f44c0b5aff6453726119fc560d73a8a995a55b4a49804bc24b1969ecf1794"
        assert (smollm2.parameters, smollm2.quantization, smollm2.context) == (134_520_000, "Q4_1", 4096)
        assert "text-generation" in smollm2.capabilities
        assert provider.predicted_bytes(smollm2) == smollm2.file_bytes * 5 // 4
        assert "tools" in versions["ollama:smollm2-tools:135m"].capabilities
        with pytest.raises(ModelUnusable, match="smollm2:135m"):
            await provider.inspect("ollama:nope")


@recorded
async def test_available_says_nothing_when_it_runs() -> None:
    """The recorded version answer means: usable."""
    async with serving(FakeOllama().recording("version", "get_version")) as provider:
        assert await provider.available() is None


async def test_an_absent_server_is_a_sentence() -> None:
    """Nobody listens: available says how to get it, discover is empty, inspect says so in the system's few words."""
    provider = OllamaProvider(ProviderConfig(name="o", kind="ollama", options={"base_url": "http://127.0.0.1:9"}))
    said = await provider.available() or ""
    assert said.startswith("none answers at http://127.0.0.1:9; get it from https://ollama.com")
    assert await provider.discover() == []
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 \(Connection refused\)$"):
        await provider.inspect("x")
    await provider.close()


@recorded
async def test_a_chat_streams_with_the_engines_own_figures() -> None:
    """Pieces in order, then Done with counts and seconds; the body asks for no silent truncation."""
    fake = ready().recording("chat_stream", "chat_stream")
    async with serving(fake) as provider:
        text, done = await collect(await loaded(provider), hello(max_tokens=16, seed=1, stop=("x",)))
        assert text
        assert done.finish_reason == "length"
        assert (done.usage.tokens_in, done.usage.tokens_out) == (12, 16)
        assert done.usage.decode_s == pytest.approx(0.073371)
        assert done.usage.tokens_cached is None, "Ollama does not tell"
        body = fake.bodies("/api/chat")[0]
        assert (body["truncate"], body["stream"], body["keep_alive"]) == (False, True, -1)
        assert body["options"]["num_predict"] == 16
        assert body["options"]["stop"] == ["x"]


@recorded
async def test_a_stop_word_ends_with_stop() -> None:
    """The recorded answer that ran into its stop word."""
    async with serving(ready().recording("chat_stream", "chat_stream_stop_word")) as provider:
        assert (await collect(await loaded(provider), hello(stop=("glad",))))[1].finish_reason == "stop"


@recorded
async def test_logprobs_are_handed_on() -> None:
    """Each piece carries its token's log-probability and the alternatives asked for."""
    fake = ready().recording("chat_logprobs", "chat_logprobs_stream")
    async with serving(fake) as provider:
        model = await loaded(provider)
        pieces = [c async for c in model.generate(hello(logprobs=2)) if isinstance(c, Text)]
        assert all(len(p.logprobs) == 1 and len(p.logprobs[0].top) == 2 for p in pieces)
        assert pieces[0].logprobs[0].logprob == pytest.approx(-2.1412651)


@recorded
async def test_a_raw_prompt_goes_past_the_template() -> None:
    """A completion uses /api/generate with raw; a schema travels as format; a grammar is refused honestly."""
    fake = ready()
    async with serving(fake) as provider:
        model = await loaded(provider)
        fake._answers["POST", "/api/generate"].clear()
        fake.script("/api/generate", {"response": "yes", "done": False}, {"response": "", "done": True})
        assert (await collect(model, Request(prompt="1 + 1 =", json_schema=SCHEMA)))[0] == "yes"
        body = fake.bodies("/api/generate")[-1]
        assert (body["raw"], body["prompt"], body["format"]) == (True, "1 + 1 =", SCHEMA)
        with pytest.raises(NotSupported, match="grammar"):
            await collect(model, hello(grammar="root ::= [0-9]"))


@recorded
async def test_a_model_without_template_gets_plain_text() -> None:
    """Ollama's bare template means a base model: the worked examples stand in front as plain text."""
    fake = ready()
    fake._answers["POST", "/api/show"].clear()
    fake.script("/api/show", {"template": "{{ .Prompt }}"})
    async with serving(fake) as provider:
        model = await loaded(provider)
        fake._answers["POST", "/api/generate"].clear()
        fake.script("/api/generate", {"response": " Paris", "done": False}, {"response": "", "done": True})
        text, _ = await collect(model, hello(few_shot=(("Capital of Spain?", "Madrid"),)))
        assert text == "Paris"
        assert fake.bodies("/api/generate")[-1]["prompt"].startswith("Capital of Spain?\nMadrid")


@recorded
async def test_a_runner_that_dies_is_a_typed_error_and_an_event() -> None:
    """The recorded answer of a killed runner ends in WorkerDied, never as if it were complete."""
    events: list[WorkerEvent] = []
    async with serving(ready().recording("runner_killed", "api_chat")) as provider:
        model = await loaded(provider, events)
        with pytest.raises(WorkerDied, match="unexpected EOF"):
            await collect(model, hello())
    assert [e.kind for e in events] == ["exited"]


@recorded
async def test_a_stream_without_end_is_an_error() -> None:
    """A clean end of file in mid-answer is no success."""
    piece = {"message": {"role": "assistant", "content": "Once"}, "done": False}
    async with serving(ready().script("/api/chat", piece)) as provider:
        model = await loaded(provider)
        with pytest.raises(WorkerDied, match="in the middle"):
            await collect(model, hello())


@recorded
async def test_closing_early_closes_the_connection() -> None:
    """aclose() reaches the server as a closed connection, which is what makes Ollama stop."""
    piece = {"message": {"role": "assistant", "content": "Once"}, "done": False}
    fake = ready().script("/api/chat", piece, None)
    async with serving(fake) as provider:
        model = await loaded(provider)
        async with aclosing(model.generate(hello())) as chunks:
            await anext(chunks)
        await until(fake.left.is_set, "the server saw the client leave")


@recorded
@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "the input length exceeds the context length", ContextOverflow),
        (400, '"m" does not support chat', NotSupported),
        (404, "model 'm' not found", ModelUnusable),
        (503, "server busy, please try again. maximum pending requests exceeded", Overloaded),
        (500, "llama runner process has terminated: exit status 2", WorkerDied),
    ],
)
async def test_errors_are_translated(status: int, message: str, kind: type[Exception]) -> None:
    """Each refusal of the server becomes the one error that says what it is."""
    async with serving(ready().script("/api/chat", {"error": message}, status=status)) as provider:
        model = await loaded(provider)
        with pytest.raises(kind, match=message.split("'")[0][:20]):
            await collect(model, hello())


@recorded
async def test_embeddings_and_their_absence() -> None:
    """Recorded vectors come through; a generative model that has none is NotSupported."""
    async with serving(ready().recording("embed", "embed_many")) as provider:
        model = await loaded(provider)
        assert [len(v) for v in await model.embed(["hello", "world"])] == [8, 8]
        assert await model.embed([]) == []
    async with serving(ready().recording("embed", "embed_generative_model")) as provider:
        model = await loaded(provider)
        with pytest.raises(NotSupported):
            await model.embed(["x"])


async def test_something_else_on_the_port_is_said() -> None:
    """An HTTP server that is not Ollama: a sentence, no foreign exception."""
    fake = FakeOllama()
    fake._answers["GET", "/api/version"].append({"status": 200, "body": "<html>hello</html>"})
    async with serving(fake) as provider:
        assert "no Ollama" in (await provider.available() or "")


@recorded
async def test_a_schema_that_ollama_refuses_is_told_in_its_runner_s_words() -> None:
    """The recorded error holds JSON within JSON: what comes out is a sentence."""
    async with serving(ready().recording("format", "format_bad_schema")) as provider:
        with pytest.raises(InvalidRequest, match="JSON schema conversion failed") as seen:
            await collect(await loaded(provider), hello(json_schema={"type": "nonsense"}))
        assert '{"error"' not in str(seen.value)


@recorded
async def test_structured_output_and_tools_as_recorded() -> None:
    """The recorded stream under a schema is its JSON; the recorded call comes out whole, and ends as one."""
    async with serving(ready().recording("format", "format_schema_stream")) as provider:
        text, done = await collect(await loaded(provider), hello(json_schema=SCHEMA))
        assert set(json.loads(text)) == {"name", "age"}
        assert (done.usage.tokens_in, done.usage.prompt_s) == (23, pytest.approx(0.008747))
    async with serving(ready().recording("tools", "tool_call_stream")) as provider:
        model = await loaded(provider)
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
        *pieces, end = [c async for c in model.generate(hello(tools=(tool,)))]
        assert [(p.name, json.loads(p.arguments)) for p in pieces if isinstance(p, ToolPiece)] == [
            ("get_weather", {"city": "Paris"})
        ]
        assert isinstance(end, Done)
        assert end.finish_reason == "tool_calls"
    async with serving(ready().recording("tools", "tools_model_without_capability")) as provider:
        with pytest.raises(NotSupported, match="does not support tools"):
            await collect(await loaded(provider), hello(tools=(tool,)))


@recorded
async def test_a_full_queue_and_a_missing_model_as_recorded() -> None:
    """503 without Retry-After is Overloaded; 404 is ModelUnusable."""
    for file, name, kind in (
        ("queue_overflow", "swap_burst_503_api_chat", Overloaded),
        ("errors_unknown_model", "chat_stream", ModelUnusable),
    ):
        async with serving(ready().recording(file, name)) as provider:
            with pytest.raises(kind):
                await collect(await loaded(provider), hello())


@recorded
class TestOllamaContract(ProviderContract):
    """The contract, against a scripted server that answers as Ollama's recordings do."""

    bad_source = "ollama:nope"

    @pytest.fixture(autouse=True)
    async def _server(self) -> AsyncIterator[None]:
        self.fake = ready()
        answer = [{"message": {"content": c}, "done": False} for c in ("Hel", "lo")]
        done = {"message": {"content": ""}, "done": True, "done_reason": "stop"}
        overflow = {"error": "the input length exceeds the context length"}
        self.fake.script("/api/chat", *answer, done)
        original = self.fake.handle

        async def handle(request: web.Request) -> web.StreamResponse:
            if request.path == "/api/chat" and len(await request.text()) > 50_000:
                return web.json_response(overflow, status=400)
            return await original(request)

        self.fake.handle = handle  # type: ignore[method-assign]
        async with serving(self.fake):
            yield

    def make_provider(self) -> Provider:
        return OllamaProvider(ProviderConfig(name="ollama", kind="ollama", options={"base_url": self.fake.url}))

    async def make_version(self, provider: Provider) -> ModelVersion:
        return await provider.inspect("smollm2:135m")
