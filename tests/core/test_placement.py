"""The laws of what is evicted."""

from __future__ import annotations

import pytest
from core_cases import MIB
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.placement import Held, Need, plan, used

held_models = st.lists(
    st.builds(
        Held,
        version=st.integers(0, 30).map(lambda i: f"m{i}"),
        bytes=st.none() | st.integers(0, 500),
        leased=st.integers(0, 2),
        pinned=st.booleans(),
        last_used_at=st.floats(0.0, 100.0),
        value=st.floats(0.0, 1.0),
        reload_cost_s=st.floats(0.0, 10.0),
    ),
    max_size=8,
    unique_by=lambda h: h.version,
)
needs = st.builds(Need, version=st.just("want"), bytes=st.none() | st.integers(0, 1000))
caps = st.none() | st.integers(0, 6)


@given(needs, held_models, st.integers(0, 1500), caps)
def test_a_plan_that_fits_fits_and_touches_nothing_protected(
    want: Need, held: list[Held], budget: int, cap: int | None
) -> None:
    """Pinned ones stay; leased ones are only waited for; afterwards memory and count are within their limits."""
    made = plan(want, held, budget=budget, max_loaded=cap)
    by_name = {h.version: h for h in held}
    gone = {*made.evict, *made.wait_for}
    assert not any(by_name[v].pinned for v in gone)
    assert not any(by_name[v].leased for v in made.evict)
    assert all(by_name[v].leased for v in made.wait_for)
    assert made.why
    if made.fits:
        staying = [h for h in held if h.version not in gone]
        assert used(staying) + (want.bytes or 0) <= budget
        assert cap is None or len(staying) + 1 <= cap
    else:
        assert not gone


@given(needs, held_models, st.integers(0, 1500), caps)
def test_it_refuses_only_what_can_never_fit(want: Need, held: list[Held], budget: int, cap: int | None) -> None:
    """fits is False exactly when even without everything that is not pinned there would be no room."""
    pinned = [h for h in held if h.pinned]
    possible = used(pinned) + (want.bytes or 0) <= budget and (cap is None or len(pinned) + 1 <= cap)
    assert plan(want, held, budget=budget, max_loaded=cap).fits == possible


@given(needs, held_models, st.integers(0, 1500), caps)
def test_no_victim_is_needless(want: Need, held: list[Held], budget: int, cap: int | None) -> None:
    """Whichever victim stayed, it would no longer fit."""
    made = plan(want, held, budget=budget, max_loaded=cap)
    gone = {*made.evict, *made.wait_for}
    for spared in gone:
        staying = [h for h in held if h.version not in gone - {spared}]
        over = used(staying) + (want.bytes or 0) > budget
        assert over or (cap is not None and len(staying) + 1 > cap)


def test_the_cheapest_idle_one_goes_first() -> None:
    """Idle before leased, then the least value x reload time, then the longest unused."""
    held = [
        Held(version="dear", bytes=100, value=1.0, reload_cost_s=5.0, last_used_at=1.0),
        Held(version="cheap-new", bytes=100, value=0.1, reload_cost_s=1.0, last_used_at=9.0),
        Held(version="cheap-old", bytes=100, value=0.1, reload_cost_s=1.0, last_used_at=2.0),
        Held(version="busy", bytes=100, leased=1),
    ]
    assert plan(Need(version="w", bytes=100), held, budget=400).evict == ("cheap-old",)
    assert plan(Need(version="w", bytes=200), held, budget=400).evict == ("cheap-old", "cheap-new")
    last = plan(Need(version="w", bytes=400), held, budget=400)
    assert (last.evict, last.wait_for) == (("cheap-old", "cheap-new", "dear"), ("busy",))


def test_a_large_victim_spares_the_small_ones() -> None:
    """What turned out to be needless after a larger victim was found stays loaded."""
    held = [Held(version="small", bytes=10, last_used_at=1.0), Held(version="large", bytes=300, last_used_at=2.0)]
    assert plan(Need(version="w", bytes=300), held, budget=320).evict == ("large",)


@pytest.mark.parametrize(
    ("want", "held", "cap", "rule", "sentence"),
    [
        (900 * MIB, [], None, "memory_budget", "w would fit even alone with a memory budget of 900 MiB; it is 500 MiB"),
        (
            300 * MIB,
            [Held(version="p", bytes=300 * MIB, pinned=True)],
            None,
            "memory_budget",
            "w would fit beside what is pinned with a memory budget of 600 MiB; it is 500 MiB",
        ),
        (
            1,
            [Held(version="p", pinned=True)],
            1,
            "max_loaded",
            "w could be loaded if 2 models were allowed at once; 1 are",
        ),
    ],
)
def test_a_refusal_says_what_would_be_needed(
    want: int, held: list[Held], cap: int | None, rule: str, sentence: str
) -> None:
    """The reason carries the rule, the figures and the budget at which it would fit."""
    made = plan(Need(version="w", bytes=want), held, budget=500 * MIB, max_loaded=cap)
    assert not made.fits
    assert made.why[0].rule == rule
    assert made.sentence == sentence


def test_loading_again_what_is_loaded_needs_no_room_for_itself() -> None:
    """A reload of the same version does not count against itself; a plan without victims says how much is free."""
    made = plan(Need(version="m", bytes=MIB), [Held(version="m", bytes=MIB)], budget=MIB)
    assert (made.evict, made.wait_for, made.fits) == ((), (), True)
    assert made.sentence == "m needs 1 MiB and 1 MiB are free"
    evicting = plan(Need(version="n", bytes=MIB), [Held(version="m", bytes=MIB)], budget=MIB)
    assert evicting.sentence == "m would stay if 1 MiB were free for n; 0 MiB are"
