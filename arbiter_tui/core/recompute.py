"""A stored decision, computed again from its own record by the code that decides.

Owns: which part of a record is a claim, and the claim that its basis leads to. Never: reads the store, mends a record.

A record without a basis (written before there were any, or by another form of it) can't be computed again: None. What
an operator did by hand (a veto, a swap, an order to a rollout) is an input like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from .autoswap import AutoSwapVerdict, decide
from .record import FORM, unpack_criteria, unpack_input, unpack_stats, unpack_step
from .registry import ModelVersion
from .rollout import Effects, Rollout, step
from .scoring import EMPTY, Scale, score
from .selection import chosen
from .snapshot import Why
from .tasks import Task

Record = Mapping[str, Any]
Claim = dict[str, Any]


def whys(why: tuple[Why, ...]) -> list[dict[str, Any]]:
    return [asdict(w) for w in why]


def of_verdict(verdict: AutoSwapVerdict) -> Claim:
    """What a record of the autopilot says."""
    return {
        "verdict": verdict.action, "to": verdict.to, "trigger": verdict.trigger, "sentence": verdict.sentence,
        "why": whys(verdict.why),
    }  # fmt: skip


def of_step(after: Rollout, effects: Effects) -> Claim:
    """What a record of a rollout's step says."""
    return {
        "verdict": str(after.stage), "share": after.share, "sentence": after.reason, "why": whys(after.why),
        "effects": [str(effect) for effect in effects],
    }  # fmt: skip


def recomputed(record: Record) -> Claim | None:
    """What the record should say, by its own basis; None if it has none.

    Raises KeyError, TypeError, ValueError, WireUnreadable where the basis is damaged.
    """
    basis = record.get("basis")
    again = AGAIN.get(str(record.get("kind")))
    if again is None or not isinstance(basis, Mapping) or basis.get("form") != FORM:
        return None
    return again(basis)


def same(record: Record) -> bool | None:
    """Whether the record says what its basis leads to; None where that can't be told."""
    claim = recomputed(record)
    return None if claim is None else all(record.get(key) == value for key, value in claim.items())


def _autopilot(basis: Record) -> Claim:
    return of_verdict(decide(unpack_input(basis)))


def _veto(basis: Record) -> Claim:
    """The verdict that was announced, and the hold that the veto set."""
    announced = decide(unpack_input(basis))
    return {
        "verdict": "veto", "to": announced.to, "announced": announced.sentence, "why": whys(announced.why),
        "hold_until": max(basis["held_until"], basis["vetoed_at"] + basis["hold_s"]),
    }  # fmt: skip


def _selection(basis: Record) -> Claim:
    task = Task(name=basis["task"], criteria=unpack_criteria(basis["criteria"]))
    scale = Scale.of(task.criteria, basis["now"])
    ranked = [
        score(
            scale, ModelVersion(version=name, provider="", model=name, source="", parallel=known["parallel"]),
            EMPTY if known["stats"] is None else unpack_stats(known["stats"]), {name: known["prior"]},
        )
        for name, known in basis["qualified"].items()
    ]  # fmt: skip
    ranked.sort(key=lambda s: s.order)
    found = chosen(task, ranked, basis["disqualified"])
    return {"verdict": found.primary, "reasoning": list(found.reasoning)}


def _rollout(basis: Record) -> Claim:
    return of_step(*step(*unpack_step(basis)))


AGAIN: Mapping[str, Callable[[Record], Claim]] = {
    "autopilot": _autopilot, "veto": _veto, "selection": _selection, "rollout": _rollout,
}  # fmt: skip
