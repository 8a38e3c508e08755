"""One task on the whole screen: its criteria with a preview, its ranking, what would trigger a swap, its past.

Owns: the places of the seven regions, the keys here, asking the engine for what no snapshot carries, and the way of a
change from the draft to the engine. Never: scoring (the engine previews), what a dialog says (actions_task.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from ...errors import ArbiterError
from ..keys import BY_ID, binding_id
from ..messages import Opened
from ..state import View
from ..task_facts import Facts, Preview, preview_of
from ..widgets.panel import ListPanel, Panel
from ..widgets.task_choice import Criteria, Guards, TaskRanking, explained
from ..widgets.task_frame import TaskFooter, TaskHead, TaskSaid
from ..widgets.task_past import Learnt, OverTime, Requests, TradeOffs

if TYPE_CHECKING:
    from ..app import CockpitApp

WIDE = (100, 36)  # from here on: all regions at once
TALL = 50
FOLDED = 18  # fewer rows: only the chosen region
LOOK_S = 5.0  # between two looks at what no snapshot carries
NEWEST = 200  # requests shown and drawn
SPANS = (2, 4, 3, 3, 2, 2, 2)  # of six columns
HERE = ("swap", "canary", "rollback", "bench", "autopilot", "task", "explain", "zoom", "help", "export")


class TaskDetail(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(BY_ID[i].key.replace("?", "question_mark"), f"here('{i}')", show=False, id=binding_id(i))
            for i in HERE
        ),
        *(Binding(str(d), f"region({d})", show=False) for d in range(1, 8)),
        Binding("tab", "next_region(1)", show=False),
        Binding("shift+tab", "next_region(-1)", show=False),
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("ctrl+d,pagedown", "page(1)", show=False),
        Binding("ctrl+u,pageup", "page(-1)", show=False),
        Binding("G,end", "move(1000000)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("right,plus,equals_sign", "step(1)", show=False),
        Binding("left,minus", "step(-1)", show=False),
        Binding("backspace,delete", "clear", show=False),
        Binding("enter", "open", show=False),
        Binding("ctrl+s", "save", show=False, id="task-save"),
        Binding("escape,q", "leave", show=False),
        Binding("f1", "here('help')", show=False),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.facts = Facts(view.task or "")
        self.criteria = Criteria(view, self.facts, self.draft_changed)
        self.ranking = TaskRanking(view, self.facts)
        self.guards = Guards(view, self.facts)
        self.over_time = OverTime(view, self.facts)
        self.trade_offs = TradeOffs(view, self.facts)
        self.requests = Requests(view, self.facts)
        self.learnt = Learnt(view, self.facts)
        self.panels: tuple[Panel, ...] = (
            self.criteria, self.guards, self.ranking, self.over_time, self.trade_offs, self.requests, self.learnt,
        )  # fmt: skip
        self.head = TaskHead(view, id="task-head")
        self.said = TaskSaid(view, self)
        self.foot = TaskFooter(view, self)
        self.zoomed = False
        self._loading: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None
        self._seen: tuple[object, ...] = ()  # what the newest look was for

    @property
    def cockpit(self) -> CockpitApp:
        return cast("CockpitApp", self.app)

    # places ---------------------------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        yield self.head
        with Container(id="task-body"):
            yield from self.panels
        yield self.said
        yield self.foot

    def on_mount(self) -> None:
        self.criteria.focus()
        self.settle()
        self.set_interval(LOOK_S, self.look)
        self.look()

    def on_unmount(self) -> None:
        for task in (self._loading, self._trying):
            if task is not None:
                task.cancel()

    def on_resize(self) -> None:
        self.settle()

    def focused_panel(self) -> Panel:
        return self.focused if isinstance(self.focused, Panel) else self.criteria

    def settle(self) -> None:
        """All regions, or one open and the others folded, or that one alone."""
        width, height = self.app.size
        wide = width >= WIDE[0] and height >= WIDE[1] and not self.zoomed
        alone = self.zoomed or height < FOLDED
        self.set_class(wide, "-wide")
        self.set_class(height >= TALL, "-tall")
        self.said.styles.height = 2 if height >= 30 else 1
        for panel, span in zip(self.panels, SPANS, strict=True):
            panel.display = panel is self.focused_panel() if alone else True
            panel.styles.height = "1fr" if wide or panel is self.focused_panel() else 1
            panel.styles.column_span = span if wide else 1
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        for part in (self.head, *self.panels, self.said, self.foot):
            part.sync()

    def on_descendant_focus(self) -> None:
        self.call_after_refresh(self.settle)

    # what the engine tells ------------------------------------------------------------------------------------------
    def sync(self) -> None:
        """A snapshot came, or the link changed."""
        if self.view.task != self.facts.task:
            self._another_task()
        task = self.view.task_view()
        if task is not None and self.facts.told and task.settings != self.facts.told.get("settings"):
            self.look()
        self.redraw()

    def _another_task(self) -> None:
        self.facts = Facts(self.view.task or "")
        for panel in (
            self.criteria, self.guards, self.ranking, self.over_time, self.trade_offs, self.requests, self.learnt,
        ):  # fmt: skip
            panel.facts = self.facts
        self._seen = ()
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None
        self.look()

    def look(self) -> None:
        """Ask for what no snapshot carries, unless that is under way."""
        busy = self._loading is not None and not self._loading.done()
        if not busy and not self.view.frozen and self.view.link != "gone":
            self._loading = asyncio.create_task(self._look(self.facts), name="task-look")

    async def _look(self, facts: Facts) -> None:
        engine, task = self.cockpit.engine, self.view.task_view()
        if engine is None:
            return
        seen = (facts.task, task.requests if task else 0, sum(r.samples for r in task.leaderboard) if task else 0)
        try:
            facts.take_task(await engine.task(facts.task))
            if seen != self._seen:  # requests are many bytes: only when there are others
                facts.take_served(await engine.outcomes(facts.task, NEWEST))
                facts.take_profile(await engine.profile(facts.task))
                now = self.view.snapshot.taken_at if self.view.snapshot else None
                with contextlib.suppress(ArbiterError):  # an older engine: its costs are not known
                    facts.take_spent(await engine.machine(after=now))
                self._seen = seen
            facts.trouble = ""
        except (ArbiterError, OSError, TimeoutError) as error:
            facts.trouble = str(error) or type(error).__name__
        self.criteria.saving = False
        if facts.preview is not None and not facts.draft.changes:
            facts.preview = None
        self.redraw()

    # the draft ------------------------------------------------------------------------------------------------------
    def draft_changed(self) -> None:
        """Ask what the ranking would be; an answer to an older question is not waited for."""
        facts = self.facts
        if self._trying is not None:
            self._trying.cancel()
        trouble = facts.draft.trouble()
        if not facts.draft.changes or trouble:
            facts.preview, facts.asking = (Preview(error=trouble) if trouble else None), False
        else:
            facts.asking = True
            self._trying = asyncio.create_task(self._try(facts), name="task-preview")
        self.redraw()

    async def _try(self, facts: Facts) -> None:
        engine = self.cockpit.engine
        if engine is None:
            return
        try:
            facts.preview = preview_of(await engine.select(facts.task, **facts.draft.patch()))
        except (ArbiterError, OSError, TimeoutError) as error:
            facts.preview = Preview(error=str(error) or type(error).__name__)
        facts.asking = False
        self.redraw()

    def drop(self) -> None:
        self.facts.draft.changes.clear()
        self.draft_changed()

    # keys -----------------------------------------------------------------------------------------------------------
    def action_here(self, action: str) -> None:
        from ..actions_task import TaskActions

        TaskActions(self).run(action)

    def action_save(self) -> None:
        self.action_here("save")

    def action_leave(self) -> None:
        if self.zoomed:
            self.zoomed = False
            self.settle()
        elif self.facts.draft.changes:
            self.action_here("drop")
        else:
            self.view.notice = None
            self.dismiss()

    def action_region(self, digit: int) -> None:
        panel = self.panels[digit - 1]
        self.zoomed = self.focused is panel and not self.zoomed
        panel.display = True
        panel.focus()
        self.settle()

    def action_next_region(self, by: int) -> None:
        panels: Sequence[Panel] = self.panels
        panel = panels[(panels.index(self.focused_panel()) + by) % len(panels)]
        panel.display = True
        panel.focus()

    def action_move(self, by: int) -> None:
        panel = self.focused_panel()
        if isinstance(panel, ListPanel):
            panel.move(by)
            self.said.sync()
            self.foot.sync()

    def action_page(self, by: int) -> None:
        panel = self.focused_panel()
        self.action_move(by * panel.page() if isinstance(panel, ListPanel) else 0)

    def action_step(self, by: int) -> None:
        if self.focused_panel() is self.criteria and self.facts.told:
            self.criteria.step(by)

    def action_clear(self) -> None:
        if self.focused_panel() is self.criteria and self.facts.told:
            self.criteria.clear()

    def action_open(self) -> None:
        panel = self.focused_panel()
        if panel is self.criteria and self.facts.told:
            self.criteria.begin()
            self.foot.sync()
        elif panel is self.requests:
            self.action_here("request")
        elif panel is self.ranking:
            self.action_here("model")

    def on_opened(self, message: Opened) -> None:
        message.stop()
        self.action_open()

    @property
    def told(self) -> str:
        """The selected criterion or guard in words."""
        panel = self.focused_panel()
        if panel is self.guards:
            guard = self.guards.selected()
            return explained(guard) if guard is not None else ""
        knob = self.criteria.selected() if panel is self.criteria else None
        return f"{knob.name}: {knob.told}." if knob is not None else ""
