"""A whole engine on fake models behind the real gateway, in-process or on a real loopback port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import uvicorn
from arbiter_providers.openai_compatible import OpenAiCompatibleProvider

from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.client import ControlClient
from arbiter_tui.config import Config, ModelBlock, PoolConfig
from arbiter_tui.core.tasks import Task
from arbiter_tui.core.verify import SuiteItem
from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.gateway.app import build_app
from arbiter_tui.gateway.protocol import GuardedProtocol
from arbiter_tui.provider import ProviderConfig
from arbiter_tui.testing import GIB, Behaviour, FakeModel, FakeProbe, FakeProvider, MemoryStore

LOCAL = "http://127.0.0.1"
CHAT = "/v1/chat/completions"
V1 = "/arbiter/v1"


@dataclass
class Stand:
    """What a test touches: the engine, its fake models, a client."""

    arbiter: Arbiter
    provider: FakeProvider
    http: httpx.AsyncClient
    store: MemoryStore
    stopped: list[bool] = field(default_factory=list)
    url: str = LOCAL

    def model(self, name: str) -> FakeModel:
        return self.provider.loaded[name]

    def how(self, name: str) -> Behaviour:
        return self.provider.behaviour(name)

    async def chat(self, model: str = "fake-a", text: str = "hi", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        headers = more.pop("headers", None)
        return await self.http.post(CHAT, json=body, headers=headers)


def models() -> dict[str, Behaviour]:
    return {
        "fake-a": Behaviour(answer="hello wide world", chunks=4),
        "fake-b": Behaviour(answer="another answer", chunks=2),
    }


@asynccontextmanager
async def engine(
    behaviours: Mapping[str, Behaviour] | None = None, *, pool: PoolConfig | None = None, **config: Any
) -> AsyncIterator[tuple[Arbiter, FakeProvider, MemoryStore]]:
    numbers = count(1)
    provider = FakeProvider(models=behaviours or models())
    store = MemoryStore()
    exact = {"kind": "exact"}
    items = [SuiteItem(id=f"s{n}", task="chat", prompt=f"q{n}", reference="ok", verifier=exact) for n in range(4)]
    arbiter = Arbiter(
        Config(
            **{"tasks": (Task(name="chat", suite="chat"), Task(name="code")), **config},
            pool=pool or PoolConfig(memory_budget_bytes=GIB),
        ),
        store=store, providers={"fake": provider}, probe=FakeProbe(), clock=SystemClock(),
        new_id=lambda: f"id-{next(numbers)}", suites={"chat": items},
    )  # fmt: skip
    await arbiter.start()
    try:
        yield arbiter, provider, store
    finally:
        await arbiter.stop(deadline_s=2.0)


@asynccontextmanager
async def stand(
    behaviours: Mapping[str, Behaviour] | None = None, *, pool: PoolConfig | None = None,
    config: Mapping[str, Any] | None = None, **app: Any,
) -> AsyncIterator[Stand]:  # fmt: skip
    """In-process: whole answers only (the transport collects streams)."""
    async with engine(behaviours, pool=pool, **(config or {})) as (arbiter, provider, store):
        stopped: list[bool] = []
        transport = httpx.ASGITransport(app=build_app(arbiter, on_stop=lambda: stopped.append(True), **app))
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as http:
            yield Stand(arbiter, provider, http, store, stopped)


@asynccontextmanager
async def served(
    behaviours: Mapping[str, Behaviour] | None = None, *, pool: PoolConfig | None = None,
    config: Mapping[str, Any] | None = None, protocol: type[GuardedProtocol] = GuardedProtocol, **app: Any,
) -> AsyncIterator[Stand]:  # fmt: skip
    """On a real uvicorn server and a free loopback port."""
    async with engine(behaviours, pool=pool, **(config or {})) as (arbiter, provider, store):
        stopped: list[bool] = []
        asgi = build_app(arbiter, on_stop=lambda: stopped.append(True), **app)
        async with (
            listening(asgi, protocol) as url,
            httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http,
        ):
            yield Stand(arbiter, provider, http, store, stopped, url)


@asynccontextmanager
async def fronting(backend: str, **config: Any) -> AsyncIterator[tuple[Arbiter, MemoryStore, str]]:
    """An engine on a real port whose only model, ``far``, is the one ``m`` of a server that runs at ``backend``."""
    numbers, store = count(1), MemoryStore()
    options = {"base_url": backend, "stall_timeout_s": 600}
    box = OpenAiCompatibleProvider(ProviderConfig(name="box", kind="openai_compatible", options=options))
    whole = Config(
        models=(ModelBlock(name="far", provider="box", source="m"),), pool=PoolConfig(memory_budget_bytes=GIB), **config
    )
    arbiter = Arbiter(
        whole, store=store, providers={"box": box}, probe=FakeProbe(), clock=SystemClock(),
        new_id=lambda: f"id-{next(numbers)}", suites={},
    )  # fmt: skip
    await arbiter.start()
    try:
        async with listening(build_app(arbiter, on_stop=lambda: None)) as url:
            yield arbiter, store, url
    finally:
        await arbiter.stop(deadline_s=0.1)


@asynccontextmanager
async def listening(app: Any, protocol: type[GuardedProtocol] = GuardedProtocol) -> AsyncIterator[str]:
    """On a real uvicorn server and a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(
            app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1, http=protocol,
            ws="none",
        ))  # fmt: skip
        serving = asyncio.create_task(server._serve([listener]))
        await until(lambda: server.started)
        try:
            yield f"{LOCAL}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


def control(stand: Stand) -> ControlClient:
    """A ControlClient on a served engine."""
    return ControlClient(stand.url)


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for a condition, with a deadline far above what it takes."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition is anything, not an event
            await asyncio.sleep(0.002)


def events(text: str) -> list[str]:
    """The data of an SSE body's events."""
    return [line[6:] for line in text.splitlines() if line.startswith("data: ")]
