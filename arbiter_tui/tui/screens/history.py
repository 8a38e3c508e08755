"""Every swap, however long ago, and the trials beside them: a list that asks for more as it is scrolled.

Owns: when the engine is asked for the next page; the record of each behind enter. Never: drawing
(widgets/swap_table.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from ...core.snapshot import RolloutView, SwapView, from_wire
from ...errors import ArbiterError
from ..source import Engine
from ..state import Trouble, View
from ..text import Line, line
from ..widgets.panel import ListPanel
from ..widgets.swap_table import SwapTable
from .view import ALWAYS, MOVES, ViewScreen, bindings, key

PAGE = 200


class History(ViewScreen):
    NAME = "swaps"
    ACTION = "history"
    KEYS = (key("record", "enter,e", "record", "why it was swapped, its phases, and the way back to it", shown="⏎"),)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history", KEYS), *MOVES, *ALWAYS]

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.rows = SwapTable(view)
        self._asking = False

    def parts(self) -> Sequence[Widget]:
        self.rows.styles.height = "1fr"
        return (self.rows,)

    def table(self) -> ListPanel[Any]:
        return self.rows

    def sentence(self) -> Line:
        return line(("words and task: model: state: trigger: filter; older ones come as you scroll", "unit"))

    def why_not(self, id: str) -> str | None:
        return "no swap is selected" if self.rows.selected() is None else None

    # asking --------------------------------------------------------------------------------------------------------
    def on_news(self) -> None:
        snapshot = self.view.snapshot
        if snapshot is not None:
            self.rows.newest(snapshot.swaps)
            self.rows.beside(snapshot.rollouts, snapshot.operations)
        self.more()

    def action_move(self, by: int) -> None:
        super().action_move(by)
        self.more()

    def more(self) -> None:
        """The next page, if the cursor comes near the end of what is known; a filter asks on until it has a page."""
        wanted = not self.rows.loaded or self.rows.near_end()
        if wanted and not self._asking and not self.rows.complete and self.view.link == "live":
            self._asking = True
            self.run_worker(self._ask(), exit_on_error=False)

    async def _ask(self) -> None:
        engine = self.engine
        last = next(reversed(self.rows.rows), None)
        try:
            assert engine is not None
            if not self.rows.loaded:
                await self._trials(engine)
            found = await engine.swaps(PAGE, after=last)
            self.rows.older([from_wire(SwapView, swap) for swap in found], last=len(found) < PAGE)
        except (ArbiterError, OSError, TimeoutError, TypeError, ValueError) as error:
            if not self.rows.loaded:
                said = str(error) or type(error).__name__
                self.rows.trouble = Trouble("The engine did not tell its swaps", said, "It is asked again by itself.")
            self.redraw()
            return
        finally:
            self._asking = False
        self.rows.trouble = None
        self.redraw()
        self.more()

    async def _trials(self, engine: Engine) -> None:
        """The snapshot has the newest ones; where the others can't be had, the swaps are worth showing without them."""
        with contextlib.suppress(ArbiterError, TypeError, ValueError):
            self.rows.beside([from_wire(RolloutView, r) for r in await engine.rollouts()])

    # keys ----------------------------------------------------------------------------------------------------------
    def do_record(self) -> None:
        swap = self.rows.selected()
        if swap is not None:
            self.cockpit.read_swap(swap)
