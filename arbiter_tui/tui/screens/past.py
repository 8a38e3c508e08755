"""A version's past as lines: provenance, memory, speed over time, steps, changes. Pure: the engine's answers in, lines
out. Never: asks for them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ...core.snapshot import ModelView
from .. import format as fmt
from .. import plot
from ..text import Line, line
from ..widgets.facts import LABEL

ROWS = 4  # of a plot
SHOWN_STEPS = 12
SHOWN_CHANGES = 8
STEPS = {
    "loading": ("◐", "label"),
    "ready": ("●", "serve"),
    "unloading": ("◌", "unit"),
    "unloaded": ("○", "unit"),
    "cancelled": ("○", "warn"),
    "restarted": ("◐", "warn"),
    "failed": ("✕", "fail"),
    "exited": ("✕", "fail"),
    "hung": ("✕", "fail"),
    "quarantined": ("▲", "warn"),
}
DONE = {"register": "registered", "active": "activated", "deprecated": "deprecated", "alias": "alias", "pin": "pinned"}


def when(at: float, now: float) -> str:
    """``14:31:05`` today, ``20 Sep 14:31`` before."""
    then, today = time.localtime(at), time.localtime(now)
    same = (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M:%S" if same else "%d %b %H:%M", then)


def provenance(about: Mapping[str, Any], width: int) -> list[Line]:
    """Where it comes from; what is not known is left out."""
    if not about:
        return []
    parameters = about.get("parameters")
    options = about.get("options") or {}
    rows = [
        ("source", about.get("source")),
        ("family", about.get("family")),
        ("licence", about.get("licence")),
        ("size", _joined(fmt.count(parameters) + " parameters" if parameters else "", _file(about))),
        ("can", ", ".join(about.get("capabilities") or ())),
        ("labels", ", ".join(about.get("labels") or ())),
        ("options", ", ".join(f"{k} {v}" for k, v in options.items() if v is not None)),
        ("at once", fmt.plural(int(about["parallel"]), "answer") if about.get("parallel") else ""),
        ("registered", fmt.moment(float(about["created_at"])) if about.get("created_at") else ""),
    ]
    lines: list[Line] = []
    for name, value in rows:
        most = 4 if name == "source" else 2  # a path that is cut names no file
        for i, text in enumerate(fmt.wrap_to(safe(value), max(8, width - LABEL), most) if value else ()):
            lines.append(line((f"{'' if i else name:<{LABEL}}", "unit"), (text, "label")))
    return [line(("where it comes from", "head")), *lines] if lines else []


def safe(value: Any) -> str:
    """Without what would steer the terminal."""
    return "".join(c if c.isprintable() else "·" for c in str(value))


def _joined(*parts: str) -> str:
    return " · ".join(p for p in parts if p)


def _file(about: Mapping[str, Any]) -> str:
    return f"{fmt.size(about['file_bytes'])} on disk" if about.get("file_bytes") else ""


def memory_lines(model: ModelView, past: Mapping[str, Any], width: int) -> list[Line]:
    """Expected against measured, as bars on one scale."""
    known = past.get("memory") or {}
    rows = [
        ("expected", known.get("expected_bytes") or model.predicted_bytes, "unit"),
        ("now", model.resident_bytes, "serve"),
        ("most seen", max(known.get("largest_bytes") or 0, model.resident_bytes or 0) or None, "curve"),
    ]
    top = max((v for _, v, _ in rows if v), default=None)
    if top is None:
        return []
    room = max(2, min(30, width - LABEL - 20))
    lines = [line(("memory", "head"))]
    expected = rows[0][1]
    for name, value, token in rows:
        off = f"  {value / expected - 1.0:+.0%}" if value and expected and name != "expected" else ""
        done = fmt.bar(value / top if value else None, room).rstrip()
        lines.append(
            line(
                (f"{name:<{LABEL}}", "unit"),
                (f"{fine(value):>7}  ", "figure" if value else "unit"),
                (done, token),
                ("·" * (room - len(done)) if value else "", "track"),
                (off, "unit"),
            )
        )
    return lines


def fine(value: float | None) -> str:
    """Bytes finely enough to tell expected from measured."""
    return fmt.size(value) if value is None or value >= 10 << 30 else f"{value / (1 << 20):.0f} M"


def plots(past: Mapping[str, Any], now: float, width: int) -> list[Line]:
    """Tokens a second and the time to the first token, request by request."""
    samples = past.get("samples") or ()
    since = when(float(samples[0]["at"]), now) if samples else ""
    rates = [_number(s.get("tokens_per_second")) for s in samples]
    firsts = [_number(s.get("ttft_s")) for s in samples]
    return [
        *plot.panel("tokens/s", rates, width, ROWS, fmt.rate, since=since),
        line(),
        *plot.panel("first token", firsts, width, ROWS, fmt.seconds, since=since),
    ]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def states(past: Mapping[str, Any], now: float, width: int) -> list[Line]:
    """Each step of its instances with its time, newest first."""
    steps = past.get("states") or ()
    if not steps:
        return []
    lines = [line(("loaded and unloaded", "head"))]
    for s in steps[:SHOWN_STEPS]:
        glyph, token = STEPS.get(str(s.get("state")), ("·", "unit"))
        said = fmt.shorten(safe(s.get("message") or s.get("state")), max(8, width - 18))
        lines.append(line((f"  {when(float(s['at']), now):>12}  ", "unit"), (f"{glyph} ", token), (said, "label")))
    if len(steps) > SHOWN_STEPS:
        lines.append(line((f"  and {len(steps) - SHOWN_STEPS} before", "unit")))
    return lines


def changes(past: Mapping[str, Any], now: float, width: int) -> list[Line]:
    """Its life cycle: what was done to its record, by whom, newest first."""
    found = [c for c in past.get("changes") or () if c.get("action") != "route"]  # its swaps are told elsewhere
    lines = [line(("its life cycle", "head"))] if found else []
    for c in found[:SHOWN_CHANGES]:
        at = when(float(c["at"]), now) if c.get("at") else fmt.DASH
        done = DONE.get(str(c.get("action")), str(c.get("action")))
        more = safe(c.get("subject", "")).replace(str(past.get("version")), "").strip(" ->→")
        if done == "pinned":
            done, more = ("kept warm" if more == "True" else "no longer kept warm"), ""
        said = fmt.shorten(_joined(f"{done} {more}".strip(), f"by {safe(c.get('who', ''))}"), max(8, width - 18))
        lines.append(line((f"  {at:>12}  ", "unit"), ("· ", "unit"), (said, "label")))
    return lines
