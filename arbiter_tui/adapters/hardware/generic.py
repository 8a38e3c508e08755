"""Any machine: CPU, memory and swap through psutil, the CPU's energy through RAPL where it may be read.

Owns: the readings that need no vendor. Never: a fake 0; what can't be read is None with the reason.
``psutil`` and ``/sys`` differ by platform: each reading is tried on its own, so one that is missing costs only itself.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.snapshot import DiskView, Reading

RAPL = Path("/sys/class/powercap")
_FAILURES = (OSError, AttributeError, NotImplementedError, RuntimeError, ValueError, IndexError)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReadings:
    """Shares in 0..1, bytes, watts."""

    cpu: Reading
    cores: tuple[float, ...]
    ram_used_bytes: Reading
    ram_total_bytes: Reading
    swap_used_bytes: Reading
    cpu_power_w: Reading
    swap_total_bytes: Reading
    disks: tuple[DiskView, ...] = ()


def attempt(read: Callable[[], float | None], what: str) -> Reading:
    """A reading, or None with what went wrong in a few words."""
    try:
        found = read()
    except PermissionError:
        return Reading(why=f"{what}: no permission")
    except _FAILURES as error:
        return Reading(why=f"{what}: not supported here ({type(error).__name__})")
    return Reading(why=f"{what}: not reported") if found is None else Reading(value=float(found))


class Machine:
    """psutil and RAPL. Rates are over the time since the reading before; the first has none.

    ``places``: (what lies there, folder); those on one file system are shown as one.
    """

    def __init__(
        self,
        *,
        rapl: Path = RAPL,
        monotonic: Callable[[], float] = time.monotonic,
        places: Sequence[tuple[str, Path]] = (),
    ) -> None:
        self._places = places
        self._rapl = Rapl(rapl, monotonic)
        self._primed = False

    def read(self) -> MachineReadings:
        cores = self._cores()
        return MachineReadings(
            cpu=self._cpu(cores),
            cores=cores,
            ram_used_bytes=_used(),
            ram_total_bytes=_total(),
            swap_used_bytes=attempt(lambda: _psutil().swap_memory().used, "swap"),
            cpu_power_w=self._rapl.read(),
            swap_total_bytes=attempt(lambda: _psutil().swap_memory().total, "swap"),
            disks=disks(self._places),
        )

    @staticmethod
    def memory() -> tuple[float | None, float | None]:
        """Used and total bytes of the system's memory."""
        return _used().value, _total().value

    def _cores(self) -> tuple[float, ...]:
        try:
            found = _psutil().cpu_percent(interval=None, percpu=True)
        except _FAILURES:
            return ()
        # psutil's first answer is a meaningless 0: it has nothing to compare with.
        primed, self._primed = self._primed, True
        return tuple(min(1.0, max(0.0, share / 100.0)) for share in found) if primed else ()

    @staticmethod
    def _cpu(cores: tuple[float, ...]) -> Reading:
        if not cores:
            return Reading(why="CPU load: known from the second reading on")
        return Reading(value=sum(cores) / len(cores))


def disks(places: Sequence[tuple[str, Path]]) -> tuple[DiskView, ...]:
    """Each file system once, named after everything that lies on it."""
    found: dict[object, tuple[list[str], Path]] = {}
    for what, folder in places:
        path = _existing(folder)
        try:
            device: object = path.stat().st_dev
        except OSError:
            device = path
        whats, _ = found.setdefault(device, ([], path))
        if what not in whats:
            whats.append(what)
    return tuple(_disk(", ".join(whats), path) for whats, path in found.values())


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there: it is where the folder would be made."""
    return next((p for p in (folder, *folder.parents) if p.exists()), folder)


def _disk(what: str, path: Path) -> DiskView:
    name = f"disk of {what}"
    used = attempt(lambda: _psutil().disk_usage(str(path)).used, name)
    total = attempt(lambda: _psutil().disk_usage(str(path)).total, name)
    return DiskView(what=what, path=str(path), used_bytes=used, total_bytes=total)


def available_bytes() -> int | None:
    """Memory that could be used now without swapping, within the container's limit where there is one."""
    machine = attempt(lambda: _memory().available, "memory").value
    container = _container_free()
    known = [int(v) for v in (machine, container) if v is not None]
    return min(known, default=None)


def _container_free(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a cgroup-v2 limit leaves; None where there is no limit."""
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        used = int((root / "memory.current").read_text(encoding="ascii"))
        return None if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return None


def cpu_name() -> str:
    """The processor's name; empty if the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _psutil() -> Any:
    import psutil

    return psutil


def _memory() -> Any:
    return _psutil().virtual_memory()


def _used() -> Reading:
    def read() -> float:
        memory = _memory()
        return float(memory.total - memory.available)

    return attempt(read, "memory in use")


def _total() -> Reading:
    return attempt(lambda: float(_memory().total), "memory")


class Rapl:
    """The CPU packages' energy counters (microjoules, they wrap) as watts since the reading before."""

    def __init__(self, root: Path = RAPL, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._monotonic = monotonic
        self._last: tuple[float, dict[Path, int]] | None = None

    def read(self) -> Reading:
        zones = self._zones()
        if not zones:
            return Reading(why="CPU power: this machine has no readable energy counter (RAPL)")
        try:
            now, counters = self._monotonic(), {zone: _number(zone / "energy_uj") for zone in zones}
        except PermissionError:
            return Reading(why="CPU power: no permission (make /sys/class/powercap/*/energy_uj readable)")
        except (OSError, ValueError) as error:
            return Reading(why=f"CPU power: the counter can't be read ({type(error).__name__})")
        last, self._last = self._last, (now, counters)
        if last is None or now <= last[0] or last[1].keys() != counters.keys():
            return Reading(why="CPU power: known from the second reading on")
        used = sum(self._since(zone, last[1][zone], value) for zone, value in counters.items())
        return Reading(value=used / 1e6 / (now - last[0]))

    def _zones(self) -> list[Path]:
        """Packages only: their cores and memory are counted within them."""
        try:
            return sorted(z for z in self._root.glob("intel-rapl:*") if z.name.count(":") == 1)
        except OSError:
            return []

    @staticmethod
    def _since(zone: Path, before: int, now: int) -> int:
        if now >= before:
            return now - before
        try:
            return now - before + _number(zone / "max_energy_range_uj")
        except (OSError, ValueError):
            return 0  # it wrapped and doesn't say where: one interval is left out


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
