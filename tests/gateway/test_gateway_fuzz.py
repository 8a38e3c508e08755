"""Hundreds of wrong requests of every kind at a real server: no 5xx without reason, no hang, nothing in the log."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from gateway_cases import served

from arbiter_tui.config import LimitsConfig, ServerConfig
from arbiter_tui.core.tasks import Task
from arbiter_tui.gateway.protocol import guarded
from arbiter_tui.testing import Behaviour

HERE = Path(__file__).resolve().parents[2] / "benchmarks"
LIMITS = LimitsConfig(body_bytes=512 * 1024, body_s=0.3, head_s=0.3)


def script(name: str) -> ModuleType:
    """A module of benchmarks/, which is no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


fuzz_cases, fuzz_client = script("fuzz_cases"), script("fuzz_client")


@pytest.mark.parametrize("seed", [11, 12])
async def test_wrong_requests_are_refused_and_nothing_falls(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Fields, bytes, names, queries, headers and heads, the same ones each time; the engine serves right ones after."""
    config = {"server": ServerConfig(limits=LIMITS), "tasks": (Task(name="sentiment"), Task(name="code-generation"))}
    wrong: list[str] = []
    async with served({"fake": Behaviour(answer="yes")}, config=config, protocol=guarded(LIMITS)) as one:
        port, queue = urlsplit(one.url).port, fuzz_cases.cases(seed, 300)

        async def worker() -> None:
            for case in queue:
                answer = await fuzz_client.send(port, case)
                if (what := fuzz_client.trouble(case, answer)) is not None:
                    wrong.append(f"{case.kind} {case.method} {case.path}: {what}; sent {case.raw[-200:]!r}")

        with caplog.at_level(logging.ERROR):
            await asyncio.gather(*(worker() for _ in range(4)))
        assert (await one.chat("fake")).status_code == 200
    assert wrong == []
    assert [record.getMessage() for record in caplog.records] == []


def test_the_same_seed_makes_the_same_cases() -> None:
    """So that what was found can be sent again; another seed makes others, and every kind is among them."""
    first, again, other = (list(fuzz_cases.cases(seed, 400)) for seed in (1, 1, 2))
    assert first == again != other
    assert {case.kind for case in first} == set(fuzz_cases.KINDS)


def test_a_wrong_answer_would_be_found() -> None:
    """The judge tells a 500, a bare text, another dialect's error, and a stream that is cut in silence."""
    case = fuzz_cases.Case("fields", "POST", "/api/chat", b"")
    right = fuzz_client.Answer(400, "application/json", bytearray(b'{"error": "no"}'), True)
    assert fuzz_client.trouble(case, right) is None
    for status, body, whole in (
        (500, b'{"error": "no"}', True), (400, b"no", True), (400, b'{"error": {"message": "no"}}', True),
        (200, b"data: half", False), (0, b"", False),
    ):  # fmt: skip
        assert fuzz_client.trouble(case, fuzz_client.Answer(status, "", bytearray(body), whole)), (status, body)
