"""AMD GPUs through ``amdsmi``, imported only when read.

UNTESTED ON HARDWARE: written from the library's documentation and tested with canned answers only.

Owns: the readings of AMD devices. Never: a fake 0. Energy is the accumulator times its resolution (microjoules).
Without ROCm the import itself raises (KeyError among others), so any failure of it means: not available.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from ...core.snapshot import GpuView, Reading


class Amd:
    """``smi`` is a seam for tests: the module, or what behaves like it."""

    def __init__(self, smi: Any = None) -> None:
        self._smi = smi
        self._ready = False
        self._never: str | None = None  # why it can't become available while this process lives

    def read(self) -> tuple[tuple[GpuView, ...], str | None]:
        """The devices, and why there are none where there are none."""
        why = self._start()
        if why is not None:
            return (), why
        try:
            handles = self._smi.amdsmi_get_processor_handles()
        except Exception as error:  # amdsmi's errors share no base that every version has
            self._ready = False
            return (), f"AMD: {error}"
        if not handles:
            return (), "AMD: the driver sees no GPU"
        return tuple(self._device(i, handle) for i, handle in enumerate(handles)), None

    def close(self) -> None:
        if self._ready:
            self._ready = False
            try:
                self._smi.amdsmi_shut_down()
            except Exception:  # the driver is gone; nothing is left to shut down
                pass

    def _start(self) -> str | None:
        if self._ready or self._never:
            return self._never
        try:
            if self._smi is None:
                self._smi = importlib.import_module("amdsmi")
            self._smi.amdsmi_init()
        except ImportError:
            self._never = "AMD: amdsmi is not installed"
            return self._never
        except Exception as error:  # see the module's docstring
            return f"AMD: ROCm is not usable ({type(error).__name__})"
        self._ready = True
        return None

    def _device(self, index: int, handle: Any) -> GpuView:
        smi = self._smi
        activity = self._table(lambda: smi.amdsmi_get_gpu_activity(handle))
        vram = self._table(lambda: smi.amdsmi_get_gpu_vram_usage(handle))
        power = self._table(lambda: smi.amdsmi_get_power_info(handle))
        energy = self._table(lambda: smi.amdsmi_get_energy_count(handle))
        asic = self._table(lambda: smi.amdsmi_get_gpu_asic_info(handle))
        return GpuView(
            index=index,
            name=str(asic.get("market_name") or "AMD GPU"),
            utilisation=_scaled(activity, "gfx_activity", 0.01, "load"),
            memory_used_bytes=_scaled(vram, "vram_used", 2.0**20, "memory"),  # MB, by which amdsmi means MiB
            memory_total_bytes=_scaled(vram, "vram_total", 2.0**20, "memory"),
            power_w=_power(power),
            temperature_c=self._temperature(handle),
            energy_j=_energy(energy),
            throttle_why="throttling: not read from amdsmi",
            processes_why="memory by process: not read from amdsmi",
        )

    def _temperature(self, handle: Any) -> Reading:
        smi = self._smi
        try:
            kind, metric = smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
            return Reading(value=float(smi.amdsmi_get_temp_metric(handle, kind, metric)))
        except Exception as error:  # see read()
            return Reading(why=f"temperature: {error}")

    @staticmethod
    def _table(ask: Callable[[], Any]) -> Mapping[str, Any]:
        try:
            found = ask()
        except Exception as error:  # see read(); the reason stands where the values would
            return {"why": str(error)}
        return found if isinstance(found, Mapping) else {}


def _scaled(table: Mapping[str, Any], key: str, factor: float, what: str) -> Reading:
    value = table.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Reading(value=value * factor)
    return Reading(why=f"{what}: {table.get('why') or 'not reported'}")  # amdsmi writes "N/A" where it knows nothing


def _power(table: Mapping[str, Any]) -> Reading:
    for key in ("current_socket_power", "average_socket_power", "socket_power"):
        found = _scaled(table, key, 1.0, "power")
        if found.value is not None:
            return found
    return _scaled(table, "socket_power", 1.0, "power")


def _energy(table: Mapping[str, Any]) -> Reading:
    accumulator = table.get("energy_accumulator", table.get("power"))
    resolution = table.get("counter_resolution")
    if isinstance(accumulator, int | float) and isinstance(resolution, int | float):
        return Reading(value=accumulator * resolution / 1e6)
    return Reading(why=f"energy: {table.get('why') or 'not reported'}")
