"""A hundred forced swaps between two warm backends under sixteen closed-loop streaming clients, for a minute.

The backends are two fast fakes whose answers name them: each answer has to be whole and of one of them alone. Blocks
with swaps and blocks without take turns in one run; the answers have equal lengths.

    python benchmarks/many_swaps.py [--seconds 60] [--swaps 100]
"""

from __future__ import annotations

import argparse
import asyncio
import time

import aiohttp
from fake_backend import Process, events
from harness import Engine, call, emit, quantile, run, session
from raw_client import chat, connect

TASK, CLIENTS, BLOCKS, TOKENS, PACE_MS = "stories", 16, 5, 24, 2
CONFIG = """
[autopilot]
mode = "off"
sentinels_per_hour = 0

[[tasks]]
name = "{task}"
"""
BLOCK = '\n[[providers]]\nname = "{name}"\nkind = "openai_compatible"\nbase_url = "{url}"\nparallel = 64\n'


class Seen:
    """Of one kind of block."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.failed = self.mixed = 0
        self.by: dict[str, int] = {}

    def took(self, body: bytes, whole: dict[bytes, str]) -> None:
        name = whole.get(body)
        if name is None:
            self.mixed += 1
        else:
            self.by[name] = self.by.get(name, 0) + 1


async def clients(url: str, seconds: float, seen: Seen, whole: dict[bytes, str]) -> None:
    asked = chat(url, f"arbiter/{TASK}", stream=True, max_tokens=TOKENS, pace_ms=PACE_MS)
    end = time.monotonic() + seconds

    async def one() -> None:
        connection = await connect(url)
        while time.monotonic() < end:
            reply = await connection.ask(asked)
            if reply.status != 200 or not reply.ended:
                seen.failed += 1
                connection.close()
                connection = await connect(url)
                continue
            seen.latencies.append(reply.total_s)
            seen.took(reply.body, whole)
        connection.close()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))


async def swapping(s: aiohttp.ClientSession, url: str, pair: list[str], seconds: float, swaps: int) -> list[str]:
    results = []
    for n in range(swaps):
        await asyncio.sleep(seconds / (swaps + 1))
        told = await call(s, url, "POST", "/swaps?wait=60", {"task": TASK, "to": pair[n % 2]})
        results.append(str(told["result"]))
    return results


async def versions(s: aiohttp.ClientSession, url: str) -> list[str]:
    async with asyncio.timeout(20):
        while True:
            listed = await call(s, url, "GET", "/models?limit=1000")
            found = [m["version"] for m in listed["items"] if m["provider"] in ("one", "two")]
            if len(found) == 2:
                return found
            await asyncio.sleep(0.05)


async def main(seconds: float, swaps: int) -> None:
    whole = {b"".join(events(name, TOKENS)): name for name in ("model-one", "model-two")}
    calm, busy, results = Seen(), Seen(), list[str]()
    with Process("model-one") as one, Process("model-two") as two:
        blocks = BLOCK.format(name="one", url=one.url) + BLOCK.format(name="two", url=two.url)
        with Engine(CONFIG.format(task=TASK) + blocks) as engine:
            async with session() as s:
                pair = await versions(s, engine.url)
                for version in pair:
                    await call(s, engine.url, "POST", f"/models/{version}/activate", {})
                    await call(s, engine.url, "POST", f"/models/{version}/warm?wait=60", {})
                await call(s, engine.url, "POST", "/swaps?wait=60", {"task": TASK, "to": pair[1]})
                await clients(engine.url, 1.0, Seen(), whole)  # warms all that is warmed once
                for _ in range(BLOCKS):
                    await clients(engine.url, seconds / BLOCKS, calm, whole)
                    _, done = await asyncio.gather(
                        clients(engine.url, seconds / BLOCKS, busy, whole),
                        swapping(s, engine.url, pair, seconds / BLOCKS, swaps // BLOCKS),
                    )
                    results += done
    report(calm, busy, results)


def report(calm: Seen, busy: Seen, results: list[str]) -> None:
    under, without = quantile(busy.latencies, 0.999), quantile(calm.latencies, 0.999)
    measured = {
        "answers": len(busy.latencies), "swaps_done": results.count("done"), "failed": busy.failed + calm.failed,
        "mixed": busy.mixed + calm.mixed, "by": busy.by, "p999_swapping_ms": round(under * 1000, 2),
        "p999_without_ms": round(without * 1000, 2), "ratio": round(under / without, 3),
    }  # fmt: skip
    met = (
        not measured["failed"] and not measured["mixed"] and len(busy.latencies) >= 10_000
        and results.count("done") == len(results) and under / without <= 1.2
    )  # fmt: skip
    emit("many_swaps", {"failed": "0 of >= 10,000", "mixed": "0", "ratio": "<= 1.2"}, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--seconds", type=float, default=60.0)
    ap.add_argument("--swaps", type=int, default=100)
    args = ap.parse_args()
    run(main(args.seconds, args.swaps))
