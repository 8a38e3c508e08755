"""Figures as words: units that a person uses, three significant digits at most, unknown as a dash."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.words import DASH, all_of, chance, figure, number, plural, span, wait


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0421, "42 ms"), (0.9996, "1 s"), (2.07363, "2.1 s"), (42.4, "42 s"), (205.0, "3 min"), (3600.0, "60 min"),
        (21_600.0, "6 h"), (20_600.0, "5.7 h"), (259_200.0, "3 days"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_that_a_person_would_use(seconds: float, said: str) -> None:
    """Never thousands of seconds, never a tail of digits."""
    assert span(seconds) == said


@given(st.floats(0.0, 1e7))
def test_no_duration_has_more_than_three_digits_of_a_figure(seconds: float) -> None:
    """Whatever was measured."""
    assert len(re.sub(r"\D", "", span(seconds))) <= 3
    assert len(re.sub(r"\D", "", wait(seconds))) <= 3


@given(st.floats(-99.9, 99.9))
def test_no_number_has_more_than_three_significant_digits(value: float) -> None:
    """And none is written in powers of ten."""
    text = number(value).lstrip("<>-")
    assert len(text.replace(".", "").lstrip("0")) <= 3
    assert "e" not in text


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "s", DASH), (2.07363, "s", "2.1 s"), (0.8123, "share", ".81"), (390 << 20, "bytes", "390 MiB"),
        (5 << 30, "bytes", "5.0 GiB"), (1, "tokens", "1 token"), (2048, "tokens", "2048 tokens"), (44, "samples", "44"),
        (["a", "b"], "", "a, b"), ([], "", "none"), (True, "", "yes"), ("on", "", "on"), (0.25, "", ".25"),
        (12_434, "", "12434"),
    ],
)  # fmt: skip
def test_a_value_is_written_by_its_unit(value: object, unit: str, said: str) -> None:
    """The unit is the rule's; words stay words."""
    assert figure(value, unit) == said


def test_counts_and_lists_read_as_sentences_do() -> None:
    """One of a thing is not several."""
    assert (plural(1, "answer"), plural(0, "answer"), plural(2, "query", "queries")) == (
        "1 answer",
        "0 answers",
        "2 queries",
    )
    assert (all_of([]), all_of(["a"]), all_of(["a", "b", "c"])) == ("", "a", "a, b and c")


def test_a_probability_near_its_limit_can_be_told_from_it() -> None:
    """.993 is over .990; in the middle two digits are enough."""
    assert (chance(0.9934), chance(0.99), chance(0.0034), chance(0.5131)) == (".993", ".990", ".003", ".51")
