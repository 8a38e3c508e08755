"""Export and import: what was learnt here is known there, once, and never more than it can mean there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from engine_kit import Engine
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from porting_kit import HERE, THERE, again_with, engine, exported, learnt, lines, taken, teach

from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.core.traffic import Traffic
from arbiter_tui.data import bundled_tasks
from arbiter_tui.engine.archive import line
from arbiter_tui.errors import ArchiveInvalid, Unconstitutional
from arbiter_tui.testing import MIB, Behaviour, FakeClock, FakeProvider, MemoryStore

OUTCOMES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.one_of(st.none(), st.integers(0, 4).map(lambda n: n / 4)),
        st.floats(0.01, 20.0), st.booleans(), st.sampled_from(["suite", "feedback", "verifier"]),
    ),
    max_size=60,
)  # fmt: skip


@given(OUTCOMES)
@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_what_is_taken_into_an_empty_folder_leads_to_the_same_leaderboard(rows: list[tuple[Any, ...]]) -> None:
    """Export, then import on the same machine: equal rows, posteriors and profiles; also after a restart."""
    asyncio.run(_round_trip(rows))


async def _round_trip(rows: list[tuple[Any, ...]]) -> None:
    async with engine() as old:
        for n, (version, quality, latency, success, source) in enumerate(rows):
            made = Outcome(
                id=f"r{n}", task="work", version=version, at=old.clock.now() + n / 100, success=success,
                latency_s=latency, ttft_s=latency / 2, tokens_in=n, tokens_out=3, memory_bytes=MIB + n,
                energy_j=latency, quality=quality if success else None,
                quality_source=source if success and quality is not None else None,
                failure=None if success else Failure.TIMEOUT,
            )  # fmt: skip
            old.arbiter.recorder.append(made)
        await old.arbiter.recorder.flush()
        data, before = await exported(old), learnt(old)
    store = MemoryStore()
    async with engine(store=store, clock=FakeClock(old.clock.now())) as new:
        report = await taken(new, data)
        assert report["new"]["outcomes"] == len(rows)
        assert learnt(new) == before
    async with engine(store=store, clock=FakeClock(old.clock.now())) as again:
        assert learnt(again) == before


async def test_twice_is_once() -> None:
    """The second time nothing is new, nothing is written, and nothing is learnt again; nor after a restart."""
    async with engine() as old:
        await old.teach("a", quality=0.75, count=20)
        data = await exported(old)
    async with engine() as new:
        first = await taken(new, data)
        told, ledger = learnt(new), list(new.store.ledger_lines)
        second = await taken(new, data)
        assert sum(first["new"].values()) > 0
        assert sum(second["new"].values()) == 0
        assert second["known"]["outcomes"] == 20
        assert learnt(new) == told
        assert new.store.ledger_lines == ledger
        third = await taken(new, await exported(new))
        assert sum(third["new"].values()) == 0, "what it exports itself is known to it"


async def test_the_order_of_archives_does_not_matter() -> None:
    """Two machines' knowledge in either order, and by way of a third one: the same posteriors."""
    archives = []
    for machine, quality in ((HERE, 0.9), (THERE, 0.2)):
        async with engine(machine) as one:
            await teach(one, machine, quality)
            archives.append(await exported(one))
    seen = []
    for order in (archives, archives[::-1]):
        async with engine() as new:
            for data in order:
                await taken(new, data)
            stats = new.arbiter.evidence.stats("work")["a"]
            seen.append((round(stats.hits, 9), round(stats.misses, 9), stats.samples, stats.latency_p50_s))
            passed_on = await exported(new)
    async with engine() as third:
        await taken(third, passed_on)
        stats = third.arbiter.evidence.stats("work")["a"]
        seen.append((round(stats.hits, 9), round(stats.misses, 9), stats.samples, stats.latency_p50_s))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("machine", [HERE, THERE])
async def test_a_grade_that_came_after_an_archive_was_made_is_learnt_from_the_next(machine: str) -> None:
    """In either order of the two, live and after a restart: the same posterior."""
    async with engine(machine) as old:
        for n in range(12):
            old.arbiter.recorder.append(Outcome(id=f"q{n}", task="work", version="a", at=old.clock.now(), success=True,
                                                latency_s=0.5))  # fmt: skip
        monday = await exported(old)
        for n in range(12):
            await old.arbiter.feedback(f"q{n}", 0.75)
        tuesday = await exported(old)
    seen, stores = list[Any](), [MemoryStore(), MemoryStore()]
    for store, order in zip(stores, ((monday, tuesday), (tuesday, monday)), strict=True):
        async with engine(store=store) as new:
            reports = [await taken(new, data) for data in order]
            seen.append(_posterior(new))
        async with engine(store=store) as again:
            seen.append(_posterior(again))
        assert (reports[0]["new"]["grades"], reports[1]["new"]["grades"]) == ((0, 12) if order[0] is monday else (0, 0))
    assert seen[0][0] > 0
    assert all(one == seen[0] for one in seen)


def _posterior(one: Engine) -> tuple[Any, ...]:
    stats = one.arbiter.evidence.stats("work")["a"]
    return round(stats.hits, 9), round(stats.misses, 9), stats.samples, dict(stats.quality_sources)


async def test_another_machine_teaches_quality_and_nothing_else() -> None:
    """Its grades count, as reported ones; seconds, bytes, joules, samples and recency are those of this machine."""
    async with engine(THERE) as old:
        await teach(old, "x", 0.9, count=30)
        data = await exported(old)
    async with engine(HERE) as new:
        report = await taken(new, data)
        stats = new.arbiter.evidence.stats("work")["a"]
        assert report["same_machine"] is False
        assert stats.quality == pytest.approx(0.9)
        assert set(stats.quality_sources) == {"reported"}
        assert (stats.samples, stats.latency_p50_s, stats.memory_bytes, stats.energy_j) == (0, None, None, None)
        assert new.arbiter.profile("work").quality_n == 30
        assert new.arbiter.profile("work").latency.n == 0
        rows = {row.version: row for row in new.arbiter.evidence.leaderboard("work")}
        assert rows["a"].utility == 0.5, "nobody is praised before it was measured here"
        belief = {b.version: b for b in new.arbiter.autopilot.beliefs.of("work")}
        assert belief["a"].mean > belief["b"].mean
        assert belief["a"].weight > 20


async def test_an_engine_without_a_fingerprint_has_measured_nothing_of_an_archive() -> None:
    """Two unknown machines are not the same one."""
    async with engine("") as old:
        await teach(old, "x", 0.9)
        data = await exported(old)
    async with engine("") as new:
        assert (await taken(new, data))["same_machine"] is False
        assert new.arbiter.evidence.stats("work")["a"].latency_p50_s is None


class Renamed(FakeProvider):
    """The same contents under other names."""

    def version(self, name: str, **changes: Any) -> ModelVersion:
        return replace(super().version(name, **changes), digest=f"sha256:{name.removeprefix('my-')}")


def renamed(*names: str, **more: Any) -> Engine:
    one = engine(models={n: Behaviour() for n in names}, **more)
    one.provider.__class__ = Renamed
    return one


async def test_the_same_content_under_another_name_gets_its_evidence() -> None:
    """By digest; what is not here is kept, passed on, and learnt when it arrives."""
    async with engine() as old:
        await teach(old, "x", 1.0, "a")
        await teach(old, "x", 0.0, "b")
        data = await exported(old)
    async with renamed("my-a") as new:
        report = await taken(new, data)
        assert {v["version"]: v["here"] for v in report["versions"]} == {"a": ["my-a"], "b": []}
        stats = new.arbiter.evidence.stats("work")
        assert set(stats) == {"my-a"}
        assert (stats["my-a"].samples, stats["my-a"].latency_p50_s) == (15, 0.5)
        assert {o["version"] for o in lines(await exported(new), "outcome")} == {"a", "b"}
        new.provider.behaviours["my-b"] = Behaviour()
        await new.arbiter.register("fake", "my-b")
        await new.arbiter._life.tick()
        assert new.arbiter.evidence.stats("work")["my-b"].quality == 0.0
        before = learnt(new)
        await new.arbiter._life.tick()
        assert learnt(new) == before, "a second look learns nothing twice"


async def test_models_that_are_not_here_tell_what_their_siblings_are_worth() -> None:
    """What nobody here has graded is expected as those that are like it were graded elsewhere."""
    names = ("falcon-1b-q4", "falcon-1b-q8", "heron-1b-q4", "heron-1b-q8")
    async with engine(models={n: Behaviour() for n in names}) as old:
        for name in names:
            await teach(old, "x", 0.9 if "falcon" in name else 0.1, name, count=20)
        data = await exported(old)
    store = MemoryStore()
    async with engine(models={"falcon-1b-q5": Behaviour(), "heron-1b-q5": Behaviour()}, store=store) as new:
        beliefs = new.arbiter.autopilot.beliefs
        assert beliefs.expected("work") == {}
        await taken(new, data)
        told = beliefs.expected("work")
        assert told["falcon-1b-q5"].value > 0.7
        assert told["heron-1b-q5"].value < 0.3
        assert told["falcon-1b-q5"].alike.endswith("(not here)")
    async with engine(models={n: Behaviour() for n in (*names, "falcon-1b-q5")}, store=store) as again:
        assert again.arbiter.knowledge.absent("work") == []
        assert again.arbiter.autopilot.beliefs.expected("work")["falcon-1b-q5"].alike in names


async def test_a_name_that_means_another_model_here_gets_nothing() -> None:
    """Equal names with different contents are different models."""
    async with engine() as old:
        await teach(old, "x", 1.0)
        data = await exported(old)
    async with renamed("a") as new:
        new.arbiter.live.registry = replace(
            new.arbiter.live.registry,
            versions={n: replace(v, digest="sha256:else") for n, v in new.arbiter.registry.versions.items()},
        )
        await taken(new, data)
        assert new.arbiter.evidence.stats("work") == {}


# ── what is here wins ─────────────────────────────────────────────────────────────────────────────────────────────────


def strict(threshold: float) -> Task:
    return Task(name="work", criteria=Criteria(quality_threshold=threshold))


async def test_a_task_that_the_configuration_defines_keeps_its_criteria() -> None:
    """Its learnt profile is added all the same, and the report says what differs."""
    async with engine(tasks=(strict(0.9),)) as old:
        await teach(old, "x", 1.0)
        data = await exported(old)
    async with engine(tasks=(strict(0.7),)) as new:
        report = await taken(new, data)
        assert new.arbiter.tasks["work"].criteria.quality_threshold == 0.7
        assert new.arbiter.profile("work").requests == 15
        (kept,) = report["kept"]
        assert kept["what"] == "task work"
        assert "the configuration defines it" in kept["why"]
        assert "quality_threshold 0.7 stays, 0.9 there" in kept["why"]


async def test_a_task_that_is_unknown_here_is_made_and_survives_a_restart() -> None:
    """With its criteria, weights and budgets; what was changed here before stays."""
    async with engine() as old:
        await old.arbiter.put_task({"name": "night", "quality_threshold": 0.8, "energy_per_day_j": 500.0})
        data = await exported(old)
        await old.arbiter.put_task({"name": "night", "quality_threshold": 0.3})
        changed = await taken(old, data)
        assert old.arbiter.tasks["night"].criteria.quality_threshold == 0.3
        assert "it was changed here" in changed["kept"][0]["why"]
    store = MemoryStore()
    async with engine(store=store) as new:
        assert (await taken(new, data))["new"]["tasks"] == 1
        assert new.arbiter.tasks["night"].criteria.quality_threshold == 0.8
        assert new.arbiter.routes.get("night").incumbent is not None
    async with engine(store=store) as again:
        assert again.arbiter.tasks["night"].energy_per_day_j == 500.0


async def test_settings_of_later_arbiters_are_left_alone_and_wrong_ones_refused() -> None:
    """A key that is unknown here costs nothing; a value that can't be is an error, used or not."""
    head = {"arbiter": "9", "made_at": 1.0, "origin": "b" * 16, "machine": HERE}
    made = [line("task", {"task": "new", "settings": {"mood": "good", "max_latency_s": 3.0, "policy": "oracle"}})]
    made.append(line("task", {"task": "other", "settings": {"mood": "good", "max_latency_s": 3.0}}))
    wrong = line("task", {"task": "work", "settings": {"quality_threshold": "high"}})
    async with engine() as new:
        report = await taken(new, again_with(head, made))
        assert new.arbiter.tasks["other"].criteria.max_latency_s == 3.0
        assert "new" not in new.arbiter.tasks
        assert report["kept"] == [{"what": "task new", "why": "no policy is called oracle here"}]
        with pytest.raises(ArchiveInvalid, match="quality_threshold") as caught:
            await taken(new, again_with(head, [wrong]))
        assert caught.value.details == {"line": 2, "field": "settings"}


async def test_what_an_operator_changed_of_a_bundled_task_travels_and_the_constitution_binds_it() -> None:
    """Nobody has defined or changed it here, so the change is taken; unless a rule forbids it, which is told."""
    (sentiment,) = (t for t in bundled_tasks() if t.name == "sentiment")
    async with engine(tasks=(sentiment,)) as old:
        await old.arbiter.put_task({"name": "sentiment", "quality_threshold": 0.9})
        data = await exported(old)
    async with engine(tasks=(sentiment,)) as bound:

        def refuse(before: Task | None, after: Task) -> None:
            raise Unconstitutional("a rule binds it")

        bound.arbiter.imports._check_task = refuse
        report = await taken(bound, data)
        assert report["kept"] == [{"what": "task sentiment", "why": "a rule binds it"}]
        assert bound.arbiter.tasks["sentiment"] == sentiment
    async with engine(tasks=(sentiment,)) as new:
        await taken(new, data)
        assert new.arbiter.tasks["sentiment"].criteria.quality_threshold == 0.9


async def test_an_alias_that_is_set_here_stays_and_others_are_set() -> None:
    """Only to versions that are here."""
    async with engine(models={"a": Behaviour(), "b": Behaviour(), "c": Behaviour()}) as old:
        for alias, version in (("champion", "a"), ("spare", "b"), ("gone", "c")):
            await old.arbiter.alias(alias, version)
        data = await exported(old)
    async with engine() as new:
        await new.arbiter.alias("champion", "b")
        report = await taken(new, data)
        assert new.arbiter.registry.aliases == {"champion": "b", "spare": "b"}
        assert new.store.registry.aliases == {"champion": "b", "spare": "b"}
        assert {k["what"] for k in report["kept"]} == {"alias champion", "alias gone"}


async def test_quiet_hours_are_known_from_an_archive_where_nobody_watched() -> None:
    """The hours of the week travel with the tasks."""
    async with engine() as old:
        week = Traffic()
        for hour in range(168):
            week = week.hour(hour, 100 if hour % 24 == 12 else 1)
        old.arbiter.rush.traffic = week
        data = await exported(old)
    async with engine() as new:
        assert new.arbiter.rush.joined(new.arbiter.rush.traffic).busy(12) is None
        await taken(new, data)
        busy = new.arbiter.rush.joined(new.arbiter.rush.traffic).busy(12)
        assert busy is not None
        assert busy > 2


async def test_nothing_is_registered_loaded_or_swapped() -> None:
    """An archive is knowledge: it runs nothing and routes nothing anew."""
    async with engine(models={"a": Behaviour(), "x": Behaviour()}) as old:
        await teach(old, "x", 1.0, "x")
        data = await exported(old)
    async with engine() as new:
        serving, versions, loads = new.serving(), set(new.arbiter.registry.versions), list(new.provider.loads)
        await taken(new, data)
        assert (new.serving(), set(new.arbiter.registry.versions), new.provider.loads) == (serving, versions, loads)
