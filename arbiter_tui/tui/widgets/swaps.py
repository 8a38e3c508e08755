"""Region 4, swaps: what changed, when and why. Owns: drawing the history. Never: carrying a swap out."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.snapshot import SwapView
from .. import format as fmt
from ..text import Line, change_of, line, paragraphs, spread
from .panel import ListPanel

RESULTS = {"running": ("◐", "label"), "done": ("✓", "ok"), "failed": ("✕", "fail"), "rolled_back": ("↩", "warn")}
TRIGGERS = {"manual": "you", "auto": "auto", "rollout": "rollout", "rollback": "undo", "schedule": "plan"}
NARROW = 84  # cells of the region below which names get a line of their own
WORDS = {"running": "running", "done": "done", "failed": "failed", "rolled_back": "undone"}


def phases(swap: SwapView) -> str:
    return " · ".join(f"{p.name} {fmt.seconds(p.seconds)}" for p in swap.phases)


def why(swap: SwapView) -> str:
    """The swap's reason in one sentence: the error, the phases while it runs, else what was decided."""
    if swap.error:
        return _brief(swap.error, swap)
    if swap.result == "running":
        return phases(swap) or "starting"
    rules = "; ".join(f"{w.rule} {w.value} (limit {w.threshold})" for w in swap.why)
    asked = "asked for by hand" if swap.trigger == "manual" else "no reason recorded"
    return _brief(swap.reason.removesuffix("; swapping"), swap) or rules or asked


def _brief(sentence: str, swap: SwapView) -> str:
    """The two versions, named in full on the line above, without their providers."""
    for version in (swap.from_ or "", swap.to):
        stem, dot, provider = version.rpartition(".")
        if dot and provider[:1].isalpha():
            sentence = sentence.replace(version, stem)
    return sentence


class Swaps(ListPanel[SwapView]):
    digit = 4
    name_ = "swaps"
    top_lines = 0
    follows_first = True  # a swap that comes is the one to look at, until the cursor is moved

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
        if self.size.width < NARROW and height >= 9:
            return 3
        return 2 if height >= 8 else 1

    def item(self, item: SwapView, width: int, lines: int) -> list[Line]:
        """One line: when, task, from -> to, result. Two: and why. Three, where narrow: names on their own line."""
        now = self.view.snapshot.taken_at if self.view.snapshot else 0.0
        glyph, token = RESULTS.get(item.result, ("?", "unit"))
        took = fmt.seconds(item.duration_s) if item.duration_s is not None else WORDS.get(item.result, item.result)
        tail = line(
            (f"{TRIGGERS.get(item.trigger, item.trigger):<7} ", "unit"), (f"{glyph} ", token), (f"{took:>7}", "label")
        )
        head = line((f"{fmt.clock(item.started_at, now):<6} ", "unit"))
        reason = line((fmt.shorten(why(item), width - 7), "fail" if item.error else "unit"))
        if lines == 3:
            task = line((fmt.fit(item.task, max(8, width - 28)), "figure"))
            return [
                spread(line(*head, *task), tail, width),
                line(" " * 7, *change_of(item.from_ or "nothing", item.to, width - 7)),
                line(" " * 7, *reason),
            ]
        task = line((f"{fmt.fit(item.task, 14):<14}  ", "figure"))
        first = spread(
            line(*head, *task, *change_of(item.from_ or "nothing", item.to, max(12, width - 42))), tail, width
        )
        return [first] if lines == 1 else [first, line(" " * 7, *reason)]

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
