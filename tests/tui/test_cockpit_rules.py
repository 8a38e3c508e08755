"""A rule of a decision in words: its name, its value and its limit with their unit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canned import SWAPS
from canned_task import EXPLAINED
from test_cockpit_explained import text_of

from arbiter_tui.core.snapshot import Why
from arbiter_tui.tui.rules import figure_of, named, told
from arbiter_tui.tui.screens.explain import reason
from arbiter_tui.tui.screens.explained import explanation, swap_lines
from arbiter_tui.tui.text import width_of
from arbiter_tui.tui.widgets.swaps import why


@pytest.mark.parametrize(
    ("rule", "value", "threshold", "said"),
    [
        ("drift_latency", 2.07363, 0.75012, "latency drifts: 2.1 s, was 750 ms"),
        ("drift_quality", 0.40321, 0.81234, "quality drifts: .40, was .81"),
        ("cooldown", 95.4, 300.0, "cooldown is over: 95.4 s, of 5 min"),
        ("min_samples", 3, 10, "enough samples: 3, of 10"),
        ("memory_budget", 5 << 30, 4 << 30, "memory that it needs: 5.0 G, free 4.0 G"),
        ("oscillation", None, None, "not to and fro"),
        ("qualifies", "it lacks code", None, "no longer qualifies: it lacks code"),
        ("P(worse than 0.95 x the old one)", 0.9934, 0.99, "P(worse than 0.95 x the old one): .99, limit .99"),
        ("serves", ["topic", "intent"], [], "still serves: topic, intent"),
        ("a_newer_rule", 3.14159, None, "a newer rule: 3.14"),
    ],
)  # fmt: skip
def test_a_rule_is_told_with_its_unit(rule: str, value: Any, threshold: Any, said: str) -> None:
    """No raw seconds, no more digits than tell something, no name of the code."""
    assert told(rule, value, threshold) == said


def test_a_rule_that_nobody_knows_reads_as_words() -> None:
    """A newer engine may have others."""
    assert named("a_newer_rule") == ("a newer rule", "")
    assert figure_of(12_434.0, "") == "12434"


def test_the_list_of_swaps_tells_rules_in_words() -> None:
    """Where no reason is recorded the rules are the reason."""
    rules = (Why(rule="drift_latency", value=2.07363, threshold=0.75012),)
    assert why(replace(SWAPS[0], reason="", why=rules)) == "latency drifts: 2.1 s, was 750 ms"


@pytest.mark.parametrize("width", [50, 58, 72, 90, 94])
def test_no_line_of_a_record_is_cut(width: int) -> None:
    """Every line is laid out for the width that there is: what stands in it is all that was to be said."""
    rules = (
        Why(rule="qualifies", value="it lacks code and reasoning, which the task needs", would_change_if="x " * 60),
    )
    swap = replace(SWAPS[0], why=rules)
    for lines in (
        swap_lines(swap, width, None, EXPLAINED["de-31"]),
        *(explanation(r, width) for r in EXPLAINED.values()),
    ):
        assert max(width_of(x) for x in lines) <= width
    text = " ".join(text_of(reason({"rule": "qualifies", "value": rules[0].value}, width, "  ")).split())
    assert "it lacks code and reasoning, which the task needs" in text


@pytest.mark.parametrize("width", [32, 44, 72, 90])
def test_the_answers_of_guards_are_always_seen(width: int) -> None:
    """Met or not stands first in its line, however narrow the sheet is; so does the share of answers in a record."""
    text = text_of(explanation(EXPLAINED["topic"], width))
    assert sum(line.startswith(("  ✓ ", "  ✕ ", "  · ", "  ▲ ")) for line in text.splitlines()) == 13
    assert "100%" in text_of(swap_lines(SWAPS[0], width))
