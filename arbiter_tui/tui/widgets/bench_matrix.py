"""The benchmark as a matrix: a row a task, a column a model, filling in while a run goes on.

Owns: the cells as they were told last, the cursor (bound to a task and a version), which columns are in sight. A cell
keeps its figure while it is measured again; what was never measured is a dash. Never: asking, starting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual import events

from .. import format as fmt
from ..messages import Opened
from ..state import Trouble, View
from ..text import Line, Span, line, marked, pad, paragraphs
from .panel import Panel
from .view_list import waiting_lines

NARROW, WIDEST = 12, 22
HEAD = 2  # lines above the cells


@dataclass(frozen=True, slots=True)
class Cell:
    """``quality``: mean of the newest ``samples`` grades by the suite. ``asked`` of ``asking`` in a run under way."""

    task: str
    version: str
    questions: int = 0
    quality: float | None = None
    samples: int = 0
    state: str = "idle"  # idle, waiting, running, done
    asked: int = 0
    asking: int = 0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Cell:
        quality = data.get("quality")
        return cls(
            fmt.visible(str(data.get("task", ""))), fmt.visible(str(data.get("version", ""))),
            int(data.get("questions") or 0), float(quality) if isinstance(quality, (int, float)) else None,
            int(data.get("samples") or 0), str(data.get("state", "idle")),
            int(data.get("asked") or 0), int(data.get("asking") or 0),
        )  # fmt: skip


class BenchMatrix(Panel):
    margin = 0

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.cells: dict[tuple[str, str], Cell] = {}
        self.tasks: list[str] = []
        self.versions: list[str] = []
        self.loaded = False
        self.trouble: Trouble | None = None
        self.cursor: tuple[str, str] | None = None
        self._first_row = self._first_column = 0
        self._rows = self._columns = 1
        self._widths = (12, NARROW)

    def take(self, items: Sequence[Mapping[str, Any]]) -> None:
        cells = [Cell.of(i) for i in items]
        self.cells = {(c.task, c.version): c for c in cells}
        self.tasks = list(dict.fromkeys(c.task for c in cells))
        self.versions = list(dict.fromkeys(c.version for c in cells))
        self.loaded, self.trouble = True, None
        self._keep_cursor()

    def _keep_cursor(self) -> None:
        """Where its task or model has gone, the first of them."""
        if not self.cells:
            self.cursor = None
            return
        task, version = self.cursor or (self.view.task or "", "")
        task = task if task in self.tasks else self.tasks[0]
        self.cursor = (task, version if version in self.versions else self.versions[0])

    @property
    def selected(self) -> Cell | None:
        """The cell under the cursor; None where that model can't do that task."""
        return self.cells.get(self.cursor) if self.cursor is not None else None

    def move(self, down: int, right: int) -> None:
        if self.cursor is None:
            return
        row = self.tasks.index(self.cursor[0]) + down
        column = self.versions.index(self.cursor[1]) + right
        self.cursor = (
            self.tasks[min(max(0, row), len(self.tasks) - 1)],
            self.versions[min(max(0, column), len(self.versions) - 1)],
        )
        self.sync()

    def page(self) -> int:
        return max(1, self._rows // 2)

    # drawing -------------------------------------------------------------------------------------------------------
    def heading(self) -> Line:
        shown = line(("benchmark", "accent" if self.has_focus else "head"))
        return line(*shown, (f" · {fmt.plural(len(self.tasks), 'task')}", "unit")) if self.tasks else shown

    def figure(self) -> Line:
        known = sum(c.samples > 0 for c in self.cells.values())
        return (
            line((str(known), "figure"), (f" of {fmt.plural(len(self.cells), 'cell')} measured", "unit"))
            if self.cells
            else ()
        )

    def foot(self) -> Line:
        if len(self.versions) <= self._columns and len(self.tasks) <= self._rows:
            return ()
        last = min(self._first_column + self._columns, len(self.versions))
        return line((f"models {self._first_column + 1}–{last} of {len(self.versions)}", "unit"))

    def body(self, width: int, height: int) -> list[Line]:
        if self.cursor is None:
            return [line("  ", *x) for x in self._empty(width - 2)]
        self._fit(width, height)
        first, each = self._widths
        versions = self.versions[self._first_column : self._first_column + self._columns]
        lines = [self._head(versions, part) for part in (0, 1)]
        for task in self.tasks[self._first_row : self._first_row + self._rows]:
            here = task == self.cursor[0]
            spans: list[Span] = [Span("▸ " if here else "  ", "accent")]
            spans += pad((Span(fmt.fit(task, first), "figure" if here else "label"),), first)
            for version in versions:
                cell = pad(line(" ", *self._cell(self.cells.get((task, version)), each - 2), " "), each)
                spans += marked(cell) if (task, version) == self.cursor else cell
            lines.append(tuple(spans))
        room = height - len(lines) - 1
        told = self._told(width - 2) if room >= 2 else []
        return [*lines, line(), *(line("  ", *x) for x in told[: max(0, room)])]

    def _fit(self, width: int, height: int) -> None:
        """As many rows and columns as fit, the cursor's among them."""
        assert self.cursor is not None
        first = min(16, max(len(t) for t in self.tasks)) + 1
        each = min(WIDEST, max(NARROW, (width - first - 2) // len(self.versions)))
        self._widths = (first, each)
        self._columns = max(1, (width - first - 2) // each)
        self._rows = max(1, height - HEAD)
        row, column = self.tasks.index(self.cursor[0]), self.versions.index(self.cursor[1])
        self._first_row = _sight(self._first_row, row, self._rows, len(self.tasks))
        self._first_column = _sight(self._first_column, column, self._columns, len(self.versions))

    def _head(self, versions: Sequence[str], part: int) -> Line:
        """A model's name over its provider's; the cursor's column is lit."""
        first, each = self._widths
        spans: list[Span] = [*pad((), first + 2)]
        for version in versions:
            stem, _, provider = version.rpartition(".")
            here = self.cursor is not None and version == self.cursor[1]
            text = fmt.fit((stem or version, provider if stem else "")[part], each - 2)
            spans += pad(line(" ", (text, "figure" if here else "label" if part == 0 else "unit")), each)
        return tuple(spans)

    def _cell(self, cell: Cell | None, width: int) -> Line:
        if cell is None:
            return ()
        serves = line(("◆ ", "serve")) if self._serves(cell) else ()
        figure = line((fmt.score(cell.quality), "figure" if cell.samples else "unit"))
        known = line(*figure, (f" n{cell.samples}", "unit")) if cell.samples else figure
        match cell.state:
            case "running":
                room = width - 8 - 2 * len(serves)
                steps = fmt.steps(cell.asked / cell.asking if cell.asking else None, max(2, min(6, room)))
                before = f"{fmt.score(cell.quality):<4}" if cell.samples and width >= 14 + 2 * len(serves) else ""
                return line(*serves, (before, "unit"), (steps, "label"), (f" {cell.asked}/{cell.asking}", "figure"))
            case "waiting":
                return line(*serves, ("◌ ", "unit"), *known)
            case "done":
                return line(*serves, ("✓ ", "ok"), *known)
        return line(*(serves or line("  ")), *known)

    def _serves(self, cell: Cell) -> bool:
        snapshot = self.view.snapshot
        return snapshot is not None and any((t.task, t.incumbent) == (cell.task, cell.version) for t in snapshot.tasks)

    def _told(self, width: int) -> list[Line]:
        """The cell under the cursor in words."""
        assert self.cursor is not None
        task, version = self.cursor
        cell = self.selected
        head = line((task, "figure"), (" · ", "unit"), (version, "label"))
        if cell is None:
            return [head, *paragraphs("It lacks a capability that this task needs.", width, "unit")]
        if not cell.samples:
            said = f"Not measured yet; its suite has {fmt.plural(cell.questions, 'question')}."
        else:
            of = "" if cell.samples == cell.questions else f" (the suite has {cell.questions})"
            said = f"Quality {fmt.score(cell.quality)} on {fmt.plural(cell.samples, 'graded answer')}{of}."
        return [head, *paragraphs(said, width, "unit")]

    def _empty(self, width: int) -> list[Line]:
        if not self.loaded:
            return waiting_lines(self.view, width, "asking the engine what is measured …", self.trouble)
        said = "No task with a suite has a model that could answer it. Register one: M shows the registry."
        return [line(), line(("Nothing to measure.", "figure")), line(), *paragraphs(said, width)]

    def on_click(self, event: events.Click) -> None:
        first, each = self._widths
        row, column = event.y - 1 - HEAD + self._first_row, (event.x - 3 - first) // each + self._first_column
        if 0 <= row < len(self.tasks) and 0 <= column < len(self.versions) and event.y > HEAD:
            self.cursor = (self.tasks[row], self.versions[column])
            self.sync()
            if event.chain == 2:
                self.post_message(Opened())


def _sight(first: int, at: int, shown: int, count: int) -> int:
    """The first row or column to show so that ``at`` is in sight."""
    return max(0, min(max(first, at - shown + 1), at, max(0, count - shown)))
