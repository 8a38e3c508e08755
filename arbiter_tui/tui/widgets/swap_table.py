"""Every swap there ever was, newest first, and the trials and appointments between them.

Owns: a row and its columns, what is kept of a filter. Never: asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...core.snapshot import OperationView, RolloutView, SwapView
from .. import format as fmt
from ..changes import in_order, steps
from ..filter import matches
from ..state import View
from ..text import Column, Line, Span, Table, line, paragraphs
from .swaps import RESULTS, TRIGGERS, between, why, word_of
from .view_list import ViewList

WIDE = 96  # cells from which on there is room for the day as well; narrower, both names are worth more


class SwapTable(ViewList[SwapView]):
    name_ = "swaps"
    FILTERS = True

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.rows: dict[str, SwapView] = {}  # the swaps, newest first
        self.rollouts: dict[str, RolloutView] = {}
        self.appointments: dict[str, OperationView] = {}
        self.complete = False
        self._kept: tuple[tuple[str, int], list[SwapView]] | None = None
        self._change = 0

    def newest(self, swaps: Sequence[SwapView]) -> None:
        """The snapshot's: new ones in front, known ones as they are now."""
        fresh = {s.id: s for s in swaps if self.rows.get(s.id) != s}
        if not fresh:
            return
        known = {id: fresh.pop(id, swap) for id, swap in self.rows.items()}
        self.rows = {**fresh, **known}
        self._change += 1

    def beside(self, rollouts: Iterable[RolloutView], operations: Iterable[OperationView] = ()) -> None:
        """What was no swap; the newest news of each."""
        trials = {**self.rollouts, **{r.id: r for r in rollouts}}
        kept = {**self.appointments, **{o.id: o for o in operations if o.kind == "appointment"}}
        if (trials, kept) != (self.rollouts, self.appointments):
            self.rollouts, self.appointments = trials, kept
            self._change += 1

    def older(self, swaps: Sequence[SwapView], *, last: bool) -> None:
        """The next page."""
        for swap in swaps:
            self.rows.setdefault(swap.id, swap)
        self.loaded, self.complete = True, last
        self._change += 1

    def items(self) -> Sequence[SwapView]:
        key = (self.wanted, self._change)
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, [s for s in self._known() if self._keeps(s)])
        return self._kept[1]

    def _known(self) -> Sequence[SwapView]:
        """What is older than the oldest swap that was told waits until that page is."""
        swaps = list(self.rows.values())
        oldest = 0.0 if self.complete or not swaps else swaps[-1].started_at
        found = steps(self.rollouts.values(), self.appointments.values(), swaps)
        more = [step for step in found if step.started_at >= oldest]
        return in_order(swaps, more) if more else swaps

    def _keeps(self, swap: SwapView) -> bool:
        if not self.wanted:
            return True
        fields = {
            "task": swap.task, "model": f"{swap.from_ or ''} {swap.to}", "trigger": TRIGGERS.get(swap.trigger, ""),
            "state": word_of(swap), "id": swap.id, "why": swap.reason,
        }  # fmt: skip
        return matches(self.wanted, fields)

    def near_end(self) -> bool:
        """Whether more should be asked for: the cursor is within a page of what is known."""
        return not self.complete and self._last_index >= len(self.items()) - 2 * self.page()

    def identity(self, item: SwapView) -> str:
        return item.id

    def figure(self) -> Line:
        shown, known = len(self.items()), len(self._known())
        if shown < known:
            return line((str(shown), "figure"), (f" of {known}{'' if self.complete else '+'}", "unit"))
        return line((str(known), "figure"), ("" if self.complete else " newest", "unit")) if known else ()

    def all_columns(self, width: int) -> list[Column[SwapView]]:
        now, brief = self.view.snapshot.taken_at if self.view.snapshot else 0.0, width < WIDE
        return [
            Column(
                "at",
                "when",
                6 if brief else 16,
                align="left",
                cell=lambda s, w: (
                    Span(fmt.clock(s.started_at, now) if brief else fmt.moment(s.started_at)[:w], "unit"),
                ),
            ),
            Column("task", "task", 13, lambda s, w: (Span(fmt.fit(s.task, w), "figure"),), align="left"),
            Column("name", "from → to", 0, between, align="left"),
            Column("trigger", "by", 7, lambda s, w: (Span(TRIGGERS.get(s.trigger, s.trigger)[:w], "unit"),), 2, "left"),
            Column("result", "", 9, self._result, align="left"),
            Column("took", "took", 7, lambda s, w: (Span(fmt.seconds(s.duration_s), "label"),), 1),
        ]

    def _result(self, swap: SwapView, width: int) -> Line:
        glyph, token = RESULTS.get(swap.result, ("?", "unit"))
        return line((f"{glyph} ", token), (word_of(swap), "label"))

    def _table(self, width: int) -> Table[SwapView]:
        wide = width >= WIDE
        return Table.choose(self.all_columns(width), width, flexible=24 if wide else 38, gap=2 if wide else 1)

    def table_head(self, width: int) -> list[Line]:
        return [self._table(width).header(None)]

    def item(self, item: SwapView, width: int, lines: int) -> list[Line]:
        return [self._table(width).row(item)]

    def below(self, item: SwapView, width: int, height: int) -> list[Line]:
        return paragraphs(why(item, self.view.snapshot), width, "fail" if item.error else "unit")[:height]

    def empty(self, width: int) -> list[Line]:
        if not self.loaded:
            return self.waiting(width, "asking the engine for its swaps …")
        return [line(), *paragraphs("No swap yet. s on the main screen swaps by hand.", width)]
