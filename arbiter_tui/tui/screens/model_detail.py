"""All that is known of one version: its facts, and its place in every task."""

from __future__ import annotations

from ...core.snapshot import ModelView
from .. import format as fmt
from ..state import View
from ..text import Line, line
from ..widgets.facts import LABEL, facts, results
from ..widgets.pool_table import GLYPHS


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
    table = results(view, model, width)
    return [*lines, line(), *table] if table else lines
