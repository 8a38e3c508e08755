"""Of the task screen: the criteria that can be changed, the ranking that they would bring, the guards of a swap.

Owns: drawing these three, and typing a value. Never: scoring, asking the engine, what a guard decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from textual import events

from ...core.guards import Guard
from ...core.snapshot import RowView
from .. import format as fmt
from ..rules import figure_of, named
from ..state import View, row_of
from ..task_draft import KNOBS, Knob, read, written
from ..task_facts import Facts
from ..text import Column, Line, Span, Table, line, paragraphs, spread, version_name, width_of
from .leaderboard import Leaderboard
from .panel import ListPanel

NAME, VALUE = 17, 8  # cells of a criterion's name and value
AXIS = 17  # cells of the ranking's axis at least
NAMED, FIGURE, LIMIT = 24, 10, 11  # cells of a guard's name, value and limit


class Criteria(ListPanel[Knob]):
    """Region 1. ``entry``: what is being typed, None while nobody types."""

    digit = 1
    name_ = "criteria"
    top_lines = 0

    def __init__(self, view: View, facts: Facts, changed: Callable[[], None]) -> None:
        super().__init__(view, id="criteria")
        self.facts, self._changed = facts, changed
        self.entry: str | None = None
        self.wrong = ""  # why what was typed is no value
        self.saving = False

    def items(self) -> Sequence[Knob]:
        return KNOBS if self.facts.told else ()

    def identity(self, item: Knob) -> str:
        return item.key

    def figure(self) -> Line:
        n = len(self.facts.draft.changes)
        if self.saving:
            return line(("◐ saving", "label"))
        return line((f"{n} not saved", "warn")) if n else ()

    def empty(self, width: int) -> list[Line]:
        return [line(), *paragraphs(self.facts.trouble or "Asking the engine …", width, "unit")]

    def item(self, item: Knob, width: int, lines: int) -> list[Line]:
        draft, here = self.facts.draft, self.cursor == item.key
        changed = item.key in draft.changes
        if here and self.entry is not None:
            typed = fmt.cut(self.entry, max(1, width - NAME - 2))
            return [line((f"{item.name:<{NAME}} ", "label"), (typed, "figure"), ("▏", "accent"))]
        value = written(item, draft.value(item.key))
        left = [
            Span(f"{item.name:<{NAME}}", "label"),
            Span(f"{value:>{VALUE}}", "figure" if value != fmt.DASH else "unit"),
        ]
        if changed:
            return [spread(tuple(left), line((f"was {written(item, draft.saved.get(item.key))}", "accent")), width)]
        if item.kind == "weight":
            share = draft.shares()[item.key]
            room = width - NAME - VALUE - 7
            bar = fmt.bar(share, room).rstrip() if room >= 4 else ""
            return [line(*left, (f"  {fmt.percent(share):>3}  ", "unit"), (bar, "curve"))]
        return [tuple(left)]

    # typing -----------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        self.entry, self.wrong = "", ""
        self.sync()

    def stop(self) -> bool:
        """Leave the entry as it was; whether there was one."""
        had, self.entry, self.wrong = self.entry is not None, None, ""
        self.sync()
        return had

    def accept(self) -> None:
        """What was typed becomes the draft's value; what is none stays there to be mended."""
        knob = self.selected()
        if knob is None or self.entry is None:
            return
        try:
            value = read(knob, self.entry)
        except ValueError as error:
            self.wrong = str(error)
        else:
            self.facts.draft.set(knob.key, value)
            self.entry, self.wrong = None, ""
        self._changed()

    def step(self, by: int) -> None:
        knob = self.selected()
        if knob is not None and self.entry is None:
            self.facts.draft.step(knob.key, by)
            self._changed()

    def clear(self) -> None:
        """No constraint where there may be none; elsewhere the saved value again."""
        knob = self.selected()
        if knob is not None and self.entry is None:
            self.facts.draft.set(knob.key, None if knob.optional else self.facts.draft.saved.get(knob.key))
            self._changed()

    def on_key(self, event: events.Key) -> None:
        """While a value is typed, keys belong to it and not to the keymap."""
        if self.entry is None:
            return
        if event.key == "enter":
            self.accept()
        elif event.key == "escape":
            self.stop()
            self._changed()
        elif event.key == "backspace":
            self.entry = self.entry[:-1]
        elif event.key == "ctrl+u":
            self.entry = ""
        elif event.is_printable and event.character:
            self.entry += event.character
        event.stop()
        event.prevent_default()
        self.sync()

    def on_blur(self) -> None:
        self.stop()


class TaskRanking(Leaderboard):
    """Region 3: the ranking now, or with the draft; each row then says where it stands now."""

    digit = 3
    FILTERS = False

    def __init__(self, view: View, facts: Facts) -> None:
        super().__init__(view, id="task-ranking")
        self.facts = facts

    @property
    def previewed(self) -> bool:
        preview = self.facts.preview
        return preview is not None and not preview.error and bool(self.facts.draft.changes)

    def subject(self) -> Line:
        return line(("if saved", "accent")) if self.previewed else line(("now", "label"))

    def figure(self) -> Line:
        if self.facts.asking:
            return line(("◐ asking", "label"))
        task = self.view.task_view()
        return line((f"autopilot {task.autopilot}", "label" if task.autopilot == "on" else "warn")) if task else ()

    def items(self) -> Sequence[RowView]:
        preview = self.facts.preview
        return preview.rows if preview is not None and self.previewed else super().items()

    def all_columns(self, width: int) -> list[Column[RowView]]:
        wide = "0" + "utility".center(AXIS - 2) + "1"
        columns = [
            replace(c, width=AXIS, title=wide) if c.key == "axis" and c.width < AXIS else c
            for c in super().all_columns(width)
        ]
        if self.previewed:
            columns.insert(1, Column("moved", "now", 4, self._moved_cell, 1, "left"))
            columns.insert(4, Column("change", "change", 6, self._change_cell, 2))
        return columns

    def _table(self, width: int) -> Table[RowView]:
        tight = 1 if self.previewed and width < 74 else 2  # two columns more, and the axis stays
        return Table.choose(self.columns(width), width, flexible=20 if width < 84 else 33, widest=40, gap=tight)

    def _version_cell(self, item: RowView, width: int) -> Line:
        """In full where it fits, else as people call it, where that tells it from the others."""
        if fmt.cells(item.version) <= width:
            return version_name(item.version, width)
        return super()._version_cell(item, width)

    def _moved_cell(self, item: RowView, width: int) -> Line:
        old = row_of(self.view.task_view(), item.version)
        if old is None or not old.rank:
            return line((fmt.DASH, "unit"))
        if old.rank == item.rank:
            return line((f"= {old.rank}", "unit"))
        return line((f"{'↑' if old.rank > item.rank else '↓'} {old.rank}", "figure"))

    def _change_cell(self, item: RowView, width: int) -> Line:
        old = row_of(self.view.task_view(), item.version)
        if old is None or old.utility is None or item.utility is None:
            return line((fmt.DASH, "unit"))
        return line((f"{item.utility - old.utility:+.2f}".replace("0.", "."), "label"))

    def below(self, item: RowView, width: int, height: int) -> list[Line]:
        preview = self.facts.preview
        if preview is None or not self.facts.draft.changes:
            return super().below(item, width, min(height, 5))
        return [x for v, why in self._dropped() for x in paragraphs(f"✕ {v} would not qualify: {why}", width, "warn")]

    def told(self) -> tuple[str, str]:
        """The preview in a sentence, and its token; empty without one."""
        preview, task = self.facts.preview, self.view.task_view()
        if preview is None or task is None or not self.facts.draft.changes:
            return "", "label"
        if preview.error:
            return f"✕ {preview.error}", "fail"
        out = self._dropped()
        less = (
            f" {fmt.plural(len(out), 'model')} would not qualify: {fmt.list_of([v for v, _ in out], 2)}." if out else ""
        )
        if preview.primary == task.incumbent:
            return f"With these, {preview.primary} would stay the best choice.{less}", "label"
        best = f"With these, {preview.primary} would be the best choice, not {task.incumbent or 'nobody'}.{less}"
        return best + " The autopilot would swap only once it is sure.", "label"

    def _dropped(self) -> list[tuple[str, str]]:
        """Those that are ranked now and would not be."""
        preview, task = self.facts.preview, self.view.task_view()
        ranked = {row.version for row in task.leaderboard} if task else set()
        return [(v, why) for v, why in (preview.disqualified.items() if preview else ()) if v in ranked]


class Guards(ListPanel[Guard]):
    """Region 2: what would make the autopilot swap now, and what would keep it from it."""

    digit = 2
    name_ = "what would trigger a swap"

    def __init__(self, view: View, facts: Facts) -> None:
        super().__init__(view, id="guards")
        self.facts = facts

    def items(self) -> Sequence[Guard]:
        return self.facts.guards

    def identity(self, item: Guard) -> str:
        return f"{item.rule} {item.version}"

    def figure(self) -> Line:
        pulls = sum(g.met for g in self.facts.guards if g.kind == "trigger")
        blocks = sum(not g.met for g in self.facts.guards if g.kind == "condition")
        if not self.facts.guards:
            return ()
        pulled = (f"▲ {fmt.plural(pulls, 'trigger')}", "warn") if pulls else ("no trigger", "unit")
        return line(pulled, (" · ", "unit"), (f"{blocks} in the way" if blocks else "nothing in the way", "unit"))

    def table_head(self, width: int) -> list[Line]:
        more = "would change if" if width >= 64 else ""
        return [line((f"   {'':<{NAMED}}{'value':<{FIGURE}}{'limit':<{LIMIT}}{more}", "unit"))]

    def item(self, item: Guard, width: int, lines: int) -> list[Line]:
        name, before = words(item)
        glyph, token = answer(item)
        limit = "" if item.threshold is None else f"{before} {figure_of(item.threshold, item.unit)}".strip()
        strong = "figure" if item.met == (item.kind == "trigger") else "label"
        spans = line(
            (f"{glyph}  ", token),
            (f"{fmt.fit(name, NAMED - 1):<{NAMED}}", strong),
            (f"{fmt.shorten(value_of(item), FIGURE - 1):<{FIGURE}}", strong),
            (f"{fmt.shorten(limit, LIMIT - 1):<{LIMIT}}", "unit"),
        )
        room = width - width_of(spans)
        return [(*spans, Span(fmt.shorten(item.would_change_if, room), "unit")) if room >= 15 else spans]

    def empty(self, width: int) -> list[Line]:
        told = "This engine does not tell them." if self.facts.told else self.facts.trouble or "Asking the engine …"
        return [line(), *paragraphs(told, width, "unit")]


def words(guard: Guard) -> tuple[str, str]:
    """Its name, and what stands before its limit."""
    return named(guard.rule)


def answer(guard: Guard) -> tuple[str, str]:
    """A glyph for each of the four answers, and its token."""
    if guard.kind == "trigger":
        return ("▲", "warn") if guard.met else ("·", "unit")
    return ("✓", "ok") if guard.met else ("✕", "fail")


def explained(guard: Guard) -> str:
    """The answer in words, and what would change it."""
    if guard.kind == "trigger":
        said = "yes, it asks for a swap." if guard.met else "no."
    else:
        said = "yes." if guard.met else "no, it forbids a swap now."
    return f"{words(guard)[0]}: {said} It would change if {guard.would_change_if}."


def value_of(guard: Guard) -> str:
    """Of a moment that is waited for: how long still; the moment itself stands beside it as the limit."""
    if guard.unit == "at" and isinstance(guard.value, int | float) and isinstance(guard.threshold, int | float):
        return fmt.left(guard.threshold - guard.value)
    return figure_of(guard.value, guard.unit)
