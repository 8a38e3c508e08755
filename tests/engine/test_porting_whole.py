"""Export and import, whole or not at all: what is wrong changes nothing, and what an archive holds and never holds."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from engine_kit import Engine
from porting_kit import HERE, again_with, engine, exported, learnt, lines, taken, teach

from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.archive import line
from arbiter_tui.errors import ArchiveInvalid, StoreError

# ── all or nothing ────────────────────────────────────────────────────────────────────────────────────────────────────


def state(one: Engine) -> Any:
    store = one.store
    kept = {k: v for k, v in store.notes.items() if k != "install"}
    return (
        dict(store.records),
        dict(store.heard_outcomes),
        kept,
        dict(store.profiles),
        store.ledger_lines[:],
        learnt(one),
    )


async def test_a_dry_run_changes_nothing_and_tells_the_same() -> None:
    """The report of a dry run is that of the import after it."""
    async with engine() as old:
        await teach(old, "x", 1.0)
        data = await exported(old)
    async with engine() as new:
        before = state(new)
        dry = await taken(new, data, dry_run=True)
        assert state(new) == before
        assert {**dry, "dry_run": False} == await taken(new, data)


@pytest.mark.parametrize("damage", ["cut", "line", "reference", "twice", "store"])
async def test_what_is_wrong_anywhere_leaves_everything_as_it_was(damage: str) -> None:
    """The archive is read whole before anything is written; a store that refuses takes all of it back."""
    async with engine() as old:
        await teach(old, "x", 1.0)
        data = await exported(old)
    body = gzip.decompress(data).split(b"\n", 1)[1].splitlines(keepends=True)
    head = {"arbiter": "9", "made_at": 1.0, "origin": "b" * 16, "machine": HERE}
    broken = {
        "cut": data[:-40],
        "line": again_with(head, [*body, line("outcome", {"id": "z", "task": "work"})]),
        "reference": again_with(head, [raw for raw in body if b'"kind":"model"' not in raw]),
        "twice": again_with(head, [*body, *(raw for raw in body if b'"kind":"outcome"' in raw)]),
        "store": data,
    }[damage]
    async with engine() as new:
        before = state(new)
        if damage == "store":

            async def refuse(change: Any) -> None:
                raise StoreError("the disk is gone")

            new.store.take_in = refuse  # type: ignore[method-assign]
        with pytest.raises((ArchiveInvalid, StoreError)):
            await taken(new, broken)
        assert state(new) == before


async def test_who_cancels_before_the_commit_gets_nothing_and_after_it_all() -> None:
    """A commit that has begun is carried to its end, and then learnt from."""
    async with engine() as old:
        await teach(old, "x", 1.0, count=200)
        data = await exported(old)
    async with engine() as new:
        begun, go = asyncio.Event(), asyncio.Event()
        real = new.store.take_in

        async def slow(change: Any) -> None:
            begun.set()
            await go.wait()
            await real(change)

        new.store.take_in = slow  # type: ignore[method-assign]
        before = state(new)
        early = asyncio.create_task(taken(new, data))
        await asyncio.sleep(0)
        assert not begun.is_set()
        early.cancel()
        with pytest.raises(asyncio.CancelledError):
            await early
        assert state(new) == before
        late = asyncio.create_task(taken(new, data))
        await begun.wait()
        late.cancel()
        go.set()
        report = await late
        assert report["new"]["outcomes"] == 200
        assert new.arbiter.evidence.stats("work")["a"].samples == 200


async def test_clients_come_first_while_an_archive_is_read() -> None:
    """Between slices of lines the loop turns: other work goes on, and progress is told."""
    async with engine() as old:
        await teach(old, "x", 1.0, count=400)
        data = await exported(old)
    async with engine() as new:
        turns, shares, reading = 0, list[float](), True

        async def other() -> None:
            nonlocal turns
            while reading:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        await new.arbiter.imports.run(data, dry_run=True, tell=shares.append)
        reading = False
        await beside
        assert turns >= 8
        assert shares == sorted(shares)
        assert 0.0 <= shares[0] <= shares[-1] <= 1.0


# ── what an archive holds ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_archive_holds_what_was_asked_for_and_no_path() -> None:
    """Words of --what choose kinds; no source, option or suite's file is in it; statistics are told for people."""
    async with engine(tasks=(Task(name="work", suite="/home/me/secret.jsonl"),)) as one:
        await teach(one, "x", 0.5)
        whole = await exported(one)
        assert {json.loads(raw).get("kind") for raw in gzip.decompress(whole).splitlines()[1:]} == {
            "model", "task", "profile", "outcome", "statistics",
        }  # fmt: skip
        assert b"/home/me" not in gzip.decompress(whole)
        (told,) = lines(whole, "statistics")
        assert (told["samples"], told["quality"], told["sources"]) == (15, 0.5, {"suite": 15.0})
        some = await exported(one, ["outcomes"])
        assert {json.loads(raw).get("kind") for raw in gzip.decompress(some).splitlines()[1:]} == {"model", "outcome"}


async def test_what_could_not_be_true_is_never_written() -> None:
    """An archive of an engine is always one that an engine takes, whatever a runtime once told it."""
    async with engine() as old:
        odd = Outcome(id="odd", task="work", version="a", at=1e12, success=True, latency_s=-3.0, quality=0.5,
                      quality_source="suite")  # fmt: skip
        await old.store.record([odd])
        data = await exported(old)
    async with engine() as new:
        assert (await taken(new, data))["new"]["outcomes"] == 1
