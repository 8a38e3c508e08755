"""Grades that are given twice: who gave one may correct it, nobody else replaces it, and a restart knows the same."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from engine_kit import ASK, Engine
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.alarms import Alarm, Signal
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.forgetting import since
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.core.stats import EMPTY, Stats
from arbiter_tui.testing import MemoryStore

FIGURES = ("samples", "successes", "failures", "hits", "misses", "quality", "success_rate", "latency_p50_s", "seen",
           "memory_bytes", "last_at", "energy_j")  # fmt: skip


def figures(stats: Stats) -> dict[str, Any]:
    """All that decisions read; grades without their order, which is that of the day on one side only."""
    plain = {name: rounded(getattr(stats, name)) for name in FIGURES}
    told = {source: [rounded(s) for s in sums] for source, sums in stats.told.items() if max(sums) > 1e-9}
    weights = {source: rounded(w) for source, w in stats.quality_sources.items() if w > 1e-9}
    return {**plain, "told": told, "weights": weights, "grades": sorted(stats.grades)}


def rounded(value: Any) -> Any:
    return round(value, 7) + 0.0 if isinstance(value, float) else value


async def history(e: Engine, chance: random.Random) -> None:
    """Sixty things that clients and others do, in any order."""
    ids: list[str] = []
    for n in range(60):
        match chance.choice(("ask", "report", "report", "feedback", "feedback", "feedback", "twice")):
            case "ask":
                ids.append((await e.arbiter.execute("work", ASK)).id)
            case "report":
                graded = chance.choice((None, None, chance.random()))
                ids.append(f"r{n}")
                await e.arbiter.report([
                    Outcome(id=f"r{n}", task="work", version=chance.choice("ab"), at=e.clock.now(), quality=graded,
                            success=chance.random() < 0.9, latency_s=chance.random(),
                            quality_source=graded and chance.choice(("suite", "verifier", "judge", "feedback")))
                ])  # fmt: skip
            case "feedback" if ids:
                await e.arbiter.feedback(chance.choice(ids), chance.choice((0.0, 0.25, 1.0, chance.random())))
            case "twice" if ids:
                one = chance.choice(ids)
                await asyncio.gather(*(e.arbiter.feedback(one, chance.random()) for _ in range(3)))


@pytest.mark.parametrize("seed", range(25))
async def test_statistics_after_a_restart_are_those_before(seed: int) -> None:
    """Whatever was asked, reported, graded and corrected, also three times at once: memory and store agree."""
    async with Engine() as e:
        await history(e, random.Random(seed))
        await e.arbiter.recorder.flush()
        store = e.store
        before = {version: figures(stats) for version, stats in e.arbiter.evidence.stats("work").items()}
        profile = e.arbiter.evidence.profile("work")
    async with Engine(store=store) as e:
        after = e.arbiter.evidence.stats("work")
        assert {version: figures(stats) for version, stats in after.items()} == before
        again = e.arbiter.evidence.profile("work")
        assert (again.quality_n, again.quality_sum) == (profile.quality_n, pytest.approx(profile.quality_sum))
        graded = [o.quality for o in store.outcomes.values() if o.quality is not None and o.task == "work"]
        assert again.quality_n == len(graded)
        assert again.quality_sum == pytest.approx(sum(graded))


async def test_a_change_that_feedback_told_of_is_the_same_after_a_restart() -> None:
    """Sixty good answers, thirty bad ones, graded later in their order: what the change made untrue is gone, a
    correction does not bring it back, one of what came since counts, and a restart knows all that."""
    async with Engine(drift_min_samples=10) as e:
        store, now = e.store, e.clock.now()
        await e.arbiter.report([Outcome(id=f"r{n}", task="work", version="a", at=now, success=True) for n in range(90)])
        for n in range(90):
            await e.arbiter.feedback(f"r{n}", float(n < 60))
        cut = e.arbiter.evidence.stats("work")["a"]
        assert cut.forgotten >= 55
        assert (cut.quality or 0.0) < 0.2
        await e.arbiter.feedback("r0", 0.75)
        assert e.arbiter.evidence.stats("work")["a"] == cut
        await e.arbiter.feedback("r89", 0.5)
        before = figures(e.arbiter.evidence.stats("work")["a"])
        assert before["quality"] > (cut.quality or 0.0)
    async with Engine(drift_min_samples=10, store=store) as e:
        assert figures(e.arbiter.evidence.stats("work")["a"]) == before
        await e.arbiter.feedback("r89", 0.0)
        assert e.arbiter.evidence.stats("work")["a"].quality == pytest.approx(cut.quality)


async def test_the_newest_feedback_of_an_answer_counts_once() -> None:
    """In the statistics, the answer's record and the reply alike, before a restart and after it."""

    def counted(e: Engine) -> tuple[float | None, int, Any]:
        stats = e.arbiter.evidence.stats("work")["a"]
        return stats.quality, len(stats.grades), pytest.approx(stats.quality_weight)

    async with Engine() as e:
        store: MemoryStore = e.store
        await e.arbiter.report([Outcome(id="r", task="work", version="a", at=e.clock.now(), success=True)])
        for score in (0.0, 1.0, 0.25):
            answered = await e.arbiter.feedback("r", score)
            assert (answered.quality, answered.quality_source) == (score, "feedback")
            assert store.outcomes["r"].quality == score
            assert counted(e) == (pytest.approx(score), 1, 0.6)
    async with Engine(store=store) as e:
        assert counted(e) == (0.25, 1, 0.6)
        await e.arbiter.feedback("r", 0.75)
        assert counted(e) == (pytest.approx(0.75), 1, 0.6)


@pytest.mark.parametrize("source", ["suite", "sentinel", "verifier", "reported", "judge"])
async def test_feedback_replaces_no_grade_of_another_source(source: str) -> None:
    """The reply says what stands; nothing else moves."""
    async with Engine() as e:
        await e.arbiter.report([
            Outcome(id="r", task="work", version="a", at=e.clock.now(), success=True, quality=1.0,
                    quality_source=source)
        ])  # fmt: skip
        before = e.arbiter.evidence.stats("work")["a"]
        answered = await e.arbiter.feedback("r", 0.0, "it is rude")
        assert (answered.quality, answered.quality_source) == (1.0, source)
        assert e.arbiter.evidence.stats("work")["a"] == before
        assert e.store.outcomes["r"].quality == 1.0


grades = st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from(["suite", "feedback", "judge"])), min_size=1)


@given(grades, st.data())
def test_a_correction_is_as_if_it_had_been_said_at_once(said: list[tuple[float, str]], data: st.DataObject) -> None:
    """Of any grade, by its own source: sums, weights and the window are those of the corrected history."""
    at = data.draw(st.integers(0, len(said) - 1))
    better = data.draw(st.floats(0.0, 1.0))
    stats = EMPTY
    for grade, source in said:
        stats = stats.graded(grade, source)
    wanted = EMPTY
    for n, (grade, source) in enumerate(said):
        wanted = wanted.graded(better if n == at else grade, source)
    assert figures(stats.regraded(at, said[at][0], better, said[at][1])) == figures(wanted)
    assert list(stats.regraded(at, said[at][0], better, said[at][1]).grades) == list(wanted.grades)


def test_what_a_change_made_untrue_is_not_brought_back_by_a_correction() -> None:
    """Sixty good grades, thirty bad ones, an alarm: a good one is corrected, and nothing moves; a bad one is, and it
    does."""
    stats = EMPTY
    for n in range(90):
        stats = stats.graded(float(n < 60), "feedback")
    kept = since(stats, Alarm(signal=Signal.QUALITY, before=1.0, after=0.0, since=30, samples=90))
    assert (kept.seen, kept.forgotten, len(kept.grades)) == (90, 60, 30)
    assert kept.regraded(59, 1.0, 0.0, "feedback") == kept
    assert kept.regraded(60, 0.0, 1.0, "feedback").hits == pytest.approx(0.6)
    later = kept.graded(1.0, "feedback")
    assert later.regraded(90, 1.0, 0.0, "feedback").hits == pytest.approx(0.0)
    assert later.regraded(91, 1.0, 0.0, "feedback") == later, "no such grade"


def test_what_another_folder_taught_moves_no_place() -> None:
    """Grades that lie behind those of here are nobody's to correct, and those of here still are."""
    older, mine = EMPTY, EMPTY
    for _ in range(12):
        older = older.graded(1.0, "suite")
    for grade in (0.0, 0.25, 0.5):
        mine = mine.graded(grade, "feedback")
    both = mine.behind(older).regraded(1, 0.25, 1.0, "feedback")
    assert [grade for grade, _ in both.grades][-3:] == [0.0, 1.0, 0.5]
    assert both.told == {"suite": (12.0, 0.0), "feedback": (pytest.approx(0.9), pytest.approx(0.9))}
    kept = since(both, Alarm(signal=Signal.QUALITY, before=1.0, after=0.5, since=5, samples=15))
    assert kept.regraded(2, 0.5, 1.0, "feedback").hits == pytest.approx(kept.hits + 0.3)


def test_grades_beyond_the_window_are_corrected_in_the_sums() -> None:
    """The 200 newest are kept one by one; older ones live in the sums alone."""
    stats = EMPTY
    for _ in range(250):
        stats = stats.graded(0.0, "suite")
    assert stats.regraded(0, 0.0, 1.0, "suite").hits == 1.0
    assert stats.regraded(0, 0.0, 1.0, "suite").grades == stats.grades
    assert TaskProfile(task="t").graded(0.25).regraded(0.25, 0.75).quality_mean == 0.75
