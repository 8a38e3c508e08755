"""Builds the Snapshot from what the engine holds.

Owns: how live state becomes the frozen read-model, and the rounding that keeps a still engine still.
Never: changes anything, waits, wakes a model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from .. import __version__
from ..core.registry import ModelVersion
from ..core.snapshot import (
    BudgetView,
    DiskView,
    EngineView,
    GpuProcessView,
    GpuView,
    HardwareView,
    ModelView,
    OperationView,
    Reading,
    RowView,
    Snapshot,
    TaskView,
)
from ..core.tasks import AutopilotMode, Task
from .evidence import Evidence, Totals
from .instance import InstanceView
from .live import Live
from .pool import Pool

SHOWN_SWAPS = 50
SHOWN_ROLLOUTS = 5
TOP_ROWS = 3
RATE_WINDOW_S = 10.0
PERCENT = 0.01
TEN_MB = 10e6
_ORDER = (AutopilotMode.ON, AutopilotMode.OBSERVE, AutopilotMode.OFF)
_HEALTH = {"ready": "ok", "draining": "ok", "failed": "failed", "quarantined": "failed"}


class Rate:
    """Requests a second over the last RATE_WINDOW_S."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=10_000)

    def count(self, now: float) -> None:
        self._ends.append(now)

    def value(self, now: float) -> float:
        while self._ends and self._ends[0] < now - RATE_WINDOW_S:
            self._ends.popleft()
        return round(len(self._ends) / RATE_WINDOW_S, 1)


def build_snapshot(
    live: Live,
    pool: Pool,
    evidence: Evidence,
    *,
    rate: Rate,
    operations: Sequence[OperationView],
    task: str | None = None,
) -> Snapshot:
    """``task`` gets its whole leaderboard and the others their first rows; without it every one is whole."""
    return Snapshot(
        taken_at=live.clock.now(),
        engine=_engine(live, rate),
        budget=BudgetView(limit_bytes=pool.budget_bytes, used_bytes=pool.used_bytes()),
        models=tuple(_model(live, pool, evidence, v) for v in live.registry.versions.values()),
        tasks=tuple(
            _task(live, evidence, t, None if task in (None, t.name) else TOP_ROWS) for t in live.tasks.values()
        ),
        hardware=live.hardware,
        swaps=tuple(live.swaps)[:SHOWN_SWAPS],
        alerts=tuple(live.alerts),
        operations=tuple(operations),
        narrator=live.narrator,
    )


def _engine(live: Live, rate: Rate) -> EngineView:
    modes = {live.mode(name) for name in live.tasks} or {AutopilotMode(live.config.autopilot.mode)}
    return EngineView(
        state=live.state,
        version=__version__,
        uptime_s=round(live.clock.monotonic() - live.started_at, 1),
        autopilot=next(m for m in _ORDER if m in modes).value,
        url=live.config.server.url,
        state_dir=live.state_dir,
        requests=live.requests,
        failed=live.failed,
        requests_per_second=rate.value(live.clock.monotonic()),
        lost_at_last_crash=live.lost,
    )


def _model(live: Live, pool: Pool, evidence: Evidence, version: ModelVersion) -> ModelView:
    name = version.version
    seen = pool.view(name) or InstanceView(version=name)
    total = evidence.totals(name)
    return ModelView(
        version=name,
        provider=version.provider,
        model=version.model,
        digest=version.digest,
        quantization=version.quantization,
        lifecycle=version.lifecycle.value,
        state=seen.state,
        pinned=version.pinned,
        resident_bytes=seen.resident_bytes,
        predicted_bytes=seen.predicted_bytes if seen.predicted_bytes is not None else evidence.predicted_bytes(version),
        in_flight=seen.in_flight,
        queued=seen.queued,
        tokens_per_second=_rounded(total.tokens_per_second, 1),
        ttft_s=_rounded(total.ttft_s, 4),
        requests=total.requests,
        failures=total.failures,
        health=_health(live, seen, total),
        last_used_at=seen.last_used_at,
        progress=_rounded(seen.progress, 2),
        eta_s=_rounded(seen.eta_s, 1),
        error=seen.error,
        serves=tuple(
            t for t in live.tasks if (v := live.find(live.routes.get(t).incumbent)) is not None and v.version == name
        ),
        backend=seen.backend,
        aliases=tuple(sorted(a for a, v in live.registry.aliases.items() if v == name)),
        context=seen.context or version.context,
        replicas=seen.each,
    )


def _health(live: Live, seen: InstanceView, total: Totals) -> str:
    """That a process lives is not enough: while its newest generation failed, or its breaker is not closed, it is not
    well. What failed before this engine's start has had its restart."""
    told = _HEALTH.get(seen.state, "unknown")
    started = live.clock.now() - (live.clock.monotonic() - live.started_at)
    failing = total.failed_at is not None and total.failed_at >= started
    return "degraded" if told == "ok" and (failing or live.shut(seen.version)) else told


def _task(live: Live, evidence: Evidence, task: Task, rows: int | None) -> TaskView:
    route = live.routes.get(task.name)
    announced = live.announced.get(task.name) or (None, None)
    return TaskView(
        task=task.name,
        incumbent=_version(live, route.incumbent),
        candidate=_version(live, route.candidate),
        candidate_share=route.candidate_share,
        previous=_version(live, route.previous),
        autopilot=live.mode(task.name).value,
        requests=evidence.requests(task.name),
        leaderboard=tuple(_row(r) for r in evidence.leaderboard(task.name)[:rows]),
        hold_until=route.hold_until if route.hold_until > live.clock.now() else None,
        next_incumbent=announced[0],
        next_at=announced[1],
        description=task.description,
        settings=task.settings,
    )


def _version(live: Live, name: str | None) -> str | None:
    found = live.find(name)
    return found.version if found is not None else name


def _row(row: RowView) -> RowView:
    """Four digits: what a screen shows, and no new revision because a second has passed."""
    return replace(
        row,
        utility=_rounded(row.utility, 4),
        utility_low=_rounded(row.utility_low, 4),
        utility_high=_rounded(row.utility_high, 4),
        quality=_rounded(row.quality, 4),
        latency_p50_s=_rounded(row.latency_p50_s, 4),
        latency_p95_s=_rounded(row.latency_p95_s, 4),
        energy_j=_rounded(row.energy_j, 4),
        success_rate=_rounded(row.success_rate, 4),
        p_best=_rounded(row.p_best, 4),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def settle_hardware(old: HardwareView, new: HardwareView) -> HardwareView:
    """``new`` in the steps that a screen shows; a value that moved less than one step stays as it was."""
    return replace(
        new,
        cpu=_still(old.cpu, new.cpu, PERCENT),
        cores=tuple(
            _step(old.cores[i] if i < len(old.cores) else None, value, 5 * PERCENT) for i, value in enumerate(new.cores)
        ),
        ram_used_bytes=_still(old.ram_used_bytes, new.ram_used_bytes, TEN_MB),
        swap_used_bytes=_still(old.swap_used_bytes, new.swap_used_bytes, TEN_MB),
        cpu_power_w=_still(old.cpu_power_w, new.cpu_power_w, 1.0),
        gpus=tuple(_gpu(old.gpus[i] if i < len(old.gpus) else None, gpu) for i, gpu in enumerate(new.gpus)),
        ane=_still(old.ane, new.ane, PERCENT),
        disks=tuple(_disk(old.disks[i] if i < len(old.disks) else None, disk) for i, disk in enumerate(new.disks)),
    )


def _disk(old: DiskView | None, new: DiskView) -> DiskView:
    before = old or DiskView(what=new.what)
    return replace(new, used_bytes=_still(before.used_bytes, new.used_bytes, 10 * TEN_MB))


def _gpu(old: GpuView | None, new: GpuView) -> GpuView:
    before = old or GpuView(index=new.index)
    return replace(
        new,
        utilisation=_still(before.utilisation, new.utilisation, PERCENT),
        memory_used_bytes=_still(before.memory_used_bytes, new.memory_used_bytes, TEN_MB),
        power_w=_still(before.power_w, new.power_w, 1.0),
        temperature_c=_still(before.temperature_c, new.temperature_c, 1.0),
        energy_j=_still(before.energy_j, new.energy_j, 1_000.0),
        processes=tuple(_process(before, p) for p in new.processes),
    )


def _process(gpu: GpuView, new: GpuProcessView) -> GpuProcessView:
    if new.memory_bytes is None:
        return new
    old = next((p.memory_bytes for p in gpu.processes if p.pid == new.pid), None)
    return replace(new, memory_bytes=int(_step(old, new.memory_bytes, TEN_MB)))


def _still(old: Reading, new: Reading, size: float) -> Reading:
    if new.value is None:
        return new
    return replace(new, value=_step(old.value, new.value, size))


def _step(old: float | None, new: float, size: float) -> float:
    if old is not None and abs(new - old) < size:
        return old
    return round(round(new / size) * size, 4)
