"""The bottom line: the keys that apply here, and nothing else."""

from __future__ import annotations

from ..keys import BY_ID, Action, shown
from ..state import View
from ..text import Line, Span, line, spread, width_of
from .panel import LineWidget

SHORTER = {
    "warm": "warm",
    "rollback": "undo",
    "autopilot": "auto",
    "details": "more",
    "task_view": "view",
    "explain": "why",
}


class Footer(LineWidget):
    greys = False

    def __init__(self, view: View, *, id: str | None = None) -> None:
        super().__init__(view, id=id)
        self.actions: tuple[Action, ...] = ()

    def show(self, actions: tuple[Action, ...]) -> None:
        if actions != self.actions:
            self.actions = actions
        self.sync()

    def draw(self, width: int, height: int) -> list[Line]:
        leave, ask = (shown(BY_ID[i], self.view.keys) for i in ("quit", "help"))
        help_ = line((leave, "key"), (" quit  ", "unit"), (ask, "key"), (" help ", "unit"))
        room = width - width_of(help_) - 1
        keys = self._keys(brief=False)
        if sum(width_of(k) for k in keys) + 1 > room:
            keys = self._keys(brief=True)
        spans: list[Span] = [Span(" ")]
        for key in keys:
            if width_of((*spans, *key)) > room:
                break
            spans += key
        return [spread(tuple(spans), help_, width)]

    def _keys(self, *, brief: bool) -> list[Line]:
        """Each key with its word; a ``brief`` one where not all would fit."""
        return [
            (
                Span(shown(a, self.view.keys), "key"),
                Span(f" {SHORTER.get(a.id, a.word) if brief else a.word}  ", "unit"),
            )
            for a in self.actions
        ]
