"""What the autopilot is about to do, and an operator's veto of it.

Owns: the grace between a verdict and its swap, what is announced, the record of a veto. Never: decides
(core/autoswap.py), swaps.

A better model that takes over is announced ``announce_s`` long ([autopilot], 0: it takes over at once). So is one that
only the cooldown holds back, for then it is known what will happen, and when. With ``batch_s`` ([schedule]) better
models take over together, at the same moments for every task: what they load and evict is disturbed once. A degraded
model is replaced without grace: every second of it costs answers, and one key undoes it. A veto holds the task as a
swap by hand does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..core.autoswap import AutoSwapInput, AutoSwapVerdict
from ..core.guards import CONDITIONS
from ..core.recompute import whys
from ..core.record import pack_input
from ..errors import Refused
from .decisions import Decisions
from .hot_swap import Swapper
from .live import Live

ACTS = ("swap", "rollback")


@dataclass(frozen=True, slots=True)
class Announced:
    """``at``: when it will happen (unix seconds); ``since``: when it was said first; ``given``: what the verdict was
    computed from."""

    to: str
    at: float
    since: float
    verdict: AutoSwapVerdict
    given: AutoSwapInput

    def sentence(self, now: float) -> str:
        """The verdict's own figures, and how long there is to object."""
        text = self.verdict.sentence.partition("; holding until ")[0]
        text = text.removesuffix("; swapping").removesuffix("; rolling back")
        verb = "rolling back" if self.verdict.action == "rollback" else "swapping"
        return f"{text}; {verb} in {max(1, round(self.at - now))} s unless you press n"


class Announcements:
    def __init__(self, live: Live, decisions: Decisions, swapper: Swapper) -> None:
        self._live, self._decisions, self._swapper = live, decisions, swapper
        self.known: dict[str, Announced] = {}
        self.vetoing: set[str] = set()

    def acts(self, name: str, verdict: AutoSwapVerdict, given: AutoSwapInput) -> bool:
        """Whether its time has come; else it is announced, or no longer."""
        if verdict.to is None or not (verdict.action in ACTS or waits_only(verdict)):
            self._forget(name)
            return False
        before = self.known.get(name)
        since = before.since if before is not None and before.to == verdict.to else given.now
        grace = 0.0 if verdict.trigger == "degraded" else self._live.config.autopilot.announce_s
        cooled = 0.0 if given.last_swap_at is None else given.last_swap_at + given.limits.cooldown_s
        at = max(cooled, since + grace)
        batch_s = self._live.config.schedule.batch_s
        if batch_s > 0 and verdict.trigger != "degraded":
            at = math.ceil(at / batch_s) * batch_s
        if verdict.action in ACTS and given.now >= at:
            self._forget(name)
            return True
        said = Announced(verdict.to, at, since, verdict, given)
        self.known[name] = said
        if self._live.announced.get(name) != (verdict.to, at):
            self._live.announced[name] = (verdict.to, at)
            self._live.event("autopilot", said.sentence(given.now), task=name, action="announce", to=verdict.to)
        return False

    def _forget(self, name: str) -> None:
        self.known.pop(name, None)
        if self._live.announced.pop(name, None) is not None:
            self._live.dirty()

    async def veto(self, name: str) -> dict[str, Any]:
        """What is announced for a task does not happen: the task is held. Committed when this returns.

        Raises UnknownName; Refused where nothing is announced, or it has begun.
        """
        live = self._live
        live.task(name)
        said = self.known.get(name)
        if said is None or name in self.vetoing or self._swapper.running(name) is not None:
            running = self._swapper.running(name) is not None
            wanted = "roll it back when it is done" if running else "the autopilot announced a swap of it"
            state = "the swap has begun" if running else "the autopilot announces nothing"
            why = {"rule": "announced", "value": state, "threshold": None, "would_change_if": wanted}
            raise Refused(f"{name}: {state}", details={"why": [why]})
        now, config = live.clock.now(), live.config.autopilot
        until = now + (config.hold_s or config.cooldown_s or 300.0)
        self.vetoing.add(name)  # the autopilot must not act while the hold is being committed
        try:
            route = live.routes.get(name)
            held = max(route.hold_until, until)
            await live.store.save_route(replace(route, hold_until=held))
            newest = live.routes.get(name)
            live.put_route(replace(newest, hold_until=max(newest.hold_until, held)))
            self._forget(name)
            sentence = f"{said.to} was to take over {name}; the operator vetoed it"
            record = {
                "verdict": "veto", "to": said.to, "announced_at": said.since, "due_at": said.at, "hold_until": held,
                "sentence": sentence, "announced": said.verdict.sentence, "why": whys(said.verdict.why),
                "basis": {
                    **pack_input(said.given), "vetoed_at": now, "hold_s": until - now, "held_until": route.hold_until,
                },
            }  # fmt: skip
            decision = await self._decisions.save("veto", name, record)
        finally:
            self.vetoing.discard(name)
        live.event("autopilot", sentence, task=name, action="veto", to=said.to, decision=decision)
        return {"task": name, "to": said.to, "hold_until": held, "decision": decision}


def waits_only(verdict: AutoSwapVerdict) -> bool:
    """Held back by nothing but time that passes by itself: it will happen unless something changes."""
    held = {why.rule for why in verdict.why} & CONDITIONS
    return verdict.action == "hold" and held == {"cooldown"}
