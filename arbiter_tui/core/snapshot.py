"""Frozen read-models for screens and the wire: exactly the fields of the control API's ``GET /snapshot``.

Owns: the shape that every door shows. Never: computing any of it (scoring, pool and engine do). Unknown is None.
``to_wire`` and ``from_wire`` are inverse; ``from_wire`` ignores fields that it does not know and fills those that are
missing, so that a newer and an older engine can be attended by the same cockpit; a value of a wrong type is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .wired import from_wire as from_wire
from .wired import to_wire as to_wire


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineView:
    state: str = "starting"  # starting, ready, draining
    version: str = ""
    uptime_s: float = 0.0
    autopilot: str = "on"  # on, observe, off: the strongest mode of any task
    url: str = ""
    state_dir: str = ""  # on the engine's machine
    read_only: bool = False  # whether it refuses every change; this version's engines never do
    requests: int = 0
    failed: int = 0
    requests_per_second: float | None = None
    lost_at_last_crash: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    limit_bytes: int = 0
    used_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """One of several copies of a version. ``ejected``: it is passed over for its ``failures`` in a row, and only tried
    now and then. ``error``: what its worker died with, while it is loaded again."""

    number: int  # from 1
    state: str = "loading"  # loading, ready, leaving, resting
    in_flight: int = 0
    breaker: str = "closed"  # closed, open, half_open
    failures: int = 0  # in a row
    ejected: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    version: str
    provider: str = ""
    model: str = ""
    digest: str | None = None
    quantization: str | None = None
    lifecycle: str = "draft"
    state: str = "cold"  # cold, loading, warming, ready, draining, unloading, failed, quarantined
    pinned: bool = False
    resident_bytes: int | None = None
    predicted_bytes: int | None = None
    in_flight: int = 0
    queued: int = 0
    tokens_per_second: float | None = None
    ttft_s: float | None = None
    requests: int = 0
    failures: int = 0
    health: str = "unknown"  # ok, degraded, failed, unknown
    last_used_at: float | None = None
    progress: float | None = None  # of a load, 0..1, estimated
    eta_s: float | None = None
    error: str | None = None
    serves: tuple[str, ...] = ()  # tasks of which it is the incumbent
    backend: str | None = None
    aliases: tuple[str, ...] = ()
    context: int | None = None
    replicas: tuple[ReplicaView, ...] = ()  # empty where there is one copy only


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """One row of a leaderboard."""

    version: str
    rank: int = 0
    utility: float | None = None
    utility_low: float | None = None
    utility_high: float | None = None
    quality: float | None = None
    quality_source: str | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    memory_bytes: int | None = None
    energy_j: float | None = None
    success_rate: float | None = None
    samples: int = 0
    p_best: float | None = None
    on_pareto_front: bool = False
    unfit: str | None = None  # why it may not serve now


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    task: str
    incumbent: str | None = None
    candidate: str | None = None
    candidate_share: float = 0.0
    previous: str | None = None
    autopilot: str = "on"
    requests: int = 0
    leaderboard: tuple[RowView, ...] = ()
    hold_until: float | None = None
    next_incumbent: str | None = None  # who takes over unless the operator vetoes it
    next_at: float | None = None  # and when, unix seconds
    description: str = ""
    settings: str = ""  # another one when criteria, weights or thresholds were changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value, or None with the reason why it can't be read and how to get it."""

    value: float | None = None
    why: str | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcessView:
    """One process on a GPU; ``version`` where it is a model's worker."""

    pid: int
    memory_bytes: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskView:
    """The file system below ``path``, where ``what`` lies (models, state)."""

    what: str
    path: str = ""
    used_bytes: Reading = field(default_factory=Reading)
    total_bytes: Reading = field(default_factory=Reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuView:
    index: int
    name: str = ""
    utilisation: Reading = field(default_factory=Reading)  # 0..1
    memory_used_bytes: Reading = field(default_factory=Reading)
    memory_total_bytes: Reading = field(default_factory=Reading)
    power_w: Reading = field(default_factory=Reading)
    temperature_c: Reading = field(default_factory=Reading)
    energy_j: Reading = field(default_factory=Reading)
    unified: bool = False
    throttle: tuple[str, ...] = ()  # what holds its clocks back now
    throttle_why: str | None = None  # why that is not known, where it is not
    processes: tuple[GpuProcessView, ...] = ()
    processes_why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareView:
    cpu: Reading = field(default_factory=Reading)  # 0..1 over all cores
    cores: tuple[float, ...] = ()
    ram_used_bytes: Reading = field(default_factory=Reading)
    ram_total_bytes: Reading = field(default_factory=Reading)
    swap_used_bytes: Reading = field(default_factory=Reading)
    cpu_power_w: Reading = field(default_factory=Reading)
    gpus: tuple[GpuView, ...] = ()
    gpu_why: str | None = None  # why there are none, where there are none
    ane: Reading = field(default_factory=Reading)
    backend: str = "CPU"
    cpu_name: str = ""
    swap_total_bytes: Reading = field(default_factory=Reading)
    disks: tuple[DiskView, ...] = ()
    on_battery: bool | None = None
    battery: Reading = field(default_factory=Reading)  # its charge, 0..1
    cpu_throttle: tuple[str, ...] = ()  # what holds the processor's clocks back now
    cpu_throttle_why: str | None = None  # why that is not known, where it is not
    stale: bool = False  # the machine did not answer in time: nothing in it says how it is now


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One line of a decision's reasons."""

    rule: str
    value: Any = None
    threshold: Any = None
    would_change_if: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapView:
    """The wire's form of a SwapEvent, and the event itself: append-only."""

    id: str
    task: str
    from_: str | None = None  # 'from' on the wire
    to: str = ""
    trigger: str = "manual"  # manual, auto, rollout, rollback, schedule
    result: str = "running"  # running, done, failed, rolled_back
    reason: str = ""
    started_at: float = 0.0
    duration_s: float | None = None
    phases: tuple[Phase, ...] = ()
    why: tuple[Why, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """``phase``: shadow, canary, promoting, promoted, withdrawn, aborted. ``p_worse``: P(the new one's quality is below
    .95 x the old one's). ``canary_requests``: clients' answers by the new version. ``blocks``: how often it had its
    turn in memory, where both don't fit; None where they do. ``in_block``: it has it now."""

    id: str
    task: str
    from_: str | None = None  # 'from' on the wire
    to: str = ""
    phase: str = ""
    share: float = 0.0
    pairs: int = 0
    rule: str = ""  # posterior, literal
    paused: bool = False
    verdict: str = ""  # promote, hold, roll_back
    p_worse: float | None = None
    canary_requests: int = 0
    slowdown: float | None = None  # geometric mean of new / old latency over the pairs
    reason: str = ""
    why: tuple[Why, ...] = ()
    ramp: tuple[tuple[float, float], ...] = ()  # (unix seconds, share), oldest first
    started_at: float = 0.0
    next_step_at: float | None = None
    ended_at: float | None = None
    blocks: int | None = None
    in_block: bool = False
    next_block_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    id: str
    at: float
    level: str = "warning"  # info, warning, error
    message: str = ""
    task: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationView:
    """Long work: a benchmark, a load. ``progress`` 0..1."""

    id: str
    kind: str
    state: str = "running"  # running, done, failed, cancelled
    progress: float = 0.0
    eta_s: float | None = None
    message: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    revision: int = 0
    taken_at: float = 0.0
    engine: EngineView = field(default_factory=EngineView)
    budget: BudgetView = field(default_factory=BudgetView)
    models: tuple[ModelView, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    hardware: HardwareView = field(default_factory=HardwareView)
    swaps: tuple[SwapView, ...] = ()  # newest first
    rollouts: tuple[RolloutView, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    operations: tuple[OperationView, ...] = ()
    narrator: str = ""
