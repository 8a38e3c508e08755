"""The laws of who is selected, and of the reasons given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_cases import MIB, NOW, boards, measured, tasks, version
from hypothesis import given

from arbiter_tui.core.registry import Lifecycle, ModelVersion
from arbiter_tui.core.scoring import MIN_SAMPLES, Scale, dominates, score
from arbiter_tui.core.selection import Selection, contenders, disqualified, mib, select, share
from arbiter_tui.core.stats import EMPTY, Stats
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.errors import NoQualifyingModel

TASK = Task(name="t")


def chosen(stats: dict[str, Stats], task: Task = TASK, **asked: Any) -> Selection:
    return select(task, [version(name) for name in stats], stats, now=NOW, **asked)


@given(tasks, boards)
def test_whoever_is_selected_qualifies_or_nobody_does(task: Task, stats: dict[str, Stats]) -> None:
    """Primary and fallback qualify and differ; otherwise the error names each version's reason, all of them."""
    versions = [version(name) for name in stats]
    reasons = {v.version: disqualified(v, task.criteria, stats[v.version]) for v in versions}
    if None not in reasons.values():
        with pytest.raises(NoQualifyingModel) as caught:
            select(task, versions, stats, now=NOW)
        assert caught.value.details["reasons"] == reasons
        assert len(caught.value.details["why"]) == len(reasons)
        return
    found = select(task, versions, stats, now=NOW)
    assert reasons[found.primary] is None
    assert found.fallback is None or (reasons[found.fallback] is None and found.fallback != found.primary)
    assert {row.version for row in found.scores} == {v for v, reason in reasons.items() if reason is None}
    assert (found.fallback is None) == (len(found.scores) == 1)
    assert 0.0 <= found.confidence <= 1.0


@given(boards)
def test_a_dominated_version_is_never_chosen(stats: dict[str, Stats]) -> None:
    """Nobody measured is better than the primary in every known dimension, unless the floor leaves nothing else."""
    found = chosen(stats)
    serving = stats[found.primary]
    if serving.samples >= MIN_SAMPLES:
        rivals = [s for s in stats.values() if s.samples >= MIN_SAMPLES]
        ranked = found.ranked
        open_ones = [s for s in ranked if not any(dominates(o.dimensions, s.stats.dimensions) for o in rivals)]
        highest = max(s.stats.quality_interval[0] for s in ranked)
        if any(s.stats.quality_interval[1] >= 0.7 * highest for s in open_ones):
            assert not any(dominates(o.dimensions, serving.dimensions) for o in rivals)


def test_the_best_measured_version_is_primary_and_the_next_is_fallback() -> None:
    """Clear evidence: order by quality, high confidence, and reasons that carry the figures."""
    found = chosen({"a": measured(quality=0.4), "b": measured(200, quality=0.9), "c": measured(quality=0.6)})
    assert (found.primary, found.fallback) == ("b", "c")
    assert found.confidence > 0.9
    text = " ".join(found.reasoning)
    assert "3 of 3 versions qualify" in text
    assert "quality .90 (suite)" in text
    assert "200 samples" in text
    assert [row.rank for row in found.scores] == [1, 2, 3]
    shares = {row.version: row.p_best for row in found.scores}
    assert sum(p for p in shares.values() if p is not None) == pytest.approx(1.0)
    assert max(shares, key=lambda v: shares[v] or 0.0) == "b"
    assert found.as_dict()["primary"] == "b"
    assert found.scores is found.scores


def test_recency_alone_lets_nobody_win() -> None:
    """Worse in every measured dimension loses, although its evidence is fresher and its utility higher."""
    old = measured(100, quality=0.82, latency_s=0.98, memory=99 * MIB, at=NOW - 60 * 86_400)
    fresh = measured(100, quality=0.80, latency_s=1.0, memory=100 * MIB, at=NOW)
    found = chosen({"old": old, "fresh": fresh})
    assert found.scores[0].version == "fresh"
    assert (found.primary, found.fallback) == ("old", "fresh")
    assert "ahead, but worse" in " ".join(found.reasoning)


def test_a_fast_fool_stays_below_the_quality_floor() -> None:
    """An instant model with credibly far lower quality does not win by speed alone."""
    task = Task(name="t", criteria=Criteria(latency_budget_s=2.0))
    stats = {
        "fool": measured(200, quality=0.1, latency_s=0.01, memory=MIB),
        "good": measured(200, quality=0.9, latency_s=1.9, memory=2000 * MIB),
    }
    found = chosen(stats, task)
    assert found.scores[0].version == "fool"
    assert found.primary == "good"


def test_without_evidence_the_prior_chooses_and_confidence_is_low() -> None:
    """Cold start: all score .5, the bundled prior decides, and nothing is claimed."""
    task = Task(name="t", priors={"b": 0.9})
    found = chosen({"a": EMPTY, "b": EMPTY}, task)
    assert found.primary == "b"
    assert found.confidence == 0.5
    assert "bundled prior of .90" in " ".join(found.reasoning)
    alone = chosen({"a": EMPTY})
    assert (alone.fallback, alone.confidence) == (None, 0.5)
    assert chosen({"a": measured()}).confidence == 1.0


@pytest.mark.parametrize(
    ("changes", "criteria", "stats", "limits", "reason"),
    [
        ({"lifecycle": Lifecycle.DRAFT}, {}, EMPTY, {}, "is draft, not active"),
        ({}, {"capabilities": frozenset({"code", "vision"})}, EMPTY, {}, "lacks code, vision"),
        ({"hardware": "cuda"}, {}, EMPTY, {}, "needs cuda; this machine has cpu"),
        ({"hardware": "cuda"}, {}, EMPTY, {"hardware": frozenset()}, "needs cuda; this machine has nothing known"),
        ({}, {"hardware": "ane"}, EMPTY, {}, "runs on cpu, ane is asked for"),
        ({"context": 512}, {"min_context": 1024}, EMPTY, {}, "context of 512 tokens, 1024 needed"),
        (
            {"file_bytes": 9 * MIB},
            {},
            EMPTY,
            {"memory_limit": 8 * MIB},
            "needs 9 MiB, more than the pool's whole budget of 8 MiB",
        ),
        ({"file_bytes": 9 * MIB}, {"max_memory_bytes": 8 * MIB}, EMPTY, {}, "needs 9 MiB, at most 8 MiB asked for"),
        ({}, {"max_memory_bytes": 8 * MIB}, measured(1), {}, "needs 100 MiB, at most 8 MiB asked for"),
        ({}, {"max_latency_s": 0.5}, measured(), {}, "median latency 1 s, at most 0.5 s asked for"),
        ({}, {"quality_threshold": 0.9}, measured(), {}, "quality .80, at least .90 asked for"),
    ],
)
def test_each_criterion_refuses_with_its_figures(
    changes: dict[str, Any], criteria: dict[str, Any], stats: Stats, limits: dict[str, Any], reason: str
) -> None:
    """One reason per criterion, and the typed error carries it."""
    model = version("a", **changes)
    assert disqualified(model, Criteria(**criteria), stats, **limits) == reason
    task = Task(name="t", criteria=Criteria(**criteria))
    with pytest.raises(NoQualifyingModel, match="nothing qualifies for t") as caught:
        select(task, [model], {"a": stats}, now=NOW, **limits)
    assert caught.value.details["reasons"] == {"a": reason}
    assert caught.value.details["why"][0]["rule"] == "qualifies"


@pytest.mark.parametrize(
    ("criteria", "stats"),
    [
        ({"min_context": 1024}, EMPTY),
        ({"max_memory_bytes": MIB}, measured(memory=None)),
        ({"max_latency_s": 0.1}, measured(MIN_SAMPLES - 1, memory=None)),
        ({"quality_threshold": 0.99}, measured(MIN_SAMPLES - 1, memory=None)),
        ({"quality_threshold": 0.99}, measured(quality=None, memory=None)),
        ({"max_latency_s": 0.1}, measured(latency_s=None, memory=None)),
    ],
)
def test_what_is_unknown_disqualifies_nobody(criteria: dict[str, Any], stats: Stats) -> None:
    """No figure, or too few samples for one: the version stays in."""
    assert disqualified(version("a"), Criteria(**criteria), stats, memory_limit=MIB) is None


def test_asked_criteria_replace_the_tasks_own() -> None:
    """A selection may ask for more than the task does."""
    models = [version("a"), version("b", capabilities=frozenset({"text-generation", "code"}))]
    stats = {"a": measured(quality=0.9), "b": measured(quality=0.7)}
    assert select(TASK, models, stats, now=NOW).primary == "a"
    asked = Criteria(capabilities=frozenset({"code"}))
    found = select(TASK, models, stats, now=NOW, criteria=asked)
    assert (found.primary, found.disqualified) == ("b", {"a": "lacks code"})


def test_nobody_registered_says_so_and_many_reasons_are_cut() -> None:
    """The sentence stays readable, the details stay whole."""
    with pytest.raises(NoQualifyingModel, match="no model is registered"):
        select(TASK, [], {}, now=NOW)
    drafts = [version(f"m{i}", lifecycle=Lifecycle.DRAFT) for i in range(9)]
    with pytest.raises(NoQualifyingModel, match=r"…$") as caught:
        select(TASK, drafts, {}, now=NOW)
    assert len(caught.value.details["reasons"]) == 9


def test_the_floor_never_empties_the_field() -> None:
    """When everybody is dominated or below the floor the best utility serves: a poor answer beats none."""
    best = score(Scale.of(Criteria(), NOW), version("a"), measured(), {})
    sole = best._replace(stats=replace(measured(200, quality=0.0), samples=50))
    rival = best._replace(version="b", stats=measured(200, quality=1.0, latency_s=2.0))
    assert contenders([sole]) == [sole]
    assert contenders([sole, rival]) == [rival]
    assert contenders([]) == []


def test_figures_are_written_for_people() -> None:
    """No leading zero, two decimals, MiB."""
    assert [share(v) for v in (0.854, 1.0, -0.05, 0.0)] == [".85", "1.00", "-.05", ".00"]
    assert mib(3 * MIB) == "3 MiB"


def test_selection_reads_only_what_it_was_given() -> None:
    """The same inputs give the same selection, and versions without measurements are served by EMPTY."""
    models: list[ModelVersion] = [version("b"), version("a")]
    assert select(TASK, models, {}, now=NOW) == select(TASK, models, {}, now=NOW)
    assert select(TASK, models, {}, now=NOW).primary == "a"
