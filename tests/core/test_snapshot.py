"""The laws of the read-models on the wire."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core import snapshot as module
from arbiter_tui.core.snapshot import ModelView, Reading, RowView, Snapshot, SwapView, TaskView, from_wire, to_wire

VIEWS = [c for _, c in inspect.getmembers(module, inspect.isclass) if is_dataclass(c)]
TASK_FIELDS = {"task", "incumbent", "candidate", "candidate_share", "previous", "autopilot", "requests", "leaderboard"}
ROW_FIELDS = {
    "version", "rank", "utility", "utility_low", "utility_high", "quality", "quality_source", "latency_p50_s",
    "latency_p95_s", "memory_bytes", "energy_j", "success_rate", "samples", "p_best", "on_pareto_front",
}  # fmt: skip
MODEL_FIELDS = {
    "version", "provider", "model", "digest", "quantization", "lifecycle", "state", "pinned", "resident_bytes",
    "predicted_bytes", "in_flight", "queued", "tokens_per_second", "ttft_s", "requests", "failures", "health",
    "last_used_at",
}  # fmt: skip
SWAP_FIELDS = {"id", "task", "from", "to", "trigger", "result", "reason", "started_at", "duration_s", "phases"}
SNAPSHOT_FIELDS = {
    "revision", "taken_at", "engine", "budget", "models", "tasks", "hardware", "swaps", "rollouts", "alerts",
    "narrator",
}  # fmt: skip

plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
keys = st.text(max_size=5).filter(lambda key: key not in ("from", "from_"))
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=5),
    bool: st.booleans(),
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Any: plain,
    type(None): st.none(),
}


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if hint in LEAVES:
        return LEAVES[hint]
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{f.name: anything(hints[f.name]) for f in fields(hint)})
    if get_origin(hint) is tuple:
        return st.lists(anything(get_args(hint)[0]), max_size=2).map(tuple)
    if get_origin(hint) is Mapping:
        return st.dictionaries(keys, plain, max_size=3)
    return st.one_of(*map(anything, get_args(hint)))


@pytest.mark.parametrize("cls", VIEWS, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_every_view_survives_the_wire(cls: type, data: st.DataObject) -> None:
    """to_wire -> JSON -> from_wire is the identity for every read-model, nested ones and tuples included."""
    one = data.draw(anything(cls))
    assert from_wire(cls, json.loads(json.dumps(to_wire(one)))) == one


@pytest.mark.parametrize(
    ("shown", "contract"),
    [
        (Snapshot(), SNAPSHOT_FIELDS),
        (TaskView(task="t"), TASK_FIELDS),
        (RowView(version="v"), ROW_FIELDS),
        (ModelView(version="v"), MODEL_FIELDS),
        (SwapView(id="s", task="t"), SWAP_FIELDS),
    ],
)
def test_the_wire_has_the_contracts_names(shown: Any, contract: set[str]) -> None:
    """Every field that other people's scripts rely on is there under its own name; nothing is called from_."""
    wire = to_wire(shown)
    assert contract <= wire.keys()
    assert "from_" not in wire


@pytest.mark.parametrize("cls", VIEWS, ids=lambda cls: cls.__name__)
def test_a_newer_and_an_older_engine_are_understood(cls: type) -> None:
    """Unknown fields are ignored and missing ones take their defaults."""
    parameters = inspect.signature(cls).parameters.values()
    hints = get_type_hints(cls)
    required = {p.name: "x" if hints[p.name] is str else 0 for p in parameters if p.default is p.empty}
    assert from_wire(cls, {**required, "from_the_future": [1]}) == cls(**required)


def test_unknown_is_null_not_zero() -> None:
    """A reading without a value goes over the wire as null with its reason."""
    assert to_wire(Reading(why="no driver")) == {"value": None, "why": "no driver", "estimated": False}
    assert from_wire(Reading, {"value": None}) == Reading()
