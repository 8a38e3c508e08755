"""The laws of what is kept of a version's measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_cases import MIB, NOW, fractions, measured, outcome, outcomes, statistics
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure, Outcome, percentile
from arbiter_tui.core.drift import Alarm, Signal
from arbiter_tui.core.forgetting import since
from arbiter_tui.core.stats import ASKED, FEW, SUCCESS_WINDOW, TRUST, UNKNOWN_TRUST, WINDOW, Stats, beta_sd, code_of


def folded(many: list[Outcome]) -> Stats:
    stats = Stats()
    for one in many:
        stats = stats.add(one)
    return stats


@given(st.lists(outcomes, max_size=30))
def test_every_request_that_counts_is_counted_once(many: list[Outcome]) -> None:
    """samples = successes + failures = the outcomes that say something about the model."""
    stats = folded(many)
    assert stats.samples == stats.successes + stats.failures == sum(one.counts for one in many)


@given(statistics, outcomes)
def test_an_unknown_quality_never_moves_the_posterior(stats: Stats, one: Outcome) -> None:
    """An outcome without a grade leaves hits, misses, sources and interval exactly as they were."""
    after = stats.add(replace(one, quality=None))
    assert (after.hits, after.misses, after.quality_sources) == (stats.hits, stats.misses, stats.quality_sources)
    assert after.quality_interval == stats.quality_interval
    assert stats.graded(None) is stats


@given(statistics, fractions, st.sampled_from([*TRUST, "elsewhere", None]))
def test_a_grade_moves_by_its_trust(stats: Stats, grade: float, source: str | None) -> None:
    """Each grade adds exactly its source's trust, and pulls the mean towards itself."""
    after = stats.graded(grade, source)
    trust = TRUST.get(source or "unknown", UNKNOWN_TRUST)
    assert after.quality_weight == pytest.approx(stats.quality_weight + trust)
    assert after.quality is not None
    if stats.quality is not None:
        low, high = sorted((stats.quality, grade))
        assert low - 1e-9 <= after.quality <= high + 1e-9
    assert sum(after.quality_sources.values()) == pytest.approx(after.quality_weight)


@given(statistics)
def test_intervals_hold_their_mean_and_stay_in_range(stats: Stats) -> None:
    """0 <= low <= high <= 1, whatever was measured."""
    low, high = stats.quality_interval
    assert 0.0 <= low <= high <= 1.0
    assert 0.0 < stats.success_sd < 0.3


@given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=50))
def test_percentiles_are_those_of_the_answered_requests(values: list[float]) -> None:
    """p50 and p95 are right to .4% over the window; a failure's duration is not a latency."""
    stats = folded([outcome(i, latency_s=v) for i, v in enumerate(values)])
    stats = stats.add(outcome(success=False, latency_s=1e9, failure=Failure.TIMEOUT))
    assert stats.latency_p50_s == pytest.approx(percentile(values, 0.5), rel=4e-3)
    assert stats.latency_p95_s == pytest.approx(percentile(values, 0.95), rel=4e-3)


def test_the_wait_in_the_queue_is_not_the_models() -> None:
    """Latency is what the model took: a queue under load does not make it look slow."""
    stats = Stats().add(outcome(latency_s=3.0, queue_s=2.0, ttft_s=0.2, tokens_out=9, energy_j=4.0))
    assert stats.latency_p50_s == pytest.approx(1.0)
    assert stats.ttft_s == pytest.approx(0.2, rel=4e-3)
    assert stats.tokens_per_second == pytest.approx(8 / 0.8)
    assert stats.energy_j == 4.0


def test_it_is_bounded() -> None:
    """However long a version serves, the windows are; success is that of the newest requests."""
    stats = folded(
        [outcome(i, latency_s=1.0, ttft_s=0.1, tokens_out=5, energy_j=1.0, quality=1.0) for i in range(1000)]
    )
    assert (len(stats.latencies), len(stats.grades), stats.energies) == (WINDOW, WINDOW, (WINDOW, 1.0))
    assert (len(stats.ttfts), len(stats.rates)) == (FEW, FEW)
    assert (len(stats.results), stats.samples) == (SUCCESS_WINDOW, 1000)
    for i in range(SUCCESS_WINDOW // 2):
        stats = stats.add(outcome(i, success=False, failure=Failure.WORKER_DIED))
    assert stats.success_rate == 0.5


def test_unknown_is_none() -> None:
    """Nothing measured is None everywhere, never 0."""
    empty = Stats()
    figures = (
        empty.quality,
        empty.quality_source,
        empty.latency_p50_s,
        empty.latency_p95_s,
        empty.latency_error_s,
        empty.ttft_s,
        empty.tokens_per_second,
        empty.energy_j,
        empty.success_rate,
        empty.memory_bytes,
        empty.last_at,
    )
    assert set(figures) == {None}
    assert empty.quality_interval == (0.0, 1.0)


def test_the_last_memory_and_the_newest_time_are_kept() -> None:
    """Memory is the last one measured; evidence that arrives late does not turn the clock back."""
    stats = folded([outcome(memory_bytes=5 * MIB), outcome(memory_bytes=None), outcome(at=NOW - 50)])
    assert (stats.memory_bytes, stats.last_at) == (5 * MIB, NOW)


@given(statistics, st.integers(-1, 250))
def test_after_a_change_only_the_newest_counts(stats: Stats, kept: int) -> None:
    """newest(n) keeps at most n of everything, and its posterior is that of the kept grades alone."""
    fresh = stats.newest(kept)
    n = max(kept, 0)
    assert fresh.samples <= min(n, stats.samples)
    assert fresh.grades == (stats.grades[-n:] if n else ())
    assert len(fresh.latencies) <= n
    assert fresh.successes + fresh.failures == len(fresh.results) <= n
    expected = sum(TRUST.get(name, UNKNOWN_TRUST) for _, name in fresh.grades)
    assert fresh.quality_weight == pytest.approx(expected)


def test_forgetting_makes_a_fall_visible() -> None:
    """200 good grades hide 30 bad ones; after newest(30) the mean is what it has become."""
    stats = measured(200, quality=1.0)
    for _ in range(30):
        stats = stats.graded(0.0, "sentinel")
    assert stats.quality is not None
    assert stats.quality > 0.8
    assert stats.newest(30).quality == 0.0
    assert stats.newest(30).quality_source == "sentinel"


def test_the_spread_of_latency_gives_its_error() -> None:
    """The error of the median shrinks with the number of values and needs four of them."""
    few = folded([outcome(latency_s=float(v)) for v in (1, 2, 3)])
    some = folded([outcome(latency_s=1.0 + (i % 10) / 10) for i in range(20)])
    many = folded([outcome(latency_s=1.0 + (i % 10) / 10) for i in range(200)])
    assert few.latency_error_s is None
    assert some.latency_error_s is not None
    assert many.latency_error_s is not None
    assert 0.0 < many.latency_error_s < some.latency_error_s


def test_beta_sd_is_the_textbooks() -> None:
    """Beta(1, 1) is uniform: its standard deviation is the root of a twelfth."""
    assert beta_sd(1.0, 1.0) == pytest.approx(12**-0.5)


def test_the_newest_grades_know_their_prompts() -> None:
    """By codes, the newest ASKED of them, in the order of the grades; a grade without a prompt has none; what a change
    makes untrue takes its prompts with it, and is counted all the same."""
    stats = Stats()
    for n in range(80):
        item = None if n % 4 == 0 else f"p{n}"
        stats = stats.add(outcome(n, quality=float(n % 2), quality_source="suite", item=item))
    told = stats.answers(80)
    assert [grade for grade, _, _ in told] == [float(n % 2) for n in range(80)]
    newest = range(80 - ASKED, 80)
    assert [code for _, _, code in told[-ASKED:]] == [None if n % 4 == 0 else code_of(f"p{n}") for n in newest]
    assert {code for _, _, code in told[:-ASKED]} == {None}
    assert stats.seen == 80
    kept = since(stats, Alarm(signal=Signal.QUALITY, before=0.5, after=0.4, since=10, samples=80))
    assert kept.answers(80) == told[-10:]
    assert kept.seen == 80
    assert Stats().add(outcome(1, quality=1.0)).items == ()  # nobody named a prompt: nothing is kept


def test_a_prompts_code_is_one_of_so_many_and_the_same_everywhere() -> None:
    """Above 0, which is "unknown", within two bytes; different prompts hardly ever share one."""
    codes = [code_of(f"prompt {n}") for n in range(60)]
    assert all(1 <= code <= 65_535 for code in codes)
    assert len(set(codes)) == 60
    assert code_of("prompt 1") == codes[1]
