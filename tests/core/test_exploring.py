"""Whom to ask besides who serves, and how often."""

from __future__ import annotations

import pytest
from core_cases import NOW, measured, version

from arbiter_tui.core.exploring import SAVED, Ration, worth_asking
from arbiter_tui.core.posterior import Belief, beliefs
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import Task


def held(stats: dict[str, Stats]) -> tuple[Belief, ...]:
    return beliefs(Task(name="t"), [version(name) for name in stats], stats, {}, NOW, incumbent="a")


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
def test_so_many_explore_as_their_share_is(share: float) -> None:
    """Of 200 requests, and never more at any moment; the n-th as soon as a whole one is saved."""
    ration, explored = Ration(), 0
    for n in range(1, 201):
        if ration.asked(share):
            ration.used()
            explored += 1
        assert explored <= n * share + 1e-6
    assert explored == pytest.approx(200 * share)


def test_what_was_not_used_is_saved_but_not_for_ever() -> None:
    """After a thousand requests without need the next ones may explore, SAVED at most."""
    ration = Ration()
    for _ in range(1000):
        ration.asked(0.05)
    explored = 0
    while ration.asked(0.0):
        ration.used()
        explored += 1
    assert explored == SAVED


def test_who_promises_no_more_than_the_incumbent_is_not_asked() -> None:
    """The less known of two equal ones is; the same, well known and worse, is not; one that is surely worse never;
    nobody who is not loaded."""
    stats = {"a": measured(60, quality=0.8), "b": measured(12, quality=0.8), "c": measured(200, quality=0.2)}
    believed = held(stats)
    assert next(b for b in believed if b.version == "c").worse
    assert worth_asking(believed, {"b", "c"}, "a", stats) == "b"
    assert worth_asking(believed, {"c"}, "a", stats) is None
    assert worth_asking(believed, set(), "a", stats) is None
    known = {**stats, "b": measured(200, quality=0.78)}
    assert worth_asking(held(known), {"b"}, "a", known) is None


def test_who_has_too_few_samples_to_be_ranked_is_asked() -> None:
    """Nine samples, none of them graded: whatever is believed of it; not at ten."""
    for samples, asked in ((9, "new"), (10, None)):
        stats = {"a": measured(60, quality=0.9), "new": measured(samples, quality=None, latency_s=9.0)}
        assert held(stats)[-1].worse
        assert worth_asking(held(stats), {"new"}, "a", stats) == asked
