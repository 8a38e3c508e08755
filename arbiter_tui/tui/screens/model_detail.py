"""All that is known of one version: its facts, and its place in every task."""

from __future__ import annotations

from ...core.snapshot import ModelView
from .. import format as fmt
from ..state import View, row_of
from ..text import Line, line
from ..widgets.pool_table import GLYPHS, facts


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
        lines.append(line((f"{'digest':<12}", "unit"), (fmt.fit(model.digest, width - 12), "label")))
    if model.last_used_at:
        lines.append(line((f"{'last used':<12}", "unit"), (fmt.moment(model.last_used_at), "label")))
    snapshot = view.snapshot
    rows = [(t, r) for t in snapshot.tasks if (r := row_of(t, model.version)) is not None] if snapshot else []
    if rows:
        lines += [line(), line((f"{'task':<22}{'rank':>5}{'util':>7}{'qual':>7}{'p50':>9}{'p95':>9}{'n':>7}", "unit"))]
    for t, r in rows:
        mark = (
            ("◆ ", "serve")
            if t.incumbent == model.version
            else ("◇ ", "trial")
            if t.candidate == model.version
            else ("  ", "unit")
        )
        lines.append(
            line(
                mark,
                (f"{fmt.fit(t.task, 20):<20}", "figure"),
                (f"{r.rank or fmt.DASH:>5}", "label"),
                (f"{fmt.score(r.utility):>7}", "figure"),
                (f"{fmt.score(r.quality):>7}", "label"),
                (
                    f"{fmt.seconds(r.latency_p50_s):>9}{fmt.seconds(r.latency_p95_s):>9}{fmt.count(r.samples):>7}",
                    "label",
                ),
            )
        )
    return lines
