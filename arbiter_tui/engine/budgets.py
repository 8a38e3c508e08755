"""What each task has spent today of its budgets, and the price that follows: counted, stepped once a minute, kept.

Owns: the sums of the day, the running mean of what a version's answer costs, their note in the store. Never: the rule
(core/budget.py), the provider's cap in money (spending.py, which refuses; this one only prefers).

A new day begins with nothing spent and yesterday's price. What no answer tells (energy, mostly) is not counted: its
budget then has no effect, and the guard shows a spent 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.budget import ON_BATTERY, Budget, stepped
from ..core.cost import Outcome
from ..core.tasks import Task
from .chronicle import DAY_S, midnight
from .live import Live

NOTE = "budgets"
EVERY_S = 60.0
NEWEST = 0.05  # weight of one more answer in the mean of what they cost


class Budgets:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._day = midnight(live.clock.now())
        self._spent: dict[str, dict[str, float]] = {}  # task -> kind -> today
        self._prices: dict[str, dict[str, float]] = {}
        self._costs: dict[str, dict[str, dict[str, float]]] = {}  # task -> kind -> version -> mean
        self._stepped_at: float | None = None
        live.on_outcome.append(lambda outcome, version: self.saw(outcome))

    def saw(self, outcome: Outcome) -> None:
        """On the request's path: constant time, and nothing for a task without a budget."""
        task = self._live.tasks.get(outcome.task)
        if task is None or not task.budgets:
            return
        for kind in task.budgets:
            cost = _cost(outcome, kind)
            if cost is None:
                continue
            today = self._today().setdefault(task.name, {})
            today[kind] = today.get(kind, 0.0) + cost
            if outcome.success:
                known = self._costs.setdefault(task.name, {}).setdefault(kind, {})
                before = known.get(outcome.version, cost)
                known[outcome.version] = before + NEWEST * (cost - before)

    def of(self, task: Task) -> tuple[Budget, ...]:
        """As they stand now; on battery energy has a price of its own."""
        spent, prices = self._today().get(task.name, {}), self._prices.get(task.name, {})
        costs = self._costs.get(task.name, {})
        least = ON_BATTERY if self._live.around.on_battery and self._live.config.schedule.on_battery == "save" else 0.0
        return tuple(
            Budget(
                kind=kind, limit=limit, spent=spent.get(kind, 0.0), costs=dict(costs.get(kind, {})),
                price=max(prices.get(kind, 0.0), least if kind == "energy" else 0.0),
            )
            for kind, limit in task.budgets.items()
        )  # fmt: skip

    async def look(self) -> None:
        """Once a minute the prices follow what was spent."""
        now = self._live.clock.now()
        before = self._stepped_at
        if before is not None and now - before < EVERY_S:
            return
        self._stepped_at = now
        if before is None or not any(task.budgets for task in self._live.tasks.values()):
            return
        for task in self._live.tasks.values():
            self._step(task, min(1.0, (now - before) / 3600.0))
        await self.store()

    def _step(self, task: Task, hours: float) -> None:
        spent, prices = self._today().get(task.name, {}), self._prices.setdefault(task.name, {})
        share = (self._live.clock.now() - self._day) / DAY_S
        for kind, limit in task.budgets.items():
            before = prices.get(kind, 0.0)
            prices[kind] = stepped(before, spent.get(kind, 0.0), limit, day_share=share, hours=hours)
            if before == 0.0 < prices[kind]:
                text = f"{task.name} spends more {kind} than its budget of a day allows: dear versions lose utility"
                self._live.event("budget", text, task=task.name)

    def sentence(self) -> str | None:
        """For the narrator: the budget that weighs most now."""
        found = [(b.price, t.name, b) for t in self._live.tasks.values() for b in self.of(t) if b.price > 0 and b.spent]
        if not found:
            return None
        price, task, b = max(found, key=lambda one: one[0])
        text = f"{task} has spent {b.spent:.4g} of {b.limit:g} {b.kind} today"
        return f"{text}: its dearest version loses {price:.2f} of utility".replace(" 0.", " .")

    def _today(self) -> dict[str, dict[str, float]]:
        day = midnight(self._live.clock.now())
        if day != self._day:
            self._day, self._spent = day, {}
        return self._spent

    async def store(self) -> None:
        told = {"day": self._day, "spent": self._today(), "prices": self._prices, "costs": self._costs}
        await self._live.store.save_note(NOTE, told)

    async def restore(self) -> None:
        stored: Mapping[str, Any] = await self._live.store.note(NOTE) or {}
        self._prices, self._costs = dict(stored.get("prices", {})), dict(stored.get("costs", {}))
        if stored.get("day") == self._day:
            self._spent = dict(stored["spent"])


def _cost(outcome: Outcome, kind: str) -> float | None:
    match kind:
        case "energy":
            return outcome.energy_j
        case "money":
            return outcome.money
        case _:
            return None if outcome.latency_s is None else max(0.0, outcome.latency_s - (outcome.queue_s or 0.0))
