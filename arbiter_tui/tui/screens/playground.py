"""The playground: one prompt, two models' answers side by side, one key to judge.

Owns: the prompt, which models are asked, the verdict as feedback. Never: the streams (duel.py), drawing the answers
(widgets/answers.py). While the prompt is typed, letters belong to it; tab or escape lead to the answers' keys.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import TextArea

from ...errors import ArbiterError
from .. import format as fmt
from ..duel import LETTERS, Duel
from ..keys import Action
from ..state import Notice, View
from ..text import Line, collapsed, line
from ..widgets.answers import AnswerPanel
from ..widgets.panel import LineWidget
from .view import ALWAYS, MOVES, ViewScreen, bindings, key

WIDE = 100
REDRAW_S = 0.1  # while answers come: ten pictures a second are enough to read along
RECENT = 200


class Prompt(TextArea):
    """Enter asks, ctrl+j begins a new line; a text that is pasted keeps its lines."""

    def __init__(self, screen: Playground) -> None:
        super().__init__(
            screen.view.draft, id="prompt", placeholder="Type a prompt; ⏎ asks both models, ^j makes a new line.",
            compact=True, highlight_cursor_line=False,
        )  # fmt: skip
        self.cursor_blink = False
        self._of = screen

    async def _on_key(self, event: events.Key) -> None:
        match event.key:
            case "enter":
                self._of.action_do("send")
            case "ctrl+j":
                self.insert("\n")
            case "escape":
                self._of.action_back()
            case _:
                await super()._on_key(event)
                return
        event.stop()
        event.prevent_default()


class PromptLine(LineWidget):
    """The line above the prompt: whose task, what goes before it, whether names are hidden."""

    greys = False

    def __init__(self, screen: Playground) -> None:
        super().__init__(screen.view, id="prompt-line")
        self._of = screen

    def draw(self, width: int, height: int) -> list[Line]:
        of, task = self._of, self.view.task
        typing = of.prompt.has_focus
        title = line(("prompt", "accent" if typing else "head"), (" · ", "unit"), (task or "no task", "label"))
        before = len(of.before)
        told = [fmt.plural(before, "earlier message")] if before else []
        figure = line((" · ".join([*told, "blind" if of.blind else "names shown"]), "trial" if of.blind else "unit"))
        return [collapsed(title, figure, width, "focus" if typing else "rule")]


class Playground(ViewScreen):
    NAME = "playground"
    PLACES = "tab goes to the prompt and back, j k scroll the answer, f1 shows the keys in the prompt, too"
    KEYS = (
        key("send", "enter,ctrl+g", "ask", "ask both models", shown="⏎", writes=True),
        key("better_a", "a", "A better", "A gets 1, B gets 0", writes=True),
        key("better_b", "b", "B better", "B gets 1, A gets 0", writes=True),
        key("equal", "e,equals_sign", "equal", "both are good: both get 1", writes=True),
        key("bad", "0", "both bad", "both get 0", writes=True),
        key("stop", "c", "cancel", "stop both answers"),
        key("other", "m,ctrl+o", "other model", "which model answers beside the one that serves"),
        key("work", "t,ctrl+t", "task", "another task: its model, its way of asking"),
        key("blind", "n,ctrl+b", "hide names", "names and figures only after your verdict, in random order"),
        key("recent", "r,ctrl+r", "recent", "ask a recent request again"),
        key("edit", "i", "prompt", "back to the prompt; also tab"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("playground", KEYS), *MOVES, *ALWAYS]

    def __init__(
        self,
        view: View,
        *,
        now: Callable[[], float] = time.monotonic,
        swapped: Callable[[], bool] = lambda: random.random() < 0.5,
    ) -> None:
        super().__init__(view)
        self._now, self._swapped = now, swapped
        self._came_from = view.task  # what the operator looks at outside: asking about another task changes it not
        self.blind = False
        self.duel: Duel | None = None
        self.before: list[Mapping[str, Any]] = []  # a conversation's earlier messages
        self._original: tuple[str, str] | None = None  # a recent prompt as it is shown, and as it was
        self._chosen: str | None = None  # the other model, where one was chosen
        self._timer: Timer | None = None
        self.prompt = Prompt(self)
        self.prompt_line = PromptLine(self)
        self.answers = [AnswerPanel(view, i, lambda: self.duel, self._shown_name) for i in (0, 1)]

    def parts(self) -> Sequence[Widget]:
        return (self.prompt_line, self.prompt, Container(*self.answers, id="answers"))

    def compose(self) -> ComposeResult:
        self.prompt_line.styles.height = 1
        yield from super().compose()

    def on_mount(self) -> None:
        self.prompt.focus()
        self.prompt.move_cursor(self.prompt.document.end)
        self.settle()

    def on_resize(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Side by side where there is room, else one below the other."""
        width, height = self.app.size
        self.prompt.styles.height = max(2, min(8, height // 6))
        box = self.query_one("#answers")
        box.styles.layout = "horizontal" if width >= WIDE else "vertical"
        box.styles.height = "1fr"
        for panel in self.answers:
            panel.styles.height = panel.styles.width = "1fr"
        self.call_after_refresh(self.redraw)

    # who is asked --------------------------------------------------------------------------------------------------
    def candidates(self) -> list[str]:
        """Active versions but the one that serves: other models before the same one on another runtime, best first."""
        snapshot, task = self.view.snapshot, self.view.task_view()
        active = [m.version for m in snapshot.models if m.lifecycle == "active"] if snapshot else []
        ranks = {r.version: r.rank for r in task.leaderboard} if task else {}
        others = [v for v in active if task is None or v != task.incumbent]
        of = {m.version: (m.model, m.quantization) for m in snapshot.models} if snapshot else {}
        same = of.get(task.incumbent or "") if task else None
        return sorted(others, key=lambda v: (of[v] == same, ranks.get(v) or 9999, v))

    def versions(self) -> list[str]:
        """Who serves the task, then the model on trial, the chosen one, or the best of the others."""
        task, others = self.view.task_view(), self.candidates()
        first = task.incumbent if task else None
        wanted = [self._chosen, task.candidate if task else None, *others]
        second = next((v for v in wanted if v in others), None)
        return [v for v in (first, second) if v is not None]

    def _shown_name(self, index: int) -> str | None:
        if self.blind:
            return "hidden" if index < len(self.versions()) else None
        found = self.versions()
        return found[index] if index < len(found) else None

    # what applies --------------------------------------------------------------------------------------------------
    def why_not(self, id: str) -> str | None:
        duel = self.duel
        match id:
            case "send":
                if duel is not None and duel.running:
                    return "answers are still coming; esc cancels them"
                return None if self.versions() else "no model serves this task"
            case "better_a" | "better_b" | "equal" | "bad":
                return self._why_not_judge(id)
            case "stop":
                return None if duel is not None and duel.running else "nothing is being answered"
            case "blind":
                return "judge the hidden answers first" if duel is not None and duel.hidden else None
            case "other":
                return None if len(self.candidates()) > 1 else "there is no other model to choose"
            case "recent":
                return "the engine does not answer" if self.view.link != "live" else None
            case "edit":
                return "you are in it" if self.prompt.has_focus else None
        return None

    def _why_not_judge(self, id: str) -> str | None:
        duel = self.duel
        if duel is None:
            return "nothing was answered yet"
        if duel.verdict is not None:
            return "it is judged already"
        if not duel.whole:
            return "answers are still coming" if duel.running else "only whole answers are judged"
        return "there is only one answer" if len(duel.sides) == 1 and id in ("better_b", "equal") else None

    def shown_keys(self) -> list[Action]:
        """In the prompt only the keys that reach beyond it, by their ctrl form."""
        keys = super().shown_keys()
        return [a for a in keys if a.id == "send" or "ctrl+" in a.key] if self.prompt.has_focus else keys

    def shown_as(self, action: Action) -> str:
        if not self.prompt.has_focus or "ctrl+" not in action.key or action.id == "send":
            return action.shown
        return "^" + action.key.rpartition("ctrl+")[2]

    def sentence(self) -> Line:
        duel = self.duel
        if duel is None:
            return line(("Both answer the same prompt; your verdict counts as feedback for the task.", "unit"))
        if duel.running:
            return line(("answering; esc cancels", "label"))
        if duel.verdict is None and duel.whole:
            return line(("Which is better?", "figure"), ("  a, b, e for equally good, 0 for both bad", "label"))
        return line(("tab leads to the prompt and back", "unit"))

    def help_key(self) -> str:
        """In the prompt every sign is a letter of it."""
        return "f1" if self.prompt.has_focus else "?"

    # asking --------------------------------------------------------------------------------------------------------
    def do_send(self) -> None:
        engine, text = self.engine, self.prompt.text
        if engine is None:
            return
        if not text.strip():
            self.say(Notice("▲ ask: the prompt is empty", "warn"))
            return
        if self._original is not None and text == self._original[0]:
            text = self._original[1]  # unchanged: asked as it was, not as it could be shown
        versions = self.versions()
        if self.blind and self._swapped():
            versions.reverse()
        messages = [*self.before, {"role": "user", "content": text}]
        self.duel = Duel(self.view.task, messages, versions, hidden=self.blind, now=self._now)
        self.view.notice = None
        self.duel.start(engine)
        for panel in self.answers:
            panel.follow()
        self.answers[0].focus()
        self._timer = self._timer or self.set_interval(REDRAW_S, self._tick)
        self.redraw()

    def _tick(self) -> None:
        """Draws along while something comes; then the clock stops."""
        duel = self.duel
        if duel is not None and duel.changed:
            duel.changed = False
            self.redraw()
        if (duel is None or not duel.running) and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def do_stop(self) -> None:
        if self.duel is not None:
            self.duel.cancel()
        self.redraw()

    # judging -------------------------------------------------------------------------------------------------------
    def do_better_a(self) -> None:
        self._judge("a")

    def do_better_b(self) -> None:
        self._judge("b")

    def do_equal(self) -> None:
        self._judge("equal")

    def do_bad(self) -> None:
        self._judge("bad")

    def _judge(self, verdict: str) -> None:
        if self.duel is not None:
            self.say(Notice("◐ telling the engine …"))
            self.run_worker(self._tell(self.duel, verdict), exit_on_error=False)

    async def _tell(self, duel: Duel, verdict: str) -> None:
        engine = self.engine
        try:
            if engine is not None:
                await duel.judge(engine, verdict)
        except (ArbiterError, OSError, TimeoutError) as error:
            self.say(Notice(f"✕ the verdict was not taken: {error or type(error).__name__}", "fail"))
            return
        grades = ", ".join(f"{LETTERS[i]} gets {duel.grade(i):.0f}" for i in range(len(duel.sides)))
        self.say(Notice(f"✓ feedback for {duel.task or 'no task'}: {grades}", "ok"))

    # choosing ------------------------------------------------------------------------------------------------------
    def do_other(self) -> None:
        from .prompt_picker import ModelPicker

        def chosen(version: str | None) -> None:
            if version is not None:
                self._chosen = version
            self.redraw()

        shown = self.versions()[1] if len(self.versions()) > 1 else None
        self.app.push_screen(ModelPicker(self.view, "who answers beside", self.candidates(), shown), chosen)

    def do_work(self) -> None:
        from .task_picker import TaskPicker

        def chosen(task: str | None) -> None:
            if task is not None:
                self.cockpit.show_task(task)
            self.redraw()

        self.app.push_screen(TaskPicker(self.view), chosen)

    def do_blind(self) -> None:
        self.blind = not self.blind
        self.redraw()

    def do_recent(self) -> None:
        engine = self.engine
        if engine is not None:
            self.fetch("the recent prompts", engine.requests(RECENT, prompts=True), self._recent)

    def _recent(self, rows: Sequence[Mapping[str, Any]]) -> None:
        from .prompt_picker import PromptPicker

        def chosen(id: str | None) -> None:
            row = next((r for r in rows if r.get("id") == id), None)
            if row is not None:
                self.take(row)

        self.app.push_screen(PromptPicker(self.view, rows), chosen)

    def take(self, row: Mapping[str, Any]) -> None:
        """A recent request's prompt into the text area; its conversation goes before it, its task is chosen."""
        messages = list(row.get("messages") or ())
        if not messages:
            self.say(
                Notice("▲ that prompt is not remembered (an earlier engine's, a private task's, or too old)", "warn")
            )
            return
        if self.duel is not None:  # the answers on the screen are to another prompt
            self.duel.cancel()
            self.duel, self.view.notice = None, None
        self.before = messages[:-1]
        content = str(messages[-1].get("content", ""))
        shown = fmt.readable(content)
        self._original = (shown, content)
        self.prompt.load_text(shown)
        self.prompt.move_cursor(self.prompt.document.end)
        known = {t.task for t in self.view.snapshot.tasks} if self.view.snapshot else set()
        if row.get("task") in known and row["task"] != self.view.task:
            self.cockpit.show_task(str(row["task"]))
        self.prompt.focus()
        self.redraw()

    def do_edit(self) -> None:
        self.prompt.focus()

    # moving, leaving -----------------------------------------------------------------------------------------------
    def on_descendant_focus(self) -> None:
        self.call_after_refresh(self.redraw)

    def _answer(self) -> AnswerPanel:
        return next((p for p in self.answers if p.has_focus), self.answers[0])

    def action_move(self, by: int) -> None:
        self._answer().scroll_by(by)

    def action_page(self, by: int) -> None:
        self._answer().scroll_by(by * self._answer().page())

    def on_text_area_changed(self) -> None:
        """Emptied, the prompt is a new one: no conversation goes before it."""
        self.view.draft = self.prompt.text
        if not self.prompt.text and self.before:
            self.before, self._original = [], None
            self.prompt_line.sync()

    def action_back(self) -> None:
        """One thing at a time: answers under way are cancelled; from the prompt to the answers; out."""
        if self.duel is not None and self.duel.running:
            self.do_stop()
        elif self.prompt.has_focus and self.duel is not None:
            self.answers[0].focus()
        else:
            super().action_back()

    def action_leave(self) -> None:
        if self._came_from is not None and self.view.task != self._came_from:
            self.cockpit.show_task(self._came_from)
        super().action_leave()

    def on_unmount(self) -> None:
        if self.duel is not None and self.duel.running:
            self.duel.cancel()
