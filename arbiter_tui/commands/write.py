"""Commands that change something: warm, unload, pin, alias, swap, rollback, autopilot, feedback, explain, select …

Owns: what is asked, and how the answer reads. Never: whether it is allowed (the engine says).
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..core.words import change
from ..errors import Refused
from . import explained, trials
from . import text as t
from .connect import client, refuse_read_only

V1 = "/arbiter/v1"
WAIT_S = 180.0
_READING = {"select", "explain", "discover"}
_NEEDS_ENGINE = {"warm", "unload", "rollout"}


def write(options: Namespace) -> int:
    looks = options.command in _READING or (options.command == "rollout" and options.action == "list")
    if not looks or (options.command == "discover" and options.apply):
        refuse_read_only(options, options.command)
    return asyncio.run(_write(options))


async def _write(options: Namespace) -> int:
    later = options.command == "swap" and (options.canary or options.at is not None)
    without = "fail" if options.command in _NEEDS_ENGINE or later else "offline"
    async with client(options, without_engine=without) as api:
        answer = await _ask(api, options)
    if options.json:
        t.out_json(answer)
    else:
        t.out(_say(options, answer))
    failed = isinstance(answer, Mapping) and answer.get("result") == "failed"
    return 1 if failed else 0


async def _ask(api: Any, o: Namespace) -> Any:
    waiting = {"wait": WAIT_S}
    match o.command:
        case "warm" | "unload" | "pin" | "unpin" | "activate" | "deprecate":
            return await api.post(f"{V1}/models/{_q(o.model)}/{o.command}", {}, params=waiting)
        case "alias":
            return await api.put(f"{V1}/aliases/{_q(o.name)}", {"version": o.model})
        case "swap":
            body = {"task": o.task, "to": o.model, "strict": o.strict, "dry_run": o.dry_run}
            body |= {"mode": "canary"} if o.canary else {}
            body |= {"at": o.at} if o.at is not None else {}
            return await api.post(f"{V1}/swaps", body, params=waiting)
        case "rollout":
            return await trials.order(api, o)
        case "rollback":
            return await api.post(f"{V1}/tasks/{_q(o.task)}/rollback", {}, params=waiting)
        case "autopilot" if o.mode == "veto":
            return await veto(api, o.task)
        case "autopilot":
            tasks = [o.task] if o.task else [row["task"] for row in (await api.get(f"{V1}/tasks"))["items"]]
            for task in tasks:
                await api.put(f"{V1}/tasks/{_q(task)}/autopilot", {"mode": o.mode})
            return {"mode": o.mode, "tasks": tasks}
        case "feedback":
            return await api.post(
                f"{V1}/feedback", {"request_id": o.request_id, "score": o.score, "comment": o.comment}
            )
        case "explain":
            return await api.get(f"{V1}/explain/{_q(o.id)}")
        case "discover":
            return await api.post(f"{V1}/discover", {"apply": o.apply})
        case _:
            return await api.post(f"{V1}/select", {"task": o.task})


async def veto(api: Any, task: str | None) -> Any:
    """Of the task that is named, else of the one that is announced."""
    if task is None:
        rows = (await api.get(f"{V1}/tasks"))["items"]
        announced = sorted((row["next_at"], row["task"]) for row in rows if row.get("next_incumbent"))
        if not announced:
            raise Refused("the autopilot announces nothing")
        task = announced[0][1]
    return await api.post(f"{V1}/tasks/{_q(task)}/veto", {})


def _q(name: str) -> str:
    return quote(name, safe="")


def _say(o: Namespace, answer: Any) -> str:
    match o.command:
        case "rollout":
            return trials.said(answer)
        case "swap" if "phase" in answer:
            return trials.line(answer)
        case "swap" if answer.get("kind") == "appointment":
            return f"scheduled: {answer['message']} (`arbiter status` shows it; id {answer['id']})"
        case "swap" | "rollback":
            return swap_line(answer, dry=getattr(o, "dry_run", False))
        case "select":
            return selection(answer)
        case "explain":
            return explained.explain(answer) or record(answer)
        case "autopilot" if o.mode == "veto":
            held = f"it is held until {t.clock(answer['hold_until'])}"
            return f"vetoed: {answer['to']} does not take over {answer['task']}; {held}"
        case "autopilot":
            return f"autopilot {answer['mode']} for " + (o.task or f"all {t.plural(len(answer['tasks']), 'task')}")
        case "feedback":
            if answer.get("counts", True):
                return f"thank you: {o.request_id} scored {o.score:g}"
            stands = f"{answer['quality_source']} has graded this answer already, {answer['quality']:g}"
            return f"noted, and not counted: {stands}, and that stands"
        case "alias":
            return f"{o.name} now means {answer.get('version', o.model)}"
        case "discover":
            return discovered(answer["items"], answer.get("around", ()))
        case _:
            words = [answer.get("state"), answer.get("lifecycle"), "pinned" if answer.get("pinned") else None]
            return f"{answer['version']}: {', '.join(w for w in words if w)}"


def discovered(items: Sequence[Mapping[str, Any]], around: Sequence[Mapping[str, Any]] = ()) -> str:
    """What the providers have, then what is on this machine besides, each with the way to use it."""
    parts = []
    if items:
        rows = [[v["version"], v["provider"], "yes" if v.get("registered") else "no", v["source"]] for v in items]
        more = "" if all(v.get("registered") for v in items) else "\nregister them: arbiter discover --apply"
        parts.append(t.table(["version", "provider", "registered", "source"], rows) + more)
    if around:
        parts += ["also on this machine, not in use:", *(_around(f) for f in around)]
    return t.clean("\n\n".join(parts)) or "nothing found: no provider has a model, no server answers, no model files"


def _around(f: Mapping[str, Any]) -> str:
    size = "" if f["bytes"] is None else f", {t.size(f['bytes'])}"
    models = f": {', '.join(f['models'][:6])}{' …' if len(f['models']) > 6 else ''}" if f["models"] else ""
    head = f"{f['name']} ({f['kind']}{size}) at {f['where']}{models}"
    how = f["how"] or "no provider for it yet"
    return head + "\n" + "\n".join(f"  {row}" for row in how.splitlines())


def swap_line(s: Mapping[str, Any], *, dry: bool = False) -> str:
    """What became of a swap (or would): who replaces whom, its phases, its reason, its warnings, the way back."""
    evidence, done = s.get("evidence") or {}, s["result"] == "done"
    if done and s.get("from") == s["to"] and not s.get("phases") and s.get("reason"):
        return str(s["reason"])  # nothing was to be done
    stored = bool(evidence.get("offline"))
    took = f" in {t.duration(s['duration_s'])}" if s.get("duration_s") is not None and not dry and not stored else ""
    who = "" if dry else f"  ({s['id']})"
    head = f"{_verb(s, dry)} {s['task']}: {change(s.get('from'), s['to'])}{took}{who}"
    lines = [t.wrapped(head, indent="  ")]
    if stored and done and not dry:
        lines.append("  stored; nothing was loaded")
    lines += [f"  {p['name']} {t.duration(p['seconds'])}" for p in s.get("phases", [])]
    lines += [t.wrapped(s[key], first="  ", indent="  ") for key in ("reason", "error") if s.get(key)]
    if dry and evidence.get("evict") is not None:
        lines.append(f"  would unload: {', '.join(evidence['evict']) or 'nothing'}")
    lines += [t.wrapped(f"warning: {w}", first="  ", indent="  ") for w in s.get("warnings", [])]
    if done and not dry and s.get("trigger") != "rollback":
        lines.append(f"  undo: arbiter rollback {s['task']}")
    return "\n".join(lines)


def _verb(s: Mapping[str, Any], dry: bool) -> str:
    if dry:
        return "would swap"
    if s["result"] == "done":
        return "rolled back" if s.get("trigger") == "rollback" else "swapped"
    return {"failed": "failed to swap", "rolled_back": "undone:"}.get(s["result"], str(s["result"]))


def selection(s: Mapping[str, Any]) -> str:
    beside = f"fallback {s.get('fallback') or t.DASH}, confidence {t.share(s.get('confidence'))}"
    lines = [t.wrapped(f"{s['primary']}  ({beside})", indent="  ")]
    rows = [
        [r["version"], t.share(r["utility"]), t.share(r.get("p_best")), t.share(r["quality"]),
         t.duration(r["latency_p50_s"]), t.share(r["success_rate"]), str(r["samples"])]
        for r in s.get("scores", [])
    ]  # fmt: skip
    if rows:
        head = ["version", "utility", "P(best)", "quality", "p50", "success", "n"]
        lines += ["", t.table(head, rows, "lrrrrrr")]
    return "\n".join([*lines, "", *(t.wrapped(line) for line in s.get("reasoning", []))])


def record(value: Mapping[str, Any], depth: int = 0) -> str:
    """Any record as indented ``key: value`` lines; unknown or empty is a dash, ``*_s`` a duration, ``at`` a time."""
    pad = "  " * depth
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            lines += [f"{pad}{key}:", record(item, depth + 1)]
        elif isinstance(item, (list, tuple)) and item:
            lines.append(f"{pad}{key}:")
            lines += [t.wrapped(_entry(row), first=f"{pad}  - ", indent=f"{pad}    ") for row in item]
        else:
            lines.append(t.wrapped(_figure(key, item), first=f"{pad}{key}: ", indent=f"{pad}  "))
    return "\n".join(lines)


def _entry(row: Any) -> str:
    """One line of a list: its fields side by side."""
    if isinstance(row, Mapping):
        return ", ".join(f"{key} {_figure(key, item)}" for key, item in row.items())
    return str(row)


def _figure(key: str, item: Any) -> str:
    number = isinstance(item, (int, float)) and not isinstance(item, bool)
    if item is None or (isinstance(item, (list, tuple, Mapping)) and not item):
        return t.DASH
    if isinstance(item, bool):
        return "yes" if item else "no"
    if number and (key.endswith("_s") or key == "seconds"):
        return t.duration(item)
    if number and (key == "at" or key.endswith("_at")):
        return t.clock(item)
    if number and key.endswith("_bytes"):
        return t.size(item)
    return t.share(item) if isinstance(item, float) and 0 < abs(item) < 1 else f"{item:g}" if number else str(item)
