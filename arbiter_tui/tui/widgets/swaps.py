"""Region 4, swaps: what changed, when and why. Owns: drawing the history. Never: carrying a swap out."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.snapshot import SwapView
from .. import format as fmt
from ..text import Line, line, paragraphs
from .panel import ListPanel

RESULTS = {"running": ("◐", "label"), "done": ("✓", "ok"), "failed": ("✕", "fail"), "rolled_back": ("↩", "warn")}
TRIGGERS = {"manual": "you", "auto": "auto", "rollout": "rollout", "rollback": "undo", "schedule": "plan"}
WORDS = {"running": "running", "done": "done", "failed": "failed", "rolled_back": "undone"}


def phases(swap: SwapView) -> str:
    return " · ".join(f"{p.name} {fmt.seconds(p.seconds)}" for p in swap.phases)


def why(swap: SwapView) -> str:
    """The swap's reason in one sentence: the error, the phases while it runs, else what was decided."""
    if swap.error:
        return swap.error
    if swap.result == "running":
        return phases(swap) or "starting"
    return (
        swap.reason or "; ".join(f"{w.rule} {w.value} (limit {w.threshold})" for w in swap.why) or "no reason recorded"
    )


class Swaps(ListPanel[SwapView]):
    digit = 4
    name_ = "swaps"
    top_lines = 0

    def figure(self) -> Line:
        snapshot = self.view.snapshot
        if snapshot is None or not snapshot.swaps:
            return ()
        running = sum(s.result == "running" for s in snapshot.swaps)
        if running:
            return line(("◐ ", "label"), (f"{running} running", "figure"))
        newest = snapshot.swaps[0]
        glyph, token = RESULTS.get(newest.result, ("?", "unit"))
        return line(
            (f"{glyph} ", token),
            (f"{fmt.clock(newest.started_at, snapshot.taken_at)} ", "unit"),
            (newest.task, "label"),
        )

    def items(self) -> Sequence[SwapView]:
        return self.view.snapshot.swaps if self.view.snapshot else ()

    def identity(self, item: SwapView) -> str:
        return item.id

    def lines_each(self, count: int, height: int) -> int:
        return 2 if count * 2 <= max(height, 12) or height >= 12 else 1

    def item(self, item: SwapView, width: int, lines: int) -> list[Line]:
        now = self.view.snapshot.taken_at if self.view.snapshot else 0.0
        glyph, token = RESULTS.get(item.result, ("?", "unit"))
        took = fmt.seconds(item.duration_s) if item.duration_s is not None else WORDS.get(item.result, item.result)
        tail = line(
            (f" {TRIGGERS.get(item.trigger, item.trigger):<7}", "unit"), (f"{glyph} ", token), (f"{took:>7}", "label")
        )
        head = line((fmt.clock(item.started_at, now), "unit"), "  ", (f"{fmt.fit(item.task, 14):<14}", "label"), "  ")
        room = max(8, width - 23 - 17)
        new = fmt.fit(
            item.to, max(6, (room - 3) // 2 if len(item.from_ or "") + len(item.to) + 3 > room else len(item.to))
        )
        old = fmt.fit(item.from_ or "nothing", max(4, room - 3 - len(new)))
        used = sum(len(x) for x in (old, new)) + 3
        first = line(*head, (old, "unit"), (" → ", "unit"), (new, "figure"), " " * max(0, room - used), *tail)
        if lines == 1:
            return [first]
        return [first, line(" " * 7, (fmt.shorten(why(item), width - 7), "fail" if item.error else "unit"))]

    def empty(self, width: int) -> list[Line]:
        if self.view.snapshot is None:
            return []
        return [
            line(),
            *paragraphs("No swap yet.", width),
            *paragraphs(
                "The autopilot swaps when a model is measurably better; s swaps by hand, r undoes it.", width, "unit"
            ),
        ]
