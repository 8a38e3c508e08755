"""Plots by hand in braille: two by four dots a cell. Pure; only detail views import it. Never: colour, a clock.

A curve of a few rows costs a tenth of what a plot library's widget costs to draw, and needs none to be imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .text import Line, line, spread, width_of

BLANK = 0x2800
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column and row of a cell, from the top
Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float


def braille(values: Values, width: int, rows: int, low: float, high: float) -> list[str]:
    """``values`` (oldest first) from ``low`` to ``high`` as a line of dots; a gap (None) stays empty.

    Fewer values than columns stand at the right; more are averaged, as many as share a column.
    """
    columns = width * 2
    points = fitted(values, columns)
    cells = [[0] * width for _ in range(rows)]
    before: int | None = None
    for x, value in enumerate(points, columns - len(points)):
        if value is None:
            before = None
            continue
        y = _level(value, rows * 4, low, high)
        for dot in _joined(before, y):
            cells[dot // 4][x // 2] |= DOTS[x % 2][dot % 4]
        before = y
    return ["".join(chr(BLANK + c) if c else " " for c in row) for row in cells]


def _level(value: float, dots: int, low: float, high: float) -> int:
    share = 0.5 if high <= low else (value - low) / (high - low)
    return round((1.0 - min(1.0, max(0.0, share))) * (dots - 1))


def _joined(before: int | None, y: int) -> range:
    """The dots of one column: up or down to where the column before it ended."""
    if before is None or abs(before - y) <= 1:
        return range(y, y + 1)
    return range(y, before) if y < before else range(before + 1, y + 1)


def fitted(values: Values, columns: int) -> list[float | None]:
    """At most ``columns`` values: neighbours that share a column are averaged, unknown ones left out."""
    if len(values) <= columns:
        return list(values)
    out: list[float | None] = []
    for i in range(columns):
        part = values[i * len(values) // columns : (i + 1) * len(values) // columns]
        known = [v for v in part if v is not None]
        out.append(sum(known) / len(known) if known else None)
    return out


def range_of(values: Values, *, floor: float | None = None, top: float | None = None) -> Range | None:
    """What an axis spans; None where nothing is known. A flat curve stands in the middle of its own tenth."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known:
        return None
    low, high = min(known) if floor is None else floor, max(known) if top is None else top
    if high - low < 1e-12:
        room = abs(high) * 0.1 or 1.0
        low, high = low - room, high + room
    return Range(low, high)


def usual(values: Values) -> Range | None:
    """An axis that a few wild values do not squeeze: they stand at its end. None where nothing is known."""
    known = sorted(v for v in values if v is not None and math.isfinite(v))
    if not known:
        return None
    most = 3.0 * known[(len(known) * 3) // 4]
    return range_of([v for v in known if v <= most] or known)


def median(values: Values) -> float | None:
    known = sorted(v for v in values if v is not None)
    return known[len(known) // 2] if known else None


def panel(
    title: str,
    values: Values,
    width: int,
    rows: int,
    written: Callable[[float | None], str],
    *,
    since: str = "",
    span: Range | None = None,
) -> list[Line]:
    """A titled plot with its newest figure, its median, and the ends of its axis at the left."""
    known = [v for v in values if v is not None]
    head = line((title, "head"))
    if not known:
        return [spread(head, line(("not measured yet", "unit")), width)]
    found = span or usual(values)
    assert found is not None
    cut = span is None and max(known) > found.high
    figures = line(
        ("now ", "unit"), (written(known[-1]), "figure"),
        ("  median ", "unit"), (written(median(values)), "label"),
        (f"  {len(known)} since {since}" if since else "", "unit"),
    )  # fmt: skip
    if width_of(figures) + width_of(head) >= width:
        figures = figures[:4]
    ends = {0: ("≥ " if cut else "") + written(found.high), rows - 1: written(found.low)}
    inset = max(len(e) for e in ends.values()) + 1
    drawn = braille(values, max(4, width - inset), rows, found.low, found.high)
    return [
        spread(head, figures, width),
        *(line((f"{ends.get(i, ''):>{inset - 1}} ", "unit"), (row, "curve")) for i, row in enumerate(drawn)),
    ]
