"""Records ``arbiter demo`` as an asciinema cast (format v2): ``python screenshots/cast.py [--seconds N] [--out FILE]``.

What is recorded is a real run in a pseudo-terminal, with its own times and a few keys; nothing is edited.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLUMNS, ROWS = 120, 40
LARGEST = 1_500_000  # bytes: what a README may ask of its readers
KEYS = ((6.0, "?"), (9.0, "\x1b"), (20.0, "4"), (26.0, "1"))  # when, after the start: the help, the swaps, the models


def record(seconds: float) -> list[tuple[float, str]]:
    """(time, text) of everything written until the demo has ended or been left after its time."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    env.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "arbiter_tui", "demo", "--seconds", f"{seconds:g}"]
    demo = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
    os.close(slave)
    try:
        return _follow(master, demo, seconds)
    finally:
        if demo.poll() is None:
            demo.send_signal(signal.SIGTERM)
        demo.wait(timeout=30)
        os.close(master)


def _follow(master: int, demo: subprocess.Popen[bytes], seconds: float) -> list[tuple[float, str]]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    began, events, keys = time.monotonic(), [], [*KEYS, (seconds + 8.0, "q")]
    while True:
        now = time.monotonic() - began
        while keys and now >= keys[0][0]:
            os.write(master, keys.pop(0)[1].encode())
        if select.select([master], [], [], 0.05)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:  # the other end is closed
                return events
            if text := decoder.decode(data):
                events.append((now, text))
        elif demo.poll() is not None or now > seconds + 30.0:
            return events


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--out", type=Path, default=HERE / "demo.cast")
    options = parser.parse_args()
    events = record(options.seconds)
    head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "arbiter demo", "env": {"TERM": "xterm-256color"}}
    lines = [json.dumps(head), *(json.dumps([round(at, 3), "o", text], ensure_ascii=False) for at, text in events)]
    content = "\n".join(lines) + "\n"
    size = len(content.encode())
    if not events or size > LARGEST:
        print(f"{size} bytes in {len(events)} pieces: not kept (at most {LARGEST})", file=sys.stderr)
        return 1
    options.out.write_text(content, encoding="utf-8")
    print(f"{options.out}: {events[-1][0]:.0f} s, {size} bytes, {len(events)} pieces")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
