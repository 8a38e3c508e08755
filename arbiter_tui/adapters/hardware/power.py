"""Where the machine's power comes from, and whether heat holds its processor back.

Owns: the battery through psutil, Linux's counters of thermal throttling. Never: decides what follows from it; what
can't be read is None with the reason. Held by recorded readings: no machine with a battery was at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.snapshot import Reading

CPUS = Path("/sys/devices/system/cpu")
COUNTERS = ("core_throttle_count", "package_throttle_count")
HEAT = "heat (processor)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReadings:
    """``on_battery`` None: not known. ``battery``: its charge, 0..1. ``held_back``: what holds the processor's clocks
    back since the reading before."""

    on_battery: bool | None
    battery: Reading
    held_back: tuple[str, ...] = ()
    held_back_why: str | None = None


class Power:
    """``battery``: as ``psutil.sensors_battery``; ``cpus``: the folder of the counters."""

    def __init__(self, battery: Callable[[], Any] | None = None, cpus: Path = CPUS) -> None:
        self._battery = battery or _sensors_battery
        self._cpus = cpus
        self._before: int | None = None

    def read(self) -> PowerReadings:
        on_battery, charge = self._supply()
        held, why = self._held_back()
        return PowerReadings(on_battery=on_battery, battery=charge, held_back=held, held_back_why=why)

    def _supply(self) -> tuple[bool | None, Reading]:
        try:
            found = self._battery()
        except (OSError, AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
            return None, Reading(why=f"battery: not supported here ({type(error).__name__})")
        if found is None:
            return None, Reading(why="battery: there is none")
        plugged = found.power_plugged
        charge = min(1.0, max(0.0, found.percent / 100.0))
        return (None if plugged is None else not plugged), Reading(value=charge)

    def _held_back(self) -> tuple[tuple[str, ...], str | None]:
        """Counters only grow: heat held it back if one is larger than at the reading before."""
        files = [f for name in COUNTERS for f in self._cpus.glob(f"cpu*/thermal_throttle/{name}")]
        if not files:
            return (), "throttling by heat: this system does not count it"
        try:
            count = sum(int(f.read_text(encoding="ascii")) for f in files)
        except (OSError, ValueError) as error:
            return (), f"throttling by heat: {type(error).__name__}"
        before, self._before = self._before, count
        return ((HEAT,) if before is not None and count > before else ()), None


def _sensors_battery() -> Any:
    import psutil

    return psutil.sensors_battery()
