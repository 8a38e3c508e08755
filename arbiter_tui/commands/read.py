"""``status|models|tasks|hardware|history|requests``: what the engine knows, once or on change.

Owns: the columns of each list. Never: a change.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from ..core.snapshot import Reading, RolloutView, Snapshot, SwapView, from_wire
from . import text as t
from .connect import Reader

RESULTS = {"rolled_back": "undone"}  # a swap that a later rollback took back; that rollback's own row is done


def show(options: Namespace) -> int:
    with Reader(options) as reader:
        if options.watch:
            reader.need_engine("--watch")
            return _watch(options, reader)
        _print(options, _content(options, reader.snapshot(), reader))
    return 0


def _watch(options: Namespace, reader: Reader) -> int:
    """Again whenever what is shown has changed: another revision alone is no news."""
    revision, shown = 0, None
    while True:
        data = reader.snapshot(after=revision, wait=25.0 if revision else 0.0)
        revision = data["revision"]
        content = _content(options, data, reader)
        if content != shown:
            if shown is not None and not options.json:
                t.out("")
            _print(options, content)
            shown = content


def _print(options: Namespace, content: Any) -> None:
    t.out_json(content) if options.json else t.out(content)


def _content(options: Namespace, data: dict[str, Any], reader: Reader) -> Any:
    """What the command shows of it: text, or the part that --json prints."""
    if options.command == "requests":
        items = reader.requests()
        return items if options.json else _requests(items)
    if options.json:
        part = {"models": "models", "tasks": "tasks", "hardware": "hardware", "history": "swaps"}.get(options.command)
        return data if part is None else data[part]
    shows: dict[str, Callable[[Snapshot], str]] = {
        "status": status, "models": models, "tasks": tasks, "hardware": hardware, "history": history,
    }  # fmt: skip
    return shows[options.command](from_wire(Snapshot, data))


def status(s: Snapshot) -> str:
    """One screen: the engine, who serves what, what the autopilot says."""
    e = s.engine
    where = f" at {e.url}" if e.url and e.state != "offline" else ""
    lines = [
        f"engine {e.state}{where}   autopilot {e.autopilot}   {t.plural(e.requests, 'request')}, {e.failed} failed",
        f"memory {t.size(s.budget.used_bytes)} of {t.size(s.budget.limit_bytes)}   machine {s.hardware.backend}"
        f"   cpu {_percent(s.hardware.cpu)}",
        "",
        tasks(s),
    ]
    under_way = [trial(r) for r in s.rollouts if r.ended_at is None]
    waiting = [f"scheduled: {o.message}" for o in s.operations if o.state == "waiting"]
    if under_way or waiting:
        lines += ["", *under_way, *waiting]
    for alert in s.alerts[:3]:
        lines += ["", t.wrapped(f"{alert.level}: {alert.message}")]
    if s.narrator:
        lines += ["", t.wrapped(s.narrator)]
    return "\n".join(lines)


def trial(r: RolloutView) -> str:
    """One rollout in a line."""
    worse = "unknown" if r.p_worse is None else f"{r.p_worse:.2f}".removeprefix("0")
    state = "paused" if r.paused else r.phase
    who = f"on trial: {r.to} beside {r.from_} on {r.task}"
    at = f"at {r.share:.0%}" if r.blocks is None else f"after {t.plural(r.blocks, 'block')}"
    return f"{who}, {state} {at}, P(worse) {worse}, {t.plural(r.pairs, 'pair')}"


def models(s: Snapshot) -> str:
    if not s.models:
        return "no models yet: `arbiter register PATH.gguf`, or `arbiter discover`"
    rows = [
        [m.version, m.state, m.lifecycle, t.size(m.resident_bytes), t.rate(m.tokens_per_second), t.duration(m.ttft_s),
         str(m.in_flight), str(m.requests), str(m.failures), ", ".join(m.serves) or t.DASH]
        for m in s.models
    ]  # fmt: skip
    head = ["version", "state", "lifecycle", "mem", "tok/s", "ttft", "busy", "requests", "failed", "serves"]
    return t.table(head, rows, "lllrrrrrrl")


def tasks(s: Snapshot) -> str:
    rows = []
    for task in s.tasks:
        top = next((r for r in task.leaderboard if r.version == task.incumbent), None)
        best = task.leaderboard[0].version if task.leaderboard else None
        rows.append([
            task.task, task.incumbent or t.DASH, t.share(top.utility if top else None),
            t.share(top.quality if top else None), str(top.samples if top else 0), task.autopilot,
            t.DASH if best in (None, task.incumbent) else str(best),
        ])  # fmt: skip
    return t.table(["task", "serves", "utility", "quality", "samples", "auto", "ranks first"], rows, "llrrrll")


def hardware(s: Snapshot) -> str:
    h = s.hardware
    lines = [
        f"backend  {h.backend}   {h.cpu_name}",
        f"cpu      {_percent(h.cpu)}   cores {' '.join(f'{c:.0%}' for c in h.cores) or t.DASH}",
        f"ram      {_bytes(h.ram_used_bytes)} of {_bytes(h.ram_total_bytes)}   swap {_bytes(h.swap_used_bytes)}",
        f"budget   {t.size(s.budget.used_bytes)} of {t.size(s.budget.limit_bytes)} for models",
    ]
    if h.on_battery is not None:
        lines.append(f"power    {'battery' if h.on_battery else 'mains'}, charged {_percent(h.battery)}")
    if h.cpu_throttle:
        lines.append(f"clocks   held back: {', '.join(h.cpu_throttle)}")
    for g in h.gpus:
        lines.append(
            f"gpu {g.index}    {g.name}   {_percent(g.utilisation)}   {_bytes(g.memory_used_bytes)} of "
            f"{_bytes(g.memory_total_bytes)}   {_value(g.power_w, 'W')}   {_value(g.temperature_c, '°C')}"
        )
    if not h.gpus:
        lines.append(f"gpu      none ({h.gpu_why or 'not found'})")
    return "\n".join(lines)


def history(s: Snapshot) -> str:
    if not s.swaps:
        return "no swaps yet"
    rows = [
        [t.clock(w.started_at), w.task, w.trigger, RESULTS.get(w.result, w.result), t.duration(w.duration_s), w.id,
         w.from_ or t.DASH, w.to, _why(w)]
        for w in s.swaps
    ]  # fmt: skip
    return t.table(["when", "task", "trigger", "result", "took", "id", "from", "to", "why"], rows, "llllrllll")


def _why(w: SwapView) -> str:
    """Why it happened, and what became of it: an error, or who undid it."""
    undone = f"undone by {w.evidence['undone_by']}" if w.evidence.get("undone_by") else ""
    stored = "stored; nothing was loaded" if w.evidence.get("offline") else ""
    return "; ".join(part for part in (w.error, w.reason, stored, undone) if part)


def _requests(items: list[dict[str, Any]]) -> str:
    if not items:
        return "no requests yet"
    rows = [
        [t.clock(r.get("at")), str(r.get("id", "")), str(r.get("task", "")), str(r.get("version", "")),
         t.duration(r.get("ttft_s")), t.duration(r.get("latency_s")), str(r.get("tokens_out") or t.DASH),
         "ok" if r.get("success") else str(r.get("failure") or "failed"), t.share(r.get("quality"))]
        for r in items
    ]  # fmt: skip
    head = ["when", "id", "task", "version", "ttft", "latency", "tokens", "result", "quality"]
    return t.table(head, rows, "llllrrrlr")


def _percent(r: Reading) -> str:
    return t.DASH if r.value is None else f"{r.value:.0%}"


def _bytes(r: Reading) -> str:
    return t.size(r.value)


def _value(r: Reading, unit: str) -> str:
    return t.DASH if r.value is None else f"{r.value:.0f} {unit}"
