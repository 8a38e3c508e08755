"""The budget fits one model: A is asked, then B, twenty times; time to first token against doing it directly.

Directly: stop the old worker, spawn the new one, load, first token, with the same provider and no arbiter.
"""

from __future__ import annotations

import statistics
import time

import aiohttp
from arbiter_providers.llama_server import LlamaServerProvider
from harness import Engine, call, emit, ready_versions, run, session, stream

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.provider import LoadedModel, Message, ProviderConfig, Request, Text

TIMES, PROMPT = 20, "Say hello."


async def direct(
    provider: LlamaServerProvider, version: ModelVersion, old: LoadedModel | None
) -> tuple[float, LoadedModel]:
    """Seconds from the wish to the first token, the old one ended first."""
    begun = time.perf_counter()
    if old is not None:
        await old.unload()
    model = await provider.load(version, timeout_s=60, on_event=lambda event: None)
    answer = model.generate(Request(messages=(Message("user", PROMPT),), max_tokens=8))
    async for chunk in answer:
        if isinstance(chunk, Text):
            break
    taken = time.perf_counter() - begun
    await answer.aclose()
    return taken, model


async def through(s: aiohttp.ClientSession, url: str, version: str) -> float:
    answer = await stream(s, url, version, PROMPT, max_tokens=8)
    if not answer.whole or answer.ttft_s is None:
        raise RuntimeError(f"{version}: {answer.error or 'no text'}")
    return answer.ttft_s


async def main() -> None:
    provider = LlamaServerProvider(ProviderConfig(name="llama_server", kind="llama_server"))
    pair = (await provider.discover())[:2]
    largest = max(provider.predicted_bytes(v) or 0 for v in pair)
    config = f'[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n[pool]\nmemory_budget = {int(largest * 1.05)}\n'
    ours: dict[str, list[float]] = {v.version: [] for v in pair}
    theirs: dict[str, list[float]] = {v.version: [] for v in pair}
    old: LoadedModel | None = None
    with Engine(config) as engine:
        async with session() as s:
            known = await ready_versions(s, engine.url)
            for n in range(TIMES + 2):
                version = pair[n % 2]
                taken, old = await direct(provider, version, old)
                await old.unload()
                asked = await through(s, engine.url, version.version)
                if n >= 2:  # the first of each warms the file cache
                    theirs[version.version].append(taken)
                    ours[version.version].append(asked)
            resident = (await call(s, engine.url, "GET", "/snapshot"))["budget"]
    await provider.close()
    report(known, ours, theirs, resident)


def report(
    known: list[str], ours: dict[str, list[float]], theirs: dict[str, list[float]], resident: dict[str, int]
) -> None:
    rows, met = {}, True
    for version, seconds in ours.items():
        a, b = statistics.median(seconds), statistics.median(theirs[version])
        met = met and a <= 1.1 * b + 0.05
        rows[version] = {
            "ttft_ms": round(a * 1000), "direct_ms": round(b * 1000), "allowed_ms": round((1.1 * b + 0.05) * 1000),
            "ratio": round(a / b, 3), "worst_ms": round(max(seconds) * 1000),
        }  # fmt: skip
    rows["budget"] = {"limit_bytes": resident["limit_bytes"], "used_bytes": resident["used_bytes"], "known": len(known)}
    emit("exclusive_memory", {"ttft": "<= 1.1 x direct + 50 ms"}, rows, met)


if __name__ == "__main__":
    run(main())
