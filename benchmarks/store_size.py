"""The store after 10,000 executions and 200 swaps: bytes per outcome, per swap event, per learning profile.

In process, instant fake models, the real store. Sizes are the growth of the closed file: once by the outcomes, once by
the swaps (with their decisions and ledger lines; they are part of what a swap leaves). After a restart the routing
rules of all tasks must be what they were: the swapped ones as their last swap left them, the others untouched.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from harness import emit, run
from inprocess import ASK, arbiter_on_fakes

from arbiter_tui.core.routing import Route
from arbiter_tui.testing import Behaviour

TASKS = tuple(f"task-{n}" for n in range(10))
SWAPPED = TASKS[:4]
MODELS = {name: Behaviour(answer="a plain answer of a few words") for name in ("a", "b", "c", "d")}
EXECUTIONS, SWAPS = 10_000, 200


def size(folder: Path) -> int:
    """Bytes of the database that are in use, its log folded in."""
    file = next(p for p in folder.iterdir() if p.suffix == ".db")
    connection = sqlite3.connect(file)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages, free, page = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    finally:
        connection.close()
    return int((pages - free) * page)


async def empty(folder: Path) -> None:
    async with arbiter_on_fakes(MODELS, tasks=TASKS, folder=folder):
        return


async def execute(folder: Path) -> dict[str, int]:
    """Runs the executions; task -> bytes of its learning profile as it is stored."""
    async with arbiter_on_fakes(MODELS, tasks=TASKS, folder=folder) as arbiter:
        for n in range(EXECUTIONS):
            await arbiter.execute(TASKS[n % len(TASKS)], ASK)
        return {t: len(json.dumps(arbiter.profile(t).as_dict()).encode()) for t in TASKS}


async def swap(folder: Path) -> tuple[int, dict[str, Route]]:
    """Forced swaps in turn; (how many were done, the routes as they stood at the end)."""
    async with arbiter_on_fakes(MODELS, tasks=TASKS, folder=folder) as arbiter:
        names, done = list(MODELS), 0
        for n in range(SWAPS):
            task = SWAPPED[n % len(SWAPPED)]
            serving = names.index(str(arbiter.routes.get(task).incumbent))
            event = await arbiter.swap(task, names[(serving + 1) % len(names)], reason="benchmark")
            done += event.result == "done"
        return done, dict(arbiter.routes.routes)


async def restarted(folder: Path) -> dict[str, Route]:
    async with arbiter_on_fakes(MODELS, tasks=TASKS, folder=folder) as arbiter:
        return dict(arbiter.routes.routes)


async def measure(folder: Path) -> dict[str, Any]:
    await empty(folder)
    fresh = size(folder)
    before = await restarted(folder)
    profiles = await execute(folder)
    executed = size(folder)
    done, live = await swap(folder)
    swapped = size(folder)
    after = await restarted(folder)
    kept = sum(after.get(t) == live[t] and (t in SWAPPED or after[t] == before[t]) for t in TASKS)
    return {
        "executions": EXECUTIONS,
        "swaps_done": done,
        "bytes_per_outcome": round((executed - fresh) / EXECUTIONS),
        "bytes_per_swap_event": round((swapped - executed) / max(1, done)),
        "bytes_per_profile": max(profiles.values()),
        "routing_rules_kept": round(kept / len(TASKS), 4),
        "file_bytes": swapped,
    }


async def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="arbiter-bench-"))
    try:
        measured = await measure(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, True)
    met = (
        measured["swaps_done"] == SWAPS
        and measured["bytes_per_outcome"] <= 1024
        and measured["bytes_per_swap_event"] <= 1024
        and measured["bytes_per_profile"] <= 10 * 1024
        and measured["routing_rules_kept"] == 1.0
    )
    must = {
        "bytes_per_outcome": "<= 1024", "bytes_per_swap_event": "<= 1024", "bytes_per_profile": "<= 10240",
        "routing_rules_kept": "1.0",
    }  # fmt: skip
    emit("store_size", must, measured, met)


if __name__ == "__main__":
    run(main(), 300.0)
