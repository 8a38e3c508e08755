"""The machine's circumstances as the engine goes by them: kept up with each reading, and told when they change.

Owns: ``live.around``, and whether there is anything to spare for questions that no client waits for. Never: a rule for
swaps (core/guards.py), a reading (adapters/hardware).

On battery, and while heat holds the machine back, nothing is asked that nobody waits for: no sentinel, no exploration,
no question of a trial. What a person starts (a benchmark, a swap) runs all the same.
"""

from __future__ import annotations

from ..core.circumstances import seen
from ..core.snapshot import HardwareView
from .live import Live


class Surroundings:
    def __init__(self, live: Live) -> None:
        self._live = live
        live.spares = self.spares

    def saw(self, view: HardwareView) -> None:
        """One reading of the machine."""
        live = self._live
        before = live.around
        live.around, news = seen(before, view, live.clock.now())
        for sentence in news:
            grave = live.around.changed_at != before.changed_at and sentence == live.around.change
            if grave:
                live.alert("info", sentence)
            else:
                live.event("machine", sentence)

    def spares(self) -> bool:
        return self.why_not() is None

    def why_not(self) -> str | None:
        """Why nothing is asked that nobody waits for; None where it may be."""
        live, rules = self._live, self._live.config.schedule
        if live.around.on_battery and rules.on_battery == "save":
            return "on battery: nothing is explored or asked until mains power is back"
        if rules.heat == "hold" and live.around.is_hot(live.clock.now()):
            return f"heat holds the machine back ({', '.join(live.around.hot)}): nothing is explored, asked or swapped"
        return None
