"""The pool on fakes, with a law-keeper that watches every unload and every byte; shared by the pool's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.engine.pool import Lease, Pool
from arbiter_tui.testing import Behaviour, FakeClock, FakeModel, FakeProvider

MIB = 1024**2


class WatchedProvider(FakeProvider):
    """Notes each process that runs, and whether anybody still generated when it was unloaded."""

    def __init__(self, models: dict[str, Behaviour], clock: FakeClock) -> None:
        super().__init__("fake", models, clock=clock)
        self.alive: list[str] = []
        self.peak_bytes = 0
        self.unloaded_while_busy: list[str] = []
        self.cancelled_loads: list[str] = []

    async def load(self, version: ModelVersion, **how: Any) -> Any:
        self.alive.append(version.version)
        self.peak_bytes = max(self.peak_bytes, sum(self.behaviour(v).resident_bytes for v in self.alive))
        try:
            return await super().load(version, **how)
        except BaseException as error:
            self.alive.remove(version.version)
            if isinstance(error, asyncio.CancelledError):
                self.cancelled_loads.append(version.version)
            raise

    def note_unload(self, model: FakeModel) -> None:
        super().note_unload(model)
        self.alive.remove(model.version.version)
        if model.active:
            self.unloaded_while_busy.append(model.version.version)


class Bench:
    """One pool; models a, b, c of 100 MiB each unless told otherwise; two slots each."""

    def __init__(self, *, budget_mib: int = 1000, sizes: dict[str, int] | None = None, **options: Any) -> None:
        self.clock = FakeClock()
        sizes = sizes or {"a": 100, "b": 100, "c": 100}
        self.provider = WatchedProvider({n: Behaviour(resident_bytes=s * MIB) for n, s in sizes.items()}, self.clock)
        self.events: list[tuple[str, str, str]] = []
        self.changes = 0
        options.setdefault("measured", lambda version: None)
        self.pool = Pool(
            {"fake": self.provider}, self.clock, budget_bytes=budget_mib * MIB,
            on_change=self._changed, on_event=lambda *event: self.events.append(event), **options,
        )  # fmt: skip
        self.peak_claimed = 0

    def _changed(self) -> None:
        self.changes += 1
        self.peak_claimed = max(self.peak_claimed, self.pool.used_bytes())

    def version(self, name: str, **changes: Any) -> ModelVersion:
        return self.provider.version(name, **{"parallel": 2, **changes})

    def behaviour(self, name: str) -> Behaviour:
        return self.provider.behaviour(name)

    def state(self, name: str) -> str:
        view = self.pool.view(name)
        return "unknown" if view is None else view.state

    def holder(self, name: str) -> Holder:
        return Holder(self, name)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition, with a deadline that only a broken pool meets."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 (any condition, not one event)
                await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Time passes after everything that can run has run."""
        await self.clock.settle()
        await self.clock.advance(seconds)

    def kinds(self, name: str) -> list[str]:
        return [kind for kind, version, _ in self.events if version == name]


class Holder:
    """A request that holds its lease until told: ``async with`` in a task of its own."""

    def __init__(self, bench: Bench, name: str, **options: Any) -> None:
        self.lease: Lease | None = None
        self.done = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(bench, name, options))

    async def _run(self, bench: Bench, name: str, options: dict[str, Any]) -> None:
        async with bench.pool.lease(bench.version(name), **options) as lease:
            self.lease = lease
            await self.done.wait()

    @property
    def holding(self) -> bool:
        return self.lease is not None and not self.task.done()

    async def finish(self) -> None:
        self.done.set()
        await self.task

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
