"""What ``Arbiter.execute`` adds to a model that answers at once, and what recording costs on the request's path.

In process, a fake model that answers without any wait, the real store on disk. The same answer read from the model
itself, without the arbiter, is subtracted nowhere: the overhead is the whole of ``execute``. Between two executions,
outside of the timed part, the event loop runs once, as it does for every client behind a socket: what the arbiter does
beside the requests (committing their outcomes) happens here, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from harness import emit, quantile, run, summary
from inprocess import ASK, arbiter_on_fakes

from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.testing import Behaviour

WARM_UP, TIMES = 500, 10_000
MUST = {"execute": "<= 1 ms p50", "recording": "<= 100 us p95", "outcomes_dropped": "0"}


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
        await asyncio.sleep(0)
    return taken


async def main() -> None:
    async with arbiter_on_fakes({"a": Behaviour()}) as arbiter:
        await executions(arbiter, WARM_UP)
        begun = time.perf_counter()
        whole = await executions(arbiter, TIMES)
        per_s = TIMES / (time.perf_counter() - begun)
        recording: list[float] = []
        arbiter.recorder.append = timed(arbiter.recorder.append, recording)  # type: ignore[method-assign]
        await executions(arbiter, TIMES)
        await arbiter.recorder.flush()
        saved, dropped = arbiter.recorder.saved, arbiter.recorder.dropped
    measured = {
        "execute": summary(whole),
        "recording": summary(recording),
        "requests_per_s": round(per_s),
        "outcomes_saved": saved,
        "outcomes_dropped": dropped,
    }
    met = quantile(whole, 0.5) <= 0.001 and quantile(recording, 0.95) <= 0.0001 and not dropped
    emit("execute_overhead", MUST, measured, met)


if __name__ == "__main__":
    run(main(), 120.0)
