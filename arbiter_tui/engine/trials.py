"""One rollout as the engine holds it, and its form in the store.

Owns: packing and unpacking, the view for screens. Never: a rule (core/rollout.py, core/trial.py), the store itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.cost import Outcome
from ..core.record import pack_rollout, unpack_rollout
from ..core.rollout import Rollout
from ..core.snapshot import RolloutView
from ..core.stats import TRUST
from ..core.trial import Trial, judge
from ..provider import Request


@dataclass(slots=True, eq=False, kw_only=True)
class Running:
    """``name``: what the route will say after a promotion (a version or an alias)."""

    id: str
    task: str
    old: str
    new: str
    name: str
    state: Rollout
    salt: str = ""
    ended_at: float | None = None
    changed: bool = False  # since it was last stored
    asked: int = 0  # pairs of questions so far
    seen: set[str] = field(default_factory=set)  # requests of the trial that feedback may still grade

    def view(self) -> RolloutView:
        state, trial = self.state, self.state.trial
        found = judge(trial, rule=state.plan.rule)
        return RolloutView(
            id=self.id, task=self.task, from_=self.old, to=self.new, phase=str(state.stage), share=state.share,
            pairs=trial.pairs, rule=state.plan.rule, paused=state.paused, verdict=str(found.verdict),
            p_worse=None if found.p_worse is None else round(found.p_worse, 3), canary_requests=trial.new_requests,
            slowdown=None if trial.slowdown is None else round(trial.slowdown, 2), reason=state.reason,
            why=found.why if state.open else state.why or found.why, ramp=state.ramp, started_at=state.began,
            next_step_at=state.next_step_at, ended_at=self.ended_at,
        )  # fmt: skip


def pack(running: Running) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "id": running.id, "task": running.task, "old": running.old, "new": running.new, "name": running.name,
        "salt": running.salt, "asked": running.asked, "ended_at": running.ended_at,
        "state": pack_rollout(running.state),
    }  # fmt: skip


def unpack(stored: Mapping[str, Any]) -> Running:
    """The reverse of :func:`pack`. Raises KeyError, TypeError, ValueError on what it can't read."""
    rest = {k: v for k, v in stored.items() if k != "state"}
    return Running(**rest, state=unpack_rollout(stored["state"]))


def key_of(request: Request) -> str:
    """What stays the same through a conversation: the user where the client names one, else how it began."""
    user = request.extra.get("user")
    if isinstance(user, str) and user:
        return f"user {user}"
    if not request.messages:
        return f"prompt {request.prompt or ''}"
    began = []
    for message in request.messages:
        began.append(f"{message.role} {message.content}")
        if message.role == "user":
            break
    return "\n".join(began)


def with_outcome(trial: Trial, outcome: Outcome, *, new: bool, limit_s: float | None) -> Trial:
    """A client's request that has ended; the grade, where it has one at once, counts by its source's trust."""
    served = trial.served(new=new, success=outcome.success, latency_s=outcome.latency_s, limit_s=limit_s)
    return served if outcome.quality is None else graded(served, outcome.quality, outcome.quality_source, new=new)


def graded(trial: Trial, quality: float, source: str | None, *, new: bool) -> Trial:
    """A grade moves the evidence by its source's trust: the rest of it says that nothing is different."""
    mean, trust = trial.old_mean, TRUST.get(source or "", 0.5)
    return trial.grade(quality if mean is None else mean + trust * (quality - mean), new=new)
