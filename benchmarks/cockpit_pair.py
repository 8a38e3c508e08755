"""Two cockpits on one engine, each in a real terminal of its own: how soon what one does is on the other's screen.

One loads and unloads a model, sets a task's autopilot and back. Measured from the key in the first terminal until the
second one's screen shows it, and how much later than the first one's own screen that is. The engine and its models are
real; loading itself is not waited for: the state that the key brings about (loading) counts.

    python benchmarks/cockpit_pair.py [--rounds 8]
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable

from cockpit import arbiter
from harness import Engine, emit, quantile, summary
from terminal import Terminal

AGREE_S = 1.0
PATIENCE_S = 30.0
MUST = {"agree": "<= 1 s p95 from the key in one to the other's screen, none missed"}
HELD = r"ready|loading|warming"


class Pair:
    """Keys go to the first terminal, both are watched."""

    def __init__(self, one: Terminal, other: Terminal) -> None:
        self.one, self.other = one, other
        self.taken: list[float] = []
        self.later: list[float] = []
        self.missed = 0

    def settle(self, true: Callable[[Terminal], bool], what: str) -> None:
        for terminal in (self.one, self.other):
            if not true(terminal) and terminal.wait(lambda t=terminal: true(t), PATIENCE_S) is None:
                raise RuntimeError(f"{what} was never shown:\n{terminal.text()}")

    def press(self, keys: list[str], true: Callable[[Terminal], bool]) -> None:
        """The last key does it; those before it only lead there."""
        for key in keys[:-1]:
            self.one.press(key)
            self.one.rest(0.3)
        self.other.rest(random.uniform(0.0, 0.3))
        at = self.one.press(keys[-1])
        here = self.one.wait(lambda: true(self.one), PATIENCE_S)
        there = self.other.wait(lambda: true(self.other), PATIENCE_S)
        if here is None or there is None:
            self.missed += 1
            return
        self.taken.append(there - at)
        self.later.append(there - here)


def state_of(terminal: Terminal, version: str) -> str:
    """What the models' region says of it."""
    for row in terminal.rows():
        if row.startswith("│") and version in row[:60] and (found := re.search(r"[●◐○◌✕] (\w+)", row[:60])):
            return found[1]
    return ""


def mode(terminal: Terminal) -> str:
    found = re.search(r"ranking · \S+ .*autopilot (\w+)", terminal.text())
    return found[1] if found else ""


def rounds(pair: Pair, times: int) -> None:
    """The model under the cursor, which no task needs: ``G`` leads to the last line."""
    pair.settle(lambda t: bool(re.search(r"[●○] ", t.text())) and bool(mode(t)), "the models")
    pair.one.press("G")
    pair.one.rest(0.5)
    row = next(r for r in pair.one.rows() if r.startswith("│▸"))
    version = row[:60].split()[1].strip("◆◇⊙") or row[:60].split()[2]
    for _ in range(times):
        pair.press(["w"], lambda t: bool(re.match(HELD, state_of(t, version))))
        pair.settle(lambda t: state_of(t, version) == "ready", f"{version} ready")
        pair.press(["u", "k", "enter"], lambda t: state_of(t, version) not in ("ready", ""))
        pair.settle(lambda t: state_of(t, version) == "cold", f"{version} cold")
        pair.press(["a", "j", "enter"], lambda t: mode(t) == "observe")
        pair.press(["a", "k", "enter"], lambda t: mode(t) == "on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="four changes each")
    chosen = parser.parse_args()
    began = time.perf_counter()
    with Engine("[autopilot]\nsentinels_per_hour = 0\n") as engine:
        folders = [engine.folder / name for name in ("one", "other")]
        for folder in folders:  # not the first sitting: no tour stands before the keys
            folder.mkdir()
            (folder / "cockpit.json").write_text('{"toured": true}')
        attach = [arbiter("attach", engine.url, "--state-dir", str(folder)) for folder in folders]
        with Terminal(attach[0]) as one, Terminal(attach[1]) as other:
            pair = Pair(one, other)
            rounds(pair, chosen.rounds)
    measured = {
        "key_to_the_other_screen": summary(pair.taken), "later_than_its_own_screen": summary(pair.later),
        "missed": pair.missed, "took_s": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    emit("cockpit_pair", MUST, measured, quantile(pair.taken, 0.95) <= AGREE_S and not pair.missed)


if __name__ == "__main__":
    main()
