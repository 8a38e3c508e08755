"""What the swaps that the autopilot weighs would cost, worked out for those that it would choose.

Owns: asking the pool for seconds and evictions, the machine for its watts. Never: the sum in utility
(core/swap_cost.py), the verdict (core/autoswap.py).

Whom a load drives out is asked only of the challenger that the verdict would name, anew until it names one whose cost
is whole: a cost that is not known yet counts as nothing, so nobody better is passed over.
"""

from __future__ import annotations

from dataclasses import replace

from ..core.autoswap import AutoSwapInput, challenger
from ..core.swap_cost import SwapCost, of_energy
from .live import Live
from .pool import Pool

COLD_LOAD_S = 2.0  # what a load is taken to cost when nothing was ever loaded by its provider
PRICED = 8  # whole costs of one look; beyond them the seconds of the own load alone


class SwapCosts:
    def __init__(self, live: Live, pool: Pool) -> None:
        self._live, self._pool = live, pool

    def priced(self, given: AutoSwapInput) -> AutoSwapInput:
        """With the cost of whom its verdict would name."""
        for _ in range(PRICED):
            wanted = challenger(given)
            if wanted is None or wanted in given.costs:
                return given
            given = replace(given, costs={**given.costs, wanted: self._whole(given, wanted)})
        rest = {row.version: self._own(row.version) for row in given.rows if row.version not in given.costs}
        return replace(given, costs={**given.costs, **rest})

    def _own(self, version: str) -> SwapCost:
        if self._pool.is_ready(version):
            return SwapCost()
        seconds = self._pool.expected_load_s(version)
        return SwapCost(load_s=COLD_LOAD_S if seconds is None else seconds, assumed=seconds is None)

    def _whole(self, given: AutoSwapInput, version: str) -> SwapCost:
        own = self._own(version)
        registered = self._live.registry.versions.get(version)
        if not own.load_s or registered is None:
            return own
        needed = self._needed_by_others(given.task.name)
        gone = tuple(name for name in self._pool.would_evict(registered) if name in needed)
        again = sum((COLD_LOAD_S if (s := self._pool.expected_load_s(name)) is None else s) for name in gone)
        watts = self._watts()
        energy_j = None if watts is None else watts * (own.load_s + again)
        return replace(
            own, evicts=gone, reload_s=again, energy_j=energy_j, energy=of_energy(energy_j, given.budgets)
        )  # fmt: skip

    def _needed_by_others(self, task: str) -> set[str]:
        """Who serves another task: what left memory would have to come back."""
        routes = (self._live.routes.get(other) for other in self._live.tasks if other != task)
        return {version.version for route in routes if (version := self._live.find(route.incumbent)) is not None}

    def _watts(self) -> float | None:
        """What the processor and the GPUs draw now, as far as they tell."""
        hardware = self._live.hardware
        known = [
            r.value for r in (hardware.cpu_power_w, *(gpu.power_w for gpu in hardware.gpus)) if r.value is not None
        ]
        return sum(known) if known else None
