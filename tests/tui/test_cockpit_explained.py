"""Explanations in the cockpit, line by line: each kind of record, and what is missing in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canned import GEMMA, SMOL, SWAPS
from canned_task import DECISION, EXPLAINED, beside

from arbiter_tui.tui.screens.explained import explanation, swap_lines
from arbiter_tui.tui.text import Line, plain, width_of

WIDTH = 90


def text_of(lines: list[Line]) -> str:
    return "\n".join(plain(x) for x in lines)


def test_both_sides_of_a_swap_stand_on_one_axis() -> None:
    """The better one's bar lies right of the other's; figures beside it."""
    rows = text_of(swap_lines(SWAPS[0], WIDTH)).splitlines()
    before, after = (next(r for r in rows if r.startswith(f"  {name}")) for name in ("before", "after"))
    assert before.index("┤") < after.index("├")
    assert ".41" in before
    assert ".81" in after


def test_a_swap_of_before_without_intervals_tells_what_it_has() -> None:
    """An older engine stored no utility: words instead of bars; unknown is a dash."""
    old = {"version": SMOL, "samples": 1, "quality": None, "success_rate": 1.0}
    text = text_of(swap_lines(replace(SWAPS[0], evidence={"old": old}), WIDTH))
    assert "quality –, median –, success 100%, 1 sample" in text


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ({"warnings": ["chat would be lost"]}, "▲ chat would be lost"), ({"undone_by": "sw-9"}, "undone by"),
        ({"undoes": "sw-1"}, "sw-1"), ({"offline": True}, "nothing was loaded"), ({"note": "late"}, "late"),
    ],
)  # fmt: skip
def test_what_became_of_it_is_said(evidence: dict[str, Any], said: str) -> None:
    """Warnings, undoing, what was not done."""
    assert said in text_of(swap_lines(replace(SWAPS[0], evidence=evidence), WIDTH))


def test_single_requests_are_those_nearest_to_the_swap() -> None:
    """Where there is no room for all, the last before it and the first after it are kept."""
    found = {"before": [*beside(1), {"success": False}], "after": [{"success": False}, *beside(1)]}
    rows = text_of(swap_lines(SWAPS[0], 44, found)).splitlines()
    at = next(i for i, r in enumerate(rows) if r.startswith("single requests"))
    strips = rows[at + 1 : at + 3]
    assert strips[0].split()[1].endswith("✕")
    assert strips[1].split()[1].startswith("✕")
    assert "none yet" in text_of(swap_lines(SWAPS[0], WIDTH, {"before": beside(1), "after": []}))


def test_every_kind_of_record_is_told_and_fits() -> None:
    """Swap, task, request, verdict: no field's name of the wire, no line too wide."""
    for found in EXPLAINED.values():
        lines = explanation(found, WIDTH)
        assert all(width_of(x) <= WIDTH for x in lines)
        assert "would_change_if" not in text_of(lines)
        assert "{" not in text_of(lines)


def test_a_verdict_shows_thresholds_alarms_and_the_ranking_of_that_moment() -> None:
    """Inputs, thresholds, verdict."""
    inputs = {**DECISION["inputs"], "alarms": ["quality fell"], "excluded": {"odd": "lacks code"}}
    costs = {"large": {"utility": 0.01, "sentence": "loading it takes 3 s"}, "warm": {"utility": 0.0, "sentence": ""}}
    priced = text_of(explanation({**DECISION, "inputs": {**inputs, "costs": costs}}, WIDTH))
    assert "a swap to large: loading it takes 3 s" in priced
    assert "a swap to warm" not in priced
    text = text_of(explanation({**DECISION, "inputs": inputs}, WIDTH))
    for said in ("the autopilot swaps", "success at least", ".80", "5 min", "▲ quality fell", "✕ odd lacks code"):
        assert said in text
    assert f"◆ {SMOL}" in text
    assert GEMMA in text


def test_a_task_that_nobody_serves_and_a_request_that_named_its_model() -> None:
    """No incumbent, no task, no figures: said, not guessed."""
    text = text_of(explanation({"kind": "task", "task": "t", "verdict": None, "reasoning": ["Nobody can."]}, WIDTH))
    assert "▲ nobody serves it" in text
    assert "Nobody can." in text
    asked = {"kind": "request", "verdict": "m", "request": {"success": False, "failure": "timeout"}, "decision": None}
    text = text_of(explanation(asked, WIDTH))
    assert "✕ failed: it took too long" in text
    assert "no task: it named its model" in text
    assert "– in, – out" in text


def test_an_unknown_kind_is_written_out() -> None:
    """A newer engine's record is shown field by field."""
    assert "odd" in text_of(explanation({"kind": "rollout", "odd": 3}, WIDTH))
