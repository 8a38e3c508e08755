"""The laws of tasks, outcomes and percentiles."""

from __future__ import annotations

import json

import pytest
from core_cases import criteria, outcome
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure, percentile
from arbiter_tui.core.tasks import Criteria, Task

WIRE_FIELDS = {
    "task", "description", "capabilities", "weights", "preference", "max_latency_s", "max_memory_bytes", "min_context",
    "quality_threshold", "latency_budget_s", "memory_budget_bytes", "suite", "autopilot", "policy", "private", "labels",
    "fallback", "energy_per_day_j", "money_per_day", "seconds_per_day", "max_slowdown",
}  # fmt: skip


@given(criteria)
def test_a_task_is_plain_json_on_the_wire(asked: Criteria) -> None:
    """Every field of the contract is there and is JSON; weights come with their names."""
    shown = json.loads(json.dumps(Task(name="t", criteria=asked).as_dict()))
    assert shown.keys() == WIRE_FIELDS
    assert shown["weights"].keys() == {"quality", "latency", "memory", "reliability", "recency"}
    assert shown["max_latency_s"] == asked.max_latency_s


@pytest.mark.parametrize("failure", [None, *Failure])
def test_only_the_models_own_failures_count_against_it(failure: Failure | None) -> None:
    """Cancelled requests and bad requests say nothing about the model."""
    assert outcome(failure=failure).counts == (failure not in (Failure.CANCELLED, Failure.CLIENT_ERROR))


@pytest.mark.parametrize(
    ("known", "rate"),
    [
        ({"tokens_out": 11, "latency_s": 2.0, "ttft_s": 1.0}, 10.0),
        ({"tokens_out": 11, "latency_s": 3.0, "ttft_s": 1.0, "queue_s": 1.0}, 10.0),
        ({"tokens_out": 1, "latency_s": 2.0, "ttft_s": 1.0}, None),
        ({"tokens_out": None, "latency_s": 2.0, "ttft_s": 1.0}, None),
        ({"tokens_out": 11, "latency_s": None, "ttft_s": 1.0}, None),
        ({"tokens_out": 11, "latency_s": 2.0, "ttft_s": None}, None),
        ({"tokens_out": 11, "latency_s": 1.0, "ttft_s": 1.0}, None),
    ],
)
def test_the_decode_rate_is_after_the_first_token(known: dict[str, float | None], rate: float | None) -> None:
    """Tokens after the first over the seconds after it; unknown where any part is."""
    assert outcome(**known).tokens_per_second == rate


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_percentiles_are_values_and_ordered(values: list[float], low: float, high: float) -> None:
    """A percentile is one of the values, between the extremes, and grows with its share."""
    low, high = sorted((low, high))
    a, b = percentile(values, low), percentile(values, high)
    assert a in values
    assert b in values
    assert a is not None
    assert b is not None
    assert a <= b
    assert percentile(values, 0.0) == min(values)
    assert percentile(values, 1.0) == max(values)


def test_no_values_have_no_percentile() -> None:
    """None, not 0."""
    assert percentile([], 0.5) is None
