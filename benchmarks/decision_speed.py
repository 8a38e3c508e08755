"""Decisions at 1,000 versions x 100 tasks, learning from outcomes, and the room that what was learnt takes.

``route``: a client's name to the version that answers. ``ranking``: all versions of a task scored and one chosen, after
one of them has a new outcome. ``learnt``: outcomes a second through all that is learnt from each: figures, profile,
detectors. ``state``: those of one version on one task after 10,000 requests, their fields packed and compressed, and
after 20,000; ``state_noisiest``: the same where every figure of every request is known and random. None of it is a
table of the store's, which keeps the outcomes themselves.
All of it is one thread's arithmetic, so its own processor time is told, whatever else the machine does.
"""

from __future__ import annotations

import pickle
import random
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

from harness import emit, quantile

from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.drift import Detectors
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.core.registry import Lifecycle, ModelVersion
from arbiter_tui.core.routing import Route, RouteTable, task_of
from arbiter_tui.core.selection import select
from arbiter_tui.core.series import Brief, Codes, Grades, Logs, Shares
from arbiter_tui.core.stats import EMPTY, Stats
from arbiter_tui.core.tasks import Task

VERSIONS, TASKS, TIMES, RANKINGS, OUTCOMES, LONG = 1_000, 100, 20_000, 150, 30_000, 10_000
BATCH = 200


def outcome(n: int, version: str = "v0", task: str = "t0") -> Outcome:
    chance = random.Random(n)
    return Outcome(
        id=str(n), task=task, version=version, at=1000.0 + n, success=chance.random() < 0.99,
        latency_s=chance.lognormvariate(0.0, 0.4), ttft_s=0.05, tokens_in=chance.randrange(20, 2000), tokens_out=20,
        memory_bytes=10**9, quality=float(chance.random() < 0.8), quality_source="suite",
        item=f"{chance.getrandbits(48):x}",
    )  # fmt: skip


def timed(action: Callable[[int], Any], times: int, before: Callable[[int], Any] = lambda n: None) -> list[float]:
    taken = []
    for n in range(times):
        before(n)
        begun = time.thread_time()
        action(n)
        taken.append(time.thread_time() - begun)
    return taken


def learn(outcomes: Iterable[Outcome]) -> tuple[Stats, TaskProfile, Detectors]:
    """In batches, as the recorder hands them on under load."""
    stats, profile, detectors = EMPTY, TaskProfile(task="t0"), Detectors()
    several = list(outcomes)
    for at in range(0, len(several), BATCH):
        batch = several[at : at + BATCH]
        stats, profile = stats.add_all(batch), profile.observe_all(batch)
        detectors, _ = detectors.observe_all(batch)
    return stats, profile, detectors


def noisy(n: int) -> Outcome:
    """With a grade of its own, from one of three sources, and random seconds and joules: nothing of it compresses."""
    chance = random.Random(-n)
    return replace(
        outcome(n), ttft_s=chance.lognormvariate(-2.0, 0.5), energy_j=chance.lognormvariate(2.0, 0.5),
        quality=chance.random(), quality_source=chance.choice(("suite", "sentinel", "feedback")),
    )  # fmt: skip


def packed(state: tuple[Stats, TaskProfile, Detectors]) -> int:
    """Bytes of one version on one task; the profile is the task's own."""
    stats, _, detectors = state
    return len(zlib.compress(pickle.dumps(values((stats, detectors)), protocol=5), 6))


def values(state: Any) -> Any:
    """All that it holds, without the names of its classes, which are the same for every version."""
    if is_dataclass(state):
        return tuple(values(getattr(state, f.name)) for f in fields(state))
    if isinstance(state, Mapping):
        return {name: values(value) for name, value in state.items()}
    if isinstance(state, tuple):
        return tuple(values(value) for value in state)
    if isinstance(state, Brief | Codes | Logs | Shares | Grades):
        return values(state.__reduce__()[1])
    return str(state) if isinstance(state, Enum) else state


def routes() -> list[float]:
    table = RouteTable({f"t{n}": Route(task=f"t{n}", incumbent=f"v{n * 7}") for n in range(TASKS)})
    known = {v.version: v for v in versions()}

    def resolve(n: int) -> ModelVersion:
        task = task_of(f"arbiter/t{n % TASKS}") or ""
        return known[table.get(task).incumbent or ""]

    return timed(resolve, TIMES)


def versions() -> list[ModelVersion]:
    return [
        ModelVersion(version=f"v{n}", provider="p", model=f"m{n}", source=f"m{n}", lifecycle=Lifecycle.ACTIVE)
        for n in range(VERSIONS)
    ]


def rankings() -> list[float]:
    every, tasks = versions(), [Task(name=f"t{n}") for n in range(TASKS)]
    some = [learn(outcome(1000 * k + n) for n in range(30))[0] for k in range(20)]
    known = {t.name: {v.version: some[(n * 7 + k) % 20].graded(n / VERSIONS, "suite") for n, v in enumerate(every)}
             for k, t in enumerate(tasks)}  # fmt: skip
    for task in tasks:
        select(task, every, known[task.name], now=5000.0)

    def news(n: int) -> None:
        of, name = known[tasks[n % TASKS].name], f"v{(n * 13) % VERSIONS}"
        of[name] = of[name].add(outcome(n))

    return timed(lambda n: select(tasks[n % TASKS], every, known[tasks[n % TASKS].name], now=5000.0), RANKINGS, news)


def main() -> None:
    route, ranking = routes(), rankings()
    many = [outcome(n) for n in range(OUTCOMES)]
    begun = time.thread_time()
    learn(many)
    rate = OUTCOMES / (time.thread_time() - begun)
    once, twice = packed(learn(many[:LONG])), packed(learn(many[: 2 * LONG]))
    noisiest = packed(learn(noisy(n) for n in range(2 * LONG)))
    measured = {
        "route_p95_us": round(quantile(route, 0.95) * 1e6, 2),
        "ranking_p95_ms": round(quantile(ranking, 0.95) * 1e3, 3),
        "learnt_per_s": round(rate), "state_bytes": once, "state_bytes_later": twice,
        "state_bytes_noisiest": noisiest,
    }  # fmt: skip
    met = (
        measured["route_p95_us"] <= 50 and measured["ranking_p95_ms"] <= 5 and rate >= 100_000
        and max(once, twice, noisiest) <= 2048
    )  # fmt: skip
    must = {
        "route": "p95 <= 50 us", "ranking": "p95 <= 5 ms", "learnt": ">= 100,000 outcomes a second",
        "state": "<= 2,048 bytes a task and version, constant in the number of requests",
    }  # fmt: skip
    emit("decision_speed", must, measured, met)


if __name__ == "__main__":
    main()
