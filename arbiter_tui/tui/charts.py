"""Charts as lines of text: quality against latency, figures over time with marks, strips of single requests. Pure.

Owns: where a point, a curve, a mark or a label stands. Never: which figures are shown, colours (a token names them).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from . import format as fmt
from .plot import fitted
from .text import Line, Span, line, pad

GAUGE = 6  # cells of a vertical axis with its figures
LOG_FROM = 8.0  # a range that spans more than this factor is drawn logarithmically
GOOD = 0.5  # a grade from here on counts as good in a strip
STRIP = {"good": ("●", "serve"), "poor": ("○", "warn"), "failed": ("✕", "fail"), "ungraded": ("·", "unit")}
STRIP_WORDS = {"good": "good", "poor": "poor", "failed": "failed", "ungraded": "not graded"}


# ── points ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """``x`` seconds, ``y`` 0..1. ``brief`` stands where ``label`` has no room, and is then told below."""

    x: float
    y: float
    glyph: str
    token: str
    label: str
    brief: str


def scatter(points: Sequence[Point], width: int, height: int) -> list[Line]:
    """Exactly ``height`` lines: the points, the first of them before the others, on an axis left and one below; labels
    that have no room follow under it, as many as fit."""
    if not points or height < 4 or width < 20:
        return []
    rows, columns = height - 2, width - GAUGE - 1
    hidden: list[Point] = []
    cells = _placed(points, columns, rows, hidden)
    if hidden and rows - len(hidden) >= 3:  # room for their labels is made at the expense of the plot
        rows = height - 2 - min(len(hidden), height - 5)
        again: list[Point] = []
        cells, hidden = _placed(points, columns, rows, again), again
    xs, ys = _reach([p.x for p in points], positive=True), _reach([p.y for p in points], top=1.0)
    lines = [_row(cells[r], _gauge(r, rows, ys)) for r in range(rows)]
    left, right = fmt.seconds(xs[0]), fmt.seconds(xs[1])
    middle = "quality above, median latency →"
    room = columns - cell_len(left) - cell_len(right) - 2
    below = left + " " + (middle if cell_len(middle) <= room else "").center(room) + " " + right
    lines += [
        line((" " * (GAUGE - 1) + "└" + "─" * columns, "rule")), line((" " * GAUGE + below, "unit")),
    ]  # fmt: skip
    lines += [line((" " * GAUGE, "unit"), (p.brief, p.token), (f" {p.label}", "label")) for p in hidden]
    return lines[:height]


def _reach(values: Sequence[float], *, positive: bool = False, top: float | None = None) -> tuple[float, float]:
    """The values' range with some air on both sides."""
    low, high = min(values), max(values)
    if positive:
        return max(low * 0.8, 1e-6), high * 1.25
    air = max(0.05, (high - low) * 0.12)
    return max(0.0, low - air), high + air if top is None else min(top, high + air)


def _share(value: float, low: float, high: float, *, log: bool = False) -> float:
    if log:
        value, low, high = math.log(max(value, 1e-9)), math.log(low), math.log(high)
    return 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))


def _placed(points: Sequence[Point], columns: int, rows: int, hidden: list[Point]) -> list[list[Span | None]]:
    """One cell a column; None is empty. The glyphs first: no label hides a point."""
    xs, ys = _reach([p.x for p in points], positive=True), _reach([p.y for p in points], top=1.0)
    log = xs[1] / xs[0] > LOG_FROM
    cells: list[list[Span | None]] = [[None] * columns for _ in range(rows)]
    at: list[tuple[int, int]] = []
    for point in points:
        column = round(_share(point.x, *xs, log=log) * (columns - 1))
        row = rows - 1 - round(_share(point.y, *ys) * (rows - 1))
        column = _free(cells[row], column)
        cells[row][column] = Span(point.glyph, point.token)
        at.append((row, column))
    for point, (row, column) in zip(points, at, strict=True):
        beside = _written(cells[row], column, point.label)
        near = ((row + 1, "↑"), (row - 1, "↓"))  # a label on the next line points at its mark
        if not beside and not any(_near(cells[r], column, f"{point.label} {to}") for r, to in near if 0 <= r < rows):
            _written(cells[row], column, point.brief, gap=0)
            hidden.append(point)
    return cells


def _free(row: Sequence[Span | None], column: int) -> int:
    """The nearest empty cell: two points of the same figures stand beside each other."""
    empty = [c for c, cell in enumerate(row) if cell is None]
    return min(empty, key=lambda c: (abs(c - column), c), default=column)


def _written(row: list[Span | None], column: int, text: str, gap: int = 1) -> bool:
    """Right of the point, else left of it, else not at all."""
    n = cell_len(text)
    if n == 0:
        return True
    for start in (column + 1 + gap, column - gap - n):
        around = range(max(0, start - 1), min(len(row), start + n + 1))
        if start >= 0 and start + n <= len(row) and all(row[c] is None or c == column for c in around):
            row[start] = Span(text, "label")
            for c in range(start + 1, start + n):
                row[c] = Span("", "label")  # taken by what stands before it
            return True
    return False


def _near(row: list[Span | None], column: int, text: str) -> bool:
    """On the line above or below, about the point's column."""
    n = cell_len(text)
    start = min(max(0, column - n // 2), len(row) - n)
    if not 0 < n <= len(row) or any(cell is not None for cell in row[max(0, start - 1) : start + n + 1]):
        return False
    row[start : start + n] = [Span(text, "label"), *[Span("", "label")] * (n - 1)]
    return True


def _row(cells: Sequence[Span | None], gauge: Line) -> Line:
    return (*gauge, *(Span(" ") if cell is None else cell for cell in cells if cell is None or cell.text))


def _gauge(row: int, rows: int, ys: tuple[float, float]) -> Line:
    """The vertical axis: figures at its ends and in the middle."""
    if row in (0, rows - 1) or (rows >= 7 and row == rows // 2):
        value = ys[0] + (ys[1] - ys[0]) * (rows - 1 - row) / max(1, rows - 1)
        return line((f"{fmt.score(value):>{GAUGE - 1}}", "unit"), ("┤", "rule"))
    return line((" " * (GAUGE - 1) + "│", "rule"))


# ── curves ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on the curve's axis: before value number ``at``; ``label`` says what happened."""

    at: int
    label: str


def curve(
    values: Sequence[float | None], marks: Sequence[Mark], width: int, rows: int, *, top: str, token: str
) -> list[Line]:
    """``values`` (0..1, oldest first) over their number, ``rows`` lines; a mark is a dotted line through them."""
    columns = width - GAUGE
    squeezed = fitted(values, columns)
    drawn = fmt.curve(squeezed, len(squeezed), rows)
    cuts = {column_of(m.at, len(values), len(squeezed)) for m in marks}
    lines = []
    for r, text in enumerate(drawn):
        gauge = top if r == 0 else "0" if r == rows - 1 else ""
        spans = [Span(f"{gauge:>{GAUGE - 1}}", "unit"), Span("┤" if gauge else "│", "rule")]
        spans += [Span("┊", "accent") if c in cuts else Span(cell, token) for c, cell in enumerate(text)]
        lines.append(_joined(spans))
    return lines


def below(marks: Sequence[Mark], count: int, width: int) -> Line:
    """The marks' labels under the curve, the newest first where two would touch."""
    columns = width - GAUGE
    shown = min(count, columns)
    cells = [" "] * columns
    for mark in sorted(marks, key=lambda m: -m.at):
        column = column_of(mark.at, count, shown)
        right = fmt.shorten(f"┊{mark.label}", columns - column)
        left = fmt.shorten(mark.label, column) + "┊"
        cut = cell_len(right) < cell_len(mark.label) + 1
        text, start = (left, column + 1 - cell_len(left)) if cut and column > columns // 2 else (right, column)
        end = start + cell_len(text)
        if all(c == " " for c in cells[max(0, start - 1) : end + 1]):
            cells[start:end] = [*text, *[""] * (cell_len(text) - len(text))]
    return line((" " * GAUGE, "unit"), ("".join(cells), "accent"))


def column_of(at: int, count: int, columns: int) -> int:
    return 0 if count <= 0 else min(max(0, columns - 1), at * columns // count)


def _joined(spans: Sequence[Span]) -> Line:
    """Neighbours of one token as one span."""
    out: list[Span] = []
    for span in spans:
        if out and out[-1].token == span.token:
            out[-1] = Span(out[-1].text + span.text, span.token)
        else:
            out.append(span)
    return tuple(out)


# ── single requests and intervals ─────────────────────────────────────────────────────────────────────────────────────


def kind_of(success: object, quality: object) -> str:
    """good, poor, failed, ungraded."""
    if not success:
        return "failed"
    return "ungraded" if not isinstance(quality, (int, float)) else "good" if quality >= GOOD else "poor"


def strip(kinds: Sequence[str]) -> Line:
    """A mark for each request, oldest left."""
    return _joined([Span(*STRIP.get(kind, ("?", "unit"))) for kind in kinds])


def strip_legend(kinds: Sequence[str]) -> Line:
    shown = [kind for kind in STRIP if kind in kinds]
    return tuple(s for kind in shown for s in (Span(*STRIP[kind]), Span(f" {STRIP_WORDS[kind]}  ", "unit")))


def interval_line(low: float | None, mid: float | None, high: float | None, width: int) -> Line:
    """``├──●──┤`` on 0..1."""
    before, mark, after = fmt.interval(low, mid, high, width)
    return pad(line((before, "unit"), (mark, "figure"), (after, "unit")), width)
