"""Eight hours of the cockpit in some minutes: 28,800 snapshots of 50 models and 20 tasks, one a simulated second.

The application itself, drawing into a terminal that nobody sees; the engine is this script, and hands out the next
snapshot as soon as it is asked. Every figure differs from one snapshot to the next. Each simulated minute a key is
pressed, so that the views and dialogs are opened and closed some hundred times; every six minutes a task is swapped,
every ten an alert comes, each hour a trial begins, climbs and is taken back. Memory: what the process holds after the
first simulated half hour against what it holds at the end. ``drawn``: snapshots that the application showed; one that
comes while another still waits takes its place, as on the wire.

    python benchmarks/cockpit_day.py [--hours 8]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections import deque
from dataclasses import replace
from typing import Any

import psutil
from cockpit_many import VARIANTS, variant
from harness import emit
from textual import events

from arbiter_tui.core.snapshot import AlertView, Phase, RolloutView, Snapshot, SwapView
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
    "enter",
    "escape",
    "H",
    "escape",
    "R",
    "escape",
    "T",
    "escape",
    "B",
    "escape",
    "3",
    "1",
)
CHARACTERS = {"question_mark": "?", "escape": None, "enter": "\r"}
SWAP_EVERY_S, ALERT_EVERY_S, TRIAL_EVERY_S = 360, 600, 3600
SHOWN_SWAPS, SHOWN_ALERTS, SHOWN_TRIALS = 50, 20, 5
PHASES = ("validating", "recording", "warming", "probing", "transferring", "switching", "draining")
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
        self.swapped = 0
        self._swaps: deque[SwapView] = deque(maxlen=SHOWN_SWAPS)
        self._alerts: deque[AlertView] = deque(maxlen=SHOWN_ALERTS)
        self._trials: deque[RolloutView] = deque(maxlen=SHOWN_TRIALS)

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Snapshot:
        await asyncio.sleep(0)
        if self.at >= self._seconds:
            self.over.set()
            await asyncio.sleep(wait or 0.0)
        self.at = min(self._seconds, self.at + 1)
        now = self._began + self.at
        self._happens(now)
        return replace(
            self._known[self.at % VARIANTS], revision=self.at, taken_at=now, swaps=tuple(self._swaps),
            alerts=tuple(self._alerts), rollouts=tuple(self._trials),
        )  # fmt: skip

    def _happens(self, now: float) -> None:
        task = self._known[0].tasks[self.at % len(self._known[0].tasks)]
        old, new = task.incumbent or "", task.previous or ""
        if self.at % SWAP_EVERY_S == 0:
            self.swapped += 1
            why = f"{new} leads {task.task} by .15 [.04, .26]"
            phases = tuple(Phase(name=name, seconds=0.01 * n) for n, name in enumerate(PHASES))
            self._swaps.appendleft(
                SwapView(id=f"sw-{self.at}", task=task.task, from_=old, to=new, trigger="auto", result="done",
                         reason=why, started_at=now, duration_s=0.3, phases=phases)
            )  # fmt: skip
        if self.at % ALERT_EVERY_S == 0:
            said = f"{old} on {task.task}: slower than before, p95 .24 s"
            self._alerts.appendleft(AlertView(id=f"al-{self.at}", at=now, message=said, task=task.task, version=old))
        if self.at % TRIAL_EVERY_S == 0:
            self._trials.appendleft(
                RolloutView(id=f"ro-{self.at}", task=task.task, from_=old, to=new, phase="canary", started_at=now)
            )
        elif self._trials and self.at % (TRIAL_EVERY_S // 6) == 0:
            trial, share = self._trials[0], min(0.5, self._trials[0].share + 0.1)
            over = share >= 0.5
            self._trials[0] = replace(
                trial, share=share, ramp=(*trial.ramp, (now, share)), pairs=trial.pairs + 7, p_worse=0.5 + share,
                phase="withdrawn" if over else "canary", ended_at=now if over else None, reason="it was surely worse",
            )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        async def answer(*_: Any, **__: Any) -> Any:
            return {"at": [], "curves": {}, "spent": [], "items": [], "evidence": {}}

        return answer


def resident() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


def counted(app: CockpitApp) -> list[int]:
    """How often it showed a snapshot, as its only item."""
    drawn, sync = [0], app.sync

    def sync_and_count() -> None:
        drawn[0] += 1
        sync()

    app.sync = sync_and_count  # type: ignore[method-assign]
    return drawn


async def live(seconds: int, models: int, tasks: int) -> dict[str, Any]:
    day = Day(seconds, models, tasks)
    app = CockpitApp(day)  # type: ignore[arg-type]
    drawn = counted(app)
    samples: list[tuple[int, float]] = []
    began = time.perf_counter()
    async with app.run_test(size=(120, 40)):
        pressed = 0
        while not day.over.is_set():
            before = day.at
            while day.at < before + 60 and not day.over.is_set():
                if not app.is_running:
                    raise RuntimeError("the cockpit has ended")
                await asyncio.sleep(0.001)
            key = KEYS[pressed % len(KEYS)]  # posted, not pressed by the pilot: it waits for a rest that never comes
            app.post_message(events.Key(key, CHARACTERS.get(key, key)))
            pressed += 1
            if not samples or day.at - samples[-1][0] >= SETTLED_S:
                samples.append((day.at, resident()))
        samples.append((day.at, resident()))
        app.exit()
    settled = next(mib for at, mib in samples if at >= SETTLED_S)
    return {
        "simulated_hours": round(seconds / 3600, 2), "snapshots": day.at, "drawn": drawn[0], "keys": pressed,
        "swaps": day.swapped,
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
