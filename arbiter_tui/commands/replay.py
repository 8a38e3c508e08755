"""``arbiter replay``: what would the policy have done on recorded data? No model is loaded, no state is written; only
``history`` reads any.

Owns: the kinds of replay, the seeded orders, the answer in fields and in words. Never: a rule (core/ has them), reading
a file (recorded.py). The same file, options and seed give the same bytes; time is told on stderr, only with
``--timing``.
"""

from __future__ import annotations

import random
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import reduce
from typing import Any, cast

from ..adapters.plugins import load_policies
from ..config import RolloutConfig
from ..core.cost import Outcome
from ..core.policies import POLICIES, Seen
from ..core.replay import Pair, RolloutReplay, replay_detect, replay_in_blocks, replay_rollout
from ..core.replay_select import ENGINE, SelectReplay, Settings, replay_select
from ..core.rollout import Plan
from ..core.trial import Rule, Trial, Verdict
from ..core.words import chance
from ..errors import ConfigError
from . import replay_history, replay_judge
from . import text as t
from .recorded import Row, amount, clock, count, moment, read_rows, seconds, share, yes

Answer = dict[str, Any]
BLOCK, PER_HOUR = RolloutConfig().block_questions, 120.0


def replay(options: Namespace) -> int:
    began = time.perf_counter()
    answer_of, words_of = KINDS[options.kind]
    answer = answer_of(options)
    if options.json:
        t.out_json(answer)
    else:
        t.out(words_of(answer))
    if options.timing:
        t.note(f"replayed in {time.perf_counter() - began:.3f} s")
    return 0


# ── rollout ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def rollout(options: Namespace) -> Answer:
    """One order, or ``--repeat`` of them."""
    rows = list(read_rows(options.file, ("old", "new"), gaps=True))
    pairs = [_pair(row, where) for where, row in rows]
    moments = clock([moment(row.get("at"), f"{where}: at") for where, row in rows], options.file)
    if moments is not None and options.requests_per_hour is None:
        pairs = sorted((replace(p, at=at) for p, at in zip(pairs, moments, strict=True)), key=lambda p: p.at or 0.0)
    plan = Plan(rule=cast(Rule, options.rule), max_steps=options.max_steps, max_slowdown=options.max_slowdown)
    runs = [_one(options, pairs, plan, repeat) for repeat in range(max(1, options.repeat))]
    first = _as_dict(runs[0])
    return first if options.repeat <= 1 else {**first, "repeats": len(runs), "rates": _rates(runs)}


def _one(options: Namespace, pairs: Sequence[Pair], plan: Plan, repeat: int) -> RolloutReplay:
    """Rows that tell their moment come as they came; in further orders others come at those moments."""
    chance = random.Random(f"{options.seed}/{repeat}")
    order = list(pairs)
    if pairs[0].at is None or options.repeat > 1:
        chance.shuffle(order)
        order = [replace(p, at=then.at) for p, then in zip(order, pairs, strict=True)]
    known, graded = Trial(), [p.old for p in pairs if p.old is not None]
    if options.incumbent_results > 0 and graded:
        before = chance.choices(graded, k=options.incumbent_results)
        known = known.known(sum(before) / len(before), len(before))
    given: Any = {
        "plan": plan, "known": known, "requests_per_hour": options.requests_per_hour or PER_HOUR,
        "shadow": options.shadow, "salt": f"{options.seed}/{repeat}", "limit_s": options.max_latency_s,
    }  # fmt: skip
    return replay_in_blocks(order, **given, block=BLOCK) if options.one_fits else replay_rollout(order, **given)


def _as_dict(run: RolloutReplay) -> Answer:
    return {
        "verdict": str(run.verdict),
        "canary_requests": run.canary_requests,
        "requests": run.requests,
        "pairs": run.pairs,
        "p_worse": None if run.p_worse is None else round(run.p_worse, 6),
        "slowdown": None if run.slowdown is None else round(run.slowdown, 4),
        "ramp": [{"at_s": at, "share": share} for at, share in run.ramp],
        "reason": run.reason,
        "reasons": [asdict(why) for why in run.why],
        **({"blocks": run.blocks} if run.blocks else {}),
    }


def _rates(runs: Sequence[RolloutReplay]) -> Answer:
    back = [run for run in runs if run.verdict is Verdict.ROLL_BACK]
    rates: Answer = {str(v): round(sum(run.verdict is v for run in runs) / len(runs), 4) for v in Verdict}
    rates["median_canary_requests"] = statistics.median(run.canary_requests for run in back) if back else None
    turns = {"median_blocks": statistics.median(run.blocks for run in back)} if any(r.blocks for r in back) else {}
    return {**rates, **turns}


def _say_rollout(answer: Mapping[str, Any]) -> str:
    blocks = f" in {t.plural(answer['blocks'], 'block')}" if "blocks" in answer else ""
    lines = [
        f"verdict: {answer['verdict']} after {t.plural(answer['requests'], 'request')}, {answer['canary_requests']} of "
        f"them by the new version ({t.plural(answer['pairs'], 'pair')}{blocks})",
        answer["reason"],
    ]
    for why in answer["reasons"]:
        lines.append(f"  {why['rule']}: {chance(why['value'])} (limit {chance(why['threshold'])})")
        lines.append(f"      it would change if {why['would_change_if']}")
    if "rates" in answer:
        rates = answer["rates"]
        lines.append(
            f"in {answer['repeats']} orders: promoted {rates['promote']:.1%}, held {rates['hold']:.1%}, taken back "
            f"{rates['roll_back']:.1%}"
        )
        if (median := rates.get("median_blocks")) is not None:
            lines[-1] += f" after {t.plural(round(median), 'block')} (median)"
        elif (median := rates["median_canary_requests"]) is not None:
            lines[-1] += f" after {median:g} requests by the new version (median)"
    return "\n".join(line for line in lines if line)


def _pair(row: Row, where: str) -> Pair:
    old_ok, new_ok = (yes(row.get(f"{side}_success"), f"{where}: {side}_success") for side in ("old", "new"))
    return Pair(
        _graded(row, "old", where, ok=old_ok), _graded(row, "new", where, ok=new_ok),
        seconds(row.get("old_latency_s"), f"{where}: old_latency_s"),
        seconds(row.get("new_latency_s"), f"{where}: new_latency_s"), old_ok=old_ok, new_ok=new_ok,
    )  # fmt: skip


def _graded(row: Row, side: str, where: str, *, ok: bool) -> float | None:
    """A failed answer has no grade, as in the engine."""
    if row[side] in (None, ""):
        if ok:
            raise ConfigError(f"{where}: no {side}; it has {', '.join(row)}")
        return None
    found = share(row[side], f"{where}: {side}")
    return found if ok else None


# ── detect ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def detect(options: Namespace) -> Answer:
    rows = list(read_rows(options.file, ("quality",), gaps=True))
    if options.change_at is not None and options.change_at >= len(rows):
        raise ConfigError(
            f"--change-at {options.change_at}: {options.file} has {t.plural(len(rows), 'request')}, so from 0 to "
            f"{len(rows) - 1} of them came before a change that could be noticed"
        )
    told = clock([moment(row.get("at"), f"{where}: at") for where, row in rows], options.file)
    moments = [float(n) for n in range(len(rows))] if told is None else told
    several = (_outcome(n, row, where, at) for n, ((where, row), at) in enumerate(zip(rows, moments, strict=True)))
    found = replay_detect(several, change_at=options.change_at)
    rate = found.false_alarms_per_1000
    return {
        "requests": found.requests,
        "change_at": found.change_at,
        "alarms": [
            {"at": raised.at, "at_s": round(raised.at_s, 6), **asdict(raised.alarm), "sentence": raised.alarm.sentence}
            for raised in found.alarms
        ],
        "delay": found.delay,
        "false_alarms_per_1000": None if rate is None else round(rate, 4),
    }


def _outcome(number: int, row: Row, where: str, at: float) -> Outcome:
    tokens = count(row.get("tokens_in"), f"{where}: tokens_in")
    quality = row["quality"]
    return Outcome(
        id=str(number), task="", version="", at=at, success=yes(row.get("success"), f"{where}: success"),
        quality=None if quality in (None, "") else share(quality, f"{where}: quality"), tokens_in=tokens,
        latency_s=seconds(row.get("latency_s"), f"{where}: latency_s"),
    )  # fmt: skip


def _say_detect(answer: Mapping[str, Any]) -> str:
    alarms, changed = answer["alarms"], answer["change_at"]
    lines = [f"{t.plural(len(alarms), 'alarm')} in {t.plural(answer['requests'], 'request')}"]
    lines += [f"  at {alarm['at']}, after {t.duration(alarm['at_s'])}: {alarm['sentence']}" for alarm in alarms]
    if changed is not None:
        found = f"found after {t.plural(answer['delay'], 'request')}" if answer["delay"] is not None else "not found"
        lines.append(f"the change after {t.plural(changed, 'request')}: {found}")
    if answer["false_alarms_per_1000"] is not None:
        lines.append(f"false alarms per 1,000 requests: {answer['false_alarms_per_1000']:g}")
    return "\n".join(lines)


# ── select ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def select(options: Namespace) -> Answer:
    tasks: dict[str, dict[str, dict[str, Seen]]] = {}
    for where, row in read_rows(options.file, ("task", "item", "model", "quality")):
        task, item, model = (str(row[name]) for name in ("task", "item", "model"))
        of = tasks.setdefault(task, {}).setdefault(model, {})
        if item in of:
            raise ConfigError(f"{where}: {model} has answered item {item} of {task} already")
        of[item] = _seen(row, where)
    late = [at for at in options.degrade if at >= options.requests]
    if late:
        raise ConfigError(
            f"--degrade {','.join(map(str, late))}: each task has {t.plural(options.requests, 'request')} "
            f"(--requests), so a moment from 0 to {options.requests - 1} is needed"
        )
    settings = Settings(
        seed=options.seed, requests=options.requests, prior=options.prior, degrade=options.degrade,
        policy=_policy(options.policy), explore=options.explore, one_fits=options.one_fits, sentinels=options.sentinels,
        requests_per_hour=options.requests_per_hour, block=BLOCK,
    )  # fmt: skip
    found = replay_select(tasks, settings)
    pooled = reduce(SelectReplay.plus, found.values())
    return {
        "policy": settings.policy, "seed": settings.seed, "requests": settings.requests, "prior": settings.prior,
        "degrade": list(settings.degrade), "explore": settings.share, "one_fits": settings.one_fits,
        "pooled": _figures(pooled),
        "tasks": [{"task": task, "models": len(tasks[task]), **_figures(run)} for task, run in found.items()],
    }  # fmt: skip


def _policy(name: str) -> str:
    """One of the registry, which plugins extend, or the engine itself."""
    if name != ENGINE and name not in POLICIES:
        load_policies()
    if name != ENGINE and name not in POLICIES:
        raise ConfigError(f"policy: {name!r} is none of {', '.join([*POLICIES, ENGINE])}")
    return name


def _seen(row: Row, where: str) -> Seen:
    def known(name: str) -> float | None:
        return amount(row.get(name), f"{where}: {name}")

    return Seen(
        quality=share(row["quality"], f"{where}: quality"), latency_s=known("latency_s"), cost=known("cost"),
        memory_bytes=known("memory_bytes"), energy_j=known("energy_j"), item=str(row["item"]),
    )  # fmt: skip


def _figures(run: SelectReplay) -> Answer:
    return {
        "requests": run.requests,
        "share_of_best": None if run.share_of_best is None else round(run.share_of_best, 6),
        "regret": round(run.regret, 4),
        "swaps": run.swaps,
        "wrong_swaps": run.wrong_swaps,
        "dominated_choices": run.dominated_choices,
        "explored": run.explored,
        **({"idle_questions": run.idle} if run.idle else {}),
        **({"loads": run.loads} if run.loads else {}),
    }


def _say_select(answer: Mapping[str, Any]) -> str:
    head = ["task", "share of best", "regret", "swaps", "wrong", "dominated", "explored"]
    rows = [(one["task"], one) for one in answer["tasks"]] + [("all", answer["pooled"])]
    return t.table(head, [_line(name, one) for name, one in rows])


def _line(name: str, one: Mapping[str, Any]) -> list[str]:
    best = t.DASH if one["share_of_best"] is None else f"{one['share_of_best']:.4f}"
    counted = [str(one[key]) for key in ("swaps", "wrong_swaps", "dominated_choices")]
    return [name, best, f"{one['regret']:.1f}", *counted, f"{one['explored'] / one['requests']:.1%}"]


KINDS: Mapping[str, tuple[Callable[[Namespace], Answer], Callable[[Answer], str]]] = {
    "rollout": (rollout, _say_rollout),
    "select": (select, _say_select),
    "detect": (detect, _say_detect),
    "judge": (replay_judge.judge, replay_judge.said),
    "history": (replay_history.history, replay_history.said),
}
