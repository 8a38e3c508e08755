"""NVIDIA, Apple and AMD readings in our units, from recorded answers of the vendors' libraries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hardware_kit import (
    IOREG,
    MACMON,
    FakeMacmon,
    FakeNvml,
    FakeSmi,
    NVMLError_LibraryNotFound,
    Ticks,
    honest,
)

from arbiter_tui.adapters.hardware.amd import Amd
from arbiter_tui.adapters.hardware.apple import Apple, parse_ioreg, parse_macmon
from arbiter_tui.adapters.hardware.nvidia import Nvidia
from arbiter_tui.core.snapshot import Reading


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


def test_ioregs_list_in_our_units() -> None:
    """Percent becomes a share; what ioreg does not know says how to get it."""
    (gpu,) = parse_ioreg(IOREG)
    honest(gpu)
    assert (gpu.name, gpu.utilisation.value, gpu.memory_used_bytes.value) == ("Apple M2 Max", 0.23, 1234567)
    assert "macmon" in (gpu.power_w.why or "")
    with pytest.raises(ValueError):
        parse_ioreg(b"<plist><broken")


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
