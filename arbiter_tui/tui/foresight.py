"""What a swap would do, in words: the engine's dry run as lines. Owns: the words. Never: asking, deciding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.autoswap import lead
from ..core.snapshot import RowView
from . import format as fmt
from .text import Line, Span, line, paragraphs

MARKS = {True: ("✓", "ok"), False: ("✕", "fail"), None: ("?", "warn")}
NAMES = {
    "lifecycle": "active", "capabilities": "can do it", "memory": "fits", "kept_capabilities": "loses nothing",
    "context": "context", "quality": "quality", "latency": "latency",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preview:
    """The dry run's answer. ``refusal`` is the reason why it cannot be; unknown figures are None."""

    warnings: tuple[str, ...] = ()
    evict: tuple[str, ...] = ()
    refusal: str | None = None
    exclusive: bool = False
    checks: tuple[Mapping[str, Any], ...] = ()
    needs_bytes: int | None = None
    free_bytes: int | None = None
    load_s: float | None = None
    in_flight: int = 0

    @classmethod
    def of(cls, answer: Any) -> Preview:
        """From a swap view (figures in ``evidence``) or a mapping; what is no figure is unknown."""
        data = answer if isinstance(answer, dict) else {**dict(getattr(answer, "evidence", {}) or {})}
        data = {**dict(data.get("evidence") or {}), **data}
        warned = data.get("warnings") or getattr(answer, "warnings", ()) or ()
        return cls(
            warnings=tuple(str(w) for w in warned), evict=tuple(str(e) for e in data.get("evict") or ()),
            refusal=data.get("error") or getattr(answer, "error", None), exclusive=bool(data.get("exclusive")),
            checks=tuple(c for c in data.get("checks") or () if isinstance(c, Mapping)),
            needs_bytes=_number(data.get("needs_bytes")), free_bytes=_number(data.get("free_bytes")),
            load_s=data.get("load_s") if isinstance(data.get("load_s"), int | float) else None,
            in_flight=_number(data.get("in_flight")) or 0,
        )  # fmt: skip

    @property
    def worries(self) -> list[str]:
        """What somebody should have read before."""
        told = [*self.warnings, *(f"{v} is unloaded to make room" for v in self.evict)]
        if self.exclusive:
            told.append("both do not fit: requests wait while they change places; if it fails the old one is back")
        return told


@dataclass(frozen=True, slots=True)
class Rival:
    """One candidate against the one that serves."""

    row: RowView | None = None
    serving: RowView | None = None
    warm: bool = False
    lines: list[Line] = field(default_factory=list)


def told(preview: Preview, rival: Rival, width: int) -> list[Line]:
    """The lines below the list of candidates."""
    if preview.refusal:
        return paragraphs("✕ " + preview.refusal, width, "fail")
    lines = [*_checks(preview.checks, width), *paragraphs(gain(rival), width, "label")]
    lines += paragraphs(_needs(preview, rival.warm), width, "unit")
    for worry in preview.worries:
        lines += paragraphs("▲ " + worry, width, "warn")
    return lines


def _checks(checks: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Each check with its mark, in as few lines as they take."""
    rows: list[list[Span]] = [[]]
    used = 0
    for check in checks:
        name = str(check.get("name", ""))
        unmeasured = name in ("quality", "latency") and check.get("value") is None
        met = None if unmeasured else check.get("met")
        glyph, token = MARKS.get(met, MARKS[None])
        word = NAMES.get(name, name.replace("_", " "))
        if used + len(word) + 4 > width and rows[-1]:
            rows.append([])
            used = 0
        rows[-1] += [Span(f"{glyph} ", token), Span(f"{word}  ", "label" if met else token)]
        used += len(word) + 4
    return [line(*row) for row in rows if row]


def gain(rival: Rival) -> str:
    """The predicted gain in utility, with its 90% interval where both are measured."""
    row, serving = rival.row, rival.serving
    if row is None or serving is None or row.utility is None or serving.utility is None:
        return "what it would gain is not known: b measures both"
    found = lead(row, serving)
    by = f"{found.by:+.2f}".replace("0.", ".")
    between = f"[{found.low:.2f}, {found.high:.2f}]".replace("0.", ".")
    return f"gain {by} {between} in utility, on {fmt.plural(row.samples, 'sample')} of it"


def _needs(preview: Preview, warm: bool) -> str:
    if warm:
        said = "It is warm: the switch takes milliseconds."
    else:
        load = "" if preview.load_s is None else f", about {fmt.seconds(preview.load_s)}"
        room = "" if preview.free_bytes is None else f" of {fmt.size(preview.free_bytes)} free"
        size = "" if preview.needs_bytes is None else f" into {fmt.size(preview.needs_bytes)}{room}"
        said = f"It is loaded first{size}{load}; until it has answered a probe, the other one serves."
    if preview.in_flight:
        said += f" {fmt.plural(preview.in_flight, 'answer')} under way will finish where they began."
    return said


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
