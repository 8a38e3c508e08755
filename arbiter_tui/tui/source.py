"""What the cockpit asks of an engine: exactly the calls that it makes. ``arbiter_tui.client.ControlClient`` is one.

Every call may raise an ``ArbiterError``; ``EngineUnreachable`` means that the wire is down.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from ..core.snapshot import Snapshot


class Running(Protocol):
    """An answer as it comes: an async iterator of text pieces. ``served`` has its ``request_id`` once it began."""

    served: dict[str, Any]
    tokens_out: int | None
    estimated: bool
    finish_reason: str | None

    def __aiter__(self) -> AsyncIterator[str]: ...

    async def aclose(self) -> None: ...


class Engine(Protocol):
    """One engine behind the control wire. Times in seconds."""

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Snapshot:
        """The newest snapshot; waits up to ``wait`` for one newer than ``after``."""
        ...

    async def warm(self, v: str) -> Any: ...

    async def unload(self, v: str) -> Any: ...

    async def swap(
        self, task: str, to: str, *, dry_run: bool = False, canary: bool = False, at: float | None = None
    ) -> Any:
        """The swap event; with ``dry_run`` only what would happen: ``checks``, ``warnings``, ``evict`` and what it
        needs. ``canary``: on trial first; ``at``: unix seconds."""
        ...

    async def cancel_swap(self, id: str) -> Any: ...

    async def swaps(self, limit: int = 100, after: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Newest first, those older than ``after`` (an id)."""
        ...

    async def rollouts(self) -> Sequence[Mapping[str, Any]]:
        """Trials: those under way, then the newest that are over."""
        ...

    async def rollout(self, id: str, order: str) -> Any:
        """``order``: pause, resume, abort, promote."""
        ...

    async def rollback(self, task: str) -> Any: ...

    async def veto(self, task: str) -> Any:
        """What the autopilot announces for ``task`` does not happen."""
        ...

    async def autopilot(self, task: str | None, mode: str) -> Any: ...

    async def bench(self, tasks: Sequence[str] | None = None, versions: Sequence[str] | None = None) -> Any: ...

    async def bench_cells(self) -> Sequence[Mapping[str, Any]]:
        """Each task with a suite and each version: what is measured, what is asked now."""
        ...

    async def cancel(self, op_id: str) -> Any: ...

    async def explain(self, id: str) -> Mapping[str, Any]: ...

    async def log(self, v: str) -> Sequence[str]: ...

    async def log_page(
        self, v: str, after: str | None = None, wait: float | None = None
    ) -> tuple[Sequence[str], str | None]: ...

    async def events(self, after: int = 0, wait: float | None = None) -> Sequence[Mapping[str, Any]]:
        """What happened in the engine behind the revision ``after``, oldest first."""
        ...

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """Every version: what is known of its content, its stage of life."""
        ...

    async def register(self, provider: str, source: str) -> Mapping[str, Any]:
        """The version, a draft; ``known`` where it was there already."""
        ...

    async def discover(self) -> Sequence[Mapping[str, Any]]:
        """What runs and lies on the engine's machine; registers nothing."""
        ...

    async def activate(self, v: str) -> Any: ...

    async def deprecate(self, v: str) -> Any: ...

    async def pin(self, v: str, pinned: bool = True) -> Any: ...

    async def model(self, v: str) -> Mapping[str, Any]: ...

    async def model_history(self, v: str) -> Mapping[str, Any]: ...

    async def machine(self, after: float | None = None) -> Mapping[str, Any]:
        """The machine now and its readings since ``after``."""
        ...

    async def select(self, task: str, **criteria: Any) -> Mapping[str, Any]:
        """Who would serve; with ``criteria``, who would if the task had these."""
        ...

    async def task(self, task: str) -> Mapping[str, Any]: ...

    async def put_task(self, task: str, patch: Mapping[str, Any]) -> Mapping[str, Any]: ...

    async def profile(self, task: str) -> Mapping[str, Any]: ...

    async def outcomes(self, task: str, limit: int = 100) -> Sequence[Mapping[str, Any]]: ...

    async def requests(
        self, limit: int = 100, *, task: str | None = None, prompts: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        """Newest first; ``prompts``: with ``messages`` where they are remembered."""
        ...

    def answer(self, version: str, messages: Sequence[Mapping[str, Any]], task: str | None = None) -> Running:
        """Asked as ``task`` asks whoever serves it; counts as that task's request."""
        ...

    async def feedback(self, request_id: str, score: float, comment: str = "") -> Any: ...

    async def stop(self) -> Any: ...

    async def aclose(self) -> None: ...
