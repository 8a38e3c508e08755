"""At what time? Owns: the times that are offered and the one that is typed. Dismisses with unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...core.moments import FORMS, moment
from ..state import View
from ..text import Line, line, paragraphs
from .sheet import Entry, Sheet

OFFERED = (("+30m", "in half an hour"), ("+2h", "in two hours"), ("22:00", "at ten"), ("06:00", "at six"))


class When(Sheet[float]):
    """``now``: unix seconds, the engine's. What is typed is read in this terminal's time zone."""

    WIDE = 64
    FILTER = True
    FILTER_WORD = "another time"

    def __init__(self, view: View, what: str, now: float) -> None:
        super().__init__(view)
        self.what, self.now = what, datetime.fromtimestamp(now).astimezone()

    def heading(self) -> Line:
        return line(("when: ", "title"), (self.what, "accent"))

    def hint(self) -> Line:
        return line(("⏎", "key"), (" then  ", "unit"), ("/", "key"), (" type a time  ", "unit"), ("esc", "key"),
                    (" back", "unit"))  # fmt: skip

    def visible_entries(self, width: int) -> list[Entry]:
        return list(self.entries(width))  # what is typed is no filter

    def entries(self, width: int) -> Sequence[Entry]:
        if not (self.typing or self.wanted):
            return [self._offer(*offer) for offer in sorted(OFFERED, key=lambda o: moment(o[0], self.now))]
        try:
            at = moment(self.wanted, self.now)
        except ValueError:
            return [Entry(tuple(paragraphs(f"write {FORMS}", width, "unit")))]
        if at <= self.now:
            return [Entry((line((f"{at:%a %d %b %H:%M:%S} is past", "warn")),))]
        return [Entry((line((f"{at:%a %d %b %H:%M:%S}", "figure")),), self.wanted)]

    def _offer(self, text: str, words: str) -> Entry:
        at = moment(text, self.now)
        return Entry((line((f"{words:<18}", "figure"), (f"{at:%a %d %b %H:%M}", "unit")),), text)

    def chosen(self, key: str) -> None:
        self.dismiss(moment(key, self.now).timestamp())
