"""An engine inside the benchmark's own process: instant fake models, the real clock, the real store on disk.

What is measured through it is the arbiter alone: no HTTP, no model, no other process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.adapters.store import SqliteStore
from arbiter_tui.config import AutopilotConfig, Config, PoolConfig
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import Behaviour, FakeProbe, FakeProvider

ASK = Request(messages=(Message("user", "hello there"),), max_tokens=4)
BUDGET = 10**12


@contextlib.asynccontextmanager
async def arbiter_on_fakes(
    models: Mapping[str, Behaviour], *, tasks: tuple[str, ...] = ("work",), folder: Path | None = None
) -> AsyncIterator[Arbiter]:
    """Started, autopilot off, every model active, the first one the incumbent of each task; stopped at the end."""
    kept = folder or Path(tempfile.mkdtemp(prefix="arbiter-bench-"))
    clock, ids = SystemClock(), itertools.count(1)
    store = await SqliteStore.open(kept, url="http://127.0.0.1:0", clock=clock)
    config = Config(
        tasks=tuple(Task(name=t) for t in tasks),
        pool=PoolConfig(memory_budget_bytes=BUDGET),
        autopilot=AutopilotConfig(mode="off", explore_share=0.0, sentinels_per_hour=0.0),
    )
    arbiter = Arbiter(
        config, store=store, providers={"fake": FakeProvider(models=models)}, probe=FakeProbe(), clock=clock,
        new_id=lambda: f"{next(ids):016x}", suites={},
    )  # fmt: skip
    try:
        await arbiter.start()
        for name in models:
            if name not in arbiter.registry.versions:
                await arbiter.register("fake", name)
            if arbiter.registry.get(name).lifecycle != "active":
                await arbiter.activate(name)
            await arbiter.warm(name)
        yield arbiter
    finally:
        await arbiter.stop(5.0)
        await store.close()
        if folder is None:
            await asyncio.to_thread(shutil.rmtree, kept, True)
