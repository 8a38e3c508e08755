"""Names where there is little room: two that stand together, in a column or a sentence, can always be told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import GEMMA, GEMMA_CPP, HEALTHY, SMOL, SWAPS
from cockpit_seat import seat
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.tui import format as fmt
from arbiter_tui.tui.names import beside, briefly, distinct, in_brief
from arbiter_tui.tui.text import change_of, model_name, plain, width_of
from arbiter_tui.tui.widgets.swaps import why

TWINS = (GEMMA, GEMMA_CPP)
QUANTISED = ("gemma3-270m-q4_k_m.llama-server", "gemma3-270m-q8_0.llama-server")
AGAIN = (GEMMA, f"{GEMMA}-2")  # the same registered twice
DEGRADED = (
    f"{GEMMA} is degraded on topic (quality .40, from .81); {GEMMA_CPP} leads by .23 [.17, .29] on 40 samples; swapping"
)


def test_a_sentence_keeps_the_provider_where_only_that_differs() -> None:
    """The reason of a swap between two engines of the same weights names both engines."""
    said = why(replace(SWAPS[0], from_=GEMMA, to=GEMMA_CPP, reason=DEGRADED))
    assert "gemma3-270m-q4_k_m.server is degraded" in said
    assert "gemma3-270m-q4_k_m.cpp leads" in said


def test_a_sentence_of_different_models_stays_short() -> None:
    """No provider where the names differ without."""
    assert in_brief(f"{SMOL} or {GEMMA}", briefly((SMOL, GEMMA))) == "smollm2-135m-q4_1 or gemma3-270m-q4_k_m"


def test_a_second_registration_of_the_same_is_named_as_such() -> None:
    """The longer name is not taken for the shorter one with something behind it."""
    assert in_brief(f"{AGAIN[1]} for {AGAIN[0]}", briefly(AGAIN)) == (
        "gemma3-270m-q4_k_m.server-2 for gemma3-270m-q4_k_m.server"
    )
    assert model_name("x-q4.ollama") == "x-q4.ollama"


@pytest.mark.parametrize("names", [TWINS, QUANTISED, AGAIN, (SMOL, GEMMA, GEMMA_CPP)])
@pytest.mark.parametrize("width", range(9, 46))
def test_no_two_names_of_a_column_look_alike(names: tuple[str, ...], width: int) -> None:
    """However narrow the column is, and never wider than it."""
    drawn = [plain(distinct(v, width, names)) for v in names]
    assert len(set(drawn)) == len(names), drawn
    assert all(fmt.cells(x) <= width for x in drawn)


@given(st.lists(st.text("ab1-_.q", min_size=12, max_size=40), min_size=2, max_size=5, unique=True), st.integers(6, 50))
def test_names_fit_their_column_whatever_they_are(names: list[str], width: int) -> None:
    """Any names of any models."""
    assert all(width_of(x) <= width for x in beside(tuple(names), width).values())


@pytest.mark.parametrize("width", range(24, 80))
def test_what_replaced_what_is_seen_at_every_width(width: int) -> None:
    """Both sides of an arrow differ."""
    for names in (TWINS, QUANTISED, AGAIN):
        text = plain(change_of(*names, width))
        old, _, new = text.partition(" → ")
        assert old.strip() != new.strip(), text
        assert fmt.cells(text) <= width


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40)])
async def test_rows_of_the_main_screen_can_be_told_apart(size: tuple[int, int]) -> None:
    """Models, ranking and swaps, where only the provider differs."""
    swaps = (replace(SWAPS[0], from_=GEMMA, to=GEMMA_CPP, reason=DEGRADED),)
    async with seat(replace(HEALTHY, swaps=swaps), size=size) as s:
        for digit in "124":
            await s.press(digit)
            panel = s.app.main.panels[int(digit) - 1]
            rows = [plain(x) for x in panel._lines]
            assert any("server" in row for row in rows), rows
            assert any("cpp" in row for row in rows), rows
