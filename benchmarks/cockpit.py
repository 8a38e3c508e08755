"""The cockpit in a real terminal of 120 x 40: first paint, bytes at rest, key to screen under load, memory, quitting.

First paint: from the start of ``arbiter attach URL`` and of ``arbiter`` beside a running engine to the first screen
that shows all regions; interleaved with a bare Textual program, which says what this machine's moment is worth. At
rest: an engine that nobody asks. Keys: pressed at random moments while ``arbiter demo`` runs, its traffic, benchmark,
fault and swaps included, each until the screen shows what the key does. Quitting: from ``q`` to the process's end.

    python benchmarks/cockpit.py [--starts 7] [--rest 30] [--rounds 12]
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Engine, emit, quantile, summary
from terminal import Terminal

REGIONS = ("1 models", "2 ranking", "3 machine", "4 swaps")
BARE = "from textual.app import App\nfrom textual.widgets import Static\n"
BARE += "class A(App):\n    def compose(self): yield Static('bare screen')\nA().run()"
PAINT_S, SETTLED_S, REST_BYTES_S, KEY_S, RESIDENT_MIB, QUIT_S = 0.4, 0.8, 2048, 0.05, 60.0, 0.3
PATIENCE_S, KEY_PATIENCE_S = 30.0, 2.0
OPENS = {"?": "┌ keys ", "t": "┌ tasks ", "s": "┌ who serves ", "enter": "┌ gemma3|┌ smollm2", "p": "frozen at"}
MUST = {
    "first_paint": "<= .4 s p50 (attach and join); with the models <= .8 s",
    "resident": "<= 60 MB",
    "quit": "<= .3 s",
    "bytes_per_s_at_rest": "<= 2048",
    "key_to_screen": "<= 50 ms p95, none missed",
}


def arbiter(*arguments: str) -> list[str]:
    script = Path(sys.executable).with_name("arbiter")
    return [str(script), *arguments] if script.exists() else [sys.executable, "-m", "arbiter_tui", *arguments]


def painted(terminal: Terminal, true: Callable[[], bool]) -> float:
    at = terminal.wait(true, PATIENCE_S)
    if at is None:
        raise RuntimeError(f"it never showed what it should:\n{terminal.text()}")
    return at - terminal.begun


def shows(terminal: Terminal, *words: str) -> Callable[[], bool]:
    return lambda: all(word in terminal.text() for word in words)


def start_and_quit(command: list[str], seen: dict[str, list[float]]) -> None:
    with Terminal(command) as terminal:
        seen["first_paint"].append(painted(terminal, shows(terminal, *REGIONS)))
        seen["with_models"].append(painted(terminal, lambda: bool(re.search(r"[◆●○] ", terminal.text()))))
        terminal.rest(0.5)
        seen["resident"].append(terminal.resident_bytes())
        pressed = terminal.press("q")
        while terminal.ended_at is None and time.perf_counter() < pressed + PATIENCE_S:
            terminal.rest(0.02)
        if terminal.ended_at is None:
            raise RuntimeError("q did not end it")
        seen["quit"].append(terminal.ended_at - pressed)


def starts(engine: Engine, times: int) -> dict[str, dict[str, list[float]]]:
    other = engine.folder / "cockpit"
    for folder in (other, engine.folder / "state"):  # not the first sitting: no tour stands before the keys
        folder.mkdir(exist_ok=True)
        (folder / "cockpit.json").write_text('{"toured": true}')
    ways = {
        "attach": arbiter("attach", engine.url, "--state-dir", str(other)),
        "join": arbiter("--config", str(engine.config), "--state-dir", str(engine.folder / "state")),
    }
    seen: dict[str, dict[str, list[float]]] = {
        way: {"first_paint": [], "with_models": [], "resident": [], "quit": []} for way in ways
    }
    seen["bare_textual"] = {"first_paint": []}
    for _ in range(times):
        for way, command in ways.items():
            start_and_quit(command, seen[way])
        with Terminal([sys.executable, "-c", BARE]) as terminal:
            seen["bare_textual"]["first_paint"].append(painted(terminal, shows(terminal, "bare screen")))
    return seen


def at_rest(engine: Engine, seconds: float) -> dict[str, float]:
    with Terminal(arbiter("attach", engine.url)) as terminal:
        painted(terminal, shows(terminal, *REGIONS))
        terminal.rest(5.0)  # the first readings of the machine
        cpu, begun = terminal.cpu_s(), time.perf_counter()
        written = terminal.rest(seconds)
        took = time.perf_counter() - begun
        return {
            "bytes_per_s": round(written / took, 1),
            "cpu_percent_of_a_core": round(100 * (terminal.cpu_s() - cpu) / took, 2),
            "seconds": seconds,
        }


class Keys:
    """Presses keys and waits until the screen shows what each one does."""

    def __init__(self, terminal: Terminal, rng: random.Random) -> None:
        self.terminal, self.rng = terminal, rng
        self.taken: dict[str, list[float]] = {}
        self.missed: list[str] = []

    def press(self, key: str, true: Callable[[], bool]) -> None:
        self.terminal.rest(self.rng.uniform(0.1, 0.4))
        if true():
            return  # the screen shows it already: this press could not be timed
        at = self.terminal.press(key)
        seen = self.terminal.wait(true, KEY_PATIENCE_S)
        if seen is None:
            self.missed.append(key)
        else:
            self.taken.setdefault(key, []).append(seen - at)

    def move(self, key: str) -> None:
        before: list[int] = []
        self.terminal.rest(0.02)
        before.extend(self._cursor())
        self.press(key, lambda: self._cursor() != before)

    def _cursor(self) -> list[int]:
        return [n for n, row in enumerate(self.terminal.rows()) if row.startswith("│▸")]

    def round(self) -> None:
        for key in ("j", "k"):
            self.move(key)
        for key, pattern in OPENS.items():
            opened = re.compile(pattern)
            self.press(key, lambda rx=opened: bool(rx.search(self.terminal.text())))
            self.press("p" if key == "p" else "escape", lambda rx=opened: not rx.search(self.terminal.text()))


def under_load(rounds: int, seed: int) -> tuple[Keys, dict[str, float]]:
    """``arbiter demo`` from its first served request on."""
    with Terminal(arbiter("demo", "--seed", str(seed), "--seconds", "90")) as terminal:
        painted(terminal, lambda: bool(re.search(r" [1-9]\d* requests?", terminal.text())))
        keys = Keys(terminal, random.Random(seed))
        cpu, written, begun = terminal.cpu_s(), terminal.bytes, time.perf_counter()
        for _ in range(rounds):
            keys.round()
        took = time.perf_counter() - begun
        requests = re.findall(r"(\d+) requests", terminal.text())
        return keys, {
            "seconds": round(took, 1),
            "requests_shown": int(requests[0]) if requests else 0,
            "bytes_per_s": round((terminal.bytes - written) / took),
            "cpu_percent_of_a_core": round(100 * (terminal.cpu_s() - cpu) / took, 1),
            "resident_mib": round(terminal.resident_bytes() / 1024**2, 1),
        }


def report(seen: dict[str, dict[str, list[float]]], rest: dict[str, float], keys: Keys, load: dict[str, float]) -> None:
    paint = {way: statistics.median(found["first_paint"]) for way, found in seen.items()}
    pressed = [s for found in keys.taken.values() for s in found]
    measured: dict[str, Any] = {
        "first_paint_s": {way: round(value, 3) for way, value in paint.items()},
        "first_paint_to_bare_textual": round(paint["attach"] / paint["bare_textual"], 2),
        "with_models_s": {w: round(statistics.median(seen[w]["with_models"]), 3) for w in ("attach", "join")},
        "at_rest": rest,
        "key_to_screen": {**summary(pressed), "missed": keys.missed},
        "key_p95_ms": {key: round(1000 * quantile(found, 0.95), 1) for key, found in keys.taken.items()},
        "while_pressing": load,
        "resident_mib": round(statistics.median(seen["attach"]["resident"]) / 1024**2, 1),
        "quit_s": round(statistics.median(seen["attach"]["quit"] + seen["join"]["quit"]), 3),
    }
    met = (
        max(paint["attach"], paint["join"]) <= PAINT_S
        and max(measured["with_models_s"].values()) <= SETTLED_S
        and measured["resident_mib"] <= RESIDENT_MIB
        and measured["quit_s"] <= QUIT_S
        and rest["bytes_per_s"] <= REST_BYTES_S
        and quantile(pressed, 0.95) <= KEY_S
        and not keys.missed
    )
    emit("cockpit", MUST, measured, met)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--rest", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=12, help="twelve keys each")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with Engine("") as engine:
        seen = starts(engine, chosen.starts)
        rest = at_rest(engine, chosen.rest)
    keys, load = under_load(chosen.rounds, chosen.seed)
    report(seen, rest, keys, load)


if __name__ == "__main__":
    main()
