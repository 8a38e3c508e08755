"""What the engine knows right now, in one place, and how a client's name becomes a version.

Owns: the current registry, route table, tasks, modes, history rings and counters of a running engine.
Never: commits anything (the caller commits, then assigns), measures, decides, loads.

Every part of the engine lives on one event loop. The registry and the route table are immutable values: a change is one
assignment of a new one, so that whoever reads them without an await in between sees one state.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..config import Config
from ..core.circumstances import NORMAL
from ..core.constitution import Breach
from ..core.cost import Outcome
from ..core.records import record
from ..core.registry import Lifecycle, ModelVersion, Registry
from ..core.routing import TASK_PREFIX, Route, RouteTable, task_of
from ..core.snapshot import AlertView, HardwareView, SwapView
from ..core.tasks import AutopilotMode, Task
from ..core.verify import SuiteItem
from ..errors import NoQualifyingModel, Refused, UnknownName
from ..ports import Clock, HardwareProbe, Store
from .chronicle import Chronicle
from .measures import Measures

OFFLINE = "offline"  # the state folder is open, but nothing is served or loaded
KEPT_SWAPS = 200
KEPT_REQUESTS = 200
KEPT_EVENTS = 1_000
KEPT_ALERTS = 20


@record(frozen=True, slots=True)
class Target:
    """What a name resolved to. ``named``: the client chose the version itself, and gets that one or an error."""

    task: str
    version: ModelVersion
    named: bool


@record(frozen=True, slots=True)
class Served:
    """One request of a client that has ended, and the decision because of which its version answered."""

    outcome: Outcome
    decision_id: str
    named: bool
    failed_over: tuple[Mapping[str, Any], ...] = ()  # who was asked before and failed: version, failure, reason

    def as_dict(self) -> dict[str, Any]:
        told = {**asdict(self.outcome), "decision_id": self.decision_id or None, "named": self.named}
        return {**told, "failed_over": [dict(f) for f in self.failed_over]} if self.failed_over else told


class Live:
    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        probe: HardwareProbe,
        clock: Clock,
        new_id: Callable[[], str],
        suites: Mapping[str, Sequence[SuiteItem]],
    ) -> None:
        self.config = config
        self.store = store
        self.probe = probe
        self.clock = clock
        self.new_id = new_id
        self.suites = suites
        self.registry = Registry()
        self.routes = RouteTable()
        self.tasks: dict[str, Task] = {t.name: t for t in config.tasks}
        self.modes: dict[str, AutopilotMode] = {}
        self.state = "starting"
        self.state_dir = ""
        self.started_at = clock.monotonic()
        self.lost: int | None = None
        self.requests = 0
        self.failed = 0
        self.last_request_at: float | None = None  # monotonic; idle work waits for quiet
        self.served_at: dict[str, float] = {}  # task -> monotonic end of its newest request of a client
        self.swaps: deque[SwapView] = deque(maxlen=KEPT_SWAPS)  # newest first
        self.recent: deque[Served] = deque(maxlen=KEPT_REQUESTS)  # newest last
        self.alerts: deque[AlertView] = deque(maxlen=KEPT_ALERTS)  # newest first
        self.announced: dict[str, tuple[str, float]] = {}  # task -> who takes over next, and when (unix seconds)
        self.hardware = HardwareView()
        self.around = NORMAL  # the machine's circumstances, surroundings.py's word
        self.spares: Callable[[], bool] = lambda: True  # whether questions may be asked that nobody waits for
        self.chronicle = Chronicle()
        self.narrator = "Starting."
        self.on_dirty: Callable[[], None] = lambda: None
        self.forbids: Callable[[str, ModelVersion], Breach | None] = lambda task, version: (
            None
        )  # the constitution's word
        self.shut: Callable[[str], bool] = lambda version: False  # whether a version's breaker is not closed
        self.paid: Callable[[ModelVersion], bool] = lambda version: False  # spending.py's word
        self.affordable: Callable[[ModelVersion], bool] = lambda version: True  # likewise
        self.charged: Callable[[Outcome], Outcome] = lambda outcome: outcome  # likewise
        self.measures = Measures()
        # Told of each change of a swap's record: before, after.
        self.on_swap: list[Callable[[SwapView | None, SwapView], None]] = [self.measures.swapped]
        self.on_outcome: list[Callable[[Outcome, ModelVersion], None]] = []  # of each client's request; constant time
        self.on_embedding: list[Callable[[Outcome, ModelVersion], None]] = []  # likewise; nothing is learnt of them
        self.on_config: list[Callable[[Config], None]] = []  # told of another configuration, in the step that adopts it
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self._event_revision = 0
        self._event_waiters: set[asyncio.Event] = set()

    # ── names ─────────────────────────────────────────────────────────────────────────────────────────────────

    def task(self, name: str) -> Task:
        """Raises UnknownName with the nearest tasks."""
        found = self.tasks.get(name)
        if found is None:
            raise UnknownName("task", name, self.tasks)
        return found

    def resolve(self, name: str, task: str | None = None) -> Target:
        """Version, then alias, then ``arbiter/TASK``; ``task`` routes a name that is none of them. No await inside."""
        registry = self.registry
        version = registry.versions.get(name)
        if version is None and name in registry.aliases:
            version = registry.versions.get(registry.aliases[name])
        if version is not None:
            if version.lifecycle is Lifecycle.ARCHIVED:
                raise Refused(f"{version.version} is archived")
            return Target("" if task is None else self.task(task).name, version, named=True)
        wanted = task_of(name) or task
        if wanted is None:
            raise UnknownName(
                "model", name, [*registry.versions, *registry.aliases, *(TASK_PREFIX + t for t in self.tasks)]
            )
        return Target(wanted, self.incumbent(self.task(wanted).name), named=False)

    def incumbent(self, task: str) -> ModelVersion:
        """Who serves ``task`` now; the route may name an alias. Raises NoQualifyingModel."""
        name = self.routes.get(task).incumbent
        version = self.find(name)
        if version is None:
            reasons = {v.version: f"is {v.lifecycle}" for v in self.registry.versions.values()}
            raise NoQualifyingModel(
                f"no model serves {task}: register one and activate it", details={"reasons": reasons, "task": task}
            )
        return version

    def find(self, name: str | None) -> ModelVersion | None:
        """The version behind a version's or alias's name; None if there is none."""
        if name is None:
            return None
        return self.registry.versions.get(name) or self.registry.versions.get(self.registry.aliases.get(name, ""))

    def serving(self) -> set[str]:
        """Versions that are some task's incumbent now."""
        found = (self.find(r.incumbent) for r in self.routes.routes.values() if r.task in self.tasks)
        return {v.version for v in found if v is not None}

    def mode(self, task: str) -> AutopilotMode:
        """The operator's choice, else the stricter of the task's and the configuration's."""
        chosen = self.modes.get(task)
        if chosen is not None:
            return chosen
        order = (AutopilotMode.OFF, AutopilotMode.OBSERVE, AutopilotMode.ON)
        modes = (self.tasks[task].autopilot, AutopilotMode(self.config.autopilot.mode))
        return min(modes, key=order.index)

    def suite(self, task: Task) -> Sequence[SuiteItem]:
        return self.suites.get(task.suite or task.name, ())

    def dirty(self) -> None:
        """Something that a screen shows has changed."""
        self.on_dirty()

    # ── routes ────────────────────────────────────────────────────────────────────────────────────────────────

    def put_route(self, route: Route) -> None:
        """THE switch: one assignment."""
        self.routes = self.routes.with_route(route)
        self.on_dirty()

    # ── history ───────────────────────────────────────────────────────────────────────────────────────────────

    def put_swap(self, swap: SwapView) -> None:
        """Insert or replace by id, newest first."""
        before: SwapView | None = None
        for index, known in enumerate(self.swaps):
            if known.id == swap.id:
                before, self.swaps[index] = known, swap
                break
        else:
            self.swaps.appendleft(swap)
        for tell in self.on_swap:
            tell(before, swap)
        self.on_dirty()

    def alert(self, level: str, message: str, *, task: str | None = None, version: str | None = None) -> None:
        if self.alerts and (self.alerts[0].message, self.alerts[0].level) == (message, level):
            return  # the same again is no news
        self.alerts.appendleft(
            AlertView(id=self.new_id(), at=self.clock.now(), level=level, message=message, task=task, version=version)
        )
        self.event("alert", message, task=task, version=version, level=level)

    def step(self, what: str, version: str, message: str) -> None:
        """One step of an instance's life."""
        self.chronicle.step(self.clock.now(), version, what, message)
        self.event("instance", f"{version}: {message}", version=version, what=what)

    def event(self, kind: str, message: str, **fields: Any) -> None:
        """Append to the ring that ``/events`` reads, and wake its readers."""
        self._event_revision += 1
        self._events.append(
            {"revision": self._event_revision, "at": self.clock.now(), "kind": kind, "message": message, **fields}
        )
        for waiter in self._event_waiters:
            waiter.set()
        self.on_dirty()

    async def events(self, after: int, wait_s: float) -> list[dict[str, Any]]:
        """Events with a revision above ``after``, oldest first; waits at most ``wait_s`` seconds for one."""
        if self._event_revision <= after and wait_s > 0:
            waiter = asyncio.Event()
            self._event_waiters.add(waiter)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await waiter.wait()
            finally:
                self._event_waiters.discard(waiter)
        return [e for e in self._events if e["revision"] > after]

    def graded(self, outcome: Outcome) -> None:
        """A grade came for a request that has ended: whoever looks at the newest requests sees it."""
        for index, served in enumerate(self.recent):
            if served.outcome.id == outcome.id:
                known = replace(served.outcome, quality=outcome.quality, quality_source=outcome.quality_source)
                self.recent[index] = replace(served, outcome=known)
        self.on_dirty()

    def newest_requests(self, limit: int) -> list[dict[str, Any]]:
        """Newest first."""
        return [served.as_dict() for served in list(self.recent)[: -limit - 1 : -1]]
