"""What a task may spend in a day (energy, money, seconds of answering) as a constraint with a shadow price.

Owns: how the price follows what was spent, and what it costs a version in utility. Never: refuses a request, counts
what it cost.

A budget of a day is met by a price, not by a wall: while more is spent than the day's pace allows the price rises,
while less is spent it falls, down to 0. The dearest version of the task pays the whole price in utility, the others in
proportion to what their answers cost; so cheaper versions lead as long as it is needed, and no longer. This is dual
ascent on the budget's constraint; the price stays in 0..MAX_PRICE, so a budget that can't be met at all costs at most
that much of quality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

GAIN = 0.5  # of utility per hour, at twice the pace
MAX_PRICE = 0.5
LEAST_SHARE = 1.0 / 24.0  # of the day's budget may be spent at once: one morning request is no overspending
ON_BATTERY = 0.1  # the least price of energy there
UNITS = {"energy": "J", "money": "money", "seconds": "s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``kind``: energy, money, seconds. ``costs``: version -> what one of its answers costs, as far as it is known."""

    kind: str
    limit: float
    spent: float = 0.0
    price: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict)


def pressure(spent: float, limit: float, day_share: float) -> float:
    """-1 (nothing spent) .. 1 (twice the pace or more); 0: as much as the day has gone."""
    allowed = limit * max(LEAST_SHARE, min(1.0, day_share))
    return max(-1.0, min(1.0, spent / allowed - 1.0)) if allowed > 0 else 1.0


def stepped(price: float, spent: float, limit: float, *, day_share: float, hours: float) -> float:
    """The price after so many hours in which that much had been spent of the day's limit."""
    moved = price + GAIN * max(0.0, hours) * pressure(spent, limit, day_share)
    return max(0.0, min(MAX_PRICE, moved))


def charge(budgets: Sequence[Budget], version: str) -> float:
    """What the prices cost ``version`` in utility. One whose cost is not known pays as the mean of those that are."""
    return sum(budget.price * _relative(budget.costs, version) for budget in budgets)


def _relative(costs: Mapping[str, float], version: str) -> float:
    """Its cost over that of the dearest; 0 where nothing is known of anybody."""
    dearest = max(costs.values(), default=0.0)
    if dearest <= 0.0:
        return 0.0
    mine = costs.get(version, sum(costs.values()) / len(costs))
    return min(1.0, max(0.0, mine) / dearest)
