"""The store under violence: kill -9, damage, a full disk, a folder in use, read-only or from the future."""
# ruff: noqa: ASYNC220, ASYNC240 - the tests are about processes and files; nothing else runs on their loop

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbiter_tui.adapters import losses, state_folder
from arbiter_tui.adapters.migrations import CURRENT, VERSION_TABLE
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.core.cost import Outcome
from arbiter_tui.errors import StateFull, StateLocked, StateReadOnly, StateTooNew
from arbiter_tui.testing import FakeClock

WRITER = Path(__file__).with_name("store_writer.py")


async def opened(folder: Path, url: str | None = None) -> SqliteStore:
    return await SqliteStore.open(folder, url=url, clock=FakeClock())


def start_writer(folder: Path, unrecorded: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(folder), str(unrecorded)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen[str], acknowledged: int) -> int:
    """Kill -9 in the middle of its work. Returns the number of the last acknowledged round."""
    assert process.stdout is not None
    last = -1
    for line in process.stdout:
        last = int(line)
        if last >= acknowledged:
            break
    process.kill()
    rest = process.stdout.read().splitlines()
    process.stdout.close()
    process.wait()
    whole = [int(line) for line in rest if line.isdecimal()]
    return whole[-1] if whole else last


@pytest.mark.parametrize("rounds", [1, 40, 333])
async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, rounds: int) -> None:
    """Whatever the writer had said yes to is there after SIGKILL; the ledger's chain is whole; the lock is free."""
    last = kill_after(start_writer(tmp_path / "s"), rounds)
    assert last >= rounds
    store = await opened(tmp_path / "s")
    state = await store.load()
    assert {f"task-{n}" for n in range(last + 1)} <= state.modes.keys()
    assert {f"task-{n}" for n in range(last + 1)} <= state.routes.routes.keys()
    assert {f"o{n}" for n in range(last + 1)} <= {o.id for o in await store.list_outcomes(limit=100_000)}
    assert {f"s{n}" for n in range(last + 1)} <= {s.id for s in state.intents}
    assert await store.verify_ledger() is None
    assert store.notice is None
    await store.close()


async def test_what_a_crash_cost_is_counted(tmp_path: Path) -> None:
    """Outcomes announced and not recorded are the loss, to the one; after a clean end there is none to speak of."""
    folder = tmp_path / "s"
    last = kill_after(start_writer(folder, unrecorded=7), 20)
    store = await opened(folder, "http://127.0.0.1:9")
    arrived = len(await store.list_outcomes(limit=100_000))
    # The round that was cut off may have announced one more.
    assert store.lost in ({7, 8} if arrived == last + 1 else {7})
    store.expect("a")
    await store.record([Outcome(id="a", task="t", version="v", at=1_700_000_000.0, success=True)])
    await store.close()
    again = await opened(folder)
    assert again.lost is None
    await again.close()


async def test_a_loss_waits_for_the_engine_that_will_tell_of_it(tmp_path: Path) -> None:
    """A command that opens the folder after the crash sees the count and does not use it up."""
    folder = tmp_path / "s"
    kill_after(start_writer(folder, unrecorded=7), 1)
    looked = await opened(folder)
    counted = looked.lost
    assert counted in {7, 8}
    await looked.close()
    engine = await opened(folder, "http://127.0.0.1:9")
    assert engine.lost == counted
    await engine.close()
    again = await opened(folder, "http://127.0.0.1:9")
    assert again.lost is None
    await again.close()


async def test_a_crash_that_cost_nothing_says_zero(tmp_path: Path) -> None:
    """Zero lost after a crash is a measurement; it differs from a clean end."""
    folder = tmp_path / "s"
    store = await opened(folder)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    await store.close()
    again = await opened(copy)
    assert again.lost == 0
    await again.close()


async def test_after_a_restart_of_the_machine_the_loss_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter lives in memory pages: another boot can't trust it, and does not invent a number."""
    folder = tmp_path / "s"
    kill_after(start_writer(folder, unrecorded=3), 2)
    monkeypatch.setattr(losses, "boot_mark", lambda: b"another boot")
    store = await opened(folder)
    assert store.lost is None
    await store.close()


@pytest.fixture
async def used(tmp_path: Path) -> Path:
    """A state folder with something in it."""
    store = await opened(tmp_path / "s")
    for n in range(300):
        await store.save_note(f"k{n}", "x" * 200)
    await store.close()
    return tmp_path / "s"


def _garbage(file: Path) -> None:
    file.write_bytes(b"this is not a database at all\n" * 200)


def _truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _scribbled(file: Path) -> None:
    with file.open("r+b") as data:
        data.seek(4096 * 3)
        data.write(b"\xa5" * 4096 * 12)


@pytest.mark.parametrize("damage", [_garbage, _truncated, _scribbled])
async def test_a_damaged_database_is_kept_aside_and_never_overwritten(used: Path, damage: object) -> None:
    """The damaged bytes are still there under another name; the engine starts with a fresh one and says so."""
    assert callable(damage)
    damage(used / "state.db")
    before = (used / "state.db").read_bytes()
    store = await opened(used)
    (kept,) = used.glob("state.damaged-*.db")
    assert kept.read_bytes() == before
    assert store.notice is not None
    assert kept.name in store.notice
    assert store.lost is None
    await store.save_note("fresh", 1)
    assert await store.note("k1") is None
    await store.close()
    again = await opened(used)
    assert again.notice is None
    assert await again.note("fresh") == 1
    await again.close()


async def test_two_damages_in_one_second_are_both_kept(used: Path) -> None:
    """A kept file is never replaced by the next one."""
    for _ in range(2):
        _garbage(used / "state.db")
        await (await opened(used)).close()
    assert len(list(used.glob("state.damaged-*.db"))) == 2


async def test_a_newer_schema_is_refused_and_left_alone(used: Path) -> None:
    """A newer arbiter's state is not touched; the error says what to do; the folder is free again."""
    with sqlite3.connect(used / "state.db") as connection:
        connection.execute(f"INSERT INTO {VERSION_TABLE} VALUES (?, 0)", (CURRENT + 1,))
    connection.close()
    before = (used / "state.db").read_bytes()
    with pytest.raises(StateTooNew, match="newer arbiter"):
        await opened(used)
    assert (used / "state.db").read_bytes() == before
    assert not list(used.glob("state.damaged-*"))
    assert state_folder.running(used) is None


async def fill(store: SqliteStore) -> int:
    """Write until StateFull. Returns the number of acknowledged notes k0, k1 …"""
    for n in range(100_000):
        try:
            await store.save_note(f"k{n}", "x" * 500)
        except StateFull:
            return n
    raise AssertionError("the disk never became full")


async def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    """StateFull for what does not fit; what was acknowledged stays; once there is room, writing goes on."""
    store = await opened(tmp_path / "s")
    await store.save_note("before", 1)
    await store._write(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone()[0])
    acknowledged = await fill(store)
    assert await store.note("before") == 1
    assert [await store.note(f"k{n}") is not None for n in range(acknowledged)] == [True] * acknowledged
    await store._write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone()[0])
    await store.save_note("after", "x" * 500)
    await store.close()
    again = await opened(tmp_path / "s")
    assert again.notice is None
    assert await again.note("after") is not None
    await again.close()


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A file system of 256 KiB; skipped where this user may not mount one."""
    place = Path(tempfile.mkdtemp())
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True)
        mounted = done.returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        place.rmdir()
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


async def test_a_really_full_file_system(tiny_disk: Path) -> None:
    """The same on a real file system without a free block: our error, nothing acknowledged lost, a clean close."""
    store = await opened(tiny_disk / "s")
    acknowledged = await fill(store)
    assert acknowledged > 0
    assert [await store.note(f"k{n}") is not None for n in range(acknowledged)] == [True] * acknowledged
    with pytest.raises(StateFull):
        await store.close()
    assert state_folder.running(tiny_disk / "s") is None


async def test_a_second_engine_is_refused_with_the_firsts_pid_and_url(tmp_path: Path) -> None:
    """In another process as in the same one; the owner goes on, and a freed folder can be taken."""
    folder = tmp_path / "s"
    process = start_writer(folder)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(StateLocked, match=f"pid {process.pid} at http://127.0.0.1:1") as caught:
        await opened(folder)
    assert caught.value.details["pid"] == process.pid
    found = state_folder.running(folder)
    assert found is not None
    assert found["url"] == "http://127.0.0.1:1"
    assert int(process.stdout.readline()) >= 0
    kill_after(process, 0)
    assert state_folder.running(folder) is None
    mine = await opened(folder, "http://127.0.0.1:2")
    with pytest.raises(StateLocked, match=f"pid {os.getpid()} at http://127.0.0.1:2"):
        await opened(folder)
    await mine.close()
    assert state_folder.running(folder) is None
    assert not (folder / state_folder.ENGINE_FILE).exists()


async def test_without_fcntl_the_folder_is_still_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fallback refuses a second engine, and takes over from a dead one."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    folder = tmp_path / "s"
    store = await opened(folder, "http://127.0.0.1:3")
    with pytest.raises(StateLocked, match=str(os.getpid())):
        await opened(folder)
    await store.close()
    assert not (folder / state_folder.LOCK_FILE).exists()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (folder / state_folder.LOCK_FILE).write_text(str(dead.pid))
    again = await opened(folder)
    await again.close()


READ_ONLY = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.errors import StoreError
if os.getuid() == 0:  # root may write everywhere; nobody may not (and may perhaps not read our modules, hence late)
    os.setgid(65534); os.setuid(65534)
try:
    asyncio.run(SqliteStore.open(Path(sys.argv[1]), clock=SystemClock()))
except StoreError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("there", [True, False])
def test_a_read_only_folder_is_named(there: bool) -> None:
    """The folder, or the one in which it would be made, can't be written: one sentence, and nothing is left in it."""
    outer = Path(tempfile.mkdtemp())
    outer.chmod(0o755)
    folder = outer / "s"
    if there:
        folder.mkdir(mode=0o700)
        folder.chmod(0o555)
    outer.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(folder)], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith(f"{StateReadOnly.__name__} ")
        assert str(folder) in done.stdout
        assert "arbiter_tui" not in done.stderr
        assert not there or list(folder.iterdir()) == []
    finally:
        outer.chmod(0o755)
        if there:
            folder.chmod(0o755)
        shutil.rmtree(outer)


async def test_a_state_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """Also that is a StoreError with the path, not a traceback."""
    (tmp_path / "s").write_text("")
    with pytest.raises(StateReadOnly, match=str(tmp_path / "s")):
        await opened(tmp_path / "s")


async def test_looking_for_an_engine_never_stops_one_from_starting(tmp_path: Path) -> None:
    """``running`` holds the lock for an instant; an engine that starts meanwhile waits for that instant."""
    folder = tmp_path / "s"
    state_folder.prepare(folder)
    looker = subprocess.Popen(
        [sys.executable, "-c", f"""
import pathlib, time
from arbiter_tui.adapters.state_folder import running
print("go", flush=True)
end = time.monotonic() + 20
while time.monotonic() < end:
    running(pathlib.Path({str(folder)!r}))
"""],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert looker.stdout is not None
        looker.stdout.readline()
        for _ in range(20):
            await (await opened(folder)).close()
    finally:
        looker.kill()
        looker.wait()
        assert looker.stdout is not None
        looker.stdout.close()


def test_an_engine_file_that_is_being_written_is_no_engine(tmp_path: Path) -> None:
    """A half-written or foreign engine.json never raises."""
    for content in ("", "{", "[]", json.dumps({"pid": 1})):
        (tmp_path / state_folder.ENGINE_FILE).write_text(content)
        assert state_folder.running(tmp_path) is None
