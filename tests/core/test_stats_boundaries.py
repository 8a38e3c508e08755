"""The statistics' figures one by one: trust, windows, intervals, errors, and what is kept after a change."""

from __future__ import annotations

import math

import pytest
from core_cases import outcome

from arbiter_tui.core.stats import EMPTY, SUCCESS_WINDOW, TRUST, UNKNOWN_TRUST, WINDOW, Stats, Z, beta_sd


def test_the_constants_are_the_specified_ones() -> None:
    """Windows, what each source of a grade is worth, and intervals that are passed with P = .05 on each side."""
    assert (WINDOW, SUCCESS_WINDOW, UNKNOWN_TRUST) == (200, 100, 0.5)
    assert TRUST == {
        "suite": 1.0,
        "sentinel": 1.0,
        "verifier": 1.0,
        "feedback": 0.6,
        "judge": 0.4,
        "reported": 0.8,
    }
    assert 0.5 * math.erfc(Z / math.sqrt(2)) == pytest.approx(0.05, abs=1e-4)
    assert Stats() == EMPTY


@pytest.mark.parametrize(
    ("source", "trust"),
    [("suite", 1.0), ("reported", 0.8), ("feedback", 0.6), ("judge", 0.4), ("elsewhere", 0.5), (None, 0.5)],
)
def test_a_grade_weighs_what_its_source_is_worth(source: str | None, trust: float) -> None:
    """A grade of .75 is three quarters of its trust in hits and a quarter in misses."""
    stats = Stats().graded(0.75, source)
    assert (stats.hits, stats.misses) == pytest.approx((trust * 0.75, trust * 0.25))
    assert stats.quality_sources == {source or "unknown": trust}
    assert stats.grades == ((0.75, source or "unknown"),)


@pytest.mark.parametrize(("given", "kept"), [(1.5, 1.0), (-0.5, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_a_grade_is_a_share(given: float, kept: float) -> None:
    """What lies outside 0..1 is cut: no answer is better than right."""
    stats = Stats().graded(given, "suite")
    assert (stats.hits, stats.misses) == (kept, 1.0 - kept)


def test_windows_keep_exactly_the_newest() -> None:
    """The 201st latency and grade push out the first, not more; 100 results are kept."""
    stats = Stats()
    for i in range(WINDOW + 1):
        stats = stats.add(outcome(i, latency_s=float(i), quality=i / WINDOW, success=True))
    assert stats.latencies == tuple(float(i) for i in range(1, WINDOW + 1))
    assert [grade for grade, _ in stats.grades] == pytest.approx([i / WINDOW for i in range(1, WINDOW + 1)], abs=2.1e-3)
    assert len(stats.results) == SUCCESS_WINDOW


def filled(n: int) -> Stats:
    stats = Stats()
    for i in range(n):
        timing = {"latency_s": 2.0 + i, "ttft_s": 1.0, "tokens_out": 5 + i, "energy_j": float(i)}
        stats = stats.add(outcome(i, quality=1.0, quality_source="suite", success=True, **timing))
    return stats


@pytest.mark.parametrize("n", [0, 1, 3])
def test_after_a_change_as_many_of_everything_are_kept(n: int) -> None:
    """Latencies, first tokens, rates, results and grades: the newest n of each, none for n = 0; energy keeps its mean,
    as of n."""
    stats, fresh = filled(5), filled(5).newest(n)
    assert fresh.energies == (n, 2.0)
    for name in ("latencies", "ttfts", "rates", "results", "grades"):
        assert getattr(fresh, name) == getattr(stats, name)[5 - n :]
    assert (fresh.samples, fresh.successes, fresh.failures, fresh.hits, fresh.misses) == (n, n, 0, float(n), 0.0)


def test_an_unknown_figure_is_not_kept() -> None:
    """A request without timings counts, and leaves every window as it was."""
    stats = filled(2).add(outcome(2, success=True))
    assert stats.samples == 3
    for name in ("latencies", "ttfts", "rates", "energies", "grades"):
        assert getattr(stats, name) == getattr(filled(2), name)


def test_after_a_change_failures_are_those_that_are_kept() -> None:
    """The counts are of the kept results, not of the version's whole life."""
    stats = Stats(samples=50, successes=40, failures=10, results=(True, False, False, True))
    fresh = stats.newest(3)
    assert (fresh.results, fresh.successes, fresh.failures) == ((False, False, True), 1, 2)


def test_what_the_pareto_set_compares_is_larger_when_better() -> None:
    """Quality and success as they are, latency and memory turned round; the unknown stays unknown."""
    stats = Stats(hits=3.0, misses=1.0, latencies=(2.0,), memory_bytes=7, results=(True, False))
    assert stats.dimensions == (0.75, -2.0, -7.0, 0.5)
    assert Stats().dimensions == (None, None, None, None)


def test_the_interval_is_beta_with_a_uniform_prior() -> None:
    """3 hits and 1 miss: Beta(4, 2), whose mean is 2/3; a little evidence narrows it already."""
    mean, reach = 4 / 6, Z * beta_sd(4.0, 2.0)
    assert Stats(hits=3.0, misses=1.0).quality_interval == pytest.approx((mean - reach, min(1.0, mean + reach)))
    mean, reach = 11 / 22, Z * beta_sd(11.0, 11.0)
    assert Stats(hits=10.0, misses=10.0).quality_interval == pytest.approx((mean - reach, mean + reach))
    low, high = Stats(hits=0.4, misses=0.4).quality_interval
    assert 0.0 < low < 0.5 < high < 1.0


def test_the_main_source_has_contributed_most_trust() -> None:
    """By trust, not by name nor by arrival; ties go to the later name."""
    stats = Stats().graded(1.0, "judge").graded(1.0, "suite").graded(1.0, "judge").graded(1.0, "verifier")
    assert stats.quality_source == "verifier"
    assert stats.graded(1.0, "suite").quality_source == "suite"
    assert Stats().graded(1.0, "suite").graded(1.0, "judge").quality_source == "suite"
    assert Stats().graded(1.0, "judge").graded(1.0, "suite").graded(1.0, "sentinel").quality_source == "suite"


def test_the_error_of_the_median_latency() -> None:
    """1.2533 x (interquartile range / 1.349) / sqrt(n), from four values on, zero quartiles included."""
    assert Stats(latencies=(1.0, 2.0, 3.0)).latency_error_s is None
    four = Stats(latencies=(1.0, 2.0, 4.0, 8.0))
    assert four.latency_error_s == pytest.approx(1.2533 * (4.0 - 2.0) / 1.349 / 2.0)
    nine = Stats(latencies=tuple(float(v) for v in range(9)))
    assert nine.latency_error_s == pytest.approx(1.2533 * (6.0 - 2.0) / 1.349 / 3.0)
    assert Stats(latencies=(0.0, 0.0, 0.0, 0.0)).latency_error_s == 0.0
    assert Stats(latencies=(0.0, 0.0, 0.0, 9.0, 9.0)).latency_error_s == pytest.approx(
        1.2533 * 9.0 / 1.349 / math.sqrt(5)
    )


def test_medians_and_means_are_of_their_own_values() -> None:
    """First token and rate by their medians, energy by its mean."""
    stats = Stats(ttfts=(1.0, 2.0, 9.0), rates=(3.0, 5.0, 70.0), energies=(3, 3.0))
    assert (stats.ttft_s, stats.tokens_per_second, stats.energy_j) == (2.0, 5.0, 3.0)


def test_the_uncertainty_of_success_is_its_posteriors() -> None:
    """7 of 9: Beta(8, 3), with the variance ab / ((a + b)^2 (a + b + 1))."""
    stats = Stats(results=(True,) * 7 + (False,) * 2)
    assert stats.success_sd == pytest.approx(math.sqrt(8 * 3 / (11**2 * 12)))
    assert beta_sd(8.0, 3.0) == stats.success_sd
