"""The record of one request: what was asked, who answered, what it took and cost, why that model. Pure.

Owns: its rows, their words and units. Never: asking; the record of the decision behind it (explained.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import format as fmt
from ..text import Line, line
from .explain import pair

Record = Mapping[str, Any]
FEW_TOKENS = 3  # of fewer a rate would be the pause between two packets
SOURCES = {
    "request": "a client", "bench": "the benchmark", "sentinel": "a hidden question of the engine",
    "shadow": "a trial, unseen by clients", "failover": "a client; another model answered then",
    "reported": "a program that measured it itself",
}  # fmt: skip
GRADERS = {
    "suite": "the benchmark", "sentinel": "the hidden questions", "feedback": "feedback", "verifier": "a check",
    "judge": "a judge model",
}  # fmt: skip
FAILURES = {
    "timeout": "it took too long", "worker_died": "the model's worker died", "unreachable": "the provider was away",
    "load_failed": "the model could not be loaded", "provider_error": "the provider answered with an error",
    "client_error": "the request itself was wrong", "cancelled": "the client left",
}  # fmt: skip


def request_lines(found: Record, width: int) -> list[Line]:
    """Its outcome, then labelled rows; what was not measured is a dash."""
    asked = found["request"]
    lines = [*_outcome(asked, width), line()]
    for name, text in _rows(found, asked):
        lines += pair(name, text, width)
    for text in found.get("reasoning") or ():
        lines += pair("because", str(text), width)
    return lines


def _outcome(asked: Record, width: int) -> list[Line]:
    at = (f"  {fmt.moment(_number(asked.get('at')) or 0.0)}", "unit")
    if asked.get("success"):
        return [line(("✓ answered", "ok"), at)]
    kind = str(asked.get("failure") or "")
    why = FAILURES.get(kind, kind.replace("_", " ") or "no reason is known")
    return [line(("○ not answered" if kind == "cancelled" else "✕ failed", "fail"), (f": {why}", "fail"), at)]


def _rows(found: Record, asked: Record) -> list[tuple[str, str]]:
    task = str(asked.get("task") or "")
    by = str(found.get("verdict") or asked.get("version") or fmt.DASH)
    rows = [
        ("by", f"{by}, named by the client" if asked.get("named") or not task else by),
        ("for", task or "no task: it named its model"),
        ("asked by", SOURCES.get(str(asked.get("source") or "request"), str(asked.get("source")))),
        ("took", _spent(asked)),
        ("tokens", _tokens(asked)),
        ("memory", f"{fmt.size(_number(asked.get('memory_bytes')))} held by the model"
         if asked.get("memory_bytes") is not None else fmt.DASH),
        ("processor", _known(fmt.seconds(_number(asked.get("cpu_s"))), "of processor time")),
        ("energy", fmt.joules(_number(asked.get("energy_j")))),
        ("money", fmt.money(_number(asked.get("money"))) + _estimated(asked)),
        ("quality", _quality(asked)),
    ]  # fmt: skip
    return [*rows, ("id", str(found.get("id") or asked.get("id") or fmt.DASH))]


def _spent(asked: Record) -> str:
    """All of it first, then its parts."""
    all_s, first, queue, own = (_number(asked.get(k)) for k in ("latency_s", "ttft_s", "queue_s", "overhead_s"))
    parts = [f"{fmt.seconds(all_s)} in all", f"first token after {fmt.seconds(first)}"]
    parts.append(f"{fmt.seconds(queue)} of it waiting" if queue else "no wait" if queue == 0 else "wait not measured")
    return ", ".join(parts) + (f", {fmt.seconds(own)} in the engine itself" if own is not None else "")


def _tokens(asked: Record) -> str:
    about = "~" if asked.get("tokens_estimated") else ""
    said = f"{about}{_count(asked.get('tokens_in'))} in, {about}{_count(asked.get('tokens_out'))} out"
    out, all_s, first = (_number(asked.get(k)) for k in ("tokens_out", "latency_s", "ttft_s"))
    if out is None or out < FEW_TOKENS or all_s is None or first is None:
        return said
    decode_s = all_s - (_number(asked.get("queue_s")) or 0.0) - first
    return f"{said}, {fmt.rate((out - 1) / decode_s)} a second" if decode_s > 0 else said


def _quality(asked: Record) -> str:
    quality = _number(asked.get("quality"))
    if quality is None:
        return "not graded"
    by = str(asked.get("quality_source") or "")
    return f"{fmt.score(quality)}, by {GRADERS.get(by, by)}" if by else fmt.score(quality)


def _estimated(asked: Record) -> str:
    broken = asked.get("money") is not None and not asked.get("success")
    return ", estimated: it was broken off" if broken else ""


def _known(text: str, what: str) -> str:
    return text if text == fmt.DASH else f"{text} {what}"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _count(value: Any) -> str:
    n = _number(value)
    return fmt.DASH if n is None else f"{n:.0f}"
