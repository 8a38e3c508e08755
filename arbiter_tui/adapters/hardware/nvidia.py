"""NVIDIA GPUs through NVML (module ``pynvml`` of nvidia-ml-py), imported only when read.

Owns: the readings of NVIDIA devices. Never: a fake 0. Without a driver there is one sentence that says so.
Energy is the device's own counter since the driver was loaded (Volta and newer), else power integrated over time,
marked estimated. Devices that share the system's memory (GB10) have no memory of their own to ask for: the system's
is given, marked unified. Read at most once a second: faster polling slows the GPU.

What holds the clocks back and which process holds which memory are UNTESTED ON HARDWARE: written from NVML's
documentation and tested with recorded answers. Memory per process is None where the driver does not tell (in a
container it knows other numbers than the processes have here, or none).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...core.snapshot import GpuProcessView, GpuView, Reading

HELD_BACK = {  # NVML's clocks event reasons; an idle GPU (1) and clocks that somebody set (2) are not held back
    0x04: "power limit",
    0x08: "hardware slowdown",
    0x10: "held to its neighbours' clocks",
    0x20: "heat (driver)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}


class Nvidia:
    """``nvml`` and ``system_memory`` (used, total bytes) are seams for tests."""

    def __init__(
        self,
        nvml: Any = None,
        *,
        system_memory: Callable[[], tuple[float, float] | None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nvml = nvml
        self._system_memory = system_memory
        self._monotonic = monotonic
        self._ready = False
        self._energy: dict[int, tuple[float, float]] = {}  # index -> (when, joules so far), where integrated

    def read(self) -> tuple[tuple[GpuView, ...], str | None]:
        """The devices, and why there are none where there are none."""
        why = self._start()
        if why is not None:
            return (), why
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError as error:
            self._ready = False  # the driver was unloaded or reset: begin again next time
            return (), f"NVIDIA: {error}"
        if count == 0:
            return (), "NVIDIA: the driver sees no GPU"
        return tuple(self._device(index) for index in range(count)), None

    def close(self) -> None:
        if self._ready:
            self._ready = False
            try:
                self._nvml.nvmlShutdown()
            except self._nvml.NVMLError:
                pass  # the driver is gone; there is nothing left to shut down

    def _start(self) -> str | None:
        if self._ready:
            return None
        try:
            if self._nvml is None:
                import pynvml

                self._nvml = pynvml
            self._nvml.nvmlInit()
        except ImportError:
            return "NVIDIA: nvidia-ml-py is not installed"
        except self._nvml.NVMLError as error:
            return _no_driver(error)
        self._ready = True
        return None

    def _device(self, index: int) -> GpuView:
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError as error:
            lost = Reading(why=f"device: {error}")
            return GpuView(index=index, utilisation=lost, memory_used_bytes=lost, memory_total_bytes=lost)
        used, total, unified = self._memory(handle)
        throttle, throttle_why = self._throttle(handle)
        processes, processes_why = self._processes(handle)
        power = self._ask("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0)
        return GpuView(
            index=index,
            name=self._name(handle),
            utilisation=self._ask("load", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100.0),
            memory_used_bytes=used,
            memory_total_bytes=total,
            power_w=power,
            temperature_c=self._ask(
                "temperature", lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            ),
            energy_j=self._energy_of(index, handle, power),
            unified=unified,
            throttle=throttle,
            throttle_why=throttle_why,
            processes=processes,
            processes_why=processes_why,
        )

    def _throttle(self, handle: Any) -> tuple[tuple[str, ...], str | None]:
        """What holds its clocks back, and why that is not known. The call's name changed with driver 535."""
        nvml = self._nvml
        names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        ask = next((found for name in names if (found := getattr(nvml, name, None)) is not None), None)
        if ask is None:
            return (), "throttling: this nvidia-ml-py does not ask for it"
        try:
            bits = int(ask(handle))
        except nvml.NVMLError as error:
            return (), f"throttling: {error}"
        return tuple(reason for bit, reason in HELD_BACK.items() if bits & bit), None

    def _processes(self, handle: Any) -> tuple[tuple[GpuProcessView, ...], str | None]:
        nvml = self._nvml
        try:
            found = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except nvml.NVMLError as error:
            return (), f"memory by process: {error}"
        return tuple(GpuProcessView(pid=int(p.pid), memory_bytes=_bytes(p.usedGpuMemory)) for p in found), None

    def _ask(self, what: str, read: Callable[[], float]) -> Reading:
        try:
            return Reading(value=float(read()))
        except self._nvml.NVMLError as error:
            return Reading(why=f"{what}: {error}")

    def _name(self, handle: Any) -> str:
        try:
            found = self._nvml.nvmlDeviceGetName(handle)
        except self._nvml.NVMLError:
            return "NVIDIA GPU"
        return found.decode() if isinstance(found, bytes) else str(found)

    def _memory(self, handle: Any) -> tuple[Reading, Reading, bool]:
        nvml = self._nvml
        try:
            found = nvml.nvmlDeviceGetMemoryInfo(handle)
            return Reading(value=float(found.used)), Reading(value=float(found.total)), False
        except nvml.NVMLError as error:
            why = f"memory: {error}"
            if getattr(error, "value", None) != nvml.NVML_ERROR_NOT_SUPPORTED:
                return Reading(why=why), Reading(why=why), False
        shared = self._system_memory()
        if shared is None:
            return Reading(why=why), Reading(why=why), True
        return Reading(value=shared[0], estimated=True), Reading(value=shared[1]), True

    def _energy_of(self, index: int, handle: Any, power: Reading) -> Reading:
        counted = self._ask("energy", lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000.0)
        if counted.value is not None or power.value is None:
            return counted
        now = self._monotonic()
        last = self._energy.get(index)
        total = last[1] + power.value * (now - last[0]) if last else 0.0
        self._energy[index] = (now, total)
        if last is None:
            return Reading(why="energy: integrated from power from the second reading on")
        return Reading(value=total, estimated=True)


def _bytes(value: Any) -> int | None:
    return None if value is None else int(value)


def _no_driver(error: Exception) -> str:
    name = type(error).__name__
    if "LibraryNotFound" in name:
        return "no NVIDIA driver"
    if "DriverNotLoaded" in name:
        return "NVIDIA: the driver is installed but not loaded"
    return f"NVIDIA: {error}"
