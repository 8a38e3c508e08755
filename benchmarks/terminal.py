"""A terminal for benchmarks: a program in a real pty, pyte as its screen, each byte stamped when it arrives.

A thread of its own reads and stamps; what the screen shows is worked out afterwards, so that drawing costs the figures
nothing. It answers as a modern terminal does: synchronised updates (a screen counts when its update has ended) and the
kitty keyboard protocol (``escape`` is one unambiguous key; without it Textual waits 100 ms for the rest of a sequence).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import queue
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import psutil
import pyte

SWITCH_S = 0.0005  # the reader thread must not wait for the drawing one
ASKED = re.compile(rb"\x1b\[\?(\d+)\$p")  # "do you know this mode?"
FOREIGN = re.compile(rb"\x1b\[[<=>][\d;]*[a-zA-Z]|\x1b\[\?\d+\$p")  # what pyte would draw as text
PARTIAL = re.compile(rb"\x1b(\[[\d;<=>?$ ]*)?$")
SYNC = re.compile(rb"\x1b\[\?2026([hl])")
KITTY = re.compile(rb"\x1b\[[=>](\d+)(?:;\d+)?u")
KEYS = {"enter": b"\r", "escape": b"\x1b"}


class Terminal:
    """A context manager; ``begun`` is the moment before the program was started. Leaves no process behind."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.bytes = 0
        self._stream = pyte.ByteStream(self.screen)
        self._tail, self._sync, self._kitty = b"", False, False
        self._chunks: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self.ended_at: float | None = None
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._master, slave = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in ("NO_COLOR", "SSH_CONNECTION", "SSH_TTY"):
            env.pop(name, None)
        env |= environment or {}
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            list(command), stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._reap)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self._threads[1].join(20)
        if self.process.poll() is None:
            self.process.kill()
        self._closing.set()
        for thread in self._threads:
            thread.join(5)
        os.close(self._master)
        sys.setswitchinterval(self._switch)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the program has closed its side
            while not self._closing.is_set():
                if select.select([self._master], [], [], 0.1)[0]:
                    data = os.read(self._master, 65536)
                    self._chunks.put((time.perf_counter(), data))

    def _reap(self) -> None:
        self.process.wait()
        self.ended_at = time.perf_counter()

    # what it shows --------------------------------------------------------------------------------------------
    def rows(self) -> list[str]:
        """Cheaper than pyte's ``display``, which works out each character's width."""
        buffer, columns = self.screen.buffer, range(self.screen.columns)
        return ["".join(buffer[y][x].data for x in columns) for y in range(self.screen.lines)]

    def text(self) -> str:
        return "\n".join(self.rows())

    def wait(self, true: Callable[[], bool], seconds: float) -> float | None:
        """When the bytes arrived that made it true; None: not within this time."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            try:
                at, data = self._chunks.get(timeout=min(left, 0.05))
            except queue.Empty:
                continue
            self._feed(data)
            if not self._sync and true():
                return at
        return None

    def rest(self, seconds: float) -> int:
        """Let it run; how many bytes it wrote meanwhile."""
        before = self.bytes
        self.wait(lambda: False, seconds)
        return self.bytes - before

    def _feed(self, data: bytes) -> None:
        self.bytes += len(data)
        for mode in ASKED.findall(data):
            self._write(b"\x1b[?%s;%d$y" % (mode, 2 if mode == b"2026" else 0))
        data = self._tail + data
        cut = PARTIAL.search(data)
        self._tail = data[cut.start() :] if cut else b""
        data = data[: cut.start()] if cut else data
        for mode in SYNC.findall(data):
            self._sync = mode == b"h"
        for flags in KITTY.findall(data):
            self._kitty = flags != b"0"
        self._stream.feed(FOREIGN.sub(b"", data))

    # what its user does ---------------------------------------------------------------------------------------
    def press(self, key: str) -> float:
        """The moment of the key."""
        code = KEYS.get(key, key.encode())
        at = time.perf_counter()
        self._write(b"\x1b[27u" if key == "escape" and self._kitty else code)
        return at

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._master, data)

    # what it costs --------------------------------------------------------------------------------------------
    def resident_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def cpu_s(self) -> float:
        spent = psutil.Process(self.process.pid).cpu_times()
        return float(spent.user + spent.system)
