"""Where the regions stand in a terminal of a given size. Pure. Never: widgets, keys.

small      a line that names the size needed
accordion  one open region, the others folded to their title lines
stack      all regions below each other
wide       two columns of two
zoom       one region alone
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

SMALLEST = (44, 10)
WIDE = (100, 26)  # from here on: two columns
STACK_ROWS = 44  # narrower than that, but at least this tall: all regions below each other
ROWS = ((1, 2), (3, 4))  # regions beside each other, by their digit

Form = Literal["small", "accordion", "stack", "wide", "zoom"]


def form_of(width: int, height: int, *, zoomed: bool) -> Form:
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return "small"
    if zoomed:
        return "zoom"
    if width >= WIDE[0] and height >= WIDE[1]:
        return "wide"
    return "stack" if height >= STACK_ROWS else "accordion"


def narrator_lines(height: int, *, told: bool) -> int:
    """Lines of the narrator: a show that is ``told`` gets one more, for it stands above what the engine says."""
    lines = 1 if height < 24 else 2 if height < 40 else 3
    return lines + (1 if told and height >= 24 else 0)


def spans(hidden: Collection[int]) -> dict[int, int]:
    """Columns that each region takes of the two: one that stands alone in its row has both. Hidden ones are absent."""
    rows = [[digit for digit in row if digit not in hidden] for row in ROWS]
    return {digit: 3 - len(row) for row in rows for digit in row}


def rows(hidden: Collection[int]) -> int:
    return sum(any(digit not in hidden for digit in row) for row in ROWS)
