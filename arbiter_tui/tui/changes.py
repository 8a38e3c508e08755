"""What changed, newest first: the swaps, and what was no swap: a trial's steps, an appointment that came to nothing.

Owns: which of these are worth a line of the history, and their words. Never: drawing, asking the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.snapshot import OperationView, RolloutView, Snapshot, SwapView

ENDS = ("promoted", "withdrawn", "aborted")  # of a trial: its phase is the result of its line
CAME_TO_NOTHING = {"cancelled": "dropped", "failed": "refused"}  # of an appointment
NEAR_S = 5.0  # a swap by the schedule begins so soon after its moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(SwapView):
    """A line of the history that is no swap: drawn like one, opened as what it is.

    ``result``: begun, step, promoted, withdrawn, aborted (of a trial); dropped, refused (of an appointment).
    """

    trial: RolloutView | None = None
    appointment: OperationView | None = None
    share: float = 0.0


def changes(snapshot: Snapshot) -> tuple[SwapView, ...]:
    """Everything of a snapshot, newest first."""
    more = steps(snapshot.rollouts, snapshot.operations, snapshot.swaps)
    return in_order(snapshot.swaps, more) if more else snapshot.swaps


def in_order(swaps: Iterable[SwapView], more: Iterable[Step]) -> tuple[SwapView, ...]:
    """A swap stands above what led to it in the same moment."""
    return tuple(sorted((*swaps, *more), key=lambda s: (-s.started_at, isinstance(s, Step))))


def steps(
    rollouts: Iterable[RolloutView], operations: Iterable[OperationView], swaps: Sequence[SwapView]
) -> tuple[Step, ...]:
    """``swaps``: those that have a line already; what one of them tells is not told again."""
    return (
        *(step for r in rollouts for step in of_trial(r, swaps)),
        *(step for o in operations if (step := of_appointment(o, swaps)) is not None),
    )


def of_trial(r: RolloutView, swaps: Sequence[SwapView]) -> list[Step]:
    """Its begin, each share it was given, its end; a promotion is told by its swap where that is known."""

    def at(moment: float, name: str, result: str, reason: str, share: float = 0.0) -> Step:
        return Step(
            id=f"{r.id}/{name}", task=r.task, from_=r.from_, to=r.to, trigger="trial", result=result, reason=reason,
            started_at=moment, trial=r, share=share,
        )  # fmt: skip

    unseen = "unseen by clients at first" if r.blocks is None else "in blocks, for one of them fits into memory"
    out = [at(r.started_at, "begun", "begun", f"on trial beside {r.from_ or 'nobody'}, {unseen}")]
    for n, (moment, share) in enumerate(r.ramp):
        out.append(at(moment, f"share{n}", "step", f"it answers {share:.0%} of the requests from here on", share))
    told = any(s.evidence.get("rollout") == r.id and s.result == "done" for s in swaps)
    if r.ended_at is not None and r.phase in ENDS and not (told and r.phase == "promoted"):
        out.append(at(r.ended_at, r.phase, r.phase, r.reason or r.phase))
    return out


def of_appointment(o: OperationView, swaps: Sequence[SwapView]) -> Step | None:
    """One that was dropped or refused; one that became a swap is told by that."""
    ended, result = o.result.get("ended_at"), CAME_TO_NOTHING.get(o.state)
    if o.kind != "appointment" or result is None or not isinstance(ended, int | float):
        return None
    task, to = str(o.result.get("task", "")), str(o.result.get("to", ""))
    planned = float(o.result.get("at") or ended)
    became = (s for s in swaps if s.trigger == "schedule" and (s.task, s.to) == (task, to))
    if any(s.started_at >= planned - NEAR_S for s in became):
        return None
    return Step(
        id=o.id, task=task, from_=None, to=to, trigger="schedule", result=result, reason=o.message,
        started_at=float(ended), appointment=o,
    )  # fmt: skip
