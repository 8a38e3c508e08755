"""The main screen: five regions, their places and the keys. Owns: layout, focus, what a key means where. Never: the
wire.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from ..commands import Commander
from ..keys import ACTIONS, BY_ID, FOOTER, Action, binding_id, shown
from ..memory import Choices
from ..messages import Opened
from ..state import Notice, View, announced, model_of
from ..text import Line, line, pad
from ..under_way import running_swap
from ..wearing import wear
from ..widgets.footer import Footer
from ..widgets.header import Header
from ..widgets.leaderboard import Leaderboard
from ..widgets.machine import Machine
from ..widgets.narrator import Narrator
from ..widgets.panel import LineWidget, ListPanel, Panel
from ..widgets.pool_table import PoolTable
from ..widgets.swaps import Swaps
from .places import SMALLEST, form_of, narrator_lines, rows, spans

if TYPE_CHECKING:
    from ..app import CockpitApp


class TooSmall(LineWidget):
    greys = False

    def draw(self, width: int, height: int) -> list[Line]:
        width_, height_ = self.app.size
        said = [
            line((f"this needs {SMALLEST[0]}×{SMALLEST[1]}, it is {width_}×{height_}", "label")),
            line((shown(BY_ID["quit"], self.view.keys), "key"), (" quits; no other key does anything here", "unit")),
        ]
        above = max(0, (height - len(said)) // 2)
        return [pad(x, width) for x in ([()] * above + said + [()] * height)[:height]]


class MainScreen(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                a.key.replace("?", "question_mark").replace("/", "slash"),
                a.id if "(" in a.id else f"run('{a.id}')",
                a.word,
                id=binding_id(a.id),
                tooltip=a.sentence,
                show=False,
            )
            for a in ACTIONS
        ),
        Binding("escape", "dismiss_notice", show=False),
        Binding("f1", "run('help')", show=False),
        Binding("tab", "next_region(1)", show=False),
        Binding("shift+tab", "next_region(-1)", show=False),
    ]

    def __init__(self, view: View, commander: Commander) -> None:
        super().__init__()
        self.view, self.commander = view, commander
        self.header = Header(view, id="header")
        self.pool = PoolTable(view, id="pool")
        self.board = Leaderboard(view, id="board")
        self.machine = Machine(view, id="machine")
        self.swaps = Swaps(view, id="swaps")
        self.narrator = Narrator(view, id="narrator")
        self.footer_ = Footer(view, id="footer")
        self.small = TooSmall(view, id="small")
        self.panels: tuple[Panel, ...] = (self.pool, self.board, self.machine, self.swaps, self.narrator)
        self.zoomed = False
        self.hidden: set[int] = set()  # regions by their digit
        self._first = 1
        self._form: tuple[object, ...] = ()

    @property
    def cockpit(self) -> CockpitApp:
        return cast("CockpitApp", self.app)

    def _compositor_refresh(self) -> None:
        """Beneath a dialog only what changed is painted again; Textual paints the whole screen with each figure."""
        changed, above = self._compositor._dirty_regions, self.app.screen
        if self is not above and changed:
            above._set_dirty(*changed)
            above._dirty_widgets.add(above)  # beside what has changed up there: ``refresh`` would forget that
            above.check_idle()
            changed.clear()
            self._dirty_widgets.clear()
        else:
            super()._compositor_refresh()

    def compose(self) -> ComposeResult:
        yield self.small
        yield self.header
        with Container(id="body"):
            yield self.pool
            yield self.board
            yield self.machine
            yield self.swaps
        yield self.narrator
        yield self.footer_

    def on_mount(self) -> None:
        self.panels[self._first - 1].focus()
        self.settle()

    def on_resize(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Places the regions: two columns, a stack, an accordion with one open region, or that region alone."""
        width, height = self.app.size
        focused = self.focused_panel()
        form = form_of(width, height, zoomed=self.zoomed)
        lines = narrator_lines(height, told=bool(self.view.story))
        chosen = (form, focused.digit if form in ("zoom", "accordion") else 0, lines, frozenset(self.hidden))
        if chosen == self._form:
            return
        self._form = chosen
        self.set_class(form == "wide", "-wide")
        self.small.display = form == "small"
        body = self.query_one("#body")
        for part in (self.header, body, self.narrator, self.footer_):
            part.display = form != "small"
        alone = form in ("zoom", "accordion") and focused is self.narrator
        body.styles.height = "auto" if alone else "1fr"
        body.styles.grid_size_rows = rows(self.hidden)
        self.narrator.styles.height = "1fr" if alone else lines
        wide = spans(self.hidden)
        for panel in self.panels[:4]:
            panel.display = panel is focused if form == "zoom" else panel.digit in wide
            panel.styles.height = "1fr" if form in ("wide", "stack") or panel is focused else 1
            panel.styles.column_span = wide.get(panel.digit, 1)
        self.call_after_refresh(self.sync)

    def focused_panel(self) -> Panel:
        return self.focused if isinstance(self.focused, Panel) else self.pool

    def sync(self) -> None:
        """Every region draws what has changed."""
        self.header.sync()
        for panel in self.panels:
            panel.sync()
        self.footer_.show(self._offered())

    def _offered(self) -> tuple[Action, ...]:
        """What applies here, by what it would do now."""
        swaps = running_swap(self.view.snapshot, self.view.task) is not None
        fits = (BY_ID[i] for i in FOOTER if self.why_not(i) is None)
        return tuple(replace(a, word="take back") if a.id == "swap" and swaps else a for a in fits)

    # what applies --------------------------------------------------------------------------------------------------
    def target(self) -> str | None:
        """The version that a model's key acts on: the ranking's selected row where focused, else the models'."""
        row = self.board.selected() if self.focused_panel() is self.board else None
        model = self.pool.selected()
        return row.version if row else model.version if model else None

    def why_not(self, action: str) -> str | None:
        """Why an action does not apply now; None when it does."""
        view, snapshot = self.view, self.view.snapshot
        known = BY_ID.get(action)
        if known is not None and known.writes:
            if view.reads_only:
                return "this cockpit only reads"
            if view.link != "live" or snapshot is None:
                return "the engine does not answer"
        model = model_of(snapshot, self.target()) if snapshot else None
        task = view.task_view()
        match action:
            case "warm":
                return (
                    "no model is selected"
                    if model is None
                    else f"it is {model.state}"
                    if model.state not in ("cold", "failed")
                    else None
                )
            case "unload":
                return (
                    "no model is selected"
                    if model is None
                    else "it is not loaded"
                    if model.state in ("cold", "failed", "unloading")
                    else None
                )
            case "log":
                return (
                    "no model is selected"
                    if model is None
                    else "the engine does not answer"
                    if view.link != "live"
                    else None
                )
            case "swap" | "canary" | "autopilot" | "bench" | "task" | "task_view" | "explain":
                empty = action in ("swap", "canary") and snapshot is not None and not snapshot.models
                return "there is no task" if task is None else "there is no model" if empty else None
            case "playground":
                return None if snapshot is not None and snapshot.models else "there is no model"
            case "veto":
                return "the autopilot announces nothing" if announced(snapshot, view.task) is None else None
            case "rollback":
                if running_swap(snapshot, view.task) is not None:
                    return "a swap is under way; s takes it back"
                return (
                    "there is no task" if task is None else "nothing served before" if task.previous is None else None
                )
            case "details":
                panel = self.focused_panel()
                if panel is self.machine or panel is self.narrator:
                    return "nothing is known yet" if snapshot is None else None
                return "nothing is selected" if not isinstance(panel, ListPanel) or panel.selected() is None else None
            case "sort":
                panel = self.focused_panel()
                return (
                    None
                    if isinstance(panel, ListPanel) and panel.SORTS and panel.items()
                    else "this region is not sorted"
                )
            case "filter":
                panel = self.focused_panel()
                filters = isinstance(panel, ListPanel) and panel.FILTERS and (panel.items() or panel.wanted)
                return None if filters else "this region has no filter"
            case "freeze" | "hardware":
                return "nothing to hold yet" if snapshot is None else None
        return None

    def action_run(self, action: str) -> None:
        """A key that does not apply says why instead of doing nothing; on a screen that shows nothing none steers."""
        if self.small.display and action != "quit":
            return
        reason = self.why_not(action)
        if reason is not None:
            self.say(Notice(f"▲ {BY_ID[action].word}: {reason}", "warn"))
        else:
            self.cockpit.act(action)

    def run_any(self, action: str) -> None:
        """An action chosen from the menu: a place's action carries its argument."""
        name, _, argument = action.partition("(")
        if name == "theme":
            wear(self.cockpit, argument.rstrip(")"))
        elif argument:
            getattr(self, f"action_{name}")(int(argument.rstrip(")")))
        else:
            self.action_run(action)

    # places ----------------------------------------------------------------------------------------------------------
    def action_region(self, digit: int) -> None:
        panel = self.panels[digit - 1]
        if self.focused is panel:
            self.zoom()
        else:
            self.zoomed = False
            self.show_region(digit, True)
            panel.focus()
        self.call_after_refresh(self.settle)

    def show_region(self, digit: int, shown: bool) -> None:
        """Show or hide one of the first four; one always stays, and what is hidden has no focus."""
        if not shown and len(self.hidden) == 3:
            return
        self.hidden = self.hidden - {digit} if shown else self.hidden | {digit}
        self.settle()
        if self.focused_panel().digit in self.hidden:
            next(p for p in self.panels if p.digit not in self.hidden).focus()

    def zoom(self) -> None:
        self.zoomed = not self.zoomed
        self.call_after_refresh(self.settle)

    def choices(self) -> Choices:
        """What is worth remembering."""
        sorts = {p.name_: p.sort for p in self.panels if isinstance(p, ListPanel) and p.sort}
        left_out = {p.name_: sorted(p.left_out) for p in self.panels if isinstance(p, ListPanel) and p.left_out}
        view = self.view
        hidden = sorted(self.hidden)
        return Choices(sorts, self.focused_panel().digit, left_out, hidden, view.task, view.theme, view.theme_over)

    def choose(self, choices: Choices) -> None:
        """Before the screen is shown: as it was left, but never zoomed; what is no longer known is passed over."""
        for panel in self.panels:
            if isinstance(panel, ListPanel):
                if choices.sorts.get(panel.name_) in panel.SORTS:
                    panel.sort = choices.sorts[panel.name_]
                known = {c.key for c in panel.all_columns(80)}
                panel.left_out = frozenset(choices.left_out.get(panel.name_, ())) & known
        if choices.theme_over == self.view.theme_over:
            self.view.theme = choices.theme
        hidden = {d for d in choices.hidden if 1 <= d <= 4}
        self.hidden = hidden if len(hidden) < 4 else set()
        self._first = choices.region if choices.region not in self.hidden else 5

    def on_descendant_focus(self) -> None:
        self.call_after_refresh(self.settle)
        self.call_after_refresh(self.sync)

    def action_next_region(self, by: int) -> None:
        shown = [p for p in self.panels if p.digit not in self.hidden]
        at = shown.index(self.focused_panel())
        shown[(at + by) % len(shown)].focus()

    def action_move(self, by: int) -> None:
        self._move(by)

    def action_page(self, by: int) -> None:
        panel = self.focused_panel()
        self._move(by * panel.page() if isinstance(panel, ListPanel) else 0)

    def action_end(self, by: int) -> None:
        self._move(by * 1_000_000)

    def _move(self, by: int) -> None:
        panel = self.focused_panel()
        if isinstance(panel, ListPanel):
            panel.move(by)
            self.footer_.show(self._offered())

    def on_opened(self, message: Opened) -> None:
        self.action_run("details")

    def action_dismiss_notice(self) -> None:
        self.view.notice = None
        panel = self.focused_panel()
        if isinstance(panel, ListPanel) and panel.clear_filter():
            self.sync()
        elif self.zoomed:
            self.zoomed = False
            self.settle()
        self.narrator.sync()

    def say(self, notice: Notice | None) -> None:
        self.view.notice = notice
        self.narrator.sync()
