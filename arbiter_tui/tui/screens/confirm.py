"""Asks before something that cannot simply be undone. Owns: the question. Cancel is the default and stands last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..state import View
from ..text import Line, line, paragraphs
from .sheet import Entry, Sheet


@dataclass(frozen=True, slots=True)
class Choice:
    id: str
    label: str
    consequence: str


CANCEL = Choice("cancel", "Cancel", "nothing happens")


BACK = "back"


class Confirm(Sheet[str]):
    """Dismisses with the chosen id; Cancel with None, escape with None or, one step of several, with BACK."""

    WIDE = 72

    def __init__(
        self,
        view: View,
        question: str,
        sentences: Sequence[str],
        choices: Sequence[Choice],
        *,
        default: str = CANCEL.id,
        steps_back: bool = False,
        leave: Choice = CANCEL,
    ) -> None:
        """``leave``: what Cancel is called where that word could be taken for the other thing."""
        super().__init__(view)
        self.steps_back = steps_back
        self.question, self.sentences = question, tuple(sentences)
        self.choices = (*choices, leave)
        self.cursor = default

    def heading(self) -> Line:
        return line((self.question, "title"))

    def entries(self, width: int) -> Sequence[Entry]:
        said = [Entry(tuple(paragraphs(s, width))) for s in self.sentences]
        return [*said, Entry(((),)), *(self._asked(c, width) for c in self.choices)]

    def _asked(self, choice: Choice, width: int) -> Entry:
        """The label in a column of its own, the consequence beside it, on as many lines as it takes."""
        column = max(len(c.label) for c in self.choices) + 2
        labels = [choice.label, *[""] * 20]
        told = paragraphs(choice.consequence, width - column, "unit")
        lines = (line((f"{label:<{column}}", "figure"), *rest) for label, rest in zip(labels, told, strict=False))
        return Entry(tuple(lines), choice.id)

    def action_close(self) -> None:
        self.dismiss(BACK if self.steps_back else None)

    def hint(self) -> Line:
        leave = " back" if self.steps_back else " close"
        return line(("⏎", "key"), (" choose  ", "unit"), ("esc", "key"), (leave, "unit"))

    def chosen(self, key: str) -> None:
        self.dismiss(None if key == CANCEL.id else key)
