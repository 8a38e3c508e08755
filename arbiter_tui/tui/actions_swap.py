"""Swaps by hand: now, on trial first, or later; and taking one back while it is under way.

Owns: the flow of dialogs. Never: drawing, the engine's answer (commands.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.snapshot import OperationView, RolloutView, SwapView
from .screens.confirm import Choice
from .state import task_of

if TYPE_CHECKING:
    from .app import CockpitApp
    from .screens.swap_dialog import SwapChoice

EARLY = ("validating", "recording", "warming", "probing", "transferring")  # what comes before a swap's switch


class SwapActions:
    app: CockpitApp

    @property
    def _task(self) -> str:
        raise NotImplementedError

    def _ask(
        self, question: str, sentences: Sequence[str], choices: Sequence[Choice], then: Callable[[str], None],
        default: str = "cancel", back: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        raise NotImplementedError

    def do_swap(self) -> None:
        """While the task is being swapped: whether to take that back. Else who shall serve."""
        running = self._running_swap()
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
        )

    def do_canary(self) -> None:
        """The rollout under way, or who goes on trial."""
        if self._rollout() is None:
            self._choose()
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

    def _running_swap(self) -> SwapView | None:
        snapshot, task = self.app.view.snapshot, self._task
        return next((s for s in (snapshot.swaps if snapshot else ()) if s.task == task and s.result == "running"), None)

    def _offer_cancel(self, swap: SwapView) -> None:
        done = ", ".join(p.name for p in swap.phases) or "it has just begun"
        self._ask(
            f"{swap.task} is being swapped to {swap.to}",
            [f"Done so far: {done}.", "Until the switch it can be taken back; afterwards r rolls back."],
            [Choice("stop", "Take it back", f"{swap.from_ or 'nobody'} serves on")],
            lambda _: self.app.commander.cancel_swap(swap),
        )

    def _choose(self, cursor: str | None = None) -> None:
        from .screens.swap_dialog import SwapDialog

        task, engine = self._task, self.app.engine
        if engine is None:
            return

        def chosen(choice: SwapChoice | None) -> None:
            if choice is not None:
                self._how(task, choice)

        dialog = SwapDialog(self.app.view, task, lambda v: engine.swap(task, v, dry_run=True))
        dialog.cursor = cursor or dialog.cursor
        self.app.push_screen(dialog, chosen)

    def _how(self, task: str, choice: SwapChoice) -> None:
        """Swap now, canary, schedule, cancel; cancel is the default."""
        preview, view = choice.preview, task_of(self.app.view.snapshot, task)
        worries = [f"▲ {worry}" for worry in (preview.worries if preview else [])]
        old = view.incumbent if view else None
        choices = [Choice("now", "Swap now", f"{old or 'nobody'} stays at hand: r undoes it")]
        if old is not None and not (preview and preview.exclusive):
            choices.append(
                Choice("canary", "Canary", "first beside it unseen, then for a part, more while it is no worse")
            )
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
