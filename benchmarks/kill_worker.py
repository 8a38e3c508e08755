"""``kill -9`` of one model's worker process under load, while another model serves beside it.

Streaming clients on two real models; the worker of the first is killed again and again in the middle of its streams.
Its own requests must end in an error event, never in a clean end with a cut text; the other model's must all be whole;
and the next request of the killed one must succeed within its load time (measured in the same run) + .5 s.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import Any

import aiohttp
import psutil
from harness import Engine, Streamed, call, emit, family, quantile, ready_versions, run, session, stream

CONFIG = '[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n'
PROMPT, TOKENS, GRACE_S, LOADS = "Tell a long story about the sea.", 120, 0.5, 5
COUNTED = ("error_events", "finished_before", "broken_without_a_word", "clean_but_cut", "silent")


async def ask(
    s: aiohttp.ClientSession, url: str, model: str, tokens: int = TOKENS, seen: Streamed | None = None
) -> Streamed:
    return await stream(s, url, model, PROMPT, max_tokens=tokens, ignore_eos=True, seen=seen)


def worker(engine: Engine, before: set[int]) -> psutil.Process:
    """The worker that came since."""
    assert engine.process is not None
    return next(p for p in family(engine.process.pid) if p.pid not in before)


def pids(engine: Engine) -> set[int]:
    assert engine.process is not None
    return {p.pid for p in family(engine.process.pid)}


async def load_times(s: aiohttp.ClientSession, url: str, model: str) -> list[float]:
    """Seconds from a cold model's request to its first whole (one token) answer, the other model busy beside it."""
    found = []
    for _ in range(LOADS):
        await call(s, url, "POST", f"/models/{model}/unload?wait=60", {})
        begun = time.perf_counter()
        answer = await ask(s, url, model, 1)
        if not answer.whole:
            raise RuntimeError(answer.error or "cut off")
        found.append(time.perf_counter() - begun)
    return found


async def one_kill(s: aiohttp.ClientSession, engine: Engine, victim: str) -> dict[str, Any]:
    """Two streams in the middle, the kill, and the request after it."""
    await call(s, engine.url, "POST", f"/models/{victim}/unload?wait=60", {})
    before = pids(engine)
    await call(s, engine.url, "POST", f"/models/{victim}/warm?wait=60", {})
    process = worker(engine, before)
    seen = [Streamed(), Streamed()]
    streams = [asyncio.create_task(ask(s, engine.url, victim, seen=one)) for one in seen]
    while any(one.pieces < 3 for one in seen):  # noqa: ASYNC110 - in the middle of both answers
        await asyncio.sleep(0.002)
    process.kill()
    killed = time.perf_counter()
    cut = await asyncio.gather(*streams)
    begun = time.perf_counter()
    answer = await ask(s, engine.url, victim, 1)
    return {
        "error_events": sum(c.told for c in cut),
        "broken_without_a_word": sum(c.error is not None and not c.told for c in cut),
        "finished_before": sum(c.whole and c.pieces >= TOKENS - 1 for c in cut),
        "clean_but_cut": sum(c.whole and c.pieces < TOKENS - 1 for c in cut),
        "silent": sum(not c.whole and c.error is None for c in cut),
        "told_after_s": begun - killed,
        "next_ok": answer.whole,
        "next_s": time.perf_counter() - begun,
        "why": next((c.error for c in cut if c.error), None),
    }


async def main(times: int) -> None:
    with Engine(CONFIG) as engine:
        async with session() as s:
            victim, other = (await ready_versions(s, engine.url))[:2]
            await call(s, engine.url, "POST", f"/models/{other}/warm?wait=60", {})
            stop, beside = asyncio.Event(), []

            async def neighbour() -> None:
                while not stop.is_set():
                    beside.append(await ask(s, engine.url, other, 24))

            busy = asyncio.create_task(neighbour())
            loads = await load_times(s, engine.url, victim)
            kills = [await one_kill(s, engine, victim) for _ in range(times)]
            stop.set()
            await busy
    report(loads, kills, beside)


def report(loads: list[float], kills: list[dict[str, Any]], beside: list[Streamed]) -> None:
    after = [k["next_s"] for k in kills]
    allowed = statistics.median(loads) + GRACE_S
    total = {k: sum(kill[k] for kill in kills) for k in COUNTED}
    measured = {
        "kills": len(kills),
        **total,
        "next_failed": sum(not k["next_ok"] for k in kills),
        "next_s": {"p50": round(quantile(after, 0.5), 3), "max": round(max(after), 3)},
        "load_s": {"p50": round(statistics.median(loads), 3), "max": round(max(loads), 3)},
        "told_after_s": round(max(k["told_after_s"] for k in kills), 3),
        "other_model": {"requests": len(beside), "not_whole": sum(not a.whole for a in beside)},
        "error_event": next((k["why"] for k in kills if k["why"]), None),
    }
    met = (
        not total["clean_but_cut"]
        and not total["broken_without_a_word"]
        and not total["silent"]
        and not measured["next_failed"]
        and all(a.whole for a in beside)
        and quantile(after, 0.5) <= allowed
    )
    must = {
        "broken_without_a_word": "0", "clean_but_cut": "0", "silent": "0", "next_failed": "0",
        "other_model not_whole": "0",
        "next_s": f"p50 <= load p50 + .5 = {allowed:.3f}",
    }  # fmt: skip
    emit("kill_worker", must, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--times", type=int, default=10)
    args = ap.parse_args()
    run(main(args.times), 300.0)
