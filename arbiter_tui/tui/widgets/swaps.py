"""Region 4, swaps: what changed, when and why: swaps, trials, appointments that came to nothing.

Owns: drawing the history. Never: carrying a swap out, which lines there are (changes.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...core.snapshot import Snapshot, SwapView
from .. import format as fmt
from ..changes import Step, changes
from ..names import briefly, in_brief
from ..rules import told
from ..text import Line, change_of, line, paragraphs, spread, version_name
from ..under_way import under_way
from .panel import ListPanel

RESULTS = {
    "running": ("◐", "label"), "done": ("✓", "ok"), "failed": ("✕", "fail"), "rolled_back": ("↩", "warn"),
    "begun": ("◇", "trial"), "step": ("◇", "trial"), "promoted": ("✓", "ok"), "withdrawn": ("↩", "warn"),
    "aborted": ("○", "unit"), "dropped": ("○", "unit"), "refused": ("✕", "fail"),
}  # fmt: skip
TRIGGERS = {
    "manual": "you", "auto": "auto", "rollout": "rollout", "rollback": "undo", "schedule": "plan", "trial": "trial",
}  # fmt: skip
NARROW = 84  # cells of the region below which names get a line of their own
WORDS = {
    "running": "running", "done": "done", "failed": "failed", "rolled_back": "undone", "begun": "begun",
    "promoted": "serves", "withdrawn": "undone", "aborted": "aborted", "dropped": "dropped", "refused": "refused",
}  # fmt: skip


def phases(swap: SwapView) -> str:
    return " · ".join(f"{p.name} {fmt.seconds(p.seconds)}" for p in swap.phases)


def word_of(swap: SwapView) -> str:
    """Its result; of a trial's step the share that it was given."""
    if isinstance(swap, Step) and swap.result == "step":
        return fmt.percent(swap.share)
    return WORDS.get(swap.result, swap.result)


def between(swap: SwapView, width: int) -> Line:
    """``from → to``; an appointment knows only whom it was for."""
    if isinstance(swap, Step) and swap.from_ is None:
        return line(("→ ", "unit"), *version_name(swap.to, width - 2))
    return change_of(swap.from_ or "nothing", swap.to, width)


def why(swap: SwapView, snapshot: Snapshot | None = None) -> str:
    """The swap's reason in one sentence: the error, the phase while it runs, else what was decided."""
    if swap.error:
        return _brief(swap.error, swap)
    if swap.result == "running":
        over = phases(swap)
        now = under_way(swap, snapshot).told() if snapshot is not None else ""
        return "; ".join(part for part in (now, over) if part) or "starting"
    rules = "; ".join(told(w.rule, w.value, w.threshold) for w in swap.why)
    asked = "asked for by hand" if swap.trigger == "manual" else "no reason recorded"
    return _brief(swap.reason.removesuffix("; swapping"), swap) or rules or asked


def _brief(sentence: str, swap: SwapView) -> str:
    """The two versions, named in full on the line above, as short as they can be told apart."""
    return in_brief(sentence, briefly((swap.from_ or "", swap.to)))


class Swaps(ListPanel[SwapView]):
    digit = 4
    name_ = "swaps"
    top_lines = 0
    follows_first = True  # a swap that comes is the one to look at, until the cursor is moved

    def figure(self) -> Line:
        snapshot = self.view.snapshot
        if snapshot is None or not self.items():
            return ()
        running = [s for s in snapshot.swaps if s.result == "running"]
        if len(running) == 1:
            return line(
                ("◐ ", "label"), (f"{running[0].task} ", "label"), (self._phase(running[0], snapshot), "figure")
            )
        if running:
            return line(("◐ ", "label"), (f"{len(running)} running", "figure"))
        newest = self.items()[0]
        glyph, token = RESULTS.get(newest.result, ("?", "unit"))
        return line(
            (f"{glyph} ", token),
            (f"{fmt.clock(newest.started_at, snapshot.taken_at)} ", "unit"),
            (newest.task, "label"),
        )

    @staticmethod
    def _phase(swap: SwapView, snapshot: Snapshot) -> str:
        return under_way(swap, snapshot).brief()

    def items(self) -> Sequence[SwapView]:
        snapshot = self.view.snapshot
        return self.sorted_once(snapshot, None, lambda: changes(snapshot)) if snapshot is not None else ()

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
        took = fmt.seconds(item.duration_s) if item.duration_s is not None else word_of(item)
        tail = line(
            (f"{TRIGGERS.get(item.trigger, item.trigger):<7} ", "unit"), (f"{glyph} ", token), (f"{took:>7}", "label")
        )
        head = line((f"{fmt.clock(item.started_at, now):<6} ", "unit"))
        reason = line((fmt.shorten(why(item, self.view.snapshot), width - 7), "fail" if item.error else "unit"))
        if lines == 3:
            task = line((fmt.fit(item.task, max(8, width - 28)), "figure"))
            return [
                spread(line(*head, *task), tail, width),
                line(" " * 7, *between(item, width - 7)),
                line(" " * 7, *reason),
            ]
        task = line((f"{fmt.fit(item.task, 14):<14}  ", "figure"))
        first = spread(line(*head, *task, *between(item, max(12, width - 42))), tail, width)
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
