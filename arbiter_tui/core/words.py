"""Figures as words: how a share, a count, a time or a rule's value is written in a sentence of core or engine.

Owns: the rounding (three significant digits at most), the units, the names of the rules. Never: sentences, a rule
(guards.py and others ask them), a local time (the doors know where they stand). An unknown value is a dash, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"
MIB = 1 << 20
GIB = 1 << 30
WORDS: Mapping[str, tuple[str, str]] = {  # rule -> its name for a person, what stands before its limit
    "incumbent": ("somebody serves", ""),
    "drift_quality": ("quality drifts", "was"),
    "drift_latency": ("latency drifts", "was"),
    "drift_failures": ("failures drift", "was"),
    "qualifies": ("no longer qualifies", ""),
    "success": ("success too low", "below"),
    "quality": ("quality too low", "below"),
    "better": ("another surely leads", "above"),
    "alternative": ("another is better", "above"),
    "mode": ("autopilot is on", "needs"),
    "observe": ("autopilot is on", "needs"),
    "schedule": ("schedule allows it", ""),
    "hold_until": ("no hold of yours", "until"),
    "cooldown": ("cooldown is over", "of"),
    "min_samples": ("enough samples", "of"),
    "new_evidence": ("new evidence", "of"),
    "budget": ("swaps of the day", "of"),
    "oscillation": ("not to and fro", "at most"),
    "heat": ("not held back by heat", ""),
    "hardware": ("same GPUs for a while", "of"),
    "quiet": ("usual traffic", "at most"),
    "energy_today": ("energy spent today", "of"),
    "money_today": ("money spent today", "of"),
    "seconds_today": ("seconds spent today", "of"),
    "rollout": ("no rollout runs", ""),
    "memory_budget": ("memory that it needs", "free"),
    "memory": ("memory that it needs", "of"),
    "max_loaded": ("models loaded at once", "at most"),
    "budget_per_day": ("money spent today", "of"),
    "lifecycle": ("life cycle", "needs"),
    "capabilities": ("can", "needs"),
    "kept_capabilities": ("can", "before"),
    "context": ("length of context", "needs"),
    "latency": ("median latency", "at most"),
    "serves": ("still serves", ""),
    "announced": ("a swap is announced", ""),
}
UNITS: Mapping[str, str] = {  # rule -> the unit of its value and limit, where a reason on the wire has none
    "drift_quality": "share", "drift_latency": "s", "drift_failures": "share", "success": "share", "quality": "share",
    "better": "share", "alternative": "share", "hold_until": "at", "cooldown": "s", "min_samples": "samples",
    "new_evidence": "samples", "budget": "swaps", "oscillation": "swaps", "memory_budget": "bytes", "memory": "bytes",
    "hardware": "s", "seconds_today": "s", "energy_today": "J", "money_today": "money",
    "max_loaded": "models", "context": "tokens", "latency": "s", "budget_per_day": "money",
}  # fmt: skip


def share(value: float) -> str:
    """``.85``: two decimals without the leading zero."""
    text = f"{value:.2f}".replace("-0.00", "0.00")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def chance(value: float) -> str:
    """A probability: two decimals, three near 0 and near 1, where the limits of a verdict lie: ``.51``, ``.993``."""
    near = 0.0 < value < 0.02 or 0.98 < value < 1.0
    text = f"{value:.3f}" if near else f"{value:.2f}"
    return text.removeprefix("0")


def plural(n: int, noun: str, many: str | None = None) -> str:
    """``1 answer``, ``2 answers``; ``many`` where an s is not enough."""
    return f"{n} {noun if n == 1 else many or noun + 's'}"


def samples(n: int) -> str:
    return plural(n, "sample")


def mib(value: float) -> str:
    return f"{value / MIB:.0f} MiB"


def memory(value: float) -> str:
    """``390 MiB``, ``2.1 GiB``."""
    return mib(value) if value < GIB else f"{value / GIB:.1f} GiB"


def span(seconds: float) -> str:
    """A duration in the unit that a person would use: ``42 ms``, ``2.1 s``, ``6 min``, ``6 h``, ``3 days``."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.0f} min"
    if seconds < 171_000:
        return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"
    return f"{seconds / 86_400:.0f} days"


def wait(seconds: float) -> str:
    """Time to go: whole seconds, for a countdown that moves is read, not measured."""
    return f"{max(1, round(seconds))} s" if seconds < 99.5 else span(seconds)


def number(value: float) -> str:
    """Three significant digits, never in powers of ten: ``2.07``, ``412``, ``12434``."""
    if float(value).is_integer() or abs(value) >= 100:
        return str(round(value))
    if abs(value) < 0.001:
        return "<.001" if value > 0 else ">-.001"
    return f"{value:.3g}"


def figure(value: Any, unit: str = "") -> str:
    """A rule's value. ``unit``: share, s, bytes, tokens, samples, or none where the value tells it itself."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(str, value)) or "none"
    if not isinstance(value, (int, float)):
        return str(value)
    match unit:
        case "share":
            return share(value)
        case "s":
            return span(value)
        case "bytes":
            return memory(value)
        case "tokens":
            return plural(round(value), "token")
        case _:
            return share(value) if isinstance(value, float) and abs(value) <= 1 and not unit else number(value)


def turns(blocks: int, *, running: bool) -> str:
    """How far a version on trial is that takes turns in memory with the one that serves."""
    return f"block {blocks} is running" if running else f"{plural(blocks, 'block')} so far"


def stays(version: str) -> str:
    """A version that takes over from itself."""
    return f"{version} stays"


def change(old: str | None, new: str) -> str:
    """Who replaces whom, the same wherever a swap is told."""
    return stays(new) if old == new else f"{old or 'nobody'} → {new}"


def all_of(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
