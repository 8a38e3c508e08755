"""How many outcomes a crash cost: a counter in a mapped page, which outlives ``kill -9`` at no cost to a request.

Owns: ``outcomes.count``, the running number of outcomes that were announced for recording. The database counts, in the
transactions that record them, how many of those arrived; after a crash the difference is what was lost.
Never: trusted across a restart of the machine (the page may not have reached the disk): then the loss is unknown.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

FILE_NAME = "outcomes.count"
_LAYOUT = struct.Struct("<Q64s")
_COUNT = struct.Struct("<Q")


def boot_mark() -> bytes:
    """What changes when the machine restarts; empty where it can't be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:64]
    except OSError:
        pass
    import psutil

    try:
        # Minutes: the boot time is computed from two clocks and jitters.
        return str(round(psutil.boot_time() / 60)).encode()
    except (psutil.Error, OSError, AttributeError, NotImplementedError, RuntimeError):
        return b""


class LossCounter:
    """The announced total. ``announced_before`` is what the last process left; None if that can't be trusted."""

    def __init__(self, folder: Path) -> None:
        handle = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            known = os.read(handle, _LAYOUT.size)
            if len(known) < _LAYOUT.size:
                # Written, not truncated to size: a page without a block behind it would kill us on a full disk.
                os.pwrite(handle, bytes(_LAYOUT.size), 0)
            self._page = mmap.mmap(handle, _LAYOUT.size)
        finally:
            os.close(handle)
        self.announced_before = self._read(known)
        self.announced = 0

    @staticmethod
    def _read(known: bytes) -> int | None:
        if len(known) < _LAYOUT.size:
            return None
        total, boot = _LAYOUT.unpack(known)
        mark = boot_mark()
        return int(total) if mark and boot.rstrip(b"\0") == mark else None

    def begin(self, total: int) -> None:
        """Count on from ``total``."""
        self.announced = total
        _LAYOUT.pack_into(self._page, 0, total, boot_mark())

    def announce(self) -> None:
        """One more outcome will be recorded. About a microsecond; no system call."""
        self.announced += 1
        _COUNT.pack_into(self._page, 0, self.announced)

    def close(self) -> None:
        self._page.close()
