"""What each key does: dialogs first where something would be lost, then the command. Owns: the flow from key to
command.

Never: drawing, the wire's polling (app.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.snapshot import SwapView
from ..errors import ArbiterError
from . import format as fmt
from .actions_doors import DoorActions
from .actions_swap import SwapActions
from .actions_views import ViewActions
from .changes import Step
from .screens.confirm import BACK, CANCEL, Choice, Confirm
from .state import Notice, announced, model_of, serves, task_of

if TYPE_CHECKING:
    from .app import CockpitApp
    from .screens.explain import Body, Reading

UNDO_S = 600.0  # so long after a swap one key undoes it without a question, while the old model is warm


class Actions(ViewActions, SwapActions, DoorActions):
    """Bound to one app; ``run(id)`` is the only door."""

    def __init__(self, app: CockpitApp) -> None:
        self.app = app

    def run(self, action: str) -> None:
        getattr(self, f"do_{action}")()

    @property
    def _task(self) -> str:
        return self.app.view.task or ""

    def _ask(
        self,
        question: str,
        sentences: Sequence[str],
        choices: Sequence[Choice],
        then: Callable[[str], None],
        default: str = "cancel",
        back: Callable[[], None] | None = None,
        leave: Choice = CANCEL,
    ) -> None:
        def answered(choice: str | None) -> None:
            if choice == BACK and back is not None:
                back()
            elif choice is not None:
                then(choice)

        view, steps = self.app.view, back is not None
        dialog = Confirm(view, question, sentences, choices, default=default, steps_back=steps, leave=leave)
        self.app.push_screen(dialog, answered)

    # models -----------------------------------------------------------------------------------------------
    def do_warm(self) -> None:
        version = self.app.main.target()
        if version:
            self.app.commander.warm(version)

    def do_unload(self) -> None:
        version, snapshot = self.app.main.target(), self.app.view.snapshot
        model = model_of(snapshot, version)
        if model is None or snapshot is None:
            return
        tasks = serves(snapshot, model.version)
        sentences = [f"{fmt.size(model.resident_bytes)} come free."]
        if tasks:
            sentences.append(f"▲ It serves {fmt.list_of(tasks)}: the next request there has to load it again.")
        if model.in_flight:
            sentences.append(f"{fmt.plural(model.in_flight, 'answer')} under way will finish first.")
        self._ask(
            f"unload {model.version}?",
            sentences,
            [Choice("unload", "Unload", "its memory is given back")],
            lambda _: self.app.commander.unload(model.version),
        )

    # tasks ------------------------------------------------------------------------------------------------
    def do_rollback(self, of: str | None = None) -> None:
        """``of``: another task than the chosen one."""
        snapshot = self.app.view.snapshot
        view = task_of(snapshot, of) if of is not None else self.app.view.task_view()
        if view is None or view.previous is None or snapshot is None:
            return
        task, to = view.task, view.previous
        old = model_of(snapshot, to)
        newest = next((s for s in snapshot.swaps if s.task == task and s.result == "done"), None)
        warm = old is not None and old.state == "ready"
        if warm and newest is not None and snapshot.taken_at - newest.started_at <= UNDO_S:
            self.app.commander.rollback(task, to)
            return
        sentences = [
            f"{to} serves {task} again; {view.incumbent} stays loaded."
            if warm
            else f"{to} is loaded first; until then {view.incumbent} serves."
        ]
        sentences.append("The autopilot then leaves this task alone for a while.")
        self._ask(
            f"roll {task} back?",
            sentences,
            [Choice("rollback", "Roll back", f"to {to}")],
            lambda _: self.app.commander.rollback(task, to),
        )

    def do_bench(self) -> None:
        snapshot, task = self.app.view.snapshot, self._task
        running = [o for o in snapshot.operations if o.state == "running" and o.kind == "bench"] if snapshot else []
        if running:
            op = running[0]
            said = ", ".join(x for x in (f"{fmt.percent(op.progress)} done", fmt.left(op.eta_s), op.message) if x)
            choices = [Choice("stop", "Cancel it", "what it has measured is kept")]
            going = Choice(CANCEL.id, "Let it go on", "it measures the rest")
            self._ask(
                "a benchmark is running", [said], choices, lambda _: self.app.commander.cancel(op.id), leave=going
            )
            return
        choices = [Choice("one", "This task", task), Choice("all", "Every task", "one after the other; takes longer")]
        said = "Every active model answers the task's benchmark; requests keep being served, and go first."
        self._ask(
            "measure the models?",
            [said],
            choices,
            lambda c: self.app.commander.bench([task] if c == "one" else None),
            default="one",
        )

    def do_autopilot(self) -> None:
        view = self.app.view.task_view()
        if view is None:
            return
        choices = [
            Choice("on", "On", "swaps when a model is measurably better, or this one fails"),
            Choice("observe", "Observe", "says what it would do, and does nothing"),
            Choice("off", "Off", "only you swap"),
        ]
        task = view.task
        self._ask(
            f"autopilot of {task}",
            [f"It is {view.autopilot} now."],
            choices,
            lambda mode: self.app.commander.autopilot(task, mode),
            default=view.autopilot,
        )

    def do_veto(self) -> None:
        view = announced(self.app.view.snapshot, self.app.view.task)
        if view is not None and view.next_incumbent is not None:
            self.app.commander.veto(view.task, view.next_incumbent)

    # views ------------------------------------------------------------------------------------------------
    def do_task(self) -> None:
        from .screens.task_picker import TaskPicker

        self.app.push_screen(TaskPicker(self.app.view), lambda task: self.app.show_task(task) if task else None)

    def do_task_view(self) -> None:
        from .screens.task_detail import TaskDetail

        self.app.push_screen(TaskDetail(self.app.view))

    def do_details(self) -> None:
        main, snapshot = self.app.main, self.app.view.snapshot
        if main.focused is main.machine:
            self.do_hardware()
            return
        if main.focused is main.narrator:
            self._read("now", lambda width: main.narrator.body(width, 0))
            return
        if main.focused is main.swaps:
            swap = main.swaps.selected()
            if swap is not None:
                self.read_swap(swap)
            return
        model = model_of(snapshot, main.target())
        if model is not None:
            self.read_model(model.version)

    def read_model(self, version: str) -> None:
        from .screens.model_detail import ACTIONS, ModelDetail

        why_not = {a: self.app.main.why_not(a) for a in ACTIONS}
        sheet = ModelDetail(self.app.view, version, self.app.engine, why_not)
        self.app.push_screen(sheet, lambda wanted: self._on_same(version, wanted))

    def _on_same(self, version: str, wanted: str | None) -> None:
        """What a model's sheet was left for, on that model even if the cursor stands elsewhere by now."""
        main = self.app.main
        if wanted is None:
            return
        panel = main.board if main.focused_panel() is main.board else main.pool
        panel.cursor = version
        self.app.call_later(main.action_run, wanted)

    def _read(
        self,
        title: str,
        body: Body,
        *,
        from_end: bool = False,
        offer: tuple[str, Callable[[], None]] | None = None,
    ) -> Reading:
        from .screens.explain import Reading

        def left(how: str | None) -> None:
            if how == "offer" and offer is not None:
                offer[1]()

        word = offer[0] if offer else None
        sheet = Reading(self.app.view, title, body, from_end=from_end, offer=word)
        self.app.push_screen(sheet, left)
        return sheet

    def read_swap(self, swap: SwapView) -> None:
        """At once what the snapshot knows; the requests around it and the decision behind it follow."""
        if isinstance(swap, Step):
            self._read_step(swap)
            return
        from .screens.explained import decision_of, explanation, swap_lines

        sheet = self._read(f"swap {swap.id}", lambda width: swap_lines(swap, width), offer=self._return_to(swap))
        engine, decision = self.app.engine, decision_of(swap)
        if engine is None:
            return

        async def more() -> Mapping[str, Any]:
            found = await engine.explain(swap.id)
            behind = await engine.explain(decision) if decision else None
            known = found.get("kind") == "swap"
            sheet.show(lambda width: swap_lines(swap, width, found, behind) if known else explanation(found, width))
            return found

        self._fetch(f"explaining {swap.id}", more(), lambda _: None)

    def _read_step(self, step: Step) -> None:
        from .screens.step_record import step_lines

        what = "trial" if step.trial is not None else "appointment"
        self._read(f"{what} · {step.task}", lambda width: step_lines(step, width))

    def _return_to(self, swap: SwapView) -> tuple[str, Callable[[], None]] | None:
        """From a swap's record: undo it where it still holds, else let its version serve again."""
        task = task_of(self.app.view.snapshot, swap.task)
        known = model_of(self.app.view.snapshot, swap.to)
        writes = self.app.main.why_not("swap") is None
        if task is None or known is None or not writes or swap.result not in ("done", "rolled_back"):
            return None
        if task.incumbent == swap.to:
            return ("undo this", lambda: self.do_rollback(swap.task)) if task.previous is not None else None
        question = f"{swap.task} as it was at {fmt.moment(swap.started_at)}?"
        sentences = [f"{swap.to} serves {swap.task} again, in place of {task.incumbent or 'nobody'}."]
        sentences.append("The autopilot then leaves this task alone for a while.")
        choices = [Choice("swap", "Roll back", "r undoes it")]
        return "roll back to this point", lambda: self._ask(
            question, sentences, choices, lambda _: self.app.commander.swap(swap.task, swap.to)
        )

    def do_explain(self) -> None:
        """The record behind the selected swap; elsewhere why the task is served by who serves it."""
        main = self.app.main
        swap = main.swaps.selected() if main.focused is main.swaps else None
        if swap is not None:
            self.read_swap(swap)
        else:
            self.explain(self._task)

    def explain(self, id: str) -> None:
        """The record of a task or request."""
        from .screens.explained import explanation

        engine = self.app.engine
        if engine is None:
            self.app.say(Notice("▲ explain: there is no engine to ask", "warn"))
            return

        def read(found: Mapping[str, Any]) -> None:
            self._read(f"why · {id}", lambda width: explanation(found, width))

        self._fetch(f"explaining {id}", engine.explain(id), read)

    def _fetch(
        self,
        what: str,
        answer: Awaitable[Any],
        then: Callable[[Any], object],
        otherwise: Callable[[], None] | None = None,
    ) -> None:
        async def fetch() -> None:
            try:
                found = await answer
            except (ArbiterError, OSError, TimeoutError) as error:
                self.app.say(Notice(f"✕ {what}: {error}", "fail"))
                if otherwise is not None:
                    otherwise()
                return
            if isinstance(found, (Mapping, Sequence)):
                then(found)

        self.app.run_worker(fetch(), exit_on_error=False)

    def do_sort(self) -> None:
        from .widgets.panel import ListPanel

        panel = self.app.main.focused_panel()
        if isinstance(panel, ListPanel):
            panel.next_sort()

    def do_filter(self) -> None:
        from .widgets.panel import ListPanel

        panel = self.app.main.focused_panel()
        if isinstance(panel, ListPanel):
            panel.ask_filter()

    def do_zoom(self) -> None:
        self.app.main.zoom()

    def do_freeze(self) -> None:
        self.app.freeze(not self.app.view.frozen)

    def do_quit(self) -> None:
        """At once where nothing is lost; else it says what, and leaving the engine alone is the default."""
        stake = self.app.at_stake()
        if not stake:
            self.app.leave(stop=self.app.owns_engine)
            return
        choices = [
            Choice("stop", "Stop the engine", "answers under way finish, then its models are unloaded"),
            Choice("leave", "Leave it serving", "arbiter comes back to it, arbiter stop ends it"),
        ]
        self._ask("quit", stake, choices, lambda c: self.app.leave(stop=c == "stop"), default="leave")
