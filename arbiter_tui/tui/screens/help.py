"""Every key, grouped; it is a menu too: enter runs the selected action. The palette is the same list, typed into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from .. import format as fmt
from .. import wearing
from ..glyphs import worded
from ..keys import ACTIONS, shown
from ..state import View
from ..text import Line, line, paragraphs
from .sheet import Entry, Sheet
from .tour import PLACES, told

if TYPE_CHECKING:
    from ..app import CockpitApp

NAMED = 19  # cells of key and word
GROUPS = {"model": "the selected model", "task": "the chosen task", "view": "what you see", "place": "where you are"}


class Help(Sheet[str]):
    """Dismisses with the id of the action to run. ``why_not`` tells why an action does not apply now."""

    WIDE = 108
    FILTER = True

    def __init__(
        self, view: View, why_not: Callable[[str], str | None], *, typing: bool = False, place: int = 0
    ) -> None:
        super().__init__(view)
        self.why_not, self.typing = why_not, typing
        self.palette, self.place = typing, place
        self._before = ""

    def heading(self) -> Line:
        return line(("find an action" if self.palette else "keys", "title"))

    def hint(self) -> Line:
        return line(
            ("⏎", "key"), (" run  ", "unit"), ("/", "key"), (" filter  ", "unit"), ("esc", "key"), (" close", "unit")
        )

    def entries(self, width: int) -> Sequence[Entry]:
        out: list[Entry] = [*self._here(width), *self._addresses(width)]
        group = ""
        for action in ACTIONS:
            if action.writes and self.view.reads_only:
                continue  # not "not now": never in this sitting
            if action.group != group:
                out += [Entry(((),))] if group else []
                group = action.group
                out.append(Entry((line((GROUPS[group], "head")),)))
            reason = self.why_not(action.id)
            token = "unit" if reason else "figure"
            said = f"not now: {reason}" if reason else action.sentence
            first, *rest = fmt.wrap(said, max(20, width - NAMED))
            text = line(
                (f"{shown(action, self.view.keys):<6}", "unit" if reason else "key"),
                (f"{action.word:<13}", token),
                (first, "unit" if reason else "label"),
            )
            more = (line((" " * NAMED, "unit"), (x, "unit" if reason else "label")) for x in rest)
            out.append(Entry((text, *more), action.id, f"{action.group} {action.word} {action.sentence}"))
        return [*out, *self._themes()] if self.palette else out

    def _themes(self) -> list[Entry]:
        """Each theme is a command; it is worn while the cursor stands on it."""
        worn = wearing.short(self._worn)
        names = wearing.offered(self._worn)
        rows = [Entry(((),)), Entry((line(("how it looks", "head")),))] if names else []
        for name in names:
            mark = "worn now" if name == worn else ""
            rows.append(
                Entry((line((f"theme: {name:<24}", "figure"), (mark, "unit")),), f"theme({name})", f"theme: {name}")
            )
        return rows

    def moved(self) -> None:
        wearing.show(self._cockpit, wearing.named(self.cursor) or wearing.short(self._worn))

    @property
    def _cockpit(self) -> CockpitApp:
        return cast("CockpitApp", self.app)

    @property
    def _worn(self) -> str:
        """Before anything was tried."""
        if not self._before:
            self._before = self.app.theme
        return self._before

    def _here(self, width: int) -> list[Entry]:
        """What the region is for from which help was asked."""
        if self.palette or self.place not in PLACES:
            return []
        question, rest = PLACES[self.place]
        text = f"here: {question} {told(rest, dict(self.view.keys), reads_only=self.view.reads_only)}"
        return [Entry(tuple(paragraphs(worded(text) if self.view.ascii else text, width))), Entry(((),))]

    def _addresses(self, width: int) -> list[Entry]:
        """Where programs find what is steered here."""
        address = self.view.address
        if self.palette or not address:
            return []
        told = f"the engine answers at {address}; any OpenAI client at {address}/v1"
        return [Entry(tuple(paragraphs(told, width, "unit"))), Entry(((),))]

    def action_close(self) -> None:
        wearing.show(self._cockpit, wearing.short(self._worn))
        if self.palette:
            self.dismiss(None)
        else:
            super().action_close()

    def chosen(self, key: str) -> None:
        if wearing.named(key) is None:
            wearing.show(self._cockpit, wearing.short(self._worn))
        self.dismiss(key)
