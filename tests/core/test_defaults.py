"""What a record of core/ says before anybody told it anything: unknown is None, counts are 0, nothing is on."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, Union, get_origin, get_type_hints

import pytest

from arbiter_tui.core.drift import PageHinkley, ShareDrift, Signal
from arbiter_tui.core.learning import Pattern
from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.swapping import SwapPhase
from arbiter_tui.core.tasks import AutopilotMode

ROOMS = [
    "alarms", "autoswap", "compatibility", "cost", "drift", "guards", "learning", "placement", "registry", "routing",
    "share_drift", "snapshot", "swap_input", "stats", "swapping", "tasks", "verify",
]  # fmt: skip
CLASSES = [
    cls
    for room in ROOMS
    for _, cls in inspect.getmembers(importlib.import_module(f"arbiter_tui.core.{room}"), inspect.isclass)
    if cls.__module__ == f"arbiter_tui.core.{room}"
]
RECORDS = [cls for cls in CLASSES if is_dataclass(cls)]
WORDS = [cls for cls in CLASSES if issubclass(cls, StrEnum)]
ZERO: dict[Any, Any] = {str: "", bool: False, int: 0, float: 0.0, tuple: (), frozenset: frozenset(), Any: None}

# Every default that claims something, by class. A new field that claims something belongs here, with a reason to exist.
CLAIMS: dict[str, dict[str, Any]] = {
    "AutoSwapInput": {"mode": AutopilotMode.ON},
    "AutoSwapLimits": {
        "cooldown_s": 300.0,
        "min_samples": 10,
        "performance_threshold": 0.8,
        "quality_factor": 0.9,
        "triggers": ("degraded", "better"),
        "swaps_per_day": 24,
        "oscillation_s": 21_600.0,
    },
    "Plan": {"fits": True},
    "ModelVersion": {
        "parallel": 4,
        "capabilities": frozenset({"text-generation"}),
        "hardware": "cpu",
        "lifecycle": Lifecycle.DRAFT,
    },
    "Outcome": {"source": "request"},
    "Stats": {"energies": (0, 0.0)},
    "PageHinkley": {"signal": Signal.QUALITY, "min_samples": 30, "delta": 0.05, "threshold": 10.0},
    "ShareDrift": {
        "signal": Signal.QUALITY,
        "min_samples": 30,
        "limit": 7.0,
        "warm": 4.0,
        "good": 1.0,
        "bad": 1.0,
        "squares": 1.0,
        "ratios": (1.0, 1.0, 1.0, 1.0),
    },
    "Detectors": {
        "latency": PageHinkley(signal=Signal.LATENCY),
        "failures": ShareDrift(signal=Signal.FAILURES),
    },
    "TaskProfile": {
        **dict.fromkeys(("latency", "ttft"), Pattern(1e-6)),
        **dict.fromkeys(("memory", "prompt_tokens", "answer_tokens"), Pattern(1.0)),
    },
    "SwapState": {"phase": SwapPhase.VALIDATING},
    "Weights": {"quality": 0.4, "latency": 0.3, "memory": 0.1, "reliability": 0.1, "recency": 0.1},
    "Criteria": {
        "capabilities": frozenset({"text-generation"}),
        "latency_budget_s": 10.0,
        "memory_budget_bytes": 2 * 1024**3,
    },
    "Task": {"autopilot": AutopilotMode.ON, "max_tokens": 32, "policy": "bandit"},
    "SuiteItem": {"verifier": {"kind": "exact"}},
    "EngineView": {"state": "starting", "autopilot": "on"},
    "ModelView": {"lifecycle": "draft", "state": "cold", "health": "unknown"},
    "ReplicaView": {"state": "loading", "breaker": "closed"},
    "TaskView": {"autopilot": "on"},
    "HardwareView": {"backend": "CPU"},
    "SwapView": {"trigger": "manual", "result": "running"},
    "AlertView": {"level": "warning"},
    "OperationView": {"state": "running"},
}


def neutral(hint: Any) -> Any:
    """What a field of this type says when it claims nothing."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None
    if origin in (Mapping, dict):
        return {}
    if origin is Sequence or origin is tuple:
        return ()
    if isinstance(hint, type) and is_dataclass(hint):
        return hint() if len(defaults(hint)) == len(fields(hint)) else MISSING
    return ZERO.get(origin or hint)


def defaults(cls: type[Any]) -> dict[str, Any]:
    return {
        f.name: f.default if f.default is not MISSING else f.default_factory()  # type: ignore[operator]
        for f in fields(cls)
        if f.default is not MISSING or f.default_factory is not MISSING
    }


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_a_default_claims_nothing_but_what_is_listed(cls: type[Any]) -> None:
    """An optional field defaults to None, a count to 0, a switch to off; the exceptions are the specified figures."""
    hints = get_type_hints(cls)
    claimed = {
        name: value
        for name, value in defaults(cls).items()
        if (type(value), value) != (type(neutral(hints[name])), neutral(hints[name]))
    }
    assert claimed == CLAIMS.get(cls.__name__, {})


def test_no_claim_outlives_its_class() -> None:
    """The list above names only what exists."""
    assert {cls.__name__ for cls in RECORDS} >= CLAIMS.keys()


def test_what_is_measured_starts_empty() -> None:
    """Statistics of nothing are all zero and unknown: the window's figures too."""
    assert (Stats().samples, Stats().quality_weight, Stats().results) == (0, 0.0, ())


@pytest.mark.parametrize("cls", WORDS, ids=lambda cls: cls.__name__)
def test_a_word_is_its_name_in_small_letters(cls: type[StrEnum]) -> None:
    """What stands in the store, in the configuration and on the wire can be read off the code."""
    assert [word.value for word in cls] == [word.name.lower() for word in cls]
