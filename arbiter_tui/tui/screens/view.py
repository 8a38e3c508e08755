"""The base of every whole-screen view: header, its own parts, one line of news, one line of keys.

Owns: its table of keys (footer, help and bindings are made from it), what applies, the way back. Never: the wire's
polling (app.py), what a view shows. A view that is open is told of each snapshot through ``sync``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from ...errors import ArbiterError
from .. import format as fmt
from ..keys import BY_ID, SIGNS, Action, binding_id, shown
from ..messages import Opened
from ..source import Engine
from ..state import Notice, View
from ..text import Line, Span, line, paragraphs, spread, width_of
from ..widgets.header import Header
from ..widgets.panel import LineWidget, ListPanel

if TYPE_CHECKING:
    from ..app import CockpitApp

MOVES: tuple[BindingType, ...] = (
    Binding("j,down", "move(1)", show=False),
    Binding("k,up", "move(-1)", show=False),
    Binding("ctrl+d,pagedown", "page(1)", show=False),
    Binding("ctrl+u,pageup", "page(-1)", show=False),
    Binding("G,end", "end(1)", show=False),
    Binding("home", "end(-1)", show=False),
    Binding("slash", "filter", show=False),
)
ALWAYS: tuple[BindingType, ...] = (
    Binding("escape", "back", show=False),
    Binding("q", "leave", show=False),
    Binding("question_mark", "keys", show=False),
    Binding("x", "export", show=False),
    Binding("f1", "keys", show=False),  # where a prompt takes every letter, "?" is one of them
)
NAMED = 22  # cells of a key and its word
JUMPS = ("task_view", "requests", "history", "benchmark", "registry", "engine_log")  # from one view to another


def key(id: str, keys: str, word: str, sentence: str, *, shown: str = "", writes: bool = False) -> Action:
    """One key of a view; ``id`` names the method ``do_ID``."""
    first = keys.split(",")[0]
    return Action(id, keys, word, sentence, "view", shown or SIGNS.get(first, first.replace("ctrl+", "^")), writes)


def bindings(view: str, keys: Sequence[Action]) -> list[BindingType]:
    """Bindings of a view's keys; in the keymap they are called ``VIEW-ID``."""
    return [Binding(a.key, f"do('{a.id}')", a.word, id=f"{view}-{a.id}", tooltip=a.sentence, show=False) for a in keys]


class News(LineWidget):
    """One line: what the last key set off, else why what is seen may be old, else the view's own sentence."""

    greys = False

    def __init__(self, screen: ViewScreen) -> None:
        super().__init__(screen.view, id="news")
        self._of = screen

    def draw(self, width: int, height: int) -> list[Line]:
        view = self.view
        if view.notice is not None and not self._of.inherited(view.notice):
            said = line((view.notice.text, view.notice.token))
        elif view.link == "gone":
            said = line(("✕ the engine does not answer; trying again", "fail"))
        elif view.link == "stale":
            said = line((f"▲ no news from the engine for {view.age_s} s", "warn"))
        else:
            said = self._of.sentence()
        return [line(" ", *said), *[()] * (height - 1)]


class KeyLine(LineWidget):
    """The keys that apply now; the way back and the help stand right."""

    greys = False

    def __init__(self, screen: ViewScreen) -> None:
        super().__init__(screen.view, id="keys")
        self._of = screen

    def draw(self, width: int, height: int) -> list[Line]:
        right = line(("esc", "key"), (" back  ", "unit"), (self._of.help_key(), "key"), (" keys ", "unit"))
        spans: list[Span] = [Span(" ")]
        for action in self._of.shown_keys():
            pair = line((self._of.shown_as(action), "key"), (f" {action.word}  ", "unit"))
            if width_of((*spans, *pair)) > width - width_of(right) - 1:
                break
            spans += pair
        return [spread(tuple(spans), right, width)]


class ViewScreen(Screen[None]):
    """``parts`` are drawn between header and news, in order, each as tall as its style says."""

    NAME: ClassVar[str] = ""
    KEYS: ClassVar[tuple[Action, ...]] = ()
    PLACES: ClassVar[str] = "j k ^d ^u G home move, / filters"
    ACTION: str = ""  # the action of the main screen that opens it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(BY_ID[i].key, f"jump('{i}')", show=False, id=binding_id(i)) for i in JUMPS
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.header = Header(view)
        self.news = News(self)
        self.keyline = KeyLine(self)
        self._elsewhere = view.notice  # said where this one was opened: it is not this view's
        self.header.styles.height = self.news.styles.height = self.keyline.styles.height = 1

    @property
    def cockpit(self) -> CockpitApp:
        return cast("CockpitApp", self.app)

    @property
    def engine(self) -> Engine | None:
        return self.cockpit.engine

    def inherited(self, notice: Notice) -> bool:
        """Whether it was there before this view."""
        return notice is self._elsewhere

    # what a view says ----------------------------------------------------------------------------------------------
    def parts(self) -> Sequence[Widget]:
        raise NotImplementedError

    def sentence(self) -> Line:
        """The line of news while there is none."""
        return ()

    def why_not(self, id: str) -> str | None:
        """Why a key does not apply now, beyond a cockpit that only reads or an engine that is gone."""
        return None

    def table(self) -> ListPanel[Any] | None:
        """The list that the cursor keys move."""
        return None

    def on_news(self) -> None:
        """A snapshot came."""

    # drawing -------------------------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        yield self.header
        yield from self.parts()
        yield self.news
        yield self.keyline

    def on_mount(self) -> None:
        panel = self.table()
        if panel is not None:
            panel.focus()
        self.on_news()

    def on_screen_resume(self) -> None:
        self.sync()

    def sync(self) -> None:
        """From the application, at each snapshot and each change of the link."""
        self.on_news()
        self.redraw()

    def redraw(self) -> None:
        for widget in self.query(LineWidget):
            widget.sync()

    # keys ----------------------------------------------------------------------------------------------------------
    def refusal(self, action: Action) -> str | None:
        if action.writes:
            snapshot = self.view.snapshot
            if self.view.read_only or (snapshot is not None and snapshot.engine.read_only):
                return "this cockpit only reads"
            if self.view.link != "live" or snapshot is None:
                return "the engine does not answer"
        return self.why_not(action.id)

    def shown_keys(self) -> list[Action]:
        return [a for a in self.KEYS if self.refusal(a) is None]

    def shown_as(self, action: Action) -> str:
        """The key as it works now."""
        return action.shown

    def help_key(self) -> str:
        return "?"

    def action_jump(self, id: str) -> None:
        """Another view in place of this one; the way back leads to where this one was opened."""
        reason = "you are there; esc goes back" if id == self.ACTION else self.cockpit.main.why_not(id)
        if reason is not None:
            self.say(Notice(f"▲ {BY_ID[id].word}: {reason}", "warn"))
            return
        self.action_leave()
        self.app.call_later(self.cockpit.act, id)

    def action_do(self, id: str) -> None:
        action = next(a for a in self.KEYS if a.id == id)
        reason = self.refusal(action)
        if reason is not None:
            self.say(Notice(f"▲ {action.word}: {reason}", "warn"))
        else:
            getattr(self, f"do_{id}")()

    def say(self, notice: Notice | None) -> None:
        self.view.notice = notice
        self.redraw()

    def fetch(self, what: str, answer: Awaitable[Any], then: Callable[[Any], object]) -> None:
        """Ask the engine; what it refuses is said on the line of news."""

        async def ask() -> None:
            try:
                found = await answer
            except (ArbiterError, OSError, TimeoutError) as error:
                self.say(Notice(f"✕ {what}: {error or type(error).__name__}", "fail"))
                return
            then(found)

        self.run_worker(ask(), exit_on_error=False)

    def action_leave(self) -> None:
        self.view.notice = None
        self.dismiss(None)

    def action_back(self) -> None:
        """A filter first, then the view. What is said there holds nobody back."""
        panel = self.table()
        if panel is not None and panel.clear_filter():
            self.say(None)
        else:
            self.action_leave()

    def action_export(self) -> None:
        self.cockpit.act("export")

    def action_keys(self) -> None:
        from .explain import Reading

        width = min(Reading.WIDE, self.app.size.width - 2) - 6
        rows = [x for a in self.KEYS for x in self._key_lines(a, width)]
        places = f"{self.PLACES}, " if self.PLACES else ""
        jumps = ", ".join(f"{shown(BY_ID[i], self.view.keys)} {BY_ID[i].word}" for i in JUMPS if i != self.ACTION)
        rest = [f"{places}x writes the picture to a file, esc goes back", jumps]
        rows += [line(), *(x for text in rest for x in paragraphs(text, width, "unit"))]
        self.app.push_screen(Reading(self.view, f"keys · {self.NAME}", rows))

    def _key_lines(self, action: Action, width: int) -> list[Line]:
        first, *rest = fmt.wrap(self._told(action), max(20, width - NAMED))
        head = line((f"{action.shown:<8}", "key"), (f"{action.word:<{NAMED - 8}}", "figure"), (first, "label"))
        return [head, *(line((" " * NAMED, "unit"), (text, "label")) for text in rest)]

    def _told(self, action: Action) -> str:
        reason = self.refusal(action)
        return f"not now: {reason}" if reason else action.sentence

    def action_move(self, by: int) -> None:
        panel = self.table()
        if panel is not None:
            panel.move(by)
            self.keyline.sync()

    def action_page(self, by: int) -> None:
        panel = self.table()
        self.action_move(by * panel.page() if panel is not None else 0)

    def action_end(self, by: int) -> None:
        self.action_move(by * 1_000_000)

    def action_filter(self) -> None:
        panel = self.table()
        if panel is not None and panel.FILTERS:
            panel.ask_filter()

    def on_opened(self, message: Opened) -> None:
        self.action_do(self.KEYS[0].id)
