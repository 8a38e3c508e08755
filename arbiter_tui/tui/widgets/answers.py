"""One answer of the playground: its text as it comes, its figures in the lower edge. Owns: wrapping, scrolling.

While the answer comes its end stays in sight; scrolled up, it holds still. A model's text is cleaned of control
characters before it reaches a line. Never: the stream (duel.py).
"""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len
from textual import events

from ...core.snapshot import ModelView
from .. import format as fmt
from ..duel import LETTERS, Duel, Side
from ..state import View, model_of
from ..text import Line, Span, frame, line, paragraphs, version_name
from .panel import Panel

LOADING = ("loading", "warming")
ENDS = {"done": ("✓ done", "ok"), "failed": ("✕ failed", "fail"), "cancelled": ("○ cancelled", "warn")}


def as_written(text: str, width: int) -> list[Line]:
    """The text's own lines with their indents; a longer one goes on below itself."""
    lines: list[Line] = []
    for part in text.split("\n"):
        indent = min(len(part) - len(part.lstrip()), width // 2)
        fits = cell_len(part) <= width
        rows = [part] if fits else [" " * indent + row for row in fmt.wrap(part, width - indent)]
        lines += [(Span(row, "figure"),) for row in rows]
    return lines


class AnswerPanel(Panel):
    """``index`` 0 is A; ``names(index)`` is the version that would be asked before anything was."""

    greys = False

    def __init__(self, view: View, index: int, duel: Callable[[], Duel | None], names: Callable[[int], str | None]):
        super().__init__(view)
        self.index, self._duel, self._names = index, duel, names
        self._up = 0  # lines scrolled up from the end
        self._page = 1

    @property
    def side(self) -> Side | None:
        duel = self._duel()
        return duel.sides[self.index] if duel is not None and self.index < len(duel.sides) else None

    def heading(self) -> Line:
        letter = Span(LETTERS[self.index], "accent" if self.has_focus else "head")
        duel, side = self._duel(), self.side
        version = side.version if side is not None else self._names(self.index)
        if duel is not None and duel.hidden:
            return line(letter, (" · name hidden until you judge", "unit"))
        if version is None:
            return line(letter, (" · no second model", "unit"))
        serving = ("  ◆ serves", "serve") if self._serves(version) else ""
        return line(letter, (" · ", "unit"), *version_name(version, 60), serving)

    def _serves(self, version: str) -> bool:
        task = self.view.task_view()
        return task is not None and task.incumbent == version

    def figure(self) -> Line:
        side, duel = self.side, self._duel()
        if side is None or duel is None:
            return ()
        if duel.verdict is not None:
            grade = duel.grade(self.index)
            return line(
                ("✓ better" if grade and self._alone() else "✓ good" if grade else "✕ 0", "ok" if grade else "fail")
            )
        if side.state == "streaming":
            return line(("▸ streaming", "label"))
        if side.state == "waiting":
            return line(("◐ " + ("waiting" if duel.hidden else self._waiting(side)), "label"))
        return line(ENDS[side.state])

    def _alone(self) -> bool:
        duel = self._duel()
        return duel is not None and duel.verdict in ("a", "b") and len(duel.sides) > 1

    def _waiting(self, side: Side) -> str:
        model: ModelView | None = model_of(self.view.snapshot, side.version)
        if model is not None and model.state in LOADING:
            return f"loading, {fmt.left(model.eta_s)}" if model.eta_s is not None else "loading"
        return "queued" if model is not None and model.queued else "waiting"

    def foot(self) -> Line:
        """Figures would tell a hidden name: they come with the verdict."""
        side, duel = self.side, self._duel()
        if side is None or duel is None or side.first_at is None:
            return ()
        if duel.hidden:
            return line(("figures when judged", "unit"))
        tokens = side.tokens if side.tokens is not None else len(side.pieces) if side.running else None
        about = "~" if side.estimated or (side.running and side.tokens is None) else ""
        parts: list[Span | tuple[str, str]] = [("first token ", "unit"), (fmt.seconds(side.ttft_s), "figure")]
        parts += (
            [("  ", "unit"), (about + fmt.rate(side.rate), "figure"), (" tok/s", "unit")] if not side.running else []
        )
        parts += [("  ", "unit"), (fmt.DASH if tokens is None else f"{about}{tokens}", "figure"), (" tokens", "unit")]
        if side.finish == "length":
            parts.append(("  cut at its limit", "warn"))
        return line(*parts)

    def draw(self, width: int, height: int) -> list[Line]:
        rule = "focus" if self.has_focus else "rule"
        room = max(1, height - 2)
        lines = self._text(width - 4)
        self._page = room
        self._up = min(self._up, max(0, len(lines) - room))
        first = max(0, len(lines) - room - self._up)
        shown = [line(" ", *x) for x in lines[first : first + room]]
        more = line((f"↑{first} ", "unit")) if first and not self.foot() else ()
        return frame(self.heading(), self.figure(), shown, width, height, rule=rule, foot=(*more, *self.foot()))

    def _text(self, width: int) -> list[Line]:
        side = self.side
        if side is None:
            asked = self._names(self.index) is not None
            said = (
                "Its answer appears here." if asked else "Only one model is active; arbiter activate VERSION adds one."
            )
            return paragraphs(said, width, "unit")
        lines = as_written(fmt.readable(side.text), width) if side.pieces else []
        if side.error is not None:
            lines += [*([()] if lines else []), *paragraphs("✕ " + fmt.readable(side.error), width, "fail")]
        return lines

    def scroll_by(self, by: int) -> None:
        """Negative goes up; drawing keeps it within the text."""
        self._up = max(0, self._up - by)
        self.sync()

    def page(self) -> int:
        return max(1, self._page // 2)

    def follow(self) -> None:
        self._up = 0

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_by(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_by(-2)
