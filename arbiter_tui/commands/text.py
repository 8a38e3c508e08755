"""Plain text for people: columns, sizes, times. Owns: how a figure looks without a screen. Never: colour, a terminal.

An unknown figure is a dash, never 0.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import Any
from unicodedata import category

from ..core.words import number

DASH = "–"
STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
KEPT = "\n\t\u200c\u200d"
TIE = "\u00a0"  # between words that stay on one line


def size(value: float | None) -> str:
    """Bytes with a short binary unit: 96 M, 2.1 G."""
    if value is None:
        return DASH
    amount = float(value)
    for unit in ("B", "K", "M", "G"):
        if amount < 1024 or unit == "G":
            return f"{amount:.1f} {unit}" if unit == "G" else f"{amount:.0f} {unit}"
        amount /= 1024
    return DASH


def duration(value: float | None) -> str:
    """Seconds as 42 ms, 1.3 s, 42 s, 4 min, 3 h."""
    if value is None:
        return DASH
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.0f} h"


def share(value: float | None) -> str:
    """0..1 as .84; 1 as 1.00."""
    if value is None:
        return DASH
    text = f"{value:.2f}"
    if text == "-0.00":
        return ".00"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def rate(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f}/s"


def clock(at: float | None) -> str:
    return DASH if at is None else time.strftime("%H:%M:%S", time.localtime(at))


def moment(at: float | None) -> str:
    """Day and local time."""
    return DASH if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def plural(n: int, noun: str, many: str | None = None) -> str:
    """``1 answer``, ``2 answers``; ``many`` where an s is not enough."""
    return f"{n} {noun if n == 1 else many or noun + 's'}"


def figure(value: Any, unit: str = "") -> str:
    """A reason's value; ``unit``: s, share, samples, at (unix seconds), or none where the value tells it itself."""
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if unit == "s":
        return duration(value)
    if unit == "bytes":
        return size(value)
    if unit == "at" or value > 1e9:  # no share, count or duration of a rule is that large: it is a moment
        return clock(value)
    return share(value) if isinstance(value, float) and abs(value) <= 1 else number(value)


def columns() -> int | None:
    """Cells of the terminal's width; None where a line may be as long as it likes (a file, a pipe)."""
    return shutil.get_terminal_size((0, 0)).columns or None if sys.stdout.isatty() else None


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: str = "", width: int | None = None) -> str:
    """Columns with two spaces between; ``right``: the heads' letters r/l per column.

    Where ``width`` (default: the terminal's) is too small, the last columns follow on lines of their own, as words.
    """
    cells = [list(head), *[list(r) for r in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    limit = columns() if width is None else width
    fit = _fitting(widths, limit)
    lines = [_row(head[:fit], widths, right)]
    for row in rows:
        lines.append(_row(row[:fit], widths, right))
        told = [(name, cell) for name, cell in zip(head[fit:], row[fit:], strict=True) if cell not in ("", DASH)]
        rest = [f"{name}{TIE}{cell}" for name, cell in told]
        if rest and limit:
            lines.append(wrapped(", ".join(rest), first="    ", indent="    ", width=limit).replace(TIE, " "))
    return "\n".join(lines)


def _fitting(widths: Sequence[int], limit: int | None) -> int:
    """How many columns fit beside each other; one at least."""
    used = 0
    for count, cell in enumerate(widths):
        used += cell + (2 if count else 0)
        if limit is not None and used > limit and count:
            return count
    return len(widths)


def _row(row: Sequence[str], widths: Sequence[int], right: str) -> str:
    parts = [c.rjust(widths[i]) if right[i : i + 1] == "r" else c.ljust(widths[i]) for i, c in enumerate(row)]
    return "  ".join(parts).rstrip()


def wrapped(text: str, *, first: str = "", indent: str = "", width: int | None = None) -> str:
    """``first`` and ``text``, cut at words for ``width`` (default: the terminal's); ``indent``: of what follows."""
    limit = columns() if width is None else width
    if limit is None or len(first) + len(text) <= limit:
        return first + text
    return textwrap.fill(
        text, max(limit, 20), initial_indent=first, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def out(text: str) -> None:
    print(clean(text), flush=True)


def note(text: str) -> None:
    print(clean(text), file=sys.stderr, flush=True)


def out_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)


def clean(text: str) -> str:
    """Without control sequences and changes of the writing direction: what a model or a remote engine says must never
    steer the terminal. What joins characters to one is left: it draws nothing and is part of names."""
    return "".join(c for c in text if c in KEPT or c.isprintable() or category(c) not in STEERING)
