"""Signals to commands: what they began on an engine ends, an engine of their own ends too, the exit code says it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import psutil
import pytest
from engine_process import SMOL, Engine, lives, needs, until


def begin(engine: Engine, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "arbiter_tui", *words, "--config", str(engine.config)]
    return subprocess.Popen(
        command, cwd=engine.folder, env=engine.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@needs(SMOL)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_benchmark_on_the_engine(fresh: Engine, number: signal.Signals) -> None:
    """It stops there, too, says that it can go on, and the next one asks only what is left."""
    fresh.start()
    bench = begin(fresh, "bench", "sentiment", "--model", SMOL)

    def running() -> bool:
        return any(o["state"] == "running" and o["progress"] > 0 for o in fresh.call("GET", "/operations")["items"])

    until(running, "a benchmark with its first answers")
    code, said = end(bench, number)
    assert code == 128 + number
    assert "goes on from there" in said
    (operation,) = fresh.call("GET", "/operations")["items"]
    assert operation["state"] == "cancelled"
    asked = len(fresh.call("GET", "/outcomes?limit=1000")["items"])
    whole = fresh.json("bench", "sentiment", "--model", SMOL)["operation"]
    assert whole["state"] == "done"
    assert int(whole["message"].split()[0]) + asked == len(fresh.call("GET", "/outcomes?limit=1000")["items"])


@needs(SMOL)
def test_a_signal_ends_the_engine_that_the_command_started(fresh: Engine) -> None:
    """Without a running engine ``bench`` starts one; told to end, it takes it along."""
    bench = begin(fresh, "bench", "sentiment", "--model", SMOL)
    announced = fresh.state / "engine.json"
    until(announced.exists, "the engine of the benchmark")
    engine = psutil.Process(json.loads(announced.read_text())["pid"])
    code, _ = end(bench, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    until(lambda: not lives(engine), "the end of that engine")
    assert not announced.exists()
