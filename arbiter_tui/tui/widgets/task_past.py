"""Of the task screen: figures over time, the trade-offs, single requests, what was learnt.

Owns: drawing these four. Never: measuring, asking the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...core.snapshot import RowView
from .. import charts
from .. import format as fmt
from ..names import briefly
from ..state import View
from ..task_facts import NEWEST, Facts, Past, Ruler, Served, past_of
from ..text import Column, Line, Span, Table, line, model_name, paragraphs, plain, version_name
from .panel import ListPanel, Panel

FIRST = 5  # facts that are more worth a small region than what the answers cost
SOURCES = {"request": "client", "bench": "bench", "sentinel": "hidden", "reported": "told", "shadow": "shadow"}


class OverTime(Panel):
    """Region 4: utility, quality and latency of whoever served, request by request, with the swaps between them."""

    digit = 4
    name_ = "over time"

    def __init__(self, view: View, facts: Facts) -> None:
        super().__init__(view, id="over-time")
        self.facts = facts
        self._kept: tuple[object, ...] = ()
        self._past = Past()

    def past(self) -> Past:
        """Worked out anew only when what it is made of has changed."""
        task, snapshot = self.view.task_view(), self.view.snapshot
        swaps = tuple(s for s in snapshot.swaps if s.task == self.facts.task) if snapshot else ()
        incumbent, ruler = task.incumbent if task else None, Ruler.of(self.facts.draft)
        key = (self.facts.served, swaps, incumbent, ruler)
        if key != self._kept:
            self._kept = key
            self._past = past_of(self.facts.served, swaps, incumbent, ruler)
        return self._past

    def figure(self) -> Line:
        return line((fmt.plural(len(self.past().quality), "answer"), "unit")) if self.past().quality else ()

    def body(self, width: int, height: int) -> list[Line]:
        past = self.past()
        if not past.quality:
            said = "Nothing that served was measured yet; b runs the benchmark, requests fill it by themselves."
            return [line(), *paragraphs(said if self.facts.told else "Asking the engine …", width, "unit")]
        told = self._curves(past)
        told = told[: max(1, (height - 2) // 2)]  # each has a title and a line at least
        room = height - 2 - len(told)
        lines: list[Line] = []
        for n, (name, what, values, now, top) in enumerate(told):
            rows = max(1, room // len(told) + (n < room % len(told)))
            lines.append(self._title(name, what, now))
            lines += charts.curve(values, past.marks, width, rows, top=top, token="curve")
        return [*lines, self._marks(past, width), self._ends(past, width)][:height]

    def _curves(self, past: Past) -> list[tuple[str, str, Sequence[float | None], str, str]]:
        """Name, what it is, the values as shares of the axis, the newest in words, the axis's top: what tells most
        first."""
        slowest, mine = past.slowest, "your" if self.facts.draft.changes else "the task's"
        scaled = [None if v is None or not slowest else v / slowest for v in past.latency]
        top = fmt.seconds(slowest).replace(" ", "") if slowest else ""
        utility = ("utility", f"by {mine} weights, of the newest {NEWEST}", past.utility,
                   self._last(past.utility, fmt.score), "1")  # fmt: skip
        rest = [
            ("quality", f"mean of the newest {NEWEST}", past.quality, self._last(past.quality, fmt.score), "1"),
            ("latency", f"median of the newest {NEWEST}", scaled, self._last(past.latency, fmt.seconds), top),
        ]
        return [utility, *rest] if any(v is not None for v in past.utility) else rest

    @staticmethod
    def _title(name: str, what: str, now: str) -> Line:
        return line((f"{name} ", "head"), (f"{what}; now ", "unit"), (now, "figure"))

    @staticmethod
    def _last(values: Sequence[float | None], write: object) -> str:
        known = next((v for v in reversed(values) if v is not None), None)
        return str(write(known)) if callable(write) else fmt.DASH

    def _marks(self, past: Past, width: int) -> Line:
        """Who came with each swap."""
        short = [charts.Mark(m.at, m.label.rpartition(".")[0] or m.label) for m in past.marks]
        return charts.below(short, len(past.quality), width)

    def _ends(self, past: Past, width: int) -> Line:
        """Between which moments it lies: the axis counts requests, not hours."""
        if past.began is None or past.ended is None:
            return ()
        same = fmt.moment(past.began)[:10] == fmt.moment(past.ended)[:10]
        ended = fmt.moment(past.ended)[11:] if same else fmt.moment(past.ended)
        swaps = f" · {fmt.plural(len(past.marks), 'swap')}" if past.marks else ""
        return line((" " * charts.GAUGE + f"{fmt.moment(past.began)} to {ended}{swaps}", "unit"))


class TradeOffs(Panel):
    """Region 5: quality against latency; nobody is better in both than what carries the house."""

    digit = 5
    name_ = "trade-offs"

    def __init__(self, view: View, facts: Facts) -> None:
        super().__init__(view, id="trade-offs")
        self.facts = facts

    def rows(self) -> Sequence[RowView]:
        preview = self.facts.preview
        if preview is not None and preview.rows and self.facts.draft.changes:
            return preview.rows
        task = self.view.task_view()
        return task.leaderboard if task else ()

    def figure(self) -> Line:
        n = sum(r.on_pareto_front for r in self.rows())
        return line((f"⌂ {n} of {len(self.rows())}", "unit")) if self.rows() else ()

    def body(self, width: int, height: int) -> list[Line]:
        known = [r for r in self.rows() if r.quality is not None and r.latency_p50_s is not None]
        rest = len(self.rows()) - len(known)
        if not known:
            return [
                line(),
                *paragraphs("No model has both a quality and a latency yet; b measures them.", width, "unit"),
            ]
        foot = [line((f"{fmt.plural(rest, 'model')} without both figures", "unit"))] if rest else []
        names = briefly((r.version for r in known), providers=True)
        points = [self._point(r, names[r.version]) for r in known]
        return [*charts.scatter(points, width, height - len(foot)), *foot]

    def _point(self, row: RowView, name: str) -> charts.Point:
        task = self.view.task_view()
        front = " ⌂" if row.on_pareto_front else ""
        glyph, token = ("⌂", "label") if row.on_pareto_front else ("•", "unit")
        if task is not None and row.version == task.incumbent:
            glyph, token = "◆", "serve"
        elif task is not None and row.version == task.candidate:
            glyph, token = "◇", "trial"
        return charts.Point(
            x=row.latency_p50_s or 0.0, y=row.quality or 0.0, glyph=glyph, token=token,
            label=name + (front if glyph != "⌂" else ""), brief=str(row.rank),
        )  # fmt: skip


class Requests(ListPanel[Served]):
    """Region 6: the newest measured requests; enter opens the record of one."""

    digit = 6
    name_ = "requests"
    follows_first = True

    def __init__(self, view: View, facts: Facts) -> None:
        super().__init__(view, id="requests")
        self.facts = facts

    def items(self) -> Sequence[Served]:
        return self.facts.served

    def identity(self, item: Served) -> str:
        return item.id

    def figure(self) -> Line:
        failed = sum(not s.success for s in self.facts.served)
        return line((f"✕ {failed} failed", "fail")) if failed else ()

    def all_columns(self, width: int) -> list[Column[Served]]:
        now = self.view.snapshot.taken_at if self.view.snapshot else 0.0
        when = 8 if width >= 44 else 5
        return [
            Column("at", "when", when, lambda s, w: line((_when(s.at, now)[:w], "unit")), align="left"),
            Column("name", "model", 0, lambda s, w: _model(s.version, w), align="left"),
            Column("source", "asked by", 8, lambda s, w: line((SOURCES.get(s.source, s.source), "unit")), 4, "left"),
            Column("latency", "took", 7, lambda s, w: line((fmt.seconds(s.latency_s), "figure")), 1),
            Column("ttft", "ttft", 7, lambda s, w: line((fmt.seconds(s.ttft_s), "label")), 5),
            Column("tokens", "tokens", 6, lambda s, w: line((_count(s.tokens_out), "label")), 6),
            Column("quality", "qual", 5, lambda s, w: line((fmt.score(s.quality), "figure")), 2),
            Column("result", "", 1, _result, 0),
        ]

    def _table(self, width: int) -> Table[Served]:
        return Table.choose(self.columns(width), width, flexible=8, widest=34, gap=1 if width < 50 else 2)

    def table_head(self, width: int) -> list[Line]:
        return [self._table(width).header(None)]

    def item(self, item: Served, width: int, lines: int) -> list[Line]:
        return [self._table(width).row(item)]

    def empty(self, width: int) -> list[Line]:
        return [line(), *paragraphs("No request was measured yet." if self.facts.told else "Asking …", width, "unit")]


def _model(version: str, width: int) -> Line:
    whole = version_name(version, width, "label", brief=True)
    return whole if plain(whole) == version else line((fmt.fit(model_name(version), width), "label"))


def _when(at: float, now: float) -> str:
    """The time today, else the day."""
    return fmt.moment(at)[11:] if fmt.moment(at)[:10] == fmt.moment(now)[:10] else fmt.clock(at, now)


def _count(n: int | None) -> str:
    return fmt.DASH if n is None else fmt.count(n)


def _result(one: Served, width: int) -> Line:
    return (Span(*charts.STRIP[charts.kind_of(one.success, one.quality)]),)


class Learnt(Panel):
    """Region 7: what is known of the task, whoever served it: it outlives every model."""

    digit = 7
    name_ = "learnt"

    def __init__(self, view: View, facts: Facts) -> None:
        super().__init__(view, id="learnt")
        self.facts = facts

    def figure(self) -> Line:
        known = self.facts.profile
        return line((fmt.plural(known.requests, "answer"), "unit")) if known else ()

    def body(self, width: int, height: int) -> list[Line]:
        known = self.facts.profile
        if known is None or not known.requests:
            said = "Nothing was learnt yet." if self.facts.told else "Asking the engine …"
            return [line(), *paragraphs(said, width, "unit")]
        lines = [line((f"{name:<12}", "unit"), (text, "label")) for name, text in self._facts()]
        return [*lines, *paragraphs("It names no model: it stays when they go.", width, "unit")][:height]

    def _facts(self) -> list[tuple[str, str]]:
        known = self.facts.profile
        assert known is not None
        failures = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(known.failures.items()))
        told = [
            ("success", fmt.percent(known.success_rate) + (f" · {failures}" if failures else "")),
            ("quality", f"{fmt.score(known.quality_mean)} · {fmt.plural(known.quality_n, 'grade')}"),
            (
                "latency",
                f"{fmt.seconds(known.latency.quantile(0.5))} · 95% {fmt.seconds(known.latency.quantile(0.95))}",
            ),
            ("first token", fmt.seconds(known.ttft.quantile(0.5))),
            ("tokens", f"{_mean(known.prompt_tokens.mean)} in, {_mean(known.answer_tokens.mean)} out"),
            ("complexity", fmt.score(known.complexity)),
            ("most memory", fmt.size(known.memory.quantile(1.0))),
        ]
        lengths = ", ".join(
            f"<{2**size} {fmt.percent(ok / n)}" for size, (n, ok) in sorted(known.by_length.items()) if n
        )
        told += [("by length", lengths)] if len(known.by_length) > 1 else []
        told[FIRST:FIRST] = cost(self.facts)
        return [*told, ("operators", f"prefer {known.preference}")] if known.preference else told


def cost(facts: Facts) -> list[tuple[str, str]]:
    """What today's answers took; a dash where none of them was measured or priced."""
    today = facts.today
    if today is None:
        return []
    asked = int(today.get("requests") or 0)
    if not today.get("measured") and not today.get("priced"):
        return [("cost today", f"{fmt.DASH} · not measured, not priced" if asked else f"{fmt.DASH} · no request")]
    return [
        ("energy", _sum(today.get("energy_j"), today.get("measured"), asked, "measured", fmt.joules)),
        ("money", _sum(today.get("money"), today.get("priced"), asked, "priced", fmt.money)),
    ]


def _sum(value: Any, of: Any, asked: int, word: str, write: Callable[[float | None], str]) -> str:
    """The sum, what each took, and of how many it is known where not of all."""
    known = int(of or 0) if isinstance(of, int | float) else 0
    if not isinstance(value, int | float) or not known:
        return f"{fmt.DASH} today · none of {fmt.plural(asked, 'request')} {word}"
    rest = f", {known} of {asked} {word}" if known < asked else f" on {fmt.plural(asked, 'request')}"
    return f"{write(value)} today · {write(value / known)} each{rest}"


def _mean(value: float | None) -> str:
    return fmt.DASH if value is None else f"{value:.0f}"
