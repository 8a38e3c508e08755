"""Five steps through the five regions, for the first sitting. Owns: what each region is for, in two sentences.

Never: whether it is shown (app.py remembers). Each step focuses its region; one key leaves at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.binding import Binding

from ..glyphs import worded
from ..keys import BY_ID, shown
from ..text import Line, line, paragraphs
from .sheet import Entry, Sheet

if TYPE_CHECKING:
    from .main import MainScreen

# region -> (its question, what to do there); {id} becomes the key of that action
PLACES: dict[int, tuple[str, str]] = {
    1: ("which models are there, and which are loaded?",
        "◆ marks those that serve a kind of work now. {warm} loads the selected one, {unload} gives its memory back, "
        "{details} tells all about it."),
    2: ("which model is best for this kind of work?",
        "The ranking of one task, measured here: ├●┤ is how sure that is. {task} chooses another task, {bench} "
        "measures, {swap} lets another model serve. ⌂ is a best trade-off: no other model beats it in everything."),
    3: ("what does the machine give?",
        "Processor, memory, GPUs, and what the models may use of it. A dash is unknown, never zero; "
        "{hardware} shows all."),
    4: ("what was changed, and why?",
        "Each swap with who or what caused it. {explain} opens the record behind it, {rollback} takes the "
        "last one back."),
    5: ("what happens next?",
        "This line says what the autopilot is doing and what it waits for. {autopilot} sets it per task: on / "
        "observe / off."),
}  # fmt: skip
LAST = "{help} lists every key and runs it, {palette} finds one by its name, {tour} shows this again."


def told(text: str, keymap: dict[str, str], *, reads_only: bool = False) -> str:
    """The sentences with the keys as they are set now; without what only a cockpit that may change things can do."""
    if reads_only:
        text = " ".join(kept for sentence in text.split(". ") if (kept := _looking(sentence)))
    return text.format(**{a.id: shown(a, keymap) for a in BY_ID.values() if "(" not in a.id})


def _looking(sentence: str) -> str:
    """The parts of a sentence that name no writing key, as a sentence."""
    parts = [
        p for p in sentence.rstrip(".").split(", ") if not any(f"{{{a.id}}}" in p for a in BY_ID.values() if a.writes)
    ]
    end = "" if sentence.endswith("?") else "."
    return ", ".join(parts) + end if parts else ""


class Tour(Sheet[None]):
    WIDE = 68
    BINDINGS = [
        Binding("enter,space,right,l", "step(1)", "next", show=False),
        Binding("backspace,left,h", "step(-1)", "back", show=False),
        Binding("s", "close", "skip the rest", show=False),
    ]

    def __init__(self, main: MainScreen) -> None:
        super().__init__(main.view)
        self._main, self._before = main, main.focused_panel()
        self.at = 1

    def on_mount(self) -> None:
        self._show_region()

    def heading(self) -> Line:
        return line((f"{self.at} of {len(PLACES)}", "unit"), (f"  {self._main.panels[self.at - 1].name_}", "title"))

    def hint(self) -> Line:
        word = " next  " if self.at < len(PLACES) else " done  "
        return line(("⏎", "key"), (word, "unit"), ("←", "key"), (" back  ", "unit"), ("esc", "key"), (" skip", "unit"))

    def entries(self, width: int) -> Sequence[Entry]:
        question, rest = PLACES[self.at]
        lines = [*paragraphs(question, width, "figure"), (), *paragraphs(self._told(rest), width)]
        if self.at == len(PLACES):
            lines += [(), *paragraphs(self._told(LAST), width, "unit")]
        return [Entry(tuple(lines))]

    def _told(self, text: str) -> str:
        said = told(text, dict(self.view.keys), reads_only=self.view.reads_only)
        return worded(said) if self.view.ascii else said

    def action_step(self, by: int) -> None:
        if not 1 <= self.at + by <= len(PLACES):
            if by > 0:
                self.action_close()
            return
        self.at += by
        self._show_region()
        self.fit()

    def _show_region(self) -> None:
        """The step's region is focused behind the sheet: on a small terminal that opens it."""
        self._main.set_focus(self._main.panels[self.at - 1])
        self._main.call_after_refresh(self._main.settle)

    def action_close(self) -> None:
        self._main.set_focus(self._before)
        self._main.call_after_refresh(self._main.settle)
        self.dismiss(None)

    def chosen(self, key: str) -> None:
        """Nothing here is chosen."""
