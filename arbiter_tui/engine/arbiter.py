"""The facade: everything that a door (gateway, daemon, library user) asks of the engine.

Owns: the composition of the engine's parts. Never: HTTP, files, policies (core has those).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..core.cost import Outcome
from ..core.learning import TaskProfile
from ..core.registry import ModelVersion, Registry
from ..core.routing import RouteTable
from ..core.selection import Selection
from ..core.snapshot import OperationView, Snapshot, SwapView, Why
from ..core.tasks import Task
from ..core.verify import SuiteItem
from ..ports import Clock, HardwareProbe, Store
from ..provider import Provider, Request, Usage
from .answer import Answer
from .feed import Feed
from .pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A whole answer. Seconds. ``swapped``: the task's incumbent changed between begin and end."""

    text: str
    task: str
    version: str
    id: str
    usage: Usage
    latency_s: float
    ttft_s: float | None
    swapped: bool
    why: tuple[str, ...]
    finish_reason: str = "stop"


class Arbiter:
    store: Store
    pool: Pool
    config: Config
    feed: Feed

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        providers: Mapping[str, Provider],
        probe: HardwareProbe,
        clock: Clock,
        new_id: Callable[[], str],
        suites: Mapping[str, Sequence[SuiteItem]],
        tasks: Sequence[Task] | None = None,
    ) -> None:
        """``tasks``: built-in tasks before the configuration's own; None means the bundled ones."""
        raise NotImplementedError

    @property
    def registry(self) -> Registry: raise NotImplementedError
    @property
    def routes(self) -> RouteTable: raise NotImplementedError
    @property
    def tasks(self) -> Mapping[str, Task]: raise NotImplementedError
    @property
    def state(self) -> str:
        """starting, ready, draining."""
        raise NotImplementedError

    async def start(self) -> None: raise NotImplementedError
    async def stop(self, deadline_s: float = 10.0) -> None: raise NotImplementedError
    async def begin(self, name: str, request: Request, *, task: str | None = None, source: str = "request") -> Answer: raise NotImplementedError
    async def execute(self, task: str, request: Request) -> Result: raise NotImplementedError
    async def embed(self, name: str, texts: Sequence[str]) -> tuple[str, list[list[float]]]: raise NotImplementedError
    def select(self, task: str, **overrides: Any) -> Selection: raise NotImplementedError
    async def swap(self, task: str, to: str, *, trigger: str = "manual", strict: bool = False, dry_run: bool = False, reason: str = "", why: Sequence[Why] = (), evidence: Mapping[str, Any] | None = None) -> SwapView: raise NotImplementedError
    async def rollback(self, task: str, *, trigger: str = "rollback") -> SwapView: raise NotImplementedError
    async def warm(self, name: str) -> None: raise NotImplementedError
    async def unload(self, name: str) -> None: raise NotImplementedError
    async def pin(self, name: str, pinned: bool = True) -> ModelVersion: raise NotImplementedError
    async def activate(self, name: str) -> ModelVersion: raise NotImplementedError
    async def deprecate(self, name: str) -> ModelVersion: raise NotImplementedError
    async def alias(self, alias: str, name: str) -> ModelVersion: raise NotImplementedError
    async def register(self, provider: str, source: str, *, name: str | None = None, labels: Sequence[str] = ()) -> ModelVersion: raise NotImplementedError
    async def discover(self, *, apply: bool = False) -> list[ModelVersion]: raise NotImplementedError
    async def set_autopilot(self, mode: str, task: str | None = None) -> None: raise NotImplementedError
    async def put_task(self, patch: Mapping[str, Any]) -> Task: raise NotImplementedError
    async def start_bench(self, tasks: Sequence[str] | None = None, versions: Sequence[str] | None = None) -> OperationView: raise NotImplementedError
    def operations(self) -> list[OperationView]: raise NotImplementedError
    def operation(self, id: str) -> OperationView: raise NotImplementedError
    async def cancel_operation(self, id: str) -> OperationView: raise NotImplementedError
    async def feedback(self, request_id: str, score: float, comment: str = "") -> Outcome: raise NotImplementedError
    async def report(self, outcomes: Iterable[Outcome]) -> None: raise NotImplementedError
    async def explain(self, id: str) -> dict[str, Any]: raise NotImplementedError
    def statistics(self) -> dict[str, Any]: raise NotImplementedError
    def profile(self, task: str) -> TaskProfile: raise NotImplementedError
    def snapshot(self, task: str | None = None) -> Snapshot: raise NotImplementedError
    async def events(self, after: int = 0, wait_s: float = 0.0) -> list[dict[str, Any]]: raise NotImplementedError
    def requests(self, limit: int = 100) -> list[dict[str, Any]]: raise NotImplementedError
    def log(self, name: str) -> list[str]: raise NotImplementedError
