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

**In blocks** (``Plan.blocks``): old and new don't fit into memory together, so nobody can be served by both sides and
there is no ramp. It stays in the shadow; the new version is loaded for one block of questions after another, at most
one load in ``load_every_s``. Evidence that says *roll back* withdraws it at once, as ever. Every ``every_s`` a tick
looks: *promote* promotes, and so does evidence that would have let the ramp climb as often as the ramp is long. Time
limit, pause, resume and orders by hand are the same.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from .snapshot import Why
from .trial import CLIMB_BELOW, MIN_PAIRS, Judgement, Rule, Trial, Verdict, judge
from .words import chance, plural

MAX_STEPS = 30  # so many times ``every_s`` and it ends without a verdict, unless the plan says otherwise


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
    BLOCK = "block"  # the new version is being loaded for a block of questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """``trial``: with ``evidence``, the evidence as it is now; ``message``: why (``fault``, ``abort``, ``promote``)."""

    kind: Kind
    trial: Trial | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``every_s``: seconds between two steps; shares in 0..1. ``blocks``: old and new take turns in memory, with at
    most one load of the new one in ``load_every_s``. ``max_steps``: so many times ``every_s`` and it ends without a
    verdict; ``max_slowdown``: so many times the old one's seconds and it is too slow (None: as slow as it is)."""

    rule: Rule = "posterior"
    start: float = 0.10
    step: float = 0.10
    every_s: float = 3600.0
    blocks: bool = False
    load_every_s: float = 600.0
    max_steps: int = MAX_STEPS
    max_slowdown: float | None = None

    @property
    def max_s(self) -> float:
        return self.max_steps * self.every_s

    @property
    def looks(self) -> int:
        """So often the evidence must let the ramp climb, from its first share to the end."""
        return math.ceil((1.0 - self.start) / self.step - 1e-9) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """``began``, ``step_at``, ``block_at``: seconds of one clock that survives restarts. ``ramp``: (when, share),
    oldest first. ``blocks``: how many have begun, the newest at ``block_at``."""

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
    blocks: int = 0
    block_at: float | None = None
    looked: int = 0  # in blocks: how often the evidence would have let the ramp climb

    @property
    def open(self) -> bool:
        return self.stage in OPEN

    @property
    def next_block_at(self) -> float | None:
        """From when on the new version may be loaded for the next block; None where none is due: it is paused, over, or
        both fit."""
        if not (self.plan.blocks and self.open) or self.paused:
            return None
        return self.began if self.block_at is None else self.block_at + self.plan.load_every_s

    @property
    def next_step_at(self) -> float | None:
        """When the ramp may climb next; None while it is paused or over."""
        return self.step_at + self.plan.every_s if self.open and not self.paused else None


Effects = tuple[Effect, ...]


def begin(plan: Plan, now: float, trial: Trial | None = None) -> Rollout:
    """``trial``: with what the old version had shown before."""
    reason = "both don't fit into memory: it answers in blocks, and no client before its promotion"
    return Rollout(plan=plan, began=now, step_at=now, trial=trial or Trial(), reason=reason if plan.blocks else "")


def judged(state: Rollout) -> Judgement:
    """The verdict on its evidence by its own plan."""
    return judge(state.trial, rule=state.plan.rule, max_slowdown=state.plan.max_slowdown)


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
        case Kind.BLOCK:
            due = state.next_block_at
            begins = due is not None and now >= due
            return (replace(state, blocks=state.blocks + 1, block_at=now) if begins else state), ()
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
    found = judged(state)
    if found.verdict is Verdict.ROLL_BACK:
        return _close(replace(state, why=found.why), Stage.WITHDRAWN, _sentence(found))
    return _shadow_over(state, now) if state.stage is Stage.SHADOW else (state, ())


def _shadow_over(state: Rollout, now: float) -> tuple[Rollout, Effects]:
    waited = now - state.began >= state.plan.every_s
    enough = waited or state.trial.pairs >= MIN_PAIRS or state.plan.rule == "literal"
    if not (state.ready and enough) or state.paused or state.stage is not Stage.SHADOW or state.plan.blocks:
        return state, ()
    return _share(replace(state, stage=Stage.CANARY), state.plan.start, now)


def _tick(state: Rollout, now: float) -> tuple[Rollout, Effects]:
    if now - state.began >= state.plan.max_s:
        found = judged(state)
        return _close(replace(state, why=found.why), Stage.WITHDRAWN, "no verdict in time")
    if state.paused:
        return state, ()
    if state.stage is Stage.SHADOW and not state.plan.blocks:
        return _shadow_over(state, now)
    if now - state.step_at < state.plan.every_s:
        return state, ()
    found = judged(state)
    if found.verdict is Verdict.ROLL_BACK:
        return _close(replace(state, why=found.why), Stage.WITHDRAWN, _sentence(found))
    if state.plan.blocks:
        return _after_blocks(replace(state, step_at=now, why=found.why), found)
    if not found.climb:
        return replace(state, why=found.why, reason=_held(state, found)), ()
    if state.share >= 1.0:
        reason = f"has served everybody for a step; {_told(found)}"
        return replace(state, stage=Stage.PROMOTING, why=found.why, reason=reason), (Effect.PROMOTE,)
    return _share(replace(state, why=found.why), min(1.0, state.share + state.plan.step), now)


def _after_blocks(state: Rollout, found: Judgement) -> tuple[Rollout, Effects]:
    """There is no ramp to climb: its steps are counted instead, and a verdict is enough."""
    if not found.climb:
        return replace(state, reason=_held(state, found)), ()
    state = replace(state, looked=state.looked + 1)
    after = f"after {plural(state.blocks, 'block')}: {_told(found)}"
    if found.verdict is Verdict.PROMOTE or state.looked >= state.plan.looks:
        return replace(state, stage=Stage.PROMOTING, reason=f"promoted {after}"), (Effect.PROMOTE,)
    return replace(state, reason=f"step {state.looked} of {state.plan.looks}, {after}"), ()


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
        told = f"{_told(found)}, and it {'goes on' if state.plan.blocks else 'climbs'} below {chance(CLIMB_BELOW)}"
    where = f"after {plural(state.blocks, 'block')}" if state.plan.blocks else f"at {state.share:.0%}"
    return f"holds {where}, the evidence is too weak: {told}"


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
