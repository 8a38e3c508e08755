"""CPU seconds of a request: measured where it was alone with its worker, unknown otherwise."""

from __future__ import annotations

import asyncio

from engine_kit import ASK, Engine

from arbiter_tui.core.cost import Outcome
from arbiter_tui.engine.evidence import Totals
from arbiter_tui.testing import Behaviour


async def test_a_request_that_was_alone_knows_its_cpu_time() -> None:
    """Each gets its own share, of a client and of the benchmark; a model that can't say leaves it unknown."""
    async with Engine({"a": Behaviour(answer="yes", cpu_s=0.25), "b": Behaviour(answer="yes")}) as e:
        for _ in range(2):
            await e.arbiter.execute("work", ASK)
        await e.arbiter.start_bench(["work"], ["a"])
        await e.until(lambda: e.arbiter.operations()[0].state == "done")
        await e.arbiter.swap("work", "b")
        await e.arbiter.execute("work", ASK)
        await e.arbiter.recorder.flush()
        used = {(o.version, o.source): o.cpu_s for o in e.store.outcomes.values()}
        assert used == {("a", "request"): 0.25, ("a", "bench"): 0.25, ("b", "request"): None}


async def test_who_shared_the_worker_for_a_moment_is_told_nothing() -> None:
    """Both of two that overlapped, the early and the late one; the next one alone is measured again."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(gate=gate, cpu_s=0.25)}) as e:
        early = asyncio.create_task(e.arbiter.execute("work", ASK))
        await e.until(lambda: "a" in e.provider.loaded and e.provider.loaded["a"].active == 1)
        late = asyncio.create_task(e.arbiter.execute("work", ASK))
        await e.until(lambda: e.provider.loaded["a"].active == 2)
        gate.set()
        shared = await asyncio.gather(early, late)
        alone = await e.arbiter.execute("work", ASK)
        await e.arbiter.recorder.flush()
        assert [e.store.outcomes[r.id].cpu_s for r in (*shared, alone)] == [None, None, 0.25]


def test_a_packet_of_tokens_does_not_make_a_model_fast() -> None:
    """Nine answers at 40 tokens a second and one whose two tokens came together: the speed shown is the nine's,
    wherever the one stood among them."""
    for at in range(10):
        total = Totals()
        for n in range(10):
            took, tokens = (0.0005, 2) if n == at else (1.0, 41)
            seen = {"id": f"r{n}", "task": "t", "version": "a", "at": float(n), "success": True}
            total = total.add([Outcome(**seen, latency_s=0.1 + took, ttft_s=0.1, tokens_out=tokens)])  # type: ignore[arg-type]
        assert total.tokens_per_second is not None
        assert 39.0 <= total.tokens_per_second <= 45.0
