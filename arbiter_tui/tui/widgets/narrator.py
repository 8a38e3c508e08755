"""Region 5, the narrator: the one line that a spectator reads.

Owns: drawing it, and zoomed the alerts and long work. Never: writing its sentences.
"""

from __future__ import annotations

from dataclasses import replace

from ...core.snapshot import AlertView, OperationView, RolloutView, Snapshot
from .. import format as fmt
from ..news import fitted, urgent
from ..text import Line, Span, line, paragraphs, width_of
from .panel import Panel

LEVELS = {"info": ("·", "unit"), "warning": ("▲", "warn"), "error": ("✕", "fail")}
STATES = {"running": ("◐", "label"), "done": ("✓", "ok"), "failed": ("✕", "fail"), "cancelled": ("○", "unit")}
FRESH_S = 300.0
BEFORE = 9  # cells before an alert's message
MOST_LINES = 4  # below the regions, where a show is told as well (screens/places.py); higher, it is the open region
NOT_NOW = {"starting": "starting", "draining": "stopping: it drains"}


class Narrator(Panel):
    digit = 5
    name_ = "now"
    greys = False

    def draw(self, width: int, height: int) -> list[Line]:
        if height > MOST_LINES:
            return super().draw(width, height)
        more = self.second(width - 3)
        said = self._wrapped(self.sentence(), width - 3, height - (1 if self._more_first(height) else 0))
        lines = [*said, *more]
        mark = Span(" › ", "accent" if self.has_focus else "unit")
        return [line(mark if i == 0 else "   ", *(lines[i] if i < len(lines) else ())) for i in range(height)]

    def _more_first(self, height: int) -> bool:
        """Whether a line is kept for more than the sentence: an alert that is no longer fresh does not shorten it."""
        snapshot = self.view.snapshot
        alerts = [a for a in snapshot.alerts if a.level != "info"] if snapshot and not self.view.dimmed else []
        fresh = snapshot is not None and any(snapshot.taken_at - a.at <= FRESH_S for a in alerts)
        return height > 1 and len(self.second()) > (0 if fresh or height > 2 else len(alerts))

    def _wrapped(self, said: Line, width: int, rows: int) -> list[Line]:
        """A sentence over ``rows`` lines at most, its least important parts left out first; work with its bar stays on
        one."""
        if len(said) != 1:
            return [said]
        models = self.view.snapshot.models if self.view.snapshot else ()
        known = [m.version for m in models]
        return [(Span(t, said[0].token),) for t in fitted(said[0].text, known, width, max(1, rows))]

    def sentence(self) -> Line:
        """The cockpit's own notice first: it answers the key that was pressed last."""
        view = self.view
        if view.notice is not None:
            return (Span(view.notice.text, view.notice.token),)
        return (Span(view.story or "", "figure"),) if self.tells else self.story()

    @property
    def tells(self) -> bool:
        """Whether a show's line comes first: while it is fresh and nothing more important is under way."""
        view = self.view
        return bool(view.story) and view.story_fresh and not view.dimmed and not urgent(view.snapshot)

    def story(self) -> Line:
        view = self.view
        if view.link in ("error", "connecting") and view.trouble:
            return (Span(f"✕ {view.trouble.what}. {view.trouble.do}", "fail"),)
        if view.link == "gone":
            return (
                Span("✕ the engine does not answer; trying again. What you see is the last that was known.", "fail"),
            )
        if view.link == "stale":
            return (Span(f"▲ no news from the engine for {view.age_s} s; what you see may be out of date.", "warn"),)
        snapshot = view.snapshot
        if snapshot is None:
            return (Span(f"connecting to {view.attached}" if view.attached else "starting the engine", "unit"),)
        if not snapshot.models and snapshot.engine.state in NOT_NOW:
            return (Span(f"the engine is {NOT_NOW[snapshot.engine.state]}", "unit"),)
        busy = [o for o in snapshot.operations if o.state == "running"]
        return (
            operation(busy[0])
            if busy and not snapshot.narrator
            else (Span(snapshot.narrator or resting(snapshot), "label"),)
        )

    def second(self, width: int = 999) -> list[Line]:
        """Room for more: what the first line is not of a show's line and the engine's sentence, long work, the newest
        alert."""
        snapshot = self.view.snapshot
        lines = [self.story()] if self.view.notice is not None or self.tells else []
        if self.view.story and not self.view.dimmed and (self.view.notice is not None or not self.tells):
            lines.append((Span(self.view.story, "unit"),))
        if self.view.link == "gone" and self.view.trouble:
            lines.append((Span(self.view.trouble.why, "label"),))
        if snapshot is not None and not self.view.dimmed:
            lines += [operation(o) for o in snapshot.operations if o.state == "running"]
            lines += [self._alert(a, snapshot, width) for a in snapshot.alerts if a.level != "info"]
        return lines

    def _alert(self, item: AlertView, snapshot: Snapshot, width: int) -> Line:
        """On one line: its figure of time keeps its cells, the message says what it can."""
        known = [*(m.version for m in snapshot.models), *([item.version] if item.version else [])]
        return alert(item, snapshot, fitted(item.message, known, width - BEFORE, 1)[0])

    def body(self, width: int, height: int) -> list[Line]:
        snapshot = self.view.snapshot
        lines = [*paragraphs("".join(s.text for s in self.sentence()), width, "figure"), line()]
        if snapshot is None:
            return lines
        if self.view.address:
            lines += [line(("any OpenAI client: ", "unit"), (f"{self.view.address}/v1", "label")), line()]
        lines += [line(("long work", "head"))]
        work = [o for o in snapshot.operations if o.kind != "appointment" or o.state == "waiting"]
        lines += [x for o in work for x in wrapped(o, width)] or [
            line(("none is running; b starts a benchmark", "unit"))
        ]
        trials = [trial(r) for r in snapshot.rollouts if r.ended_at is None]
        if trials:
            lines += [line(), line(("on trial", "head")), *trials]
        lines += [line(), line(("alerts", "head"))]
        for a in snapshot.alerts:
            first, *rest = fmt.wrap_to(a.message, width - BEFORE, 3)
            lines += [alert(a, snapshot, first), *(line(" " * BEFORE, (r, "label")) for r in rest)]
        return lines if snapshot.alerts else [*lines, line(("none", "unit"))]


def trial(r: RolloutView) -> Line:
    """One rollout: share, evidence, verdict."""
    worse, share = f"P(worse) {fmt.score(r.p_worse)}", f"{r.share:.0%}"
    if r.blocks is not None:
        share = fmt.plural(r.blocks, "block")
    return line(
        ("◇ ", "trial"), (r.task, "figure"), " ", (r.to, "label"), (f" {share}", "figure"),
        (f" · {fmt.plural(r.pairs, 'pair')} · {worse} · {'paused' if r.paused else r.phase}", "unit"),
    )  # fmt: skip


def operation(op: OperationView) -> Line:
    if op.state == "waiting":
        return line(("○ ", "unit"), (op.kind, "figure"), (f" · {op.message}" if op.message else "", "unit"))
    glyph, token = STATES.get(op.state, ("?", "unit"))
    return line(
        (f"{glyph} ", token),
        (op.kind, "figure"),
        " ",
        (fmt.steps(op.progress, 10), "label"),
        (f" {fmt.percent(op.progress)}", "figure"),
        (f" · {fmt.left(op.eta_s)}" if op.eta_s is not None else "", "unit"),
        (f" · {op.message}" if op.message else "", "unit"),
    )


def wrapped(op: OperationView, width: int) -> list[Line]:
    """Long work, its message on as many lines as it takes."""
    whole = operation(op)
    if width_of(whole) <= width:
        return [whole]
    head = operation(replace(op, message=""))
    return [head, *(line("  ", (text, "unit")) for text in fmt.wrap(op.message, max(10, width - 2)))]


def alert(item: AlertView, snapshot: Snapshot, message: str | None = None) -> Line:
    glyph, token = LEVELS.get(item.level, ("·", "unit"))
    said = item.message if message is None else message
    return line((f"{glyph} ", token), (f"{fmt.clock(item.at, snapshot.taken_at):<6} ", "unit"), (said, "label"))


def resting(snapshot: Snapshot) -> str:
    if not snapshot.models:
        return "nothing to serve yet: no model is registered"
    return "all is quiet"
