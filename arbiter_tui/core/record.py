"""The basis of a decision: all that its verdict was computed from, JSON-ready and small, and back again.

Owns: what must be written down beside each kind of verdict (autopilot, veto, selection, rollout), and its two
directions. Never: decides (recompute.py asks the deciding code again), stores.

A version's statistics are written as what decisions read of them: sums, and of the latencies their number and four
percentiles. What is read back has the same sums and percentiles, so the same verdict follows to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from .budget import Budget
from .circumstances import Circumstances
from .cost import percentile
from .drift import Alarm, Signal
from .guards import AutoSwapInput, AutoSwapLimits, Move
from .posterior import Belief
from .rollout import Event, Kind, Plan, Rollout, Stage
from .routing import Route
from .scoring import Scored
from .snapshot import RowView, Why, from_wire, to_wire
from .stats import Stats
from .swap_cost import SwapCost
from .tasks import AutopilotMode, Criteria, Preference, Task, Weights
from .trial import Trial

FORM = 2  # of a basis; another one is not read
Basis = dict[str, Any]
PERCENTILES = (0.25, 0.5, 0.75, 0.95)


# ── statistics ────────────────────────────────────────────────────────────────────────────────────────────────────────


def pack_stats(stats: Stats) -> Basis:
    good = sum(stats.results)
    return {
        "samples": stats.samples, "successes": stats.successes, "failures": stats.failures, "hits": stats.hits,
        "misses": stats.misses, "sources": dict(stats.quality_sources), "results": [good, len(stats.results) - good],
        "latencies": [len(stats.latencies), *(percentile(stats.latencies, p) for p in PERCENTILES)],
        "memory_bytes": stats.memory_bytes, "last_at": stats.last_at,
    }  # fmt: skip


def unpack_stats(data: Mapping[str, Any]) -> Stats:
    good, bad = data["results"]
    return Stats(
        samples=data["samples"], successes=data["successes"], failures=data["failures"], hits=data["hits"],
        misses=data["misses"], quality_sources=data["sources"], results=(True,) * good + (False,) * bad,
        latencies=_spread(*data["latencies"]), memory_bytes=data["memory_bytes"], last_at=data["last_at"],
    )  # fmt: skip


def _spread(n: int, *known: float) -> tuple[float, ...]:
    """``n`` values with these percentiles: nearest rank reads them at places that depend on ``n`` alone."""
    places = [round(p * (n - 1)) for p in PERCENTILES]
    return tuple(next((v for v, place in zip(known, places, strict=True) if i <= place), known[-1]) for i in range(n))


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pack_task(task: Task) -> Basis:
    """Name and criteria: what a verdict reads of a task."""
    return {"name": task.name, "criteria": pack_criteria(task.criteria)}


def pack_criteria(criteria: Criteria) -> Basis:
    return {**asdict(criteria), "capabilities": sorted(criteria.capabilities)}


def unpack_task(data: Mapping[str, Any]) -> Task:
    return Task(name=data["name"], criteria=unpack_criteria(data["criteria"]))


def unpack_criteria(data: Mapping[str, Any]) -> Criteria:
    preference = data["preference"]
    changed = {
        "capabilities": frozenset(data["capabilities"]), "weights": Weights(**data["weights"]),
        "preference": None if preference is None else Preference(preference),
    }  # fmt: skip
    return Criteria(**{**data, **changed})


# ── the autopilot ─────────────────────────────────────────────────────────────────────────────────────────────────────


def pack_input(given: AutoSwapInput) -> Basis:
    return {
        "form": FORM, "task": pack_task(given.task), "route": asdict(given.route),
        "rows": [to_wire(row) for row in given.rows],
        "stats": {name: pack_stats(stats) for name, stats in given.stats.items()},
        "now": given.now, "mode": given.mode.value,
        "limits": {**asdict(given.limits), "triggers": list(given.limits.triggers)},
        "last_swap_at": given.last_swap_at, "alarms": [asdict(alarm) for alarm in given.alarms],
        "excluded": dict(given.excluded), "owed": dict(given.owed), "closed": given.closed, "windows": given.windows,
        "moves": [asdict(move) for move in given.moves], "beliefs": [asdict(belief) for belief in given.beliefs],
        "nominee": given.nominee, "around": asdict(given.around),
        "budgets": [asdict(budget) for budget in given.budgets],
        "costs": {version: asdict(cost) for version, cost in given.costs.items()},
    }  # fmt: skip


def unpack_input(data: Mapping[str, Any]) -> AutoSwapInput:
    """Raises KeyError, TypeError, ValueError on what it can't read."""
    limits = {**data["limits"], "triggers": tuple(data["limits"]["triggers"])}
    return AutoSwapInput(
        task=unpack_task(data["task"]), route=Route(**data["route"]),
        rows=tuple(from_wire(RowView, row) for row in data["rows"]),
        stats={name: unpack_stats(stats) for name, stats in data["stats"].items()},
        now=data["now"], mode=AutopilotMode(data["mode"]), limits=AutoSwapLimits(**limits),
        last_swap_at=data["last_swap_at"],
        alarms=tuple(Alarm(**{**alarm, "signal": Signal(alarm["signal"])}) for alarm in data["alarms"]),
        excluded=data["excluded"], owed=data["owed"], closed=data["closed"], windows=data["windows"],
        moves=tuple(Move(**move) for move in data["moves"]),
        beliefs=tuple(Belief(**belief) for belief in data.get("beliefs", ())), nominee=data.get("nominee"),
        around=_unpack_around(data.get("around", {})),
        budgets=tuple(Budget(**budget) for budget in data.get("budgets", ())),
        costs={v: SwapCost(**{**c, "evicts": tuple(c["evicts"])}) for v, c in data.get("costs", {}).items()},
    )  # fmt: skip


def _unpack_around(data: Mapping[str, Any]) -> Circumstances:
    gpus = data.get("gpus")
    return Circumstances(**{**data, "hot": tuple(data.get("hot", ())), "gpus": None if gpus is None else tuple(gpus)})


# ── selections ────────────────────────────────────────────────────────────────────────────────────────────────────────


def pack_selection(
    task: Task, criteria: Criteria, now: float, ranked: Iterable[Scored], disqualified: Mapping[str, str]
) -> Basis:
    """``ranked``: those that qualified; why the others did not is an input, for rules of the machine's say it."""
    qualified = {
        s.version: {"prior": s.prior, "parallel": s.parallel, "stats": pack_stats(s.stats) if s.stats.samples else None}
        for s in ranked
    }
    return {
        "form": FORM, "task": task.name, "criteria": pack_criteria(criteria), "now": now, "qualified": qualified,
        "disqualified": dict(disqualified),
    }  # fmt: skip


# ── rollouts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def pack_step(before: Rollout, event: Event, now: float) -> Basis:
    return {"form": FORM, "state": pack_rollout(before), "event": asdict(event), "now": now}


def unpack_step(data: Mapping[str, Any]) -> tuple[Rollout, Event, float]:
    event, trial = data["event"], data["event"]["trial"]
    told = Event(kind=Kind(event["kind"]), message=event["message"], trial=None if trial is None else Trial(**trial))
    return unpack_rollout(data["state"]), told, data["now"]


def pack_rollout(state: Rollout) -> Basis:
    return asdict(state)


def unpack_rollout(told: Mapping[str, Any]) -> Rollout:
    """Raises KeyError, TypeError, ValueError on what it can't read."""
    return Rollout(
        **{
            **told, "plan": Plan(**told["plan"]), "stage": Stage(told["stage"]), "trial": Trial(**told["trial"]),
            "ramp": tuple((float(at), float(share)) for at, share in told["ramp"]),
            "why": tuple(Why(**why) for why in told["why"]),
        }
    )  # fmt: skip
