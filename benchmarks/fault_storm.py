"""A storm of faults: two replicas of one model, of which one, chosen at random, is killed (-9) every 3 seconds.

The replicas are fast fake servers that the arbiter started itself (`kind = "server"`), so that the arbiter's own part
is what is measured: noticing, choosing, asking again, bringing back. Eight clients ask the model by its name, one
request after another, half of them streamed over a fifth of a second. A request had begun to answer when the first
event of its answer had reached the client; one that breaks after that can't be saved and must be told so. All others
must succeed.

    python benchmarks/fault_storm.py [--seconds 300] [--every 3] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from harness import Engine, alive, call, emit, family, quantile, run, session

BACKEND = Path(__file__).resolve().parent / "fake_backend.py"
MODEL = "storm"
CONFIG = f"""
[autopilot]
mode = "off"
sentinels_per_hour = 0

[[providers]]
name = "storm"
kind = "server"
command = [{json.dumps(sys.executable)}, {json.dumps(str(BACKEND))}, "{{port}}", "fake/model"]
parallel = 8
stall_timeout_s = 10

[[models]]
name = "{MODEL}"
provider = "storm"
source = "fake/model"
replicas = 2
"""
CLIENTS, TOKENS, PACE_MS, SHARE = 8, 40, 5, 0.999


@dataclass(slots=True)
class Seen:
    """What the clients saw. Seconds."""

    ends: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    whole_s: list[float] = field(default_factory=list)


async def ask(s: aiohttp.ClientSession, url: str, number: int, seen: Seen, *, streams: bool) -> None:
    body = {
        "model": MODEL, "messages": [{"role": "user", "content": f"client {number}"}], "stream": streams,
        "max_tokens": TOKENS, "pace_ms": PACE_MS,
    }  # fmt: skip
    begun, ended, error, before = False, False, "", time.perf_counter()
    try:
        async with s.post(f"{url}/v1/chat/completions", json=body) as answer:
            if answer.status != 200:
                error = f"{answer.status}: {(await answer.text())[:160]}"
            elif not streams:
                ended = "choices" in await answer.json()
            else:
                async for line in answer.content:
                    begun = begun or b'"choices"' in line
                    ended = ended or line.startswith(b"data: [DONE]")
                    if b'"error"' in line:
                        error = line.decode()[:160]
    except (aiohttp.ClientError, ConnectionError) as broken:
        error = error or f"{type(broken).__name__}: {broken}"
    if ended and not error:
        seen.ends["whole"] += 1
        seen.whole_s.append(time.perf_counter() - before)
    else:
        told = "told" if error else "silent"
        seen.ends[f"broken_after_begun_{told}" if begun else "failed_not_begun"] += 1
        seen.errors[error or "no word"] += 1


def backends(engine: Engine) -> list[psutil.Process]:
    assert engine.process is not None
    found = []
    for process in alive(family(engine.process.pid)):
        with contextlib.suppress(psutil.Error):
            if str(BACKEND) in process.cmdline() and "arbiter_providers._server_worker" not in process.cmdline():
                found.append(process)
    return found


async def storm(engine: Engine, seconds: float, every_s: float, chance: random.Random) -> list[int]:
    """How many backends lived at each kill."""
    lived, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        there = backends(engine)
        if there:
            with contextlib.suppress(psutil.NoSuchProcess):
                chance.choice(there).kill()
        lived.append(len(there))
        await asyncio.sleep(every_s)
    return lived


async def metric(s: aiohttp.ClientSession, url: str, name: str) -> float:
    async with s.get(f"{url}/metrics") as answer:
        found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", await answer.text(), re.MULTILINE)
        return sum(map(float, found))


async def main(seconds: float, every_s: float, seed: int) -> None:
    seen = Seen()
    with Engine(CONFIG) as engine:
        async with session() as s:
            await call(s, engine.url, "POST", f"/models/{MODEL}/warm?wait=60", {})
            while len(backends(engine)) < 2:  # noqa: ASYNC110 - both replicas are there before the first is killed
                await asyncio.sleep(0.1)
            stop = asyncio.Event()

            async def client(number: int) -> None:
                while not stop.is_set():
                    await ask(s, engine.url, number, seen, streams=number % 2 == 0)

            clients = [asyncio.create_task(client(n)) for n in range(CLIENTS)]
            lived = await storm(engine, seconds, every_s, random.Random(seed))
            stop.set()
            await asyncio.gather(*clients)
            retries = await metric(s, engine.url, "arbiter_replica_retries_total")
    report(seen, lived, retries, seconds, every_s, seed)


def report(seen: Seen, lived: list[int], retries: float, seconds: float, every_s: float, seed: int) -> None:
    ends = seen.ends
    not_begun = ends["whole"] + ends["failed_not_begun"]
    share = ends["whole"] / max(1, not_begun)
    measured: dict[str, Any] = {
        "seconds": seconds,
        "kills": sum(1 for n in lived if n),
        "every_s": every_s,
        "seed": seed,
        "lived_at_kill": {str(n): lived.count(n) for n in sorted(set(lived))},
        "requests": sum(ends.values()),
        "whole": ends["whole"],
        "failed_not_begun": ends["failed_not_begun"],
        "success_share_not_begun": round(share, 6),
        "broken_after_begun_told": ends["broken_after_begun_told"],
        "broken_after_begun_silent": ends["broken_after_begun_silent"],
        "asked_again_of_the_other_replica": int(retries),
        "whole_s": {"p50": round(quantile(seen.whole_s, 0.5), 4), "p99.9": round(quantile(seen.whole_s, 0.999), 4),
                    "max": round(max(seen.whole_s), 4)},
        "errors": dict(seen.errors.most_common(5)),
    }  # fmt: skip
    must = {
        "success_share_not_begun": f">= {SHARE}", "broken_after_begun_silent": "0",
        "seconds": ">= 300, a kill every 3",
    }  # fmt: skip
    met = share >= SHARE and not ends["broken_after_begun_silent"]
    emit("fault_storm", must, measured, met if seconds >= 300 and every_s <= 3 else None)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--seconds", type=float, default=300.0)
    ap.add_argument("--every", type=float, default=3.0)
    ap.add_argument("--seed", type=int, default=1)
    args = ap.parse_args()
    run(main(args.seconds, args.every, args.seed), args.seconds + 120.0)
