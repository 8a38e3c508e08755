"""What a swap itself costs, in utility: seconds until the new version serves, reloads of whom it drives out, energy.

Owns: the parts of the cost and their sum. Never: measures a load (engine/swap_costs.py), says whom a load drives out
(placement.py), decides (autoswap.py).

Seconds count as a share of AMORTISED_S: a load pays off over that long. Joules count as a share of what the task may
spend of its energy budget in the same time, at the budget's price of now: without a budget, or while it is kept, they
cost nothing. Together at most MAX_COST.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .budget import Budget
from .words import chance, figure

AMORTISED_S = 300.0
MAX_COST = 0.1
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapCost:
    """``load_s``: seconds until it could serve, 0 when it is loaded; ``assumed``: it was never loaded here, so they are
    a guess. ``evicts``: who would be unloaded for it though other tasks are served by them, and ``reload_s`` the
    seconds of loading those again. ``energy_j``: of all these loads, None where it can't be told; ``energy``: what it
    costs in utility."""

    load_s: float = 0.0
    assumed: bool = False
    evicts: tuple[str, ...] = ()
    reload_s: float = 0.0
    energy_j: float | None = None
    energy: float = 0.0

    @property
    def utility(self) -> float:
        return min(MAX_COST, of_seconds(self.load_s + self.reload_s) + self.energy)

    @property
    def sentence(self) -> str:
        """What it is made of; empty where it is nothing."""
        if not self.load_s and not self.reload_s:
            return ""
        parts = [f"loading it takes {figure(self.load_s, 's')}{' (a guess: it was never loaded here)' * self.assumed}"]
        if self.evicts:
            again = f"{', '.join(self.evicts)} would be unloaded for it and must be loaded again"
            parts.append(f"{again}: {figure(self.reload_s, 's')}")
        if self.energy_j is not None:
            parts.append(
                f"about {self.energy_j:.3g} J" + (f", {chance(self.energy)} of utility" if self.energy else "")
            )
        return "; ".join(parts)


def of_seconds(seconds: float) -> float:
    """In utility."""
    return min(MAX_COST, max(0.0, seconds) / AMORTISED_S)


def of_energy(energy_j: float | None, budgets: Sequence[Budget]) -> float:
    """In utility, by the price of the task's energy budget."""
    if energy_j is None:
        return 0.0
    return sum(
        b.price * min(1.0, energy_j / (b.limit * AMORTISED_S / DAY_S))
        for b in budgets
        if b.kind == "energy" and b.limit > 0.0
    )
