"""A task's criteria while somebody changes them. Pure.

Owns: which of them can be set, how each is written, read and stepped, and what the change is on the wire. Never: asks
the engine, stores anything: a draft is nothing until it is saved.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..core.tasks import Preference, Weights
from . import format as fmt

Kind = Literal["weight", "share", "seconds", "bytes", "tokens", "choice"]
MIB, GIB = 1 << 20, 1 << 30
LARGEST_WEIGHT = 1000.0
_NUMBER = re.compile(r"^\s*([0-9]*[.,]?[0-9]+)\s*([a-zA-Z%]*)\s*$")
_UNITS: Mapping[str, Mapping[str, float]] = {
    "weight": {"": 1.0, "%": 0.01},
    "share": {"": 1.0, "%": 0.01},
    "seconds": {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0},
    "bytes": {"": GIB, "g": GIB, "gb": GIB, "gib": GIB, "m": MIB, "mb": MIB, "mib": MIB},
    "tokens": {"": 1.0, "k": 1024.0},
}
_FIRST: Mapping[str, Any] = {"share": 0.5, "seconds": 1.0, "bytes": 512 * MIB, "tokens": 2048}
_LEAST: Mapping[str, float] = {"weight": 0.0, "share": 0.0, "seconds": 0.001, "bytes": 1, "tokens": 1}
_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting. ``optional``: it may constrain nothing (None)."""

    key: str
    name: str
    kind: Kind
    optional: bool = False
    told: str = ""


KNOBS = (
    Knob("weights.quality", "quality", "weight", told="how much right answers count"),
    Knob("weights.latency", "latency", "weight", told="how much quick answers count"),
    Knob("weights.memory", "memory", "weight", told="how much a small model counts"),
    Knob("weights.reliability", "reliability", "weight", told="how much answers without failure count"),
    Knob("weights.recency", "recency", "weight", told="how much fresh evidence counts"),
    Knob("preference", "prefer", "choice", optional=True, told="doubles the weight of latency, quality or memory"),
    Knob("latency_budget_s", "latency is 0 at", "seconds", told="a median from here on earns nothing for latency"),
    Knob("memory_budget_bytes", "memory is 0 at", "bytes", told="a model from this size on earns nothing for memory"),
    Knob("quality_threshold", "quality at least", "share", True, "models below it do not qualify"),
    Knob("max_latency_s", "latency at most", "seconds", True, "models with a slower median do not qualify"),
    Knob("max_memory_bytes", "memory at most", "bytes", True, "larger models do not qualify"),
    Knob("min_context", "context at least", "tokens", True, "models that read fewer tokens do not qualify"),
)
BY_KEY = {knob.key: knob for knob in KNOBS}
CHOICES = (None, *(p.value for p in Preference))


@dataclass(slots=True)
class Draft:
    """``saved``: the engine's values by key; ``changes`` lie over them."""

    saved: Mapping[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)

    def rebase(self, told: Mapping[str, Any]) -> None:
        """The engine's task is this now; a change that it already has is none any more."""
        weights = told.get("weights")
        known = weights if isinstance(weights, Mapping) else {}
        self.saved = {
            k.key: known.get(k.key.partition(".")[2]) if k.kind == "weight" else told.get(k.key) for k in KNOBS
        }
        self.changes = {key: value for key, value in self.changes.items() if value != self.saved.get(key)}

    def value(self, key: str) -> Any:
        return self.changes[key] if key in self.changes else self.saved.get(key)

    def set(self, key: str, value: Any) -> None:
        if value == self.saved.get(key):
            self.changes.pop(key, None)
        else:
            self.changes[key] = value

    def step(self, key: str, by: int) -> None:
        self.set(key, stepped(BY_KEY[key], self.value(key), by))

    def shares(self) -> Mapping[str, float]:
        """The weights as the engine uses them: preferred, then summing to 1."""
        raw = {f.name: float(self.value(f"weights.{f.name}") or 0.0) for f in fields(Weights)}
        wanted = self.value("preference")
        used = Weights(**raw).preferring(Preference(wanted) if wanted in CHOICES and wanted else None)
        return {f"weights.{name}": getattr(used, name) for name in raw}

    def trouble(self) -> str | None:
        """Why it can't be tried or saved; None if it can."""
        weights = [self.value(k.key) or 0.0 for k in KNOBS if k.kind == "weight"]
        return None if sum(weights) > 0 else "at least one weight must be above 0"

    def patch(self) -> dict[str, Any]:
        """What PUT /tasks and POST /select take: the changed criteria, all weights if one was changed."""
        found: dict[str, Any] = {}
        if any(BY_KEY[key].kind == "weight" for key in self.changes):
            found["weights"] = {
                k.key.partition(".")[2]: self.value(k.key) for k in KNOBS if k.kind == "weight"
            }  # fmt: skip
        rest = {key: value for key, value in self.changes.items() if BY_KEY[key].kind != "weight"}
        found |= {key: value for key, value in rest.items() if value is not None}
        gone = sorted(key for key, value in rest.items() if value is None)
        return {**found, "unset": gone} if gone else found


def written(knob: Knob, value: Any) -> str:
    """As it stands on the screen."""
    if value is None:
        return fmt.DASH
    match knob.kind:
        case "weight" | "share":
            return fmt.score(float(value))
        case "seconds":
            return fmt.seconds(float(value))
        case "bytes":
            return fmt.size(float(value))
        case _:
            return str(value).replace("_", " ")


def read(knob: Knob, text: str) -> Any:
    """What somebody typed; nothing typed is None where that is allowed. Raises ValueError with a sentence."""
    if not text.strip() or text.strip() == fmt.DASH:
        if knob.optional:
            return None
        raise ValueError(f"{knob.name} must have a value")
    if knob.kind == "choice":
        return _choice(text)
    found, units = _NUMBER.match(text), _UNITS[knob.kind]
    if found is None or found[2].lower() not in units:
        known = ", ".join(u for u in units if u)
        raise ValueError(f"{knob.name}: a number{f', with {known} or without' if known else ''}, not {text.strip()!r}")
    return _checked(knob, float(found[1].replace(",", ".")) * units[found[2].lower()])


def _choice(text: str) -> str:
    wanted = text.strip().lower().replace(" ", "_")
    known = [str(c) for c in CHOICES if c is not None]
    near = [c for c in known if c.startswith(wanted)]
    if len(near) != 1:
        raise ValueError(f"prefer: {', '.join(known)}, or nothing")
    return near[0]


def _checked(knob: Knob, value: float) -> float | int:
    most = 1.0 if knob.kind == "share" else LARGEST_WEIGHT if knob.kind == "weight" else math.inf
    if not _LEAST[knob.kind] <= value <= most:
        between = f"between 0 and {most:g}" if most < math.inf else "above 0"
        raise ValueError(f"{knob.name} must be {between}")
    return round(value) if knob.kind in ("bytes", "tokens") else round(value, 6)


def stepped(knob: Knob, value: Any, by: int) -> Any:
    """The next sensible value up or down; below the least an optional one constrains nothing again."""
    if knob.kind == "choice":
        return CHOICES[(CHOICES.index(value) + by) % len(CHOICES)] if value in CHOICES else None
    if value is None:
        return _FIRST[knob.kind] if by > 0 else None
    if knob.kind in ("weight", "share"):
        moved = round((round(float(value) / _STEP) + by) * _STEP, 4)
        return None if knob.optional and moved <= 0 else min(1.0, max(0.0, moved))
    if knob.kind == "seconds":
        return _nice(float(value), by)
    moved = float(2 ** (round(math.log2(max(float(value), 1))) + by))
    least = MIB if knob.kind == "bytes" else 128
    return None if knob.optional and moved < least else int(max(moved, least))


def _nice(value: float, by: int) -> float:
    """1, 2, 5, 10, 20 …: the neighbour of the nearest one."""
    known = [m * 10.0**e for e in range(-2, 4) for m in (1, 2, 5)]
    at = min(range(len(known)), key=lambda i: abs(math.log(known[i] / value)))
    return round(known[min(max(0, at + by), len(known) - 1)], 6)
