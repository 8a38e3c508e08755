"""What must hold before a version goes on trial, and while it is.

Owns: the refusals of a rollout and the plan that it begins with. Never: a step (core/rollout.py), a load.
"""

from __future__ import annotations

from typing import cast

from ..core.registry import ModelVersion
from ..core.rollout import Plan, begin
from ..core.stats import EMPTY, FIRM, trust_of
from ..core.tasks import Task
from ..core.trial import Rule, Trial
from ..errors import Refused
from .evidence import Evidence
from .live import Live
from .pool import Pool
from .scheduler import size
from .swap_checks import SwapChecks
from .trials import Running

KNOWN_AT_MOST = 500  # earlier grades of the old version: more would drown what both show now


class TrialChecks:
    def __init__(self, live: Live, pool: Pool, evidence: Evidence) -> None:
        self._live, self._pool, self._evidence = live, pool, evidence
        self._checks = SwapChecks(live, pool, evidence)

    def begun(self, task: str, to: str, strict: bool, *, under_way: Running | None) -> Running:
        """The rollout as it begins. ``under_way``: the task's own, if there is one. Raises what it refuses."""
        live = self._live
        wanted, old, new = live.task(task), live.incumbent(task), self._checks.active(live.registry.get(to))
        if under_way is not None:
            raise Refused(
                f"{task} has a rollout under way ({under_way.new}): abort or promote it first",
                details={"id": under_way.id},
            )
        if old.version == new.version:
            raise Refused(f"{new.version} serves {task} already")
        self._checks.judge(task, old, new, strict)
        blocks = not self._checks.side_by_side(old, new)
        if blocks:
            self._check_turns(wanted, old, new)
        settings, now = live.config.rollout, live.clock.now()
        plan = Plan(
            rule=cast(Rule, settings.rule), start=settings.start, step=settings.step, every_s=settings.every_s,
            blocks=blocks, load_every_s=settings.load_every_s, max_steps=settings.max_steps,
            max_slowdown=settings.max_slowdown if wanted.max_slowdown is None else wanted.max_slowdown,
        )  # fmt: skip
        id = live.new_id()
        return Running(
            id=id, task=wanted.name, old=old.version, new=new.version, name=to, salt=id,
            state=begin(plan, now, self._shown(wanted.name, old.version)),
        )  # fmt: skip

    def _check_turns(self, task: Task, old: ModelVersion, new: ModelVersion) -> None:
        """Where no client is served by it, questions alone can show what it is worth."""
        view = self._pool.view(old.version)
        budget = self._pool.budget_bytes
        if view.pinned if view is not None else old.pinned:
            rule, value, wanted = "memory", "both", f"{old.version} were unpinned, or the memory budget held both"
        elif not self._live.suite(task):
            rule, value, wanted = "suite", "none", f"{task.name} had a suite, or the memory budget held both"
        elif self._live.config.rollout.shadow_per_hour <= 0:
            rule, value, wanted = "shadow_per_hour", "0", "[rollout] shadow_per_hour were above 0"
        else:
            return
        raise Refused(
            f"{old.version} and {new.version} don't fit into the memory budget together, and they can't take turns: it "
            f"could be tried if {wanted}. Or swap {task.name}; `arbiter rollback {task.name}` takes it back",
            details={"why": [{"rule": rule, "value": value, "threshold": budget if rule == "memory" else None,
                              "would_change_if": wanted}]},
        )  # fmt: skip

    def _shown(self, task: str, old: str) -> Trial:
        """What the old version has shown of quality so far; what weak sources said of it stays theirs."""
        told = self._evidence.stats(task).get(old, EMPTY).told
        firm = [grades for source, grades in told.items() if trust_of(source) >= FIRM]
        good, weight = sum(good for good, _ in firm), sum(good + bad for good, bad in firm)
        trial = Trial().known(good / weight, min(KNOWN_AT_MOST, round(weight))) if weight > 0.0 else Trial()
        for source, (good, bad) in sorted(told.items()):
            if trust_of(source) < FIRM and good + bad > 0.0:
                trial = trial.known_of(source, good / (good + bad), min(float(KNOWN_AT_MOST), good + bad))
        return trial

    def too_large(self, running: Running) -> str | None:
        """It holds more than its task allows, or than there is beside the old one: whatever its answers are worth."""
        old, new = (self._live.registry.get(name) for name in (running.old, running.new))
        limit, held = self._live.task(running.task).criteria.max_memory_bytes, self._checks.held(new)
        if not running.state.ready or not running.state.open or held is None:
            return None
        if limit is not None and held > limit:
            return f"it holds {size(held)} in memory, the task allows {size(limit)}"
        if not running.state.plan.blocks and not self._checks.side_by_side(old, new):
            return f"it holds {size(held)}, and no longer fits into memory beside {old.version}"
        return None
