"""Four closed-loop streaming clients while twenty forced swaps between two warm models happen on their task.

Every answer must be whole and by one version. Latency is compared with that of the slower model alone, equal lengths
(``ignore_eos``), the three kinds of block interleaved in one run: alone A, alone B, swapping, and so on.

    python benchmarks/swaps_under_load.py [--seconds 60] [--swaps 20]
"""

from __future__ import annotations

import argparse
import asyncio
import time

import aiohttp
from harness import Engine, Streamed, call, emit, quantile, ready_versions, run, session, stream

# A task without worked examples: a bundled one's would make its prompts longer than those of the model asked by name.
CLIENTS, BLOCKS, TASK, TOKENS = 4, 4, "stories", 24
CONFIG = f'[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n\n[[tasks]]\nname = "{TASK}"\n'
PROMPT = "Write a short story about a lighthouse keeper and a storm."


async def clients(s: aiohttp.ClientSession, url: str, model: str, seconds: float) -> list[Streamed]:
    end = time.monotonic() + seconds
    seen: list[Streamed] = []

    async def one() -> None:
        while time.monotonic() < end:
            seen.append(await stream(s, url, model, PROMPT, max_tokens=TOKENS, ignore_eos=True))

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return seen


async def swapping(
    s: aiohttp.ClientSession, url: str, pair: list[str], seconds: float, swaps: int
) -> tuple[list[Streamed], list[str]]:
    """Traffic on the task while the pair takes turns on it."""
    traffic = asyncio.create_task(clients(s, url, f"arbiter/{TASK}", seconds))
    results = []
    for n in range(swaps):
        await asyncio.sleep(seconds / (swaps + 1))
        event = await call(s, url, "POST", "/swaps?wait=60", {"task": TASK, "to": pair[n % 2]})
        results.append(str(event["result"]))
    return await traffic, results


async def main(seconds: float, swaps: int) -> None:
    with Engine(CONFIG) as engine:
        async with session() as s:
            pair = (await ready_versions(s, engine.url))[:2]
            for version in pair:
                await call(s, engine.url, "POST", f"/models/{version}/warm?wait=60", {})
            await call(s, engine.url, "POST", "/swaps?wait=60", {"task": TASK, "to": pair[1]})
            alone: dict[str, list[Streamed]] = {v: [] for v in pair}
            mixed: list[Streamed] = []
            results: list[str] = []
            for _ in range(BLOCKS):
                for version in pair:
                    alone[version] += await clients(s, engine.url, version, seconds / BLOCKS / 2)
                answers, events = await swapping(s, engine.url, pair, seconds / BLOCKS, swaps // BLOCKS)
                mixed += answers
                results += events
    report(pair, alone, mixed, results)


def report(pair: list[str], alone: dict[str, list[Streamed]], mixed: list[Streamed], results: list[str]) -> None:
    tail = {v: quantile([a.latency_s for a in alone[v]], 0.999) for v in pair}
    slower = max(tail, key=lambda v: tail[v])
    under = quantile([a.latency_s for a in mixed], 0.999)
    failed = [a for a in mixed if a.error]
    cut = [a for a in mixed if not a.error and not a.whole]
    ratio = under / tail[slower]
    measured = {
        "requests": len(mixed),
        "swaps_done": results.count("done"),
        "failed": len(failed),
        "truncated": len(cut),
        "by_no_version": sum(not a.model for a in mixed),
        "p999_swapping_ms": round(under * 1000, 1),
        "p999_alone_ms": {v: round(t * 1000, 1) for v, t in tail.items()},
        "ratio_to_slower": round(ratio, 3),
        "errors": sorted({a.error or "" for a in failed})[:3],
    }
    met = not failed and not cut and ratio <= 1.5 and results.count("done") == len(results)
    emit("swaps_under_load", {"failed": "0", "truncated": "0", "ratio_to_slower": "<= 1.5"}, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--seconds", type=float, default=60.0)
    ap.add_argument("--swaps", type=int, default=20)
    args = ap.parse_args()
    run(main(args.seconds, args.swaps))
