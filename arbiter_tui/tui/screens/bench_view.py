"""The benchmark: what is measured of each task and model, and runs for a cell, a row, a column or everything.

Owns: when the cells are asked for, what a run would ask, its start and its end. Never: drawing the cells
(widgets/bench_matrix.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widget import Widget

from ...core.snapshot import OperationView
from ...errors import ArbiterError
from .. import format as fmt
from ..state import Trouble, View
from ..text import Line, line
from ..widgets.bench_matrix import BenchMatrix
from ..widgets.narrator import operation
from .confirm import Choice, Confirm
from .view import ALWAYS, MOVES, ViewScreen, bindings, key

EVERY_S = 1.0  # while a run goes on: cells are asked for at most so often


class BenchView(ViewScreen):
    NAME = "benchmark"
    ACTION = "benchmark"
    KEYS = (
        key("cell", "enter,b", "this cell", "measure this model on this task", shown="⏎", writes=True),
        key("row", "t", "this task", "measure every active model on this task", writes=True),
        key("column", "m", "this model", "measure this model on every task", writes=True),
        key("all", "a", "everything", "measure every active model on every task", writes=True),
        key("stop", "c", "cancel", "end the run; what it has measured is kept", writes=True),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("benchmark", KEYS),
        *MOVES,
        *ALWAYS,
        Binding("l,right", "aside(1)", show=False),
        Binding("h,left", "aside(-1)", show=False),
    ]
    PLACES = "h j k l and arrows move"

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.matrix = BenchMatrix(view)
        self._known: object = None
        self._asking = False
        self._asked_at = float("-inf")
        self._later: Timer | None = None

    def parts(self) -> Sequence[Widget]:
        self.matrix.styles.height = "1fr"
        return (self.matrix,)

    def on_mount(self) -> None:
        self.matrix.focus()
        super().on_mount()

    def running(self) -> OperationView | None:
        snapshot = self.view.snapshot
        under_way = (o for o in snapshot.operations if o.kind == "bench" and o.state == "running") if snapshot else ()
        return next(iter(under_way), None)

    def sentence(self) -> Line:
        op = self.running()
        if op is not None:
            return operation(op)
        return line(("◆ serves; requests go first; a cancelled run goes on where it stopped", "unit"))

    def why_not(self, id: str) -> str | None:
        op = self.running()
        if id == "stop":
            return None if op is not None else "no benchmark is running"
        if op is not None:
            return "a benchmark is running; c cancels it"
        if self.matrix.cursor is None:
            return "there is nothing to measure"
        return "this model lacks a capability" if id == "cell" and self.matrix.selected is None else None

    # asking --------------------------------------------------------------------------------------------------------
    def on_news(self) -> None:
        """The cells change only when a run does, or the registry: all else asks for nothing."""
        snapshot = self.view.snapshot
        if snapshot is None or self.view.link != "live" or self.engine is None:
            return
        if self.running() is not None and self.view.notice is not None and self.view.notice.token == "ok":
            self.view.notice = None  # that it runs is said by its progress, which stands on the same line
        runs = tuple((o.id, o.state, o.progress) for o in snapshot.operations if o.kind == "bench")
        seen = (runs, tuple((m.version, m.lifecycle) for m in snapshot.models), len(snapshot.tasks))
        if seen == self._known or self._asking or self._later is not None:
            return
        wait = self._asked_at + EVERY_S - self.cockpit.now() if self.running() is not None else 0.0
        if wait > 0:
            self._later = self.set_timer(wait, self._ask_now)
            return
        self._known = seen
        self._ask_now()

    def _ask_now(self) -> None:
        if self._later is not None:
            self._later, self._known = None, None  # the next snapshot asks again: a run may have ended meanwhile
        self._asking, self._asked_at = True, self.cockpit.now()
        self.run_worker(self._ask(), exit_on_error=False)

    async def _ask(self) -> None:
        try:
            assert self.engine is not None
            found = await self.engine.bench_cells()
        except (ArbiterError, OSError, TimeoutError) as error:
            self._known = None
            said = str(error) or type(error).__name__
            self.matrix.trouble = Trouble(
                "The engine did not tell what is measured", said, "It is asked again by itself."
            )
        else:
            self.matrix.take(found)
        finally:
            self._asking = False
        self.redraw()

    # runs ----------------------------------------------------------------------------------------------------------
    def do_cell(self) -> None:
        assert self.matrix.cursor is not None
        task, version = self.matrix.cursor
        self._start([task], [version], "start")

    def do_row(self) -> None:
        assert self.matrix.cursor is not None
        self._start([self.matrix.cursor[0]], None, "cancel")

    def do_column(self) -> None:
        assert self.matrix.cursor is not None
        self._start(None, [self.matrix.cursor[1]], "cancel")

    def do_all(self) -> None:
        self._start(None, None, "cancel")

    def _start(self, tasks: list[str] | None, versions: list[str] | None, default: str) -> None:
        """A single cell starts with enter, enter; anything longer has Cancel as its default."""
        active = (
            {m.version for m in self.view.snapshot.models if m.lifecycle == "active"} if self.view.snapshot else set()
        )
        chosen = [
            c
            for c in self.matrix.cells.values()
            if (tasks is None or c.task in tasks) and c.version in (versions if versions is not None else active)
        ]
        count = sum(c.questions for c in chosen)
        what = f"{tasks[0] if tasks else 'every task'} · {versions[0] if versions else 'every active model'}"
        sentences = [f"{what}: at most {fmt.plural(count, 'question')} in {fmt.plural(len(chosen), 'cell')}."]
        sentences.append("Questions that a cancelled run has asked are left out; requests are served first.")

        def answered(choice: str | None) -> None:
            if choice == "start":
                self.cockpit.commander.bench(tasks, versions)

        choices = [Choice("start", "Start", "c cancels it at any time")]
        self.app.push_screen(Confirm(self.view, "measure?", sentences, choices, default=default), answered)

    def do_stop(self) -> None:
        op = self.running()
        if op is None:
            return
        said = ", ".join(x for x in (f"{fmt.percent(op.progress)} done", fmt.left(op.eta_s)) if x)

        def answered(choice: str | None) -> None:
            if choice == "stop":
                self.cockpit.commander.cancel(op.id)

        choices = [Choice("stop", "Cancel it", "what it has measured is kept")]
        self.app.push_screen(Confirm(self.view, "end the benchmark?", [said], choices), answered)

    # moving --------------------------------------------------------------------------------------------------------
    def action_move(self, by: int) -> None:
        self.matrix.move(by, 0)
        self.keyline.sync()

    def action_aside(self, by: int) -> None:
        self.matrix.move(0, by)
        self.keyline.sync()

    def action_page(self, by: int) -> None:
        self.action_move(by * self.matrix.page())
