"""``arbiter explain``: a record as a person would tell it: what happened, when, by whom, why, on which figures.

Owns: the order and the words of an explanation at the shell. Never: asks the engine, colour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.words import UNITS, WORDS, chance, change, turns
from . import text as t

Record = Mapping[str, Any]
BY = {"manual": "by hand", "auto": "by the autopilot", "rollback": "by a rollback", "schedule": "by the schedule",
      "rollout": "by a rollout"}  # fmt: skip
DID = {"swap": "swaps", "rollback": "rolls back", "hold": "would swap, and holds", "none": "leaves it so"}
BECAME = {"rolled_back": "undone later", "done": "done", "failed": "failed", "running": "still running"}
TRIAL = {"shadow": "stays in its shadow", "canary": "serves", "promoting": "is to serve everybody",
         "promoted": "was promoted", "withdrawn": "was taken back", "aborted": "was ended by hand"}  # fmt: skip
EFFECTS = {"share": "that share of the clients is assigned to it", "promote": "the task is swapped to it",
           "withdraw": "its clients are the old one's again", "close": "the trial is over"}  # fmt: skip
COLUMN = 12  # cells of a line's name
AXIS = 41
MARKS = {"good": "●", "poor": "○", "failed": "✕", "ungraded": "·"}
GOOD = 0.5


def explain(found: Record) -> str | None:
    """The explanation; None for a record of a kind that is not known here."""
    kinds: Mapping[str, Callable[[Record], Sequence[str]]] = {
        "swap": _swap, "task": _task, "request": _request, "autopilot": _verdict, "selection": _selection,
        "rollout": _step,
    }  # fmt: skip
    told = kinds.get(str(found.get("kind")))
    return None if told is None else "\n".join(told(found))


# ── one kind each ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _swap(found: Record) -> list[str]:
    swap, evidence = found["swap"], found["swap"].get("evidence") or {}
    took = f" in {t.duration(swap['duration_s'])}" if swap.get("duration_s") is not None else ""
    lines = [
        t.wrapped(f"{swap['task']}: {change(swap.get('from'), swap['to'])}", indent="  "),
        f"{BECAME.get(swap['result'], swap['result'])}{took}, {_moment(swap['started_at'])}, "
        f"{BY.get(swap['trigger'], swap['trigger'])}",
        "",
        *_named("because", swap.get("reason") or ("asked for by hand" if swap["trigger"] == "manual" else "")),
        *_named("failed", swap.get("error")),
        *_reasons(swap.get("why") or ()),
        *_sides(evidence),
        *_requests(found),
        *_named("phases", " · ".join(f"{p['name']} {t.duration(p['seconds'])}" for p in swap.get("phases", ()))),
        *_named("probed", t.duration(evidence["probe_s"]) if evidence.get("probe_s") is not None else None),
        *_named("note", evidence.get("note")),
        *[line for w in evidence.get("warnings") or () for line in _named("warning", w)],
        *_named("stored", "the route alone; nothing was loaded" if evidence.get("offline") else None),
        *_named("undoes", _to_read(evidence.get("undoes"))),
        *_named("undone by", _to_read(evidence.get("undone_by"))),
        *_named("decision", _to_read(evidence.get("decision"))),
    ]
    return _closed(lines)


def _task(found: Record) -> list[str]:
    decision, outlook = found.get("decision"), found.get("outlook") or {}
    since = f" since {_moment(found['at'])}" if found.get("at") else ""
    head = (
        f"{found['verdict']} serves {found['task']}{since}"
        if found.get("verdict")
        else f"nobody serves {found['task']}"
    )
    lines = [t.wrapped(head, indent="  "), ""]
    lines += [line for reason in found.get("reasoning") or () for line in _named("because", reason)]
    if decision is not None and "swap" in decision:
        swap = decision["swap"]
        asked = "asked for by hand" if swap["trigger"] == "manual" else ""
        lines += _named("because", swap.get("reason") or asked)
        lines += _named("in place of", swap.get("from"))
    if decision is not None:
        lines += _named("record", _to_read(decision["id"]))
    if outlook:
        lines += [
            "",
            t.wrapped(f"The autopilot {DID.get(outlook['action'], outlook['action'])}: {outlook['sentence']}."),
        ]
        lines += _guards(outlook.get("guards") or ())
    return _closed(lines)


def _request(found: Record) -> list[str]:
    asked, decision = found["request"], found.get("decision")
    outcome = "answered" if asked.get("success") else f"failed ({asked.get('failure') or 'no reason is known'})"
    task = f" for {asked['task']}" if asked.get("task") else ""
    grade = f"{t.share(asked.get('quality'))} ({asked['quality_source']})" if asked.get("quality_source") else t.DASH
    about = "~" if asked.get("tokens_estimated") else ""
    figures = [
        f"{t.duration(asked.get('latency_s'))} in all", f"first token after {t.duration(asked.get('ttft_s'))}",
        f"{about}{_count(asked.get('tokens_in'), 'token')} in",
        f"{about}{_count(asked.get('tokens_out'), 'token')} out",
    ]  # fmt: skip
    lines = [
        t.wrapped(f"{found['verdict']} {outcome}{task}, {_moment(asked.get('at'))}", indent="  "), "",
        *_named("took", ", ".join(figures)), *_named("cost", _cost(asked)), *_named("quality", grade),
    ]  # fmt: skip
    lines += [line for reason in found.get("reasoning") or () for line in _named("because", reason)]
    if decision is not None:
        told = explain(decision)
        lines += ["", f"What had put it in charge ({decision['id']}):", ""]
        lines += [f"  {line}".rstrip() for line in (told or "").splitlines()]
    return _closed(lines)


def _cost(asked: Record) -> str | None:
    """Of a paid provider's answer; in the currency of its prices."""
    if asked.get("money") is None:
        return None
    return f"{asked['money']:.6f}" + ("" if asked.get("success") else ", estimated: it was broken off")


def _verdict(found: Record) -> list[str]:
    """A verdict of the autopilot, with what it knew."""
    inputs, limits = found.get("inputs") or {}, found.get("thresholds") or {}
    lines = [
        t.wrapped(
            f"{found['task']}: the autopilot {DID.get(found['verdict'], found['verdict'])}, {_moment(found['at'])}"
        ),
        "",
        *_named("because", found.get("sentence")),
        *_reasons(found.get("why") or ()),
        *_checked(found),
        *[line for alarm in inputs.get("alarms") or () for line in _named("alarm", alarm)],
        *[line for v, why in (inputs.get("excluded") or {}).items() for line in _named("excluded", f"{v} {why}")],
        *[line for v, c in (inputs.get("costs") or {}).items() if c.get("sentence") for line in _cost_of(v, c)],
        *_named("limits", _limits(limits)),
    ]
    rows = inputs.get("leaderboard") or ()
    if rows:
        lines += ["", *_ranking(rows, inputs.get("incumbent"))]
    return _closed(lines)


def _cost_of(version: str, cost: Record) -> list[str]:
    """What a swap to it was held to cost, and of what that is made."""
    return _named("cost", f"{t.share(cost.get('utility'))} of utility for {version}: {cost['sentence']}")


def _step(found: Record) -> list[str]:
    """One step of a trial: what it became, on what evidence, and what was done."""
    view = found.get("rollout") or {}
    old, new = view.get("from") or "nobody", found.get("to") or view.get("to")
    at = f" at {found['share']:.0%}" if found.get("verdict") == "canary" else ""
    became = TRIAL.get(str(found.get("verdict")), str(found.get("verdict")))
    lines = [
        t.wrapped(f"{found['task']}: {new} on trial beside {old} {became}{at}, {_moment(found['at'])}", indent="  "),
        "",
        *_named("because", found.get("sentence")),
        *_reasons(found.get("why") or ()),
        *_named("evidence", _evidence(view)),
        *_named("ramp", " → ".join(f"{share:.0%} {t.clock(moment)}" for moment, share in view.get("ramp") or ())),
        *_named("so", "; ".join(EFFECTS.get(effect, effect) for effect in found.get("effects") or ())),
        *_checked(found),
        *_named("trial", f"{view['id']}, rule {view.get('rule')}, begun {_moment(view.get('started_at'))}")
    ]  # fmt: skip
    return _closed(lines)


def _evidence(view: Record) -> str:
    """What the trial had seen by then."""
    parts = [f"{t.plural(view.get('pairs') or 0, 'question')} answered by both"]
    if view.get("blocks") is not None:
        parts.append(f"in turns: {turns(view['blocks'], running=bool(view.get('in_block')))}")
    else:
        parts.append(f"{t.plural(view.get('canary_requests') or 0, 'request')} served by it")
    if view.get("p_worse") is not None:
        parts.append(f"P(worse) {chance(view['p_worse'])}")
    if view.get("slowdown") is not None:
        parts.append(f"{view['slowdown']:g} times the old one's seconds")
    return ", ".join(parts)


def _selection(found: Record) -> list[str]:
    lines = [f"{found['verdict']} was chosen for {found['task']}, {_moment(found['at'])}", ""]
    lines += [line for reason in found.get("reasoning") or () for line in _named("because", reason)]
    lines += _checked(found)
    return _closed(lines)


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _named(name: str, text: Any) -> list[str]:
    """``name`` left, what it says beside it; nothing where there is nothing to say."""
    return [t.wrapped(str(text), first=f"{name:<{COLUMN}}", indent=" " * COLUMN)] if text else []


def _checked(found: Record) -> list[str]:
    """Whether the engine could compute the verdict again from the record alone."""
    same = found.get("recomputed")
    if same is None:
        return []
    verdict = "the same verdict" if same else "ANOTHER verdict; the record is damaged or was changed"
    return _named("checked", f"computed again from this record: {verdict}")


def _to_read(id: Any) -> str | None:
    return f"arbiter explain {id}" if id else None


def _moment(at: float | None) -> str:
    return t.moment(at) if at else "at an unknown time"


def _count(n: int | None, noun: str) -> str:
    return t.plural(n, noun) if n is not None else f"{t.DASH} {noun}s"


def _reasons(why: Sequence[Record]) -> list[str]:
    lines = []
    for w in why:
        named, before = WORDS.get(w["rule"], (str(w["rule"]), "limit"))
        limit = "" if w.get("threshold") is None else f", {before or 'limit'} {_figure(w['rule'], w['threshold'])}"
        lines += _named("rule", f"{named}: {_figure(w['rule'], w.get('value'))}{limit}")
        if w.get("would_change_if"):
            lines.append(
                t.wrapped(f"it would change if {w['would_change_if']}", first=" " * COLUMN, indent=" " * COLUMN)
            )
    return lines


def _figure(rule: str, value: Any) -> str:
    """A probability shows where it lies beside its limit."""
    known = rule.startswith("P(") and isinstance(value, float)
    return chance(value) if known else t.figure(value, UNITS.get(rule, ""))


def _sides(evidence: Record) -> list[str]:
    """Both versions at the decision: a table, and their intervals on one axis."""
    sides = [(name, evidence[key]) for name, key in (("before", "old"), ("after", "new")) if evidence.get(key)]
    if not sides:
        return []
    rows = [
        [name, s["version"], t.share(s.get("utility")), t.share(s.get("quality")), t.duration(s.get("latency_p50_s")),
         t.share(s.get("success_rate")), str(s.get("samples", 0))]
        for name, s in sides
    ]  # fmt: skip
    lines = ["", t.table(["", "known then", "utility", "quality", "p50", "success", "samples"], rows, "llrrrrr")]
    bars = [(name, _bar(s)) for name, s in sides if s.get("utility_low") is not None]
    if bars:
        lines += ["", f"{'utility':<{COLUMN}}0{' ' * (AXIS - 2)}1", *(f"{name:<{COLUMN}}{bar}" for name, bar in bars)]
    return [*lines, ""]


def _bar(side: Record) -> str:
    """``├──●──┤`` on the axis 0..1."""
    low, mid, high = (
        round(min(1.0, max(0.0, float(side[key]))) * (AXIS - 1)) for key in ("utility_low", "utility", "utility_high")
    )
    cells = [" "] * AXIS
    cells[low : high + 1] = "─" * (high + 1 - low)
    cells[low], cells[high], cells[mid] = "├", "┤", "●"
    return "".join(cells).rstrip()


def _requests(found: Record) -> list[str]:
    """What single requests showed on both sides of the swap, a mark each."""
    sides = [(name, found.get(name) or ()) for name in ("before", "after")]
    if not any(outcomes for _, outcomes in sides):
        return []
    lines = [_strip(name, outcomes) for name, outcomes in sides]
    return [*lines, " " * COLUMN + "● good  ○ poor  ✕ failed  · not graded", ""]


def _strip(name: str, outcomes: Sequence[Record]) -> str:
    if not outcomes:
        return f"{name:<{COLUMN}}no request"
    grades = [o["quality"] for o in outcomes if o.get("quality") is not None]
    mean = f", quality {t.share(sum(grades) / len(grades))}" if grades else ""
    marks = "".join(MARKS[_kind(o)] for o in outcomes)
    return f"{name:<{COLUMN}}{marks}  {t.plural(len(outcomes), 'request')}{mean}"


def _kind(outcome: Record) -> str:
    if not outcome.get("success"):
        return "failed"
    quality = outcome.get("quality")
    return "ungraded" if quality is None else "good" if quality >= GOOD else "poor"


def _limits(limits: Record) -> str:
    """The thresholds that the verdict was held against."""
    said = [
        f"success {t.share(limits.get('performance_threshold'))}",
        f"quality {t.share(limits.get('quality_factor'))} of the task's threshold",
        f"cost of a swap {t.share(limits.get('switching_cost'))}",
        f"{_count(limits.get('min_samples'), 'sample')} on each side",
        f"cooldown {t.duration(limits.get('cooldown_s'))}",
    ]
    return ", ".join(said) if limits else ""


def _ranking(rows: Sequence[Record], incumbent: str | None) -> list[str]:
    cells = [
        ["◆" if r["version"] == incumbent else "", r["version"], t.share(r.get("utility")), t.share(r.get("p_best")),
         t.share(r.get("quality")), t.duration(r.get("latency_p50_s")), t.share(r.get("success_rate")),
         str(r.get("samples", 0))]
        for r in rows
    ]  # fmt: skip
    head = ["", "known then", "utility", "P(best)", "quality", "p50", "success", "samples"]
    return [t.table(head, cells, "llrrrrrr")]


def _guards(guards: Sequence[Record]) -> list[str]:
    """Triggers, then conditions: the answer, the value against its limit, what would change it."""
    lines: list[str] = []
    for kind, title in (("trigger", "would set a swap off"), ("condition", "must hold for a swap")):
        rows = [_guard(g) for g in guards if g.get("kind") == kind]
        if rows:
            lines += ["", t.table([title, "", "value", "limit", "would change if"], rows)]
    return lines


def _guard(guard: Record) -> list[str]:
    named, before = WORDS.get(guard["rule"], (str(guard["rule"]), ""))
    said = ("yes" if guard["met"] else "no") if guard["kind"] == "trigger" else ("met" if guard["met"] else "NOT MET")
    unit, limit = guard.get("unit", ""), guard.get("threshold")
    against = t.DASH if limit is None else f"{before} {t.figure(limit, unit)}".strip()
    return [named, said, t.figure(guard.get("value"), unit), against, guard["would_change_if"]]


def _closed(lines: Sequence[str]) -> list[str]:
    """No two empty lines together, none at the end."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return kept[:-1] if kept and not kept[-1] else kept
