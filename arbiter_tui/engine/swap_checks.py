"""What must hold before a swap, and what it would do: the questions that change nothing.

Owns: the refusals (lifecycle, compatibility), and the figures of both versions. Never: loads, switches, records
(hot_swap.py does).
"""

from __future__ import annotations

from typing import Any

from ..core.compatibility import Compatibility
from ..core.registry import Lifecycle, ModelVersion
from ..core.snapshot import RowView
from ..errors import Incompatible, Refused
from .constitution import forbidden
from .evidence import Evidence
from .live import Live
from .pool import Pool


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    return sorted(value) if isinstance(value, set | frozenset) else list(value) if isinstance(value, tuple) else value


class SwapChecks:
    def __init__(self, live: Live, pool: Pool, evidence: Evidence) -> None:
        self._live = live
        self._pool = pool
        self._evidence = evidence

    def active(self, version: ModelVersion) -> ModelVersion:
        """Raises Refused."""
        if version.lifecycle is not Lifecycle.ACTIVE:
            raise Refused(
                f"{version.version} is {version.lifecycle}: a task uses only active versions; activate it first",
                details={"why": [{"rule": "lifecycle", "value": str(version.lifecycle), "threshold": "active",
                                  "would_change_if": f"arbiter activate {version.version}"}]},
            )  # fmt: skip
        return version

    def judge(self, task: str, old: ModelVersion | None, new: ModelVersion, strict: bool) -> Compatibility:
        """Raises Forbidden (the constitution), or Incompatible with every check that is not met."""
        if (found := self._live.forbids(task, new)) is not None:
            raise forbidden(found)
        verdict = self._evidence.compatibility(task, old, new, strict=strict, pool=self._pool)
        if not verdict.ok:
            raise Incompatible(
                f"{new.version} can't replace {old.version if old else 'nothing'} on {task}: "
                + "; ".join(verdict.errors),
                details={
                    "errors": list(verdict.errors),
                    "warnings": list(verdict.warnings),
                    "why": [
                        {"rule": c.name, "value": c.value, "threshold": c.needed, "would_change_if": ""}
                        for c in verdict.checks
                        if not c.met
                    ],
                },
            )
        return verdict

    def exclusive(self, old: ModelVersion | None, new: ModelVersion) -> bool:
        """Whether loading the new one must first end the old one."""
        if old is None or old.version == new.version or self._pool.is_ready(new.version):
            return False
        view = self._pool.view(old.version)
        held = (view.resident_bytes or view.predicted_bytes) if view and self._pool.is_ready(old.version) else None
        needed = self._evidence.predicted_bytes(new)
        if self._live.config.pool.max_loaded == 1:
            return held is not None
        return held is not None and needed is not None and held + needed > self._pool.budget_bytes

    def side_by_side(self, old: ModelVersion, new: ModelVersion) -> bool:
        """Whether both can be loaded at once, whoever is loaded now; what is unknown fits."""
        if self._live.config.pool.max_loaded == 1:
            return False
        sizes = [self.held(old), self.held(new)]
        return None in sizes or sum(s for s in sizes if s is not None) <= self._pool.budget_bytes

    def held(self, version: ModelVersion) -> int | None:
        """Bytes that it holds, or will."""
        view = self._pool.view(version.version)
        held = view.resident_bytes if view is not None and self._pool.is_ready(version.version) else None
        return self._evidence.predicted_bytes(version) if held is None else held

    def foreseen(self, task: str, old: ModelVersion | None, new: ModelVersion) -> dict[str, Any]:
        """What a swap needs and who waits for it: every check, bytes, seconds (None: unknown), answers under way."""
        verdict = self._evidence.compatibility(task, old, new, strict=False, pool=self._pool)
        warm, before = self._pool.is_ready(new.version), self._pool.view(new.version)
        serving = self._pool.view(old.version) if old is not None else None
        return {
            "checks": [{"name": c.name, "met": c.met, "value": _plain(c.value), "needed": _plain(c.needed)}
                       for c in verdict.checks],
            "needs_bytes": 0 if warm else self._evidence.predicted_bytes(new),
            "free_bytes": max(0, self._pool.budget_bytes - self._pool.used_bytes()),
            "load_s": 0.0 if warm else before.load_s if before is not None else None,
            "in_flight": serving.in_flight if serving is not None else 0,
        }  # fmt: skip

    def figures(self, task: str, old: ModelVersion | None, new: ModelVersion) -> dict[str, Any]:
        """What is known of both sides now: it is stored with the swap."""
        rows = {row.version: row for row in self._evidence.leaderboard(task)}
        stats = self._evidence.stats(task)
        return {
            side: {"version": v.version, "samples": s.samples, "quality": s.quality, "latency_p50_s": s.latency_p50_s,
                   "success_rate": s.success_rate, **_utility(rows.get(v.version))}
            for side, v in (("old", old), ("new", new))
            if v is not None and (s := stats.get(v.version)) is not None
        }  # fmt: skip


def _utility(row: RowView | None) -> dict[str, float]:
    """With its interval, as far as it is known."""
    found = {} if row is None else {n: getattr(row, n) for n in ("utility", "utility_low", "utility_high")}
    return {name: round(value, 4) for name, value in found.items() if value is not None}
