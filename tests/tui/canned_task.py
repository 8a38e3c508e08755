"""The canned answers of an engine about one task: guards, a preview, measured requests, a profile, explanations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from canned import GEMMA, GEMMA_CPP, NOW, SMOL, SWAPS, TOPIC

from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.guards import Guard
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.core.snapshot import RowView, to_wire
from arbiter_tui.core.tasks import Criteria, Task

TASK = Task(name="topic", criteria=Criteria(quality_threshold=0.5), description="which of four topics a text is of")


def sign(rule: str, value: object, threshold: object, unit: str, changes: str, version: str = GEMMA) -> Guard:
    return Guard(rule=rule, kind="trigger", met=False, value=value, threshold=threshold, unit=unit, version=version,
                 would_change_if=changes)  # fmt: skip


def condition(rule: str, met: bool, value: object, threshold: object, unit: str, changes: str, of: str = "") -> Guard:
    return Guard(rule=rule, kind="condition", met=met, value=value, threshold=threshold, unit=unit, version=of,
                 would_change_if=changes)  # fmt: skip


GUARDS = (
    sign("drift_quality", None, None, "", "its quality fell for good"),
    sign("drift_latency", 0.11, 0.082, "s", "latency were at least 1.5 times what it was"),
    sign("drift_failures", None, None, "", "its failures rose for good"),
    sign("qualifies", None, None, "", "it no longer qualified"),
    sign("success", 1.0, 0.8, "share", "success were below .80"),
    sign("quality", 0.81, 0.45, "share", "quality were below .45"),
    sign("better", -0.18, 0.01, "share", f"the lower bound of {GEMMA_CPP}'s lead were above .01", GEMMA_CPP),
    condition("mode", True, "on", "on", "", "it were set to observe or off"),
    condition("schedule", True, "open", "any time", "", "[schedule] had windows"),
    condition("hold_until", True, None, None, "at", "you swapped or rolled back by hand"),
    condition("cooldown", False, 95.0, 300.0, "s", "the cooldown ends in 205 s"),
    condition("min_samples", True, 412, 10, "samples", f"{GEMMA} had fewer than 10 samples", GEMMA),
    condition("min_samples", True, 44, 10, "samples", f"{GEMMA_CPP} had fewer than 10 samples", GEMMA_CPP),
)
OUTLOOK = {
    "action": "none", "to": None, "trigger": None,
    "sentence": f"{GEMMA} serves topic; {GEMMA_CPP} is the closest at -.05 [-.18, .08] on 44 samples",
}  # fmt: skip
TOLD: Mapping[str, Any] = {
    **TASK.as_dict(), "settings": "", "guards": [asdict(g) for g in GUARDS], "outlook": OUTLOOK,
}  # fmt: skip


def _measured(n: int) -> Outcome:
    """Before the newest swap the small model, mostly wrong; after it the larger one, mostly right."""
    after = n < 60
    right = n % 5 != 0 if after else n % 5 < 2
    failed = n in (75, 76)
    return Outcome(
        id=f"r-{n}", task="topic", version=GEMMA if after else SMOL, at=NOW - 1.5 * n - 2, success=not failed,
        latency_s=None if failed else (0.082 if after else 0.043) * (1 + (n * 7 % 11) / 20), ttft_s=0.02,
        failure=Failure.TIMEOUT if failed else None, memory_bytes=371 << 20,
        tokens_in=60, tokens_out=None if failed else 3, quality=None if n % 3 == 1 or failed else float(right),
        quality_source=None if n % 3 == 1 or failed else "suite", source="request" if n % 3 == 1 else "sentinel",
    )  # fmt: skip


OUTCOMES = [_measured(n) for n in range(120)]  # newest first
MEASURED = [asdict(o) for o in OUTCOMES]


def _learnt() -> TaskProfile:
    profile = TaskProfile(task="topic")
    for one in reversed(OUTCOMES):
        profile = profile.observe(one)
    return profile


LEARNT = _learnt().as_dict()


def _moved(row: RowView, rank: int, by: float) -> RowView:
    """The row on another place, its interval moved with it."""
    low, mid, high = (round((v or 0.0) + by, 3) for v in (row.utility_low, row.utility, row.utility_high))
    return replace(row, rank=rank, utility_low=low, utility=mid, utility_high=min(1.0, high))


def previewed(criteria: Mapping[str, Any]) -> dict[str, Any]:
    """A ranking by speed as soon as latency weighs more than quality; a strict threshold drops the small ones."""
    weights = criteria.get("weights") or TOLD["weights"]
    fast = weights["latency"] > weights["quality"]
    least = criteria.get("quality_threshold") or 0.0
    ranked = sorted(TOPIC, key=lambda r: -(r.utility or 0.0) - (0.26 if fast and r.version == SMOL else 0.0))
    kept = [r for r in ranked if (r.quality or 0.0) >= least]
    rows = [_moved(r, i, 0.26 if fast and r.version == SMOL else -0.02) for i, r in enumerate(kept, start=1)]
    dropped = {r.version: f"quality {r.quality:.2f}, at least {least:.2f} asked for" for r in ranked if r not in kept}
    return {
        "task": "topic", "primary": rows[0].version, "fallback": None, "confidence": 0.9,
        "scores": [to_wire(r) for r in rows], "reasoning": [], "disqualified": dropped,
    }  # fmt: skip


def beside(right_every: int) -> list[dict[str, Any]]:
    return [
        {"at": NOW - 200 + n, "success": n != 7, "quality": None if n % 4 == 3 else float(n % right_every == 0),
         "latency_s": 0.05}
        for n in range(24)
    ]  # fmt: skip


DECISION = {
    "id": "de-31", "kind": "autopilot", "task": "topic", "at": NOW - 95, "verdict": "swap", "to": GEMMA,
    "sentence": SWAPS[0].reason, "why": [asdict(w) for w in SWAPS[0].why],
    "inputs": {"incumbent": SMOL, "mode": "on", "alarms": [], "excluded": {}, "owed": {},
               "leaderboard": [to_wire(r) for r in TOPIC]},
    "thresholds": {"cooldown_s": 300.0, "min_samples": 10, "performance_threshold": 0.8, "quality_factor": 0.9,
                   "triggers": ["degraded", "better"], "switching_cost": 0.02},
}  # fmt: skip
SWAPPED = {"id": "sw-7", "kind": "swap", "task": "topic", "at": SWAPS[0].started_at, "verdict": "done",
           "swap": to_wire(SWAPS[0])}  # fmt: skip
EXPLAINED: Mapping[str, Mapping[str, Any]] = {
    "de-31": DECISION,
    "sw-7": {**SWAPPED, "before": beside(3), "after": beside(1)},
    "topic": {
        "id": "topic", "kind": "task", "task": "topic", "at": NOW - 95, "verdict": GEMMA, "previous": SMOL,
        "decision": SWAPPED, "reasoning": ["best utility .84"],
        "outlook": {**OUTLOOK, "guards": [asdict(g) for g in GUARDS]},
    },
    "r-0": {"id": "r-0", "kind": "request", "task": "topic", "verdict": GEMMA, "request": MEASURED[0],
            "decision": SWAPPED, "reasoning": [f"{GEMMA} served topic when the request came."]},
}  # fmt: skip
