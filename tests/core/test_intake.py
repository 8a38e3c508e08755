"""What can't be true teaches nothing, and no source moves a figure by more than its trust allows."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from core_cases import NOW, measured, outcome, version
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.intake import AHEAD_S, flaws, sound, unwelcome
from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.stats import ALONE, TRUST, Stats, trust_of

ODD = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, -1e-9, 1e300])


@pytest.mark.parametrize(
    ("changes", "field", "what"),
    [
        ({"quality": math.nan}, "quality", "is outside 0..1"), ({"quality": 1.01}, "quality", "is outside 0..1"),
        ({"quality": -0.01}, "quality", "is outside 0..1"), ({"latency_s": -0.1}, "latency_s", "is negative"),
        ({"latency_s": math.nan}, "latency_s", "is not a number"), ({"tokens_in": -1}, "tokens_in", "is negative"),
        ({"energy_j": math.inf}, "energy_j", "is not a number"), ({"at": NOW + AHEAD_S + 1}, "at", "is in the future"),
        ({"latency_s": 1e300}, "latency_s", "is too large"), ({"tokens_in": 10**23}, "tokens_in", "is too large"),
        ({"tokens_out": 10**400}, "tokens_out", "is too large"),
        ({"latency_s": -math.inf}, "latency_s", "is not a number"),
        ({"at": math.nan}, "at", "is not a number"), ({"memory_bytes": -5}, "memory_bytes", "is negative"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_becomes_unknown(changes: dict[str, Any], field: str, what: str) -> None:
    """One flaw, one field; the rest of the outcome stays, and what is left has no flaw."""
    given_ = outcome(**{"latency_s": 0.2, "quality": 0.5, **changes})
    wrong = flaws(given_, NOW)
    assert wrong == {field: what}
    left = sound(given_, wrong, NOW)
    assert getattr(left, field) == (NOW if field == "at" else None)
    assert replace(left, **{field: 0}) == replace(given_, **{field: 0})
    assert not flaws(left, NOW)


def test_the_edges_are_no_flaws() -> None:
    """0 and 1 are qualities, 0 seconds are seconds, the past is as it was, a minute ahead is a clock."""
    for known in ({"quality": 0.0}, {"quality": 1.0}, {"latency_s": 0.0}, {"at": 0.0}, {"at": NOW + AHEAD_S}, {}):
        one = outcome(**known)
        assert not flaws(one, NOW)
        assert sound(one, {}, NOW) is one


@given(ODD, ODD, ODD, ODD)
def test_nothing_that_is_learnt_is_other_than_finite(quality: float, latency: float, energy: float, at: float) -> None:
    """Whatever comes in, figures stay figures."""
    one = outcome(quality=quality, latency_s=latency, energy_j=energy, at=at, quality_source="suite")
    stats = measured(20).add(sound(one, flaws(one, NOW), NOW))
    for name in ("quality", "latency_p50_s", "success_rate", "energy_j", "last_at", "quality_weight"):
        value = getattr(stats, name)
        assert value is None or math.isfinite(value)
    assert 0.0 <= (stats.quality or 0.0) <= 1.0


def test_order_and_the_direction_of_the_clock_change_nothing() -> None:
    """The same outcomes in another order: the same sums, the same rates, the newest moment."""
    chance = random.Random(1)
    rows = [outcome(n, at=NOW - n, quality=chance.random(), quality_source="suite", latency_s=chance.random())
            for n in range(100)]  # fmt: skip

    def folded(several: Sequence[Outcome]) -> Stats:
        stats = Stats()
        for one in several:
            stats = stats.add(one)
        return stats

    one, other = folded(rows), folded(rows[::-1])
    assert one.last_at == other.last_at == NOW
    assert one.quality == pytest.approx(other.quality)
    assert one.latency_p50_s == other.latency_p50_s


def test_only_an_archived_version_is_unwelcome() -> None:
    """A draft may be measured, a deprecated one may be needed again."""
    for state in Lifecycle:
        assert (unwelcome(version("a", lifecycle=state)) is not None) == (state is Lifecycle.ARCHIVED)


@given(st.sampled_from(["feedback", "judge", "elsewhere"]), st.integers(20, 300), st.floats(0.0, 1.0))
def test_a_poisoned_stream_moves_a_figure_by_no_more_than_its_trust(source: str, firm: int, truth: float) -> None:
    """1,000 false grades of one source against ``firm`` sound ones: no more than its trust of the way, or what ALONE
    grades could do; and a thousand more change nothing."""
    stats = measured(firm, quality=truth)
    before = stats.quality
    assert before is not None
    false = 0.0 if truth > 0.5 else 1.0
    for _ in range(1000):
        stats = stats.graded(false, source)
    trust = trust_of(source)
    share = max(trust, ALONE / (ALONE + firm))
    assert stats.quality is not None
    assert abs(stats.quality - before) <= share * abs(false - before) + 1e-9
    assert stats.quality_sources[source] == pytest.approx(max(ALONE, firm * trust / (1 - trust)))
    again = stats.graded(false, source)
    assert again.quality == pytest.approx(stats.quality)


def test_a_few_grades_of_any_source_count_in_full() -> None:
    """Below the bound each grade weighs its trust; firm sources have no bound; the kept ones are bounded anew."""
    stats = Stats()
    for _ in range(10):
        stats = stats.graded(1.0, "feedback")
    assert stats.hits == pytest.approx(10 * TRUST["feedback"])
    for _ in range(500):
        stats = stats.graded(1.0, "suite")
    assert stats.quality_weight == pytest.approx(506)
    for _ in range(200):
        stats = stats.graded(0.0, "feedback")
    kept = stats.newest(100)
    assert kept.quality_sources == {"feedback": pytest.approx(ALONE)}
    assert kept.told["feedback"] == pytest.approx((0.0, 60.0))
    assert kept.quality == 0.0
