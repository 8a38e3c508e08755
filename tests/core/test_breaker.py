"""The circuit breaker's transition table, its limits, and what holds whatever happens."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.breaker import (
    NEW,
    REPLICA,
    VERSION,
    Effect,
    Event,
    Phase,
    State,
    allows,
    least_bad,
    step,
    suspicion,
    wait_s,
)

P, E, F = Phase, Event, Effect
# (phase, event, its time has come) -> (phase, effects); every other pair changes no phase and tells nothing
TABLE = {
    (P.OPEN, E.ADMITTED, True): (P.HALF_OPEN, (F.PROBES,)),
    (P.HALF_OPEN, E.ADMITTED, True): (P.HALF_OPEN, (F.PROBES,)),
    (P.HALF_OPEN, E.SUCCEEDED, False): (P.CLOSED, (F.CLOSED,)),
    (P.HALF_OPEN, E.SUCCEEDED, True): (P.CLOSED, (F.CLOSED,)),
    (P.HALF_OPEN, E.FAILED, False): (P.OPEN, (F.OPENED,)),
    (P.HALF_OPEN, E.FAILED, True): (P.OPEN, (F.OPENED,)),
}
EVENTS = st.lists(st.tuples(st.sampled_from(Event), st.floats(0.0, 20.0)), max_size=60)


def failing(times: int, state: State = NEW, now: float = 0.0) -> tuple[State, tuple[Effect, ...]]:
    effects: tuple[Effect, ...] = ()
    for _ in range(times):
        state, effects = step(state, E.FAILED, now)
    return state, effects


@pytest.mark.parametrize(("phase", "event", "due"), list(product(P, E, (False, True))))
def test_every_phase_answers_every_event_as_the_table_says(phase: Phase, event: Event, due: bool) -> None:
    """No pair of phase and event is left open, and none does anything that the table does not name."""
    state = State(phase=phase, until=5.0, trips=2)
    after, effects = step(state, event, 7.0 if due else 3.0)
    assert (after.phase, effects) == TABLE.get((phase, event, due), (phase, ()))


def test_it_opens_after_so_many_failures_in_a_row_and_not_one_sooner() -> None:
    """Four failures and a success are forgiven; the fifth in a row opens it."""
    four, effects = failing(4)
    assert (four.phase, effects) == (P.CLOSED, ())
    better, _ = step(four, E.SUCCEEDED, 1.0)
    assert better.in_a_row == 0
    assert failing(4, better, 2.0)[0].phase is P.CLOSED
    opened, effects = step(four, E.FAILED, 1.0)
    assert (opened.phase, effects, wait_s(opened, 1.0)) == (P.OPEN, (F.OPENED,), VERSION.first_s)


def test_it_opens_at_a_share_of_failures_without_a_row() -> None:
    """Every second request fails: no row of failures, but half of ten results."""
    state = NEW
    for _ in range(5):
        state, _ = step(state, E.SUCCEEDED, 1.0)
        state, _ = step(state, E.FAILED, 1.0)
    assert state.phase is P.CLOSED  # the window begins with its first failure: nine results
    state, _ = step(state, E.SUCCEEDED, 1.0)
    assert step(state, E.FAILED, 1.0)[0].phase is P.OPEN


def test_failures_outside_of_the_window_are_forgotten() -> None:
    """One failure in each window of an otherwise well backend never opens it."""
    state = NEW
    for n in range(100):
        state, _ = step(state, E.FAILED, n * VERSION.window_s)
        state, _ = step(state, E.SUCCEEDED, n * VERSION.window_s + 1.0)
        assert state.phase is P.CLOSED


def test_the_back_off_doubles_to_its_cap_and_a_good_minute_resets_it() -> None:
    """1, 2, 4 ... 60 s while its probes fail; after a minute closed it begins with 1 s again, sooner it goes on."""
    state, now, pauses = failing(5)[0], 0.0, []
    for _ in range(8):
        pauses.append(wait_s(state, now))
        now = state.until
        state, _ = step(state, E.ADMITTED, now)
        state, _ = step(state, E.FAILED, now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    now = state.until
    state, _ = step(step(state, E.ADMITTED, now)[0], E.SUCCEEDED, now)
    assert state.phase is P.CLOSED
    soon, later = now + 1.0, now + VERSION.remembered_s
    assert wait_s(failing(5, state, soon)[0], soon) == 60.0
    assert wait_s(failing(5, state, later)[0], later) == 1.0


def test_half_open_lets_one_probe_through_and_a_lost_probe_does_not_close_the_door() -> None:
    """Nobody beside the probe, until it has answered, was withdrawn, or has taken too long."""
    opened = failing(5)[0]
    assert not allows(opened, 0.5)
    assert allows(opened, 1.0)
    probed, _ = step(opened, E.ADMITTED, 1.0)
    assert not allows(probed, 1.0)
    assert allows(step(probed, E.WITHDRAWN, 2.0)[0], 2.0)
    assert not allows(probed, 1.0 + VERSION.probe_s - 0.1)
    assert allows(probed, 1.0 + VERSION.probe_s)


def test_a_success_from_before_the_opening_lets_the_probe_come_at_once() -> None:
    """It lives: the pause need not be waited for; a second success changes nothing."""
    opened = failing(5)[0]
    proven, effects = step(opened, E.SUCCEEDED, 0.2)
    assert (proven.phase, effects, allows(proven, 0.2)) == (P.OPEN, (), True)


def test_the_least_bad_is_who_opened_least_and_comes_back_first() -> None:
    """Fewer openings first, then the earlier time, then the order."""
    states = [State(trips=n, until=until) for n, until in ((2, 1.0), (1, 9.0), (1, 3.0), (1, 3.0))]
    assert least_bad(states) == 2


def test_suspicion_is_forgotten_with_the_window_but_not_while_it_is_open() -> None:
    """A replica that failed once is asked again after ten seconds; one that is open stays suspect."""
    once, _ = step(NEW, E.FAILED, 0.0, REPLICA)
    assert suspicion(once, 1.0) == 2.0
    assert suspicion(once, REPLICA.window_s) == 0.0
    assert suspicion(replace(once, phase=P.OPEN), REPLICA.window_s) > 0


@given(EVENTS)
def test_whatever_happens_it_is_never_shut_for_longer_than_its_cap(events: list[tuple[Event, float]]) -> None:
    """In each state it opens again within the cap; only failures open it; only a success closes it."""
    state, now = NEW, 0.0
    for event, pause in events:
        now += pause
        before = state
        state, effects = step(state, event, now)
        assert wait_s(state, now) <= max(VERSION.cap_s, VERSION.probe_s)
        assert allows(state, now + wait_s(state, now))
        assert (F.OPENED in effects) <= (event is E.FAILED)
        assert (F.CLOSED in effects) == (event is E.SUCCEEDED and before.phase is P.HALF_OPEN)
        assert 0 <= state.failed <= state.seen or state.phase is not P.CLOSED


@given(EVENTS)
def test_who_never_fails_keeps_the_one_state_that_costs_nothing(events: list[tuple[Event, float]]) -> None:
    """Without a failure the state is the same object, however many requests pass."""
    state = NEW
    for event, now in events:
        if event is not E.FAILED:
            state, effects = step(state, event, now)
            assert state is NEW
            assert effects == ()
