"""Deciding again upon what was recorded: the live rules, other limits, and what the swaps would have been worth."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from core_cases import NOW, outcome

from arbiter_tui.core.autoswap import AutoSwapLimits
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.replay_history import replay_history
from arbiter_tui.core.tasks import Task

LIMITS = AutoSwapLimits(cooldown_s=60.0)


def recorded(count: int = 400, *, good: float = 0.9, served: float = 0.4) -> list[Outcome]:
    """``a`` serves clients; ``b`` answers questions of the suite, better."""
    chance, rows = random.Random(2), []
    for n in range(count):
        version, share = ("b", good) if n % 2 else ("a", served)
        rows.append(
            outcome(
                n, version=version, at=NOW + n, quality=float(chance.random() < share), quality_source="suite",
                source="bench" if n % 2 else "request", latency_s=0.3,
            )
        )  # fmt: skip
    return rows


@pytest.mark.parametrize("policy", ["bandit", "score"])
def test_a_better_version_would_have_taken_over_and_been_worth_more(policy: str) -> None:
    """One swap to it, with its sentence; worth by the mean grades of both, over clients' requests alone."""
    found = replay_history(Task(name="t", policy=policy), recorded(), LIMITS)
    assert found is not None
    assert [(move.from_, move.to) for move in found.moves] == [("a", "b")]
    assert "b leads t" in found.sentences[0]
    assert (found.first, found.last, found.outcomes, found.requests) == ("a", "b", 400, 200)
    assert found.served == pytest.approx(0.4, abs=0.1)
    assert found.replayed is not None
    assert found.served is not None
    assert found.replayed > found.served + 0.2


@pytest.mark.parametrize(
    ("policy", "limits"),
    [("fixed", LIMITS), ("round_robin", LIMITS), ("bandit", replace(LIMITS, triggers=())),
     ("bandit", replace(LIMITS, min_samples=1000))],
)  # fmt: skip
def test_another_configuration_would_have_done_nothing(policy: str, limits: AutoSwapLimits) -> None:
    """Then both are worth the same."""
    found = replay_history(Task(name="t", policy=policy), recorded(), limits)
    assert found is not None
    assert not found.moves
    assert found.served == found.replayed


def test_the_order_of_the_rows_does_not_matter_and_nothing_is_nothing() -> None:
    """They are decided upon in the order of their moments; without grades there is no worth, without rows nothing."""
    rows = recorded()
    mixed = random.Random(1).sample(rows, len(rows))
    assert replay_history(Task(name="t"), mixed, LIMITS) == replay_history(Task(name="t"), rows, LIMITS)
    blind = replay_history(Task(name="t"), [replace(row, quality=None) for row in rows], LIMITS)
    assert blind is not None
    assert (blind.served, blind.replayed, blind.moves) == (None, None, ())
    assert replay_history(Task(name="t"), [], LIMITS) is None


def test_a_version_that_breaks_would_have_been_replaced() -> None:
    """Its quality falls while it serves: the other one takes over, within a hundred requests."""
    rows = recorded(600, good=0.7, served=0.9)
    chance = random.Random(3)
    broken = [
        replace(row, quality=float(chance.random() < 0.05)) if row.version == "a" and n >= 300 else row
        for n, row in enumerate(rows)
    ]
    found = replay_history(Task(name="t"), broken, LIMITS)
    assert found is not None
    assert found.last == "b"
    assert NOW + 300 <= found.moves[-1].at <= NOW + 400
    assert "degraded" in found.sentences[-1]
