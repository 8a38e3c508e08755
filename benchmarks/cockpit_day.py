"""Eight hours of the cockpit in some minutes: 28,800 snapshots of 50 models and 20 tasks, one a simulated second.

The application itself, drawing into a terminal that nobody sees; the engine is this script, and hands out the next
snapshot as soon as it is asked. Every figure differs from one snapshot to the next; each simulated minute a key is
pressed, so that the views and dialogs are opened and closed some hundred times. Memory: what the process holds after
the first simulated half hour against what it holds at the end.

    python benchmarks/cockpit_day.py [--hours 8]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from dataclasses import replace
from typing import Any

import psutil
from cockpit_many import VARIANTS, variant
from harness import emit

from arbiter_tui.core.snapshot import Snapshot
from arbiter_tui.tui import app as cockpit
from arbiter_tui.tui.app import CockpitApp

GROWS_MIB = 5.0
SETTLED_S = 1800
KEYS = (
    "j",
    "k",
    "t",
    "escape",
    "question_mark",
    "escape",
    "s",
    "escape",
    "enter",
    "escape",
    "m",
    "escape",
    "4",
    "3",
    "1",
)
MUST = {"grows": "<= 5 MiB from the first half hour to the end"}


class Day:
    """An engine behind no wire: whoever asks gets the next second."""

    url = "http://127.0.0.1:0"

    def __init__(self, seconds: int, models: int, tasks: int) -> None:
        self._known = [variant(n, models, tasks) for n in range(VARIANTS)]
        self._seconds = seconds
        self._began = time.time()
        self.at = 0
        self.over = asyncio.Event()

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Snapshot:
        await asyncio.sleep(0)
        if self.at >= self._seconds:
            self.over.set()
            await asyncio.sleep(wait or 0.0)
        self.at = min(self._seconds, self.at + 1)
        known = self._known[self.at % VARIANTS]
        return replace(known, revision=self.at, taken_at=self._began + self.at)

    def __getattr__(self, name: str) -> Any:
        async def answer(*_: Any, **__: Any) -> Any:
            return {"at": [], "curves": {}, "spent": [], "items": [], "evidence": {}}

        return answer


def resident() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


async def live(seconds: int, models: int, tasks: int) -> dict[str, Any]:
    day = Day(seconds, models, tasks)
    app = CockpitApp(day)  # type: ignore[arg-type]
    samples: list[tuple[int, float]] = []
    began = time.perf_counter()
    async with app.run_test(size=(120, 40)) as pilot:
        pressed = 0
        while not day.over.is_set():
            before = day.at
            while day.at < before + 60 and not day.over.is_set():  # noqa: ASYNC110 - the application sets its pace
                await asyncio.sleep(0.001)
            await pilot.press(KEYS[pressed % len(KEYS)])
            pressed += 1
            if not samples or day.at - samples[-1][0] >= SETTLED_S:
                samples.append((day.at, resident()))
        samples.append((day.at, resident()))
        app.exit()
    settled = next(mib for at, mib in samples if at >= SETTLED_S)
    return {
        "simulated_hours": round(seconds / 3600, 2), "snapshots": day.at, "keys": pressed,
        "resident_mib": [round(mib, 1) for _, mib in samples], "grown_mib": round(samples[-1][1] - settled, 2),
        "took_s": round(time.perf_counter() - began),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=20)
    chosen = parser.parse_args()
    cockpit.FASTEST_S = 0.0  # the application waits between two snapshots; a simulated second need not
    measured = asyncio.run(live(int(chosen.hours * 3600), chosen.models, chosen.tasks))
    emit("cockpit_day", MUST, measured, measured["grown_mib"] <= GROWS_MIB)


if __name__ == "__main__":
    main()
