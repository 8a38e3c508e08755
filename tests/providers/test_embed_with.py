"""Embeddings of servers with further fields, and with what the server counted."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from arbiter_providers._openai_runtime import Runtime
from arbiter_providers._openai_wire import Dialect
from arbiter_providers._running import RunningModel
from arbiter_providers.ollama import OllamaModel, OllamaProvider

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import ProviderError
from arbiter_tui.provider import ProviderConfig

VERSION = ModelVersion(version="m.x", provider="x", model="m", source="ollama:m", context=512)
ROWS = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]


async def asked(answer: dict[str, Any], kind: str, extra: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What a model makes of a server's answer, and what the server heard."""
    heard: dict[str, Any] = {}

    async def handle(request: web.Request) -> web.Response:
        heard.update(await request.json())
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    provider = OllamaProvider(ProviderConfig(name="x", kind="ollama", options={"base_url": url}))
    runtime = Runtime(url)
    model: Any = OllamaModel(provider, VERSION, "m", bare=False, on_event=lambda event: None)
    if kind == "openai":
        model = RunningModel(runtime, VERSION, Dialect("m"), on_event=lambda event: None, forget=lambda model: None)
    try:
        return await model.embed_with(["a", "b"], extra), heard
    finally:
        await runtime.close()
        await provider.runtime.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("usage", "counted"), [({"prompt_tokens": 7}, 7), (None, None), ({"prompt_tokens": "x"}, None)]
)
async def test_a_server_hears_all_and_its_count_is_told(usage: Any, counted: int | None) -> None:
    """Vectors in the order of the texts; what it does not count stays unknown."""
    found, heard = await asked({"data": ROWS, "usage": usage}, "openai", {"input_type": "query", "model": "other"})
    assert found == ([[1.0, 0.0], [0.0, 1.0]], counted)
    assert heard == {"model": "m", "input": ["a", "b"], "input_type": "query"}


async def test_ollama_hears_all_but_how_it_is_loaded() -> None:
    """Its count is told, too."""
    answer = {"embeddings": [[1, 0], [0, 1]], "prompt_eval_count": 5}
    found, heard = await asked(answer, "ollama", {"new_field": 1, "keep_alive": "5m"})
    assert found == ([[1.0, 0.0], [0.0, 1.0]], 5)
    assert heard == {
        "model": "m", "input": ["a", "b"], "new_field": 1, "keep_alive": -1, "truncate": False,
        "options": {"num_ctx": 512},
    }  # fmt: skip


@pytest.mark.parametrize("answer", [{}, {"data": [{}]}, {"data": 5}])
async def test_an_answer_without_vectors_is_a_typed_error(answer: dict[str, Any]) -> None:
    """Whatever it is instead."""
    with pytest.raises(ProviderError, match="no embeddings"):
        await asked(answer, "openai", {})
