"""Replay: the rules of live decisions on recorded outcomes. One request is one row, in the order that is given, at its
recorded moment or one after the other at an even rate.

Owns: how a row becomes the events of a rollout, or an outcome for the detectors. Never: reads a file, draws the order
(the caller does), another rule than the live one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from .cost import Outcome
from .drift import Alarm, Detectors
from .rollout import Event, Kind, Plan, Rollout, Stage, begin, in_share, judged, step
from .snapshot import Why
from .trial import Trial, Verdict
from .words import plural


@dataclass(frozen=True, slots=True)
class Pair:
    """One question's recorded answers: qualities 0..1 (None: nobody graded it, or it failed), latencies in seconds.
    ``at``: seconds after the first row; of all rows or of none."""

    old: float | None
    new: float | None
    old_s: float | None = None
    new_s: float | None = None
    old_ok: bool = True
    new_ok: bool = True
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutReplay:
    """``canary_requests``: answers that clients got from the new version before the verdict."""

    verdict: Verdict
    canary_requests: int
    requests: int
    pairs: int
    p_worse: float | None
    slowdown: float | None
    ramp: tuple[tuple[float, float], ...] = ()
    reason: str = ""
    why: tuple[Why, ...] = field(default=())
    blocks: int = 0


def replay_rollout(
    rows: Sequence[Pair], *, plan: Plan, known: Trial, requests_per_hour: float, shadow: float, salt: str,
    limit_s: float | None = None,
) -> RolloutReplay:  # fmt: skip
    """``known``: what the old version had shown before; ``shadow``: share of the rows whose other answer is asked for,
    too; ``salt`` decides who belongs to the trial; ``limit_s``: the task's ``max_latency_s``. ``requests_per_hour`` is
    the clock of rows without a moment."""
    state = step(begin(plan, 0.0, known), Event(kind=Kind.READY), 0.0)[0]
    canary = seen = 0
    for number, row in enumerate(rows):
        now = number * 3600.0 / requests_per_hour if row.at is None else row.at
        state, _ = step(state, Event(kind=Kind.TICK), now)
        if not state.open:
            break
        seen = number + 1
        new = in_share(str(number), salt, state.share)
        canary += new
        paired = plan.rule == "posterior" and in_share(str(number), f"{salt}/shadow", shadow)
        trial = _shown(state.trial, row, new=new, paired=paired, limit_s=limit_s)
        state, _ = step(state, Event(kind=Kind.EVIDENCE, trial=trial), now)
        if not state.open:
            break
    return _result(state, canary, seen)


def replay_in_blocks(
    rows: Sequence[Pair], *, plan: Plan, known: Trial, requests_per_hour: float, shadow: float, salt: str, block: int,
    limit_s: float | None = None,
) -> RolloutReplay:  # fmt: skip
    """As ``replay_rollout``, but only one version fits into memory: clients are served by the old one alone, and
    the requests kept meanwhile (``shadow``: the share of them) are answered by both in blocks of at most ``block``, one
    each ``plan.load_every_s``; the last ones after the rows have ended."""
    state = begin(replace(plan, blocks=True), 0.0, known)
    per_s, kept, seen = requests_per_hour / 3600.0, list[Pair](), 0
    arriving, moments = iter(enumerate(rows)), [row.at for row in rows if row.at is not None]
    while state.open and (seen < len(rows) or kept):
        now = (state.blocks + 1) * plan.load_every_s
        came = bisect_right(moments, now) if moments else min(len(rows), math.floor(now * per_s))
        while seen < came:
            number, row = next(arriving)
            seen = number + 1
            state = replace(state, trial=state.trial.served(new=False, success=row.old_ok))
            if row.old_ok and in_share(str(number), f"{salt}/shadow", shadow):
                kept.append(row)
        state = step(state, Event(kind=Kind.BLOCK), now)[0]
        state, kept = _one_block(state, kept, block, now, limit_s)
        state = step(state, Event(kind=Kind.TICK), now)[0]
    return _result(state, 0, seen)


def _one_block(
    state: Rollout, kept: list[Pair], block: int, now: float, limit_s: float | None
) -> tuple[Rollout, list[Pair]]:  # fmt: skip
    for row in kept[:block]:
        trial = state.trial.served(new=True, success=row.new_ok, latency_s=row.new_s, limit_s=limit_s)
        if row.old is not None and row.new is not None:
            trial = trial.pair(row.old, row.new, row.old_s, row.new_s)
        state, _ = step(state, Event(kind=Kind.EVIDENCE, trial=trial), now)
        if not state.open:
            break
    return state, kept[block:]


def _shown(trial: Trial, row: Pair, *, new: bool, paired: bool, limit_s: float | None) -> Trial:
    ok, seconds, grade = (row.new_ok, row.new_s, row.new) if new else (row.old_ok, row.old_s, row.old)
    trial = trial.served(new=new, success=ok, latency_s=seconds, limit_s=limit_s)
    if paired and row.old is not None and row.new is not None:
        return trial.pair(row.old, row.new, row.old_s, row.new_s)
    return trial if grade is None else trial.grade(grade, new=new)


def _result(state: Rollout, canary: int, seen: int) -> RolloutReplay:
    found = judged(state)
    if state.stage is Stage.WITHDRAWN:
        verdict = Verdict.ROLL_BACK
    else:
        verdict = Verdict.PROMOTE if state.stage is Stage.PROMOTING else found.verdict
    return RolloutReplay(
        verdict=verdict, canary_requests=canary, requests=seen, pairs=state.trial.pairs, p_worse=found.p_worse,
        slowdown=state.trial.slowdown, ramp=state.ramp, reason=_reason(state), why=found.why,
        blocks=state.blocks,
    )  # fmt: skip


def _reason(state: Rollout) -> str:
    """Of a trial that is still open when the rows end: how far it has come."""
    if not state.open:
        return state.reason
    if state.plan.blocks:
        return f"the rows end after {plural(state.blocks, 'block')}"
    if state.stage is Stage.SHADOW:
        return "the rows end before it serves anybody"
    return state.reason if state.reason.startswith("holds") else f"the rows end while it {state.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alarm after ``at`` requests (the first one is 1), ``at_s`` seconds after the first one."""

    at: int
    at_s: float
    alarm: Alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectReplay:
    """``change_at``: how many requests came before the change, None where none is declared: then each alarm is false.
    ``delay``: requests from the change to its alarm, None if it was not found."""

    requests: int
    change_at: int | None
    alarms: tuple[Raised, ...]

    @property
    def _unchanged(self) -> int:
        return self.requests if self.change_at is None else min(self.change_at, self.requests)

    @property
    def delay(self) -> int | None:
        if self.change_at is None:
            return None
        return next((raised.at - self.change_at for raised in self.alarms if raised.at > self.change_at), None)

    @property
    def false_alarms_per_1000(self) -> float | None:
        if not self._unchanged:
            return None
        return 1000.0 * sum(raised.at <= self._unchanged for raised in self.alarms) / self._unchanged


def replay_detect(outcomes: Iterable[Outcome], *, change_at: int | None = None) -> DetectReplay:
    """The live detectors over the outcomes of one version on one task, in order."""
    detectors, raised, count, began = Detectors(), [], 0, math.inf
    for outcome in outcomes:
        count, began = count + 1, min(began, outcome.at)
        detectors, alarms = detectors.observe(outcome)
        raised += [Raised(at=count, at_s=outcome.at - began, alarm=alarm) for alarm in alarms]
    return DetectReplay(requests=count, change_at=change_at, alarms=tuple(raised))
