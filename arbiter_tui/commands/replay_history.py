"""``arbiter replay history``: this arbiter's own outcomes, decided upon again by another configuration.

Owns: fetching them (of a running engine, else of the state folder), what of the configuration is used (limits, tasks
with their weights and policies), the answer in fields and in words. Never: a rule (core/replay_history.py), a change:
the other configuration is no engine's.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..config import AutopilotConfig, merge_tasks
from ..core.autoswap import AutoSwapLimits
from ..core.cost import Failure, Outcome
from ..core.replay_history import Replayed, replay_history
from ..core.tasks import Task
from ..errors import ConfigError
from . import text as t
from .connect import client, load_config

Answer = dict[str, Any]
PAGE = 1000


def history(options: Namespace) -> Answer:
    from ..data import bundled_tasks

    config = load_config(options)
    tasks = {task.name: task for task in merge_tasks(bundled_tasks(), config.tasks)}
    mine = asyncio.run(_outcomes(Namespace(**{**vars(options), "config": None})))
    if not mine:
        raise ConfigError("this arbiter has no outcomes of a task yet")
    limits = limits_of(config.autopilot)
    found = [
        replay_history(tasks.get(name) or Task(name=name), of, limits) for name, of in sorted(_by_task(mine).items())
    ]
    return {"config": str(config.path) if config.path else None, "tasks": [_told(one) for one in found if one]}


def limits_of(config: AutopilotConfig) -> AutoSwapLimits:
    """Those of the autopilot that go by evidence; what a load costs is not recorded, and taken to be nothing."""
    return AutoSwapLimits(
        cooldown_s=config.cooldown_s, min_samples=config.min_samples, quality_factor=config.quality_factor,
        performance_threshold=config.performance_threshold, triggers=config.triggers,
        swaps_per_day=config.swaps_per_day, oscillation_s=config.oscillation_s,
    )  # fmt: skip


async def _outcomes(options: Namespace) -> list[Outcome]:
    """All that are kept, page by page."""
    found: list[Outcome] = []
    after = ""
    async with client(options) as api:
        while True:
            page = await api.get(f"/arbiter/v1/outcomes?limit={PAGE}{after}")
            found += [_outcome(item) for item in page["items"]]
            if not page["next"]:
                return found
            after = f"&after={page['next']}"


def _outcome(item: Mapping[str, Any]) -> Outcome:
    known = {f.name: item[f.name] for f in fields(Outcome) if f.name in item}
    failure = known.get("failure")
    return Outcome(**{**known, "failure": None if failure is None else Failure(failure)})


def _by_task(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        if one.task:
            found.setdefault(one.task, []).append(one)
    return found


def _told(one: Replayed) -> Answer:
    return {
        "task": one.task, "outcomes": one.outcomes, "requests": one.requests, "first": one.first, "last": one.last,
        "swaps": [
            {"at": move.at, "from": move.from_, "to": move.to, "reason": said}
            for move, said in zip(one.moves, one.sentences, strict=True)
        ],
        "quality_served": None if one.served is None else round(one.served, 4),
        "quality_replayed": None if one.replayed is None else round(one.replayed, 4),
    }  # fmt: skip


def said(answer: Mapping[str, Any]) -> str:
    head = ["task", "outcomes", "began with", "swaps", "ends with", "quality served", "by this configuration"]
    rows = [
        [one["task"], str(one["outcomes"]), one["first"], str(len(one["swaps"])), one["last"],
         t.share(one["quality_served"]), t.share(one["quality_replayed"])]
        for one in answer["tasks"]
    ]  # fmt: skip
    lines = [t.table(head, rows)]
    for one in answer["tasks"]:
        lines += [t.wrapped(f"{one['task']}, {t.moment(s['at'])}: {s['reason']}", indent="  ") for s in one["swaps"]]
    return "\n".join(lines)
