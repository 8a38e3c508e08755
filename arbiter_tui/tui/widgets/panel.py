"""The base of every region: lines in, cells out. Owns: diffing lines, the frame, the cursor. Never: what is shown.

A panel keeps the lines that it drew last; new lines are compared with them and only the columns that differ are
asked to be repainted. An unchanged snapshot therefore writes nothing to the terminal. The cursor is bound to an
item's identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from .. import theme
from ..glyphs import safe, spelt
from ..messages import Opened
from ..state import View
from ..text import Column, Line, Span, Table, changed, collapsed, frame, line, marked, pad, paragraphs, tame, width_of

T = TypeVar("T")


class LineWidget(Widget):
    """Draws ``draw(view, width, height)``; redraws what changed."""

    ALLOW_SELECT = False

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = view
        self._lines: list[Line] = []
        self._drawn_for: Size | None = None

    def draw(self, width: int, height: int) -> list[Line]:
        """Exactly ``height`` lines; one that is not ``width`` cells long is cut or filled up by ``sync``."""
        raise NotImplementedError

    def sync(self) -> None:
        """Draw again and repaint the difference."""
        if not self.size.area or not self.display:
            return
        old, new = self._lines, self._drawn()
        if len(old) != len(new):
            self.refresh()
            return
        regions = []
        for y, (before, after) in enumerate(zip(old, new, strict=True)):
            span = changed(before, after)
            if span is not None:
                regions.append(Region(span[0], y, span[1] - span[0], 1))
        if regions:
            self.refresh(*regions)

    def _drawn(self) -> list[Line]:
        """The lines for the present size, padded: where one becomes shorter, the cells behind it change as well."""
        width, height = self._drawn_for = self.size
        self._lines = [pad(tame(drawn), width) for drawn in self.draw(width, height)]
        return self._lines

    def on_resize(self) -> None:
        if self._drawn_for != self.size:
            self._lines = []
            self.sync()

    def render_line(self, y: int) -> Strip:
        if self._drawn_for != self.size:  # the first picture of a new widget must not be an empty one
            self._drawn()
        palette = theme.PALETTES.get(self.app.theme, theme.PALETTES["arbiter-dark"])
        width = self.size.width
        spans = self._lines[y] if y < len(self._lines) else ()
        stale = self.view.dimmed and self.greys
        segments = []
        laid_out = pad(spans, width)
        for raw, token in spelt(laid_out) if self.view.ascii else laid_out:
            text = safe(raw, ascii=self.view.ascii)
            style = palette[token]
            if stale and not token.startswith("rule"):
                style = palette["stale@" if token.endswith("@") else "stale"]
            segments.append(Segment(text, style))
        return Strip(segments, width)

    greys = True  # stale data is greyed here


class Panel(LineWidget, can_focus=True):
    """A framed region with a digit, a title and one summary figure. One line high, it is folded to that."""

    digit = 0
    name_ = ""
    margin = 1  # empty cells before the body

    def subject(self) -> Line:
        return ()

    def figure(self) -> Line:
        return ()

    def shorter(self) -> Sequence[Line]:
        """What may stand in the figure's place where it would cost the title its end, the longest first."""
        return ()

    def _summary(self, width: int) -> Line:
        """The figure, as much of it as leaves the title whole; nothing of it where not even the shortest does."""
        forms = (self.figure(), *self.shorter())
        room = width - width_of(self.heading()) - 9
        return next((f for f in forms if width_of(f) <= room), forms[-1] if len(forms) == 1 else ())

    def foot(self) -> Line:
        return ()

    def body(self, width: int, height: int) -> list[Line]:
        raise NotImplementedError

    def heading(self) -> Line:
        name = "head" if not self.has_focus else "accent"
        extra = self.subject()
        return (
            Span(f"{self.digit} ", "accent" if self.has_focus else "unit"),
            Span(self.name_, name),
            *(extra and line((" · ", "unit"), *extra)),
        )

    def draw(self, width: int, height: int) -> list[Line]:
        rule = "focus" if self.has_focus else "rule"
        if height == 1:
            return [collapsed(self.heading(), self._summary(width), width, rule)]
        left = self.margin
        body = [line((" " * left, "label"), *b) for b in self.body(width - 3 - left, height - 2)]
        return frame(self.heading(), self._summary(width), body, width, height, rule=rule, foot=self.foot())

    def on_focus(self) -> None:
        self.sync()

    def on_blur(self) -> None:
        self.sync()


class ListPanel(Panel, Generic[T]):
    """A panel with items: a cursor bound to an identity, scrolled so that it stays in sight."""

    margin = 0  # the cursor's own column stands there
    top_lines = 1  # lines above the items: the table's header
    SORTS: tuple[str, ...] = ()
    FILTERS = False
    ALWAYS: tuple[str, ...] = ("role", "rank", "name", "state")  # columns without which a row says nothing
    follows_first = False  # whether the cursor stays on the first item until it is moved

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(view, id=id)
        self.cursor: str | None = None
        self.sort: str | None = self.SORTS[0] if self.SORTS else None
        self.left_out: frozenset[str] = frozenset()  # columns that the operator does not want
        self._last_index = 0
        self._moved = False
        self.wanted = ""  # the filter
        self.typing = False
        self._offset = 0
        self._sorted: tuple[object, object, Sequence[T]] = (None, None, ())
        self._tables: dict[object, Table[T]] = {}
        self._item_lines = 1
        self._shown = 0

    def items(self) -> Sequence[T]:
        raise NotImplementedError

    def identity(self, item: T) -> str:
        raise NotImplementedError

    def empty(self, width: int) -> list[Line]:
        """What stands where no item is."""
        return []

    def table_head(self, width: int) -> list[Line]:
        return []

    def item(self, item: T, width: int, lines: int) -> list[Line]:
        """``lines`` lines of one item."""
        raise NotImplementedError

    def lines_each(self, count: int, height: int) -> int:
        return 1

    def sorted_once(self, source: object, how: object, sort: Callable[[], Sequence[T]]) -> Sequence[T]:
        """``sort()`` of what ``source`` holds, in the way of ``how``: once, however often it is asked for."""
        if self._sorted[0] is not source or self._sorted[1] != how:
            self._sorted = (source, how, sort())
        return self._sorted[2]

    def table_once(self, width: int, choose: Callable[[], Table[T]]) -> Table[T]:
        """The columns for a width: they are the same for every row."""
        key = (width, self.left_out)
        if key not in self._tables:
            self._tables = {key: choose()}
        return self._tables[key]

    def all_columns(self, width: int) -> list[Column[T]]:
        """Every column there is, in order; none where the region is no table."""
        return []

    def columns(self, width: int) -> list[Column[T]]:
        """Those that are wanted."""
        return [c for c in self.all_columns(width) if c.key in self.ALWAYS or c.key not in self.left_out]

    def shown_columns(self) -> frozenset[str]:
        """Those that have room now."""
        return frozenset()

    def below(self, item: T, width: int, height: int) -> list[Line]:
        """What may fill the room below the items: details of the selected one."""
        return []

    def selected(self) -> T | None:
        """The item under the cursor; where it has vanished, the one that took its place."""
        items = self.items()
        if not items:
            return None
        if self.follows_first and not self._moved:
            self._last_index, self.cursor = 0, self.identity(items[0])
        for i, item in enumerate(items):
            if self.identity(item) == self.cursor:
                self._last_index = i
                return item
        self._last_index = min(self._last_index, len(items) - 1)
        chosen = items[self._last_index]
        self.cursor = self.identity(chosen)
        return chosen

    def body(self, width: int, height: int) -> list[Line]:
        items = self.items()
        chosen = self.selected()
        if chosen is None:
            self._shown = 0
            if self.wanted:
                return [
                    line(),
                    *(line("  ", *x) for x in paragraphs(f"No line has “{self.wanted}”; esc shows all.", width - 2)),
                ]
            return [line("  ", *x) for x in self.empty(width - 2)]
        each = self._item_lines = self.lines_each(len(items), height - self.top_lines)
        self._shown = max(1, (height - self.top_lines) // each)
        self._scroll(len(items))
        lines = self.table_head(width - 2)
        lines = [line("  ", *h) for h in lines]
        for item in items[self._offset : self._offset + self._shown]:
            here = item is chosen
            drawn = self.item(item, width - 2, each)
            mark = Span("▸ " if here else "  ", "accent" if here and self.has_focus else "unit")
            first, *rest = [pad(d, width - 2) for d in drawn]
            block = [(mark, *first), *((Span("  "), *r) for r in rest)]
            lines += [marked(b) for b in block] if here and self.has_focus else block
        room = height - len(lines) - 1
        if room >= 3:
            extra = self.below(chosen, width - 2, room)
            lines += [()] * (1 if extra else 0) + [line("  ", *x) for x in extra[:room]]
        return lines

    def _scroll(self, count: int) -> None:
        low = max(0, self._last_index - self._shown + 1)
        self._offset = min(max(self._offset, low), self._last_index, max(0, count - self._shown))

    def foot(self) -> Line:
        count = len(self.items())
        if not self._shown or count <= self._shown:
            return ()
        return ((Span(f"{self._last_index + 1} of {count}", "unit")),)

    def filtered(self) -> Line:
        """The filter as it stands in the title."""
        if not self.typing and not self.wanted:
            return ()
        return line((" · /", "accent"), (self.wanted, "figure"), ("▏" if self.typing else "", "accent"))

    def heading(self) -> Line:
        return (*super().heading(), *self.filtered())

    def ask_filter(self) -> None:
        self.typing = True
        self.sync()

    def clear_filter(self) -> bool:
        """Whether there was one."""
        had = self.typing or bool(self.wanted)
        self.typing, self.wanted = False, ""
        self.sync()
        return had

    def on_key(self, event: events.Key) -> None:
        """While the filter is typed, letters belong to it and not to the keymap. Enter and tab keep it."""
        if not self.typing:
            if event.key == "slash" and self.FILTERS and "filter" not in self.view.keys and self.items():
                self.ask_filter()  # at once: the letters behind it are in the queue already
                event.stop()
                event.prevent_default()
            return
        if event.key == "escape":
            self.clear_filter()
        elif event.key in ("enter", "tab"):
            self.typing = False
        elif event.key == "backspace":
            self.wanted = self.wanted[:-1]
        elif event.key == "ctrl+u":
            self.wanted = ""
        elif event.is_printable and event.character:
            self.wanted += event.character
        else:
            return  # arrows move the cursor among what is kept
        event.stop()
        event.prevent_default()
        self.sync()

    def on_blur(self) -> None:
        self.typing = False
        self.sync()

    def move(self, by: int) -> None:
        items = self.items()
        if not items or self.selected() is None:
            return
        self._moved = True
        self._last_index = min(max(0, self._last_index + by), len(items) - 1)
        self.cursor = self.identity(items[self._last_index])
        self.sync()

    def page(self) -> int:
        return max(1, self._shown // 2)

    def next_sort(self) -> str | None:
        if self.SORTS:
            self.sort = self.SORTS[(self.SORTS.index(self.sort or self.SORTS[0]) + 1) % len(self.SORTS)]
            self.sync()
        return self.sort

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move(-1)

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1 - self.top_lines
        if 0 <= row < self._shown * self._item_lines and self.size.height > 1:
            index = self._offset + row // self._item_lines
            if index < len(self.items()):
                self._last_index, self._moved = index, True
                self.cursor = self.identity(self.items()[index])
                self.sync()
                if event.chain == 2:
                    self.post_message(Opened())
