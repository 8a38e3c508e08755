"""What is shown: regions and the columns of the tables, each with a tick. Owns: the list. Never: where they stand.

A column that is ticked may still lack room; the list says so, for taking the tick off another one makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.binding import Binding

from ..text import Line, line
from ..widgets.panel import ListPanel, Panel
from .sheet import Entry, Sheet

if TYPE_CHECKING:
    from .main import MainScreen

KEPT = 5  # the narrator: what a key has done is said there


class ShownSheet(Sheet[None]):
    WIDE = 62
    BINDINGS = [Binding("space", "choose", "show or hide it", show=False)]

    def __init__(self, main: MainScreen) -> None:
        super().__init__(main.view)
        self.main = main
        panel = main.focused_panel()
        if isinstance(panel, ListPanel) and panel.all_columns(80):
            first = next(c for c in panel.all_columns(80) if c.key not in panel.ALWAYS)
            self.cursor = f"{panel.digit}:{first.key}"

    def heading(self) -> Line:
        return line(("what is shown", "title"))

    def hint(self) -> Line:
        return line(("space", "key"), (" on or off  ", "unit"), ("esc", "key"), (" close", "unit"))

    def entries(self, width: int) -> Sequence[Entry]:
        out = [Entry((line(("regions", "head")),))]
        out += [self._region(p) for p in self.main.panels if p.digit != KEPT]
        for panel in self.main.panels:
            if isinstance(panel, ListPanel) and (columns := panel.all_columns(200)):
                out += [Entry((line(),)), Entry((line((f"columns of {panel.name_}", "head")),))]
                shown = panel.shown_columns()
                for c in columns:
                    if c.key not in panel.ALWAYS:
                        out.append(_column(panel, c.key, "interval" if c.key == "axis" else c.title, shown))
        return out

    def _region(self, panel: Panel) -> Entry:
        on = panel.digit not in self.main.hidden
        return Entry((ticked(on, panel.name_, f"{panel.digit} shows it"),), str(panel.digit))

    def chosen(self, key: str) -> None:
        digit, _, column = key.partition(":")
        if not column:
            self.main.show_region(int(digit), int(digit) in self.main.hidden)
        else:
            panel = self.main.panels[int(digit) - 1]
            assert isinstance(panel, ListPanel)
            panel.left_out = panel.left_out ^ {column}
            panel.sync()
        self.call_after_refresh(self._again)

    def _again(self) -> None:
        """The screen beneath has another face, and which columns have room may differ."""
        self.refresh()
        self.sync()


def _column(panel: ListPanel[object], key: str, title: str, shown: frozenset[str]) -> Entry:
    on = key not in panel.left_out
    return Entry((ticked(on, title, "no room for it now" if on and key not in shown else ""),), f"{panel.digit}:{key}")


def ticked(on: bool, name: str, note: str) -> Line:
    return line(("[✓] " if on else "[ ] ", "accent" if on else "unit"), (f"{name:<14}", "figure"), (note, "unit"))
