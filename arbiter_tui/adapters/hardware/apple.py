"""Apple silicon without sudo: ``macmon pipe`` (power, load, memory), else ``ioreg`` (the GPU's load).

UNTESTED ON HARDWARE: written from the tools' documented output and tested with recorded lines only.

Owns: parsing both, and the macmon process. Never: invents a share of the Neural Engine from watts: it is ON, idle, or
unknown (its reading is watts; newer systems report 0 under load, which is why 0 is given as unknown).
"""

from __future__ import annotations

import json
import plistlib
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

from ...core.snapshot import GpuView, Reading

MACMON = ("macmon", "pipe", "-i", "1000")
IOREG = ("ioreg", "-a", "-r", "-c", "IOAccelerator", "-d", "1")
INSTALL = "install macmon (brew install macmon) for power and temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleReadings:
    gpus: tuple[GpuView, ...]
    cpu_power_w: Reading
    ane: Reading
    why: str | None = None


def parse_macmon(line: str) -> AppleReadings:
    """One JSON line of ``macmon pipe``. Raises ValueError if it is none."""
    data = json.loads(line)
    if not isinstance(data, Mapping):
        raise ValueError("macmon did not print an object")
    temperature, memory = _table(data.get("temp")), _table(data.get("memory"))
    usage = data.get("gpu_usage")
    share = usage[1] if isinstance(usage, Sequence) and not isinstance(usage, str) and len(usage) > 1 else None
    gpu = GpuView(
        index=0,
        name="Apple GPU",
        utilisation=_reading(share, "GPU load"),
        memory_used_bytes=_reading(memory.get("ram_usage"), "memory"),
        memory_total_bytes=_reading(memory.get("ram_total"), "memory"),
        power_w=_reading(data.get("gpu_power"), "GPU power"),
        temperature_c=_reading(temperature.get("gpu_temp_avg"), "GPU temperature"),
        energy_j=Reading(why="energy: macmon reports power only"),
        unified=True,
        throttle_why="throttling: macOS does not tell it without sudo",
        processes_why="memory by process: shared with the system, see each model's own",
    )
    return AppleReadings(gpus=(gpu,), cpu_power_w=_reading(data.get("cpu_power"), "CPU power"), ane=_ane(data))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _ane(data: Mapping[str, Any]) -> Reading:
    watts = _reading(data.get("ane_power"), "Neural Engine")
    if watts.value == 0.0:
        return Reading(why="Neural Engine: idle, or not reported by this system")
    return watts


def _reading(value: Any, what: str) -> Reading:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Reading(value=float(value))
    return Reading(why=f"{what}: not reported")


def parse_ioreg(data: bytes) -> tuple[GpuView, ...]:
    """The property list of ``ioreg``: load and memory in use of each accelerator. Raises ValueError."""
    try:
        found = plistlib.loads(data)
    except Exception as error:  # plistlib raises expat's, struct's and its own kinds for a damaged list
        raise ValueError(f"ioreg did not print a property list: {error}") from error
    entries = found if isinstance(found, list) else []
    return tuple(_accelerator(i, entry) for i, entry in enumerate(entries) if isinstance(entry, Mapping))


def _accelerator(index: int, entry: Mapping[str, Any]) -> GpuView:
    known = _table(entry.get("PerformanceStatistics"))
    percent = _reading(known.get("Device Utilization %"), "GPU load")
    return GpuView(
        index=index,
        name=str(entry.get("model") or entry.get("IOClass") or "Apple GPU"),
        utilisation=percent if percent.value is None else Reading(value=percent.value / 100.0),
        memory_used_bytes=_reading(known.get("In use system memory"), "memory"),
        memory_total_bytes=Reading(why="memory: shared with the system"),
        power_w=Reading(why=f"power: {INSTALL}"),
        temperature_c=Reading(why=f"temperature: {INSTALL}"),
        energy_j=Reading(why=f"energy: {INSTALL}"),
        unified=True,
        throttle_why="throttling: macOS does not tell it without sudo",
        processes_why="memory by process: shared with the system, see each model's own",
    )


class Process(Protocol):
    stdout: IO[str] | None

    def terminate(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...


def _spawn() -> Process:
    return subprocess.Popen(
        MACMON, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
    )


def _ioreg() -> bytes:
    return subprocess.run(IOREG, capture_output=True, timeout=2.0, check=True).stdout


class Apple:
    """``spawn`` starts macmon, ``ioreg`` runs ioreg: both are seams for tests. A thread keeps macmon's newest line."""

    def __init__(self, spawn: Callable[[], Process] = _spawn, ioreg: Callable[[], bytes] = _ioreg) -> None:
        self._spawn = spawn
        self._ioreg = ioreg
        self._process: Process | None = None
        self._missing = False
        self._newest: str | None = None
        self._thread: threading.Thread | None = None

    def read(self) -> AppleReadings:
        """The newest of macmon's lines, else what ioreg knows. Never waits for macmon."""
        self._start()
        if self._newest is not None:
            try:
                return parse_macmon(self._newest)
            except ValueError:
                pass  # a line of another version: ioreg answers instead
        return self._from_ioreg()

    def _start(self) -> None:
        if self._process is not None or self._missing:
            return
        try:
            self._process = self._spawn()
        except OSError:
            self._missing = True
            return
        self._thread = threading.Thread(target=self._follow, args=(self._process,), name="macmon", daemon=True)
        self._thread.start()

    def _follow(self, process: Process) -> None:
        for line in process.stdout or ():
            self._newest = line
        self._newest, self._missing = None, True  # it ended: its last line would grow stale

    def _from_ioreg(self) -> AppleReadings:
        unknown = Reading(why=INSTALL)
        try:
            gpus = parse_ioreg(self._ioreg())
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return AppleReadings(gpus=(), cpu_power_w=unknown, ane=unknown, why=f"ioreg: {error}")
        return AppleReadings(gpus=gpus, cpu_power_w=unknown, ane=unknown, why=None if gpus else "ioreg lists no GPU")

    def close(self) -> None:
        process, self._process, self._missing = self._process, None, True
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
