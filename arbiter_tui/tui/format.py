"""Figures as text. Owns: how a number, a time, a bar or a curve is written. Never: colour, layout, a clock.

An unknown value (None) is a dash everywhere. Units: bytes in, ``2.1 G`` out (2**30); seconds in, ``42 ms`` out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich.cells import cell_len, chop_cells

from ..core import words

DASH = "–"


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return len(text) if text.isascii() else cell_len(text)


EIGHTHS = " ▏▎▍▌▋▊▉█"
LOWER = " ▁▂▃▄▅▆▇█"


def size(value: float | None) -> str:
    """Bytes with one decimal and a one-letter unit."""
    if value is None:
        return DASH
    if value == 0:
        return "0"
    for unit, scale in (("T", 1 << 40), ("G", 1 << 30)):
        if value >= scale * 0.0995:
            return f"{value / scale:.1f} {unit}"
    return f"{value / (1 << 20):.0f} M"


def seconds(value: float | None) -> str:
    """Durations: milliseconds below one second (with a decimal below one), then one decimal, then minutes and so on."""
    if value is None:
        return DASH
    if value < 0.9995:
        return f"{value * 1000:.1f} ms" if 0 < value < 0.00095 else f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 99.5 else words.span(value)


def left(value: float | None) -> str:
    """Time to go, coarse enough to move seldom."""
    if value is None:
        return ""
    return f"{max(1, round(value))} s left" if value < 90 else f"{seconds(max(value, 99.5))} left"


def score(value: float | None) -> str:
    """A share of one with two decimals and no leading zero: ``.84``."""
    if value is None:
        return DASH
    text = f"{value:.2f}"
    return text if text.startswith(("1", "-")) else text[1:]


def percent(value: float | None) -> str:
    return DASH if value is None else f"{value * 100:.0f}%"


def rate(value: float | None) -> str:
    """Tokens or requests a second, three significant figures at most."""
    if value is None:
        return DASH
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def count(value: int) -> str:
    if value < 10_000:
        return str(value)
    return f"{value / 1000:.0f} k" if value < 1_000_000 else f"{value / 1e6:.1f} M"


def joules(value: float | None) -> str:
    """``8.2 J``, ``412 J``, ``12 kJ``; an answer may take less than one: ``40 mJ``."""
    if value is None:
        return DASH
    if 0 < value < 0.0995:
        return f"{value * 1000:.0f} mJ"
    if value < 99.5:
        return f"{value:.1f} J"
    return f"{value:.0f} J" if value < 10_000 else f"{value / 1000:.0f} kJ"


def money(value: float | None) -> str:
    """In the currency of the prices; small sums keep two figures that tell."""
    if value is None:
        return DASH
    if value == 0:
        return "0"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.{max(2, 1 - math.floor(math.log10(abs(value))))}f}"


def clock(at: float, now: float) -> str:
    """Local wall time of an event: ``14:31`` today, ``21 Nov`` before. 0 is unknown."""
    if not at:
        return DASH
    then, today = time.localtime(at), time.localtime(now)
    same = (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M" if same else "%d %b", then)


def clock_s(at: float, now: float) -> str:
    """Local wall time with its seconds today, ``21 Nov`` before."""
    short = clock(at, now)
    return time.strftime("%H:%M:%S", time.localtime(at)) if ":" in short else short


def visible(text: str) -> str:
    """``text`` on one line and without control characters: what others wrote must not draw on this screen."""
    return "".join(c if c.isprintable() else " " for c in text)


def readable(text: str) -> str:
    """As ``visible``, but with its lines."""
    return "\n".join(visible(part.replace("\t", "    ")) for part in text.splitlines())


def after(text: str, cells: int) -> str:
    """``text`` without its first ``cells`` cells."""
    if cells <= 0:
        return text
    return text[len(cut(text, cells)) :]


def moment(at: float) -> str:
    """An absolute local time for detail views."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else DASH


def fit(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells: the middle goes first, for both ends of a version's name tell."""
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) // 3
    head = width - 1 - tail
    end = text[len(text) - tail :] if tail else ""
    while cells(end) > tail:
        end = end[1:]
    return f"{cut(text, head)}…{end}"


def cut(text: str, width: int) -> str:
    """The first ``width`` cells of ``text``."""
    if width <= 0:
        return ""
    pieces = chop_cells(text, width)
    return pieces[0] if pieces else ""


def shorten(text: str, width: int) -> str:
    """A sentence in at most ``width`` cells; its end goes."""
    return text if cells(text) <= width else f"{cut(text, width - 1).rstrip()}…" if width > 1 else cut(text, width)


def wrap(text: str, width: int) -> list[str]:
    """Word wrap by cells; a word longer than a line is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        while cells(word) > width > 0:
            if line:
                lines.append(line)
                line = ""
            lines.append(cut(word, width))
            word = word[len(lines[-1]) :]
        if line and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines or [""]


def wrap_to(text: str, width: int, rows: int) -> list[str]:
    """Word wrap over ``rows`` lines at most; what is left over ends in an ellipsis."""
    lines = wrap(text, width)
    if len(lines) <= rows:
        return lines
    return [*lines[: rows - 1], shorten(" ".join(lines[rows - 1 :]), width)]


def bar(share: float | None, width: int) -> str:
    """A bar of eighth-blocks, ``width`` cells wide; the caller draws its track."""
    if share is None:
        return " " * width
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def steps(share: float | None, width: int) -> str:
    """A coarse progress bar ``▰▰▰▱▱``; unknown progress is an empty one."""
    done = round(min(1.0, max(0.0, share or 0.0)) * width)
    return "▰" * done + "▱" * (width - done)


def interval(low: float | None, mid: float | None, high: float | None, width: int) -> tuple[str, str, str]:
    """``├──●──┤`` on the axis 0..1 as (before, mark, after), together ``width`` cells; unknown is all space."""
    if mid is None or width < 5:
        return " " * width, "", ""
    at = [
        round(min(1.0, max(0.0, v)) * (width - 1))
        for v in (mid if low is None else low, mid, mid if high is None else high)
    ]
    a, m, b = at[0], at[1], at[2]
    cells = [" "] * width
    for i in range(a, b + 1):
        cells[i] = "─"
    cells[a], cells[b], cells[m] = "├", "┤", "●"
    text = "".join(cells)
    return text[:m], "●", text[m + 1 :]


def curve(values: Sequence[float | None], width: int, rows: int) -> list[str]:
    """A filled curve of the newest ``width`` values (0..1), ``rows`` lines from top to bottom; gaps stay empty."""
    newest = list(values)[-width:]
    missing = " " * (width - len(newest))
    levels = [0 if v is None else max(1, round(min(1.0, max(0.0, v)) * rows * 8)) for v in newest]
    floors = [(rows - 1 - row) * 8 for row in range(rows)]
    return [missing + "".join(LOWER[min(8, max(0, level - floor))] for level in levels) for floor in floors]


def plural(n: int, noun: str, many: str | None = None) -> str:
    """``1 answer``, ``2 answers``; ``many`` where an s is not enough."""
    return f"{n} {noun if n == 1 else many or noun + 's'}"


def list_of(names: Sequence[str], most: int = 4) -> str:
    """``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
