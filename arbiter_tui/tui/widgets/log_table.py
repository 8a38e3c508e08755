"""A log as a tail: a worker's or the engine's. Owns: a line's level and look, sideways scroll. Never: asking.

Control characters are removed: a worker must not draw on this screen. A worker writes no levels: words that tell of
trouble make one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from .. import format as fmt
from ..text import Line, line, paragraphs
from .view_list import Tail

LEVELS = ("info", "warning", "error")
MARKS = {"info": ("  ", "unit"), "warning": ("▲ ", "warn"), "error": ("✕ ", "fail")}
LOUD = {"error": ("error", "fatal", "traceback", "abort", "failed", "exception"), "warning": ("warn", "deprecated")}
_STAMP = re.compile(r"[\d.]+ ([A-Z]) ")
_STAMPED = {"W": "warning", "E": "error"}
ASIDE = 16  # cells a step sideways


@dataclass(frozen=True, slots=True)
class LogLine:
    id: str
    text: str
    level: str = "info"
    at: float = 0.0
    kind: str = ""

    @classmethod
    def said(cls, number: int, text: str) -> LogLine:
        """A worker's line."""
        clean = fmt.visible(text.rstrip("\r\n").replace("\t", "  "))
        stamped = _STAMP.match(clean)
        if stamped is not None:  # llama.cpp writes its level behind the time
            return cls(str(number), clean, _STAMPED.get(stamped[1], "info"))
        low = clean.lower()
        return cls(str(number), clean, next((k for k, words in LOUD.items() if any(w in low for w in words)), "info"))

    @classmethod
    def happened(cls, event: Mapping[str, Any]) -> LogLine:
        """An event of the engine."""
        level, at = event.get("level"), event.get("at")
        return cls(
            str(event.get("revision", "")), fmt.visible(str(event.get("message", ""))),
            level if isinstance(level, str) and level in LEVELS else "info",
            float(at) if isinstance(at, (int, float)) else 0.0, fmt.visible(str(event.get("kind", ""))),
        )  # fmt: skip


class LogTable(Tail[LogLine]):
    KEPT = 2_000
    top_lines = 0

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.name_ = "log"
        self.level = "info"  # the least that is shown
        self.aside = 0
        self._count = 0

    def say(self, lines: Sequence[str]) -> None:
        for text in lines:
            self._count += 1
            self.put(str(self._count), LogLine.said(self._count, text))

    def fields(self, row: LogLine) -> Mapping[str, str]:
        return {"text": row.text, "level": row.level, "state": row.kind}

    def keeps(self, row: LogLine) -> bool:
        return LEVELS.index(row.level) >= LEVELS.index(self.level) and super().keeps(row)

    def key(self) -> tuple[object, ...]:
        return (*super().key(), self.level)

    def identity(self, item: LogLine) -> str:
        return item.id

    # drawing -------------------------------------------------------------------------------------------------------
    def subject(self) -> Line:
        only = "" if self.level == "info" else f"{self.level}s only" if self.level == "error" else "warnings and errors"
        moved = f"from column {self.aside + 1}" if self.aside else ""
        told = [line((x, "label")) for x in (only, moved) if x] + [x for x in (super().subject(),) if x]
        return line(*(part for i, x in enumerate(told) for part in (*((("  ", "unit"),) if i else ()), *x)))

    def item(self, item: LogLine, width: int, lines: int) -> list[Line]:
        now = self.view.snapshot.taken_at if self.view.snapshot else 0.0
        when = f"{fmt.clock_s(item.at, now):<9} {fmt.fit(item.kind, 10):<11}" if item.at else ""
        mark, token = MARKS[item.level]
        text = fmt.after(item.text, self.aside)
        return [line((mark, token), (when, "unit"), (text, "label" if item.level == "info" else token))]

    def scroll_aside(self, by: int, width: int) -> None:
        """At most to where the longest line that is in sight ends."""
        shown = self.items()[self._offset : self._offset + max(1, self._shown)]
        longest = max((cell_len(x.text) for x in shown), default=0)
        self.aside = max(0, min(self.aside + by * ASIDE, max(0, longest - width // 2)))
        self.sync()

    def empty(self, width: int) -> list[Line]:
        if not self.loaded:
            return self.waiting(width, "asking the engine for its lines …")
        if self.rows:
            return [line(), *paragraphs("No line of this level; o shows more.", width)]
        return [line(), *paragraphs("Nothing was printed yet; a worker writes when it is loaded (w).", width)]
