"""Lists that are the whole of a view, and tails: lists that grow at their end. Owns: following, the rows kept. Never:
what a row is.

A tail follows while its cursor rests on the newest row. Moved up, the cursor stays on its row and the rows around it
stay where they are on the screen, whatever comes and whatever is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from ..filter import matches
from ..state import Trouble, View
from ..text import Line, line, paragraphs
from .panel import ListPanel

T = TypeVar("T")


class ViewList(ListPanel[T], Generic[T]):
    """No digit before its name; ``trouble`` says why nothing came."""

    trouble: Trouble | None = None
    loaded = False

    def heading(self) -> Line:
        extra = self.subject()
        name = line((self.name_, "accent" if self.has_focus else "head"))
        return (*name, *(extra and line((" · ", "unit"), *extra)), *self.filtered())

    def waiting(self, width: int, what: str) -> list[Line]:
        return waiting_lines(self.view, width, what, self.trouble)


def waiting_lines(view: View, width: int, what: str, trouble: Trouble | None = None) -> list[Line]:
    """What stands where nothing is known yet: a quiet word, or why nothing comes."""
    found = trouble or view.trouble
    if found is None:
        return [line(), line((what, "label"))]
    said = [*paragraphs("✕ " + found.what, width, "fail"), line(), *paragraphs(found.why, width)]
    return [line(), *said, line(), *paragraphs("→ " + found.do, width, "figure")]


class Tail(ViewList[T], Generic[T]):
    """``put`` rows, then ``settle``."""

    FILTERS = True
    KEPT: ClassVar[int] = 1_000

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(view, id=id)
        self.rows: OrderedDict[str, T] = OrderedDict()
        self.following = True
        self.unseen = 0
        self._fresh = 0
        self._change = 0
        self._kept: tuple[tuple[object, ...], list[T]] | None = None

    def fields(self, row: T) -> Mapping[str, str]:
        """What a filter may ask of a row."""
        raise NotImplementedError

    def keeps(self, row: T) -> bool:
        return not self.wanted or matches(self.wanted, self.fields(row))

    def key(self) -> tuple[object, ...]:
        """What the rows that are kept depend on."""
        return (self._change, self.wanted)

    # rows ----------------------------------------------------------------------------------------------------------
    def put(self, id: str, row: T) -> None:
        """A new row at the end, or a known one as it is now."""
        if self.rows.get(id) != row:
            self._change += 1
            self._fresh += id not in self.rows and self.keeps(row)
            self.rows[id] = row

    def settle(self) -> bool:
        """After rows were put: forget the oldest, follow. Whether there is anything new to draw."""
        changed = self._change != (self._kept[0][0] if self._kept else None) or not self.loaded
        self.loaded = True
        gone = 0
        while len(self.rows) > self.KEPT:
            gone += self.keeps(self.rows.popitem(last=False)[1])
        if self.following:
            self.to_end()
        else:
            self._offset = max(0, self._offset - gone)
            self.unseen += self._fresh
        self._fresh = 0
        return changed

    def clear(self) -> None:
        self.rows.clear()
        self.loaded, self.trouble, self.cursor = False, None, None
        self._change += 1
        self.to_end()

    def items(self) -> Sequence[T]:
        key = self.key()
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, [r for r in self.rows.values() if self.keeps(r)])
        return self._kept[1]

    # following -----------------------------------------------------------------------------------------------------
    def to_end(self) -> None:
        self.following, self.unseen = True, 0
        items = self.items()
        if items:
            self.cursor, self._last_index = self.identity(items[-1]), len(items) - 1

    def move(self, by: int) -> None:
        if self.following:
            self.to_end()
        self.following = False  # while it moves: else the cursor would be put back to the end
        super().move(by)
        items = self.items()
        if not items or self.cursor == self.identity(items[-1]):
            self.to_end()
        self.sync()

    def selected(self) -> T | None:
        if not self.following:
            return super().selected()
        self.to_end()
        items = self.items()
        return items[-1] if items else None

    def subject(self) -> Line:
        if self.following or not self.rows:
            return ()
        more = f", {self.unseen} newer" if self.unseen else ""
        return line((f"‖ held{more}", "warn"), ("  G follows", "unit"))

    def figure(self) -> Line:
        shown = len(self.items())
        if shown < len(self.rows):
            return line((str(shown), "figure"), (f" of {len(self.rows)}", "unit"))
        return line((str(shown), "figure"), (" newest" if shown >= self.KEPT else "", "unit")) if shown else ()
