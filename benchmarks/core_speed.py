"""Pure decisions at 100 models x 50 tasks, and taking a warm lease: each at most 1 ms at the 95th percentile.

Before each selection one version gets a new outcome, as it does while the engine serves: percentiles are worked out
once for each set of figures and then kept. The first selection of each task, where all hundred are worked out, happens
once after a start and is shown apart (``first_selection``, no limit).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from harness import emit, quantile, summary

from arbiter_tui.core.compatibility import check
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.core.registry import Lifecycle, ModelVersion, Registry
from arbiter_tui.core.scoring import Stats
from arbiter_tui.core.selection import select
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.pool import Pool
from arbiter_tui.testing import Behaviour, FakeProvider

MODELS, TASKS, SAMPLES, TIMES = 100, 50, 30, 400


def world() -> tuple[list[Task], Registry, dict[str, dict[str, Stats]]]:
    """Every model measured on every task, each a little different."""
    registry = Registry()
    for n in range(MODELS):
        version = ModelVersion(
            version=f"model-{n}", provider="p", model=f"m{n}", source=f"m{n}", digest=f"sha256:{n}",
            context=2048, lifecycle=Lifecycle.ACTIVE,
        )  # fmt: skip
        registry, _ = registry.register(version)
    tasks = [Task(name=f"task-{n}") for n in range(TASKS)]
    return tasks, registry, {t.name: {v: stats(t.name, v, i) for i, v in enumerate(registry.versions)} for t in tasks}


def stats(task: str, version: str, seed: int) -> Stats:
    found = Stats()
    for n in range(SAMPLES):
        found = found.add(
            Outcome(
                id=f"{task}-{version}-{n}", task=task, version=version, at=1000.0 + n, success=True,
                latency_s=0.1 + ((seed * 7 + n) % 13) / 20, ttft_s=0.05, tokens_in=50, tokens_out=20,
                memory_bytes=10**8 * (1 + seed % 9), quality=((seed + n) % 10) / 10, quality_source="suite",
            )
        )  # fmt: skip
    return found


def timed(
    action: Callable[[int], Any], times: int = TIMES, before: Callable[[int], Any] = lambda n: None
) -> list[float]:
    taken = []
    for n in range(times):
        before(n)
        begun = time.perf_counter()
        action(n)
        taken.append(time.perf_counter() - begun)
    return taken


async def leases() -> list[float]:
    """Taking and giving back a lease on a warm model."""
    provider = FakeProvider(models={"a": Behaviour()})
    from arbiter_tui.adapters.clock import SystemClock

    pool = Pool(
        {"fake": provider},
        SystemClock(),
        budget_bytes=10**12,
        on_change=lambda: None,
        on_event=lambda *_: None,
        measured=lambda name: None,
    )
    version = provider.version("a", lifecycle=Lifecycle.ACTIVE)
    await pool.ensure(version)
    taken = []
    for _ in range(TIMES * 5):
        begun = time.perf_counter()
        async with pool.lease(version):
            pass
        taken.append(time.perf_counter() - begun)
    await pool.close(1.0)
    return taken


def main() -> None:
    tasks, registry, measured = world()
    versions = list(registry.versions.values())
    profile = TaskProfile(task="task-0")
    outcome = Outcome(id="o", task="task-0", version="model-0", at=1.0, success=True, latency_s=0.2, tokens_out=10)

    def compatible(n: int) -> None:
        task, (old, new) = tasks[n % TASKS], (versions[n % MODELS], versions[(n * 7 + 1) % MODELS])
        found = measured[task.name]
        check(
            old, new, task=task, old_stats=found[old.version], new_stats=found[new.version],
            strict=False, memory_limit=10**10, new_predicted=10**8,
        )  # fmt: skip

    def choose(n: int) -> None:
        task = tasks[n % TASKS]
        select(task, versions, measured[task.name], now=2000.0)

    def news(n: int) -> None:
        found, name = measured[tasks[n % TASKS].name], f"model-{(n * 13) % MODELS}"
        found[name] = found[name].add(outcome)

    first = timed(choose, TASKS)
    rows = {
        "selection": timed(choose, before=news),
        "compatibility": timed(compatible),
        "learning_transfer": timed(lambda n: profile.observe(outcome).enhance(tasks[n % TASKS].criteria)),
        "registry_lookup": timed(lambda n: registry.get(f"model-{n % MODELS}")),
        "pool_allocation": asyncio.run(leases()),
    }
    worst = max(quantile(v, 0.95) for v in rows.values())
    measured_rows = {k: summary(v) for k, v in {**rows, "first_selection": first}.items()}
    emit("core_speed", {"each": "<= 1 ms p95"}, measured_rows, worst <= 0.001)


if __name__ == "__main__":
    main()
