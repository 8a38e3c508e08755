"""The requests as they end: a live tail with a filter, and the whole record of each behind enter.

Owns: when the engine is asked for more. Never: drawing (widgets/request_table.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from ...errors import ArbiterError
from ..state import Trouble, View
from ..text import Line, line
from ..widgets.panel import ListPanel
from ..widgets.request_table import RequestTable
from .view import ALWAYS, MOVES, ViewScreen, bindings, key

FIRST = 200
MORE = 100


class Requests(ViewScreen):
    NAME = "requests"
    ACTION = "requests"
    KEYS = (
        key("record", "enter", "record", "the whole record of this request, and why its model answered", shown="⏎"),
        key("follow", "f", "follow", "go along with the newest again"),
        key("again", "g", "ask again", "this request's prompt in the playground", writes=True),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("requests", KEYS), *MOVES, *ALWAYS]

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.rows = RequestTable(view)
        self._asking = False
        self._revision: int | None = None

    def parts(self) -> Sequence[Widget]:
        self.rows.styles.height = "1fr"
        return (self.rows,)

    def table(self) -> ListPanel[Any]:
        return self.rows

    def sentence(self) -> Line:
        return line(("words and task: model: outcome: filter; the cursor rests where you leave it", "unit"))

    def why_not(self, id: str) -> str | None:
        if id == "follow":
            return "it does follow" if self.rows.following else None
        return "no request is selected" if self.rows.selected() is None else None

    # asking --------------------------------------------------------------------------------------------------------
    def on_news(self) -> None:
        """One question at a time; a snapshot that comes meanwhile is answered by the next one."""
        snapshot, engine = self.view.snapshot, self.engine
        if engine is None or snapshot is None or self._asking or self.view.link != "live":
            return
        if snapshot.revision == self._revision:
            return
        self._asking = True
        self.run_worker(self._ask(snapshot.revision), exit_on_error=False)

    async def _ask(self, revision: int) -> None:
        try:
            engine = self.engine
            assert engine is not None
            found = await engine.requests(MORE if self.rows.loaded else FIRST)
        except (ArbiterError, OSError, TimeoutError) as error:
            if not self.rows.loaded:
                said = str(error) or type(error).__name__
                self.rows.trouble = Trouble(
                    "The engine did not tell its requests", said, "It is asked again by itself."
                )
            self.redraw()
            return
        finally:
            self._asking = False
        self._revision, self.rows.trouble = revision, None
        if self.rows.take(found):
            self.redraw()

    # keys ----------------------------------------------------------------------------------------------------------
    def do_record(self) -> None:
        row, engine = self.rows.selected(), self.engine
        if row is None or engine is None:
            return
        from .explain import Reading
        from .explained import explanation

        self.fetch(
            f"record of {row.id}",
            engine.explain(row.id),
            lambda found: self.app.push_screen(
                Reading(self.view, f"request {row.id}", lambda width: explanation(found, width))
            ),
        )

    def do_follow(self) -> None:
        self.action_end(1)

    def do_again(self) -> None:
        row, engine = self.rows.selected(), self.engine
        if row is not None and engine is not None:
            self.fetch(f"prompt of {row.id}", engine.requests(FIRST, prompts=True), lambda r: self._again(row.id, r))

    def _again(self, id: str, rows: Sequence[Any]) -> None:
        from ..actions_views import ask_again

        ask_again(self.cockpit, next((r for r in rows if r.get("id") == id), {}))
