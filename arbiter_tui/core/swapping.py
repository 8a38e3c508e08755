"""The hot swap as a state machine: which step comes next, and what a failure undoes.

Owns: the order of a swap's phases, their times, and the rule of what must be restored. Never: does any of it
(engine/hot_swap.py carries the effects out), reads a clock, knows what is loaded.

==============  =============  ==========================================  =======================
phase           event          next phase                                  effect
==============  =============  ==========================================  =======================
validating      validated      recording                                   record
validating      fault          failed                                      (nothing was recorded)
recording       recorded       warming                                     warm
recording       fault          failed                                      (nothing was recorded)
warming         warmed         probing                                     probe
probing         probed         transferring                                transfer
transferring    transferred    switching                                   switch
warming … switching  fault     restoring if exclusive, else failed         restore, else close
switching       switched       draining                                    drain
draining        drained        done                                        close
draining        fault          done (the switch is committed)              close
restoring       restored       failed                                      close
restoring       fault          failed (both errors are told)               close
any             any other      the same, nothing: a late event is ignored
==============  =============  ==========================================  =======================

``exclusive``: old and new do not fit into the budget together, so loading the new one evicts the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from .snapshot import Phase


class SwapPhase(StrEnum):
    VALIDATING = "validating"
    RECORDING = "recording"
    WARMING = "warming"
    PROBING = "probing"
    TRANSFERRING = "transferring"
    SWITCHING = "switching"
    DRAINING = "draining"
    RESTORING = "restoring"
    DONE = "done"
    FAILED = "failed"


class SwapEventKind(StrEnum):
    VALIDATED = "validated"
    RECORDED = "recorded"
    WARMED = "warmed"
    PROBED = "probed"
    TRANSFERRED = "transferred"
    SWITCHED = "switched"
    DRAINED = "drained"
    RESTORED = "restored"
    FAULT = "fault"


class SwapEffect(StrEnum):
    VALIDATE = "validate"
    RECORD = "record"
    WARM = "warm"
    PROBE = "probe"
    TRANSFER = "transfer"
    SWITCH = "switch"
    DRAIN = "drain"
    RESTORE = "restore"
    CLOSE = "close"  # the result is written over the intent


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapState:
    """``began`` and ``phase_at``: seconds of one monotonic clock. ``phases``: those that are over."""

    phase: SwapPhase = SwapPhase.VALIDATING
    exclusive: bool = False
    began: float = 0.0
    phase_at: float = 0.0
    phases: tuple[Phase, ...] = ()
    error: str | None = None

    @property
    def over(self) -> bool:
        return self.phase in (SwapPhase.DONE, SwapPhase.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapEvent:
    """``exclusive`` is told with ``validated``; ``error`` with ``fault``."""

    kind: SwapEventKind
    error: str | None = None
    exclusive: bool = False


_NEXT: dict[tuple[SwapPhase, SwapEventKind], tuple[SwapPhase, SwapEffect]] = {
    (SwapPhase.VALIDATING, SwapEventKind.VALIDATED): (SwapPhase.RECORDING, SwapEffect.RECORD),
    (SwapPhase.RECORDING, SwapEventKind.RECORDED): (SwapPhase.WARMING, SwapEffect.WARM),
    (SwapPhase.WARMING, SwapEventKind.WARMED): (SwapPhase.PROBING, SwapEffect.PROBE),
    (SwapPhase.PROBING, SwapEventKind.PROBED): (SwapPhase.TRANSFERRING, SwapEffect.TRANSFER),
    (SwapPhase.TRANSFERRING, SwapEventKind.TRANSFERRED): (SwapPhase.SWITCHING, SwapEffect.SWITCH),
    (SwapPhase.SWITCHING, SwapEventKind.SWITCHED): (SwapPhase.DRAINING, SwapEffect.DRAIN),
    (SwapPhase.DRAINING, SwapEventKind.DRAINED): (SwapPhase.DONE, SwapEffect.CLOSE),
    (SwapPhase.RESTORING, SwapEventKind.RESTORED): (SwapPhase.FAILED, SwapEffect.CLOSE),
}


def start(now: float) -> tuple[SwapState, tuple[SwapEffect, ...]]:
    """A new swap: the first thing to do is to validate it."""
    return SwapState(began=now, phase_at=now), (SwapEffect.VALIDATE,)


def step(state: SwapState, event: SwapEvent, now: float) -> tuple[SwapState, tuple[SwapEffect, ...]]:
    """One row of the table above. ``now``: seconds of the clock of ``start``."""
    if event.kind is SwapEventKind.FAULT:
        return _fault(state, event.error or "failed", now)
    row = _NEXT.get((state.phase, event.kind))
    if row is None:
        return state, ()
    if event.kind is SwapEventKind.VALIDATED:
        state = replace(state, exclusive=event.exclusive)
    return _enter(state, row[0], now), (row[1],)


def _fault(state: SwapState, error: str, now: float) -> tuple[SwapState, tuple[SwapEffect, ...]]:
    match state.phase:
        case SwapPhase.DONE | SwapPhase.FAILED:
            return state, ()
        case SwapPhase.VALIDATING | SwapPhase.RECORDING:
            return _enter(replace(state, error=error), SwapPhase.FAILED, now), ()
        case SwapPhase.DRAINING:
            return _enter(replace(state, error=error), SwapPhase.DONE, now), (SwapEffect.CLOSE,)
        case SwapPhase.RESTORING:
            both = f"{state.error}; the old version could not be restored: {error}"
            return _enter(replace(state, error=both), SwapPhase.FAILED, now), (SwapEffect.CLOSE,)
        case _ if state.exclusive:
            return _enter(replace(state, error=error), SwapPhase.RESTORING, now), (SwapEffect.RESTORE,)
        case _:
            return _enter(replace(state, error=error), SwapPhase.FAILED, now), (SwapEffect.CLOSE,)


def _enter(state: SwapState, phase: SwapPhase, now: float) -> SwapState:
    spent = Phase(name=state.phase.value, seconds=max(0.0, now - state.phase_at))
    return replace(state, phase=phase, phase_at=now, phases=(*state.phases, spent))
