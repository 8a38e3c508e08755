"""The autopilot: looks at the evidence, lets core/autoswap.py decide, carries the verdict out, says what it sees.

Owns: the loop, the records of its verdicts. Never: the rules (core/autoswap.py), when it may act (announcements.py),
the swap (hot_swap.py), what is said of it (narrator.py), what is measured.

Every look takes each task's newest evidence. A verdict that says something new is stored with all its figures and can
be explained by its id; a swap carries that id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from ..core.autoswap import AutoSwapInput, AutoSwapLimits, AutoSwapVerdict, challenger, decide, guards
from ..core.posterior import gain
from ..core.recompute import of_verdict
from ..core.record import pack_input
from ..core.routing import Route
from ..core.snapshot import SwapView, to_wire
from ..errors import ArbiterError
from .announcements import Announcements
from .beliefs import Beliefs
from .bench import Asker
from .budgets import Budgets
from .decisions import Decisions
from .evidence import Evidence
from .hot_swap import Swapper
from .live import Live
from .moves import Moves
from .narrator import Narrator
from .pool import Pool
from .recorder import Recorder
from .sentinels import Sentinels
from .swap_costs import SwapCosts

ASKS = frozenset({"oscillation", "budget"})  # vetoes that an operator should know of
MEASURING = frozenset({"fixed", "round_robin"})  # policies under which nothing is swapped by itself


class Autopilot:
    def __init__(
        self,
        live: Live,
        pool: Pool,
        evidence: Evidence,
        recorder: Recorder,
        decisions: Decisions,
        swapper: Swapper,
        asker: Asker,
    ) -> None:
        self._live = live
        self._pool = pool
        self._evidence = evidence
        self._recorder = recorder
        self._decisions = decisions
        self._swapper = swapper
        self._said: dict[str, tuple[object, ...]] = {}  # task -> what its last stored verdict said
        self._verdicts: dict[str, AutoSwapVerdict] = {}
        self._swaps: dict[str, asyncio.Task[None]] = {}
        self.moves = Moves(live)
        self.beliefs = Beliefs(live, evidence)
        self.budgets = Budgets(live)
        self._costs = SwapCosts(live, pool)
        self.announcements = Announcements(live, decisions, swapper)
        self.narrator = Narrator(live, evidence, self._verdicts, self.announcements.known)
        self.busy: Callable[[], bool] = lambda: False  # whether a client's request is running
        self.sentinels = Sentinels(live, pool, recorder, asker, lambda: self.busy())

    async def run(self) -> None:
        while True:
            await self.look()
            await self.sentinels.look()
            await self._live.clock.sleep(self._live.config.autopilot.interval_s)

    async def stop(self) -> None:
        """Ends what it began; the swaps themselves are the swapper's."""
        for task in list(self._swaps.values()):
            task.cancel()
        await asyncio.gather(*self._swaps.values(), return_exceptions=True)
        await self.sentinels.stop()

    async def look(self) -> dict[str, AutoSwapVerdict]:
        """One look at every task; starts the swaps that follow and returns the verdicts."""
        self._recorder.absorb()
        for name in list(self._live.tasks):
            if name in self._swaps or self._swapper.running(name) is not None:
                continue
            if name in self.announcements.vetoing:
                continue
            given = self.inputs(name)
            verdict = self._verdicts[name] = decide(given)
            acts = self.announcements.acts(name, verdict, given)
            decision = await self._store(name, verdict, given, acts=acts)
            if acts and name not in self._swaps:
                self._act(name, verdict, decision)
        self.narrate()
        return dict(self._verdicts)

    def judge(self, name: str) -> AutoSwapVerdict:
        """The verdict on one task now; changes nothing."""
        return decide(self.inputs(name))

    def outlook(self, name: str) -> dict[str, Any]:
        """What it would do with one task now, and every guard on the way with its value and limit; changes nothing."""
        self._recorder.absorb()
        given = self.inputs(name)
        verdict = decide(given)
        return {
            "action": verdict.action,
            "to": verdict.to,
            "trigger": verdict.trigger,
            "sentence": verdict.sentence,
            "guards": [asdict(guard) for guard in guards(given)],
        }

    def held(self, name: str) -> dict[str, Any]:
        """What the task's policy holds of each version beside the incumbent (P(best), the bounds of its lead, what is
        gained on average by taking the better one), and what is expected of those that nobody has graded."""
        known = {belief.version: belief for belief in self.beliefs.of(name)}
        route = self._resolved(self._live.routes.get(name))
        serving = known.get(route.incumbent or "")
        told = [
            {**asdict(b), **({} if serving is None else {"lead": asdict(gain(b, serving))})} for b in known.values()
        ]
        expected = {version: asdict(one) for version, one in self.beliefs.expected(name).items()}
        return {"policy": self._live.task(name).policy, "beliefs": told, "expected": expected}

    def inputs(self, name: str) -> AutoSwapInput:
        """What a verdict on one task goes by now."""
        return self._costs.priced(self._unpriced(name))

    def _unpriced(self, name: str) -> AutoSwapInput:
        live, evidence, config = self._live, self._evidence, self._live.config.autopilot
        route = self._resolved(live.routes.get(name))
        return AutoSwapInput(
            task=live.task(name),
            route=route,
            rows=evidence.leaderboard(name),
            stats=evidence.stats(name),
            now=live.clock.now(),
            mode=live.mode(name),
            limits=AutoSwapLimits(
                cooldown_s=config.cooldown_s,
                min_samples=config.min_samples,
                performance_threshold=config.performance_threshold,
                quality_factor=config.quality_factor,
                triggers=() if live.task(name).policy in MEASURING else config.triggers,
                swaps_per_day=config.swaps_per_day,
                oscillation_s=config.oscillation_s,
                quiet_only=live.config.schedule.quiet,
                heat_holds=live.config.schedule.heat == "hold",
            ),
            last_swap_at=self._swapper.last_at.get(name),
            alarms=evidence.watch.alarms(name, route.incumbent) if route.incumbent else (),
            excluded=evidence.excluded(name, memory_limit=self._pool.budget_bytes),
            owed=evidence.owed(name),
            closed=not self._open(),
            windows=live.config.schedule.told,
            moves=self.moves.of(name),
            beliefs=self.beliefs.of(name),
            nominee=self.beliefs.nominee(name),
            around=live.around,
            budgets=self.budgets.of(live.task(name)),
        )

    def _resolved(self, route: Route) -> Route:
        """With versions where the route names aliases: evidence belongs to versions."""
        incumbent, previous = self._live.find(route.incumbent), self._live.find(route.previous)
        return replace(
            route,
            incumbent=incumbent.version if incumbent else None,
            previous=previous.version if previous else None,
        )

    def _open(self) -> bool:
        """Outside the configured windows it only observes."""
        local = datetime.fromtimestamp(self._live.clock.now())
        return self._live.config.schedule.allows(local.weekday(), local.hour * 60 + local.minute)

    # ── acting ────────────────────────────────────────────────────────────────────────────────────────────────

    def _act(self, name: str, verdict: AutoSwapVerdict, decision: str) -> None:
        """In the background: a slow load on one task must not blind the autopilot to the others."""
        task = asyncio.create_task(self._carry_out(name, verdict, decision), name=f"auto-swap-{name}")
        self._swaps[name] = task
        task.add_done_callback(lambda _: self._swaps.pop(name, None))

    async def _carry_out(self, name: str, verdict: AutoSwapVerdict, decision: str) -> None:
        live = self._live
        live.event("autopilot", verdict.sentence, task=name, action=verdict.action, decision=decision)
        evidence: dict[str, Any] = {"decision": decision, "trigger": verdict.trigger}
        try:
            if verdict.action == "rollback":
                swap = await self._swapper.rollback(
                    name, trigger="auto", reason=verdict.sentence, why=verdict.why, evidence=evidence
                )
            else:
                swap = await self._swapper.swap(
                    name, verdict.to or "", trigger="auto", reason=verdict.sentence, why=verdict.why, evidence=evidence
                )
        except ArbiterError as error:
            live.alert("warning", f"{name}: the autopilot's swap to {verdict.to} was refused: {error}", task=name)
            self._swapper.last_at[name] = live.clock.now()  # the cooldown, so that it isn't tried every second
            return
        self._after(name, swap)

    def _after(self, name: str, swap: SwapView) -> None:
        if swap.result != "done":
            self._swapper.last_at[name] = self._live.clock.now()
        self._said.pop(name, None)
        self.narrate()

    # ── records ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _store(self, name: str, verdict: AutoSwapVerdict, given: AutoSwapInput, *, acts: bool) -> str:
        """A verdict is stored when it is acted upon or says something new; what only counts seconds is no news.
        Its basis is what it was computed from: whoever reads the record can compute it again."""
        said = (verdict.action, verdict.to, verdict.trigger, tuple(w.rule for w in verdict.why))
        if self._said.get(name) == said and not acts:
            return ""
        self._said[name] = said
        record = {
            **of_verdict(verdict),
            "inputs": {
                "incumbent": given.route.incumbent,
                "mode": given.mode.value,
                "window": "closed" if given.closed else "open",
                "hold_until": given.route.hold_until or None,
                "last_swap_at": given.last_swap_at,
                "alarms": [a.sentence for a in given.alarms],
                "excluded": dict(given.excluded),
                "owed": dict(given.owed),
                "leaderboard": [to_wire(row) for row in given.rows],
                "policy": self._live.task(name).policy,
                "beliefs": [asdict(belief) for belief in given.beliefs],
                "costs": {
                    v: {**asdict(c), "utility": c.utility, "sentence": c.sentence} for v, c in given.costs.items()
                },
            },
            "thresholds": {
                "cooldown_s": given.limits.cooldown_s,
                "min_samples": given.limits.min_samples,
                "performance_threshold": given.limits.performance_threshold,
                "quality_factor": given.limits.quality_factor,
                "triggers": list(given.limits.triggers),
                "switching_cost": given.cost_of(verdict.to or challenger(given) or ""),
                "swaps_per_day": given.limits.swaps_per_day,
                "oscillation_s": given.limits.oscillation_s,
            },
            "basis": pack_input(given),
        }
        if any(why.rule in ASKS for why in verdict.why):
            self._live.alert("warning", f"{name}: {verdict.sentence}", task=name, version=verdict.to)
        if verdict.action in ("hold", "swap", "rollback") and not acts:  # else it is told as it is carried out
            self._live.event("autopilot", verdict.sentence, task=name, action=verdict.action)
        return await self._decisions.save("autopilot", name, record)

    def narrate(self) -> None:
        self.narrator.tell()

    async def veto(self, name: str) -> dict[str, Any]:
        """What is announced for a task does not happen. Raises UnknownName, Refused."""
        done = await self.announcements.veto(name)
        self._verdicts[name] = self.judge(name)
        self.narrate()
        return done
