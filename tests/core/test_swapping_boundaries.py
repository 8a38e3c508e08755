"""The swap's state machine: what each failure leaves written down, and what is remembered from the first phase."""

from __future__ import annotations

import pytest

from arbiter_tui.core.swapping import SwapEvent, SwapEventKind, SwapPhase, SwapState, start, step

FAULT = SwapEventKind.FAULT


@pytest.mark.parametrize("phase", [p for p in SwapPhase if p is not SwapPhase.RESTORING])
def test_a_fault_is_written_down_in_every_phase(phase: SwapPhase) -> None:
    """Whatever the phase was, the error's text reaches the record; what is over hears nothing more."""
    state = SwapState(phase=phase)
    after, _ = step(state, SwapEvent(kind=FAULT, error="no room"), 1.0)
    assert after.error == (None if state.over else "no room")


@pytest.mark.parametrize("exclusive", [True, False])
def test_whether_the_old_one_must_go_is_told_once_and_kept(exclusive: bool) -> None:
    """``validated`` says it; no later event changes it."""
    state, _ = start(0.0)
    state, _ = step(state, SwapEvent(kind=SwapEventKind.VALIDATED, exclusive=exclusive), 1.0)
    assert state.exclusive is exclusive
    state, _ = step(state, SwapEvent(kind=SwapEventKind.RECORDED, exclusive=not exclusive), 2.0)
    assert state.exclusive is exclusive


def test_a_fault_without_words_is_a_fault() -> None:
    """A worker that died silently still leaves an error."""
    after, _ = step(SwapState(phase=SwapPhase.WARMING), SwapEvent(kind=FAULT), 1.0)
    assert after.error == "failed"


def test_an_instant_phase_took_no_time_and_a_clock_that_went_back_takes_none() -> None:
    """Seconds of a phase are what passed, never less than nothing."""
    state, _ = start(5.0)
    for kind, now in ((SwapEventKind.VALIDATED, 5.0), (SwapEventKind.RECORDED, 4.0), (SwapEventKind.WARMED, 4.25)):
        state, _ = step(state, SwapEvent(kind=kind), now)
    assert [(p.name, p.seconds) for p in state.phases] == [("validating", 0.0), ("recording", 0.0), ("warming", 0.25)]
