"""Placement: who is spared at the exact limit, and the figures behind each reason."""

from __future__ import annotations

from core_cases import MIB

from arbiter_tui.core.placement import Held, Need, Plan, plan, used
from arbiter_tui.core.snapshot import Why


def test_of_several_victims_only_the_needless_are_spared() -> None:
    """The two that are needed together go; the small one that was taken first stays after all."""
    held = [
        Held(version="small", bytes=10, last_used_at=1.0),
        Held(version="middle", bytes=200, last_used_at=2.0),
        Held(version="large", bytes=300, last_used_at=3.0),
    ]
    assert plan(Need(version="w", bytes=500), held, budget=520).evict == ("middle", "large")
    assert plan(Need(version="w", bytes=10), held, budget=520).evict == ()
    assert plan(Need(version="w", bytes=11), held, budget=520).evict == ("small",)


def test_an_unknown_size_counts_nothing_and_fits() -> None:
    """It is admitted and measured once it is there."""
    assert used([Held(version="a"), Held(version="b", bytes=3)]) == 3
    assert plan(Need(version="w"), [Held(version="a", bytes=8)], budget=8).evict == ()


def test_a_refusal_has_the_figures_of_its_own_limit() -> None:
    """Seats where seats are short, bytes where bytes are: with exactly enough seats it is the bytes."""
    pinned = [Held(version="p", bytes=3, pinned=True)]
    seats = plan(Need(version="w", bytes=1), pinned, budget=9, max_loaded=1)
    assert (seats.why[0].rule, seats.why[0].value, seats.why[0].threshold) == ("max_loaded", 2, 1)
    room = plan(Need(version="w", bytes=7), pinned, budget=9, max_loaded=2)
    assert (room.why[0].rule, room.why[0].value, room.why[0].threshold) == ("memory_budget", 10, 9)
    assert plan(Need(version="w", bytes=6), pinned, budget=9, max_loaded=2).fits


def test_a_plan_has_the_figures_of_the_budget() -> None:
    """What is needed against what is free, with victims and without."""
    held = [Held(version="m", bytes=3 * MIB)]
    without = plan(Need(version="w", bytes=MIB), held, budget=4 * MIB).why
    assert [(w.rule, w.value, w.threshold) for w in without] == [("memory_budget", MIB, MIB)]
    evicting = plan(Need(version="w", bytes=2 * MIB), held, budget=4 * MIB).why
    assert [(w.rule, w.value, w.threshold) for w in evicting] == [("memory_budget", 2 * MIB, MIB)]


def test_the_first_reason_is_the_sentence() -> None:
    """One sentence, however many reasons; a reason without words gives its rule; without reasons there is none."""
    first, second = Why(rule="a", would_change_if="one thing"), Why(rule="b", would_change_if="another")
    assert Plan(why=(first, second)).sentence == "one thing"
    assert Plan(why=(Why(rule="a"),)).sentence == "a"
    assert Plan().sentence == ""
