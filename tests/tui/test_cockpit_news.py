"""The narrator's line: a sentence fits by losing its least important parts, and the newest news comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import GEMMA, GEMMA_CPP, HEALTHY, SMOL
from canned_states import SWAPPING
from cockpit_seat import seat, with_task

from arbiter_tui.tui import format as fmt
from arbiter_tui.tui.news import FRESH_S, Told, fitted, urgent
from arbiter_tui.tui.state import View
from arbiter_tui.tui.text import plain

NAMES = (SMOL, GEMMA, GEMMA_CPP)
WHAT = f"{GEMMA} is degraded on topic (quality .40, from .81); {GEMMA_CPP} leads by .23 [.17, .29] on 40 samples"
HELD = f"{WHAT}; holding until {GEMMA_CPP} has 10 samples (it has 3)."
SOON = f"topic: {WHAT}; swapping in 40 s unless you press n."


@pytest.mark.parametrize("width", [77, 97, 117, 197])
@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(("sentence", "end"), [(HELD, "has 10 samples"), (SOON, "in 40 s unless you press n")])
def test_a_sentence_never_ends_amid_its_condition(sentence: str, end: str, width: int, rows: int) -> None:
    """At every size from 80 cells on: what is waited for, or what will happen, stands there whole."""
    lines = fitted(sentence, NAMES, width, rows)
    assert len(lines) <= rows
    assert all(fmt.cells(x) <= width for x in lines)
    said = " ".join(lines)
    assert "…" not in said
    assert end in said


def test_what_fits_is_not_touched() -> None:
    """No part is left out without need."""
    assert " ".join(fitted(HELD, NAMES, 300, 1)) == HELD


def test_the_least_important_goes_first() -> None:
    """Names without what they share, parentheses, sample sizes, intervals, then the clauses before the last."""
    told = list(dict.fromkeys(" ".join(fitted(SOON, NAMES, width, 1)) for width in range(240, 43, -1)))
    parts = (".llama-server", "(quality", "on 40 samples", "[.17, .29]", "is degraded", "leads by")
    lost = [next(i for i, said in enumerate(told) if part not in said) for part in parts]
    assert lost == sorted(lost)
    assert told[0] == SOON
    assert "gemma3-270m-q4_k_m.cpp leads" in told[1]
    assert told[-1] == "topic: swapping in 40 s unless you press n."


def test_what_went_wrong_keeps_its_beginning() -> None:
    """Where no clause says what will happen the first one is what matters."""
    failed = f"extraction: swap to {GEMMA_CPP} failed: {GEMMA_CPP} was not ready within 120 s; it said nothing"
    assert fitted(failed, NAMES, 104, 1) == [
        "extraction: swap to gemma3-270m-q4_k_m.cpp failed: gemma3-270m-q4_k_m.cpp was not ready within 120 s"
    ]


def test_a_line_of_a_show_is_fresh_for_a_moment_only() -> None:
    """Then the engine's own sentence comes first again, until the show says something new."""
    said = ["act one"]
    told, view = Told(lambda: said[0]), View()
    assert told.look(view, 0.0)
    assert view.story_fresh
    assert not told.look(view, FRESH_S - 1)
    assert told.look(view, FRESH_S + 1)
    assert (view.story, view.story_fresh) == ("act one", False)
    said[0] = "act two"
    assert told.look(view, FRESH_S + 2)
    assert view.story_fresh


def test_what_is_under_way_matters_more_than_a_show() -> None:
    """A swap, and one that can still be vetoed."""
    assert not urgent(None)
    assert not urgent(HEALTHY)
    assert urgent(SWAPPING)
    assert urgent(with_task("topic", next_incumbent=SMOL, next_at=1.0))


async def test_newer_news_stand_above_the_shows_line() -> None:
    """The show's line comes first while it is fresh; a swap that begins takes its place, and it moves below."""
    async with seat(story=lambda: "act two: the model fails") as s:
        s.app.tick()
        first = [plain(x).strip(" ›") for x in s.app.main.narrator._lines]
        assert first[0] == "act two: the model fails"
        await s.show(SWAPPING)
        lines = [plain(x).strip(" ›") for x in s.app.main.narrator._lines]
        assert "swapping" in lines[0]
        assert "act two: the model fails" in lines


async def test_enter_on_the_narrator_reads_it_whole() -> None:
    """What its line leaves out."""
    async with seat(replace(HEALTHY, narrator=HELD), size=(80, 24)) as s:
        await s.press("5", "enter")
        text = " ".join(s.screen_text().replace("│", " ").split())
        assert "(quality .40, from .81)" in text
        assert "(it has 3)" in text
