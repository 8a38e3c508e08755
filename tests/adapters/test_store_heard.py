"""What is taken in is stored whole or not at all, once, and no more of it than a start learns from."""
# ruff: noqa: ASYNC220 - the test is about a process; nothing else runs on its loop

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui.adapters import queries
from arbiter_tui.adapters.machine import fingerprint
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.knowledge import KEPT, Heard, HeardOutcome, Said
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.core.registry import ModelVersion, Registry
from arbiter_tui.ports import Import, Store
from arbiter_tui.testing import FakeClock, MemoryStore

MODEL = Said(kind="model", origin="o" * 16, name="v", at=5.0, data={"version": "v", "digest": "sha256:1"})


def heard(n: int, **changes: Any) -> HeardOutcome:
    base: dict[str, Any] = {"id": f"h{n}", "task": "t", "version": "v", "at": 100.0 + n, "success": True}
    return HeardOutcome("o" * 16, Outcome(**{**base, "latency_s": 0.1234567890123, **changes}))


def change(count: int = 3, **more: Any) -> Import:
    registry = Registry({"v": ModelVersion(version="v", provider="p", model="m", source="s")}, {"champion": "v"})
    return Import(**{
        "heard": Heard(said=[MODEL], outcomes=[heard(n) for n in range(count)]), "registry": registry,
        "profiles": [TaskProfile(task="t", requests=4)], "tasks": {"t": {"quality_threshold": 0.5}}, "who": "local",
        "subject": "an archive", **more,
    })  # fmt: skip


@pytest.fixture(params=["disk", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = await SqliteStore.open(tmp_path, clock=FakeClock()) if request.param == "disk" else MemoryStore()
    yield opened
    await opened.close()


async def everything(store: Store) -> list[Any]:
    state = await store.load()
    ledger = [(line["action"], line["subject"]) for line in await store.ledger()]
    return [await store.heard(), state.registry.aliases, dict(state.profiles), await store.note("tasks"), ledger]


async def test_what_was_taken_in_comes_back_as_it_was(store: Store) -> None:
    """Records, outcomes in the order of their moments, aliases, profiles, tasks' changes, and a line of the ledger."""
    odd = heard(-5, success=False, failure=Failure.TIMEOUT, latency_s=None, quality=None)
    await store.save_note("tasks", {"other": {"private": True}})
    await store.take_in(change(heard=Heard(said=[MODEL], outcomes=[heard(2), odd, heard(1)])))
    found, aliases, profiles, tasks, ledger = await everything(store)
    assert found.said == [MODEL]
    assert found.outcomes == [odd, heard(1), heard(2)]
    assert (aliases, profiles["t"].requests) == ({"champion": "v"}, 4)
    assert tasks == {"other": {"private": True}, "t": {"quality_threshold": 0.5}}
    assert ledger[-1] == ("import", "an archive")
    assert await store.known(["h1", "h2", "h9"]) == {"h1", "h2"}


async def test_an_id_is_stored_once_whoever_measured_it(store: Store) -> None:
    """Twice is once; what this state folder has itself is not kept a second time as hearsay."""
    await store.record([heard(1).outcome])
    await store.take_in(change())
    await store.take_in(change(heard=Heard(outcomes=[heard(2, latency_s=9.0)])))
    assert (await store.heard()).outcomes == [heard(0), heard(2)]


async def test_a_grade_that_came_later_is_taken_and_none_is_lost(store: Store) -> None:
    """Whatever the order of two archives: the graded one stands, and a second grade changes nothing."""
    late, other = heard(1, quality=0.5, quality_source="feedback"), heard(1, quality=0.9, quality_source="suite")
    await store.take_in(change())
    assert await store.ungraded(["h1", "h2", "h9"]) == {"h1", "h2"}
    for several in ([late], [heard(1)], [other]):
        await store.take_in(change(heard=Heard(outcomes=several)))
        assert (await store.heard()).outcomes == [heard(0), late, heard(2)]
    assert await store.ungraded(["h1", "h2"]) == {"h2"}


async def test_no_more_is_kept_than_a_start_learns_from(store: Store) -> None:
    """The newest of each origin, task and version, whatever the order in which they came."""
    await store.take_in(change(heard=Heard(outcomes=[heard(n) for n in range(400, KEPT + 100)])))
    await store.take_in(change(heard=Heard(outcomes=[heard(n) for n in range(400)])))
    kept = [h.outcome.id for h in (await store.heard()).outcomes]
    assert kept == [f"h{n}" for n in range(100, KEPT + 100)]


async def test_a_refusal_in_the_middle_takes_all_of_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction: the last statement fails, and not one row is there."""
    store = await SqliteStore.open(tmp_path, clock=FakeClock())
    before = await everything(store)

    def refuse(*_: object) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(queries, "write_note", refuse)
    with pytest.raises(RuntimeError):
        await store.take_in(change(200))
    assert await everything(store) == before
    monkeypatch.undo()
    await store.take_in(change(200))
    assert await everything(store) != before
    assert await store.verify_ledger() is None
    await store.close()


KILLED = """
import asyncio, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from arbiter_tui.adapters import queries
from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.adapters.store import SqliteStore
from test_store_heard import change

def stuck(*_):
    print("in the middle", flush=True)
    time.sleep(600)

async def main():
    store = await SqliteStore.open(Path({folder!r}), clock=SystemClock())
    queries.write_note = stuck
    await store.take_in(change(400))

asyncio.run(main())
"""


async def test_kill_9_in_the_middle_leaves_nothing_of_it(tmp_path: Path) -> None:
    """The process is killed after all rows were written and before the commit: the next start knows of none."""
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "s"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "in the middle\n"
    finally:
        process.kill()
        process.communicate()
    store = await SqliteStore.open(tmp_path / "s", clock=FakeClock())
    assert store.notice is None
    found, aliases, profiles, tasks, ledger = await everything(store)
    assert (found.said, found.outcomes, aliases, profiles, tasks, ledger) == ([], [], {}, {}, None, [])
    await store.take_in(change(400))
    assert len((await store.heard()).outcomes) == 400
    await store.close()


def test_the_fingerprint_of_a_machine_stays_and_names_nothing() -> None:
    """Hexadecimal digits, equal at every call."""
    assert fingerprint() == fingerprint()
    assert len(fingerprint()) == 16
    assert int(fingerprint(), 16) >= 0
