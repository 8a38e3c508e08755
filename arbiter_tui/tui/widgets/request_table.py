"""The requests that have ended, the newest last, as a tail is read. Owns: a row and its columns. Never: asking the
engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.cost import Outcome
from .. import format as fmt
from ..names import distinct
from ..text import Column, Line, Span, Table, line, paragraphs
from .view_list import Tail

WIDE = 96
FEW_TOKENS = 3
RESULTS = {"ok": ("✓ ok", "ok"), "cancelled": ("○ left", "unit"), "client_error": ("▲ refused", "warn")}


@dataclass(frozen=True, slots=True)
class Row:
    """One request as the wire tells it. Seconds; what is not known is None."""

    id: str
    at: float
    task: str
    version: str
    outcome: str  # ok, or the kind of failure
    ttft_s: float | None
    latency_s: float | None
    tokens_out: int | None
    rate: float | None
    quality: float | None
    named: bool | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Row:
        """Fields that are missing or of another kind are unknown: the engine may be older or newer."""
        ok = bool(data.get("success"))
        at = _number(data.get("at")) or 0.0
        known = Outcome(
            id="", task="", version="", at=at, success=ok, latency_s=_number(data.get("latency_s")),
            ttft_s=_number(data.get("ttft_s")), queue_s=_number(data.get("queue_s")),
            tokens_out=_count(data.get("tokens_out")),
        )  # fmt: skip
        named = data.get("named")
        return cls(
            str(data.get("id", "")), at, fmt.visible(str(data.get("task") or "")),
            fmt.visible(str(data.get("version") or "")), "ok" if ok else str(data.get("failure") or "failed"),
            known.ttft_s, known.latency_s, known.tokens_out, _rate(known), _number(data.get("quality")),
            named if isinstance(named, bool) else None,
        )  # fmt: skip

    @property
    def fields(self) -> dict[str, str]:
        """What a filter may ask."""
        return {
            "id": self.id, "task": self.task, "model": self.version, "version": self.version, "state": self.outcome,
            "outcome": self.outcome,
        }  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _rate(known: Outcome) -> float | None:
    """Tokens a second; of one or two tokens it would be the pause between two packets."""
    return known.tokens_per_second if (known.tokens_out or 0) >= FEW_TOKENS else None


class RequestTable(Tail[Row]):
    name_ = "requests"

    def take(self, newest_first: Sequence[Mapping[str, Any]]) -> bool:
        """What the engine answered; a known request may have got its grade. Whether anything is new."""
        for data in reversed(newest_first):
            row = Row.of(data)
            if row.id:
                self.put(row.id, row)
        return self.settle()

    def fields(self, row: Row) -> Mapping[str, str]:
        return row.fields

    def identity(self, item: Row) -> str:
        return item.id

    def all_columns(self, width: int) -> list[Column[Row]]:
        now = self.view.snapshot.taken_at if self.view.snapshot else 0.0
        wide = width >= WIDE
        return [
            Column("at", "when", 8, lambda r, w: (Span(fmt.clock_s(r.at, now), "unit"),), align="left"),
            Column("task", "task", 14 if wide else 11, self._task_cell, align="left"),
            Column("name", "model", 0, self._model, align="left"),
            Column("ttft", "ttft", 7 if wide else 6, lambda r, w: _figure(fmt.seconds(r.ttft_s)), 2),
            Column("latency", "took", 7 if wide else 6, lambda r, w: _figure(fmt.seconds(r.latency_s))),
            Column("tokens", *(("tokens", 6) if wide else ("tok", 4)), self._tokens, 1),
            Column("rate", "tok/s", 5, lambda r, w: _figure(fmt.rate(r.rate)), 4),
            Column("outcome", "outcome", 14 if wide else 13, self._outcome, align="left"),
            Column("quality", "grade", 5, lambda r, w: _figure(fmt.score(r.quality)), 3),
            Column("id", "id", 16, lambda r, w: (Span(fmt.fit(r.id, w), "unit"),), 5, "left"),
        ]

    def _task_cell(self, row: Row, width: int) -> Line:
        if row.task:
            return (Span(fmt.fit(row.task, width), "figure"),)
        return (Span("by name", "unit"),)

    def _model(self, row: Row, width: int) -> Line:
        """Told apart from every model that there is."""
        models = self.view.snapshot.models if self.view.snapshot else ()
        return distinct(row.version, width, [m.version for m in models], "label")

    def _tokens(self, row: Row, width: int) -> Line:
        return _figure(fmt.DASH if row.tokens_out is None else str(row.tokens_out))

    def _outcome(self, row: Row, width: int) -> Line:
        text, token = RESULTS.get(row.outcome, ("✕ " + row.outcome.replace("_", " "), "fail"))
        return (Span(fmt.shorten(text, width), token),)

    def _table(self, width: int) -> Table[Row]:
        return Table.choose(self.all_columns(width), width, flexible=18, gap=2 if width >= WIDE else 1)

    def table_head(self, width: int) -> list[Line]:
        return [self._table(width).header(None)]

    def item(self, item: Row, width: int, lines: int) -> list[Line]:
        return [self._table(width).row(item)]

    def empty(self, width: int) -> list[Line]:
        if not self.loaded:
            return self.waiting(width, "asking the engine for the newest requests …")
        said = "Each request appears here as soon as it has ended. Send one: arbiter run TASK PROMPT, or g here."
        return [line(), line(("No requests yet.", "figure")), line(), *paragraphs(said, width)]


def _figure(text: str) -> Line:
    if text == fmt.DASH:
        return (Span(text, "unit"),)
    number, space, unit = text.partition(" ")
    return line((number, "figure"), (space + unit, "unit"))
