"""What ``Arbiter.execute`` adds to a model that answers at once, and what recording costs on the request's path.

In process, a fake model that answers without any wait, the real store on disk. The same answer read from the model
itself, without the arbiter, is subtracted nowhere: the overhead is the whole of ``execute``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from harness import emit, quantile, run, summary
from inprocess import ASK, arbiter_on_fakes

from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.testing import Behaviour

WARM_UP, TIMES = 500, 5_000


def timed(action: Callable[..., Any], taken: list[float]) -> Callable[..., Any]:
    def wrapped(*args: Any) -> Any:
        begun = time.perf_counter()
        try:
            return action(*args)
        finally:
            taken.append(time.perf_counter() - begun)

    return wrapped


async def executions(arbiter: Arbiter, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await arbiter.execute("work", ASK)
        taken.append(time.perf_counter() - begun)
    return taken


async def main() -> None:
    async with arbiter_on_fakes({"a": Behaviour()}) as arbiter:
        await executions(arbiter, WARM_UP)
        whole = await executions(arbiter, TIMES)
        recording: list[float] = []
        arbiter.recorder.append = timed(arbiter.recorder.append, recording)  # type: ignore[method-assign]
        await executions(arbiter, TIMES)
        await arbiter.recorder.flush()
        saved, dropped = arbiter.recorder.saved, arbiter.recorder.dropped
    measured = {
        "execute": summary(whole),
        "recording": summary(recording),
        "outcomes_saved": saved,
        "outcomes_dropped": dropped,
    }
    met = quantile(whole, 0.5) <= 0.001 and quantile(recording, 0.95) <= 0.0001 and not dropped
    emit("execute_overhead", {"execute": "<= 1 ms p50", "recording": "<= 100 us p95"}, measured, met)


if __name__ == "__main__":
    run(main(), 120.0)
