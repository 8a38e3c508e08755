"""What running servers say of their own work: read where it is, and asked for once where it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from arbiter_providers._harvest import METRICS, SLOTS, Harvest, read
from arbiter_providers._openai_runtime import Runtime

from arbiter_tui.provider import Load

VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m {odd} name"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
"""
LLAMA = b"llamacpp:requests_processing 1\nllamacpp:requests_deferred 4\nllamacpp:prompt_tokens_seconds nan\n"
SLOT = [{"id": 0, "is_processing": True, "n_ctx": 512}, {"id": 1, "is_processing": False}]


@pytest.mark.parametrize(("path", "data", "found"), [
    (METRICS, VLLM, Load(running=4, waiting=2, cache_used=0.5)),
    (METRICS, LLAMA, Load(running=1, waiting=4)),
    (METRICS, b"llamacpp:kv_cache_usage_ratio 0.1\n", Load(cache_used=0.1)),
    (METRICS, b"llamacpp:requests_processing NaN\n", None),
    (METRICS, b"process_cpu_seconds_total 4\n<html>\xff", None),
    (SLOTS, json.dumps(SLOT).encode(), Load(running=1)),
    (SLOTS, b"[]", None), (SLOTS, b"{}", None), (SLOTS, b"[1]", None), (SLOTS, b"no", None),
], ids=["vllm", "llama", "cache", "nan", "others", "slots", "none", "object", "numbers", "broken"])  # fmt: skip
def test_figures_are_read_by_their_meaning(path: str, data: bytes, found: Load | None) -> None:
    """Summed over engines; what is not said stays unknown; what is something else is nothing."""
    assert read(path, data) == found


async def asked(answers: dict[str, tuple[int, bytes]], times: int = 3) -> tuple[list[Any], list[str]]:
    """What a server is heard to say, several times, and what it was asked."""
    heard: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        heard.append(request.path)
        status, body = answers.get(request.path, (404, b""))
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    runtime = Runtime(f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        harvest = Harvest(runtime)
        return [await harvest.load() for _ in range(times)], heard
    finally:
        await runtime.close()
        await runner.cleanup()


async def test_what_is_not_there_is_asked_for_once() -> None:
    """LM Studio has neither; a llama-server without --metrics has its slots."""
    assert await asked({}) == ([None] * 3, [METRICS, SLOTS])
    found, heard = await asked({METRICS: (501, b"{}"), SLOTS: (200, json.dumps(SLOT).encode())})
    assert found == [Load(running=1)] * 3
    assert heard == [METRICS, SLOTS, SLOTS, SLOTS]
    assert await asked({METRICS: (200, VLLM)}, 1) == ([Load(running=4, waiting=2, cache_used=0.5)], [METRICS])


async def test_a_server_that_is_not_ready_is_asked_again() -> None:
    """503 is no answer for ever."""
    found, heard = await asked({METRICS: (503, b""), SLOTS: (404, b"")}, 2)
    assert (found, heard) == ([None, None], [METRICS, SLOTS, METRICS])


async def test_a_server_that_is_away_is_asked_again() -> None:
    """Its figures are unknown meanwhile."""
    runtime = Runtime("http://127.0.0.1:9")
    harvest = Harvest(runtime)
    assert [await harvest.load() for _ in range(2)] == [None, None]
    assert harvest._there == [METRICS, SLOTS]
    await runtime.close()
