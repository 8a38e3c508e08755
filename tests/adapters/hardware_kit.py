"""What the hardware tests share: a reading's honesty, a clock that is moved by hand, recorded vendors' libraries."""

from __future__ import annotations

import plistlib
import threading
from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from arbiter_tui.core.snapshot import GpuView, Reading


def honest(view: Any) -> None:
    """A reading has a value or a reason, and not both."""
    for f in fields(view):
        value = getattr(view, f.name)
        if isinstance(value, Reading):
            assert (value.value is None) != (value.why is None), f.name
        if isinstance(value, tuple):
            for item in value:
                if isinstance(item, GpuView):
                    honest(item)


class Ticks:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__({3: "Not Supported", 4: "Insufficient Permissions", 15: "GPU is lost"}.get(value, "Error"))
        self.value = value


class NVMLError_LibraryNotFound(NVMLError):
    pass


class FakeNvml:
    """The part of pynvml that is used, answering as recorded; ``refuse`` maps a function to an error's number."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0
    NVML_ERROR_NOT_SUPPORTED = 3

    def __init__(self, refuse: dict[str, int] | None = None, count: int = 1) -> None:
        self.refuse = refuse or {}
        self.shutdowns = 0
        self.count = count
        self.power_mw = 100_000
        self.held_back = 0x1  # idle
        self.processes: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Callable[[], Any]] = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: self.count,
            "nvmlDeviceGetHandleByIndex": lambda: "handle",
            "nvmlDeviceGetName": lambda: b"NVIDIA H100",
            "nvmlDeviceGetMemoryInfo": lambda: SimpleNamespace(used=2**30, total=80 * 2**30),
            "nvmlDeviceGetUtilizationRates": lambda: SimpleNamespace(gpu=37),
            "nvmlDeviceGetPowerUsage": lambda: self.power_mw,
            "nvmlDeviceGetTemperature": lambda: 41,
            "nvmlDeviceGetTotalEnergyConsumption": lambda: 5_000,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda: self.held_back,
            "nvmlDeviceGetComputeRunningProcesses": lambda: self.processes,
        }

        def call(*_: Any) -> Any:
            if name in self.refuse:
                raise NVMLError(self.refuse[name])
            return answers[name]()

        return call

    def nvmlShutdown(self) -> None:
        self.shutdowns += 1


MACMON = {
    "timestamp": "2025-01-01T00:00:00Z", "temp": {"cpu_temp_avg": 43.7, "gpu_temp_avg": 36.9},
    "memory": {"ram_total": 25769803776, "ram_usage": 20985479168, "swap_total": 4294967296, "swap_usage": 2602434560},
    "ecpu_usage": [1181, 0.08], "pcpu_usage": [1974, 0.15], "gpu_usage": [461, 0.0249], "cpu_power": 0.2053,
    "gpu_power": 0.0174, "ane_power": 0.0, "all_power": 0.2227, "sys_power": 5.87,
}  # fmt: skip


IOREG = plistlib.dumps(
    [
        {
            "IOClass": "AGXAcceleratorG14X",
            "model": "Apple M2 Max",
            "PerformanceStatistics": {"Device Utilization %": 23, "In use system memory": 1234567},
        }
    ]
)


class FakeMacmon:
    """A macmon process whose lines the test writes."""

    def __init__(self, lines: list[str]) -> None:
        self.ended = threading.Event()
        self.terminated = False
        self.stdout: Any = self._lines(lines)

    def _lines(self, lines: list[str]) -> Any:
        yield from lines
        self.ended.wait(10)

    def terminate(self) -> None:
        self.terminated = True
        self.ended.set()

    def wait(self, timeout: float | None = None) -> int:
        return 0

    def kill(self) -> None:
        self.ended.set()


class FakeSmi:
    """amdsmi's answers as dictionaries; ``refuse`` names functions that raise."""

    AmdSmiTemperatureType = SimpleNamespace(HOTSPOT=1)
    AmdSmiTemperatureMetric = SimpleNamespace(CURRENT=0)

    def __init__(self, refuse: tuple[str, ...] = (), count: int = 1) -> None:
        self.refuse = refuse
        self.handles = list(range(count))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Any] = {
            "amdsmi_init": None,
            "amdsmi_shut_down": None,
            "amdsmi_get_processor_handles": self.handles,
            "amdsmi_get_gpu_activity": {"gfx_activity": 12, "umc_activity": 3, "mm_activity": "N/A"},
            "amdsmi_get_gpu_vram_usage": {"vram_used": 512, "vram_total": 65536},
            "amdsmi_get_power_info": {"current_socket_power": "N/A", "average_socket_power": 95},
            "amdsmi_get_energy_count": {"energy_accumulator": 1_000_000, "counter_resolution": 15.3, "timestamp": 1},
            "amdsmi_get_gpu_asic_info": {"market_name": "Instinct MI210"},
            "amdsmi_get_temp_metric": 44,
        }

        def call(*_: Any) -> Any:
            if name in self.refuse:
                raise KeyError(name)
            return answers[name]

        return call
