"""`arbiter doctor` on paid services: what they cost today, beside their cap."""

from __future__ import annotations

from typing import Any

import pytest

from arbiter_tui.commands.doctor import money
from arbiter_tui.errors import EngineUnreachable

ROWS = [
    {"provider": "cloud", "spent_today": 0.5, "budget_per_day": 5.0},
    {"provider": "done", "spent_today": 5.25, "budget_per_day": 5.0},
    {"provider": "open", "spent_today": 0.0, "budget_per_day": None},
    {"provider": "untold", "spent_today": None, "budget_per_day": None},
]


def test_what_was_spent_stands_beside_its_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cap that is reached and one that is missing are notes; without an engine nobody counts."""
    monkeypatch.setattr("arbiter_tui.client.fetch_json", lambda url, path: {"money": ROWS})
    said = [(f.level, f.what, f.detail) for f in money({"url": "http://127.0.0.1:1"})]
    assert said == [
        ("ok", "spent today, cloud", "0.5000, of 5 a day"),
        ("note", "spent today, done", "5.2500, of 5 a day; refused until midnight"),
        ("note", "spent today, open", "0.0000, no cap"),
        ("note", "spent today, untold", "unknown: its block has no prices"),
    ]
    assert money(None) == []


def test_an_engine_that_does_not_answer_is_no_trouble_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it runs is told elsewhere."""

    def nobody(url: str, path: str) -> Any:
        raise EngineUnreachable("nobody")

    monkeypatch.setattr("arbiter_tui.client.fetch_json", nobody)
    assert money({"url": "http://127.0.0.1:1"}) == []
