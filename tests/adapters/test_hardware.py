"""Every reading is a value, or None with a reason; vendors' libraries are seams fed with recorded answers."""

from __future__ import annotations

import asyncio
import json
import plistlib
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arbiter_tui.adapters import hardware
from arbiter_tui.adapters.hardware import SystemProbe, generic, open_probe
from arbiter_tui.adapters.hardware.amd import Amd
from arbiter_tui.adapters.hardware.apple import Apple, parse_ioreg, parse_macmon
from arbiter_tui.adapters.hardware.generic import Machine, Rapl
from arbiter_tui.adapters.hardware.nvidia import Nvidia
from arbiter_tui.core.snapshot import GpuView, HardwareView, Reading


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


async def test_this_machine_is_read_honestly() -> None:
    """On any machine: memory is there, and whatever is missing says why; the loads come with the second reading."""
    probe = open_probe()
    try:
        first = await probe.read()
        honest(first)
        assert first.ram_total_bytes.value is not None
        assert first.cpu.value is None
        assert bool(first.gpus) != bool(first.gpu_why)
        available = probe.available_bytes()
        assert available is not None
        assert 0 < available <= first.ram_total_bytes.value
        assert await probe.read() is first  # within the second: the last view, no second poll
    finally:
        await probe.close()
        await probe.close()


def test_loads_are_shares_from_the_second_reading_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil's first percentages are meaningless zeros: they are not shown."""
    monkeypatch.setattr("psutil.cpu_percent", lambda interval, percpu: [50.0, 100.0])
    machine = Machine()
    assert machine.read().cores == ()
    second = machine.read()
    assert second.cores == (0.5, 1.0)
    assert second.cpu == Reading(value=0.75)


def test_what_psutil_lacks_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions that a platform lacks become reasons; the others are still read."""

    def refuses(*_: Any, **__: Any) -> Any:
        raise PermissionError

    monkeypatch.delattr("psutil.swap_memory")
    monkeypatch.setattr("psutil.cpu_percent", refuses)
    readings = Machine().read()
    honest(readings)
    assert readings.swap_used_bytes.value is None
    assert readings.cores == ()
    assert readings.ram_total_bytes.value is not None


def rapl_zone(root: Path, name: str, micro_joules: int, wraps_at: int = 1_000_000_000) -> Path:
    zone = root / name
    zone.mkdir(exist_ok=True)
    (zone / "energy_uj").write_text(f"{micro_joules}\n")
    (zone / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    return zone


def test_rapl_counts_packages_once_and_survives_the_wrap(tmp_path: Path) -> None:
    """Watts over the time since the last reading; sub-zones are within their package; a wrapped counter goes on."""
    clock = Ticks()
    rapl = Rapl(tmp_path, clock)
    assert "RAPL" in (rapl.read().why or "")
    rapl_zone(tmp_path, "intel-rapl:0", 999_000_000)
    rapl_zone(tmp_path, "intel-rapl:0:0", 5)
    assert rapl.read().value is None
    clock.now += 2.0
    rapl_zone(tmp_path, "intel-rapl:0", 19_000_000)
    assert rapl.read().value == pytest.approx(10.0)


def test_an_unreadable_rapl_counter_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission and nonsense are reasons."""
    zone = rapl_zone(tmp_path, "intel-rapl:0", 1)
    (zone / "energy_uj").write_text("?")
    assert "can't be read" in (Rapl(tmp_path).read().why or "")

    def denied(_: Path) -> int:
        raise PermissionError

    monkeypatch.setattr(generic, "_number", denied)
    assert "readable" in (Rapl(tmp_path).read().why or "")


def test_a_containers_limit_bounds_what_is_available(tmp_path: Path) -> None:
    """cgroup v2: limit less use; no limit, no bound; no cgroup, no bound."""
    assert generic._container_free(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert generic._container_free(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert generic._container_free(tmp_path) is None


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
        }

        def call(*_: Any) -> Any:
            if name in self.refuse:
                raise NVMLError(self.refuse[name])
            return answers[name]()

        return call

    def nvmlShutdown(self) -> None:
        self.shutdowns += 1


def test_nvidia_readings_in_our_units() -> None:
    """Shares, bytes, watts, degrees, joules; closing shuts NVML down once."""
    nvml = FakeNvml()
    nvidia = Nvidia(nvml)
    (gpu,), why = nvidia.read()
    assert why is None
    honest(gpu)
    assert (gpu.name, gpu.unified) == ("NVIDIA H100", False)
    assert (gpu.utilisation.value, gpu.memory_used_bytes.value) == (0.37, 2**30)
    assert (gpu.power_w.value, gpu.temperature_c.value, gpu.energy_j.value) == (100.0, 41.0, 5.0)
    nvidia.close()
    nvidia.close()
    assert nvml.shutdowns == 1


def test_without_a_driver_there_is_one_sentence() -> None:
    """The library is missing, or sees no device: no GPUs, and why."""

    class NoDriver(FakeNvml):
        def nvmlInit(self) -> None:
            raise NVMLError_LibraryNotFound(12)

    assert Nvidia(NoDriver()).read() == ((), "no NVIDIA driver")
    assert "no GPU" in (Nvidia(FakeNvml(count=0)).read()[1] or "")
    assert "lost" in (Nvidia(FakeNvml({"nvmlDeviceGetCount": 15})).read()[1] or "")


def test_each_nvidia_reading_fails_alone() -> None:
    """A refused reading (MIG, containers) carries NVML's words; the rest is there."""
    nvidia = Nvidia(
        FakeNvml({"nvmlDeviceGetUtilizationRates": 4, "nvmlDeviceGetName": 4, "nvmlDeviceGetMemoryInfo": 4})
    )
    (gpu,), _ = nvidia.read()
    honest(gpu)
    assert gpu.utilisation.why == "load: Insufficient Permissions"
    assert gpu.memory_used_bytes.why == "memory: Insufficient Permissions"
    assert gpu.power_w.value == 100.0
    (lost,), _ = Nvidia(FakeNvml({"nvmlDeviceGetHandleByIndex": 15})).read()
    assert lost.utilisation.why == "device: GPU is lost"


def test_memory_shared_with_the_system_is_labelled_unified() -> None:
    """A device without memory of its own shows the system's, marked as such."""
    refuse = {"nvmlDeviceGetMemoryInfo": 3}
    (gpu,), _ = Nvidia(FakeNvml(refuse), system_memory=lambda: (10.0, 100.0)).read()
    assert gpu.unified
    assert (gpu.memory_used_bytes.value, gpu.memory_total_bytes.value) == (10.0, 100.0)
    assert gpu.memory_used_bytes.estimated
    (unknown,), _ = Nvidia(FakeNvml(refuse)).read()
    assert unknown.memory_total_bytes.value is None


def test_without_a_counter_energy_is_integrated_and_marked() -> None:
    """Before Volta: power x time, estimated; nothing is invented at the first reading."""
    clock = Ticks()
    nvidia = Nvidia(FakeNvml({"nvmlDeviceGetTotalEnergyConsumption": 3}), monotonic=clock)
    assert nvidia.read()[0][0].energy_j.value is None
    clock.now += 3.0
    energy = nvidia.read()[0][0].energy_j
    assert energy == Reading(value=300.0, estimated=True)


MACMON = {
    "timestamp": "2025-01-01T00:00:00Z", "temp": {"cpu_temp_avg": 43.7, "gpu_temp_avg": 36.9},
    "memory": {"ram_total": 25769803776, "ram_usage": 20985479168, "swap_total": 4294967296, "swap_usage": 2602434560},
    "ecpu_usage": [1181, 0.08], "pcpu_usage": [1974, 0.15], "gpu_usage": [461, 0.0249], "cpu_power": 0.2053,
    "gpu_power": 0.0174, "ane_power": 0.0, "all_power": 0.2227, "sys_power": 5.87,
}  # fmt: skip


def test_a_macmon_line_in_our_units() -> None:
    """Watts and shares as printed; the Neural Engine's 0 is unknown, not a measurement; memory is unified."""
    found = parse_macmon(json.dumps(MACMON))
    (gpu,) = found.gpus
    honest(gpu)
    assert (gpu.utilisation.value, gpu.power_w.value, gpu.temperature_c.value) == (0.0249, 0.0174, 36.9)
    assert gpu.unified
    assert found.cpu_power_w.value == 0.2053
    assert found.ane.value is None
    assert parse_macmon(json.dumps({**MACMON, "ane_power": 1.5})).ane.value == 1.5


@pytest.mark.parametrize("line", ["", "nonsense", "[1]", "3"])
def test_what_is_no_macmon_line_is_a_value_error(line: str) -> None:
    """Only ValueError comes out of the parser."""
    with pytest.raises(ValueError):
        parse_macmon(line)


def test_a_macmon_of_another_version_leaves_reasons() -> None:
    """Fields that are missing or of another type are not reported, never 0."""
    found = parse_macmon(json.dumps({"gpu_usage": "x", "temp": 3, "memory": None}))
    honest(found.gpus[0])
    assert found.gpus[0].utilisation.value is None
    assert found.cpu_power_w.why == "CPU power: not reported"


IOREG = plistlib.dumps(
    [
        {
            "IOClass": "AGXAcceleratorG14X",
            "model": "Apple M2 Max",
            "PerformanceStatistics": {"Device Utilization %": 23, "In use system memory": 1234567},
        }
    ]
)


def test_ioregs_list_in_our_units() -> None:
    """Percent becomes a share; what ioreg does not know says how to get it."""
    (gpu,) = parse_ioreg(IOREG)
    honest(gpu)
    assert (gpu.name, gpu.utilisation.value, gpu.memory_used_bytes.value) == ("Apple M2 Max", 0.23, 1234567)
    assert "macmon" in (gpu.power_w.why or "")
    with pytest.raises(ValueError):
        parse_ioreg(b"<plist><broken")


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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what changes is on a thread that has no event to offer
            await asyncio.sleep(0.001)


async def test_macmon_is_preferred_and_ended_and_ioreg_steps_in() -> None:
    """The newest line while macmon runs; ioreg before, after, and where there is no macmon."""
    process = FakeMacmon([json.dumps(MACMON)])
    apple = Apple(lambda: process, lambda: IOREG)
    await until(lambda: apple.read().cpu_power_w.value is not None)
    process.ended.set()
    await until(lambda: apple.read().gpus[0].name == "Apple M2 Max")
    apple.close()
    apple.close()
    assert process.terminated

    def missing() -> Any:
        raise FileNotFoundError

    nothing = Apple(missing, missing).read()
    assert nothing.gpus == ()
    assert nothing.why is not None


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


def test_amd_readings_in_our_units() -> None:
    """Energy is accumulator x resolution; "N/A" is no number."""
    amd = Amd(FakeSmi())
    (gpu,), why = amd.read()
    assert why is None
    honest(gpu)
    assert (gpu.name, gpu.utilisation.value, gpu.memory_used_bytes.value) == ("Instinct MI210", 0.12, 512 * 2**20)
    assert (gpu.power_w.value, gpu.temperature_c.value, gpu.energy_j.value) == (95, 44, pytest.approx(15.3))
    amd.close()


def test_each_amd_reading_fails_alone() -> None:
    """Whatever kind of error: a reason at its reading, and the rest is there."""
    refuse = ("amdsmi_get_energy_count", "amdsmi_get_temp_metric", "amdsmi_get_power_info", "amdsmi_shut_down")
    amd = Amd(FakeSmi(refuse))
    (gpu,), _ = amd.read()
    honest(gpu)
    assert "amdsmi_get_energy_count" in (gpu.energy_j.why or "")
    assert gpu.utilisation.value == 0.12
    amd.close()


def test_without_rocm_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed, not usable, no device, lost: no GPUs, and why."""
    monkeypatch.setitem(__import__("sys").modules, "amdsmi", None)
    missing = Amd()
    assert missing.read() == missing.read() == ((), "AMD: amdsmi is not installed")
    assert "KeyError" in (Amd(FakeSmi(("amdsmi_init",))).read()[1] or "")
    assert "no GPU" in (Amd(FakeSmi(count=0)).read()[1] or "")
    assert "handles" in (Amd(FakeSmi(("amdsmi_get_processor_handles",))).read()[1] or "")


class HangingMachine(Machine):
    """A machine whose library does not return until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.hang = False
        self.go = threading.Event()

    def read(self) -> Any:
        if self.hang:
            self.go.wait(30)
        return super().read()


async def test_a_library_that_hangs_costs_a_bounded_time_and_grows_stale() -> None:
    """The last view stands for ten seconds; then its readings are None with the reason; closing is bounded too."""
    clock, machine = Ticks(), HangingMachine()
    probe = SystemProbe(machine, longest_s=0.05, monotonic=clock)
    try:
        good = await probe.read()
        machine.hang = True
        clock.now += 2.0
        assert await probe.read() is good
        clock.now += hardware.STALE_S
        stale = await probe.read()
        assert stale.ram_total_bytes.value is None
        assert "in time" in (stale.ram_total_bytes.why or "")
        await probe.close()
        assert (await probe.read()).cpu.value is None
    finally:
        machine.go.set()


async def test_the_first_vendor_with_devices_is_shown_and_all_reasons_otherwise() -> None:
    """AMD where there is no NVIDIA; both reasons where there is neither; Apple alone on a Mac."""
    none = Nvidia(FakeNvml(count=0))

    async def view(**vendors: Any) -> HardwareView:
        probe = SystemProbe(Machine(), **vendors)
        found = await probe.read()
        await probe.close()
        return found

    with_amd = await view(nvidia=none, amd=Amd(FakeSmi()))
    assert (with_amd.gpus[0].name, with_amd.gpu_why) == ("Instinct MI210", None)
    neither = await view(nvidia=none, amd=Amd(FakeSmi(count=0)))
    assert neither.gpu_why == "NVIDIA: the driver sees no GPU; AMD: the driver sees no GPU"
    apple = Apple(lambda: FakeMacmon([]), lambda: IOREG)
    mac = await view(apple=apple)
    assert mac.gpus[0].name == "Apple M2 Max"
