"""Task, Criteria and weights: what a kind of work asks of a model.

Owns: the description of tasks. Never: any model's name, any measured figure (learning.py has those).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any


class AutopilotMode(StrEnum):
    ON = "on"
    OBSERVE = "observe"
    OFF = "off"


class Preference(StrEnum):
    FAST = "fast"
    QUALITY = "quality"
    LOW_MEMORY = "low_memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Shares of the utility; ``normalised()`` makes them sum to 1. Defaults are the specified ones."""

    quality: float = 0.4
    latency: float = 0.3
    memory: float = 0.1
    reliability: float = 0.1
    recency: float = 0.1

    def normalised(self) -> Weights:
        values = {f.name: max(0.0, float(getattr(self, f.name))) for f in fields(self)}
        total = sum(values.values())
        if total <= 0:
            return Weights()
        return Weights(**{k: v / total for k, v in values.items()})

    def preferring(self, preference: Preference | None) -> Weights:
        """Prefer fast / quality / low memory: the preferred share is doubled, the sum stays 1."""
        match preference:
            case Preference.FAST:
                return replace(self, latency=self.latency * 2).normalised()
            case Preference.QUALITY:
                return replace(self, quality=self.quality * 2).normalised()
            case Preference.LOW_MEMORY:
                return replace(self, memory=max(self.memory, 0.1) * 2).normalised()
            case _:
                return self.normalised()


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Hard constraints and the budgets against which latency and memory are normalised (fixed, never min-max).

    Seconds and bytes. ``max_*`` and ``quality_threshold`` of ``None`` constrain nothing. ``latency_budget_s`` and
    ``memory_budget_bytes`` are the value at which that share of the utility reaches 0.
    """

    capabilities: frozenset[str] = frozenset({"text-generation"})
    hardware: str | None = None
    max_latency_s: float | None = None
    max_memory_bytes: int | None = None
    min_context: int | None = None
    quality_threshold: float | None = None
    weights: Weights = field(default_factory=Weights)
    preference: Preference | None = None
    latency_budget_s: float = 10.0
    memory_budget_bytes: int = 2 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A kind of work. ``suite`` names a bundled suite or a JSONL file; ``private`` prompts are never kept."""

    name: str
    criteria: Criteria = field(default_factory=Criteria)
    suite: str | None = None
    autopilot: AutopilotMode = AutopilotMode.ON
    policy: str = "bandit"  # who decides which version is better: a name of policies.py's
    description: str = ""
    private: bool = False
    labels: tuple[str, ...] = ()  # words that the constitution's rules may name
    fallback: tuple[str, ...] | None = None  # who is asked when who serves it can't; None: who is ready, best first
    max_tokens: int = 32
    few_shot: tuple[tuple[str, str], ...] = ()  # (prompt, answer) pairs, for models without a chat template
    energy_per_day_j: float | None = None  # what all of its answers together may cost; budget.py
    money_per_day: float | None = None
    seconds_per_day: float | None = None
    max_slowdown: float | None = None  # on trial: times the old one's seconds; None: as the configuration says
    priors: Mapping[str, float] = field(default_factory=dict)  # model family or name -> bundled prior quality

    @property
    def budgets(self) -> dict[str, float]:
        """kind -> limit of a day, of those that it has."""
        known = {"energy": self.energy_per_day_j, "money": self.money_per_day, "seconds": self.seconds_per_day}
        return {kind: limit for kind, limit in known.items() if limit is not None}

    @property
    def settings(self) -> str:
        """A short name of all that can be set: another one means that somebody changed the task."""
        return f"{zlib.crc32(json.dumps(self.as_dict(), sort_keys=True).encode()):08x}"

    def as_dict(self) -> dict[str, Any]:
        c = self.criteria
        return {
            "task": self.name,
            "description": self.description,
            "capabilities": sorted(c.capabilities),
            "weights": {f.name: getattr(c.weights, f.name) for f in fields(c.weights)},
            "preference": c.preference,
            "max_latency_s": c.max_latency_s,
            "max_memory_bytes": c.max_memory_bytes,
            "min_context": c.min_context,
            "quality_threshold": c.quality_threshold,
            "latency_budget_s": c.latency_budget_s,
            "memory_budget_bytes": c.memory_budget_bytes,
            "suite": self.suite,
            "autopilot": self.autopilot,
            "policy": self.policy,
            "private": self.private,
            "labels": list(self.labels),
            "fallback": None if self.fallback is None else list(self.fallback),
            "energy_per_day_j": self.energy_per_day_j,
            "money_per_day": self.money_per_day,
            "seconds_per_day": self.seconds_per_day,
            "max_slowdown": self.max_slowdown,
        }
