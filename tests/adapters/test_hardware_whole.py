"""The readings of the whole-machine view: disks, and what NVML says of throttling and processes (recorded answers)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hardware_kit import FakeNvml, honest

from arbiter_tui.adapters.hardware import generic
from arbiter_tui.adapters.hardware.generic import Machine, disks
from arbiter_tui.adapters.hardware.nvidia import Nvidia


def test_what_lies_on_one_file_system_is_one_disk(tmp_path: Path) -> None:
    """Both names, one line; a folder that is not there yet is measured where it would be made."""
    (found,) = disks([("state", tmp_path), ("models", tmp_path / "not" / "there"), ("models", tmp_path)])
    honest(found)
    assert (found.what, found.path) == ("state, models", str(tmp_path))
    assert 0 < (found.used_bytes.value or 0) <= (found.total_bytes.value or 0)


def test_a_disk_that_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash with its reason, never a full or an empty disk."""

    def refuse(path: str) -> None:
        raise PermissionError

    monkeypatch.setattr(generic, "_psutil", lambda: SimpleNamespace(disk_usage=refuse))
    (found,) = disks([("models", tmp_path)])
    assert found.used_bytes.value is None
    assert found.total_bytes.why == "disk of models: no permission"


def test_the_machine_reads_its_swap_as_a_whole() -> None:
    """Used without total would be no share."""
    read = Machine().read()
    assert read.swap_total_bytes.value is not None
    assert (read.swap_used_bytes.value or 0) <= read.swap_total_bytes.value


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (0x0, ()),
        (0x1, ()),
        (0x2, ()),
        (0x4, ("power limit",)),
        (0x40 | 0x8, ("hardware slowdown", "heat (hardware)")),
        (0x20 | 0x80 | 0x10, ("held to its neighbours' clocks", "heat (driver)", "power brake")),
    ],
)
def test_throttling_in_words(bits: int, said: tuple[str, ...]) -> None:
    """An idle GPU and clocks that somebody set are no throttling; several reasons stand beside each other."""
    nvml = FakeNvml()
    nvml.held_back = bits
    (gpu,), _ = Nvidia(nvml).read()
    assert (gpu.throttle, gpu.throttle_why) == (said, None)


def test_an_older_driver_is_asked_by_the_older_name() -> None:
    """The call was renamed; without either the reason says so."""

    class Older(FakeNvml):
        nvmlDeviceGetCurrentClocksEventReasons = None

        def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: object) -> int:
            return 0x4

    class Oldest(Older):
        nvmlDeviceGetCurrentClocksThrottleReasons = None

    (gpu,), _ = Nvidia(Older()).read()
    assert gpu.throttle == ("power limit",)
    (gpu,), _ = Nvidia(Oldest()).read()
    assert "does not ask" in (gpu.throttle_why or "")


def test_memory_by_process_and_what_the_driver_does_not_tell() -> None:
    """Bytes where they are told, None where not; a refusal is a reason and costs nothing else."""
    nvml = FakeNvml()
    nvml.processes = [
        SimpleNamespace(pid=41, usedGpuMemory=3 * 2**30),
        SimpleNamespace(pid=42, usedGpuMemory=None),
    ]
    (gpu,), _ = Nvidia(nvml).read()
    assert [(p.pid, p.memory_bytes, p.version) for p in gpu.processes] == [(41, 3 * 2**30, None), (42, None, None)]
    refused = FakeNvml({"nvmlDeviceGetComputeRunningProcesses": 3, "nvmlDeviceGetCurrentClocksEventReasons": 4})
    (gpu,), _ = Nvidia(refused).read()
    assert gpu.processes_why == "memory by process: Not Supported"
    assert gpu.throttle_why == "throttling: Insufficient Permissions"
    assert gpu.utilisation.value == 0.37
