"""Every reading is a value, or None with a reason; vendors' libraries are seams fed with recorded answers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hardware_kit import IOREG, FakeMacmon, FakeNvml, FakeSmi, Ticks, honest

from arbiter_tui.adapters import hardware
from arbiter_tui.adapters.hardware import SystemProbe, generic, open_probe
from arbiter_tui.adapters.hardware.amd import Amd
from arbiter_tui.adapters.hardware.apple import Apple
from arbiter_tui.adapters.hardware.generic import Machine, Rapl
from arbiter_tui.adapters.hardware.nvidia import Nvidia
from arbiter_tui.core.snapshot import HardwareView, Reading


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
