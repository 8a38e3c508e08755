"""One rollout as the engine holds it, and its form in the store.

Owns: packing and unpacking, the view for screens. Never: a rule (core/rollout.py, core/trial.py), the store itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.cost import Outcome
from ..core.record import pack_rollout, unpack_rollout
from ..core.rollout import Rollout, Stage, judged
from ..core.snapshot import RolloutView
from ..core.trial import Trial
from ..core.words import plural, turns
from ..provider import Request

KEPT_SEEN = 20_000


@dataclass(slots=True, eq=False, kw_only=True)
class Running:
    """``name``: what the route will say after a promotion (a version or an alias).

    In blocks: ``halves`` are the old version's answers that wait for the new one's, question -> (grade, seconds);
    ``done`` all that was ever asked; ``ungraded`` how many of the clients' own prompts the new one has answered."""

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
    seen: dict[str, None] = field(default_factory=dict)  # its newest requests, which feedback may grade
    halves: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    ungraded: int = 0
    in_block: bool = False  # the new version has its turn in memory now

    def saw(self, request: str) -> None:
        self.seen[request] = None
        if len(self.seen) > KEPT_SEEN:
            del self.seen[next(iter(self.seen))]

    def view(self) -> RolloutView:
        state, trial = self.state, self.state.trial
        found = judged(state)
        return RolloutView(
            id=self.id, task=self.task, from_=self.old, to=self.new, phase=str(state.stage), share=state.share,
            pairs=trial.pairs, rule=state.plan.rule, paused=state.paused, verdict=str(found.verdict),
            p_worse=None if found.p_worse is None else round(found.p_worse, 3),
            canary_requests=0 if state.plan.blocks else trial.new_requests - trial.shadowed,
            slowdown=None if trial.slowdown is None else round(trial.slowdown, 2), reason=state.reason,
            why=found.why if state.open else state.why or found.why, ramp=state.ramp, started_at=state.began,
            next_step_at=state.next_step_at, ended_at=self.ended_at,
            blocks=state.blocks if state.plan.blocks else None, in_block=self.in_block,
            next_block_at=state.next_block_at,
        )  # fmt: skip


def pack(running: Running) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "id": running.id, "task": running.task, "old": running.old, "new": running.new, "name": running.name,
        "salt": running.salt, "asked": running.asked, "ended_at": running.ended_at,
        "state": pack_rollout(running.state), "halves": {k: list(v) for k, v in running.halves.items()},
        "done": sorted(running.done), "ungraded": running.ungraded,
    }  # fmt: skip


def unpack(stored: Mapping[str, Any]) -> Running:
    """The reverse of :func:`pack`. Raises KeyError, TypeError, ValueError on what it can't read."""
    rest = {k: v for k, v in stored.items() if k not in ("state", "halves", "done")}
    halves = {str(id): (float(grade), s) for id, (grade, s) in stored.get("halves", {}).items()}
    done = set(stored.get("done", ()))
    return Running(**rest, state=unpack_rollout(stored["state"]), halves=halves, done=done)


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
    return served if outcome.quality is None else served.told(outcome.quality, outcome.quality_source, new=new)


def sentence(view: RolloutView) -> str:
    """For the narrator: how it stands, with its figures."""
    asked = f"{plural(view.pairs, 'question')} answered by both"
    worse = "" if view.p_worse is None else f", P(worse) {view.p_worse:.2f}".replace("0.", ".")
    if view.blocks is not None:
        doing = f"{view.to} and {view.from_} take turns in memory, {_turn(view)}"
    elif view.phase == Stage.SHADOW:
        doing = f"{view.to} is on trial in the shadow of {view.from_}"
    else:
        doing = f"{view.to} {'is paused at' if view.paused else 'serves'} {view.share:.0%} beside {view.from_}"
    return f"{view.task}: {doing}; {asked}{worse}, {view.verdict.replace('_', ' ')}."


def _turn(view: RolloutView) -> str:
    """Of two that take turns in memory."""
    if view.paused:
        return "paused"
    return turns(view.blocks, running=view.in_block) if view.blocks else "the first block is being prepared"
