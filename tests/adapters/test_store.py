"""The store keeps what it acknowledged, in little room, in order, and tells when something was lost or changed."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui.adapters.database import Writer, connect
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.config import RetentionConfig
from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.grading import Grading
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.core.registry import Lifecycle, ModelVersion, Registry
from arbiter_tui.core.routing import Route
from arbiter_tui.core.snapshot import Phase, SwapView, Why
from arbiter_tui.errors import StoreError
from arbiter_tui.ports import Store
from arbiter_tui.testing import FakeClock, MemoryStore

VERSION = ModelVersion(
    version="smollm2-135m-q4_1.llama-server", provider="llama_server", model="smollm2", source="/m/smollm2.gguf",
    digest="sha256:abc", capabilities=frozenset({"text-generation", "code"}), labels=("fast",), options={"n_batch": 8},
    lifecycle=Lifecycle.ACTIVE, pinned=True,
)  # fmt: skip


def outcome(n: int, **changes: Any) -> Outcome:
    base = Outcome(
        id=f"{n:016x}", task="boolean-logic", version=VERSION.version, at=1_700_000_000.0 + n, success=True,
        latency_s=0.1234567, ttft_s=0.0123456, queue_s=0.00012, overhead_s=0.00034, tokens_in=120, tokens_out=31,
        memory_bytes=210_123_456, cpu_s=0.2345678, energy_j=1.2345678,
    )  # fmt: skip
    return replace(base, **changes)


def swap(n: int, **changes: Any) -> SwapView:
    reasons = ("min_samples", "cooldown", "better", "compatibility")
    base = SwapView(
        id=f"swap-{n:012x}", task="boolean-logic", from_=VERSION.version, to="gemma3-270m-q4_k_m.llama-server",
        trigger="auto", result="done", reason=f"better by {n / 7:.4f}: .83 against .55 with 95% certainty",
        started_at=1_700_000_000.123 + n, duration_s=0.5 + n / 7919,
        phases=tuple(Phase(name=p, seconds=n / 104729) for p in ("intent", "load", "probe", "switch", "drain")),
        why=tuple(Why(rule=r, value=n / 911, threshold=0.8, would_change_if="it were above it") for r in reasons),
        evidence={"incumbent": {"utility": n / 13, "samples": n}, "challenger": {"utility": n / 17, "samples": n}},
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "state", clock=FakeClock())
    yield opened
    await opened.close()


async def reopened(store: SqliteStore, **options: Any) -> SqliteStore:
    await store.close()
    return await SqliteStore.open(store.path.parent, clock=FakeClock(), **options)


async def test_everything_learnt_survives_a_restart(store: SqliteStore) -> None:
    """Registry, routes, profiles, modes, swaps, outcomes, decisions and notes come back as they were."""
    registry, _ = Registry().register(VERSION)
    registry = registry.alias("champion", VERSION.version)
    route = Route(task="boolean-logic", incumbent=VERSION.version, previous="old", since=5.0, hold_until=9.0)
    profile = TaskProfile(task="boolean-logic").observe(outcome(1), prompt_tokens=120)
    await store.save_registry(registry, who="cli", action="register", subject=VERSION.version)
    await store.save_route(route, swap(1))
    await store.save_profiles([profile])
    await store.save_mode("boolean-logic", "observe")
    await store.record([outcome(1), outcome(2, success=False, failure=Failure.TIMEOUT, latency_s=None)])
    await store.save_decision("d1", {"verdict": "swap", "why": [{"rule": "better", "value": 0.5}]})
    await store.save_note("bench", {"done": [1, 2]})
    again = await reopened(store)
    state = await again.load()
    assert state.registry == registry
    assert state.routes.get("boolean-logic") == route
    assert state.profiles["boolean-logic"].as_dict() == profile.as_dict()
    assert state.modes == {"boolean-logic": "observe"}
    assert list(state.swaps) == [swap(1)]
    assert list(state.outcomes) == [outcome(1), outcome(2, success=False, failure=Failure.TIMEOUT, latency_s=None)]
    assert state.lost is None
    assert await again.decision("d1") == {"verdict": "swap", "why": [{"rule": "better", "value": 0.5}]}
    assert await again.decision("d2") is None
    assert await again.note("bench") == {"done": [1, 2]}
    assert await again.note("none") is None
    await again.close()


async def test_an_intent_comes_back_until_it_has_a_result(store: SqliteStore) -> None:
    """A swap recorded as running is an intent; its result replaces it in place."""
    await store.save_swap(swap(1, result="running"))
    await store.save_swap(swap(2))
    assert [s.id for s in (await store.load()).intents] == [swap(1).id]
    await store.save_swap(swap(1, result="failed", error="no"))
    state = await store.load()
    assert list(state.intents) == []
    assert [(s.id, s.result) for s in state.swaps] == [(swap(2).id, "done"), (swap(1).id, "failed")]


async def test_a_registry_row_that_left_is_gone_and_order_is_kept(store: SqliteStore) -> None:
    """The stored table is exactly the given one, in registration order."""
    registry = Registry()
    for name in ("c", "a", "b"):
        registry, _ = registry.register(replace(VERSION, version=name, digest=name))
    await store.save_registry(registry, who="x", action="register", subject="c a b")
    smaller = Registry({n: v for n, v in registry.versions.items() if n != "a"}, {})
    await store.save_registry(smaller, who="x", action="archive", subject="a")
    assert list((await store.load()).registry.versions) == ["c", "b"]


async def test_recording_is_idempotent_by_id(store: SqliteStore) -> None:
    """The same outcome again changes nothing, within a batch and across batches."""
    await store.record([outcome(1), outcome(1, latency_s=9.0)])
    await store.record([outcome(1, latency_s=8.0)])
    assert await store.list_outcomes() == [outcome(1)]


async def test_feedback_reaches_the_recorded_outcome(store: SqliteStore) -> None:
    """Quality and its source are stored, a correction in the place of the first; an unknown id is None."""
    await store.record([outcome(1)])
    first, second = (outcome(1, quality=q, quality_source="feedback") for q in (0.5, 0.75))
    assert await store.set_quality(first.id, 0.5, "feedback", "meh") == Grading(outcome(1), first, "feedback")
    assert await store.list_outcomes() == [first]
    found = await store.set_quality(first.id, 0.75, "feedback")
    assert found == Grading(first, second, "feedback")
    assert found.corrects == 0.5
    assert await store.list_outcomes() == [second]
    assert await store.set_quality("nobody", 1.0, "feedback") is None


async def test_feedback_replaces_no_grade_of_another_source(store: SqliteStore) -> None:
    """What a suite has said stands, on the disk, too; the comment is kept."""
    graded = outcome(1, quality=1.0, quality_source="suite")
    await store.record([graded])
    found = await store.set_quality(graded.id, 0.0, "feedback", "but it is rude")
    assert found is not None
    assert (found.taken, found.corrects, found.after) == (False, None, graded)
    assert await store.list_outcomes() == [graded]
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT comment FROM outcomes").fetchone() == ("but it is rude",)


async def _pages(store: Store) -> list[list[str]]:
    await store.record([outcome(n, task="a" if n % 2 else "b") for n in range(7)])
    for n in range(5):
        await store.save_swap(swap(n, task="a" if n % 2 else "b"))
    first = await store.list_outcomes(limit=3)
    rest = await store.list_outcomes(limit=9, after=first[-1].id)
    filtered = await store.list_outcomes(task="a", version=VERSION.version, after=outcome(3).id)
    swaps = await store.list_swaps(limit=2)
    more = await store.list_swaps(after=swaps[-1].id)
    return [[o.id for o in page] for page in (first, rest, filtered, swaps, more, await store.list_swaps(task="a"))]


async def test_outcomes_of_one_source_are_found_among_others(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of clients between a benchmark's questions, page by page; a bound keeps a rare source cheap."""
    await store.record([outcome(n, source="request" if n % 4 == 0 else "bench") for n in range(1, 13)])
    asked = [o.id for o in await store.list_outcomes(source="request")]
    assert asked == [outcome(n).id for n in (12, 8, 4)]
    assert [o.id for o in await store.list_outcomes(source="request", limit=1, after=asked[0])] == [asked[1]]
    monkeypatch.setattr("arbiter_tui.adapters.queries.LOOKED_THROUGH", 6)
    assert [o.id for o in await store.list_outcomes(source="request")] == asked[:2]


async def test_pages_are_those_of_the_public_fake(store: SqliteStore) -> None:
    """Newest first, ``after`` the last one seen, filtered: SqliteStore and MemoryStore give the same pages."""
    assert await _pages(store) == await _pages(MemoryStore())


async def test_a_start_reads_the_newest_of_each_pair_only(store: SqliteStore) -> None:
    """At most 500 outcomes per task and version come back, newest last, and 200 swaps, newest first."""
    await store.record([outcome(n) for n in range(700)])
    await store.record([outcome(1000 + n, task="rare") for n in range(3)])
    await asyncio.gather(*(store.save_swap(swap(n)) for n in range(220)))
    state = await store.load()
    assert [o.id for o in state.outcomes] == [outcome(n).id for n in (*range(200, 700), *range(1000, 1003))]
    assert [s.id for s in state.swaps] == [swap(n).id for n in range(219, 19, -1)]


async def test_an_outcome_and_a_swap_event_take_less_than_a_kilobyte(store: SqliteStore) -> None:
    """Measured on the closed file, indexes included, over 10,000 of each."""
    again = await reopened(store)
    empty = again.path.stat().st_size
    for start in range(0, 10_000, 250):
        await again.record([outcome(n) for n in range(start, start + 250)])
    again = await reopened(again)
    recorded = again.path.stat().st_size
    route = Route(task="boolean-logic", incumbent=VERSION.version)
    await asyncio.gather(*(again.save_route(route, swap(n)) for n in range(10_000)))
    await again.close()
    assert (recorded - empty) / 10_000 <= 1024
    assert (again.path.stat().st_size - recorded) / 10_000 <= 1024


async def test_a_profile_takes_at_most_ten_kilobytes(store: SqliteStore) -> None:
    """However many and different the outcomes that it has seen."""
    profile = TaskProfile(task="t")
    for n in range(1, 3000):
        profile = profile.observe(outcome(n, latency_s=1.3 ** (n % 60) / 1e3, memory_bytes=n * n), prompt_tokens=n)
    await store.save_profiles([profile])
    stored = await store._read(lambda c: c.execute("SELECT length(data) FROM profiles").fetchone()[0])
    assert stored <= 10 * 1024


async def test_files_belong_to_their_owner_alone(store: SqliteStore) -> None:
    """0700 for the folder, 0600 for every file in it, also SQLite's own side files."""
    await store.save_note("x", 1)
    folder = store.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"state.db", "state.db-wal", "engine.json", "engine.lock"} <= modes.keys()


async def test_a_clean_end_is_no_loss_even_if_outcomes_were_dropped(store: SqliteStore) -> None:
    """``lost`` speaks of crashes only."""
    store.expect("never-recorded")
    again = await reopened(store)
    assert (await again.load()).lost is None
    await again.close()


async def test_close_commits_what_waits_and_can_be_called_again(store: SqliteStore) -> None:
    """Writes asked for before close are there after it; later ones are refused in our words."""
    writes = [asyncio.create_task(store.save_note(f"k{n}", n)) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    await asyncio.gather(*writes)
    with pytest.raises(StoreError, match="closed"):
        await store.save_note("late", 1)
    with pytest.raises(StoreError, match="closed"):
        await store.load()
    again = await reopened(store)
    assert [await again.note(f"k{n}") for n in range(50)] == list(range(50))
    await again.close()


async def test_a_cancelled_caller_loses_nothing_and_disturbs_nobody(store: SqliteStore) -> None:
    """The write of a caller that went away is committed; the writer goes on."""
    task = asyncio.create_task(store.save_note("gone", 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.save_note("next", 2)
    assert (await store.note("gone"), await store.note("next")) == (1, 2)


async def test_waiting_writes_share_a_commit_and_one_failure_hurts_only_itself(tmp_path: Path) -> None:
    """One bad job of a group raises for its own caller; the others of the group are committed."""
    path = tmp_path / "x.db"
    connection = connect(path)
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    commits: list[str] = []
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    writer = Writer(connection, path)

    def insert(n: int) -> Any:
        return lambda c: c.execute("INSERT INTO t VALUES (?)", (n,)).rowcount

    await asyncio.gather(*(writer.run(insert(n)) for n in range(100)))
    assert len(commits) < 100
    results = await asyncio.gather(*(writer.run(insert(n)) for n in (200, 5, 201)), return_exceptions=True)
    assert results[0] == results[2] == 1
    assert isinstance(results[1], StoreError)
    await writer.close(lambda c: None)
    kept = sqlite3.connect(path)
    assert kept.execute("SELECT count(*) FROM t").fetchone() == (102,)
    kept.close()


async def test_the_past_is_forgotten_as_configured(store: SqliteStore) -> None:
    """Outcomes and decisions older than the retention go at the next start that names it; younger ones stay."""
    now = FakeClock().now()
    await store.record([outcome(1, at=now - 10 * 86_400), outcome(2, at=now - 86_400)])
    await store.save_decision("d", {"a": 1})
    again = await reopened(store)
    assert len(await again.list_outcomes()) == 2
    again = await reopened(again, retention=RetentionConfig(outcomes_days=5))
    assert [o.id for o in await again.list_outcomes()] == [outcome(2).id]
    assert await again.decision("d") == {"a": 1}
    await again.close()


async def test_every_change_by_an_operator_is_in_the_ledger_and_the_chain_holds(store: SqliteStore) -> None:
    """Registry, routes and modes leave lines in order; the pages go on from ``after``."""
    assert await store.verify_ledger() is None
    registry, _ = Registry().register(VERSION)
    await store.save_registry(registry, who="cli", action="register", subject=VERSION.version)
    await store.save_route(Route(task="t", incumbent="m"), swap(1))
    await store.save_mode("t", "off")
    lines = await store.ledger()
    assert [(line["id"], line["who"], line["action"], line["subject"]) for line in lines] == [
        ("1", "cli", "register", VERSION.version),
        ("2", "auto", "route", "t -> m"),
        ("3", "operator", "autopilot", "t off"),
    ]
    assert [line["id"] for line in await store.ledger(after="1", limit=1)] == ["2"]
    assert lines[1]["prev"] == lines[0]["hash"]
    assert await store.verify_ledger() is None


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        ("UPDATE ledger SET subject = 'other' WHERE seq = 2", "entry 2 .* was changed"),
        ("UPDATE ledger SET at = at + 1 WHERE seq = 3", "entry 3 .* was changed"),
        ("DELETE FROM ledger WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM ledger WHERE seq = 3", "entry 3 is missing"),
    ],
)
async def test_a_changed_ledger_is_found(store: SqliteStore, tamper: str, words: str) -> None:
    """A line changed, removed from the middle or cut off the end: the first broken entry is named."""
    for n in range(3):
        await store.save_mode("t", f"m{n}")
    await store._write(lambda c: c.execute(tamper).rowcount)
    found = await store.verify_ledger()
    assert found is not None
    import re

    assert re.search(words, found)


async def test_ids_are_told_apart_by_whether_an_outcome_is_stored(store: SqliteStore) -> None:
    """More ids than one statement takes; none at all is no question."""
    await store.record([outcome(n) for n in range(3)])
    assert await store.known([outcome(n).id for n in range(2000)]) == {outcome(n).id for n in range(3)}
    assert await store.known([]) == frozenset()
