"""An engine that is only read. Owns: which calls read. Never: keys (keys.py says which write, main.py hides those).

The last line of ``--read-only``: whatever a screen asks, what would change something is refused here with its reason.
"""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from .source import Engine

READS = frozenset({
    "snapshot", "explain", "log", "log_page", "select", "health", "models", "model", "model_history", "machine",
    "tasks", "task", "profile", "outcomes", "requests", "swaps", "rollouts", "operation", "events", "bench_cells",
    "discover", "get", "run", "answer", "archive", "aclose",
    "stop",  # asked only for an engine that this very cockpit has started
})  # fmt: skip
WRITES = frozenset({
    "warm", "unload", "pin", "activate", "deprecate", "swap", "rollback", "autopilot", "bench", "cancel", "cancel_swap",
    "rollout", "feedback", "veto", "export", "import_archive",
    "register", "alias", "put_task", "post", "put", "delete",
})  # fmt: skip


class ReadOnly:
    """``engine`` without its writing calls; a swap may be tried dry. What is not known to read is refused."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        if name in READS or not callable(found):
            return found

        async def refused(*args: Any, dry_run: bool = False, **more: Any) -> Any:
            if dry_run and name == "swap":
                return await found(*args, dry_run=True, **more)
            raise Refused(
                f"this cockpit only reads: {name.replace('_', ' ')} was refused (start it without --read-only)"
            )

        return refused
