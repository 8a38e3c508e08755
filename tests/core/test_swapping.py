"""The swap's transition table."""

from __future__ import annotations

from itertools import product

import pytest

from arbiter_tui.core.swapping import (
    SwapEffect,
    SwapEvent,
    SwapEventKind,
    SwapPhase,
    SwapState,
    start,
    step,
)

P, E, F = SwapPhase, SwapEventKind, SwapEffect
HAPPY = {
    (P.VALIDATING, E.VALIDATED): (P.RECORDING, (F.RECORD,)),
    (P.RECORDING, E.RECORDED): (P.WARMING, (F.WARM,)),
    (P.WARMING, E.WARMED): (P.PROBING, (F.PROBE,)),
    (P.PROBING, E.PROBED): (P.TRANSFERRING, (F.TRANSFER,)),
    (P.TRANSFERRING, E.TRANSFERRED): (P.SWITCHING, (F.SWITCH,)),
    (P.SWITCHING, E.SWITCHED): (P.DRAINING, (F.DRAIN,)),
    (P.DRAINING, E.DRAINED): (P.DONE, (F.CLOSE,)),
    (P.DRAINING, E.FAULT): (P.DONE, (F.CLOSE,)),
    (P.RESTORING, E.RESTORED): (P.FAILED, (F.CLOSE,)),
    (P.RESTORING, E.FAULT): (P.FAILED, (F.CLOSE,)),
    (P.VALIDATING, E.FAULT): (P.FAILED, ()),
    (P.RECORDING, E.FAULT): (P.FAILED, ()),
}
UNDOABLE = (P.WARMING, P.PROBING, P.TRANSFERRING, P.SWITCHING)


def expected(phase: SwapPhase, kind: SwapEventKind, exclusive: bool) -> tuple[SwapPhase, tuple[SwapEffect, ...]]:
    if kind is E.FAULT and phase in UNDOABLE:
        return (P.RESTORING, (F.RESTORE,)) if exclusive else (P.FAILED, (F.CLOSE,))
    return HAPPY.get((phase, kind), (phase, ()))


@pytest.mark.parametrize(("phase", "kind", "exclusive"), list(product(P, E, (False, True))))
def test_every_phase_answers_every_event_as_the_table_says(
    phase: SwapPhase, kind: SwapEventKind, exclusive: bool
) -> None:
    """No pair of phase and event is left open, and none does anything that the table does not name."""
    state = SwapState(phase=phase, exclusive=exclusive, phase_at=5.0)
    after, effects = step(state, SwapEvent(kind=kind, error="broke", exclusive=exclusive), 7.0)
    assert (after.phase, effects) == expected(phase, kind, exclusive)
    if after.phase is phase:
        assert after == state
    else:
        assert (after.phases[-1].name, after.phases[-1].seconds) == (phase.value, 2.0)


def test_a_swap_runs_through_its_phases_and_times_each() -> None:
    """The successful order is the only one, and the phases' seconds add up to the whole."""
    state, effects = start(10.0)
    assert effects == (F.VALIDATE,)
    now = 10.0
    for kind in (E.VALIDATED, E.RECORDED, E.WARMED, E.PROBED, E.TRANSFERRED, E.SWITCHED, E.DRAINED):
        now += 1.5
        state, effects = step(state, SwapEvent(kind=kind), now)
        assert len(effects) == 1
    assert state.over
    assert state.phase is P.DONE
    assert sum(p.seconds for p in state.phases) == pytest.approx(now - state.began)
    assert state.error is None


def test_a_failed_restoration_tells_both_errors() -> None:
    """Why the swap failed is not forgotten when the way back fails as well."""
    state = SwapState(phase=P.WARMING, exclusive=True)
    state, _ = step(state, SwapEvent(kind=E.FAULT, error="no room"), 1.0)
    state, _ = step(state, SwapEvent(kind=E.FAULT, error="file gone"), 2.0)
    assert state.error is not None
    assert "no room" in state.error
    assert "file gone" in state.error
