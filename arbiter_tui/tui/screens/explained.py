"""Explanations as lines: a swap, a task, a request, a verdict of the autopilot, with the evidence drawn.

Owns: their order and words. Never: asks the engine (actions.py does), what a dialog offers. Any other record is written
out field by field (explain.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.guards import Guard
from ...core.snapshot import SwapView, from_wire
from .. import charts
from .. import format as fmt
from ..names import distinct
from ..rules import figure_of
from ..text import Line, line, pad, paragraphs, version_name, width_of
from ..widgets.swaps import RESULTS, WORDS
from ..widgets.task_choice import answer, value_of
from ..widgets.task_choice import words as named
from .explain import pair, reason, record
from .request_record import request_lines

Record = Mapping[str, Any]
DID = {"swap": "swaps", "rollback": "rolls back", "hold": "would swap, and holds", "none": "leaves it so"}
BY = {
    "manual": "you",
    "auto": "the autopilot",
    "rollback": "a rollback",
    "schedule": "the schedule",
    "rollout": "a rollout",
}
SIDE = 8  # cells of "before" and "after"
GUARD = 48  # cells before what would change a guard
LIMITS = (
    ("performance_threshold", "success at least", "share"), ("quality_factor", "quality, of the task's limit", "share"),
    ("switching_cost", "cost of a swap", "share"), ("min_samples", "samples on each side", "samples"),
    ("cooldown_s", "cooldown", "s"),
)  # fmt: skip


def explanation(found: Record, width: int) -> list[Line]:
    """Any record that the engine explains."""
    match found.get("kind"):
        case "swap" if isinstance(found.get("swap"), Mapping):
            return swap_lines(from_wire(SwapView, found["swap"]), width, found)
        case "task":
            return _task(found, width)
        case "request" if isinstance(found.get("request"), Mapping):
            return _request(found, width)
        case "autopilot":
            return _verdict(found, width)
    return record(found, width)


# ── a swap ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def swap_lines(swap: SwapView, width: int, beside: Record | None = None, decision: Record | None = None) -> list[Line]:
    """One swap, all of it. ``beside``: the requests around it; ``decision``: what the autopilot knew and held it to."""
    glyph, token = RESULTS.get(swap.result, ("?", "unit"))
    lines = [
        line(
            (f"{glyph} {WORDS.get(swap.result, swap.result)}", token),
            (f"  {fmt.moment(swap.started_at)}", "unit"),
            (f"  {fmt.seconds(swap.duration_s)}", "figure"),
        )
    ]
    lines += [line(), *_between(swap, width)]
    lines += pair("for", swap.task, width) + pair("by", BY.get(swap.trigger, swap.trigger), width)
    if swap.reason:
        lines += pair("because", swap.reason, width)
    if swap.error:
        lines += [line(), *paragraphs("✕ " + swap.error, width, "fail")]
    lines += _notes(swap.evidence, width)
    lines += _evidence(swap.evidence, beside or {}, width)
    if swap.why:
        lines += [line(), line(("the rules that decided", "head"))]
        for w in swap.why:
            asked = {"rule": w.rule, "value": w.value, "threshold": w.threshold, "would_change_if": w.would_change_if}
            lines += reason(asked, width, "  ")
    lines += _phases(swap, width)
    return [*lines, *_known_then(decision, width)] if decision else lines


def _between(swap: SwapView, width: int) -> list[Line]:
    """Both names in full: beside each other, or below each other where that is too wide."""
    old, new = (swap.from_ or "nothing", "label"), (swap.to, "figure")
    if swap.from_ == swap.to:
        return [line(new), *paragraphs("it stays: it served before, and goes on serving", width, "unit")]
    whole = line(old, (" → ", "unit"), new)
    return [whole] if width_of(whole) <= width else [line(old), line(("→ ", "unit"), new)]


def _notes(evidence: Record, width: int) -> list[Line]:
    """Warnings, what undid it, where it came from."""
    lines: list[Line] = []
    for warning in evidence.get("warnings") or ():
        lines += [line(("▲ ", "warn"), (text, "warn")) for text in fmt.wrap(str(warning), width - 2)]
    for key, name in (("undoes", "undoes"), ("undone_by", "undone by"), ("note", "note")):
        lines += pair(name, str(evidence[key]), width) if evidence.get(key) else []
    return lines + (pair("stored", "the route alone; nothing was loaded", width) if evidence.get("offline") else [])


def _evidence(evidence: Record, beside: Record, width: int) -> list[Line]:
    """Both versions at the decision with their intervals, and single requests before and after."""
    sides = [(n, evidence[k]) for n, k in (("before", "old"), ("after", "new")) if isinstance(evidence.get(k), Mapping)]
    lines: list[Line] = [line(), line(("what was known then", "head"))] if sides else []
    axis = min(41, width - SIDE - 34)
    if axis >= 11 and any(side.get("utility") is not None for _, side in sides):
        head = f"{'':<{SIDE}}{'0' + 'utility'.center(axis - 2) + '1'}"  # 34 cells stand beside the axis and the name
        lines.append(line((f"  {head}  {'qual':>5}{'p50':>8}{'ok':>6}{'samples':>9}", "unit")))
        lines += [_side(name, side, axis) for name, side in sides]
    else:
        lines += [x for name, side in sides for x in _told(name, side, width)]
    return lines + _requests(beside, width)


def _side(name: str, side: Record, axis: int) -> Line:
    low, mid, high = (side.get(k) for k in ("utility_low", "utility", "utility_high"))
    return line(
        (f"  {name:<{SIDE}}", "unit"),
        *charts.interval_line(low, mid, high, axis),
        (f"  {fmt.score(side.get('quality')):>5}{fmt.seconds(side.get('latency_p50_s')):>8}", "figure"),
        (f"{fmt.percent(side.get('success_rate')):>6}{side.get('samples', 0):>9}", "label"),
    )


def _told(name: str, side: Record, width: int) -> list[Line]:
    known = f"quality {fmt.score(side.get('quality'))}, median {fmt.seconds(side.get('latency_p50_s'))}"
    known += f", success {fmt.percent(side.get('success_rate'))}, {fmt.plural(int(side.get('samples') or 0), 'sample')}"
    first, *rest = fmt.wrap(known, max(10, width - SIDE - 2))
    more = [line((" " * (SIDE + 2), "unit"), (x, "label")) for x in rest]
    return [line((f"  {name:<{SIDE}}", "unit"), (first, "label")), *more]


def _requests(beside: Record, width: int) -> list[Line]:
    """One mark a request: what the old one answered last, what the new one answered first."""
    sides = [(name, list(beside.get(name) or ())) for name in ("before", "after")]
    if not any(outcomes for _, outcomes in sides):
        return []
    lines = [line(), line(("single requests around it, oldest first", "head"))]
    seen: set[str] = set()
    for name, outcomes in sides:
        room = max(10, width - SIDE - 24)
        shown = outcomes[-room:] if name == "before" else outcomes[:room]
        kinds = [charts.kind_of(o.get("success"), o.get("quality")) for o in shown]
        seen |= set(kinds)
        grades = [o["quality"] for o in outcomes if o.get("quality") is not None]
        mean = f"quality {fmt.score(sum(grades) / len(grades))}" if grades else "not graded" if outcomes else "none yet"
        lines.append(line((f"  {name:<{SIDE}}", "unit"), *charts.strip(kinds), (f"  {mean}", "label")))
    return [*lines, line((" " * (SIDE + 2), "unit"), *charts.strip_legend(sorted(seen)))]


def _phases(swap: SwapView, width: int) -> list[Line]:
    if not swap.phases:
        return []
    longest = max(p.seconds for p in swap.phases) or 1.0
    return [
        line(),
        line(("phases", "head")),
        *(
            line(
                (f"  {fmt.fit(p.name, 14):<16}", "label"),
                (f"{fmt.seconds(p.seconds):>8}  ", "figure"),
                (fmt.bar(p.seconds / longest, max(4, min(30, width - 28))).rstrip(), "serve"),
            )
            for p in swap.phases
        ),
    ]


# ── what the autopilot knew ───────────────────────────────────────────────────────────────────────────────────────────


def _known_then(decision: Record, width: int) -> list[Line]:
    """Thresholds and the ranking at a decision of the autopilot."""
    limits, inputs = decision.get("thresholds") or {}, decision.get("inputs") or {}
    lines: list[Line] = [line(), line(("held against", "head"))] if limits else []
    lines += [
        line((f"  {name:<{min(30, width - 10)}}", "label"), (figure_of(limits[key], unit), "figure"))
        for key, name, unit in LIMITS
        if limits.get(key) is not None
    ]
    for version, cost in (inputs.get("costs") or {}).items():
        if cost.get("sentence"):
            lines += paragraphs(f"a swap to {version}: {cost['sentence']}", width, "unit")
    for alarm in inputs.get("alarms") or ():
        lines += [line(("▲ ", "warn"), (text, "warn")) for text in fmt.wrap(str(alarm), width - 2)]
    for version, why in (inputs.get("excluded") or {}).items():
        lines += paragraphs(f"✕ {version} {why}", width, "unit")
    rows = [r for r in inputs.get("leaderboard") or () if isinstance(r, Mapping)]
    if rows:
        lines += [line(), line(("the ranking then", "head"))]
        names = [str(r.get("version")) for r in rows]
        lines += [_row(r, inputs.get("incumbent"), names, width) for r in rows]
    return lines


def _row(row: Record, incumbent: Any, others: Sequence[str], width: int) -> Line:
    narrow = width < 56  # no room for an axis
    room = max(10, min(34, width - (20 if narrow else 42)))
    axis = 0 if narrow else max(5, min(31, width - room - 31))
    name = distinct(str(row.get("version")), room, others)
    return line(
        ("  ◆ " if row.get("version") == incumbent else "    ", "serve"),
        *pad(name, room),
        (f" {fmt.score(row.get('utility')):>4} ", "figure"),
        *(
            charts.interval_line(row.get("utility_low"), row.get("utility"), row.get("utility_high"), axis)
            if axis
            else ()
        ),
        ("" if narrow else f" {fmt.score(row.get('quality')):>5}{fmt.seconds(row.get('latency_p50_s')):>8}", "label"),
        (f"{fmt.count(int(row.get('samples') or 0)):>6}", "unit"),
    )


def _verdict(found: Record, width: int) -> list[Line]:
    said = DID.get(str(found.get("verdict")), str(found.get("verdict")))
    lines = [
        line((f"the autopilot {said}", "figure"), (f"  {fmt.moment(float(found.get('at') or 0))}", "unit")), line(),
        *pair("for", str(found.get("task")), width),
        *(pair("because", str(found["sentence"]), width) if found.get("sentence") else []),
    ]  # fmt: skip
    why = [w for w in found.get("why") or () if isinstance(w, Mapping)]
    lines += [line(), line(("the rules that decided", "head"))] if why else []
    lines += [x for w in why for x in reason(w, width, "  ")]
    return lines + _known_then(found, width)


# ── a task, a request ─────────────────────────────────────────────────────────────────────────────────────────────────


def _task(found: Record, width: int) -> list[Line]:
    """Who serves, since when, why, and every guard of a swap."""
    at = float(found.get("at") or 0)
    if found.get("verdict"):
        lines = [line(("◆ ", "serve"), *version_name(str(found["verdict"]), width - 12), (" serves it", "label"))]
        lines += pair("since", fmt.moment(at), width) if at else []
    else:
        lines = [line(("▲ nobody serves it", "warn"))]
    decision = found.get("decision") if isinstance(found.get("decision"), Mapping) else None
    swap = decision.get("swap") if decision else None
    for text in found.get("reasoning") or ():
        lines += pair("because", str(text), width)
    if isinstance(swap, Mapping):
        by_hand = "asked for by hand" if swap.get("trigger") == "manual" else "no reason was recorded"
        lines += pair("because", str(swap.get("reason") or by_hand), width)
        lines += pair("in place of", str(swap.get("from") or "nobody"), width)
    told = found.get("outlook")
    outlook: Record = told if isinstance(told, Mapping) else {}
    if outlook:
        said = f"The autopilot {DID.get(str(outlook.get('action')), '')}: {outlook.get('sentence')}."
        lines += [line(), *paragraphs(said, width)]
    guards = [from_wire(Guard, g) for g in outlook.get("guards") or () if isinstance(g, Mapping) and "met" in g]
    for kind, title in (("trigger", "would set a swap off"), ("condition", "must hold for a swap")):
        asked = [g for g in guards if g.kind == kind]
        more = f"{'value':<10}{'limit':<13}would change if" if width >= GUARD + 20 else ""
        head = line((f"{title:<25}", "head"), (more, "unit"))
        lines += [line(), head] if asked else []
        lines += [x for g in asked for x in _guard(g, width)]
    return lines


def _guard(guard: Guard, width: int) -> list[Line]:
    glyph, token = answer(guard)
    name, before = named(guard)
    limit = "" if guard.threshold is None else f"{before} {figure_of(guard.threshold, guard.unit)}".strip()
    value = value_of(guard)
    if width < GUARD + 20 or fmt.cells(value) > 9 or fmt.cells(limit) > 12:
        beside = " ".join(x for x in (value, limit) if x and x != fmt.DASH)
        said = fmt.wrap(f"{name}{': ' if beside else ''}{beside}; would change if {guard.would_change_if}", width - 4)
        return [line((f"  {glyph if i == 0 else ' '} ", token), (text, "label")) for i, text in enumerate(said)]
    changes = fmt.wrap(guard.would_change_if, width - GUARD)
    first = line(
        (f"  {glyph} ", token), (f"{name:<21}", "label"), (f"{value:<10}", "figure"), (f"{limit:<13}", "unit"),
        (changes[0], "unit"),
    )  # fmt: skip
    return [first, *(line((" " * GUARD, "unit"), (text, "unit")) for text in changes[1:])]


def _request(found: Record, width: int) -> list[Line]:
    """The request, then the decision that had put its model in charge."""
    lines = request_lines(found, width)
    decision = found.get("decision")
    if isinstance(decision, Mapping):
        lines += [line(), line((f"what had put it in charge · {decision.get('id')}", "head"))]
        lines += [line("  ", *x) for x in explanation(decision, width - 2)]
    return lines


def decision_of(swap: SwapView) -> str | None:
    """The id of the verdict that it carries out."""
    id = swap.evidence.get("decision")
    return str(id) if id else None
