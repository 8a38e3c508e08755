"""The circuit breaker: may somebody who has failed be asked now?

Owns: the state machine of one breaker (of a version, or of one replica of a version). Never: a clock, a request, whom
else to ask (balancing.py and the engine choose). ::

    phase      admitted                    succeeded          failed                          withdrawn
    closed     –                           counted            counted; at a limit -> open     –
    open       before its time: –          may be probed now  –                               –
               after it: -> half-open
    half-open  before its time: –          -> closed          -> open, for longer             may be probed now
               after it: another probe

A limit: so many failures in a row, or such a share of the results since the first failure of a window. Each opening
that follows another one within ``remembered_s`` lasts twice as long, up to a cap. ``until`` is the one moment that
matters: in any phase but closed, whoever is admitted at or after it is the probe, and the others wait for what becomes
of it (``probe_s`` at most: a probe may be a long answer, or be lost). A success of a request from before the opening
proves that it lives: it may be probed at once.

"Withdrawn" is an admitted request that says nothing: its client left, or its content was refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Phase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    ADMITTED = "admitted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class Effect(StrEnum):
    OPENED = "opened"
    PROBES = "probes"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Seconds. The steps of the back-off and its cap are those of the pool's restarts (engine/health.py)."""

    in_a_row: int = 5
    share: float = 0.5
    results: int = 10  # fewer in a window say nothing about a share
    window_s: float = 10.0
    first_s: float = 1.0
    cap_s: float = 60.0
    probe_s: float = 30.0
    remembered_s: float = 60.0


VERSION = Rules()
REPLICA = Rules(in_a_row=3)  # others can answer in its place: it costs little to leave it out early


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """``until``: monotonic seconds; what ``seen`` and ``failed`` count began at ``since`` with a failure."""

    phase: Phase = Phase.CLOSED
    in_a_row: int = 0
    seen: int = 0
    failed: int = 0
    since: float = 0.0
    trips: int = 0
    until: float = 0.0
    closed_at: float = 0.0


NEW = State()
Step = tuple[State, tuple[Effect, ...]]


def step(state: State, event: Event, now: float, rules: Rules = VERSION) -> Step:
    """The next state and what there is to tell. ``now``: monotonic seconds."""
    match state.phase, event:
        case Phase.CLOSED, Event.SUCCEEDED:
            return _succeeded(state, now, rules), ()
        case Phase.CLOSED, Event.FAILED:
            return _failed(state, now, rules)
        case ((Phase.OPEN | Phase.HALF_OPEN), Event.ADMITTED) if now >= state.until:
            return replace(state, phase=Phase.HALF_OPEN, until=now + rules.probe_s), (Effect.PROBES,)
        case Phase.OPEN, Event.SUCCEEDED:
            return replace(state, until=min(state.until, now)), ()
        case Phase.HALF_OPEN, Event.SUCCEEDED:
            return State(trips=state.trips, closed_at=now), (Effect.CLOSED,)
        case Phase.HALF_OPEN, Event.FAILED:
            return _opened(state, now, rules)
        case Phase.HALF_OPEN, Event.WITHDRAWN:
            return replace(state, until=min(state.until, now)), ()
        case _:
            return state, ()


def allows(state: State, now: float) -> bool:
    """Whether one more request may be sent: all while it is closed, one probe at a time otherwise."""
    return state.phase is Phase.CLOSED or now >= state.until


def wait_s(state: State, now: float) -> float:
    """Seconds until it may be asked again."""
    return 0.0 if state.phase is Phase.CLOSED else max(0.0, state.until - now)


def suspicion(state: State, now: float, rules: Rules = REPLICA) -> float:
    """How much a recent failure weighs against an idle place, in whole replicas' loads; 0 without one.

    Failures in a row count one each, the share of failures in the window up to one; both are forgotten after it.
    """
    if state.phase is Phase.CLOSED and (not state.failed or now >= state.since + rules.window_s):
        return 0.0
    return state.in_a_row + (state.failed / state.seen if state.seen else 0.0)


def least_bad(states: Sequence[State]) -> int:
    """Index of the one to try when none allows it: the fewest openings, then the one whose time comes first."""
    return min(range(len(states)), key=lambda i: (states[i].trips, states[i].until, i))


def _succeeded(state: State, now: float, rules: Rules) -> State:
    """The same object while there is nothing to count: almost always."""
    if not state.failed:
        return state
    if now >= state.since + rules.window_s:
        return replace(state, in_a_row=0, seen=0, failed=0)
    return replace(state, in_a_row=0, seen=state.seen + 1)


def _failed(state: State, now: float, rules: Rules) -> Step:
    if not state.failed or now >= state.since + rules.window_s:
        state = replace(state, seen=0, failed=0, since=now)
    state = replace(state, in_a_row=state.in_a_row + 1, seen=state.seen + 1, failed=state.failed + 1)
    share = state.failed / state.seen
    if state.in_a_row >= rules.in_a_row or (state.seen >= rules.results and share >= rules.share):
        if now >= state.closed_at + rules.remembered_s:
            state = replace(state, trips=0)
        return _opened(state, now, rules)
    return state, ()


def _opened(state: State, now: float, rules: Rules) -> Step:
    pause = min(rules.cap_s, rules.first_s * 2.0 ** min(state.trips, 30))
    return replace(state, phase=Phase.OPEN, trips=state.trips + 1, until=now + pause), (Effect.OPENED,)
