"""Compatibility: may one version replace another on a task, and what would be lost.

Owns: the checks, the gap, the prediction from what is already measured. Never: swapping, loading.
Errors forbid the swap: not active, a capability that the task needs is missing, or it cannot fit even alone.
Warnings (errors with ``strict``): another capability is lost, the context is smaller, quality is below 90% of the old
one's, it is slower than the task allows. What is not known is a warning, never an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .registry import Lifecycle, ModelVersion
from .scoring import EMPTY, MIN_SAMPLES, Stats
from .tasks import Task
from .words import mib, number, share, span

KEPT_SHARE = 0.9  # of the old version's quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """``met`` None = not known. ``value`` is what the new version has, ``needed`` what was asked of it."""

    name: str
    met: bool | None
    value: Any = None
    needed: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compatibility:
    """``ok`` is that there are no errors. Sentences for a person; ``checks`` has the figures behind each."""

    ok: bool
    checks: tuple[Check, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Finding:
    check: Check
    sentence: str = ""
    forbids: bool = False  # also when not strict


def check(
    old: ModelVersion | None,
    new: ModelVersion,
    *,
    task: Task,
    old_stats: Stats | None = None,
    new_stats: Stats | None = None,
    strict: bool = False,
    memory_limit: int | None = None,
    new_predicted: int | None = None,
) -> Compatibility:
    """May ``new`` replace ``old`` (None: nobody serves yet) on ``task``?

    ``memory_limit`` is the pool's whole budget and ``new_predicted`` what the provider expects it to take, in bytes; a
    measured size wins over a predicted one.
    """
    before, after = old_stats or EMPTY, new_stats or EMPTY
    findings = (
        _active(new),
        _capabilities(new, task),
        _fits(new, after, memory_limit, new_predicted),
        _kept_capabilities(old, new),
        _context(old, new, task),
        _quality(before, after),
        _latency(after, task),
    )
    failed = [f for f in findings if f.check.met is False]
    errors = tuple(f.sentence for f in failed if f.forbids or strict)
    warnings = tuple(f.sentence for f in failed if not (f.forbids or strict))
    unknown = tuple(f.sentence for f in findings if f.check.met is None and f.sentence)
    checks = tuple(f.check for f in findings)
    return Compatibility(ok=not errors, checks=checks, errors=errors, warnings=(*warnings, *unknown))


def _active(new: ModelVersion) -> _Finding:
    met = new.lifecycle is Lifecycle.ACTIVE
    needed = Check(name="lifecycle", met=met, value=str(new.lifecycle), needed=str(Lifecycle.ACTIVE))
    return _Finding(needed, f"{new.version} is {new.lifecycle}: activate it first", forbids=True)


def _capabilities(new: ModelVersion, task: Task) -> _Finding:
    needed = task.criteria.capabilities
    missing = sorted(needed - new.capabilities)
    found = Check(name="capabilities", met=not missing, value=sorted(new.capabilities), needed=sorted(needed))
    return _Finding(found, f"{new.version} lacks {', '.join(missing)}, which {task.name} needs", forbids=True)


def _kept_capabilities(old: ModelVersion | None, new: ModelVersion) -> _Finding:
    before = old.capabilities if old is not None else frozenset()
    lost = sorted(before - new.capabilities)
    found = Check(name="kept_capabilities", met=not lost, value=sorted(new.capabilities), needed=sorted(before))
    return _Finding(found, f"{', '.join(lost)} would be lost")


def _fits(new: ModelVersion, stats: Stats, limit: int | None, predicted: int | None) -> _Finding:
    size = next((s for s in (stats.memory_bytes, predicted, new.file_bytes) if s is not None), None)
    met = None if size is None or limit is None else size <= limit
    found = Check(name="memory", met=met, value=size, needed=limit)
    if size is None or limit is None:
        return _Finding(found)
    return _Finding(found, f"{new.version} needs {mib(size)}; the whole budget is {mib(limit)}", forbids=True)


def _context(old: ModelVersion | None, new: ModelVersion, task: Task) -> _Finding:
    wanted = [c for c in (old.context if old is not None else None, task.criteria.min_context) if c is not None]
    needed = max(wanted, default=None)
    met = None if new.context is None and needed is not None else needed is None or (new.context or 0) >= needed
    found = Check(name="context", met=met, value=new.context, needed=needed)
    if met is None:
        return _Finding(found, f"the context of {new.version} is not known; {needed} tokens are in use")
    return _Finding(found, f"the context shrinks to {new.context} tokens from {needed}")


def _quality(before: Stats, after: Stats) -> _Finding:
    if before.quality is None or before.quality_weight < MIN_SAMPLES:
        return _Finding(Check(name="quality", met=True, value=after.quality))
    needed = KEPT_SHARE * before.quality
    if after.quality is None or after.quality_weight < MIN_SAMPLES:
        unknown = Check(name="quality", met=None, value=after.quality, needed=needed)
        heard = number(after.quality_weight)
        answers = f"{heard} answer" if heard == "1" else f"{heard} answers"
        known = f"known from {answers} only" if after.quality_weight else "not measured yet"
        return _Finding(unknown, f"its quality on this task is {known}; {share(needed)} would keep 90%")
    found = Check(name="quality", met=after.quality >= needed, value=after.quality, needed=needed)
    kept = f"quality {share(after.quality)} is below 90% of {share(before.quality)}"
    return _Finding(found, kept)


def _latency(after: Stats, task: Task) -> _Finding:
    limit, median = task.criteria.max_latency_s, after.latency_p50_s
    met = True if limit is None else None if median is None else median <= limit
    found = Check(name="latency", met=met, value=median, needed=limit)
    if limit is None or median is None:
        return _Finding(found)
    return _Finding(found, f"median latency {span(median)} is above the task's {span(limit)}")
