"""The wire's conversion by example: renaming, nesting, nothing, and what is not of the expected shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from arbiter_tui.core.snapshot import (
    GpuView,
    HardwareView,
    OperationView,
    Phase,
    Reading,
    RowView,
    Snapshot,
    SwapView,
    TaskView,
    Why,
    from_wire,
    to_wire,
)
from arbiter_tui.errors import WireUnreadable


def test_the_reserved_word_is_from_on_the_wire_and_from_with_a_line_in_the_code() -> None:
    """At any depth, in lists and in free-form evidence too."""
    swap = SwapView(id="s", task="t", from_="a", to="b", phases=(Phase(name="warming", seconds=1.5),))
    shown = to_wire(Snapshot(swaps=(swap,)))["swaps"][0]
    assert (shown["from"], shown["to"], shown["phases"]) == ("a", "b", [{"name": "warming", "seconds": 1.5}])
    assert "from_" not in shown
    assert from_wire(SwapView, {"id": "s", "task": "t", "from": "a", "from_": "x"}).from_ == "a"
    deep = to_wire(OperationView(id="o", kind="k", result={"list": [{"from_": 1}], "pair": ({"from_": 2},)}))
    assert deep["result"] == {"list": [{"from": 1}], "pair": [{"from": 2}]}


def test_nested_views_come_back_as_views() -> None:
    """Views in views, in tuples, and in optional fields; plain values as they are."""
    board = {"task": "t", "leaderboard": [{"version": "a", "rank": 1}, {"version": "b", "p_best": None}]}
    task = from_wire(TaskView, board)
    assert task.leaderboard == (RowView(version="a", rank=1), RowView(version="b"))
    hardware = from_wire(
        HardwareView,
        {"cpu": {"value": 0.5}, "gpus": [{"index": 0, "power_w": {"why": "no sensor"}}], "cores": [0.5, 1]},
    )
    assert hardware.cpu == Reading(value=0.5)
    assert hardware.gpus == (GpuView(index=0, power_w=Reading(why="no sensor")),)
    assert hardware.cores == (0.5, 1)


def test_null_is_what_a_missing_field_is() -> None:
    """Null takes the field's default: unknown stays None, a view is an empty one, a list an empty tuple."""
    assert from_wire(HardwareView, {"cpu": None, "gpus": []}) == HardwareView()
    assert from_wire(SwapView, {"id": "s", "task": "t", "from": None, "phases": None}).phases == ()
    assert from_wire(RowView, {"version": "v", "utility": None}).utility is None


def test_what_is_free_in_shape_is_left_alone() -> None:
    """Values of reasons may be anything: a list stays a list, a mapping a mapping."""
    why = from_wire(Why, {"rule": "r", "value": [1, {"a": 2}], "threshold": {"b": 3}})
    assert (why.value, why.threshold) == ([1, {"a": 2}], {"b": 3})
    assert from_wire(OperationView, {"id": "o", "kind": "k", "result": {"n": [1]}}).result == {"n": [1]}


@dataclass(frozen=True)
class Inner:
    x: int = 0


@dataclass(frozen=True)
class Outer:
    maybe: Inner | None = None
    first: None | Inner = None  # noqa: RUF036
    many: tuple[Inner, ...] = field(default_factory=tuple)
    word: Literal["a", "b"] = "a"
    free: Mapping[str, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("data", "built"),
    [
        ({"maybe": {"x": 1}, "first": {"x": 2}}, Outer(Inner(1), Inner(2))),
        ({"many": ({"x": 3},)}, Outer(many=(Inner(3),))),
        ({"maybe": None, "many": None}, Outer()),
        ({"word": "of the future", "free": {"a": 1}}, Outer(word="of the future", free={"a": 1})),  # type: ignore[arg-type]
    ],
)
def test_optional_views(data: dict[str, Any], built: Outer) -> None:
    """Whichever side of the union None stands on."""
    assert from_wire(Outer, data) == built


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"revision": "many"}, "revision is 'many', not a whole number"),
        ({"revision": True}, "revision is True, not a whole number"),
        ({"revision": 1.5}, "revision is 1.5, not a whole number"),
        ({"taken_at": "noon"}, "taken_at is 'noon', not a number"),
        ({"taken_at": float("nan")}, "taken_at is nan, not a number"),
        ({"taken_at": float("inf")}, "taken_at is inf, not a number"),
        ({"engine": 7}, "engine is 7, not an object"),
        ({"engine": {"read_only": "no"}}, "engine.read_only is 'no', not true or false"),
        ({"models": {"a": 1}}, "models is {'a': 1}, not a list"),
        ({"models": [{"version": "a"}, {"version": 5}]}, "models[1].version is 5, not a text"),
        ({"models": [{}]}, "models[0].version is None, not a text"),
        ({"tasks": [{"task": "t", "leaderboard": [{"version": "a", "samples": []}]}]},
         "tasks[0].leaderboard[0].samples is [], not a whole number"),
        ({"swaps": [{"id": "s", "task": "t", "from": 3}]}, "swaps[0].from is 3, not a text"),
        ({"swaps": [{"id": "s", "task": "t", "evidence": "none"}]}, "swaps[0].evidence is 'none', not an object"),
        ({"narrator": ["x" * 99]}, "not a text"),
        ([], "the snapshot is [], not an object"),
    ],
)  # fmt: skip
def test_a_value_of_a_wrong_type_is_named(data: Any, said: str) -> None:
    """The path to it, what is there and what should be; never a fault somewhere in a widget."""
    with pytest.raises(WireUnreadable) as refused:
        from_wire(Snapshot, data)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200
