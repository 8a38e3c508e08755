"""Decode rate through the arbiter over that of the same engine's own server, same client, one and four streams.

Both speak /v1/chat/completions to the same worker process; blocks are interleaved, the ratio is of medians.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import aiohttp
from harness import Engine, call, emit, ready_versions, run, session, stream

ROUNDS, TOKENS = 8, 160
PROMPT = "Tell a long story about the sea."


async def rate(s: aiohttp.ClientSession, url: str, model: str, streams: int) -> float:
    """Tokens per second of all streams together, first token to last."""
    begun = time.perf_counter()
    seen = await asyncio.gather(
        *(stream(s, url, model, f"{PROMPT} ({n})", max_tokens=TOKENS, ignore_eos=True) for n in range(streams))
    )
    wrong = [a.error or "cut off" for a in seen if not a.whole]
    if wrong:
        raise RuntimeError(wrong[0])
    return streams * TOKENS / (time.perf_counter() - begun)


async def main() -> None:
    with Engine('[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n') as engine:
        async with session() as s:
            version = (await ready_versions(s, engine.url))[0]
            await call(s, engine.url, "POST", f"/models/{version}/warm?wait=60", {})
            own = await base_url(s, engine.url, version)
            found: dict[str, dict[int, list[float]]] = {"arbiter": {1: [], 4: []}, "engine": {1: [], 4: []}}
            for streams in (1, 4):
                for url in (engine.url, own):
                    await rate(s, url, version, streams)
                for _ in range(ROUNDS):
                    found["arbiter"][streams].append(await rate(s, engine.url, version, streams))
                    found["engine"][streams].append(await rate(s, own, version, streams))
    ratios = {
        n: statistics.median(a / b for a, b in zip(found["arbiter"][n], found["engine"][n], strict=True))
        for n in (1, 4)
    }
    measured = {
        "ratio_one_stream": round(ratios[1], 3),
        "ratio_four_streams": round(ratios[4], 3),
        "arbiter_tokens_per_s": {n: round(statistics.median(v), 1) for n, v in found["arbiter"].items()},
        "engine_tokens_per_s": {n: round(statistics.median(v), 1) for n, v in found["engine"].items()},
    }
    must = {"ratio_one_stream": ">= .95", "ratio_four_streams": ">= .95"}
    emit("decode", must, measured, min(ratios.values()) >= 0.95)


async def base_url(s: aiohttp.ClientSession, url: str, version: str) -> str:
    found = await call(s, url, "GET", f"/models/{version}")
    return str(found["base_url"])


if __name__ == "__main__":
    run(main())
