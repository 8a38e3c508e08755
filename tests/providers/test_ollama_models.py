"""Ollama's models: what a version is, how long it stays loaded, and fetching one."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest
from ollama_kit import FakeOllama, hello, loaded, ready, recorded, serving
from provider_kit import until

from arbiter_tui.errors import (
    LoadFailed,
    ModelUnusable,
    ProviderError,
    WorkerDied,
)
from arbiter_tui.testing import collect


@recorded
async def test_loading_keeps_and_unloading_releases() -> None:
    """load sends keep_alive -1 and our context; unload, twice, sends keep_alive 0 once; /api/ps tells the memory."""
    fake = ready()
    async with serving(fake) as provider:
        model = await loaded(provider)
        assert fake.bodies("/api/generate")[0]["keep_alive"] == -1
        assert fake.bodies("/api/generate")[0]["options"] == {"num_ctx": 4096}
        assert await model.health()
        stats = await model.stats()
        assert (stats.resident_bytes, stats.context, stats.backend) == (160_222_411, 2048, "CPU")
        await model.unload()
        await model.unload()
        assert [b["keep_alive"] for b in fake.bodies("/api/generate")] == [-1, 0]
        assert not await model.health()
        with pytest.raises(WorkerDied):
            await collect(model, hello())


@recorded
async def test_a_load_that_takes_too_long_is_given_back() -> None:
    """LoadFailed after the deadline, and Ollama is asked to let go of the model."""
    fake = FakeOllama().recording("tags", "get_tags").recording("show", "show_smollm2")
    fake.script("/api/generate", None).recording("keep_alive", "unload_not_loaded")
    async with serving(fake) as provider:
        version = await provider.inspect("smollm2:135m")
        with pytest.raises(LoadFailed, match="not ready"):
            await provider.load(version, timeout_s=0.3, on_event=lambda e: None)
        assert fake.bodies("/api/generate")[-1]["keep_alive"] == 0


def tags(digest: str, name: str = "smollm2:135m") -> dict[str, Any]:
    return {"models": [{"name": name, "model": name, "digest": digest, "size": 1000}]}


OLD, NEW = "fd5f44c0b5aff6453726119fc560d73a8a995a55b4a49804bc24b1969ecf1794", "ab" * 32


@recorded
async def test_a_model_that_was_replaced_under_its_name_is_not_loaded() -> None:
    """A version is its content: other content under the same name, or none, is ModelUnusable, in words that help."""
    for now, words in ((tags(NEW), "another model now"), ({"models": []}, "any more.*--pull")):
        fake = ready()
        fake._answers["GET", "/api/tags"].clear()
        fake.recording("tags", "get_tags").script("/api/tags", now, method="GET")
        async with serving(fake) as provider:
            version = await provider.inspect("smollm2:135m")
            with pytest.raises(ModelUnusable, match=words):
                await provider.load(version, timeout_s=10, on_event=lambda e: None)
            assert fake.bodies("/api/generate") == [], "nothing was loaded"


@recorded
async def test_a_loaded_model_that_is_replaced_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its health is bad and one event says why: what Ollama would answer with is not what was registered."""
    monkeypatch.setattr("arbiter_providers.ollama.LOOK_EVERY_S", 0.0)
    fake, events = ready(), []  # type: FakeOllama, list[WorkerEvent]
    async with serving(fake) as provider:
        model = await loaded(provider, events)
        assert await model.health()
        fake._answers["GET", "/api/tags"].clear()
        fake.script("/api/tags", tags(NEW), method="GET")
        assert not await model.health()
        assert not await model.health()
        assert len(events) == 1
        assert "abababababab, not fd5f44c0b5af" in events[0].message


@recorded
async def test_models_that_share_their_weights_share_one_line_of_ps() -> None:
    """Ollama lists one runner under one of its names: a model made from the same weights is held, too."""
    fake = FakeOllama().script("/api/tags", tags(NEW, "smollm2-tools:135m"), method="GET")
    weights = {"modelfile": "# FROM x\nFROM /MODELS/blobs/sha256-94\nTEMPLATE x", "template": "x"}
    fake.script("/api/show", weights).recording("generate_preload", "preload_again_nonstream")
    fake.recording("ps", "ps_loaded_one")  # smollm2:135m only
    async with serving(fake) as provider:
        version = await provider.inspect("smollm2-tools:135m")
        model = await provider.load(version, timeout_s=10, on_event=lambda e: None)
        assert await model.health()
        assert (await model.stats()).resident_bytes == 160_222_411
        fake._answers["GET", "/api/ps"].clear()
        fake.recording("ps", "ps_empty")
        assert not await model.health()


@recorded
async def test_how_it_is_loaded_is_not_for_a_request_to_say() -> None:
    """keep_alive, num_ctx and the like would unload or reload the model: they stay here; other options go on."""
    fake = ready().recording("chat_stream", "chat_stream")
    async with serving(fake) as provider:
        told = {"keep_alive": 0, "num_ctx": 64, "top_k": 3, "options": {"num_gpu": 0, "min_p": 0.1}, "think": False}
        await collect(await loaded(provider), hello(extra=told))
        body = fake.bodies("/api/chat")[0]
        assert (body["keep_alive"], body["think"]) == (-1, False)
        options = body["options"]
        assert (options["num_ctx"], options["top_k"], options["min_p"]) == (4096, 3, 0.1)
        assert "num_gpu" not in options


LAYER, OTHER = {"digest": "sha256:1", "total": 300}, {"digest": "sha256:2", "total": 100}


async def test_pulling_tells_the_share_of_all_layers() -> None:
    """Shares of the bytes known so far; the end is Ollama's own success."""
    fake = FakeOllama().script(
        "/api/pull", {"status": "pulling manifest"}, {"status": "pulling 1", **LAYER},
        {"status": "pulling 1", **LAYER, "completed": 150}, {"status": "pulling 2", **OTHER, "completed": 100},
        {"status": "verifying sha256 digest"}, {"status": "success"},
    )  # fmt: skip
    async with serving(fake) as provider:
        steps = [step async for step in provider.pull("ollama:m:1b")]
    assert [share for _, share in steps] == [None, 0.0, 0.5, 0.625, 0.625, 0.625]
    assert steps[-1][0] == "success"
    assert fake.bodies("/api/pull") == [{"model": "m:1b", "stream": True}]


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        ({"error": "pull model manifest: file does not exist"}, ModelUnusable, "no such model"),
        ({"error": "max retries exceeded: no route to host"}, ProviderError, "no route"),
        ({"status": "pulling 1"}, ProviderError, "broke off"),
    ],
)
async def test_a_pull_that_fails_is_a_typed_error(told: dict[str, Any], kind: type[Exception], words: str) -> None:
    """No such model, no way to the library, an end without success."""
    async with serving(FakeOllama().script("/api/pull", {"status": "pulling manifest"}, told)) as provider:
        with pytest.raises(kind, match=words):
            async for _ in provider.pull("ollama:nope"):
                pass


async def test_leaving_a_pull_stops_it() -> None:
    """Closing the generator closes the connection, which is what makes Ollama stop."""
    fake = FakeOllama().script("/api/pull", {"status": "pulling 1", **LAYER}, None)
    async with serving(fake) as provider:
        async with aclosing(provider.pull("m")) as steps:
            await anext(steps)
        await until(fake.left.is_set, "the server saw the client leave")
