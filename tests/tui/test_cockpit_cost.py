"""What a task's answers cost today: energy and money, with of how many it is known; what nobody measured is a dash."""

from __future__ import annotations

from typing import Any

import pytest
from canned_past import machine
from cockpit_seat import seat

from arbiter_tui.tui import format as fmt
from arbiter_tui.tui.task_facts import Facts
from arbiter_tui.tui.widgets.task_past import cost


def told(row: dict[str, Any] | None) -> dict[str, str]:
    facts = Facts("topic")
    facts.take_spent({"spent": [] if row is None else [{"task": "other", "requests": 9}, {"task": "topic", **row}]})
    return dict(cost(facts))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (None, {"cost today": "– · no request"}),
        ({"requests": 1}, {"cost today": "– · not measured, not priced"}),
        ({"requests": 4, "measured": 4, "energy_j": 10.0, "priced": 0, "money": None},
         {"energy": "10.0 J today · 2.5 J each on 4 requests", "money": "– today · none of 4 requests priced"}),
        ({"requests": 5120, "measured": 5000, "energy_j": 12_400.0, "priced": 40, "money": 0.0312},
         {"energy": "12 kJ today · 2.5 J each, 5000 of 5120 measured",
          "money": "0.031 today · 0.00078 each, 40 of 5120 priced"}),
    ],
)  # fmt: skip
def test_the_day_is_summed_and_what_is_not_known_is_a_dash(row: dict[str, Any] | None, said: dict[str, str]) -> None:
    """Never 0 for what nobody measured or priced; another task's costs are its own."""
    assert told(row) == said


def test_an_engine_that_does_not_tell_has_no_rows() -> None:
    """Before its answer came nothing is claimed."""
    assert cost(Facts("topic")) == []


def test_small_sums_keep_figures_that_tell() -> None:
    """A thousandth of a cent is not nothing."""
    assert [fmt.money(v) for v in (None, 0.0, 1.5, 0.1, 0.00078, 0.000004321)] == [
        "–", "0", "1.50", "0.10", "0.00078", "0.0000043",
    ]  # fmt: skip
    assert [fmt.joules(v) for v in (0.04, 2.5, 412.0, 12_400.0)] == ["40 mJ", "2.5 J", "412 J", "12 kJ"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_task_screen_shows_both(size: tuple[int, int]) -> None:
    """In what is learnt of the task."""
    async with seat(size=size) as s:
        s.engine.machine_answer = machine()
        await s.press("T", "7")
        await s.until(lambda: "kJ today" in s.screen_text())
        assert "0.031 today" in s.screen_text()
