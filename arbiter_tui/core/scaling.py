"""How many replicas of a version there should be.

Owns: the span that an operator allows, and when to have one more or one less. Never: memory (the pool says whether
there is room), a replica, a clock. ::

    one more   requests have waited for GROW_AFTER_S without a pause, no other one is coming, and there is room
    one less   somebody else waits for memory; or for SHRINK_AFTER_S the work would have filled at most half of the rest

Never below the span's low end, never above its high end, never beyond the budget, and nobody is evicted for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

GROW_AFTER_S = 1.0
SHRINK_AFTER_S = 60.0
HALF = 0.5  # of the places that would be left
MOST = 64
SPAN = r"[1-9]\d?(-[1-9]\d?)?"


@dataclass(frozen=True, slots=True)
class Span:
    """Replicas: ``low`` from the start, ``high`` at most."""

    low: int = 1
    high: int = 1


ONE = Span()


def span_of(value: object) -> Span | None:
    """Of a whole number or a text like "1-3"; None where it is neither, or out of order."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(SPAN, str(value)):
        return None
    low, _, high = str(value).partition("-")
    span = Span(int(low), int(high or low))
    return span if span.low <= span.high <= MOST else None


class Verdict(StrEnum):
    STAY = "stay"
    GROW = "grow"
    SHRINK = "shrink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is seen now. ``coming``: of the copies, those that load; ``blocked``: somebody else waits for memory."""

    copies: int
    coming: int
    queued: int
    in_flight: int
    slots: int  # of one copy
    room: bool
    blocked: bool


@dataclass(frozen=True, slots=True)
class State:
    """Since when (monotonic seconds) requests wait, and since when there is more than is needed."""

    short_since: float | None = None
    spare_since: float | None = None


CALM = State()


def step(state: State, load: Load, span: Span, now: float) -> tuple[State, Verdict]:
    short = load.queued > 0
    spare = not short and load.in_flight <= HALF * (load.copies - 1) * load.slots
    state = State(
        short_since=(now if state.short_since is None else state.short_since) if short else None,
        spare_since=(now if state.spare_since is None else state.spare_since) if spare else None,
    )
    if load.copies > span.high or (load.copies > span.low and load.blocked):
        return state, Verdict.SHRINK
    if load.copies > span.low and state.spare_since is not None and now - state.spare_since >= SHRINK_AFTER_S:
        return replace(state, spare_since=now), Verdict.SHRINK
    may = load.copies < span.high and not load.coming and load.room and not load.blocked
    if may and state.short_since is not None and now - state.short_since >= GROW_AFTER_S:
        return replace(state, short_since=now), Verdict.GROW
    return state, Verdict.STAY
