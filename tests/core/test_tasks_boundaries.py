"""Weights, preferences and a task's fields on the wire, figure by figure."""

from __future__ import annotations

import pytest

from arbiter_tui.core.tasks import AutopilotMode, Criteria, Preference, Task, Weights


def shares(weights: Weights) -> tuple[float, ...]:
    return (weights.quality, weights.latency, weights.memory, weights.reliability, weights.recency)


@pytest.mark.parametrize(
    ("preference", "doubled"),
    [
        (None, (0.4, 0.3, 0.1, 0.1, 0.1)),
        (Preference.FAST, (0.4, 0.6, 0.1, 0.1, 0.1)),
        (Preference.QUALITY, (0.8, 0.3, 0.1, 0.1, 0.1)),
        (Preference.LOW_MEMORY, (0.4, 0.3, 0.2, 0.1, 0.1)),
    ],
)
def test_a_preference_doubles_its_own_share(preference: Preference | None, doubled: tuple[float, ...]) -> None:
    """.4 / .3 / .1 / .1 / .1, one of them twice, and then all together 1."""
    total = sum(doubled)
    assert shares(Weights().preferring(preference)) == pytest.approx(tuple(share / total for share in doubled))


def test_low_memory_is_heard_where_memory_had_no_weight() -> None:
    """A task that ignores memory gives it the specified tenth before it is doubled; more than that is kept."""
    nothing = Weights(quality=0.8, latency=0.0, memory=0.0, reliability=0.0, recency=0.0)
    assert shares(nothing.preferring(Preference.LOW_MEMORY)) == pytest.approx((0.8, 0.0, 0.2, 0.0, 0.0))
    much = Weights(quality=0.5, latency=0.0, memory=0.25, reliability=0.0, recency=0.0)
    assert shares(much.preferring(Preference.LOW_MEMORY)) == pytest.approx((0.5, 0.0, 0.5, 0.0, 0.0))


def test_weights_are_shares_of_their_sum() -> None:
    """Any positive figures do; a negative one counts nothing; of a sum of 0 nothing can be a share."""
    uneven = Weights(quality=3.0, latency=1.0, memory=-5.0, reliability=0.0, recency=0.0)
    assert shares(uneven.normalised()) == (0.75, 0.25, 0.0, 0.0, 0.0)
    small = Weights(quality=0.25, latency=0.25, memory=0.0, reliability=0.0, recency=0.0)
    assert shares(small.normalised()) == (0.5, 0.5, 0.0, 0.0, 0.0)


def test_weights_that_are_all_nothing_are_the_specified_ones() -> None:
    """Shares of nothing do not exist: the defaults stand in."""
    nothing = Weights(quality=0.0, latency=0.0, memory=0.0, reliability=0.0, recency=0.0)
    assert nothing.normalised() == Weights()


def test_every_field_of_a_task_reaches_the_wire_under_its_name() -> None:
    """Each value stands where its name says, so that no two can be mixed up."""
    criteria = Criteria(
        capabilities=frozenset({"code", "audio"}),
        max_latency_s=1.0,
        max_memory_bytes=2,
        min_context=3,
        quality_threshold=0.4,
        weights=Weights(quality=0.5, latency=0.2),
        preference=Preference.FAST,
        latency_budget_s=6.0,
        memory_budget_bytes=7,
    )
    task = Task(
        name="t", criteria=criteria, suite="s", autopilot=AutopilotMode.OBSERVE, description="words", private=True,
        labels=("b", "a"),
        fallback=("v1", "v2"), energy_per_day_j=8.0, money_per_day=0.9, seconds_per_day=10.0,
        max_slowdown=2.5,
    )  # fmt: skip
    assert task.as_dict() == {
        "task": "t",
        "description": "words",
        "capabilities": ["audio", "code"],
        "weights": {"quality": 0.5, "latency": 0.2, "memory": 0.1, "reliability": 0.1, "recency": 0.1},
        "preference": "fast",
        "max_latency_s": 1.0,
        "max_memory_bytes": 2,
        "min_context": 3,
        "quality_threshold": 0.4,
        "latency_budget_s": 6.0,
        "memory_budget_bytes": 7,
        "suite": "s",
        "autopilot": "observe",
        "policy": "bandit",
        "private": True,
        "labels": ["b", "a"],
        "fallback": ["v1", "v2"],
        "energy_per_day_j": 8.0,
        "money_per_day": 0.9,
        "seconds_per_day": 10.0,
        "max_slowdown": 2.5,
    }
