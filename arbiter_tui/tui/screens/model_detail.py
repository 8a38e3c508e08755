"""All that is known of one version: its facts, and its place in every task."""

from __future__ import annotations

from ...core.snapshot import ModelView
from .. import format as fmt
from ..state import View
from ..text import Line, line
from ..widgets.facts import LABEL, facts, results
from ..widgets.pool_table import GLYPHS
from ..widgets.swaps import RESULTS, TRIGGERS


def model_lines(view: View, model: ModelView, width: int) -> list[Line]:
    glyph, token = GLYPHS.get(model.state, ("?", "unit"))
    speed = (
        f"{fmt.rate(model.tokens_per_second)} tokens/s" if model.tokens_per_second is not None else "speed not measured"
    )
    ttft = f"first token {fmt.seconds(model.ttft_s)}" if model.ttft_s is not None else ""
    lines = [
        line(
            (f"{glyph} {model.state}", token),
            ("  " + "  ·  ".join(x for x in (model.lifecycle, speed, ttft) if x), "label"),
        ),
        line(),
    ]
    lines += facts(view, model, width)
    if model.digest:
        lines.append(line((f"{'digest':<{LABEL}}", "unit"), (fmt.fit(model.digest, width - 12), "label")))
    if model.last_used_at:
        lines.append(line((f"{'last used':<{LABEL}}", "unit"), (fmt.moment(model.last_used_at), "label")))
    for part in (results(view, model, width), timeline(view, model, width)):
        lines += [line(), *part] if part else []
    return lines


def timeline(view: View, model: ModelView, width: int) -> list[Line]:
    """The swaps that brought it and took it away, newest first."""
    snapshot = view.snapshot
    swaps = [s for s in snapshot.swaps if model.version in (s.from_, s.to)] if snapshot else []
    lines = [line(("what became of it", "head"))] if swaps else []
    for s in swaps:
        glyph, token = RESULTS.get(s.result, ("?", "unit"))
        came = s.to == model.version
        other = (s.from_ or "nothing") if came else s.to
        way = ("in for" if came else "out for") if s.result != "failed" else ("not in for" if came else "stayed, not")
        text = f"{way} {other}"
        lines.append(
            line(
                (f"  {fmt.moment(s.started_at)}  ", "unit"),
                (f"{glyph} ", token),
                (f"{fmt.fit(s.task, 15):<16}", "figure"),
                (f"{TRIGGERS.get(s.trigger, s.trigger):<8}", "unit"),
                (fmt.shorten(text, max(10, width - 50)), "label"),
            )
        )
    return lines
