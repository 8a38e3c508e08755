"""A process that writes to a store and says what was acknowledged, until it is killed. Run by test_store.py."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.routing import Route
from arbiter_tui.core.snapshot import SwapView


def outcome(name: str) -> Outcome:
    return Outcome(id=name, task="t", version="v", at=1_700_000_000.0, success=True)


async def main(folder: Path, unrecorded: int) -> None:
    store = await SqliteStore.open(folder, url="http://127.0.0.1:1", clock=SystemClock())
    for n in range(unrecorded):
        store.expect(f"lost-{n}")
    n = 0
    while True:
        # Served requests' outcomes and control writes side by side, as in an engine under load.
        store.expect(f"o{n}")
        await asyncio.gather(
            store.record([outcome(f"o{n}")]),
            store.save_mode(f"task-{n}", "off"),
            store.save_route(Route(task=f"task-{n}", incumbent="v"), SwapView(id=f"s{n}", task=f"task-{n}", to="v")),
        )
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()
        n += 1


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
