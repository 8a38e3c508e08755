"""Which task's ranking is shown. Owns: the list of tasks with who serves each."""

from __future__ import annotations

from collections.abc import Sequence

from .. import format as fmt
from ..state import View, row_of
from ..text import Line, line
from .sheet import Entry, Sheet


class TaskPicker(Sheet[str]):
    """Dismisses with the task's name."""

    WIDE = 92
    FILTER = TYPES = True

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.cursor = view.task

    def heading(self) -> Line:
        return line(("tasks", "title"))

    def entries(self, width: int) -> Sequence[Entry]:
        snapshot = self.view.snapshot
        out = []
        for t in snapshot.tasks if snapshot else ():
            serving = row_of(t, t.incumbent)
            utility = fmt.score(serving.utility if serving else None)
            room = max(8, width - 22 - 2 - 5 - 12 - 10)
            text = line(
                (f"{fmt.fit(t.task, 20):<22}", "figure"),
                ("◆ " if t.incumbent else "  ", "serve"),
                (f"{fmt.fit(t.incumbent or 'nobody', room):<{room}}", "label"),
                (f"{utility:>5}", "figure"),
                (f"{fmt.count(t.requests):>7} reqs", "unit"),
                (f"{t.autopilot:>10}", "label" if t.autopilot == "on" else "warn"),
            )
            out.append(Entry((text,), t.task, t.task))
        return out or [Entry((line(("no task is known yet", "unit")),))]

    def chosen(self, key: str) -> None:
        self.dismiss(key)
