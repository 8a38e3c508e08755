"""What became of the machine and of each version lately: what a screen asks for when it is opened.

Owns: two bounded rings (readings of the machine, steps of the instances), and the answers made of them and the store.
Never: measures, decides, or grows: the machine's ring holds ``MACHINE_S`` seconds, each version's ``KEPT_STEPS`` steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.cost import Outcome
from ..core.snapshot import HardwareView, Reading, to_wire

if TYPE_CHECKING:
    from .arbiter import Arbiter

MACHINE_S = 600  # readings come once a second
KEPT_STEPS = 64
KEPT_VERSIONS = 500
SAMPLES = 240
SPENT_FOR_S = 30.0  # today's energy is counted by the store, so often at most


class Chronicle:
    def __init__(self) -> None:
        self._machine: deque[tuple[float, Mapping[str, float | None]]] = deque(maxlen=MACHINE_S)
        self._steps: dict[str, deque[dict[str, Any]]] = {}
        self._spent: tuple[float, list[dict[str, Any]]] | None = None

    def read(self, at: float, hardware: HardwareView, pool: float | None) -> None:
        """One reading; ``pool``: the share of the models' budget that is in use."""
        self._machine.append((at, curves(hardware, pool)))

    def step(self, at: float, version: str, what: str, message: str) -> None:
        """One step of an instance's life."""
        if version not in self._steps and len(self._steps) >= KEPT_VERSIONS:
            del self._steps[next(iter(self._steps))]
        steps = self._steps.setdefault(version, deque(maxlen=KEPT_STEPS))
        steps.append({"at": at, "state": what, "message": message})

    def steps(self, version: str) -> list[dict[str, Any]]:
        """Newest first."""
        return list(reversed(self._steps.get(version, ())))

    def machine(self, after: float) -> dict[str, Any]:
        """Readings after a time, by curve: ``{"at": [...], "curves": {"cpu": [...], ...}}``, oldest first."""
        kept = [(at, values) for at, values in self._machine if at > after]
        names = dict.fromkeys(name for _, values in kept for name in values)
        return {
            "at": [round(at, 2) for at, _ in kept],
            "curves": {name: [values.get(name) for _, values in kept] for name in names},
        }

    async def spent(self, arbiter: Arbiter) -> list[dict[str, Any]]:
        """Today's requests and energy per task; the energy is None where no request's was measured."""
        now = arbiter.clock.now()
        if self._spent is None or now - self._spent[0] >= SPENT_FOR_S:
            self._spent = (now, await arbiter.store.spent_since(midnight(now)))
        return self._spent[1]


def curves(hardware: HardwareView, pool: float | None) -> dict[str, float | None]:
    """Shares of one where a whole is known; watts and degrees as they are."""
    h = hardware
    out = {
        "cpu": h.cpu.value,
        "ram": _share(h.ram_used_bytes, h.ram_total_bytes),
        "swap": _share(h.swap_used_bytes, h.swap_total_bytes),
        "pool": pool,
        "cpu_power_w": h.cpu_power_w.value,
        "ane": h.ane.value,
    }
    for gpu in h.gpus:
        name = f"gpu{gpu.index}"
        out[name] = gpu.utilisation.value
        out[f"{name}_memory"] = _share(gpu.memory_used_bytes, gpu.memory_total_bytes)
        out[f"{name}_power_w"] = gpu.power_w.value
        out[f"{name}_temperature_c"] = gpu.temperature_c.value
    return {name: None if value is None else round(value, 3) for name, value in out.items()}


def _share(part: Reading, whole: Reading) -> float | None:
    return None if part.value is None or not whole.value else part.value / whole.value


DAY_S = 86_400.0


def midnight(now: float) -> float:
    """When the engine's local day began."""
    t = time.localtime(now)
    return time.mktime((t.tm_year, t.tm_mon, t.tm_mday, 0, 0, 0, 0, 0, -1))


def named(hardware: HardwareView, pids: Mapping[int, str]) -> HardwareView:
    """With the version whose worker each process on a GPU is."""
    if not any(gpu.processes for gpu in hardware.gpus):
        return hardware
    gpus = (
        replace(gpu, processes=tuple(replace(p, version=pids.get(p.pid)) for p in gpu.processes))
        for gpu in hardware.gpus
    )
    return replace(hardware, gpus=tuple(gpus))


async def history_of(arbiter: Arbiter, name: str) -> dict[str, Any]:
    """One version's past: steps of its instances, changes of its record, its newest requests. Raises UnknownName."""
    version = arbiter.registry.get(name)
    await arbiter.recorder.flush()
    outcomes = await arbiter.store.list_outcomes(limit=SAMPLES, version=version.version)
    provider = arbiter.providers.get(version.provider)
    held = [o.memory_bytes for o in outcomes if o.memory_bytes is not None]
    seen = arbiter.pool.view(version.version)
    return {
        "version": version.version,
        "states": arbiter.live.chronicle.steps(version.version),
        "changes": list(reversed(await arbiter.store.ledger(limit=1000, subject=version.version))),
        "samples": [_sample(o) for o in reversed(outcomes)],
        "memory": {
            "expected_bytes": provider.predicted_bytes(version) if provider is not None else None,
            "resident_bytes": seen.resident_bytes if seen else None,
            "largest_bytes": max(held, default=None),
            "file_bytes": version.file_bytes,
        },
        "load_s": seen.load_s if seen else None,
        "pid": seen.pid if seen else None,
        "restarts": seen.restarts if seen else 0,
        "swaps": [to_wire(s) for s in arbiter.swaps if version.version in (s.from_, s.to)][:SAMPLES],
    }


def _sample(outcome: Outcome) -> dict[str, Any]:
    rate = outcome.tokens_per_second
    return {
        "at": outcome.at,
        "task": outcome.task,
        "success": outcome.success,
        "tokens_per_second": None if rate is None else round(rate, 2),
        "ttft_s": outcome.ttft_s,
        "memory_bytes": outcome.memory_bytes,
    }
