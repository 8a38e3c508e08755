"""The cockpit in a real pseudo-terminal: paints, obeys keys, follows a resize, restores on every way out."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyte
import pytest

HERE = Path(__file__).resolve().parent
SCRIPT = (
    f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
    "from canned import HEALTHY\n"
    "from fake_cockpit import FakeEngine\n"
    "from arbiter_tui.tui.app import run_cockpit\n"
    "async def connect(): return FakeEngine(HEALTHY)\n"
    "told = iter(['a long sentence of the show, and its tail'])\n"
    "story = (lambda: next(told, 'a short one')) if 'story' in sys.argv else None\n"
    "if 'crash' in sys.argv:\n"
    "    from arbiter_tui.tui.screens.help import Help\n"
    "    def entries(self, width): raise RuntimeError('a fault in drawing')\n"
    "    Help.entries = entries\n"
    "import threading\n"
    "def left(stop):\n"
    "    waiting = [t for t in threading.enumerate() if isinstance(t, threading.Timer) and not t.finished.is_set()]\n"
    "    print('deadlines left:', len(waiting), flush=True)\n"
    "    for name in (a[6:] for a in sys.argv if a.startswith('after=')): open(name, 'w').close()\n"
    "sys.exit(run_cockpit(connect=connect, theme='dark', story=story, on_quit=left))\n"
)
DEADLINE_S = 20.0


class Terminal:
    """A program in a pty with pyte as its screen."""

    def __init__(self, *arguments: str, columns: int = 120, rows: int = 40, controls: bool = False) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        env |= {"COLUMNS": "80", "LINES": "24"}  # as a shell exports them: the window's own size counts
        env.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
            preexec_fn=_become_its_terminal if controls else None,
        )  # fmt: skip
        os.close(slave)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self, patience_s: float = 0.05) -> None:
        ready, _, _ = select.select([self.master], [], [], patience_s)
        if not ready:
            return
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the other end is closed
            return
        self.raw += data
        self.stream.feed(data)

    def text(self) -> str:
        return "\n".join(self.screen.display)

    def wait(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < end, self.text()
            self.read()

    def settle(self) -> None:
        """Until nothing more comes: on a busy machine the first picture takes its time."""
        quiet, end = 0, time.monotonic() + DEADLINE_S
        while quiet < 20:
            assert time.monotonic() < end, "it never came to rest"
            size = len(self.raw)
            self.read()
            quiet = quiet + 1 if len(self.raw) == size else 0

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def gone(self) -> bool:
        return self.process.poll() is not None

    def lose(self) -> None:
        """The window is closed, the link is cut."""
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)


def _become_its_terminal() -> None:
    """What a login does: from then on its end is told by a HUP."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    t = Terminal()
    try:
        yield t
    finally:
        t.close()


@pytest.mark.terminal
def test_it_paints_obeys_keys_follows_a_resize_and_quits(terminal: Terminal) -> None:
    """One sitting: the regions, a dialog, a smaller window, out."""
    terminal.wait(lambda: "gemma3-270m" in terminal.text() and "swaps" in terminal.text())
    terminal.press("s")
    terminal.wait(lambda: "who serves topic" in terminal.text())
    terminal.press("\x1b")
    terminal.wait(lambda: "who serves topic" not in terminal.text())
    terminal.resize(80, 24)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    terminal.wait(lambda: "─ 4 swaps" in terminal.text())
    terminal.press("q")
    terminal.wait(terminal.gone)
    assert terminal.process.returncode == 0
    restored(terminal)


@pytest.mark.terminal
def test_a_line_that_becomes_shorter_leaves_nothing_of_the_longer_one() -> None:
    """The show's line is replaced by a shorter one: on the terminal's own screen no tail of the old one is left."""
    t = Terminal("story")
    try:
        t.wait(lambda: "and its tail" in t.text())
        t.wait(lambda: "a short one" in t.text())
        assert "and its tail" not in t.text()
    finally:
        t.close()


@pytest.mark.terminal
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_restores_the_terminal(terminal: Terminal, number: signal.Signals) -> None:
    """Terminated, interrupted or hung up: modes are undone and the exit code says which signal it was."""
    terminal.wait(lambda: "gemma3-270m" in terminal.text())
    os.kill(terminal.process.pid, number)
    terminal.wait(terminal.gone)
    assert terminal.process.returncode == 128 + number
    restored(terminal)


@pytest.mark.terminal
@pytest.mark.parametrize("controls", [True, False])
def test_a_terminal_that_is_lost_ends_the_cockpit(controls: bool, tmp_path: Path) -> None:
    """With the HUP that a login's terminal sends, and without (nohup, a container): it ends by itself, with HUP's code,
    and what its owner still has to clear up is called."""
    after = tmp_path / "after"
    t = Terminal(f"after={after}", controls=controls)
    try:
        t.wait(lambda: "gemma3-270m" in t.text())
        t.lose()
        assert t.process.wait(DEADLINE_S) == 128 + signal.SIGHUP
        assert after.exists()
    finally:
        t.close()


@pytest.mark.terminal
def test_what_follows_the_cockpit_after_a_signal_has_its_time(terminal: Terminal) -> None:
    """The deadline is for a terminal that is gone; once it is given back, nothing ends the process behind its owner."""
    terminal.wait(lambda: "gemma3-270m" in terminal.text())
    os.kill(terminal.process.pid, signal.SIGTERM)
    terminal.wait(lambda: b"deadlines left:" in terminal.raw)
    terminal.wait(terminal.gone)
    assert b"deadlines left: 0" in terminal.raw
    assert terminal.process.returncode == 128 + signal.SIGTERM


@pytest.mark.terminal
def test_a_crash_restores_the_terminal_and_says_what_it_was() -> None:
    """A fault in drawing: modes are undone, the reason stands on the terminal, the exit code is no success."""
    t = Terminal("crash")
    try:
        t.wait(lambda: "gemma3-270m" in t.text())
        t.press("?")
        t.wait(t.gone)
        assert t.process.returncode not in (0, None)
        restored(t)
        assert "a fault in drawing" in t.text()
    finally:
        t.close()


@pytest.mark.terminal
def test_a_storm_of_resizes_ends_with_the_right_picture(terminal: Terminal) -> None:
    """200 sizes between 20x5 and 200x60, faster than they can be drawn; then the picture is the one of before."""
    terminal.wait(lambda: "gemma3-270m" in terminal.text() and "12 k requests" in terminal.text())
    terminal.settle()
    before, rng = terminal.text(), random.Random(7)
    for _ in range(200):
        terminal.resize(rng.randint(20, 200), rng.randint(5, 60))
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.read(0.005)
        assert not terminal.gone()
    terminal.resize(120, 40)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    terminal.wait(lambda: terminal.text() == before)
    assert b"Traceback" not in terminal.raw
    terminal.press("?")
    terminal.wait(lambda: "┌ keys" in terminal.text())
    terminal.press("\x1b")
    terminal.wait(lambda: terminal.text() == before)
    terminal.press("q")
    terminal.wait(terminal.gone)
    assert terminal.process.returncode == 0
    restored(terminal)


@pytest.mark.terminal
def test_a_dialog_dims_what_lies_around_it_and_closing_it_brings_every_cell_back(terminal: Terminal) -> None:
    """The box is painted first, alone; the next frame dims the rest."""
    terminal.wait(lambda: "gemma3-270m" in terminal.text() and "12 k requests" in terminal.text())
    terminal.settle()
    before = colours(terminal)
    terminal.press("s")
    terminal.wait(lambda: "who serves topic" in terminal.text() and colours(terminal)[0] != before[0])
    terminal.settle()
    assert all(row != old for row, old in zip(colours(terminal), before, strict=True) if any(c != " " for c, _ in old))
    terminal.press("\x1b")
    terminal.wait(lambda: colours(terminal) == before)


@pytest.mark.terminal
def test_back_from_the_shell_the_whole_picture_is_there_again(terminal: Terminal) -> None:
    """Stopped (ctrl+z), the terminal used by others, continued."""
    terminal.wait(lambda: "gemma3-270m" in terminal.text() and "12 k requests" in terminal.text())
    terminal.settle()
    before = terminal.text()
    os.kill(terminal.process.pid, signal.SIGTSTP)
    terminal.wait(lambda: psutil.Process(terminal.process.pid).status() == psutil.STATUS_STOPPED)
    terminal.read()
    terminal.stream.feed(b"\x1b[2J\x1b[1;1Hwhat a shell said")
    os.kill(terminal.process.pid, signal.SIGCONT)
    terminal.wait(lambda: terminal.text() == before)


def colours(terminal: Terminal) -> list[list[tuple[str, str]]]:
    buffer = terminal.screen.buffer
    cells = [[buffer[y][x] for x in range(120)] for y in range(40)]
    return [[(c.data, c.fg if c.data != " " else "") for c in row] for row in cells]


def restored(terminal: Terminal) -> None:
    """The alternate screen, the mouse and the hidden cursor are given back, in this order of last words."""
    for _ in range(5):
        terminal.read()
    for on, off in ((b"?1049h", b"?1049l"), (b"?1003h", b"?1003l"), (b"?25l", b"?25h")):
        assert on not in terminal.raw or terminal.raw.rindex(off) > terminal.raw.rindex(on), (on, off)
    assert b"\x1b[?1016l" in terminal.raw
