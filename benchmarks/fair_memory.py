"""Only one model fits: four clients ask A again and again, B is asked every two seconds for twenty seconds.

Both have to wait, neither without end: what takes turns must be collated, and nobody starve. Real models. No client of
A can wait for less than one turn: load B, answer, load A, answer all four. In the same run such turns are made by hand,
with the engines alone and nobody between: what the arbiter adds is the share above that.

    python benchmarks/fair_memory.py [--seconds 20]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import aiohttp
from arbiter_providers.llama_server import LlamaServerProvider
from harness import Engine, Streamed, call, emit, quantile, run, session, stream

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.provider import Message, ProviderConfig, Request

CLIENTS, EVERY_S, TOKENS, TURNS = 4, 2.0, 16, 4
PROMPT = "Say a word about the sea."


async def crowd(s: aiohttp.ClientSession, url: str, version: str, end: float) -> list[Streamed]:
    """Four closed loops on one model."""
    seen: list[Streamed] = []

    async def one() -> None:
        while time.monotonic() < end:
            seen.append(await stream(s, url, version, PROMPT, max_tokens=TOKENS))

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return seen


async def rare(s: aiohttp.ClientSession, url: str, version: str, end: float) -> list[Streamed]:
    """One request every two seconds, whether the last one was answered or not."""
    asked = []
    while time.monotonic() < end:
        asked.append(asyncio.create_task(stream(s, url, version, PROMPT, max_tokens=TOKENS)))
        await asyncio.sleep(EVERY_S)
    return list(await asyncio.gather(*asked))


async def answers(provider: LlamaServerProvider, version: ModelVersion, at_once: int) -> None:
    """Loaded, asked so often at once, unloaded."""
    model = await provider.load(version, timeout_s=60.0, on_event=lambda event: None)
    asked = Request(messages=(Message("user", PROMPT),), max_tokens=TOKENS)

    async def one() -> None:
        async for _ in model.generate(asked):
            pass

    await asyncio.gather(*(one() for _ in range(at_once)))
    await model.unload()


async def turns_by_hand(provider: LlamaServerProvider, a: ModelVersion, b: ModelVersion) -> list[float]:
    """Seconds of each turn."""
    seen = []
    for _ in range(TURNS):
        begun = time.monotonic()
        await answers(provider, b, 1)
        await answers(provider, a, CLIENTS)
        seen.append(time.monotonic() - begun)
    return seen


async def main(seconds: float) -> None:
    provider = LlamaServerProvider(ProviderConfig(name="llama_server", kind="llama_server"))
    a, b = sorted((await provider.discover())[:2], key=lambda v: v.version, reverse=True)
    largest = max(provider.predicted_bytes(v) or 0 for v in (a, b))
    by_hand = await turns_by_hand(provider, a, b)
    config = f'[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n[pool]\nmemory_budget = {int(largest * 1.05)}\n'
    with Engine(config) as engine:
        async with session() as s:
            for version in (b.version, a.version):
                await call(s, engine.url, "POST", f"/models/{version}/warm?wait=60", {})
            end = time.monotonic() + seconds
            often, seldom = await asyncio.gather(
                crowd(s, engine.url, a.version, end), rare(s, engine.url, b.version, end)
            )
    by_hand += await turns_by_hand(provider, a, b)
    await provider.close()
    report(often, seldom, by_hand)


def report(often: list[Streamed], seldom: list[Streamed], by_hand: list[float]) -> None:
    failed = [x for x in (*often, *seldom) if not x.whole]
    waits = [x.latency_s for x in seldom]
    tail, middle, worst = quantile([x.latency_s for x in often], 0.99), statistics.median(waits), max(waits)
    measured = {
        "a_requests": len(often), "b_requests": len(seldom), "failed": len(failed),
        "a_p50_s": round(statistics.median(x.latency_s for x in often), 3), "a_p99_s": round(tail, 3),
        "b_p50_s": round(middle, 3), "b_worst_s": round(worst, 3),
        "turn_by_hand_p50_s": round(statistics.median(by_hand), 3), "turn_by_hand_worst_s": round(max(by_hand), 3),
        "a_p50_of_turn_by_hand": round(
            statistics.median(x.latency_s for x in often) / statistics.median(by_hand), 3
        ),
        "errors": sorted({x.error or "" for x in failed})[:3],
    }  # fmt: skip
    met = not failed and middle <= 2.5 and worst <= 5.0 and tail <= 2.5
    must = {"failed": "0", "b_p50_s": "<= 2.5", "b_worst_s": "<= 5", "a_p99_s": "<= 2.5"}
    emit("fair_memory", must, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--seconds", type=float, default=20.0)
    run(main(ap.parse_args().seconds))
