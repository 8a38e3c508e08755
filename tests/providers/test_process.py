"""The supervisor of child processes, with a worker that has no model."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arbiter_providers._process import LOG_LINES, Child, Vigil, launch
from provider_kit import alive, child_environment, until, workers

from arbiter_tui.errors import LoadFailed
from arbiter_tui.provider import WorkerEvent

Events = list[WorkerEvent]


@pytest.fixture(autouse=True)
def _findable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fake worker is importable in the child; and no test leaves a process behind."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    yield
    assert workers() == []


async def start(events: Events, **parameters: Any) -> Child:
    child, _ = await launch(
        "worker_fake", {"do": "serve", **parameters}, version="fake", timeout_s=30, on_event=events.append
    )
    return child


async def test_a_worker_that_says_why_it_failed() -> None:
    """LoadFailed carries the worker's own sentence; no event, for nobody had it yet."""
    events: Events = []
    with pytest.raises(LoadFailed, match="no such luck"):
        await start(events, do="fail")
    assert events == []


async def test_a_worker_that_falls_over_while_loading() -> None:
    """LoadFailed carries the exit code and the last line of its output."""
    with pytest.raises(LoadFailed, match=r"exit code 7; it said: about to fall over"):
        await start([], do="exit")


async def test_a_worker_that_never_gets_ready() -> None:
    """After the deadline it is killed and LoadFailed says how long was waited."""
    with pytest.raises(LoadFailed, match=r"within 0\.5 s"):
        await launch("worker_fake", {"do": "silent"}, version="fake", timeout_s=0.5, on_event=lambda e: None)


async def test_the_log_is_a_ring_of_what_the_engine_prints() -> None:
    """Standard output of the engine never mixes with messages; only the newest lines are kept."""
    child = await start([], lines=LOG_LINES + 50)
    await until(lambda: bool(child.log()) and child.log()[-1] == f"line {LOG_LINES + 49}", "the last line arrived")
    assert len(child.log()) == LOG_LINES
    await child.stop()


async def test_stop_is_idempotent_and_no_event() -> None:
    """An end that was asked for is not reported, however often it is asked for."""
    events: Events = []
    child = await start(events)
    await asyncio.gather(child.stop(), child.stop())
    await child.stop()
    assert not child.alive
    assert events == []
    assert child.resident_bytes() is None


async def test_a_worker_that_ignores_its_lifeline_is_killed() -> None:
    """A stopped process can't read the end of its input: after the grace it is killed for sure."""
    child = await start([])
    os.kill(child.pid, signal.SIGSTOP)
    await child.stop()
    assert not alive(child.pid)


async def test_death_is_an_event_that_names_the_signal() -> None:
    """SIGKILL from outside: one event, and the error of later requests says the same."""
    events: Events = []
    child = await start(events)
    os.kill(child.pid, signal.SIGKILL)
    await child.gone.wait()
    assert [(e.kind, "SIGKILL" in e.message) for e in events] == [("exited", True)]
    assert "SIGKILL" in str(child.died())
    await child.stop()


async def test_the_lifeline_alone_ends_an_orphan() -> None:
    """Where the kernel can't tell a child of its parent's death, the end of its input does: kill -9, then nothing."""
    script = """
import asyncio
from arbiter_providers._process import launch
async def main():
    child, _ = await launch("worker_fake", {"do": "serve"}, version="f", timeout_s=30, on_event=print)
    print(child.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE,
        env={**child_environment(), "FAKE_PLATFORM": "darwin"},
    )  # fmt: skip
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    assert alive(pid)
    process.kill()
    await process.wait()
    await until(lambda: not alive(pid), "the orphan ended")


async def test_messages_go_both_ways() -> None:
    """What is sent comes back; non-ASCII text and newlines survive."""
    child, seen = await start([]), asyncio.Queue[dict[str, Any]]()
    child.on_message = seen.put_nowait
    child.send({"text": "größer\n😀"})
    assert (await seen.get())["text"] == "größer\n😀"
    await child.stop()


async def test_the_current_folder_shadows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named like a standard module in the current folder is not imported by a worker."""
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    child = await start([])
    assert child.alive
    await child.stop()


async def test_the_vigil_spares_who_answers_and_ends_who_does_not() -> None:
    """A silent worker that still answers gets four times as long; one that doesn't is ended at once."""
    events: Events = []
    child = await start(events)
    asked: list[bool] = []

    async def answers() -> bool:
        asked.append(True)
        return len(asked) < 2

    vigil = Vigil(child, 0.2, answers)
    with vigil.request():
        await child.gone.wait()
    assert len(asked) == 2
    assert [e.kind for e in events] == ["hung"]
    await child.stop()


async def test_the_vigil_sleeps_without_requests() -> None:
    """Nobody waits, so nobody is ended: an idle worker may be silent for ever."""
    child = await start([])

    async def never() -> bool:
        raise AssertionError("asked although nothing waits")

    vigil = Vigil(child, 0.05, never)
    with vigil.request():
        pass
    await until(lambda: vigil._task is not None and vigil._task.done(), "the vigil went to sleep")
    assert child.alive
    vigil.close()
    await child.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a clock of another process' CPU time")
async def test_the_cpu_clock_of_a_worker_agrees_with_the_systems_account() -> None:
    """Within the account's own coarse steps; a worker that has ended has no clock."""
    child = await start([])
    account, clock = child.cpu_s(), child.cpu_now()
    assert account is not None
    assert clock is not None
    assert clock > 0.0
    assert abs(account - clock) < 0.2
    assert (child.cpu_now() or 0.0) >= clock
    await child.stop()
    assert child.cpu_now() is None
