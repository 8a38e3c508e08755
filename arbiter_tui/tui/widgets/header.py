"""The top line: autopilot, counts, traffic, failures, where. No clock: a still engine writes nothing."""

from __future__ import annotations

from collections import Counter

from .. import format as fmt
from ..text import Line, Span, line, spread, width_of
from .panel import LineWidget

MODES = {
    "on": ("●", "serve", "autopilot on"),
    "observe": ("◇", "trial", "autopilot observes"),
    "off": ("○", "unit", "autopilot off"),
}
LINKS = {
    "connecting": ("◐ starting", "label"),
    "gone": ("✕ engine gone, reconnecting", "fail"),
    "error": ("✕ no engine", "fail"),
}


class Header(LineWidget):
    greys = False

    def draw(self, width: int, height: int) -> list[Line]:
        view = self.view
        where = line((view.where, "unit"), " ")
        right = line((f"{view.address}   " if view.address else "", "label"), *where)
        gap = "    " if width >= 100 else "  "
        parts: list[Span] = [Span(" arbiter", "title"), Span(gap)]
        parts += self._status()
        if view.snapshot is not None and view.link in ("live", "stale"):
            parts += self._counts(width, gap)
        room = width - width_of(tuple(parts)) - 2
        fitting = next((form for form in (right, where) if width_of(form) <= room), ())
        return [
            spread(tuple(parts), fitting, width),
            *[() for _ in range(height - 1)],
        ]

    def _status(self) -> list[Span]:
        view = self.view
        if view.link == "stale":
            return [Span(f"▲ stale {view.age_s} s", "warn")]
        if view.link == "gone" and view.age_s:
            return [Span(f"✕ engine gone, reconnecting; this is {view.age_s} s old", "fail")]
        if view.link == "connecting" and view.trouble is not None:
            return [Span("✕ no engine, trying again", "fail")]
        if view.link == "connecting" and view.attached:
            return [Span("◐ connecting", "label")]
        if view.link in LINKS:
            return [Span(*LINKS[view.link])]
        if view.frozen:
            at = fmt.clock(view.snapshot.taken_at, view.snapshot.taken_at) if view.snapshot else ""
            return [Span(f"‖ frozen at {at}", "warn"), Span("  p resumes", "unit")]
        engine = view.snapshot.engine if view.snapshot else None
        if engine is None:
            return []
        if engine.state != "ready":
            return [Span(f"◐ {engine.state}", "label")]
        glyph, token, words = MODES.get(engine.autopilot, MODES["on"])
        spans = [Span(f"{glyph} ", token), Span(words, "label")]
        return [*spans, Span("   read-only", "warn")] if view.read_only or engine.read_only else spans

    def _counts(self, width: int, gap: str) -> list[Span]:
        snapshot = self.view.snapshot
        assert snapshot is not None
        states = Counter(m.state for m in snapshot.models)
        parts = [Span(gap), Span(str(states["ready"]), "figure"), Span(" ready", "unit")]
        for state in ("loading", "warming", "failed"):
            if states[state]:
                parts += [
                    Span(" · ", "unit"),
                    Span(str(states[state]), "figure"),
                    Span(f" {state}", "fail" if state == "failed" else "unit"),
                ]
        engine = snapshot.engine
        if width >= 100:
            parts += [
                Span(gap),
                Span(fmt.count(engine.requests), "figure"),
                Span(" request" if engine.requests == 1 else " requests", "unit"),
            ]
        parts += [
            Span(gap),
            Span(fmt.rate(engine.requests_per_second), "figure"),
            Span(" req/s", "unit"),
            Span(gap),
        ]
        bad = engine.failed > 0
        return [
            *parts,
            Span(f"✕ {engine.failed}" if bad else "0", "fail" if bad else "figure"),
            Span(" failed", "fail" if bad else "unit"),
        ]
