"""What this machine has and does: one HardwareView, whatever the machine.

Owns: which vendors are asked, the thread on which their synchronous libraries run (one reading at a time), and the
bound on its time.
Never: a fake value; a reading is a value, or None with a reason. A library that hangs leaves the last view standing,
its readings replaced by the reason once they are stale.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from ...core.snapshot import GpuView, HardwareView, Reading
from .amd import Amd
from .apple import Apple, AppleReadings
from .generic import Machine, MachineReadings, available_bytes, cpu_name
from .nvidia import Nvidia
from .power import Power

T = TypeVar("T")
LONGEST_READ_S = 2.0
EVERY_S = 1.0  # NVML's own advice is 1 Hz: whoever asks sooner gets the last view
STALE_S = 10.0


class SystemProbe:
    """ports.HardwareProbe on the real machine."""

    def __init__(
        self,
        machine: Machine,
        *,
        nvidia: Nvidia | None = None,
        amd: Amd | None = None,
        apple: Apple | None = None,
        power: Power | None = None,
        longest_s: float = LONGEST_READ_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._nvidia = nvidia
        self._amd = amd
        self._apple = apple
        self._power = power or Power()
        self._longest_s = longest_s
        self._monotonic = monotonic
        self._under_way: Future[HardwareView] | None = None
        self._last: HardwareView | None = None
        self._last_at = 0.0
        self._cpu_name = cpu_name()
        self._closed = False

    async def read(self) -> HardwareView:
        """The newest view, at most EVERY_S old where the machine answers in time."""
        if self._closed:
            return self._standing()
        if self._last is not None and self._monotonic() - self._last_at < EVERY_S:
            return self._last
        if self._under_way is None:
            self._under_way = _on_a_thread(self._read)
        waiting = asyncio.wrap_future(self._under_way)
        done, _ = await asyncio.wait({waiting}, timeout=self._longest_s)
        if not done:
            return self._standing()
        self._under_way = None
        self._last, self._last_at = waiting.result(), self._monotonic()
        return self._last

    def _standing(self) -> HardwareView:
        if self._last is not None and self._monotonic() - self._last_at < STALE_S:
            return self._last
        stale = Reading(why="the machine did not answer in time")
        return HardwareView(
            cpu=stale, ram_used_bytes=stale, ram_total_bytes=stale, swap_used_bytes=stale, cpu_power_w=stale,
            ane=stale, gpu_why=stale.why, cpu_name=self._cpu_name, swap_total_bytes=stale, battery=stale, stale=True,
        )  # fmt: skip

    def _read(self) -> HardwareView:
        machine = self._machine.read()
        apple = self._apple.read() if self._apple else None
        gpus, why = self._gpus(apple)
        power = self._power.read()
        return HardwareView(
            cpu=machine.cpu,
            cores=machine.cores,
            ram_used_bytes=machine.ram_used_bytes,
            ram_total_bytes=machine.ram_total_bytes,
            swap_used_bytes=machine.swap_used_bytes,
            cpu_power_w=_first_known(machine, apple),
            gpus=gpus,
            gpu_why=None if gpus else why,
            ane=apple.ane if apple else Reading(why="no Neural Engine on this machine"),
            backend="CPU",
            cpu_name=self._cpu_name,
            swap_total_bytes=machine.swap_total_bytes,
            disks=machine.disks,
            on_battery=power.on_battery,
            battery=power.battery,
            cpu_throttle=power.held_back,
            cpu_throttle_why=power.held_back_why,
        )

    def _gpus(self, apple: AppleReadings | None) -> tuple[tuple[GpuView, ...], str | None]:
        if apple is not None:
            return apple.gpus, apple.why
        reasons: list[str] = []
        for vendor in (self._nvidia, self._amd):
            if vendor is None:
                continue
            gpus, why = vendor.read()
            if gpus:
                return gpus, None
            reasons.append(why or "")
        return (), "; ".join(r for r in reasons if r) or "no GPU is looked for on this platform"

    def available_bytes(self) -> int | None:
        """Memory that models could use now, in bytes."""
        return available_bytes()

    async def close(self) -> None:
        """Idempotent, and bounded: a library that hangs is left behind on its thread."""
        if self._closed:
            return
        self._closed = True
        if self._under_way is not None:
            await asyncio.wait({asyncio.wrap_future(self._under_way)}, timeout=self._longest_s)
            if not self._under_way.done():
                return
        await asyncio.wait({asyncio.wrap_future(_on_a_thread(self._close_vendors))}, timeout=self._longest_s)

    def _close_vendors(self) -> None:
        for vendor in (self._nvidia, self._amd, self._apple):
            if vendor is not None:
                vendor.close()


def _on_a_thread(read: Callable[[], T]) -> Future[T]:
    """Run on a daemon thread: an executor's is joined when the interpreter ends, so a hang would stay."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(read())
        except BaseException as error:  # it belongs to whoever asked
            future.set_exception(error)

    threading.Thread(target=run, name="hardware", daemon=True).start()
    return future


def _first_known(machine: MachineReadings, apple: AppleReadings | None) -> Reading:
    if apple is not None and apple.cpu_power_w.value is not None:
        return apple.cpu_power_w
    return machine.cpu_power_w


def _system_memory(machine: Machine) -> tuple[float, float] | None:
    used, total = machine.memory()
    return None if used is None or total is None else (used, total)


def open_probe(places: Sequence[tuple[str, Path]] = ()) -> SystemProbe:
    """The probe for this platform. Starts nothing and imports no vendor's library until the first reading.

    ``places``: (what lies there, folder), for the disks.
    """
    machine = Machine(places=places)
    if sys.platform == "darwin":
        return SystemProbe(machine, apple=Apple())
    return SystemProbe(machine, nvidia=Nvidia(system_memory=lambda: _system_memory(machine)), amd=Amd())
