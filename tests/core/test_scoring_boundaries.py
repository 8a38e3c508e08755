"""Scoring's figures one by one: each share, each uncertainty, each constant of the specification, each tie."""

from __future__ import annotations

import math
from typing import Any

import pytest
from core_cases import MIB, NOW, measured, outcome, version

from arbiter_tui.core.scoring import (
    MIN_SAMPLES,
    SETTLED_SCALES,
    UNIFORM_SD,
    Scale,
    Scored,
    Z,
    dominates,
    leaderboard,
    prior_of,
    probability_best,
    probability_better,
    row,
    score,
)
from arbiter_tui.core.stats import EMPTY, Dimensions, Stats, beta_sd
from arbiter_tui.core.tasks import Criteria, Task, Weights

NOTHING = {"quality": 0.0, "latency": 0.0, "memory": 0.0, "reliability": 0.0, "recency": 0.0}
WEEK = 7 * 86_400.0


def only(share: str, stats: Stats, **budgets: Any) -> Scored:
    """The score where one share has all the weight: that share itself, and its own uncertainty."""
    criteria = Criteria(weights=Weights(**{**NOTHING, share: 1.0}), **budgets)
    return score(Scale.of(criteria, NOW), version("a", parallel=3), stats, {"a": 0.75})


def with_figures(n: int = 10, **known: Any) -> Stats:
    return Stats(samples=n, **known)


# --- cold start -----------------------------------------------------------------------------------------------------


def test_ten_samples_end_the_cold_start() -> None:
    """Nine score .5 with a wide uncertainty; with ten the figures speak."""
    assert MIN_SAMPLES == 10
    nine, ten = only("latency", with_figures(9, latencies=(1.0,))), only("latency", with_figures(10, latencies=(1.0,)))
    assert (nine.utility, nine.sd) == (0.5, 0.2)
    assert ten.utility == 0.9
    assert (nine.prior, nine.parallel) == (ten.prior, ten.parallel) == (0.75, 3)


# --- the five shares ------------------------------------------------------------------------------------------------


def test_quality_is_the_mean_with_a_prior_worth_two_grades() -> None:
    """6 hits and 2 misses with a prior of .75: 7.5 of 10."""
    found = only("quality", with_figures(hits=6.0, misses=2.0))
    assert found.utility == 0.75
    assert found.sd == pytest.approx(beta_sd(7.5, 2.5))


@pytest.mark.parametrize(("budget", "seconds", "share"), [(4.0, 1.0, 0.75), (0.5, 0.25, 0.5), (1.0, 2.0, 0.0)])
def test_latency_is_the_share_of_the_budget_that_is_left(budget: float, seconds: float, share: float) -> None:
    """From all of it at no time to none at the budget, however small the budget is."""
    assert only("latency", with_figures(latencies=(seconds,) * 9), latency_budget_s=budget).utility == share


@pytest.mark.parametrize(("budget", "size", "share"), [(400, 100, 0.75), (1, 1, 0.0), (2, 1, 0.5)])
def test_memory_is_the_share_of_the_budget_that_is_left(budget: int, size: int, share: float) -> None:
    """Down to a budget of one byte; a measured size has no uncertainty."""
    found = only("memory", with_figures(memory_bytes=size), memory_budget_bytes=budget)
    assert (found.utility, found.sd) == (share, 0.0)


def test_reliability_is_the_success_rate() -> None:
    """All failed is 0, not unknown."""
    assert only("reliability", with_figures(results=(False,) * 10)).utility == 0.0
    some = with_figures(results=(True,) * 8 + (False,) * 2)
    assert (only("reliability", some).utility, only("reliability", some).sd) == (0.8, beta_sd(9.0, 3.0))


@pytest.mark.parametrize(
    ("last", "share"), [(NOW, 1.0), (NOW + 9, 1.0), (NOW - WEEK, 0.5), (NOW - 2 * WEEK, 0.25), (None, 0.0)]
)
def test_recency_halves_each_week(last: float | None, share: float) -> None:
    """1 now, exactly a half after seven days, nothing without evidence; a clock that went back takes nothing."""
    assert only("recency", with_figures(last_at=last)).utility == share


# --- the uncertainty ------------------------------------------------------------------------------------------------


def test_what_is_unknown_has_the_uncertainty_of_a_uniform_share() -> None:
    """The standard deviation of a uniform figure in 0..1, the root of a twelfth, for latency and memory."""
    assert pytest.approx(math.sqrt(1 / 12)) == UNIFORM_SD
    assert only("latency", with_figures()).sd == only("memory", with_figures()).sd == UNIFORM_SD
    assert only("latency", with_figures(latencies=(1.0, 2.0, 3.0))).sd == UNIFORM_SD


def test_the_error_of_the_median_is_a_share_of_the_budget() -> None:
    """Seconds of error over seconds of budget, and never more than of a figure of which nothing is known."""
    stats = with_figures(latencies=tuple(1.0 + i / 10 for i in range(9)))
    error = stats.latency_error_s
    assert error is not None
    assert only("latency", stats, latency_budget_s=4.0).sd == pytest.approx(error / 4.0)
    assert only("latency", stats, latency_budget_s=0.1).sd == UNIFORM_SD


def test_independent_uncertainties_add_as_squares() -> None:
    """Each share's standard deviation by its own weight; recency is certain."""
    stats = with_figures(
        hits=6.0, misses=2.0, latencies=tuple(1.0 + i / 10 for i in range(9)), results=(True,) * 8 + (False,) * 2
    )
    found = score(Scale.of(Criteria(latency_budget_s=4.0), NOW), version("a"), stats, {"a": 0.75})
    parts = [
        0.4 * only("quality", stats).sd,
        0.3 * only("latency", stats, latency_budget_s=4.0).sd,
        0.1 * UNIFORM_SD,
        0.1 * only("reliability", stats).sd,
    ]
    assert found.sd == pytest.approx(math.sqrt(sum(part * part for part in parts)))
    shown = row(found, 1, True)
    assert shown.utility_low == pytest.approx(found.utility - Z * found.sd)
    assert shown.utility_high == pytest.approx(found.utility + Z * found.sd)


def test_bounds_stay_within_0_and_1() -> None:
    """However uncertain: a utility is a share."""
    sure = row(Scored("a", EMPTY, 0.9, 0.2, 0.5), 1, True)
    poor = row(Scored("a", EMPTY, 0.1, 0.2, 0.5), 1, True)
    assert (sure.utility_high, poor.utility_low) == (1.0, 0.0)


# --- what is remembered ---------------------------------------------------------------------------------------------


def test_a_score_is_worked_out_once_for_its_figures() -> None:
    """The second selection reads what the first has worked out; a 17th scale starts the memory anew."""
    stats, scales = measured(40), [Scale.of(Criteria(latency_budget_s=1.0 + i), NOW) for i in range(17)]
    first = score(scales[0], version("a"), stats, {})
    (key,) = stats.settled
    stats.settled[key] = (0.25, 0.125)
    again = score(scales[0], version("a"), stats, {})
    assert again.sd == 0.125
    assert again.utility == pytest.approx(0.25 + 0.1)
    assert again != first
    assert SETTLED_SCALES == 16
    for scale in scales[1:16]:
        score(scale, version("a"), stats, {})
    assert len(stats.settled) == 16
    score(scales[16], version("a"), stats, {})
    assert len(stats.settled) == 1


# --- order and priors -----------------------------------------------------------------------------------------------


def test_ties_go_to_the_prior_then_to_whoever_serves_more_at_once_then_to_the_name() -> None:
    """Utility, prior, parallel requests, name: in that order."""
    many = [
        Scored("a", EMPTY, 0.5, 0.1, 0.5),
        Scored("b", EMPTY, 0.5, 0.1, 0.5, 4),
        Scored("c", EMPTY, 0.5, 0.1, 0.5, 4),
        Scored("d", EMPTY, 0.5, 0.1, 0.9),
        Scored("e", EMPTY, 0.6, 0.1, 0.1),
    ]
    assert [s.version for s in sorted(many, key=lambda s: s.order)] == ["e", "d", "b", "c", "a"]
    assert many[0].parallel == 1


@pytest.mark.parametrize(("given", "used"), [(1.5, 1.0), (-0.5, 0.0), (1.0, 1.0), (0.25, 0.25)])
def test_a_prior_is_a_share(given: float, used: float) -> None:
    """A prior beyond 0..1 is cut, so that it can't make a quality of more than 1."""
    assert prior_of(version("a"), {"a": given}) == used


# --- domination -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        ((0.9, -1.0, -5.0, 1.0), (0.8, -2.0, -6.0, 0.9), True),
        ((0.9, -1.0, -5.0, 1.0), (0.9, -1.0, -5.0, 0.9), True),
        ((0.9, -1.0, -5.0, 1.0), (0.9, -1.0, -5.0, 1.0), False),
        ((0.9, -1.0, -5.0, 1.0), (None, -1.0, None, 0.9), True),
        ((0.9, -1.0, -5.0, 0.8), (None, -1.5, -6.0, 0.9), False),
        ((None, -1.0, -5.0, 1.0), (0.8, -2.0, -6.0, 0.9), False),
        ((0.9, -1.0, -5.0, 1.0), (None, None, None, None), False),
        ((0.9, -2.0, -5.0, 1.0), (0.8, -1.0, -6.0, 0.9), False),
    ],
)
def test_domination(a: Dimensions, b: Dimensions, found: bool) -> None:
    """As good wherever the other is known, and better somewhere; what the other lacks is passed over."""
    assert dominates(a, b) is found


# --- chances --------------------------------------------------------------------------------------------------------


def best_by_integration(many: list[Scored], steps: int = 4000) -> list[float]:
    """P(best) from the density itself, on a fine and even grid."""
    low = min(s.utility - 6 * s.sd for s in many)
    high = max(s.utility + 6 * s.sd for s in many)
    shares = [0.0] * len(many)
    for step in range(steps):
        x = low + (step + 0.5) * (high - low) / steps
        below = [0.5 * math.erfc((s.utility - x) / s.sd / math.sqrt(2)) for s in many]
        for i, s in enumerate(many):
            others = math.prod(b for j, b in enumerate(below) if j != i)
            shares[i] += math.exp(-0.5 * ((x - s.utility) / s.sd) ** 2) / s.sd * others
    return [share / sum(shares) for share in shares]


@pytest.mark.parametrize(
    ("figures", "within"),
    [
        ([(0.6, 0.1), (0.5, 0.05)], 5e-4),
        ([(0.6, 0.02), (0.55, 0.2), (0.4, 0.1)], 5e-4),
        ([(0.40 + i * 0.01, 0.03) for i in range(20)], 5e-4),
        ([(0.50 + i * 0.001, 0.02) for i in range(18)] + [(0.45, 0.15), (0.65, 0.04)], 5e-4),
        ([(0.55, 0.01)] * 10 + [(0.5, 0.1)] * 10, 5e-3),
    ],
)
def test_p_best_is_the_integral(figures: list[tuple[float, float]], within: float) -> None:
    """Against a brute integration of the densities, for few and for many, narrow and wide.

    The grid follows the eight that lead: where ten wide ones lead and ten narrow ones lie among them it is coarser.
    """
    many = [Scored(f"m{i}", EMPTY, mean, sd, 0.5) for i, (mean, sd) in enumerate(figures)]
    found = probability_best(many)
    assert [found[s.version] for s in many] == pytest.approx(best_by_integration(many), abs=within)


def test_no_chance_is_below_nothing() -> None:
    """Whoever has no chance against twenty better ones has one of about 0, never less."""
    many = [Scored(f"m{i}", EMPTY, 1.0, 0.1, 0.5) for i in range(20)] + [Scored("poor", EMPTY, 0.2, 0.1, 0.5)]
    assert 0.0 <= probability_best(many)["poor"] < 1e-9


def test_the_chance_of_being_better_is_the_normal_distributions() -> None:
    """One standard deviation of lead is .8413; none is a half; certainty needs no uncertainty."""
    a, b = Scored("a", EMPTY, 0.55, 0.03, 0.5), Scored("b", EMPTY, 0.50, 0.04, 0.5)
    assert probability_better(a, b) == pytest.approx(0.841344746)
    assert probability_better(b, a) == pytest.approx(1 - 0.841344746)
    assert probability_better(a, a) == 0.5
    assert probability_better(a._replace(sd=0.0), b._replace(sd=0.0)) == 1.0


# --- the rows -------------------------------------------------------------------------------------------------------


def test_a_row_shows_what_was_measured() -> None:
    """Each column is the statistics' own figure, and the mark is the Pareto set's."""
    stats = Stats()
    for i in range(20):
        seconds = 1.0 + (i % 5) / 10
        stats = stats.add(
            outcome(i, latency_s=seconds, memory_bytes=9 * MIB, energy_j=3.0, quality=0.5, quality_source="judge")
        )
    board = leaderboard(Task(name="t"), [version("a"), version("worse")], {"a": stats, "worse": EMPTY}, now=NOW)
    first = next(r for r in board if r.version == "a")
    assert (first.quality, first.quality_source, first.samples) == (0.5, "judge", 20)
    assert (first.latency_p50_s, first.latency_p95_s) == (stats.latency_p50_s, stats.latency_p95_s)
    assert (first.latency_p50_s, first.latency_p95_s) == pytest.approx((1.2, 1.4), rel=4e-3)
    assert (first.memory_bytes, first.energy_j, first.success_rate) == (9 * MIB, 3.0, 1.0)
    assert {r.version: r.on_pareto_front for r in board} == {"a": True, "worse": False}
    assert {r.version: r.p_best for r in board} == probability_best(
        [score(Scale.of(Criteria(), NOW), version(r.version), stats if r is first else EMPTY, {}) for r in board]
    )
