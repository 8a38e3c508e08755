"""A recent request to ask again, and the model to ask beside the one that serves. Owns: the two lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import format as fmt
from ..state import View, quality_of, row_of
from ..text import Line, line
from .sheet import Entry, Sheet


class PromptPicker(Sheet[str]):
    """Dismisses with the request's id. The engine remembers prompts while it runs, never those of private tasks."""

    WIDE = 104
    FILTER = TYPES = True

    def __init__(self, view: View, rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(view)
        self.rows = [r for r in rows if r.get("messages")]

    def heading(self) -> Line:
        return line(("ask again", "title"))

    def entries(self, width: int) -> Sequence[Entry]:
        now = self.view.snapshot.taken_at if self.view.snapshot else 0.0
        out = []
        for row in self.rows:
            said = str(row["messages"][-1].get("content", ""))
            more = len(row["messages"]) - 1
            text = line(
                (f"{fmt.clock(float(row.get('at') or 0.0), now):<7}", "unit"),
                (f"{fmt.fit(fmt.visible(str(row.get('task') or 'by name')), 13):<15}", "label"),
                (f"+{more} " if more else "", "unit"),
                (fmt.shorten(fmt.visible(said), max(10, width - 26)), "figure"),
            )
            out.append(Entry((text,), str(row["id"]), f"{row.get('task')} {said[:500]}"))
        none = "no prompt is remembered: the engine keeps them while it runs, and never those of private tasks"
        return out or [Entry((line((none, "unit")),))]

    def chosen(self, key: str) -> None:
        self.dismiss(key)


class ModelPicker(Sheet[str]):
    """Dismisses with the version; the task's ranking comes first."""

    WIDE = 84
    FILTER = TYPES = True

    def __init__(self, view: View, title: str, versions: Sequence[str], chosen: str | None) -> None:
        super().__init__(view)
        self.title_, self.versions, self.cursor = title, versions, chosen

    def heading(self) -> Line:
        return line((self.title_, "title"))

    def entries(self, width: int) -> Sequence[Entry]:
        task, room = self.view.task_view(), max(16, width - 14)
        out = []
        for version in self.versions:
            row = row_of(task, version)
            text = line(
                (f"{(row.rank if row else 0) or fmt.DASH:>3}  ", "unit"),
                (f"{fmt.fit(version, room):<{room}}", "figure"),
                (f"{quality_of(row):>5}", "label"),
            )
            out.append(Entry((text,), version, version))
        return out or [Entry((line(("no model is known", "unit")),))]

    def chosen(self, key: str) -> None:
        self.dismiss(key)
