"""The demo without a terminal: a readable story on real models, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from engine_process import GEMMA, SMOL, STOP_WITHIN_S, Engine, needs, until

pytestmark = [pytest.mark.real, needs(SMOL, GEMMA)]


def show(folder: Path, seconds: int) -> subprocess.Popen[str]:
    """``arbiter demo`` with its output in a pipe and its temporary folder where the test can look."""
    temporary = folder / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-u", "-m", "arbiter_tui", "demo", "--seconds", str(seconds)]
    env = {**Engine(folder).environment(), "TMPDIR": str(temporary)}
    env.pop("ARBITER_STATE_DIR")
    return subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, preexec_fn=_hears_ctrl_c,
    )  # fmt: skip


def _hears_ctrl_c() -> None:
    """A shell starts what runs in its background deaf to ctrl+c, and that is inherited; in a terminal it hears."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def nothing_left(folder: Path, processes: list[psutil.Process]) -> None:
    until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes), "their end")
    assert os.listdir(folder / "tmp") == []


def test_it_tells_its_story_and_leaves_nothing(tmp_path: Path) -> None:
    """What is scripted is said, the fault is told, no request fails, and it ends with 0, swap or no swap."""
    demo = show(tmp_path, 15)
    assert demo.stdout is not None
    told = [demo.stdout.readline()]
    everybody = family(demo)
    rest, _ = demo.communicate(timeout=120)
    told += rest.splitlines()
    assert demo.returncode == 0, told
    assert "scripted" in told[0]
    assert any("FAULT (scripted)" in line for line in told)
    asked = re.search(r"(\d+) requests, 0 failed, (\d+) swaps? by the autopilot", told[-1])
    assert asked, told[-1]
    assert int(asked[1]) > 0
    assert (int(asked[2]) > 0) == any("autopilot swapped" in line or "autopilot rolled" in line for line in told)
    assert (int(asked[2]) == 0) == any("no swap:" in line for line in told)
    nothing_left(tmp_path, everybody)


def test_it_can_be_stopped(tmp_path: Path) -> None:
    """ctrl+c in the middle: its engine, the models and its folder go with it."""
    demo = show(tmp_path, 60)
    assert demo.stdout is not None
    assert "scripted" in demo.stdout.readline()
    everybody = until(lambda: family(demo), "its processes")
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=STOP_WITHIN_S + 10)
    assert demo.returncode == 130
    nothing_left(tmp_path, everybody)
