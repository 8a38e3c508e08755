"""Lines of styled text, frames and tables: the pure half of every widget.

Owns: ``Span`` (text, token), ``Line`` (tuple of spans) and their layout by terminal cells. Never: colours (theme.py
maps tokens), Textual, state. A token is a meaning: figure, label, unit, rule, accent, serve, trial, warn, fail, ok,
title; the suffix ``@`` marks a span of the selected row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from . import format as fmt


class Span(NamedTuple):
    text: str
    token: str = "label"


Line = tuple[Span, ...]
JOINERS = "\u200c\u200d"
T = TypeVar("T")


def line(*parts: Span | tuple[str, str] | str) -> Line:
    """A line from spans, pairs and plain strings (label)."""
    return tuple(Span(p) if isinstance(p, str) else Span(*p) for p in parts if p and (isinstance(p, str) or p[0]))


def width_of(spans: Line) -> int:
    return sum([len(t) if t.isascii() else fmt.cells(t) for t, _ in spans])


def plain(spans: Line) -> str:
    return "".join(s.text for s in spans)


def tame(spans: Line) -> Line:
    """Without what would steer the terminal: escapes, line ends, changes of the writing direction.

    What joins characters to one is left: it draws nothing and is part of names. What goes is none or one cell wide to
    a terminal and to us, so that the columns beside it stay.
    """
    if all(s.text.isprintable() for s in spans):
        return spans
    return tuple(Span("".join(c for c in s.text if c.isprintable() or c in JOINERS), s.token) for s in spans)


def clip(spans: Line, width: int) -> Line:
    """At most ``width`` cells; what is cut ends in an ellipsis."""
    if width_of(spans) <= width:
        return spans
    out: list[Span] = []
    room = width
    for span in spans:
        n = fmt.cells(span.text)
        if n >= room:
            out.append(
                Span(fmt.shorten(span.text, room) if n > room else fmt.cut(span.text, room - 1) + "…", span.token)
            )
            break
        out.append(span)
        room -= n
    return tuple(s for s in out if s.text)


def pad(spans: Line, width: int, token: str = "label", align: str = "left") -> Line:
    """Exactly ``width`` cells."""
    cut = clip(spans, width)
    room = width - width_of(cut)
    if room <= 0:
        return cut
    gap = Span(" " * room, token)
    return (gap, *cut) if align == "right" else (*cut, gap)


def spread(left: Line, right: Line, width: int, token: str = "label") -> Line:
    """``left`` at the left end and ``right`` at the right one; the left one gives way."""
    right = clip(right, width)
    room = width - width_of(right)
    if not right or room <= 0:
        return (*pad(left, room, token), *right)
    return (*pad(left, room - 1, token), Span(" ", token), *right)


def marked(spans: Line) -> Line:
    """The same line as the selected row."""
    return tuple(Span(s.text, s.token if s.token.endswith("@") else s.token + "@") for s in spans)


def frame(
    title: Line, figure: Line, body: Sequence[Line], width: int, height: int, *, rule: str, foot: Line = ()
) -> list[Line]:
    """A thin box: title left and figure right in its upper edge, ``foot`` right in the lower one."""
    inner = width - 2
    if height < 2 or inner < 4:
        return [pad((), width) for _ in range(height)]
    figure = clip(figure, max(0, inner - 6))
    title = clip(title, max(0, inner - width_of(figure) - 6))
    dashes = inner - width_of(title) - width_of(figure) - 2 - (4 if figure else 0) - 1
    top = (Span("┌ ", rule), *title, Span(" " + "─" * max(1, dashes), rule))
    end = (Span(" ", rule), *figure, Span(" ─┐", rule)) if figure else (Span("─┐", rule),)
    lines = [fill(top, end, width, rule)]
    for i in range(height - 2):
        content = body[i] if i < len(body) else ()
        lines.append((Span("│", rule), *pad(content, inner, "label"), Span("│", rule)))
    foot = clip(foot, max(0, inner - 4))
    tail = (Span(" ", rule), *foot, Span(" ─┘", rule)) if foot else (Span("┘", rule),)
    lines.append(fill((Span("└", rule),), tail, width, rule))
    return lines


def fill(left: Line, right: Line, width: int, rule: str) -> Line:
    """``left`` and ``right`` with a thin rule between them, exactly ``width`` cells."""
    room = width - width_of(left) - width_of(right)
    return pad((*left, Span("─" * max(0, room), rule), *right), width, rule)


def collapsed(title: Line, figure: Line, width: int, rule: str) -> Line:
    """A panel folded to one line."""
    if not figure:
        return fill((Span("─ ", rule), *clip(title, width - 4), Span(" ", rule)), (), width, rule)
    return fill(
        (Span("─ ", rule), *clip(title, max(width // 2, width - width_of(figure) - 7)), Span(" ", rule)),
        (Span(" ", rule), *clip(figure, width // 2), Span(" ─", rule)),
        width,
        rule,
    )


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """``cell(row, width)`` draws one cell. ``width`` 0 takes the rest; the column of highest ``rank`` goes first."""

    key: str
    title: str
    width: int
    cell: Callable[[T, int], Line]
    rank: int = 0
    align: str = "right"
    sort: Callable[[T], Any] | None = None


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """Columns chosen for a width. ``gap`` cells stand between columns; figures keep their column."""

    columns: tuple[Column[T], ...]
    widths: tuple[int, ...]
    gap: int = 2

    @classmethod
    def choose(
        cls, columns: Sequence[Column[T]], width: int, *, flexible: int = 20, widest: int = 46, gap: int = 2
    ) -> Table[T]:
        """Drop the columns of highest rank until the flexible one has ``flexible`` cells."""
        chosen = list(columns)

        def room() -> int:
            return width - sum(c.width for c in chosen) - gap * (len(chosen) - 1)

        while room() < flexible and any(c.width and c.rank for c in chosen):
            chosen.remove(max((c for c in chosen if c.width), key=lambda c: c.rank))
        free = max(4, min(room(), widest))
        return cls(tuple(chosen), tuple(c.width or free for c in chosen), gap)

    def header(self, sort: str | None, ascending: bool = False) -> Line:
        spans: list[Span] = []
        for i, (column, width) in enumerate(zip(self.columns, self.widths, strict=True)):
            title = column.title + (("▴" if ascending else "▾") if column.key == sort else "")
            token = "label" if column.key == sort else "unit"
            spans += [
                Span(" " * (self.gap if i else 0), "unit"),
                *pad((Span(title, token),), width, "unit", column.align),
            ]
        return tuple(s for s in spans if s.text)

    def row(self, item: T) -> Line:
        spans: list[Span] = []
        for i, (column, width) in enumerate(zip(self.columns, self.widths, strict=True)):
            if i:
                spans.append(Span(" " * self.gap))
            spans += pad(column.cell(item, width), width, "label", column.align)
        return tuple(spans)


def changed(old: Line, new: Line) -> tuple[int, int] | None:
    """The columns [start, end) in which two lines differ; None where they do not.

    Of lines that are not equally long everything up to the longer one's end counts: its tail must be painted over.
    """
    if old == new:
        return None
    start = 0
    for a, b in zip(old, new, strict=False):
        if a != b:
            break
        start += fmt.cells(a.text)
    end = max(width_of(old), width_of(new))
    if width_of(old) == width_of(new):
        for a, b in zip(reversed(old), reversed(new), strict=False):
            if a != b:
                break
            end -= fmt.cells(a.text)
    return start, max(end, start + 1)


def version_name(version: str, width: int, token: str = "figure", *, brief: bool = False) -> Line:
    """A version, its provider dim: ``smollm2-135m-q4_1.llama-server``; narrower or ``brief``: ``….server``."""
    stem, dot, provider = version.rpartition(".")
    if not dot or not provider[:1].isalpha() or fmt.cells(stem) + 1 > width:
        return (Span(fmt.fit(stem if dot and fmt.cells(stem) == width else version, width), token),)
    for suffix in (provider, brief_provider(provider))[1 if brief else 0 :]:
        if fmt.cells(stem) + 1 + fmt.cells(suffix) <= width:
            return (Span(stem, token), Span(dot + suffix, "unit"))
    room = width - fmt.cells(stem) - 1
    return (
        (Span(stem, token), Span(dot + fmt.shorten(brief_provider(provider), room), "unit"))
        if room > 2
        else (Span(stem, token),)
    )


def model_name(version: str) -> str:
    """The short form of a name, the same wherever one is needed: ``smollm2-135m-q4_1.server``."""
    stem, dot, provider = version.rpartition(".")
    if not dot or not provider[:1].isalpha():
        return version
    return f"{stem}.{brief_provider(provider)}"


def brief_provider(provider: str) -> str:
    """Its last word: ``server`` of ``llama-server``; of a second registration ``server-2``."""
    words = provider.split("-")
    return "-".join(words[-2:]) if words[-1].isdigit() else words[-1]


def change_of(old: str, new: str, width: int) -> Line:
    """``old → new`` as long as fits: both with their providers, the new one's alone, or neither.

    Where only the provider differs it is what matters: ``smollm2-135m-q4_1  .server → .cpp``. A version that takes over
    from itself stays.
    """
    if old == new:
        return (*clip(version_name(new, max(4, width - 6)), max(4, width - 6)), Span(" stays", "unit"))
    arrow = Span(" → ", "unit")
    stem, _, provider = old.rpartition(".")
    new_stem, _, new_provider = new.rpartition(".")
    forms: list[Line] = [(*version_name(old, 99, "label"), arrow, *version_name(new, 99))]
    forms.append((*version_name(old, 99, "label", brief=True), arrow, *version_name(new, 99, brief=True)))
    if stem and stem == new_stem:
        tails = (brief_provider(provider), brief_provider(new_provider))
        tails = (provider, new_provider) if tails[0] == tails[1] else tails
        forms.append(line((stem, "figure"), (f"  .{tails[0]}", "label"), arrow, (f".{tails[1]}", "figure")))
    elif stem and new_stem:
        forms.append((Span(stem), arrow, *version_name(new, 99, brief=True)))
        forms.append(line((stem, "label"), arrow, (new_stem, "figure")))
    fitting = next((form for form in forms if width_of(form) <= width), None)
    if fitting is not None:
        return fitting
    from .names import beside  # it needs this module

    half = max(4, (width - 3) // 2)
    names = beside((old, new), min(half, max(4, width - 3 - half)))
    return (*(Span(x.text) for x in names[old]), arrow, *names[new])


def paragraphs(text: str, width: int, token: str = "label") -> list[Line]:
    return [(Span(t, token),) for part in text.split("\n") for t in fmt.wrap(part, width)]
