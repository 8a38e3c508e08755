"""The base of every dialog: a framed list of entries over the main screen. Owns: its cursor, filter, size and keys.

An entry with a key can be chosen; the cursor is bound to that key, so entries may change beneath it. Escape and q close
with None. Never: what an entry means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.geometry import Size

from ..state import Notice, View
from ..text import Line, Span, frame, line, marked, pad, plain
from ..widgets.backdrop import Dialog
from ..widgets.panel import LineWidget

if TYPE_CHECKING:
    from ..app import CockpitApp

R = TypeVar("R")
LETTERS = ("j", "k", "q", "G", "")  # those that are keys of every sheet
EDGE = 4  # cells together, on both sides, that are worth seeing of the screen beneath


@dataclass(frozen=True, slots=True)
class Entry:
    """Lines of one entry; without ``key`` it is only read. ``words`` is what the filter looks at."""

    lines: tuple[Line, ...]
    key: str | None = None
    words: str = field(default="")

    def matches(self, wanted: str) -> bool:
        text = (self.words or " ".join(plain(x) for x in self.lines)).lower()
        return all(word in text for word in wanted.lower().split())


class SheetBody(LineWidget, can_focus=True):
    greys = False

    def __init__(self, view: View, sheet: Sheet[R]) -> None:
        super().__init__(view)
        self.sheet = sheet

    def draw(self, width: int, height: int) -> list[Line]:
        return self.sheet.draw(width, height)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return self.sheet.measure()[0]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.sheet.measure()[1]

    def on_click(self, event: events.Click) -> None:
        self.sheet.clicked(event.y)


class Sheet(Dialog[R | None], Generic[R]):
    WIDE: ClassVar[int] = 84
    WHOLE: ClassVar[bool] = False  # it takes the terminal for itself, whatever it has to say
    FILTER: ClassVar[bool] = False
    ASK: ClassVar[str] = "/"  # stands before what is typed
    TYPES: ClassVar[bool] = False  # a letter that is no key begins the filter, without / before it
    FILTER_WORD: ClassVar[str] = "filter"  # what / is called here, in the row above the entries and in the hint
    BINDINGS = [
        Binding("escape,q", "close", "close, or one step back", show=False),
        Binding("enter", "choose", "choose the line that is marked", show=False),
        Binding("j,down,tab", "move(1)", "down", show=False),
        Binding("k,up,shift+tab", "move(-1)", "up", show=False),
        Binding("ctrl+d,pagedown", "page(1)", "half a page down", show=False),
        Binding("ctrl+u,pageup", "page(-1)", "half a page up", show=False),
        Binding("G,end", "end(1)", "to the end", show=False),
        Binding("home", "end(-1)", "to the beginning", show=False),
        Binding("slash", "filter", "keep only the lines with some words", show=False),
        Binding("question_mark,f1", "keys", "these keys", show=False),
        Binding("ctrl+c", "app.help_quit", show=False),  # a dialog keeps the application's own keys away
        Binding("x", "export", "write this picture and what is behind it to files", show=False),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.cursor: str | None = None
        self.wanted = ""
        self.typing = False
        self.told: Line = ()  # what the last key was told, in place of the hint
        self._offset = 0
        self._touched = False  # until then a sheet stands at its beginning, even where its first choice is far below
        self._rows: list[str | None] = []  # the key of each drawn row
        self._measured: tuple[int, int] | None = None
        self._body = SheetBody(view, self)

    @property
    def cockpit(self) -> CockpitApp:
        return cast("CockpitApp", self.app)

    # what a sheet says -------------------------------------------------------------------------------------------
    def heading(self) -> Line:
        raise NotImplementedError

    def entries(self, width: int) -> Sequence[Entry]:
        raise NotImplementedError

    def hint(self) -> Line:
        return line(("⏎", "key"), (" choose  ", "unit"), ("esc", "key"), (" close", "unit"))

    def chosen(self, key: str) -> None:
        """Enter on an entry."""
        raise NotImplementedError

    # drawing -----------------------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        yield self._body

    def on_resize(self) -> None:
        self.fit()

    def fit(self) -> None:
        """As large as its content is now."""
        before, self._measured = self._measured, None
        if before != self.measure():
            self._body.refresh(layout=True)
        self._body.sync()

    def measure(self) -> tuple[int, int]:
        """Width and height that its content needs. No strip of one cell is left of the screen beneath: a sheet that
        comes so near to the edge takes all there is."""
        if self._measured is None:
            size = self.app.size
            width = size.width if self.WHOLE else _filling(self.WIDE, size.width)
            lines = sum(len(e.lines) for e in self.entries(width - 6))
            wanted = max(5, lines + 4 + (1 if self.FILTER else 0))
            self._measured = width, size.height if self.WHOLE else _filling(wanted, size.height)
        return self._measured

    def sync(self) -> None:
        self._body.sync()

    def visible_entries(self, width: int) -> list[Entry]:
        entries = self.entries(width)
        if not self.wanted:
            return list(entries)
        kept = [e for e in entries if e.key is not None and e.matches(self.wanted)]
        return kept or [Entry((line((f"No line has “{self.wanted}”; esc shows all.", "unit")),))]

    def keys(self) -> list[str]:
        return [e.key for e in self.visible_entries(self._inner()) if e.key is not None]

    def _inner(self) -> int:
        return max(10, self._body.size.width - 6)

    def draw(self, width: int, height: int) -> list[Line]:
        inner = width - 6
        entries = self.visible_entries(inner)
        keys = [e.key for e in entries if e.key is not None]
        if self.cursor not in keys and keys:
            self.cursor = keys[0]
        rows: list[tuple[Line, str | None]] = []
        for entry in entries:
            here = entry.key is not None and entry.key == self.cursor
            mark = Span(" ▸ " if here else "   ", "accent")
            for i, content in enumerate(entry.lines):
                row = (mark if i == 0 else Span("   "), *pad(content, inner), Span(" "))
                rows.append((marked(row) if here else row, entry.key))
        top: list[tuple[Line, str | None]] = [((), None)]
        if self.FILTER:
            ask = line(
                (f"   {self.ASK} ", "accent" if self.typing else "unit"),
                (self.wanted, "figure"),
                ("▏" if self.typing else "", "accent"),
            )
            top = [(ask if self.typing or self.wanted else line((self._invites(), "unit")), None)]
        room = max(1, height - 2 - len(top))
        self._scroll([k for _, k in rows], room)
        shown = [*top, *rows[self._offset : self._offset + room]]
        self._rows = [k for _, k in shown]
        more = len(rows) - self._offset - room
        foot = self.told or line((f"↓ {more} more   " if more > 0 else "", "unit"), *self.hint())
        return frame(self.heading(), (), [x for x, _ in shown], width, height, rule="focus", foot=foot)

    def _invites(self) -> str:
        return f"   type to {self.FILTER_WORD}" if self.TYPES else f"   / {self.FILTER_WORD}"

    def _scroll(self, rows: list[str | None], room: int) -> None:
        keyed = [k for k in rows if k is not None]
        if keyed and not (self.cursor == keyed[0] and not self._touched):
            here = [i for i, k in enumerate(rows) if k == self.cursor]
            if here:
                first = here[0]
                while first and rows[first - 1] is None:  # a heading above stays in sight
                    first -= 1
                self._offset = min(max(self._offset, here[-1] - room + 1), first if here[0] - first < room else here[0])
        self._offset = min(max(0, self._offset), max(0, len(rows) - room))

    # keys --------------------------------------------------------------------------------------------------------
    def action_close(self) -> None:
        if self.typing or self.wanted:
            self.typing, self.wanted = False, ""
            self.fit()
        else:
            self.dismiss(None)

    def action_choose(self) -> None:
        if self.cursor is not None and self.cursor in self.keys():
            self.chosen(self.cursor)

    def action_move(self, by: int) -> None:
        keys = self.keys()
        if not keys:
            self._offset = max(0, self._offset + by)
            self.sync()
            return
        at = keys.index(self.cursor) if self.cursor in keys else 0
        if not self._touched and self.cursor not in self._rows and abs(by) == 1:
            by = 0  # out of sight: first it is shown where the cursor stands
        self._touched = True
        self.cursor = keys[min(max(0, at + by), len(keys) - 1)]
        self.moved()
        self.sync()

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self._body.size.height // 2))

    def action_end(self, by: int) -> None:
        self.action_move(by * 1_000_000)
        if by < 0:
            self._touched = False  # back at the very beginning, with what stands above the first choice
            self.sync()

    def action_filter(self) -> None:
        if self.FILTER:
            self.typing = True
            self.sync()

    def on_key(self, event: events.Key) -> None:
        """While the filter is typed, letters belong to it and not to the keymap."""
        if self.told and event.key not in ("x", "ctrl+c"):  # these two tell something
            self.told = ()
            self.sync()
        if not self.typing:
            begins = self.TYPES and event.is_printable and (event.character or "") not in LETTERS
            if not (self.FILTER and (event.key == "slash" or begins)):
                return
            self.action_filter()  # at once: the letters behind it are in the queue already
            if event.key == "slash":
                event.stop()
                event.prevent_default()
                return
        if event.key == "backspace":
            self.wanted = self.wanted[:-1]
        elif event.is_printable and event.character:
            self.wanted += event.character
        else:
            return
        event.stop()
        event.prevent_default()
        self.sync()

    def data(self) -> tuple[str, list[dict[str, Any]]]:
        """Its name and what stands behind it, for an export: its lines, where it knows nothing better."""
        said = (plain(x).rstrip() for e in self.visible_entries(self._inner()) for x in e.lines)
        return plain(self.heading()), [{"line": text} for text in said if text]

    def action_export(self) -> None:
        from ..export import written

        self.tell(written(self.cockpit))

    def tell(self, notice: Notice) -> None:
        """Until the next key."""
        self.told = line((notice.text, notice.token))
        self.sync()

    def action_keys(self) -> None:
        """Its keys, from its bindings; once more leads back."""
        from .explain import Reading
        from .sheet_keys import TITLE, keys_of

        if plain(self.heading()) == TITLE:
            self.dismiss(None)
        else:
            self.app.push_screen(Reading(self.view, TITLE, keys_of(self)))

    def moved(self) -> None:
        """The cursor stands on another entry."""

    def clicked(self, y: int) -> None:
        row = y - 1
        if 0 <= row < len(self._rows) and self._rows[row] is not None:
            again = self.cursor == self._rows[row]
            self.cursor = self._rows[row]
            self.moved()
            self.sync()
            if again:
                self.action_choose()


def _filling(wanted: int, there: int) -> int:
    return wanted if wanted <= there - EDGE else there
