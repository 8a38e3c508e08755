"""What is known of one version, in lines: below the models' table and in its own sheet. Never: where they stand."""

from __future__ import annotations

from ...core.snapshot import ModelView, ReplicaView
from .. import format as fmt
from .. import state
from ..text import Line, line

LABEL = 12  # cells of a fact's name


def facts(view: state.View, item: ModelView, width: int) -> list[Line]:
    """A fact a line; a long one takes a second."""
    snapshot = view.snapshot
    tasks = state.serves(snapshot, item.version) if snapshot else []
    trials = state.on_trial(snapshot, item.version) if snapshot else []
    rows: list[tuple[str, str, str]] = [
        ("serves", fmt.list_of(tasks, 12) or "no task now", "serve" if tasks else "unit")
    ]
    if trials:
        rows.append(("on trial", fmt.list_of(trials, 6), "trial"))
    made = (item.model, item.quantization, f"context {item.context}" if item.context else "")
    rows.append(("is", " · ".join(x for x in made if x) or item.version, "label"))
    rows.append(("runs on", " · ".join(x for x in (item.provider, item.backend) if x) or fmt.DASH, "label"))
    rows.append(("memory", memory(item) + (" · kept warm" if item.pinned else ""), "label"))
    counts = f"{item.requests} · {item.failures} failed · {item.in_flight} now · {item.queued} waiting"
    rows.append(("answers", counts, "label"))
    if item.aliases:
        rows.append(("also called", ", ".join(item.aliases), "label"))
    if item.error:
        rows.append(("error", item.error, "fail"))
    lines: list[Line] = []
    for name, value, token in rows:
        for i, text in enumerate(fmt.wrap_to(value, max(8, width - LABEL), 2)):
            lines.append(line((f"{'' if i else name:<{LABEL}}", "unit"), (text, token)))
    return lines


def memory(item: ModelView) -> str:
    """What it holds and what it was predicted to hold."""
    if item.resident_bytes is None:
        return f"{fmt.size(item.predicted_bytes)} predicted" if item.predicted_bytes is not None else "not known yet"
    held = f"{fmt.size(item.resident_bytes)} resident"
    if not item.predicted_bytes:
        return held
    off = item.resident_bytes / item.predicted_bytes - 1.0
    return f"{held}, {fmt.size(item.predicted_bytes)} predicted ({off:+.0%})"


REPLICAS = {"ready": ("●", "serve"), "loading": ("◐", "label"), "leaving": ("◌", "unit"), "resting": ("✕", "fail")}
BREAKER = {"open": "not asked", "half_open": "one probe is under way"}


def replicas(item: ModelView, width: int) -> list[Line]:
    """Each copy: its state, what it answers now, and whether it is passed over and why."""
    if len(item.replicas) < 2:
        return []
    ready = sum(r.state == "ready" for r in item.replicas)
    lines = [line(("replicas", "head"), (f"  {ready} of {len(item.replicas)} ready", "unit"))]
    for r in item.replicas:
        glyph, token = ("▲", "warn") if r.ejected else REPLICAS.get(r.state, ("?", "unit"))
        first, *rest = fmt.wrap(_replica(r), max(8, width - LABEL - 2))
        lines.append(line((f"{r.number:<{LABEL}}", "unit"), (f"{glyph} ", token), (first, "label")))
        lines += [line((" " * (LABEL + 2), "unit"), (text, "label")) for text in rest]
    return lines


def _replica(r: ReplicaView) -> str:
    if r.ejected:
        why = f"failed {fmt.plural(r.failures, 'time')} in a row" if r.failures else "it failed"
        state = f"ejected: {why}, {BREAKER.get(r.breaker, r.breaker)}"
    else:
        state = {"resting": "waits before it is loaded again", "leaving": "leaves"}.get(r.state, r.state)
        state += f", failed {fmt.plural(r.failures, 'time')} in a row" if r.failures and r.state == "ready" else ""
    return f"{state} · {r.in_flight} in flight" + (f" · died: {r.error}" if r.error else "")


def results(view: state.View, item: ModelView, width: int) -> list[Line]:
    """Its place in every task's ranking: a heading and a line a task; nothing where it is ranked nowhere."""
    snapshot = view.snapshot
    found = [(t, r) for t in snapshot.tasks if (r := state.row_of(t, item.version)) is not None] if snapshot else []
    if not found:
        return []
    wide = width >= 62
    head = f"  {'task':<16}{'rank':>5}{'util':>7}{'qual':>7}{'p50':>9}"
    lines = [line((head + (f"{'p95':>9}{'n':>7}" if wide else ""), "unit"))]
    for t, r in found:
        mark = ("◆ ", "serve") if t.incumbent == item.version else ("  ", "unit")
        mark = ("◇ ", "trial") if t.candidate == item.version else mark
        more = f"{fmt.seconds(r.latency_p95_s):>9}{fmt.count(r.samples):>7}" if wide else ""
        lines.append(
            line(
                mark,
                (f"{fmt.fit(t.task, 15):<16}", "figure"),
                (f"{r.rank or fmt.DASH:>5}", "label"),
                (f"{fmt.score(r.utility):>7}", "figure"),
                (f"{state.quality_of(r):>7}{fmt.seconds(r.latency_p50_s):>9}{more}", "label"),
            )
        )
    return lines
