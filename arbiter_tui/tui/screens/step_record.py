"""The record of what changed without being a swap: a trial, an appointment that came to nothing.

Owns: their lines. Never: asking, what a dialog offers.
"""

from __future__ import annotations

from ...core.snapshot import OperationView, RolloutView
from .. import format as fmt
from ..changes import Step
from ..text import Line, line, paragraphs
from ..widgets.swaps import RESULTS, word_of
from .explain import pair
from .trial import facts


def step_lines(step: Step, width: int) -> list[Line]:
    """What this line of the history says, then all that is known of what it belongs to."""
    glyph, token = RESULTS.get(step.result, ("?", "unit"))
    lines = [line((f"{glyph} {word_of(step)}", token), (f"  {fmt.moment(step.started_at)}", "unit")), line()]
    if step.reason:
        lines += [*paragraphs(step.reason, width, "label"), line()]
    if step.trial is not None:
        lines += _trial(step.trial, width)
    if step.appointment is not None:
        lines += _appointment(step.appointment, step, width)
    return lines


def _trial(r: RolloutView, width: int) -> list[Line]:
    """The trial as it stands now, and each of its shares with its moment."""
    lines = [line(("the whole trial", "head")), *facts(r, width), line(), line(("its steps", "head"))]
    lines += pair("begun", fmt.moment(r.started_at), width)
    for moment, share in r.ramp:
        lines += pair(f"{share:.0%}", fmt.moment(moment), width)
    if r.ended_at is not None:
        lines += pair(r.phase, fmt.moment(r.ended_at), width)
    elif r.next_step_at is not None:
        lines += pair("next step", f"{fmt.moment(r.next_step_at)} at the earliest", width)
    return lines


def _appointment(o: OperationView, step: Step, width: int) -> list[Line]:
    planned = o.result.get("at")
    lines = pair("task", step.task, width) + pair("to", step.to, width)
    if isinstance(planned, int | float):
        lines += pair("was planned for", fmt.moment(float(planned)), width)
    lines += pair("as", "a trial" if o.result.get("canary") else "a swap", width)
    return lines + pair("id", o.id, width)
