"""What the keys of the task screen set off: saving a draft, dropping it, reading a record, and the task's own commands.

Owns: the questions asked before, and the proof waited for after. Never: drawing, the draft's values (task_draft.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.snapshot import Snapshot
from ..errors import ArbiterError
from . import format as fmt
from .screens.confirm import Choice, Confirm
from .source import Engine
from .state import Notice, model_of, task_of
from .task_draft import BY_KEY, written

if TYPE_CHECKING:
    from .screens.task_detail import TaskDetail

KEYS = (
    ("1 … 7", "a region; pressed again: that region alone"),
    ("tab", "the next region"),
    ("j k", "the next line, the one before"),
    ("← →", "less or more of the selected criterion"),
    ("⏎", "type a value; of a request its record; of a model its sheet"),
    ("⌫", "no limit; of what must have a value the saved one"),
    ("^s", "save the changed criteria, after asking"),
    ("esc q", "back; changes are dropped after asking"),
)


class TaskActions:
    """Bound to one task screen; ``run(id)`` is the only door."""

    def __init__(self, screen: TaskDetail) -> None:
        self.screen, self.app = screen, screen.cockpit

    def run(self, action: str) -> None:
        do = getattr(self, f"do_{action}", None)
        if do is not None:
            do()
            return
        reason = self.app.main.why_not(action)
        if reason is not None:
            self.app.say(Notice(f"▲ {action}: {reason}", "warn"))
        else:
            self.app.act(action)

    # the draft ------------------------------------------------------------------------------------------------------
    def do_save(self) -> None:
        draft, task = self.screen.facts.draft, self.screen.facts.task
        reason = self.app.main.why_not("autopilot") or draft.trouble()
        if not draft.changes:
            reason = "nothing was changed"
        if reason is not None:
            self.app.say(Notice(f"▲ save: {reason}", "warn"))
            return
        changes = [
            f"{BY_KEY[key].name}: {written(BY_KEY[key], draft.saved.get(key))} → {written(BY_KEY[key], value)}"
            for key, value in draft.changes.items()
        ]
        told = [text for text in (self.screen.ranking.told()[0],) if text]
        patch = draft.patch()

        def answered(choice: str | None) -> None:
            if choice is not None:
                self.save(task, patch)

        choices = [Choice("save", "Save", "the engine ranks and chooses by it from now on")]
        self.app.push_screen(Confirm(self.app.view, f"change {task}?", [*changes, *told], choices), answered)

    def save(self, task: str, patch: Mapping[str, Any]) -> None:
        """Done when a snapshot knows the task by the name that the engine gave its new settings."""
        expected: list[str] = []

        async def call(engine: Engine) -> None:
            try:
                answer = await engine.put_task(task, patch)
            except (ArbiterError, OSError, TimeoutError):
                self.screen.criteria.saving = False
                raise
            expected.append(str(answer.get("settings", "")))
            if self.app.view.snapshot is not None:  # it may have come before the answer
                self.app.commander.arrived(self.app.view.snapshot)
            self.screen.look()

        def proof(snapshot: Snapshot) -> Notice | None:
            seen = task_of(snapshot, task)
            known = seen is not None and seen.settings in expected
            return Notice(f"✓ {task} is ranked by its new criteria", "ok") if known else None

        self.screen.criteria.saving = True
        self.app.commander.run(f"saving {task}", call, proof)

    def do_drop(self) -> None:
        def answered(choice: str | None) -> None:
            if choice is not None:
                self.screen.drop()

        n = len(self.screen.facts.draft.changes)
        said = f"{fmt.plural(n, 'criterion was', 'criteria were')} changed and not saved."
        choices = [Choice("drop", "Drop", "the criteria are as saved again")]
        self.app.push_screen(Confirm(self.app.view, "drop the changes?", [said], choices), answered)

    def do_task(self) -> None:
        """Another task; a draft would be lost."""
        if self.screen.facts.draft.changes:
            self.app.say(Notice("▲ task: save the changed criteria (^s) or drop them (esc) first", "warn"))
        else:
            self.app.act("task")

    # reading --------------------------------------------------------------------------------------------------------
    def do_request(self) -> None:
        chosen = self.screen.requests.selected()
        if chosen is not None:
            self._explain(chosen.id)

    def do_explain(self) -> None:
        self._explain(self.screen.facts.task)

    def _explain(self, id: str) -> None:
        from .actions import Actions

        Actions(self.app).explain(id)

    def do_model(self) -> None:
        row = self.screen.ranking.selected()
        model = model_of(self.app.view.snapshot, row.version) if row is not None else None
        if model is not None:
            from .actions import Actions

            Actions(self.app).read_model(model.version)

    # places -----------------------------------------------------------------------------------------------------------
    def do_zoom(self) -> None:
        self.screen.zoomed = not self.screen.zoomed
        self.screen.settle()

    def do_help(self) -> None:
        from .keys import BY_ID, shown
        from .screens.explain import Reading
        from .text import line

        own = [*KEYS, *((shown(BY_ID[i], self.app.view.keys), BY_ID[i].sentence) for i in ("autopilot", "swap",
               "rollback", "bench", "explain", "task", "zoom", "export"))]  # fmt: skip
        lines = [line((f"{key:<8}", "key"), (said, "label")) for key, said in own]
        self.app.push_screen(Reading(self.app.view, "keys of the task screen", lines))
