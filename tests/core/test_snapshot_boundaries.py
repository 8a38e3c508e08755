"""The wire's conversion by example: renaming, nesting, nothing, and what is not of the expected shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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


def test_nothing_stays_nothing() -> None:
    """Null is None wherever it stands, not an empty view; an empty list is an empty tuple."""
    assert from_wire(HardwareView, {"cpu": None, "gpus": []}).cpu is None
    assert from_wire(SwapView, {"id": "s", "task": "t", "from": None, "phases": None}).phases is None
    assert from_wire(HardwareView, {"gpus": []}).gpus == ()


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


@pytest.mark.parametrize(
    ("data", "built"),
    [
        ({"maybe": {"x": 1}, "first": {"x": 2}}, Outer(Inner(1), Inner(2))),
        ({"many": ({"x": 3},)}, Outer(many=(Inner(3),))),
        ({"maybe": "not a view", "many": "not a list"}, Outer("not a view", many="not a list")),  # type: ignore[arg-type]
    ],
)
def test_optional_views_and_what_does_not_fit(data: dict[str, Any], built: Outer) -> None:
    """Whichever side of the union None stands on; a value of another shape is passed through, never lost."""
    assert from_wire(Outer, data) == built
