"""Swaps by hand: now, on trial first, or later; and taking one back while it is under way.

Owns: the flow of dialogs. Never: drawing, the engine's answer (commands.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.snapshot import OperationView, RolloutView, SwapView
from .screens.confirm import CANCEL, Choice
from .state import task_of
from .under_way import running_swap, under_way

if TYPE_CHECKING:
    from .app import CockpitApp
    from .screens.swap_dialog import SwapChoice

IN_BLOCKS = "in idle time; nobody is served by it before"
TRIAL = "first beside it unseen, then for a part, more while it is no worse"


class SwapActions:
    app: CockpitApp

    @property
    def _task(self) -> str:
        raise NotImplementedError

    def _ask(
        self, question: str, sentences: Sequence[str], choices: Sequence[Choice], then: Callable[[str], None],
        default: str = "cancel", back: Callable[[], None] | None = None, leave: Choice = CANCEL,
    ) -> None:  # fmt: skip
        raise NotImplementedError

    def do_swap(self) -> None:
        """While the task is being swapped: whether to take that back. Else who shall serve."""
        running = running_swap(self.app.view.snapshot, self._task)
        if running is not None:
            self._offer_cancel(running)
            return
        waiting = self._appointment()
        if waiting is not None:
            self._offer_unschedule(waiting)
            return
        self._choose()

    def _appointment(self) -> OperationView | None:
        snapshot, task = self.app.view.snapshot, self._task
        operations = snapshot.operations if snapshot else ()
        mine = (o for o in operations if o.kind == "appointment" and o.result.get("task") == task)
        return next((o for o in mine if o.state == "waiting"), None)

    def _offer_unschedule(self, waiting: OperationView) -> None:
        def then(how: str) -> None:
            if how == "drop":
                self.app.commander.unschedule(waiting)
            else:
                self._choose()

        self._ask(
            "a swap is scheduled",
            [f"{waiting.message}."],
            [
                Choice("drop", "Drop it", "the swap is taken off the schedule"),
                Choice("other", "Swap otherwise", "this one stays scheduled"),
            ],
            then,
            leave=Choice(CANCEL.id, "Leave it", "it stays scheduled"),
        )

    def do_canary(self) -> None:
        """The rollout under way, or who goes on trial."""
        if self._rollout() is None:
            self._choose(trial=True)
            return
        from .screens.trial import Trial

        def ordered(order: str | None) -> None:
            rollout = self._rollout()
            if order is not None and rollout is not None:
                self.app.commander.rollout(rollout, order)

        self.app.push_screen(Trial(self.app.view, self._task), ordered)

    def _rollout(self) -> RolloutView | None:
        snapshot, task = self.app.view.snapshot, self._task
        under_way = (r for r in (snapshot.rollouts if snapshot else ()) if r.task == task and r.ended_at is None)
        return next(under_way, None)

    def _offer_cancel(self, swap: SwapView) -> None:
        snapshot = self.app.view.snapshot
        now = [f"Now: {under_way(swap, snapshot).told()}."] if snapshot is not None else []
        done = ", ".join(p.name for p in swap.phases) or "it has just begun"
        self._ask(
            f"{swap.task} is being swapped to {swap.to}",
            [*now, f"Done so far: {done}.", "Until the switch it can be taken back; afterwards r rolls back."],
            [Choice("stop", "Take it back", f"{swap.from_ or 'nobody'} serves on")],
            lambda _: self.app.commander.cancel_swap(swap),
            leave=Choice(CANCEL.id, "Let it go on", "the swap is finished"),
        )

    def _choose(self, cursor: str | None = None, *, trial: bool = False) -> None:
        from .screens.swap_dialog import SwapDialog

        task, engine = self._task, self.app.engine
        if engine is None:
            return

        def chosen(choice: SwapChoice | None) -> None:
            if choice is not None:
                (self._try if trial else self._how)(task, choice)

        dialog = SwapDialog(self.app.view, task, lambda v: engine.swap(task, v, dry_run=True), trial=trial)
        dialog.cursor = cursor or dialog.cursor
        self.app.push_screen(dialog, chosen)

    def _try(self, task: str, choice: SwapChoice) -> None:
        """The trial itself: what it does to requests, and why it can't be where it can't."""
        preview, view = choice.preview, task_of(self.app.view.snapshot, task)
        old = view.incumbent if view else None
        turns = preview is not None and preview.exclusive
        choices = [Choice("canary", "Begin the trial", IN_BLOCKS if turns else TRIAL)]
        said = [f"{old} goes on serving {task} beside it; c shows how the trial stands."]
        if old is None:
            choices, said = [], [f"▲ Nobody serves {task}: there is nobody to compare it with. s lets it serve."]
        elif turns:
            said = [
                f"{old} goes on serving {task}. Both do not fit: they take turns in memory while no client asks. "
                "c shows how the trial stands."
            ]
        said += [f"▲ {worry}" for worry in (preview.worries if preview and choices else [])]
        self._ask(
            f"try {choice.to} on {task}?", said, choices, lambda _: self.app.commander.canary(task, choice.to),
            back=lambda: self._choose(choice.to, trial=True),
        )  # fmt: skip

    def _how(self, task: str, choice: SwapChoice) -> None:
        """Swap now, canary, schedule, cancel; cancel is the default."""
        preview, view = choice.preview, task_of(self.app.view.snapshot, task)
        worries = [f"▲ {worry}" for worry in (preview.worries if preview else [])]
        old = view.incumbent if view else None
        choices = [Choice("now", "Swap now", f"{old or 'nobody'} stays at hand: r undoes it")]
        if old is not None:
            choices.append(Choice("canary", "Canary", IN_BLOCKS if preview and preview.exclusive else TRIAL))
        choices.append(Choice("later", "Schedule", "at a time that you choose"))

        def then(how: str) -> None:
            if how == "now":
                self.app.commander.swap(task, choice.to)
            elif how == "canary":
                self.app.commander.canary(task, choice.to)
            else:
                self._when(task, choice)

        self._ask(f"let {choice.to} serve {task}?", worries, choices, then, back=lambda: self._choose(choice.to))

    def _when(self, task: str, choice: SwapChoice) -> None:
        from .screens.when import When

        snapshot = self.app.view.snapshot
        if snapshot is None:
            return

        def at(moment: float | None) -> None:
            if moment is None:
                self._how(task, choice)
            else:
                self.app.commander.schedule(task, choice.to, moment)

        self.app.push_screen(When(self.app.view, f"{task} to {choice.to}", snapshot.taken_at), at)
