"""Fifty thousand wrong requests at a whole engine in a process of its own: fields, bytes, names, queries, heads.

    python benchmarks/fuzz.py [--cases 50000] [--seed 1] [--described 5000]

Behind the engine stands a backend that answers at once. No answer may be 5xx but for 501 (not offered), 502 (the
runtime behind failed) and 503 (loading, draining, a runtime left alone): those are counted by their codes. Nothing may
hang for 20 s, no refusal may have another dialect's shape or none, no traceback may stand in the engine's log, and the
engine must serve right requests all along. ``--described`` of the cases are made by schemathesis from the engine's own
OpenAPI document, and leave it out where it is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import aiohttp
from fake_backend import Process
from fuzz_cases import Case, cases
from fuzz_client import send, trouble
from harness import Engine, call, emit, run, session

CLIENTS, LOOK_EVERY, SHOWN = 16, 1000, 12
CONFIG = """
[server.limits]
body_bytes = "512KiB"
body_s = 1.0
head_s = 1.0

[pool]
memory_budget = "1MiB"             # no embedded model fits: all of it goes to the backend

[autopilot]
mode = "off"
sentinels_per_hour = 0

[[providers]]
name = "box"
kind = "openai_compatible"
base_url = "{url}"
parallel = 64

[[models]]
name = "fake"
provider = "box"
source = "fake"
capabilities = ["text-generation", "embeddings"]
"""


@dataclass(slots=True)
class Seen:
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    honest: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)  # errors in the engine's own log
    after: int = 0
    slowest_s: float = 0.0


async def worker(port: int, queue: Iterator[Case], seen: Seen) -> None:
    for case in queue:
        begun = time.perf_counter()
        try:
            answer = await send(port, case)
        except TimeoutError:
            seen.hung.append(f"{case.kind} {case.method} {case.path} {case.raw[:300]!r}")
            continue
        except OSError as error:
            seen.wrong.append(f"{case.kind} {case.method} {case.path}: {error}")
            continue
        seen.slowest_s = max(seen.slowest_s, time.perf_counter() - begun)
        seen.kinds[case.kind] += 1
        seen.statuses[answer.status] += 1
        if answer.status >= 500:
            seen.honest[f"{answer.status} {answer.code()}"] += 1
        if (what := trouble(case, answer)) is not None:
            seen.wrong.append(f"{case.kind} {case.method} {case.path}: {what}; sent {case.raw[-300:]!r}")


async def right(s: aiohttp.ClientSession, url: str) -> bool:
    """A right request is answered."""
    body = {"model": "fake", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    async with s.post(f"{url}/v1/chat/completions", json=body) as answer:
        return answer.status == 200 and (await answer.json())["choices"] != []


async def flood(engine: Engine, s: aiohttp.ClientSession, source: Iterator[Case], seen: Seen) -> int:
    """All of ``source``; how often a right request in between was not answered."""
    port, failed = int(engine.url.rsplit(":", 1)[1]), 0
    exhausted = False
    while not exhausted:
        part = list(islice(source, LOOK_EVERY))
        exhausted = len(part) < LOOK_EVERY
        queue = iter(part)
        await asyncio.gather(*(worker(port, queue, seen) for _ in range(CLIENTS)))
        failed += not await right(s, engine.url)
        await look_into_log(s, engine.url, seen)
    return failed


async def look_into_log(s: aiohttp.ClientSession, url: str, seen: Seen) -> None:
    """What the engine's libraries and its own boundary logged as errors: a defect that became a 500 is one."""
    found = await call(s, url, "GET", f"/events?limit=1000&after={seen.after}")
    seen.after = int(found["next"])
    seen.logged += [e["message"] for e in found["items"] if e["kind"] == "log" and e.get("level") == "error"]


async def main(seed: int, count: int, described: int) -> None:
    with Process("fake") as backend, Engine(CONFIG.format(url=backend.url)) as engine:
        async with session() as s:
            await call(s, engine.url, "POST", "/models/fake/warm?wait=60", {})
            seen, begun = Seen(), time.monotonic()
            document = await call(s, engine.url, "GET", "/openapi.json")
            made = described_cases(document, seed, described)
            failed = await flood(engine, s, iter(made or ()), seen)
            failed += await flood(engine, s, cases(seed, count - len(made or ())), seen)
            taken = time.monotonic() - begun
            alive = engine.process is not None and engine.process.poll() is None
        log = (engine.folder / "engine.log").read_text(errors="replace")
    report(seen, failed, log, alive=alive, taken=taken, described=None if made is None else len(made), seed=seed)


def described_cases(document: dict[str, Any], seed: int, count: int) -> list[Case] | None:
    """From the OpenAPI document; None where schemathesis is not installed."""
    try:
        from fuzz_described import from_document
    except ImportError:
        return None
    return from_document(document, seed, count)


def report(seen: Seen, failed: int, log: str, *, alive: bool, taken: float, described: int | None, seed: int) -> None:
    tracebacks = log.count("Traceback (most recent call last)") + len(seen.logged)
    measured = {
        "cases": sum(seen.kinds.values()), "seed": seed, "kinds": dict(seen.kinds), "from_openapi": described,
        "wrong": len(seen.wrong), "hung": len(seen.hung), "tracebacks": tracebacks,
        "right_requests_failed": failed, "engine_alive": alive,
        "honest_5xx": dict(seen.honest.most_common()),
        "statuses": {str(k): v for k, v in sorted(seen.statuses.items())},
        "slowest_s": round(seen.slowest_s, 2), "cases_per_s": round(sum(seen.kinds.values()) / taken),
        "first_wrong": [text[:600] for text in (seen.wrong + seen.hung + seen.logged)[:SHOWN]],
    }  # fmt: skip
    met = alive and not (seen.wrong or seen.hung or tracebacks or failed)
    must = {"wrong": "0", "hung": "0", "tracebacks": "0", "right_requests_failed": "0"}
    emit("fuzz", must, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--cases", type=int, default=50_000)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--described", type=int, default=5_000)
    args = ap.parse_args()
    run(main(args.seed, args.cases, args.described), 570.0)
