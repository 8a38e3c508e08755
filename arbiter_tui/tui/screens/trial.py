"""One rollout: how it stands, on what evidence, and the orders for it. Dismisses with an order's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ...core.snapshot import RolloutView
from ...core.trial import BACK_ABOVE, CLIMB_BELOW
from ...core.words import turns
from .. import format as fmt
from ..state import View
from ..text import Line, line, paragraphs
from .explain import reason
from .sheet import Entry, Sheet

ORDERS = (
    ("promote", "Promote", "it serves everybody now; r undoes it"),
    ("pause", "Pause", "its share stays; taking back never waits"),
    ("resume", "Resume", "the next step is one interval away"),
    ("abort", "Take back", "the old one serves everybody again"),
)
NAME = 12  # cells of a fact's name
OPEN = ("shadow", "canary")
LIMITS = f"above {fmt.score(BACK_ABOVE)} it is taken back, below {fmt.score(CLIMB_BELOW)} the ramp climbs"


class Trial(Sheet[str]):
    """Follows the snapshot: the evidence grows while it is open."""

    WIDE = 92

    def __init__(self, view: View, task: str) -> None:
        super().__init__(view)
        self.work = task
        self.cursor = "leave"

    def rollout(self) -> RolloutView | None:
        """The task's newest one."""
        snapshot = self.view.snapshot
        return next((r for r in snapshot.rollouts if r.task == self.work), None) if snapshot else None

    def heading(self) -> Line:
        return line(("on trial for ", "title"), (self.work, "accent"))

    def hint(self) -> Line:
        return line(("⏎", "key"), (" order  ", "unit"), ("esc", "key"), (" leave it", "unit"))

    def entries(self, width: int) -> Sequence[Entry]:
        r = self.rollout()
        if r is None:
            return [Entry((line(("no rollout is under way", "unit")),))]
        return [*(Entry((x,)) for x in facts(r, width)), Entry(((),)), *self._orders(r)]

    def _orders(self, r: RolloutView) -> list[Entry]:
        wanted = [o for o in ORDERS if r.phase in OPEN and o[0] != ("pause" if r.paused else "resume")]
        rows = [*wanted, ("leave", "Leave it", "it goes on by itself" if wanted else "it is over")]
        return [Entry((line((f"{label:<12}", "figure"), (says, "unit")),), id) for id, label, says in rows]

    def chosen(self, key: str) -> None:
        self.dismiss(None if key == "leave" else key)


def facts(r: RolloutView, width: int) -> list[Line]:
    """Who, how far, on what evidence."""
    state = "paused" if r.paused and r.phase in OPEN else r.phase
    ramp = " → ".join(f"{share:.0%}" for _, share in r.ramp)
    served = "no client served" if r.blocks is not None else f"{fmt.plural(r.canary_requests, 'request')} served"
    seen = f"{fmt.plural(r.pairs, 'question')} answered by both, {served}"
    slower = fmt.DASH if r.slowdown is None else f"{r.slowdown:.2f} × that of the old one, over the pairs"
    out = [
        line(("◇ ", "trial"), (r.to, "figure")),
        line(("◆ ", "serve"), (r.from_ or "nobody", "label"), (" serves", "unit")),
        (),
        *row("state", f"{state}  {ramp}".rstrip(), width), *row("evidence", seen, width),
        *row("P(worse)", f"{fmt.score(r.p_worse)}; {LIMITS}", width), *row("latency", slower, width),
        *row("verdict", r.verdict.replace("_", " ") or fmt.DASH, width),
    ]  # fmt: skip
    if r.blocks is not None:
        out += row("memory", f"one fits: {turns(r.blocks, running=r.in_block)}{_next(r)}", width)
    if r.reason and not r.reason.startswith("serves "):  # its share stands above
        out += paragraphs(r.reason, width, "label")
    for why in r.why:
        out += reason(asdict(why), width, "")
    return out


def _next(r: RolloutView) -> str:
    """When the new one may be loaded again."""
    at = None if r.in_block else r.next_block_at
    return "" if at is None else f", the next from {fmt.clock(at, at)} on, in idle time"


def row(name: str, said: str, width: int) -> list[Line]:
    """A fact: its name, and what is said of it on as many lines as it needs; its first word is bright."""
    first, *rest = fmt.wrap(said, max(10, width - NAME))
    figure, space, more = first.partition(" ")
    head = line((f"{name:<{NAME}}", "unit"), (figure, "figure"), (space + more, "unit"))
    return [head, *(line((" " * NAME, "unit"), (text, "unit")) for text in rest)]
