"""When a version gets a replica more or one less."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.scaling import CALM, GROW_AFTER_S, MOST, SHRINK_AFTER_S, Load, Span, Verdict, span_of, step

IDLE = Load(copies=2, coming=0, queued=0, in_flight=0, slots=4, room=True, blocked=False)
BUSY = replace(IDLE, copies=1, queued=3, in_flight=4)
TO3 = Span(1, 3)
LOADS = st.builds(
    Load, copies=st.integers(1, 5), coming=st.integers(0, 2), queued=st.integers(0, 5), in_flight=st.integers(0, 20),
    slots=st.integers(1, 8), room=st.booleans(), blocked=st.booleans(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "span"),
    [(1, Span(1, 1)), (3, Span(3, 3)), ("2", Span(2, 2)), ("1-3", Span(1, 3)), ("10-64", Span(10, 64)), (0, None),
     ("3-1", None), ("1-", None), ("-1", None), (True, None), (1.5, None), (MOST + 1, None), ("two", None), ([], None)],
)  # fmt: skip
def test_a_span_is_a_number_or_two(value: object, span: Span | None) -> None:
    """A text that is neither, or whose ends are out of order, is none."""
    assert span_of(value) == span


def test_requests_that_wait_without_a_pause_bring_one_more_and_then_it_waits_again() -> None:
    """Not at once, not twice within the same second, and a moment without a line begins anew."""
    state, verdict = step(CALM, BUSY, TO3, 0.0)
    assert verdict is Verdict.STAY
    assert step(state, BUSY, TO3, GROW_AFTER_S - 0.1)[1] is Verdict.STAY
    paused, _ = step(state, replace(BUSY, queued=0), TO3, 0.5)
    assert step(paused, BUSY, TO3, GROW_AFTER_S)[1] is Verdict.STAY
    grown, verdict = step(state, BUSY, TO3, GROW_AFTER_S)
    assert verdict is Verdict.GROW
    assert step(grown, replace(BUSY, copies=2), TO3, GROW_AFTER_S + 0.5)[1] is Verdict.STAY


@pytest.mark.parametrize("hindered", [{"room": False}, {"blocked": True}, {"coming": 1}, {"copies": 3}])
def test_it_does_not_grow_beyond_the_budget_the_span_or_while_one_is_coming(hindered: dict[str, int]) -> None:
    """Each of them alone is enough."""
    state, _ = step(CALM, BUSY, TO3, 0.0)
    assert step(state, replace(BUSY, **hindered), TO3, 50.0)[1] is not Verdict.GROW  # type: ignore[arg-type]


def test_one_that_is_not_needed_for_a_minute_goes_and_each_takes_its_own_minute() -> None:
    """Four of eight places would remain: two requests or fewer leave half of them free."""
    state, _ = step(CALM, replace(IDLE, in_flight=2), TO3, 0.0)
    assert step(state, replace(IDLE, in_flight=2), TO3, SHRINK_AFTER_S - 1)[1] is Verdict.STAY
    after, verdict = step(state, replace(IDLE, in_flight=2), TO3, SHRINK_AFTER_S)
    assert verdict is Verdict.SHRINK
    assert step(after, replace(IDLE, copies=2), TO3, SHRINK_AFTER_S + 1)[1] is Verdict.STAY
    busy, _ = step(state, replace(IDLE, in_flight=3), TO3, 30.0)
    assert step(busy, IDLE, TO3, SHRINK_AFTER_S)[1] is Verdict.STAY


def test_it_makes_room_at_once_for_whoever_waits_for_memory() -> None:
    """A further replica is a luxury; the least number is not."""
    assert step(CALM, replace(IDLE, blocked=True), TO3, 0.0)[1] is Verdict.SHRINK
    assert step(CALM, replace(IDLE, blocked=True, copies=1), TO3, 0.0)[1] is Verdict.STAY


@given(st.lists(st.tuples(LOADS, st.floats(0, 100)), max_size=30), st.integers(1, 3), st.integers(0, 2))
def test_it_never_leaves_its_span(seen: list[tuple[Load, float]], low: int, more: int) -> None:
    """Whatever is seen in whatever order: no growth at the high end, no shrinking at the low end."""
    state, now, span = CALM, 0.0, Span(low, low + more)
    for load, pause in seen:
        now += pause
        state, verdict = step(state, load, span, now)
        if verdict is Verdict.GROW:
            assert load.copies < span.high
            assert load.room
            assert not load.blocked
        if verdict is Verdict.SHRINK:
            assert load.copies > span.low
