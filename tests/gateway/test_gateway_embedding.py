"""Embeddings wait, and take their place in line, as answers do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from gateway_cases import CHAT, V1, Stand, served, stand, until

from arbiter_tui.config import ServerConfig
from arbiter_tui.engine.leasing import PRIORITY
from arbiter_tui.errors import LoadFailed
from arbiter_tui.testing import Behaviour, FakeModel

PATHS = ("/v1/embeddings", "/api/embed")
BODY = {"model": "fake-a", "input": ["one"]}


@pytest.mark.parametrize("path", PATHS)
async def test_a_load_that_takes_long_is_503_and_goes_on(path: str) -> None:
    """Retry-After and the progress, in the dialect; who comes back finds the same load, further on."""
    gate = asyncio.Event()
    async with stand({"fake-a": Behaviour(load_gate=gate)}, load_wait_s=0.05) as one:
        answer = await one.http.post(path, json=BODY)
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)
        assert set(answer.json()["loading"]) == {"progress", "eta_seconds"}
        assert one.arbiter.pool.views()["fake-a"].state == "loading"
        gate.set()
        await until(lambda: one.arbiter.pool.views()["fake-a"].state == "ready")
        assert (await one.http.post(path, json=BODY)).status_code == 200
        assert one.provider.loads == ["fake-a"]


async def test_a_load_that_goes_on_may_fail() -> None:
    """Nobody waits for it any more, so nobody is told; the next request tries anew."""
    gate = asyncio.Event()
    failing = Behaviour(load_gate=gate, fail_load=[LoadFailed("broken")])
    async with stand({"fake-a": failing}, load_wait_s=0.05) as one:
        assert (await one.http.post(PATHS[0], json=BODY)).status_code == 503
        gate.set()
        await until(lambda: one.arbiter.pool.views()["fake-a"].state != "loading")


async def test_a_client_that_leaves_stops_the_load_that_nobody_else_waits_for() -> None:
    """Only a wait that was too long lets it go on."""
    async with served({"fake-a": Behaviour(load_gate=asyncio.Event())}) as one:
        asked = asyncio.create_task(one.http.post(PATHS[0], json=BODY))
        await until(lambda: one.provider.loads == ["fake-a"])
        asked.cancel()
        await until(lambda: one.arbiter.pool.views()["fake-a"].state == "cold")


@pytest.fixture
async def heard(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Stand, list[str]]]:
    """A served stand, and the priorities with which its embeddings were asked for."""
    priorities: list[str] = []
    async with served(config={"server": ServerConfig(require_key=True)}) as one:
        ask = one.arbiter.asked.embed

        async def noted(*given: Any, **named: Any) -> Any:
            priorities.append(PRIORITY.get())
            return await ask(*given, **named)

        monkeypatch.setattr(one.arbiter.asked, "embed", noted)
        yield one, priorities


async def key(one: Stand, scope: str) -> dict[str, str]:
    _, token = await one.arbiter.keyring.create(scope, scope=scope)
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_of_a_request_stays_on_its_connection(heard: tuple[Stand, list[str]], path: str) -> None:
    """The next one on it, perhaps somebody else's behind a proxy, has a normal place in line."""
    one, priorities = heard
    operator, app = await key(one, "control"), await key(one, "infer")
    body = {"model": "fake-a", "messages": [{"role": "user", "content": "hi"}]}
    assert (await one.http.post(CHAT, json=body, headers={**operator, "x-arbiter-priority": "high"})).is_success
    assert (await one.http.post(path, json=BODY, headers=app)).is_success
    assert priorities == ["normal"]


@pytest.mark.parametrize("path", PATHS)
async def test_an_embedding_may_say_its_priority(heard: tuple[Stand, list[str]], path: str) -> None:
    """As an answer may: high needs the scope control, and a word that is none is named."""
    one, priorities = heard
    operator, app = await key(one, "control"), await key(one, "infer")

    async def status(headers: dict[str, str], priority: str) -> int:
        told = {**headers, "x-arbiter-priority": priority}
        return (await one.http.post(path, json=BODY, headers=told)).status_code

    assert [await status(operator, "high"), await status(app, "low")] == [200, 200]
    assert [await status(app, "high"), await status(app, "urgent")] == [403, 400]
    assert priorities == ["high", "low"]


@pytest.mark.parametrize("path", PATHS)
async def test_further_fields_and_counts_pass(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """What the arbiter does not know reaches the runtime, and what that counted is told; nothing is estimated then."""
    asked: list[Any] = []

    async def embed_with(self: FakeModel, texts: Sequence[str], extra: Mapping[str, Any]) -> tuple[Any, int | None]:
        asked.append((list(texts), dict(extra)))
        return [[1.0, 0.0]], 7

    monkeypatch.setattr(FakeModel, "embed_with", embed_with, raising=False)
    async with stand() as one:
        body = {**BODY, "input_type": "query", "user": "u", "dimensions": 2, "keep_alive": 60}
        answer = await one.http.post(path, json=body)
        assert answer.status_code == 200
        assert asked == [(["one"], {"input_type": "query", "user": "u"})]
        told = answer.json()
        assert told.get("prompt_eval_count", told.get("usage", {}).get("prompt_tokens")) == 7
        assert "estimated" not in answer.text
        record = await one.http.get(f"{V1}/explain/{answer.headers['x-arbiter-request-id']}")
        assert record.json()["request"]["tokens_in"] == 7


async def test_what_a_runtime_counts_is_what_a_key_has_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of tokens is drawn from by the truth, where there is one."""

    async def embed_with(self: FakeModel, texts: Sequence[str], extra: Mapping[str, Any]) -> tuple[Any, int | None]:
        return [[1.0]], 100

    monkeypatch.setattr(FakeModel, "embed_with", embed_with, raising=False)
    async with stand(config={"server": ServerConfig(require_key=True)}) as one:
        _, token = await one.arbiter.keyring.create("app", tokens_per_minute=50)
        one.http.headers["x-api-key"] = token
        assert [(await one.http.post(PATHS[0], json=BODY)).status_code for _ in range(2)] == [200, 429]
