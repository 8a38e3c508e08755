"""Region 2, ranking: who is best at the chosen task, and how sure that is. Owns: drawing it. Never: scoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core.snapshot import RowView, TaskView
from .. import format as fmt
from ..filter import fields_of, matches
from ..names import briefly, distinct
from ..state import model_of, quality_of, row_of
from ..text import Column, Line, Span, Table, line, pad, paragraphs
from .panel import ListPanel
from .pool_table import figure, kept

SOURCES = {"suite": "benchmark", "sentinel": "hidden questions", "verifier": "checked answers", "judge": "a judge"}
LEGEND = (
    ("◆", "serve", "serves"),
    ("◇", "trial", "on trial"),
    ("⌂", "label", "best trade-off"),
    ("✕", "warn", "may not serve"),
    ("├●┤", "unit", "utility"),
)


TIGHT = 50  # cells below which an interval's bar is worth more than the gaps between columns


class Leaderboard(ListPanel[RowView]):
    digit = 2
    name_ = "ranking"
    FILTERS = True
    SORTS = ("rank", "quality", "p50", "memory", "samples")

    def subject(self) -> Line:
        """A remembered task is not one of an engine that was never seen."""
        return line((self.view.task or "", "figure")) if self.view.snapshot is not None else ()

    def figure(self) -> Line:
        snapshot = self.view.snapshot
        if snapshot is None or not snapshot.tasks:
            return ()
        task = self.view.task_view()
        if self.wanted and task is not None:
            return kept(len(self.items()), len(task.leaderboard))
        mode = task.autopilot if task else ""
        return line(
            (f"autopilot {mode}", "label" if mode == "on" else "warn"),
            (f" · {fmt.plural(len(snapshot.tasks), 'task')}: t", "unit"),
        )

    def shorter(self) -> Sequence[Line]:
        """The number of tasks goes first, then the word; the task's own name never."""
        task = self.view.task_view()
        if task is None or self.wanted:
            return ((),)
        token = "label" if task.autopilot == "on" else "warn"
        return (line((f"autopilot {task.autopilot}", token)), line((f"auto {task.autopilot}", token)), ())

    def items(self) -> Sequence[RowView]:
        task = self.view.task_view()
        if task is None:
            return ()
        return self.sorted_once(task, (self.sort, self.wanted), lambda: self._sort(task))

    def _sort(self, task: TaskView) -> list[RowView]:
        big = float("inf")
        keys: dict[str, Callable[[RowView], Any]] = {
            "rank": lambda r: r.rank,
            "quality": lambda r: -(r.quality if r.quality is not None else -1.0),
            "p50": lambda r: r.latency_p50_s if r.latency_p50_s is not None else big,
            "memory": lambda r: r.memory_bytes if r.memory_bytes is not None else big,
            "samples": lambda r: -r.samples,
        }
        key = keys[self.sort or "rank"]
        rows = task.leaderboard
        if self.wanted:
            seen = self.view.snapshot
            rows = tuple(r for r in rows if matches(self.wanted, fields_of(r.version, model_of(seen, r.version), seen)))
        return sorted(rows, key=lambda r: (key(r), r.rank, r.version))

    def identity(self, item: RowView) -> str:
        return item.version

    def all_columns(self, width: int) -> list[Column[RowView]]:
        axis = 10 if width < 74 else 17 if width < 110 else 25
        return [
            Column("rank", " #", 4, self._rank_cell, align="left"),
            Column("name", "model", 0, self._version_cell, align="left"),
            Column("utility", "util", 4, lambda r, w: figure(fmt.score(r.utility))),
            Column("axis", "0" + ("utility" if axis > 10 else "").center(axis - 2) + "1", axis, self._axis, 2, "left"),
            Column("p_best", "P(best)" if width > 74 else "best", 7 if width > 74 else 4, self._p_best, 3),
            Column("quality", "qual", 5, lambda r, w: figure(quality_of(r)), 4),
            Column("p50", "p50", 6, lambda r, w: figure(fmt.seconds(r.latency_p50_s)), 5),
            Column("p95", "p95", 6, lambda r, w: figure(fmt.seconds(r.latency_p95_s)), 8),
            Column("memory", "mem", 6, lambda r, w: figure(fmt.size(r.memory_bytes)), 7),
            Column("energy", "energy", 7, lambda r, w: figure(fmt.joules(r.energy_j)), 10),
            Column("success", "ok", 4, self._success, 9),
            Column("samples", "n", 5, lambda r, w: (Span(fmt.count(r.samples), "unit"),), 6),
        ]

    def _table(self, width: int) -> Table[RowView]:
        flexible = 22 if width < TIGHT else 25 if width < 84 else 33
        gap = 1 if width < TIGHT else 2
        return self.table_once(
            width, lambda: Table.choose(self.columns(width), width, flexible=flexible, widest=40, gap=gap)
        )

    def shown_columns(self) -> frozenset[str]:
        return frozenset(c.key for c in self._table(self.size.width - 5).columns)

    def table_head(self, width: int) -> list[Line]:
        return [self._table(width).header(self.sort, ascending=self.sort in ("rank", "p50", "memory"))]

    def item(self, item: RowView, width: int, lines: int) -> list[Line]:
        return [self._table(width).row(item)]

    def _rank_cell(self, item: RowView, width: int) -> Line:
        """Rank and role in one column: a name needs the room."""
        return (Span(f"{item.rank or fmt.DASH:>2} ", "unit"), *self._role(item))

    def _version_cell(self, item: RowView, width: int) -> Line:
        return distinct(item.version, width, [r.version for r in self.items()])

    def _role(self, item: RowView) -> Line:
        task = self.view.task_view()
        if task and item.version == task.incumbent:
            return (Span("◆", "serve"),)
        if task and item.version == task.candidate:
            return (Span("◇", "trial"),)
        if item.unfit is not None:
            return (Span("✕", "warn"),)
        return (Span("⌂", "label"),) if item.on_pareto_front else ()

    def _axis(self, item: RowView, width: int) -> Line:
        before, mark, after = fmt.interval(item.utility_low, item.utility, item.utility_high, width)
        return line((before, "unit"), (mark, "figure"), (after, "unit"))

    def _p_best(self, item: RowView, width: int) -> Line:
        return figure(fmt.score(item.p_best))

    def _success(self, item: RowView, width: int) -> Line:
        if item.success_rate is not None and item.success_rate < 0.8:
            return (Span(fmt.percent(item.success_rate), "warn"),)
        return figure(fmt.percent(item.success_rate))

    def below(self, item: RowView, width: int, height: int) -> list[Line]:
        task = self.view.task_view()
        drawn = {span.text for row in self.items() for span in self._role(row)} | {"├●┤"}
        legend: list[Span] = []
        for glyph, token, word in LEGEND:
            legend += [Span(glyph, token), Span(f" {word}  ", "unit")] if glyph in drawn else []
        lines = [tuple(legend)]
        if height >= 6 and task is not None:
            serving = next((r for r in task.leaderboard if r.version == task.incumbent), None)
            lines = [*self._sentence(item, serving, width), line(), *lines]
        room = height - len(lines) - 2
        return [*lines, line(), *self._tasks(width, room)] if room >= 3 else lines

    def _tasks(self, width: int, room: int) -> list[Line]:
        """Who serves each task: what remains of the room."""
        snapshot = self.view.snapshot
        if snapshot is None:
            return []
        modes = 0 if all(t.autopilot == "on" for t in snapshot.tasks) else 9
        longest = min(14, max(len(t.task) for t in snapshot.tasks))
        name = max(10, min(32, width - longest - 2 - 2 - 5 - modes))
        lines = [line(("every task", "head"))]
        serve = [t.incumbent for t in snapshot.tasks if t.incumbent]
        for t in snapshot.tasks:
            serving = row_of(t, t.incumbent)
            who = distinct(t.incumbent, name, serve, "label") if t.incumbent else line(("nobody", "warn"))
            here = "accent" if t.task == self.view.task else "label"
            lines.append(
                line(
                    (f"{fmt.fit(t.task, longest):<{longest + 2}}", here),
                    ("◆ " if t.incumbent else "▲ ", "serve" if t.incumbent else "warn"),
                    *pad(who, name),
                    (f" {fmt.score(serving.utility if serving else None):>4}", "figure"),
                    ("" if t.autopilot == "on" else f"  {t.autopilot}", "warn"),
                )
            )
        if len(lines) > room:
            lines = [*lines[: room - 1], line((f"and {len(lines) - room + 1} more: t", "unit"))]
        return lines

    def _sentence(self, row: RowView, serving: RowView | None, width: int) -> list[Line]:
        """The selected row in words, against the one that serves."""
        source = SOURCES.get(row.quality_source or "", row.quality_source or "not measured")
        names = briefly((r.version for r in self.items()), providers=True)
        text = f"{names[row.version]}: quality {fmt.score(row.quality)} ({source})"
        text += f", {fmt.plural(row.samples, 'sample')}"
        if serving is not None and serving.version != row.version and None not in (row.utility, serving.utility):
            gap = (row.utility or 0.0) - (serving.utility or 0.0)
            text += f"; utility {abs(gap):.2f} {'above' if gap > 0 else 'below'} the one that serves"
        if row.unfit is not None:
            text += f"; may not serve: {row.unfit}"
        return paragraphs(text + ".", width, "unit")

    def empty(self, width: int) -> list[Line]:
        if self.view.snapshot is None:
            return []
        if not self.view.snapshot.tasks:
            return [line(), *paragraphs("No tasks yet: a [[tasks]] block in arbiter.toml names a kind of work.", width)]
        return [
            line(),
            *paragraphs(f"Nothing is ranked for {self.view.task} yet.", width),
            *paragraphs("Press b to measure the models on its benchmark.", width, "unit"),
        ]
