"""The cockpit on a long past: 10,000 swaps and 1,000,000 outcomes in the store of a real engine.

The store is filled through its own writer. Then the engine is started on it, the cockpit attached in a real terminal of
120 x 40, and every screen opened again and again: from the key to the screen that shows what it opens. Scrolling: the
key for the next line, held in the list of swaps; the time from each key to the moved cursor.

    python benchmarks/cockpit_history.py [--swaps 10000] [--outcomes 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import time
from pathlib import Path
from typing import Any

from cockpit import REGIONS, arbiter, painted, shows
from harness import Engine, emit, quantile, summary
from terminal import Terminal

from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.snapshot import Phase, SwapView

OPEN_S, KEY_P95_S = 0.2, 0.05
SPAN_S = 80 * 86400.0  # below the 90 days after which outcomes are pruned
BATCH = 5_000
QUIET = '[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n'
# What each key opens (from the main screen) and the words by which its screen is known.
SCREENS = {
    "model": (["enter"], "its life cycle"),
    "swap dialog": (["s"], "┌ who serves "),
    "requests": (["R"], "┌ requests"),
    "benchmark": (["B"], "┌ benchmark"),
    "machine": (["m"], "┌ machine "),
    "tasks": (["t"], "┌ tasks "),
    "task": (["T"], "what would trigger a swap"),
    "history": (["H"], "from → to"),
    "playground": (["g"], "Type a prompt"),
    "registry": (["M"], "registry"),
    "log": (["L"], "log"),
    "help": (["?"], "┌ keys "),
    "swap record": (["4", "enter"], "roll back to this point|phases|took"),
}
MUST = {"open": "each screen within 200 ms of its key, p95", "scroll": "key to moved cursor p95 <= 50 ms"}


async def fill(folder: Path, swaps: int, outcomes: int, versions: list[str], tasks: list[str]) -> None:
    store = await SqliteStore.open(folder, url=None, clock=SystemClock())
    chance, now = random.Random(1), time.time()
    try:
        for begin in range(0, outcomes, BATCH):
            await store.record([_outcome(n, now, outcomes, chance, versions, tasks) for n in
                                range(begin, min(outcomes, begin + BATCH))])  # fmt: skip
        for n in range(swaps):
            await store.save_swap(_swap(n, now, swaps, versions, tasks))
    finally:
        await store.close()


def _outcome(n: int, now: float, of: int, chance: random.Random, versions: list[str], tasks: list[str]) -> Outcome:
    graded = n % 7 == 0
    return Outcome(
        id=f"past-{n}", task=tasks[n % len(tasks)], version=versions[n % len(versions)],
        at=now - SPAN_S * (1 - n / of), success=n % 50 != 0, latency_s=0.05 + chance.random() / 10,
        ttft_s=0.01 + chance.random() / 100, queue_s=0.0, tokens_in=40, tokens_out=12, memory_bytes=200_000_000,
        quality=chance.random() if graded else None, quality_source="suite" if graded else None,
    )  # fmt: skip


def _swap(n: int, now: float, of: int, versions: list[str], tasks: list[str]) -> SwapView:
    old, new = versions[n % len(versions)], versions[(n + 1) % len(versions)]
    phases = tuple(Phase(name=name, seconds=0.01) for name in ("validating", "warming", "switching", "draining"))
    return SwapView(
        id=f"old-{n}", task=tasks[n % len(tasks)], from_=old, to=new, trigger="auto", result="done",
        reason=f"{new} leads by .2", started_at=now - SPAN_S * (1 - n / of), duration_s=0.4, phases=phases,
    )  # fmt: skip


class Sitting:
    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.taken: dict[str, list[float]] = {}
        self.missed: list[str] = []

    def open(self, name: str, keys: list[str], pattern: str) -> None:
        """All but the last key lead there; the last one is timed; then back."""
        for key in keys[:-1]:
            self.terminal.press(key)
            self.terminal.rest(0.4)
        before, known = self.terminal.text(), re.compile(pattern)
        at = self.terminal.press(keys[-1])
        seen = self.terminal.wait(lambda: self._opened(before, known), 3.0)
        if seen is None:
            self.missed.append(name)
        else:
            self.taken.setdefault(name, []).append(seen - at)
        self.terminal.rest(0.4)
        self.terminal.press("escape")
        self.terminal.rest(0.5)
        if len(keys) > 1:
            self.terminal.press("1")
            self.terminal.rest(0.4)

    def _opened(self, before: str, known: re.Pattern[str]) -> bool:
        text = self.terminal.text()
        return text != before and bool(known.search(text))

    def scroll(self, times: int) -> list[float]:
        self.terminal.press("4")
        self.terminal.rest(0.5)
        taken = []
        for _ in range(times):
            before = [n for n, row in enumerate(self.terminal.rows()) if "│▸" in row], self.terminal.text()
            at = self.terminal.press("j")
            seen = self.terminal.wait(lambda b=before: self.terminal.text() != b[1], 1.0)
            if seen is not None:
                taken.append(seen - at)
            self.terminal.rest(0.03)
        return taken


def sit(engine: Engine, rounds: int) -> tuple[Sitting, list[float], float]:
    (engine.folder / "cockpit").mkdir(exist_ok=True)
    (engine.folder / "cockpit" / "cockpit.json").write_text('{"toured": true}')  # no tour before the keys
    with Terminal(arbiter("attach", engine.url, "--state-dir", str(engine.folder / "cockpit"))) as terminal:
        first = painted(terminal, shows(terminal, *REGIONS))
        terminal.rest(3.0)
        sitting = Sitting(terminal)
        for _ in range(rounds):
            for name, (keys, pattern) in SCREENS.items():
                sitting.open(name, keys, pattern)
        return sitting, sitting.scroll(40), first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=10_000)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with Engine(QUIET) as engine:
        names = asyncio.run(_names(engine))
        engine.process and engine.process.terminate()
        engine.process and engine.process.wait(20)
        asyncio.run(fill(engine.folder / "state", chosen.swaps, chosen.outcomes, *names))
        started = engine.start()
        sitting, scrolled, first = sit(engine, chosen.rounds)
    report(sitting, scrolled, first, started, chosen)


async def _names(engine: Engine) -> tuple[list[str], list[str]]:
    from arbiter_tui.client import ControlClient

    client = ControlClient(engine.url)
    try:
        snapshot = await client.snapshot()
        return [m.version for m in snapshot.models], [t.task for t in snapshot.tasks]
    finally:
        await client.aclose()


def report(sitting: Sitting, scrolled: list[float], first: float, started: float, chosen: argparse.Namespace) -> None:
    p95 = {name: quantile(taken, 0.95) for name, taken in sitting.taken.items()}
    measured: dict[str, Any] = {
        "swaps": chosen.swaps,
        "outcomes": chosen.outcomes,
        "engine_ready_s": round(started, 2),
        "first_paint_s": round(first, 3),
        "open_p95_ms": {name: round(1000 * value, 1) for name, value in sorted(p95.items())},
        "missed": sitting.missed,
        "scroll": summary(scrolled) if scrolled else None,
    }
    met = (
        not sitting.missed and max(p95.values()) <= OPEN_S and bool(scrolled) and quantile(scrolled, 0.95) <= KEY_P95_S
    )
    emit("cockpit_history", MUST, measured, met)


if __name__ == "__main__":
    main()
