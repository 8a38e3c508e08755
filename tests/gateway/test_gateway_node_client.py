"""The official ``openai`` client for Node, as IDE plug-ins and web applications use it, on the gateway."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from gateway_cases import served, until

from arbiter_tui.provider import ToolCall
from arbiter_tui.testing import Behaviour

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("openai_node.mjs")


def node_sdk() -> ModuleType:
    """tools/node_sdk.py, which is no package."""
    spec = importlib.util.spec_from_file_location("node_sdk", ROOT / "tools" / "node_sdk.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


sdk = node_sdk()
pytestmark = pytest.mark.skipif(sdk.missing() is not None, reason=str(sdk.missing()))


async def said(url: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT),
        str(sdk.folder()),
        f"{url}/v1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, wrong = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, wrong.decode()
    return dict(json.loads(out))


async def test_the_official_client_for_node() -> None:
    """Whole, streamed, tools, embeddings, lists, completions, responses; its own error classes; a death raises; leaving
    a stream frees the model."""
    models = {
        "fake-a": Behaviour(answer="hello wide world", chunks=4),
        "tools": Behaviour(answer="", tools=(ToolCall("c1", "clock", '{"z": 1}'),)),
        "dies": Behaviour(answer="abcdef", chunks=6, die_after=3),
        "slow": Behaviour(answer="x" * 4000, chunks=4000, chunk_s=0.01),
    }
    async with served(models) as one:
        told = await said(one.url)
        await until(lambda: one.arbiter.in_flight == 0)
        assert one.model("slow").cancelled == 1
    assert told["whole"]["text"] == told["streamed"]["text"] == "hello wide world"
    assert (told["whole"]["finish"], told["streamed"]["finish"], told["whole"]["model"]) == ("stop", "stop", "fake-a")
    assert told["whole"]["usage"]["completion_tokens"] == told["streamed"]["usage"]["completion_tokens"] == 4
    assert told["streamed"]["chunks"] > 4
    (call,) = told["tools"]
    assert (call["name"], json.loads(call["arguments"])) == ("clock", {"z": 1})
    assert told["toolsStreamed"]["calls"]["0"] == call
    assert told["toolsStreamed"]["finish"] == "tool_calls"
    assert told["embeddings"] == [8, 8]
    assert {"arbiter/chat", "fake-a", "tools"} <= set(told["models"])
    assert told["completion"] == told["response"] == "hello wide world"
    assert (told["unknown"]["name"], told["unknown"]["code"]) == ("NotFoundError", "model_not_found")
    assert (told["wrong"]["name"], told["wrong"]["status"]) == ("BadRequestError", 400)
    assert (told["diesWhole"]["status"], told["diesWhole"]["code"]) == (502, "worker_died")
    assert told["dies"]["name"], "a stream that broke off ended like one that succeeded"
    assert told["left"]
