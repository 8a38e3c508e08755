"""The laws of utility, the Pareto set, P(best) and the leaderboard."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from core_cases import MIB, NOW, boards, fractions, measured, names, statistics, tasks, version
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.scoring import (
    COLD_UTILITY,
    MIN_SAMPLES,
    Scale,
    Scored,
    dominates,
    leaderboard,
    pareto_front,
    prior_of,
    probability_best,
    probability_better,
    score,
)
from arbiter_tui.core.stats import EMPTY, Stats
from arbiter_tui.core.tasks import Criteria, Preference, Task, Weights

TASK = Task(name="t")
DAY = 86_400.0


def board(task: Task, stats: Mapping[str, Stats]) -> dict[str, float]:
    rows = leaderboard(task, [version(name) for name in stats], stats, now=NOW)
    return {row.version: row.utility or 0.0 for row in rows}


def utility(stats: Stats, criteria: Criteria | None = None) -> float:
    return score(Scale.of(criteria or Criteria(), NOW), version("a"), stats, {}).utility


@given(tasks, boards, names, statistics)
def test_adding_a_model_never_reorders_the_others(
    task: Task, stats: dict[str, Stats], name: str, newcomer: Stats
) -> None:
    """Utilities are normalised by the task's fixed budgets: the others keep their utility and their order."""
    others = {n: s for n, s in stats.items() if n != name}
    before, after = board(task, others), board(task, {**others, name: newcomer})
    assert [n for n in after if n != name] == list(before)
    assert {n: u for n, u in after.items() if n != name} == before


@given(tasks, boards)
def test_the_order_of_arrival_decides_nothing(task: Task, stats: dict[str, Stats]) -> None:
    """The same measurements give the same table, however the versions are listed."""
    backwards = dict(reversed(list(stats.items())))
    assert list(board(task, stats)) == list(board(task, backwards))


@given(tasks, boards)
def test_rows_are_ranked_and_bounded(task: Task, stats: dict[str, Stats]) -> None:
    """Ranks count from 1 with falling utility, which lies within its interval; P(best) sums to 1."""
    rows = leaderboard(task, [version(name) for name in stats], stats, now=NOW)
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    utilities = [row.utility or 0.0 for row in rows]
    assert utilities == sorted(utilities, reverse=True)
    for row in rows:
        assert row.utility is not None
        assert row.utility_low is not None
        assert row.utility_high is not None
        assert -1e-9 <= row.utility_low <= row.utility + 1e-9
        assert row.utility <= row.utility_high + 1e-9 <= 1.0 + 2e-9
    assert math.fsum(row.p_best or 0.0 for row in rows) == pytest.approx(1.0)


@given(tasks, statistics)
def test_fewer_than_ten_samples_score_a_half(task: Task, stats: Stats) -> None:
    """Cold start is .5 whatever was seen, and only cold start."""
    found = score(Scale.of(task.criteria, NOW), version("a"), stats, task.priors)
    if stats.samples < MIN_SAMPLES:
        assert found.utility == COLD_UTILITY
    cold = score(Scale.of(task.criteria, NOW), version("a"), EMPTY, task.priors)
    assert cold.utility == COLD_UTILITY


def test_the_utility_is_the_specified_sum() -> None:
    """.4 quality + .3 latency + .1 memory + .1 reliability + .1 recency, on known figures."""
    criteria = Criteria(latency_budget_s=4.0, memory_budget_bytes=400 * MIB)
    stats = measured(100, quality=0.8, latency_s=1.0, memory=100 * MIB, failed=10, at=NOW - 7 * DAY)
    quality = (80 + 1) / (100 + 2)
    assert utility(stats, criteria) == pytest.approx(0.4 * quality + 0.3 * 0.75 + 0.1 * 0.75 + 0.1 * 0.9 + 0.1 * 0.5)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (measured(quality=0.9), measured(quality=0.6)),
        (measured(latency_s=0.5), measured(latency_s=2.0)),
        (measured(memory=10 * MIB), measured(memory=1000 * MIB)),
        (measured(failed=0), measured(failed=5)),
        (measured(at=NOW), measured(at=NOW - 30 * DAY)),
    ],
)
def test_better_in_one_dimension_is_better(better: Stats, worse: Stats) -> None:
    """Each of the five shares moves the utility in the right direction."""
    assert utility(better) > utility(worse)


def test_beyond_the_budget_a_share_is_zero_not_negative() -> None:
    """A latency or a size above the budget costs the whole share and no more."""
    assert utility(measured(latency_s=10.0)) == utility(measured(latency_s=99.0))
    assert utility(measured(memory=4 * 1024**3)) == utility(measured(memory=9 * 1024**3))


def test_an_unknown_dimension_is_neutral_and_uncertain() -> None:
    """Unmeasured latency and memory count a half with the uncertainty of not knowing."""
    scale = Scale.of(Criteria(), NOW)
    known = score(scale, version("a"), measured(latency_s=5.0, memory=1024**3), {})
    unknown = score(scale, version("a"), measured(latency_s=None, memory=None), {})
    assert unknown.utility == pytest.approx(known.utility)
    assert unknown.sd > known.sd


@pytest.mark.parametrize(
    ("preference", "winner"),
    [(Preference.FAST, "fast"), (Preference.QUALITY, "good"), (Preference.LOW_MEMORY, "small")],
)
def test_a_preference_decides_between_specialists(preference: Preference, winner: str) -> None:
    """Each preference makes its own specialist the first of three that are otherwise close."""
    weights = Weights(quality=0.34, latency=0.33, memory=0.33, reliability=0.0, recency=0.0)
    criteria = Criteria(weights=weights, preference=preference, latency_budget_s=1.0, memory_budget_bytes=1000 * MIB)
    stats = {
        "fast": measured(quality=0.5, latency_s=0.1, memory=500 * MIB),
        "good": measured(quality=0.9, latency_s=0.5, memory=500 * MIB),
        "small": measured(quality=0.5, latency_s=0.5, memory=100 * MIB),
    }
    assert next(iter(board(replace(TASK, criteria=criteria), stats))) == winner


def test_priors_break_ties_and_fade_with_evidence() -> None:
    """A prior orders the unmeasured (by version, model or family); forty grades outweigh it."""
    task = Task(name="t", priors={"good": 0.9, "clan": 0.7})
    versions = [version("a"), version("b", model="good"), version("c", family="clan")]
    assert [row.version for row in leaderboard(task, versions, {}, now=NOW)] == ["b", "c", "a"]
    assert [prior_of(v, task.priors) for v in versions] == [0.5, 0.9, 0.7]
    stats = {"a": measured(quality=0.9), "b": measured(quality=0.6)}
    assert leaderboard(task, versions, stats, now=NOW)[0].version == "a"


@given(st.dictionaries(names, statistics, max_size=8))
def test_the_pareto_front_is_exactly_the_undominated(stats: dict[str, Stats]) -> None:
    """Nobody on the front is dominated; everybody measured who is off it is dominated by somebody on it."""
    front = pareto_front(stats)
    known = {n: s.dimensions for n, s in stats.items() if s.samples > 0}
    for name, mine in known.items():
        beaten = any(dominates(known[other], mine) for other in front)
        assert beaten != (name in front)
    assert front <= known.keys()
    assert bool(front) == bool(known)


@given(st.tuples(*[st.none() | fractions] * 4), st.tuples(*[st.none() | fractions] * 4))
def test_domination_is_one_sided(a: tuple[float | None, ...], b: tuple[float | None, ...]) -> None:
    """Nothing dominates itself, and never two each other."""
    assert not dominates(a, a)  # type: ignore[arg-type]
    assert not (dominates(a, b) and dominates(b, a))  # type: ignore[arg-type]


def scored(name: str, utility: float, sd: float) -> Scored:
    return Scored(name, EMPTY, utility, sd, 0.5)


@given(st.lists(st.tuples(fractions, st.floats(0.0, 0.3)), min_size=2, max_size=2))
def test_p_best_of_two_is_the_closed_form(pair: list[tuple[float, float]]) -> None:
    """For two the integral has a closed form: P(a normal difference is above 0)."""
    a, b = scored("a", *pair[0]), scored("b", *pair[1])
    sure = [s._replace(sd=max(s.sd, 1e-4)) for s in (a, b)]
    assert probability_best([a, b])["a"] == pytest.approx(probability_better(*sure), abs=0.02)


@given(st.lists(st.tuples(fractions, st.floats(0.001, 0.3)), min_size=1, max_size=20))
def test_p_best_is_a_distribution_that_follows_utility(given_: list[tuple[float, float]]) -> None:
    """It sums to 1, and of two with the same uncertainty the better one is likelier the best."""
    many = [scored(f"m{i}", *pair) for i, pair in enumerate(given_)]
    shares = probability_best(many)
    assert math.fsum(shares.values()) == pytest.approx(1.0)
    for a, b in itertools.permutations(many, 2):
        if a.sd == b.sd and a.utility > b.utility:
            assert shares[a.version] >= shares[b.version] - 1e-9


def test_p_best_of_equals_is_equal_and_of_nobody_is_nothing() -> None:
    """Twenty identical versions share it evenly; an empty table has none."""
    shares = probability_best([scored(f"m{i}", 0.6, 0.05) for i in range(20)])
    assert max(shares.values()) == pytest.approx(0.05, abs=1e-3)
    assert min(shares.values()) == pytest.approx(0.05, abs=1e-3)
    assert probability_best([]) == {}
    assert leaderboard(TASK, [], {}, now=NOW) == ()


def test_weights_that_say_nothing_are_the_defaults() -> None:
    """All-zero or negative weights fall back to the specified ones; any others sum to 1."""
    nothing = Weights(quality=0.0, latency=-1.0, memory=0.0, reliability=0.0, recency=0.0)
    assert nothing.normalised() == Weights()


@given(st.builds(Weights, quality=fractions, latency=fractions, memory=fractions), st.sampled_from([None, *Preference]))
def test_weights_sum_to_one_under_every_preference(weights: Weights, preference: Preference | None) -> None:
    """A preference moves shares, never the sum; the preferred share does not shrink."""
    plain, chosen = weights.normalised(), weights.preferring(preference)
    names_ = Weights.__dataclass_fields__
    assert math.fsum(getattr(chosen, n) for n in names_) == pytest.approx(1.0)
    grown = {Preference.FAST: "latency", Preference.QUALITY: "quality", Preference.LOW_MEMORY: "memory"}
    if preference is not None:
        name = grown[preference]
        assert getattr(chosen, name) >= getattr(plain, name) - 1e-9


@given(statistics, st.lists(tasks, min_size=2, max_size=20))
def test_what_is_remembered_never_changes_a_score(stats: Stats, many: list[Task]) -> None:
    """Figures that have been scored by many scales score as untouched ones do, and remember a bounded number."""
    for task in [*many, *many]:
        scale = Scale.of(task.criteria, NOW)
        fresh = score(scale, version("m0"), replace(stats), task.priors)
        assert score(scale, version("m0"), stats, task.priors) == fresh
    assert len(stats.settled) <= 16
