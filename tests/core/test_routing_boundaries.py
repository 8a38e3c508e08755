"""Routes: what a table is before anybody switched, and what a switch and its undoing write down."""

from __future__ import annotations

from arbiter_tui.core.routing import Route, RouteTable


def test_a_table_counts_its_changes_from_nothing() -> None:
    """A new table is revision 0 and each route put into it is one revision more."""
    table = RouteTable()
    assert (table.revision, dict(table.routes)) == (0, {})
    assert table.with_route(Route(task="x")).with_route(Route(task="y")).revision == 2


def test_without_a_hold_nobody_is_held() -> None:
    """A switch and its undoing hold the task only if they are asked to."""
    table = RouteTable().switch("x", "a", now=5.0).switch("x", "b", now=6.0)
    assert table.get("x") == Route(task="x", incumbent="b", previous="a", since=6.0, hold_until=0.0)
    back = table.back("x", now=7.0)
    assert back is not None
    assert back.get("x") == Route(task="x", incumbent="a", since=7.0, hold_until=0.0)
    assert back.revision == 3
