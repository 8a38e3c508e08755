"""Braille by hand: where the dots stand."""

from __future__ import annotations

from arbiter_tui.tui import format as fmt
from arbiter_tui.tui.plot import BLANK, braille, fitted, median, panel, range_of, usual
from arbiter_tui.tui.text import plain, width_of


def dots(rows: list[str]) -> set[tuple[int, int]]:
    """(x, y) of every dot, y from the top."""
    bits = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
    found = set()
    for r, row in enumerate(rows):
        for c, char in enumerate(row):
            code = 0 if char == " " else ord(char) - BLANK
            found |= {(c * 2 + x, r * 4 + y) for x in (0, 1) for y in range(4) if code & bits[x][y]}
    return found


def test_a_rise_from_one_corner_to_the_other() -> None:
    """Lowest at the bottom left, highest at the top right, every column has a dot and steps are joined."""
    found = dots(braille([0.0, 1.0, 2.0, 3.0], 2, 1, 0.0, 3.0))
    assert found == {(0, 3), (1, 2), (2, 1), (3, 0)}
    jump = dots(braille([0.0, 7.0], 1, 2, 0.0, 7.0))
    assert jump == {(0, 7), *((1, y) for y in range(7))}
    fall = dots(braille([7.0, 0.0], 1, 2, 0.0, 7.0))
    assert fall == {(0, 0), *((1, y) for y in range(1, 8))}


def test_gaps_stay_empty_and_are_not_joined() -> None:
    """Unknown is no dot, and no line leads over it."""
    assert dots(braille([0.0, None, 3.0, None], 2, 1, 0.0, 3.0)) == {(0, 3), (2, 0)}


def test_few_values_stand_at_the_right_and_many_are_averaged() -> None:
    """The newest is always at the right end; nothing is dropped."""
    assert {x for x, _ in dots(braille([1.0, 1.0], 4, 1, 0.0, 2.0))} == {6, 7}
    assert fitted([1.0, 3.0, None, None, 5.0, None], 3) == [2.0, None, 5.0]
    assert len(fitted(list(range(601)), 100)) == 100


def test_values_beyond_the_axis_stay_within_the_picture() -> None:
    """An axis that was chosen cuts; a flat curve is in the middle."""
    assert dots(braille([-9.0, 99.0], 1, 1, 0.0, 1.0)) <= {(x, y) for x in (0, 1) for y in range(4)}
    span = range_of([5.0, 5.0])
    assert span is not None
    assert span.low < 5.0 < span.high
    assert range_of([None]) is None
    assert range_of([0.0, 0.0]) is not None
    assert median([3.0, None, 1.0, 2.0]) == 2.0


def test_a_panel_has_its_figures_and_its_axis() -> None:
    """Title, newest, median; the ends of the axis stand beside its first and last row; no line is too long."""
    lines = panel("tokens/s", [10.0, 30.0, 20.0], 60, 4, fmt.rate, since="14:00:00")
    text = [plain(x) for x in lines]
    assert "now 20  median 20  3 since 14:00:00" in text[0]
    assert text[1].startswith("30 ")
    assert text[4].startswith("10 ")
    assert all(width_of(x) <= 60 for x in lines)
    assert "since" not in plain(panel("tokens/s", [1.0], 34, 4, fmt.rate, since="14:00:00")[0])


def test_a_wild_value_does_not_squeeze_the_others() -> None:
    """One of two tokens that came at once is 2,700 a second: the axis stays with the others and says that it is cut."""
    span = usual([10.0, 12.0, 2700.0, 11.0, 15.0, None])
    assert span is not None
    assert (span.low, span.high) == (10.0, 15.0)
    lines = panel("tokens/s", [10.0, 12.0, 2700.0, 11.0, 15.0], 60, 4, fmt.rate)
    assert plain(lines[1]).startswith("≥ 15 ")
    assert usual([0.0, 0.0, 5.0]) is not None
    assert usual([None]) is None
