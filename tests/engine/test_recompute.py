"""Each decision's record suffices to recompute it: a thousand of all kinds, from a real store."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from engine_kit import ASK, Engine

from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.config import RolloutConfig
from arbiter_tui.core.autoswap import AutoSwapInput, AutoSwapLimits, decide
from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.drift import Alarm, Signal
from arbiter_tui.core.guards import Move
from arbiter_tui.core.posterior import beliefs
from arbiter_tui.core.recompute import of_step, of_verdict, recomputed, same, whys
from arbiter_tui.core.record import FORM, pack_input, pack_selection, pack_stats, pack_step, unpack_input, unpack_stats
from arbiter_tui.core.registry import Lifecycle, ModelVersion
from arbiter_tui.core.rollout import Event, Kind, Plan, begin, step
from arbiter_tui.core.routing import Route
from arbiter_tui.core.scoring import leaderboard
from arbiter_tui.core.selection import select
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.swap_cost import SwapCost
from arbiter_tui.core.tasks import AutopilotMode, Criteria, Preference, Task, Weights
from arbiter_tui.core.trial import Trial
from arbiter_tui.testing import Behaviour, FakeClock

NOW = 1_700_000_000.0
NAMES = ("a", "b", "c", "d")
MANY = 1000


def version(name: str, chance: random.Random) -> ModelVersion:
    return ModelVersion(
        version=name, provider="p", model=f"m-{name}", source=name, lifecycle=Lifecycle.ACTIVE,
        parallel=chance.choice((1, 4)),
    )  # fmt: skip


def statistics(chance: random.Random) -> Stats:
    """Of a version that is good or bad, fast or slow, graded or not, failing or not."""
    good, slow, fails = chance.random(), chance.choice((0.1, 1.0, 8.0)), chance.choice((0.0, 0.0, 0.4))
    source = chance.choice(("suite", "feedback", None))
    stats = Stats()
    for n in range(chance.choice((0, 3, 12, 60, 260))):
        failed = chance.random() < fails
        stats = stats.add(
            Outcome(
                id=str(n), task="t", version="v", at=NOW - chance.random() * 1e6, success=not failed,
                failure=Failure.TIMEOUT if failed else None, latency_s=slow * chance.lognormvariate(0.0, 0.5),
                memory_bytes=chance.choice((None, 10**9)), queue_s=chance.choice((None, 0.01)),
                quality=None if source is None else float(chance.random() < good), quality_source=source,
            )
        )  # fmt: skip
    return stats


def a_task(chance: random.Random) -> Task:
    criteria = Criteria(
        quality_threshold=chance.choice((None, 0.8)), max_latency_s=chance.choice((None, 5.0)),
        weights=Weights(quality=chance.random(), latency=chance.random()),
        preference=chance.choice((None, Preference.FAST)),
    )  # fmt: skip
    return Task(name="t", criteria=criteria, priors={"m-a": chance.random()})


def some_costs(chance: random.Random) -> dict[str, SwapCost]:
    return {n: SwapCost(load_s=9.0 * chance.random(), evicts=("z",)) for n in NAMES if chance.random() < 0.5}


def an_input(chance: random.Random) -> AutoSwapInput:
    task, stats = a_task(chance), {name: statistics(chance) for name in NAMES}
    versions = [version(name, chance) for name in NAMES]
    rows = leaderboard(task, versions, stats, now=NOW)
    believed = beliefs(task, versions, stats, {}, NOW) if chance.random() < 0.5 else ()
    route = Route(
        task="t", incumbent=chance.choice((*NAMES, None)), previous=chance.choice((None, *NAMES)),
        hold_until=chance.choice((0.0, 0.0, NOW + 60)), candidate=chance.choice((None, None, "d")),
    )  # fmt: skip
    alarm = Alarm(signal=chance.choice(tuple(Signal)), before=0.9, after=chance.random(), since=20, samples=80)
    return AutoSwapInput(
        task=task, route=route, rows=rows, stats=stats, now=NOW + chance.random(),
        mode=chance.choice((AutopilotMode.ON, AutopilotMode.ON, AutopilotMode.OBSERVE, AutopilotMode.OFF)),
        limits=AutoSwapLimits(load_cost_s=chance.choice((0.0, 7.3)), swaps_per_day=chance.choice((0, 2, 24))),
        last_swap_at=chance.choice((None, NOW - 100, NOW - 1000)), alarms=chance.choice(((), (), (alarm,))),
        excluded=chance.choice(({}, {}, {"a": "lacks code"})), owed=chance.choice(({}, {"b": 100})),
        closed=chance.random() < 0.1, windows=chance.choice(("", "22:00–06:00")),
        beliefs=believed, nominee=chance.choice((None, None, None, "b")),
        costs=some_costs(random.Random(str(route))),
        moves=[Move(at=NOW - chance.random() * 1e5, from_=chance.choice(NAMES), to="a") for _ in range(2)],
    )  # fmt: skip


def autopilot(chance: random.Random) -> dict[str, Any]:
    given = an_input(chance)
    return {"kind": "autopilot", **of_verdict(decide(given)), "basis": pack_input(given)}


def veto(chance: random.Random) -> dict[str, Any]:
    given = an_input(chance)
    announced, held = decide(given), chance.choice((0.0, NOW + 9999.5))
    return {
        "kind": "veto", "verdict": "veto", "to": announced.to, "announced": announced.sentence,
        "why": whys(announced.why), "hold_until": max(held, given.now + 300.0),
        "basis": {**pack_input(given), "vetoed_at": given.now, "hold_s": 300.0, "held_until": held},
    }  # fmt: skip


def selection(chance: random.Random) -> dict[str, Any]:
    task, stats = a_task(chance), {name: statistics(chance) for name in NAMES}
    task = replace(task, criteria=replace(task.criteria, max_latency_s=None, quality_threshold=None))
    versions = [version(name, chance) for name in NAMES]
    found = select(task, versions, stats, now=NOW, barred=chance.choice(({}, {"c": "is forbidden"})))
    return {
        "kind": "selection", "verdict": found.primary, "reasoning": list(found.reasoning),
        "basis": pack_selection(task, found.criteria, found.at, found.ranked, found.disqualified),
    }  # fmt: skip


def rollouts(chance: random.Random) -> list[dict[str, Any]]:
    """Every step with an effect of one rollout, from its beginning to its end."""
    plan = Plan(rule=chance.choice(("posterior", "literal")), every_s=60.0)
    state, trial, found = begin(plan, NOW, Trial().known(0.8, 50)), Trial().known(0.8, 50), []
    good = chance.choice((0.3, 0.8, 0.9))
    events = [Event(kind=Kind.READY)]
    for _ in range(300):
        trial = trial.pair(float(chance.random() < 0.8), float(chance.random() < good), 0.3, chance.random())
        trial = trial.served(new=True, success=chance.random() < 0.98, latency_s=chance.random(), limit_s=0.9)
        events += [Event(kind=Kind.EVIDENCE, trial=trial), Event(kind=Kind.TICK)]
    events += [Event(kind=Kind.ABORT, message="enough")]
    for n, event in enumerate(events):
        before, now = state, NOW + 7.7 * n
        state, effects = step(before, event, now)
        if effects:
            found.append({"kind": "rollout", **of_step(state, effects), "basis": pack_step(before, event, now)})
    return found


def decisions() -> list[dict[str, Any]]:
    chance = random.Random(7)
    found = [make(chance) for make in (autopilot, veto, selection) for _ in range(MANY // 4)]
    while len(found) < MANY:
        found += rollouts(chance)
    return found


async def test_a_thousand_decisions_follow_from_their_records(tmp_path: Path) -> None:
    """Of all kinds, read back from SQLite: the same verdict, the same words, the same figures, to the last digit."""
    store = await SqliteStore.open(tmp_path / "state", clock=FakeClock())
    try:
        made = decisions()
        for n, record in enumerate(made):
            await store.save_decision(f"d{n}", record)
        kinds: Counter[str] = Counter()
        for n, record in enumerate(made):
            read_back = await store.decision(f"d{n}")
            assert read_back is not None
            claim = recomputed(read_back)
            assert claim is not None
            assert {key: record[key] for key in claim} == claim
            assert same(read_back)
            kinds[f"{record['kind']} {record['verdict']}"] += 1
    finally:
        await store.close()
    assert len(made) >= MANY
    wanted = {"autopilot swap", "autopilot hold", "autopilot none", "autopilot rollback", "veto veto", "rollout canary",
              "rollout withdrawn", "rollout promoting", "selection a"}  # fmt: skip
    assert wanted <= kinds.keys()


@pytest.mark.parametrize("seed", range(20))
def test_statistics_are_read_back_with_all_that_decisions_read(seed: int) -> None:
    """Sums, rates and percentiles are the same; the single latencies need not be kept for that."""
    stats = statistics(random.Random(seed))
    back = unpack_stats(pack_stats(stats))
    for name in ("samples", "quality", "quality_weight", "quality_interval", "quality_source", "success_rate",
                 "success_sd", "latency_p50_s", "latency_p95_s", "latency_error_s", "memory_bytes", "dimensions",
                 "last_at"):  # fmt: skip
        assert getattr(back, name) == getattr(stats, name), name


def test_a_record_that_was_changed_is_found_out() -> None:
    """Another verdict, another figure in the basis, no basis at all: each is told apart from a sound record."""
    chance = random.Random(1)
    record = next(r for r in (autopilot(chance) for _ in range(200)) if r["verdict"] == "swap")
    assert same(record)
    assert same({**record, "to": "elsewhere"}) is False
    basis = record["basis"]
    held = {**basis, "route": {**basis["route"], "hold_until": basis["now"] + 50}}
    assert same({**record, "basis": held}) is False
    assert same({k: v for k, v in record.items() if k != "basis"}) is None
    assert same({**record, "basis": {**basis, "form": 99}}) is None
    assert same({**record, "kind": "swap"}) is None
    with pytest.raises(KeyError):
        same({**record, "basis": {"form": FORM}})
    assert asdict(unpack_input(basis).route) == basis["route"]


def stored(e: Engine, kind: str) -> list[Mapping[str, Any]]:
    found = [json.loads(record) for record in e.store.decisions.values()]
    return [record for record in found if record["kind"] == kind]


async def test_what_the_engine_stores_can_be_computed_again() -> None:
    """A choice, swaps, holds, a veto and a rollout of a running engine; `explain` says so of each."""
    quick = RolloutConfig(every_s=60.0, shadow_per_hour=3600.0)
    async with Engine(
        {"a": Behaviour(answer="no"), "b": Behaviour(answer="yes")}, mode="on", cooldown_s=10.0, announce_s=30.0,
        questions=60, rollout=quick,
    ) as e:  # fmt: skip
        await e.teach("a", quality=0.2, count=30)
        await e.teach("b", quality=1.0, count=30)
        await e.until(lambda: "work" in e.arbiter.autopilot.announcements.known, step_s=0.5)
        await e.arbiter.autopilot.veto("work")
        await e.clock.advance(5.0)
        await e.arbiter.execute("work", ASK)
        await e.arbiter.rollouts.start("work", "b")
        await e.until(lambda: e.serving() == "b", step_s=5.0)
        for kind in ("selection", "autopilot", "veto", "rollout"):
            records = stored(e, kind)
            assert records, kind
            for record in records:
                assert same(record) is True, record
                assert (await e.arbiter.explain(record["id"]))["recomputed"] is True
