"""``arbiter autopilot veto [TASK]``: the task that is named, else the one that is announced."""

from __future__ import annotations

from typing import Any

import pytest

from arbiter_tui.cli import build_parser
from arbiter_tui.commands.write import _say, veto
from arbiter_tui.errors import Refused


class Api:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.posted = rows, ""

    async def get(self, path: str) -> dict[str, Any]:
        return {"items": self.rows}

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        self.posted = path
        return {"task": "code", "to": "b", "hold_until": 1_800_000_000.0, "decision": "d"}


async def test_a_named_task_is_vetoed() -> None:
    """Whatever else is announced."""
    api = Api([])
    await veto(api, "a task")
    assert api.posted == "/arbiter/v1/tasks/a%20task/veto"


async def test_without_a_name_it_is_the_one_that_comes_first() -> None:
    """Nothing announced is a refusal, not a success."""
    rows = [
        {"task": "late", "next_incumbent": "b", "next_at": 50.0},
        {"task": "soon", "next_incumbent": "b", "next_at": 20.0},
        {"task": "none", "next_incumbent": None, "next_at": None},
    ]
    api = Api(rows)
    await veto(api, None)
    assert api.posted.endswith("/tasks/soon/veto")
    with pytest.raises(Refused, match="announces nothing"):
        await veto(Api(rows[2:]), None)


def test_what_it_says() -> None:
    """Who does not take over what, and until when it is held."""
    options = build_parser().parse_args(["autopilot", "veto"])
    said = _say(options, {"task": "code", "to": "b", "hold_until": 1_800_000_000.0, "decision": "d"})
    assert said.startswith("vetoed: b does not take over code; it is held until ")
