"""Percentiles and decode rates at their edges."""

from __future__ import annotations

from typing import Any

import pytest
from core_cases import outcome

from arbiter_tui.core.cost import percentile


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 10.0), (0.24, 10.0), (0.26, 20.0), (0.5, 20.0), (0.75, 30.0), (0.95, 30.0), (1.0, 30.0)]
)
def test_a_percentile_is_of_the_nearest_rank(share: float, value: float) -> None:
    """Three values in any order: the rank is the share of the way from the first to the last."""
    assert percentile([20.0, 30.0, 10.0], share) == value


@pytest.mark.parametrize(("share", "value"), [(-0.5, 1.0), (1.5, 2.0)])
def test_a_share_beyond_its_range_is_an_extreme(share: float, value: float) -> None:
    """Never an index from the other end."""
    assert percentile([2.0, 1.0], share) == value


@pytest.mark.parametrize(
    ("known", "rate"),
    [
        ({"tokens_out": 2, "latency_s": 1.5, "ttft_s": 1.0}, 2.0),
        ({"tokens_out": 3, "latency_s": 0.5, "ttft_s": 0.0}, 4.0),
        ({"tokens_out": 3, "latency_s": 3.0, "ttft_s": 0.5, "queue_s": 2.0}, 4.0),
        ({"tokens_out": 3, "latency_s": 2.0, "ttft_s": 1.0, "queue_s": 1.0}, None),
        ({"tokens_out": 3, "latency_s": 2.0, "ttft_s": 1.0, "queue_s": 1.5}, None),
        ({"tokens_out": 0, "latency_s": 2.0, "ttft_s": 1.0}, None),
    ],
)
def test_two_tokens_give_a_rate(known: dict[str, Any], rate: float | None) -> None:
    """One after the first is enough; in no time at all there is no rate."""
    assert outcome(**known).tokens_per_second == rate
