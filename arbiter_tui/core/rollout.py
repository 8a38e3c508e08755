"""A rollout as a state machine: a version on trial beside the one that serves, until it is promoted or taken back.

Owns: the phases, the ramp, what each event does to them, who is assigned to the trial. Never: serves, asks, measures
(engine/rollouts.py does), weighs evidence (trial.py does), reads a clock.

=========  ==============================================  ===========================================================
phase      event                                           next
=========  ==============================================  ===========================================================
shadow     ready                                           canary at ``start`` once MIN_PAIRS pairs are there or the
                                                           time of one step is over (rule ``literal``: at once)
canary     evidence (a pair, a grade, a request) that      withdrawn; effect withdraw
           says *roll back*
canary     tick after ``every_s``, evidence lets it climb  share + ``step``; at 1.0: promoting; effects share, promote
canary     tick after ``every_s``, evidence is weak        the same share: the ramp holds
any open   tick after ``max_s``                            withdrawn: no verdict in time
any open   pause / resume                                  paused: the share stays, nothing climbs; resume counts anew
any open   abort                                           aborted; effect withdraw
any open   promote (by hand)                               promoting; effect promote
any open   fault (it can't be loaded, does not fit ...)    withdrawn; effect withdraw
promoting  promoted / fault                                promoted / withdrawn; effect withdraw on a fault
closed     anything                                        the same, nothing
=========  ==============================================  ===========================================================
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum

from .snapshot import Why
from .trial import CLIMB_BELOW, MIN_PAIRS, Judgement, Rule, Trial, Verdict, judge
from .words import chance, plural

MAX_STEPS = 30  # so many times ``every_s`` and it ends without a verdict


class Stage(StrEnum):
    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    WITHDRAWN = "withdrawn"
    ABORTED = "aborted"


OPEN = frozenset({Stage.SHADOW, Stage.CANARY})
CLOSED = frozenset({Stage.PROMOTED, Stage.WITHDRAWN, Stage.ABORTED})


class Effect(StrEnum):
    SHARE = "share"  # the route's candidate_share becomes ``state.share``
    PROMOTE = "promote"  # swap the task to the new version
    WITHDRAW = "withdraw"  # the route has no candidate any more
    CLOSE = "close"  # the record is written


class Kind(StrEnum):
    READY = "ready"
    EVIDENCE = "evidence"
    TICK = "tick"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    PROMOTE = "promote"
    PROMOTED = "promoted"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """``trial``: with ``evidence``, the evidence as it is now; ``message``: why (``fault``, ``abort``, ``promote``)."""

    kind: Kind
    trial: Trial | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``every_s``: seconds between two steps; shares in 0..1."""

    rule: Rule = "posterior"
    start: float = 0.10
    step: float = 0.10
    every_s: float = 3600.0

    @property
    def max_s(self) -> float:
        return MAX_STEPS * self.every_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """``began``, ``step_at``: seconds of one clock that survives restarts. ``ramp``: (when, share), oldest first."""

    plan: Plan = field(default_factory=Plan)
    stage: Stage = Stage.SHADOW
    share: float = 0.0
    paused: bool = False
    ready: bool = False
    began: float = 0.0
    step_at: float = 0.0
    trial: Trial = field(default_factory=Trial)
    ramp: tuple[tuple[float, float], ...] = ()
    reason: str = ""
    why: tuple[Why, ...] = ()

    @property
    def open(self) -> bool:
        return self.stage in OPEN

    @property
    def next_step_at(self) -> float | None:
        """When the ramp may climb next; None while it is paused or over."""
        return self.step_at + self.plan.every_s if self.open and not self.paused else None


Effects = tuple[Effect, ...]


def begin(plan: Plan, now: float, trial: Trial | None = None) -> Rollout:
    """``trial``: with what the old version had shown before."""
    return Rollout(plan=plan, began=now, step_at=now, trial=trial or Trial())


def promoted_by(trigger: str) -> Event:
    """It serves everybody already; ``trigger``: of the swap that did it."""
    known = {"rollback": "a rollback", "auto": "the autopilot", "schedule": "an appointment"}
    how = known.get(trigger, "a swap by hand")
    return Event(kind=Kind.PROMOTE, message=f"over before its end: {how} gave it the task")


def step(state: Rollout, event: Event, now: float) -> tuple[Rollout, Effects]:
    """One row of the table above."""
    if state.stage in CLOSED:
        return state, ()
    if state.stage is Stage.PROMOTING:
        return _promoting(state, event)
    match event.kind:
        case Kind.PAUSE:
            return replace(state, paused=True), ()
        case Kind.RESUME:
            return replace(state, paused=False, step_at=now), ()
        case Kind.ABORT:
            return _close(state, Stage.ABORTED, event.message or "taken back by hand")
        case Kind.PROMOTE:
            reason = event.message or "promoted by hand"
            return replace(state, stage=Stage.PROMOTING, reason=reason), (Effect.PROMOTE,)
        case Kind.FAULT:
            return _close(state, Stage.WITHDRAWN, event.message or "it failed")
        case Kind.READY:
            return _shadow_over(replace(state, ready=True), now)
        case Kind.EVIDENCE:
            return _weighed(replace(state, trial=event.trial or state.trial), now)
        case Kind.TICK:
            return _tick(state, now)
        case _:  # promoted, without a word that it should be
            return state, ()


def _promoting(state: Rollout, event: Event) -> tuple[Rollout, Effects]:
    if event.kind is Kind.PROMOTED:
        return replace(state, stage=Stage.PROMOTED, share=1.0), (Effect.CLOSE,)
    if event.kind is Kind.FAULT:
        return _close(state, Stage.WITHDRAWN, event.message or "the swap failed")
    if event.kind is Kind.EVIDENCE:
        return replace(state, trial=event.trial or state.trial), ()
    return state, ()


def _weighed(state: Rollout, now: float) -> tuple[Rollout, Effects]:
    """Taking back never waits for a step, nor for the end of a pause."""
    found = judge(state.trial, rule=state.plan.rule)
    if found.verdict is Verdict.ROLL_BACK:
        return _close(replace(state, why=found.why), Stage.WITHDRAWN, _sentence(found))
    return _shadow_over(state, now) if state.stage is Stage.SHADOW else (state, ())


def _shadow_over(state: Rollout, now: float) -> tuple[Rollout, Effects]:
    waited = now - state.began >= state.plan.every_s
    enough = waited or state.trial.pairs >= MIN_PAIRS or state.plan.rule == "literal"
    if not (state.ready and enough) or state.paused or state.stage is not Stage.SHADOW:
        return state, ()
    return _share(replace(state, stage=Stage.CANARY), state.plan.start, now)


def _tick(state: Rollout, now: float) -> tuple[Rollout, Effects]:
    if now - state.began >= state.plan.max_s:
        found = judge(state.trial, rule=state.plan.rule)
        return _close(replace(state, why=found.why), Stage.WITHDRAWN, "no verdict in time")
    if state.paused:
        return state, ()
    if state.stage is Stage.SHADOW:
        return _shadow_over(state, now)
    if now - state.step_at < state.plan.every_s:
        return state, ()
    found = judge(state.trial, rule=state.plan.rule)
    if found.verdict is Verdict.ROLL_BACK:
        return _close(replace(state, why=found.why), Stage.WITHDRAWN, _sentence(found))
    if not found.climb:
        return replace(state, why=found.why, reason=_held(state, found)), ()
    if state.share >= 1.0:
        reason = f"has served everybody for a step; {_told(found)}"
        return replace(state, stage=Stage.PROMOTING, why=found.why, reason=reason), (Effect.PROMOTE,)
    return _share(replace(state, why=found.why), min(1.0, state.share + state.plan.step), now)


def _share(state: Rollout, share: float, now: float) -> tuple[Rollout, Effects]:
    share = round(share, 6)
    grown = replace(state, share=share, step_at=now, ramp=(*state.ramp, (now, share)), reason=f"serves {share:.0%}")
    return grown, (Effect.SHARE,)


def _close(state: Rollout, stage: Stage, reason: str) -> tuple[Rollout, Effects]:
    return replace(state, stage=stage, share=0.0, reason=reason), (Effect.WITHDRAW, Effect.CLOSE)


def _held(state: Rollout, found: Judgement) -> str:
    if state.trial.graded < MIN_PAIRS:
        told = f"{state.trial.graded} of {plural(MIN_PAIRS, 'answer')} graded"
    else:
        told = f"{_told(found)}, and it climbs below {chance(CLIMB_BELOW)}"
    return f"holds at {state.share:.0%}, the evidence is too weak: {told}"


def _sentence(found: Judgement) -> str:
    first = found.why[0]
    over = first.value is not None and first.threshold is not None and first.value > first.threshold
    return f"taken back: {_told(found)}, {'over' if over else 'below'} {chance(first.threshold)}"


def _told(found: Judgement) -> str:
    first = found.why[0]
    return f"{first.rule} is {chance(first.value)}"


def in_share(key: str, salt: str, share: float) -> bool:
    """Whether ``key`` (a conversation, a user) belongs to the trial ``salt`` at this share. Sticky: who belongs to it
    at one share belongs to it at every larger one."""
    if share <= 0.0:
        return False
    number = int.from_bytes(hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest(), "big")
    return number < share * 2.0**64
