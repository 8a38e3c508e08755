"""Logs that follow: of a model's worker, or of the engine itself (what happened, and what it warned of).

Owns: whose log is read, and the long poll behind it. Never: drawing (widgets/log_table.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from ...errors import ArbiterError
from ..source import Engine
from ..state import Trouble, View
from ..text import Line, line
from ..widgets.log_table import LEVELS, LogLine, LogTable
from ..widgets.panel import ListPanel
from .view import ALWAYS, MOVES, ViewScreen, bindings, key

WAIT_S = 20.0  # of the long poll
RETRY_S = 1.0
ENGINE = "the engine"


def log_lines(text: Sequence[str]) -> list[Line]:
    """A worker's lines for a sheet; the loud ones are marked."""
    lines = []
    for n, raw in enumerate(text):
        said = LogLine.said(n, raw)
        bad = said.level != "info"
        lines.append(line(("▲ " if bad else "  ", "warn"), (said.text, "warn" if bad else "label")))
    return lines


class LogView(ViewScreen):
    """``version`` None: the engine's own."""

    NAME = "log"
    KEYS = (
        key("follow", "f", "follow", "go along with the newest lines again"),
        key("level", "o", "level", "all lines, warnings and errors, errors only"),
        key("whose", "m,l", "whose log", "another model's worker, or the engine's own"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("log", KEYS),
        *MOVES,
        *ALWAYS,
        Binding("right", "aside(1)", show=False),
        Binding("left", "aside(-1)", show=False),
    ]
    PLACES = "j k ^d ^u G home move, ← → scroll long lines, / filters (also level:error)"

    def __init__(self, view: View, version: str | None) -> None:
        super().__init__(view)
        self.ACTION = "engine_log" if version is None else ""
        self.version = version
        self.lines = LogTable(view)

    def parts(self) -> Sequence[Widget]:
        self.lines.styles.height = "1fr"
        return (self.lines,)

    def table(self) -> ListPanel[Any]:
        return self.lines

    def on_mount(self) -> None:
        super().on_mount()
        self._open(self.version)

    def sentence(self) -> Line:
        return line(("/ searches, ← → scroll long lines", "unit"))

    def why_not(self, id: str) -> str | None:
        return "it does follow" if id == "follow" and self.lines.following else None

    # reading -------------------------------------------------------------------------------------------------------
    def _open(self, version: str | None) -> None:
        self.version = version
        self.lines.name_ = f"log · {version or ENGINE}"
        self.lines.clear()
        self.lines.aside = 0
        self.run_worker(self._read(), exclusive=True, group="log", exit_on_error=False)
        self.redraw()

    async def _read(self) -> None:
        """For as long as the view is open; a wire that is down is tried again."""
        mark: Any = None
        while True:
            try:
                if self.engine is None:
                    await asyncio.sleep(RETRY_S)
                    continue
                mark = await self._more(self.engine, mark)
                self.lines.trouble = None
            except (ArbiterError, OSError, TimeoutError) as error:
                said = str(error) or type(error).__name__
                self.lines.trouble = Trouble("The log can't be read", said, "It is tried again by itself.")
                self.redraw()
                await asyncio.sleep(RETRY_S)

    async def _more(self, engine: Engine, mark: Any) -> Any:
        first = mark is None
        if self.version is None:
            events = await engine.events(mark or 0, None if first else WAIT_S)
            for event in events:
                said = LogLine.happened(event)
                self.lines.put(said.id, said)
            mark = int(events[-1]["revision"]) if events else mark or 0
        else:
            found, mark = await engine.log_page(self.version, mark, None if first else WAIT_S)
            self.lines.say(found)
        if self.lines.settle():
            self.redraw()
        return mark

    # keys ----------------------------------------------------------------------------------------------------------
    def do_follow(self) -> None:
        self.action_end(1)

    def do_level(self) -> None:
        self.lines.level = LEVELS[(LEVELS.index(self.lines.level) + 1) % len(LEVELS)]
        self.redraw()

    def do_whose(self) -> None:
        from .prompt_picker import ModelPicker

        def chosen(name: str | None) -> None:
            if name is not None:
                self._open(None if name == ENGINE else name)

        snapshot = self.view.snapshot
        names = [ENGINE, *(m.version for m in snapshot.models)] if snapshot else [ENGINE]
        self.app.push_screen(ModelPicker(self.view, "whose log", names, self.version or ENGINE), chosen)

    def action_aside(self, by: int) -> None:
        self.lines.scroll_aside(by, self.lines.size.width)
