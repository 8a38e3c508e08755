"""What the cockpit asks of an engine: exactly the calls that it makes. ``arbiter_tui.client.ControlClient`` is one.

Every call may raise an ``ArbiterError``; ``EngineUnreachable`` means that the wire is down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..core.snapshot import Snapshot


class Engine(Protocol):
    """One engine behind the control wire. Times in seconds."""

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Snapshot:
        """The newest snapshot; waits up to ``wait`` for one newer than ``after``."""
        ...

    async def warm(self, v: str) -> Any: ...

    async def unload(self, v: str) -> Any: ...

    async def swap(self, task: str, to: str, *, dry_run: bool = False) -> Any:
        """The swap event; with ``dry_run`` only what would happen: ``warnings`` and ``evict``."""
        ...

    async def rollback(self, task: str) -> Any: ...

    async def autopilot(self, task: str | None, mode: str) -> Any: ...

    async def bench(self, tasks: Sequence[str] | None = None) -> Any: ...

    async def cancel(self, op_id: str) -> Any: ...

    async def explain(self, id: str) -> Mapping[str, Any]: ...

    async def log(self, v: str) -> Sequence[str]: ...

    async def select(self, task: str) -> Mapping[str, Any]: ...

    async def stop(self) -> Any: ...

    async def aclose(self) -> None: ...
