"""The laws of the route table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.routing import Route, RouteTable, task_of

tasks = st.sampled_from(["x", "y", "z"])
versions = st.sampled_from(["a", "b", "c"])
moves = st.lists(st.tuples(tasks, st.none() | versions), max_size=20)


def replayed(many: list[tuple[str, str | None]]) -> RouteTable:
    """A version switches its task to it; None goes back where it can."""
    table = RouteTable()
    for now, (task, to) in enumerate(many):
        table = (table.back(task, now=now) or table) if to is None else table.switch(task, to, now=now)
    return table


@given(moves, tasks, versions)
def test_a_switch_is_one_new_table(many: list[tuple[str, str | None]], task: str, to: str) -> None:
    """The old table and other tasks' routes are untouched, the revision grows by one, who served is previous."""
    before = replayed(many)
    kept = dict(before.routes)
    after = before.switch(task, to, now=99.0)
    assert dict(before.routes) == kept
    served = before.get(task).incumbent
    if served == to:
        assert after is before
        return
    assert after.revision == before.revision + 1
    assert (after.get(task).incumbent, after.get(task).previous, after.get(task).since) == (to, served, 99.0)
    assert {t: r for t, r in after.routes.items() if t != task} == {t: r for t, r in kept.items() if t != task}


@given(moves, tasks, versions)
def test_back_undoes_a_switch_once(many: list[tuple[str, str | None]], task: str, to: str) -> None:
    """After a switch, back restores who served; a second back has nothing to go to."""
    before = replayed(many)
    served = before.get(task).incumbent
    after = before.switch(task, to, now=99.0)
    undone = after.back(task, now=100.0)
    if served in (None, to):
        return
    assert undone is not None
    assert (undone.get(task).incumbent, undone.get(task).previous) == (served, None)
    assert undone.back(task, now=101.0) is None


@given(moves)
def test_a_version_is_never_its_own_previous(many: list[tuple[str, str | None]]) -> None:
    """Whatever the history, rolling back always means another version."""
    for route in replayed(many).routes.values():
        assert route.incumbent is not None
        assert route.incumbent != route.previous


@pytest.mark.parametrize(("asked", "held"), [(0.0, 50.0), (40.0, 50.0), (60.0, 60.0)])
def test_a_hold_is_never_shortened(asked: float, held: float) -> None:
    """An operator's hold outlives a switch or a rollback that asks for less."""
    table = RouteTable().with_route(Route(task="x", incumbent="a", previous="b", hold_until=50.0))
    assert table.switch("x", "c", now=1.0, hold_until=asked).get("x").hold_until == held
    back = table.back("x", now=1.0, hold_until=asked)
    assert back is not None
    assert back.get("x").hold_until == held


def test_a_switch_ends_a_trial() -> None:
    """Whoever was on trial is on trial no longer, switched to or past."""
    route = Route(task="x", incumbent="a", candidate="b", candidate_share=0.1, previous="c")
    table = RouteTable().with_route(route)
    back = table.back("x", now=1.0)
    assert back is not None
    for after in (table.switch("x", "b", now=1.0), back):
        assert (after.get("x").candidate, after.get("x").candidate_share) == (None, 0.0)


@pytest.mark.parametrize(("name", "task"), [("arbiter/x", "x"), ("arbiter/", ""), ("x", None), ("Arbiter/x", None)])
def test_task_names_carry_the_prefix(name: str, task: str | None) -> None:
    """Only arbiter/TASK names a task; an unrouted task has an empty route."""
    assert task_of(name) == task
    assert RouteTable().get("x") == Route(task="x")
