"""The engine's life: what a start restores and registers, the loops that run, and the order of a stop.

Owns: background loops and their supervision. Never: requests, decisions.

Start: state -> half-made swaps -> configured and discovered models -> first incumbents -> ready -> loops.
Stop: refuse -> loops and swaps end -> drain -> instances end -> providers close -> flush -> probe closes. One deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..config import Config, merge_patches, patch_task
from ..core.access import masked
from ..core.snapshot import HardwareView
from ..core.tasks import AutopilotMode, Task
from ..errors import ArbiterError, ConfigError
from ..ports import HardwareProbe
from .chronicle import named
from .instance import State
from .live import OFFLINE
from .other_runtimes import OtherRuntimes
from .views import settle_hardware

if TYPE_CHECKING:
    from .arbiter import Arbiter

DEFAULT_BUDGET = 2 * 1024**3
TICK_S = 1.0
PROFILES_EVERY = 5  # ticks between two commits of changed profiles
CLOSE_WITHIN_S = 2.0
TOLD_WITHIN_S = 0.5  # for those who are cut off to hear it


def budget(config: Config, probe: HardwareProbe) -> int:
    """Bytes: as configured, else half of what is available now, else 2 GiB."""
    if config.pool.memory_budget_bytes is not None:
        return config.pool.memory_budget_bytes
    available = probe.available_bytes()
    return available // 2 if available else DEFAULT_BUDGET


class Life:
    def __init__(self, arbiter: Arbiter) -> None:
        self._a = arbiter
        self._loops: list[asyncio.Task[None]] = []
        self._other_runtimes = OtherRuntimes(arbiter.live, arbiter.pool, arbiter.catalogue)
        self._ticks = 0
        self._told_idle = False
        self._stopped = False

    # ── start ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, *, serving: bool = True) -> None:
        """``serving`` False: only the state, for commands that need no engine; nothing is loaded."""
        a, live = self._a, self._a.live
        state = await a.store.load()
        live.registry, live.routes, live.lost = state.registry, state.routes, state.lost
        live.modes = {t: AutopilotMode(m) for t, m in state.modes.items() if m in tuple(AutopilotMode)}
        live.swaps.extend(state.swaps)
        a.evidence.restore(state.outcomes, state.profiles.values())
        a.recorder.remember([o.id for o in state.outcomes])
        await a.spending.restore()
        await a.keyring.load()
        await self._restore_tasks()
        await a.knowledge.restore()
        await a.swapper.recover(state.intents)
        await a.rollouts.restore()
        await a.schedule.restore()
        await a.rush.restore()
        await a.autopilot.budgets.restore()
        await a.retirement.restore()
        await a.decisions.restore(tuple(live.swaps))
        a.autopilot.moves.restore(tuple(live.swaps))
        for version in live.registry.versions.values():
            a.pool.pin(version.version, version.pinned)
        await self._read_hardware()
        await a.catalogue.configured(a.config.models)
        await a.catalogue.discover_embedded()
        await a.knowledge.look()
        await a.catalogue.fill_routes()
        a.admission.constitution.tell()
        live.state = "ready" if serving else OFFLINE
        a.autopilot.narrate()
        if not serving:
            return
        a.rollouts.resume_loads()
        self._begin_loops()
        self._other_runtimes.tick()
        live.event("engine", "ready")

    def _begin_loops(self) -> None:
        a = self._a
        loops: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("recorder", a.recorder.run),
            ("feed", a.feed.run),
            ("autopilot", a.autopilot.run),
            ("rollouts", self._rollouts_on),
            ("ticks", self._tick_on),
        )
        self._loops = [asyncio.create_task(self._watched(name, loop), name=name) for name, loop in loops]

    async def _rollouts_on(self) -> None:
        while True:
            await self._a.rollouts.look()
            await self._a.schedule.look()
            await self._a.live.clock.sleep(self._a.config.autopilot.interval_s)

    async def _watched(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """A loop that fails is told and begins again after a pause: one bad moment must not blind the engine."""
        while True:
            try:
                await loop()
            except Exception as error:
                self._a.live.alert("error", f"{name}: {type(error).__name__}: {error}")
                await self._a.clock.sleep(TICK_S)

    async def _tick_on(self) -> None:
        while True:
            await self.tick()
            await self._a.clock.sleep(TICK_S)

    async def tick(self) -> None:
        """About once a second: hardware, instances, profiles."""
        a = self._a
        await self._read_hardware()
        await a.pool.tick()
        await a.rush.look()
        await a.autopilot.budgets.look()
        await a.retirement.look()
        await a.knowledge.look()
        self._other_runtimes.tick()
        self._ticks += 1
        if self._ticks % PROFILES_EVERY == 0:
            await self._save_profiles()
        a.feed.mark_dirty()  # rates fade without any event

    async def _read_hardware(self) -> None:
        a, live = self._a, self._a.live
        read = named(await live.probe.read(), a.pool.pids())
        budget = a.pool.budget_bytes
        live.chronicle.read(live.clock.now(), read, a.pool.used_bytes() / budget if budget else None)
        live.hardware = settle_hardware(live.hardware, replace(read, backend=self._backend()))
        a.surroundings.saw(read)
        self._tell_idle_gpu(read)

    def _backend(self) -> str:
        """What the loaded models compute on, as their engines name it; what it was while none is loaded."""
        loaded = {view.backend for view in self._a.pool.views().values() if view.backend}
        return next((b for b in sorted(loaded) if b != "CPU"), "CPU") if loaded else self._a.live.hardware.backend

    def _tell_idle_gpu(self, hardware: HardwareView) -> None:
        """Once: every loaded model says that it runs on the processor, and there is a GPU."""
        backends = {view.backend for view in self._a.pool.views().values() if view.state == State.READY}
        if self._told_idle or not hardware.gpus or backends != {"CPU"}:
            return
        self._told_idle = True
        name = hardware.gpus[0].name or "a GPU"
        self._a.live.alert(
            "info",
            f"{name} lies idle: the loaded models run on the CPU; `arbiter doctor` prints the block that uses it",
        )

    async def _save_profiles(self) -> None:
        changed = self._a.evidence.take_dirty_profiles()
        if not changed:
            return
        try:
            await self._a.store.save_profiles(changed)
        except ArbiterError as error:
            self._a.evidence.put_back_profiles(changed)
            self._a.live.alert("error", f"what was learnt could not be stored: {error}")

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _restore_tasks(self) -> None:
        """What operators changed at run time lies over the configuration."""
        patches: Mapping[str, Any] = await self._a.store.note("tasks") or {}
        for name, patch in patches.items():
            try:
                self.apply_task(name, patch)
            except ArbiterError as error:
                self._a.live.alert("warning", f"a stored change of task {name} no longer applies: {error}", task=name)

    async def put_task(self, patch: Mapping[str, Any]) -> Task:
        name = patch.get("name") or patch.get("task")
        if not isinstance(name, str):
            raise ConfigError("a task needs a name", details={"key": "name"})
        change = {k: v for k, v in patch.items() if k not in ("name", "task")}
        if isinstance(change.get("description"), str):
            change["description"] = masked(change["description"])  # it is stored, and shown to every reader
        before = self._a.live.tasks.get(name)
        task = self.apply_task(name, change)
        stored = dict(await self._a.store.note("tasks") or {})
        stored[name] = merge_patches(stored.get(name, {}), change)
        try:
            await self._a.store.save_note("tasks", stored)
        except ArbiterError:
            self._undo(name, before)
            raise
        await self._a.catalogue.fill_routes()
        self._a.live.event("task", f"{name} changed", task=name)
        return task

    def apply_task(self, name: str, change: Mapping[str, Any]) -> Task:
        """It counts from here on; nothing is stored. Raises ConfigError, Unconstitutional."""
        live = self._a.live
        task = patch_task(live.tasks.get(name) or Task(name=name), change)
        self._a.admission.constitution.check_change(live.tasks.get(name), task)
        live.tasks[name] = task
        live.on_dirty()
        return task

    def _undo(self, name: str, before: Task | None) -> None:
        if before is None:
            del self._a.live.tasks[name]
        else:
            self._a.live.tasks[name] = before

    # ── stop ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, deadline_s: float) -> None:
        if self._stopped:
            return
        self._stopped = True
        a = self._a
        a.live.state = "draining"
        a.feed.mark_dirty()
        a.feed.tick()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._other_runtimes.stop()
        await a.autopilot.stop()
        await a.schedule.stop()
        await a.rollouts.stop()
        await a.bench.stop()
        await a.swapper.settle()
        await a.pool.close(deadline_s)
        for provider in a.providers.values():
            await self._close(provider.name, provider.close)
        await self._cut_off()
        await a.recorder.close()
        await self._save_profiles()
        await self._close("hardware", a.live.probe.close)

    async def _cut_off(self) -> None:
        """What was not finished in time has lost its runtime by now: its client is told, and its record is kept."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_WITHIN_S):
                while self._a.asked.open:  # noqa: ASYNC110 - the ends of answers, each in its client's own task
                    await asyncio.sleep(0.01)

    async def _close(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        """One that hangs or fails must not keep the others from closing."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await close()
        except (ArbiterError, TimeoutError, OSError) as error:
            self._a.live.alert("error", f"{name} did not close: {error or 'in time'}")

    # ── figures ───────────────────────────────────────────────────────────────────────────────────────────────

    def statistics(self) -> dict[str, Any]:
        a, live = self._a, self._a.live
        swaps = list(live.swaps)
        return {
            "requests": live.requests,
            "failed": live.failed,
            "in_flight": a.in_flight,
            "uptime_s": a.clock.monotonic() - live.started_at,
            "swaps": {r: sum(s.result == r for s in swaps) for r in ("running", "done", "failed", "rolled_back")},
            "money": a.spending.rows(),
            "outcomes_saved": a.recorder.saved,
            "outcomes_dropped": a.recorder.dropped,
            "lost_at_last_crash": live.lost,
            "intake": {**a.evidence.intake, "duplicates": a.recorder.duplicates},
            "memory": {"budget_bytes": a.pool.budget_bytes, "used_bytes": a.pool.used_bytes()},
            "models": {v: asdict(a.evidence.totals(v)) for v in live.registry.versions},
            "tasks": {
                t: {
                    "requests": a.evidence.requests(t),
                    "incumbent": live.routes.get(t).incumbent,
                    "versions": {
                        v: {
                            "samples": s.samples, "success_rate": s.success_rate, "quality": s.quality,
                            "quality_sources": dict(s.quality_sources), "latency_p50_s": s.latency_p50_s,
                            "latency_p95_s": s.latency_p95_s, "ttft_s": s.ttft_s,
                            "tokens_per_second": s.tokens_per_second, "memory_bytes": s.memory_bytes,
                        }
                        for v, s in a.evidence.stats(t).items()
                    },
                }
                for t in live.tasks
            },
        }  # fmt: skip
