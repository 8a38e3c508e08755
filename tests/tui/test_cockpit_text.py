"""Pure text: formatting, lines and tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from arbiter_tui.tui import format as fmt
from arbiter_tui.tui.text import Span, change_of, changed, clip, frame, line, pad, plain, version_name, width_of

words = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Mn", "Me", "Cf", "Zl", "Zp")), max_size=40)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (fmt.size(None), "–"),
        (fmt.size(2.1 * (1 << 30)), "2.1 G"),
        (fmt.size(40 << 20), "40 M"),
        (fmt.seconds(0.042), "42 ms"),
        (fmt.seconds(1.25), "1.2 s"),
        (fmt.seconds(0.0004), "0.4 ms"),
        (fmt.seconds(600), "10 min"),
        (fmt.score(0.84), ".84"),
        (fmt.score(1.0), "1.00"),
        (fmt.percent(None), "–"),
        (fmt.rate(12.44), "12"),
        (fmt.left(7), "7 s left"),
        (fmt.list_of(["a", "b", "c"], 2), "a, b and 1 more"),
    ],
)
def test_figures_are_written_short_and_unknown_is_a_dash(written: str, wanted: str) -> None:
    """Units are short, decimals fixed, and None is never 0."""
    assert written == wanted


@given(words, st.integers(0, 30))
def test_fit_never_exceeds_its_cells(text: str, width: int) -> None:
    """Names of any script keep to their column."""
    assert cell_len(fmt.fit(text, width)) <= width


@given(st.lists(words, max_size=4), st.integers(1, 40))
def test_pad_is_exactly_as_wide_as_asked(parts: list[str], width: int) -> None:
    """Every line of a widget has the widget's width, whatever was put in it."""
    assert width_of(pad(tuple(Span(p) for p in parts), width)) == width


@given(words, st.integers(1, 60))
def test_version_names_keep_to_their_column(text: str, width: int) -> None:
    """A version's name with its provider never runs over."""
    assert width_of(version_name(f"{text}.llama-server", width)) <= width


@given(words, words, st.integers(8, 80), st.integers(2, 8))
def test_a_frame_is_a_rectangle(title: str, body: str, width: int, height: int) -> None:
    """Borders never break, whatever stands inside."""
    lines = frame(line(title), line("9.8 G"), [line(body)] * 3, width, height, rule="rule")
    assert [width_of(x) for x in lines] == [width] * height


def test_two_providers_of_the_same_weights_stay_distinct_where_it_is_narrow() -> None:
    """The provider is shortened from its front, which is what such names share."""
    names = {plain(version_name(f"smollm2-135m-q4_1.llama-{p}", 24)) for p in ("server", "cpp")}
    assert names == {"smollm2-135m-q4_1.server", "smollm2-135m-q4_1.cpp"}


@pytest.mark.parametrize(
    ("new", "width", "wanted"),
    [
        ("gemma3-q4.llama-cpp", 60, "smollm2-q4.llama-server → gemma3-q4.llama-cpp"),
        ("gemma3-q4.llama-cpp", 34, "smollm2-q4.server → gemma3-q4.cpp"),
        ("gemma3-q4.llama-cpp", 28, "smollm2-q4 → gemma3-q4.cpp"),
        ("gemma3-q4.llama-cpp", 24, "smollm2-q4 → gemma3-q4"),
        ("smollm2-q4.llama-cpp", 28, "smollm2-q4  .server → .cpp"),
    ],
)
def test_a_change_of_versions_says_what_differs_in_the_room_there_is(new: str, width: int, wanted: str) -> None:
    """Providers go before names are cut; where only the provider changes it is kept."""
    assert plain(change_of("smollm2-q4.llama-server", new, width)) == wanted


@given(words, words, st.integers(12, 60))
def test_a_change_of_versions_keeps_to_its_room(old: str, new: str, width: int) -> None:
    """Whatever the versions are called."""
    assert width_of(change_of(old, f"{new}.llama-cpp", width)) <= width


@given(words, st.integers(2, 40), st.integers(1, 4))
def test_a_wrapped_sentence_keeps_to_its_lines(text: str, width: int, rows: int) -> None:
    """Never more lines than there are, never a line too long."""
    lines = fmt.wrap_to(text, width, rows)
    assert len(lines) <= rows
    assert all(cell_len(x) <= width for x in lines)


def test_changed_names_only_the_columns_that_differ() -> None:
    """What is repainted is what changed."""
    old, new = (
        line(("abc", "label"), ("12", "figure"), ("xyz", "unit")),
        line(("abc", "label"), ("13", "figure"), ("xyz", "unit")),
    )
    assert changed(old, old) is None
    assert changed(old, new) == (3, 5)


def test_a_line_that_became_shorter_changed_to_the_end_of_the_longer_one() -> None:
    """What the old line had beyond the new one's end is repainted too, or it would stay on the screen."""
    old, new = line(("10 of 10 tasks measured, and more", "label")), line(("all is quiet", "label"))
    assert changed(old, new) == (0, width_of(old))
    assert changed(new, old) == (0, width_of(old))


def test_an_interval_stands_on_the_shared_axis() -> None:
    """The mark lies between its ends; unknown draws nothing."""
    before, mark, after = fmt.interval(0.2, 0.5, 0.8, 11)
    assert before + mark + after == "  ├──●──┤  "
    assert fmt.interval(None, None, None, 11) == (" " * 11, "", "")


@given(st.lists(st.none() | st.floats(0, 1), max_size=40), st.integers(1, 30), st.integers(1, 5))
def test_a_curve_fills_its_rectangle(values: list[float | None], width: int, rows: int) -> None:
    """Curves never change a region's size."""
    assert [len(x) for x in fmt.curve(values, width, rows)] == [width] * rows


@given(st.lists(words, max_size=3), st.integers(1, 30))
def test_clip_never_exceeds(parts: list[str], width: int) -> None:
    """A line that is too long ends within its cells."""
    assert width_of(clip(tuple(Span(p) for p in parts if p), width)) <= width


def test_a_swap_to_the_same_version_names_it_once() -> None:
    """It was loaded anew: two equal names with an arrow between them would say nothing."""
    told = plain(change_of("smollm2-135m-q4_1.llama-server", "smollm2-135m-q4_1.llama-server", 60))
    assert told == "smollm2-135m-q4_1.llama-server stays"
