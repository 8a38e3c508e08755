"""Of the task screen: the line above (who serves), the line below (what was just said), the keys that apply.

Owns: drawing these. Never: what a key does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import format as fmt
from ..keys import BY_ID, shown
from ..news import fitted
from ..state import View
from ..text import Line, Span, line, spread, version_name, width_of
from .header import LINKS
from .panel import LineWidget

if TYPE_CHECKING:
    from ..screens.task_detail import TaskDetail


class TaskHead(LineWidget):
    greys = False

    def draw(self, width: int, height: int) -> list[Line]:
        view, task = self.view, self.view.task_view()
        left = [Span(" task ", "unit"), Span(view.task or fmt.DASH, "title"), Span("   ")]
        if view.link == "stale":
            left += [Span(f"▲ stale {view.age_s} s", "warn")]
        elif view.link in LINKS:
            left += [Span(*LINKS[view.link])]
        elif task is None:
            left += [Span("▲ the engine has no such task any more", "warn")]
        elif task.incumbent is None:
            left += [Span("▲ nobody serves it", "warn")]
        else:
            left += [Span("◆ ", "serve"), *version_name(task.incumbent, max(12, width - 50)), Span(" serves", "unit")]
        if task is not None and task.candidate:
            left += [Span("   ◇ ", "trial"), *version_name(task.candidate, 30, "label", brief=True)]
            left += [Span(f" {fmt.percent(task.candidate_share)}", "unit")]
        right = line((fmt.plural(task.requests, "request"), "unit"), " ") if task is not None else ()
        return [spread(tuple(left), right if width >= 90 else (), width)]


class TaskSaid(LineWidget):
    """A key's notice, else what the selected criterion means, else what the autopilot sees."""

    greys = False

    def __init__(self, view: View, screen: TaskDetail) -> None:
        super().__init__(view, id="task-said")
        self._of = screen

    def draw(self, width: int, height: int) -> list[Line]:
        notice, facts = self.view.notice, self._of.facts
        if notice is not None:
            text, token = notice.text, notice.token
        elif self._of.criteria.wrong:
            text, token = f"✕ {self._of.criteria.wrong}", "fail"
        elif facts.trouble and facts.told:
            text, token = f"✕ {facts.trouble}", "fail"
        elif self._of.ranking.told()[0]:
            text, token = self._of.ranking.told()
        elif self._of.told:
            text, token = self._of.told, "unit"
        else:
            text, token = facts.sentence, "label"
        known = [m.version for m in self.view.snapshot.models] if self.view.snapshot else []
        room = max(10, width - 5)
        fits = fmt.wrap_to(text, room, height) if token == "unit" else fitted(text, known, room, height)
        said = fits if text else []
        lines = [line((" › " if i == 0 else "   ", "accent"), (part, token)) for i, part in enumerate(said)]
        return [*lines, *[()] * height][:height]


class TaskFooter(LineWidget):
    greys = False

    def __init__(self, view: View, screen: TaskDetail) -> None:
        super().__init__(view, id="task-foot")
        self._of = screen

    def keys(self) -> list[tuple[str, str]]:
        """What applies now, the most telling first."""
        of = self._of
        if of.criteria.entry is not None:
            return [("⏎", "take it"), ("esc", "leave it as it was")]
        found: list[tuple[str, str]] = []
        if of.focused_panel() is of.criteria and of.facts.told:
            found += [("←→", "less, more"), ("⏎", "type")]
            knob = of.criteria.selected()
            found += [("⌫", "no limit")] if knob is not None and knob.optional else []
        elif of.focused_panel() is of.requests and of.requests.items():
            found += [("⏎", "record")]
        elif of.focused_panel() is of.ranking and of.ranking.items():
            found += [("⏎", "model")]
        writes = of.cockpit.main.why_not("autopilot") is None
        found += [("^s", "save")] if of.facts.draft.changes and writes else []
        for id in ("autopilot", "swap", "rollback", "bench", "explain", "task", "zoom"):
            if of.cockpit.main.why_not(id) is None:
                found.append((shown(BY_ID[id], self.view.keys), BY_ID[id].word))
        return found

    def draw(self, width: int, height: int) -> list[Line]:
        drop = self._of.facts.draft.changes and not self._of.zoomed
        back = line(("esc", "key"), (" drop  " if drop else " back  ", "unit"), ("?", "key"), (" help ", "unit"))
        room, spans = width - width_of(back) - 1, [Span(" ")]
        for key, word in self.keys():
            more = [Span(key, "key"), Span(f" {word}  ", "unit")]
            if width_of((*spans, *more)) > room:
                break
            spans += more
        return [spread(tuple(spans), back, width)]
