"""What the pool knows of one version: its state, its process' life, its line of waiters.

Owns: the records. Never: decides anything (pool, scheduler and keeper do), touches a provider.

States::

    cold ──> loading ──> ready <──> draining ──> unloading ──> cold
               │ │         └──────┬─────┘
               │ └─cancelled──> cold
               └──────> failed <──┘ died, hung
                        │   ^
                        │   └── load failed again
                        ├──> loading       next request, or automatic restart after its back-off
                        └──> quarantined   after repeated failures; ──> loading when warmed by hand, or once a minute

``draining``: it finishes its turn; whoever comes now waits in line for it or for its next life.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from ..core.records import record
from ..core.registry import ModelVersion
from ..core.scaling import CALM
from ..core.scaling import State as Scaling
from ..core.snapshot import ReplicaView
from ..provider import InstanceStats, Load, LoadedModel
from .balancer import Line, Turn
from .health import Failures
from .replicas import ReplicaSet


class State(StrEnum):
    COLD = "cold"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    UNLOADING = "unloading"
    FAILED = "failed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One version as the pool sees it now. Bytes, seconds; ``progress`` 0..1 of a load, estimated; unknown is None."""

    version: str
    state: str = "cold"
    resident_bytes: int | None = None
    predicted_bytes: int | None = None
    in_flight: int = 0
    queued: int = 0
    progress: float | None = None
    eta_s: float | None = None
    error: str | None = None
    last_used_at: float | None = None
    backend: str | None = None
    context: int | None = None
    load_s: float | None = None
    restarts: int = 0
    pinned: bool = False
    pid: int | None = None
    base_url: str | None = None  # where the runtime itself speaks HTTP on loopback
    keep_s: float | None = None  # idle time that a client asked for
    replicas: int = 1  # copies that are wanted
    replicas_ready: int | None = None  # None where there are no replicas
    retries: int = 0  # requests that went on from one replica to another before they had begun
    each: tuple[ReplicaView, ...] = ()  # of the replicas
    load: Load | None = None  # of a server that has other clients, too


@record(frozen=True, slots=True, eq=False)
class Lease:
    """An in-flight claim. ``load_s``: the part of this request's wait spent on a load; ``queue_s``: the rest of it."""

    model: LoadedModel
    version: ModelVersion
    queue_s: float
    load_s: float
    life: Life


@dataclass(slots=True, eq=False)
class Life:
    """One process from the start of its load to its end.

    A lease belongs to a life, not to an instance: a late release after a crash can't free a slot of the next life.
    """

    started_at: float  # monotonic seconds
    model: LoadedModel | None = None
    leases: set[Lease] = field(default_factory=set)
    granted: int = 0  # leases so far: who sees it unchanged had no company
    ready_at: float = 0.0
    ready_number: int = 0  # the sequence's newest number when it became ready: its line then is its own turn
    death: str | None = None
    strikes: int = 0
    shielded: bool = False  # warmed on purpose and not used yet: not the next victim for a moment
    stats: InstanceStats | None = None
    each: int = 0  # bytes that one copy was predicted to take
    scaling: Scaling = CALM
    keep_s: float | None = None  # idle time that a client asked for, instead of the pool's own; ends with this life


@dataclass(slots=True, eq=False)
class Instance:
    """A version's mutable record. ``claimed``: bytes that count against the budget, from load to the process' end."""

    version: ModelVersion
    line: Line[Lease]
    warmers: Line[None] = field(default_factory=Line)
    state: State = State.COLD
    pinned: bool = False
    claimed: int = 0
    predicted: int | None = None
    life: Life | None = None
    load_task: asyncio.Task[LoadedModel] | None = None
    end_task: asyncio.Task[None] | None = None
    restart_number: int | None = None  # set while an automatic restart wants it
    turn: Turn | None = None  # another model waits for this memory
    leaving: Turn | None = None  # somebody asked to unload it
    behind: int = 0  # evicted with a line left: its turn was used up, it asks again behind those who waited then
    gone: Line[None] = field(default_factory=Line)
    watchers: list[tuple[set[Lease], asyncio.Future[None]]] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    error: str | None = None
    last_used_at: float | None = None
    load_s: float | None = None
    restarts: int = 0
    retries: int = 0  # requests that one replica could not begin and that were asked of another one
    last_log: list[str] = field(default_factory=list)

    def retry(self) -> None:
        self.retries += 1

    @property
    def name(self) -> str:
        return self.version.version

    @property
    def replicas(self) -> ReplicaSet | None:
        model = self.life.model if self.life is not None else None
        return model if isinstance(model, ReplicaSet) else None

    @property
    def parallel(self) -> int:
        """Requests at once; of several replicas those that are ready count."""
        copies = self.replicas
        return max(1, self.version.parallel) if copies is None else copies.slots

    @property
    def in_flight(self) -> int:
        return len(self.life.leases) if self.life else 0

    @property
    def loaded(self) -> bool:
        return self.state in (State.READY, State.DRAINING)

    @property
    def idle(self) -> bool:
        return self.loaded and not self.in_flight and not len(self.line)

    @property
    def asked(self) -> bool:
        """Somebody waits for it: a request or a warm-up."""
        return bool(len(self.line) or len(self.warmers))

    @property
    def wanted(self) -> bool:
        return self.asked or self.restart_number is not None

    @property
    def limit(self) -> Turn | None:
        """The stricter of the two orders to drain."""
        if self.turn and self.leaving:
            return Turn(
                cutoff=min(self.turn.cutoff, self.leaving.cutoff), until=min(self.turn.until, self.leaving.until)
            )
        return self.turn or self.leaving

    def place(self) -> tuple[int, float]:
        """(number, monotonic since) of whoever has waited for it longest; automatic restarts come last."""
        firsts = [w for w in (self.line.eldest(), self.warmers.eldest()) if w is not None]
        if not firsts:
            return (self.restart_number or 0, 0.0)
        eldest = min(firsts, key=lambda w: w.number)
        return (max(eldest.number, self.behind), eldest.since)

    def view(self, now: float, expected_load_s: float | None) -> InstanceView:
        """``now``: monotonic seconds."""
        stats = self.life.stats if self.life else None
        copies = self.replicas
        progress, eta = self._progress(now, expected_load_s)
        return InstanceView(
            version=self.name,
            state=str(self.state),
            resident_bytes=stats.resident_bytes if stats else None,
            predicted_bytes=self.predicted,
            in_flight=self.in_flight,
            queued=len(self.line),
            progress=progress,
            eta_s=eta,
            error=self.error,
            last_used_at=self.last_used_at,
            backend=stats.backend if stats else None,
            context=(stats.context if stats else None) or self.version.context,
            load_s=self.load_s,
            restarts=self.restarts,
            pinned=self.pinned,
            pid=stats.pid if stats else None,
            base_url=stats.base_url if stats else None,
            keep_s=self.life.keep_s if self.life else None,
            replicas=copies.copies if copies is not None else 1,
            replicas_ready=copies.ready if copies is not None else None,
            retries=self.retries,
            each=copies.views() if copies is not None else (),
            load=stats.load if stats else None,
        )

    def _progress(self, now: float, expected_load_s: float | None) -> tuple[float | None, float | None]:
        if self.state is not State.LOADING or self.life is None or not expected_load_s:
            return None, None
        elapsed = now - self.life.started_at
        return min(0.99, elapsed / expected_load_s), max(0.0, expected_load_s - elapsed)
