"""The bottom line: the keys that apply here, and nothing else."""

from __future__ import annotations

from ..keys import Action
from ..state import View
from ..text import Line, Span, line, spread, width_of
from .panel import LineWidget


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
        help_ = line(("q", "key"), (" quit  ", "unit"), ("?", "key"), (" help ", "unit"))
        spans: list[Span] = [Span(" ")]
        for action in self.actions:
            more = (Span(action.shown, "key"), Span(f" {action.word}  ", "unit"))
            if width_of((*spans, *more)) > width - width_of(help_) - 1:
                break
            spans += more
        return [spread(tuple(spans), help_, width)]
