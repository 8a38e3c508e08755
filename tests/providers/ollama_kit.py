"""A stand-in for Ollama that replays recordings of a real one, or what a test scripts, over loopback.

Owns: which answer goes to which request. Never: a test.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from arbiter_providers.ollama import OllamaProvider

from arbiter_tui.provider import LoadedModel, Message, ProviderConfig, Request, WorkerEvent

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "wire" / "ollama"
recorded = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings of a real Ollama are not here")


class FakeOllama:
    """Answers each (method, path) with its queue of recorded or scripted responses; the last one stays."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.left = asyncio.Event()  # a client closed its connection in mid-answer
        self._answers: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)

    def recording(self, file: str, name: str) -> FakeOllama:
        """Queue one recorded exchange."""
        lines = (json.loads(line) for line in (RECORDINGS / f"{file}.jsonl").read_text().splitlines())
        exchange = next(e for e in lines if e["name"] == name)
        key = (exchange["request"]["method"], exchange["request"]["path"])
        self._answers[key].append(exchange["response"])
        return self

    def script(self, path: str, *chunks: Any, status: int = 200, method: str = "POST") -> FakeOllama:
        """Queue an answer of our own: JSON objects, one a line; ``None`` hangs until the client leaves."""
        texts = [None if c is None else json.dumps(c) + "\n" for c in chunks]
        self._answers[method, path].append({"status": status, "chunks": texts})
        return self

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.asked if asked == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.asked.append((request.path, json.loads(text) if text else {}))
        queue = self._answers[request.method, request.path]
        if not queue:
            return web.json_response({"error": "404 page not found"}, status=404)
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if answer.get("body") is not None:
            return web.Response(status=answer["status"], text=answer["body"], content_type="application/json")
        response = web.StreamResponse(status=answer["status"])
        await response.prepare(request)
        try:
            for chunk in answer["chunks"]:
                await (asyncio.Event().wait() if chunk is None else response.write(chunk.encode()))
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        return response


@asynccontextmanager
async def serving(fake: FakeOllama) -> AsyncIterator[OllamaProvider]:
    """``fake`` on a free port of loopback, and a provider that speaks to it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    provider = OllamaProvider(ProviderConfig(name="ollama", kind="ollama", options={"base_url": fake.url}))
    try:
        yield provider
    finally:
        await provider.close()
        await runner.cleanup()


async def loaded(provider: OllamaProvider, events: list[WorkerEvent] | None = None) -> LoadedModel:
    version = await provider.inspect("smollm2:135m")
    return await provider.load(version, timeout_s=10, on_event=(events if events is not None else []).append)


def ready() -> FakeOllama:
    """A server that lists, shows and loads smollm2:135m as the real one did."""
    fake = FakeOllama().recording("tags", "get_tags").recording("show", "show_smollm2")
    return fake.recording("generate_preload", "preload_again_nonstream").recording("ps", "ps_loaded_one")


def hello(**changes: Any) -> Request:
    return Request(messages=(Message("user", "Say hello."),), **changes)
