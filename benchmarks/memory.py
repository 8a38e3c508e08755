"""What a headless engine holds: idle, and after 100,000 requests, 1,000 swaps and 1,000 streams that were left.

    python benchmarks/memory.py [--requests 100000] [--swaps 1000] [--aborted 1000]

No model runs in it: a backend in another process answers at once. Megabytes (10^6) of the engine's whole process tree.
Leaks are what is more than before the first request, once nothing is under way any more: sockets and files (from the
process), asyncio tasks (from /metrics), leases and waiting requests (from the snapshot).
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import psutil
from fake_backend import Process
from harness import Engine, call, emit, run, session

TASK, PAIR, CLIENTS = "stories", ("one", "two"), 32
IDLE_MB, AFTER_MB, SETTLE_S, QUIET_S = 80.0, 90.0, 5.0, 150.0
CONFIG = """
[pool]
memory_budget = "1MiB"             # no embedded model fits

[autopilot]
mode = "off"
sentinels_per_hour = 0

[[tasks]]
name = "stories"

[[providers]]
name = "box"
kind = "openai_compatible"
base_url = "{url}"
parallel = 64

[[models]]
name = "one"
provider = "box"
source = "one"

[[models]]
name = "two"
provider = "box"
source = "two"
"""


class Looker:
    """The engine from outside."""

    def __init__(self, engine: Engine) -> None:
        assert engine.process is not None
        self._url = engine.url
        self._root = psutil.Process(engine.process.pid)

    def resident_mb(self) -> float:
        tree = [self._root, *self._root.children(recursive=True)]
        return round(sum(p.memory_info().rss for p in tree) / 1e6, 1)

    async def held(self) -> dict[str, int]:
        """Looked at over a connection of its own, which counts each time alike."""
        async with session() as s:
            snapshot = await call(s, self._url, "GET", "/snapshot")
            async with s.get(f"{self._url}/metrics") as answer:
                text = await answer.text()
            tasks = re.search(r"^arbiter_tasks (\d+)", text, re.MULTILINE)
            return {
                "sockets": sum(c.status != psutil.CONN_TIME_WAIT for c in self._root.net_connections(kind="tcp")),
                "files": self._root.num_fds(),
                "tasks": int(tasks[1]) if tasks else -1,
                "leases": sum(m["in_flight"] for m in snapshot["models"]),
                "waiting": sum(m["queued"] for m in snapshot["models"]),
            }

    async def quiet(self, wanted: dict[str, int]) -> dict[str, int]:
        """What is held once it is no more than ``wanted``, or after ``QUIET_S``: idle connections end in their time."""
        end, seen = time.monotonic() + QUIET_S, await self.held()
        while any(seen[k] > wanted[k] for k in wanted) and time.monotonic() < end:
            await asyncio.sleep(2.0)
            seen = await self.held()
        return seen


async def closed_loop(count: int, clients: int, one: Callable[[], Awaitable[bool]]) -> int:
    """How many of ``count`` failed."""
    left, failed = count, 0

    async def client() -> None:
        nonlocal left, failed
        while left > 0:
            left -= 1
            failed += not await one()

    await asyncio.gather(*(client() for _ in range(clients)))
    return failed


async def requests(s: aiohttp.ClientSession, url: str, count: int, looker: Looker, curve: list[float]) -> int:
    """``curve``: resident after each tenth."""
    failed = 0
    for part in range(10):
        failed += await _requests(s, url, count * (part + 1) // 10 - count * part // 10)
        curve.append(looker.resident_mb())
    return failed


async def _requests(s: aiohttp.ClientSession, url: str, count: int) -> int:
    bodies = [{"model": m, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8} for m in PAIR]
    turn = 0

    async def one() -> bool:
        nonlocal turn
        turn += 1
        body = {**bodies[turn % 2], "stream": turn % 4 == 0}
        async with s.post(f"{url}/v1/chat/completions", json=body) as answer:
            return answer.status == 200 and bool(await answer.read())

    return await closed_loop(count, CLIENTS, one)


async def swaps(s: aiohttp.ClientSession, url: str, count: int) -> int:
    failed = 0
    for n in range(count):
        event = await call(s, url, "POST", "/swaps?wait=30", {"task": TASK, "to": PAIR[n % 2]})
        failed += event["result"] != "done"
    return failed


async def aborted(s: aiohttp.ClientSession, url: str, count: int) -> int:
    """Streams that are left after their first bytes."""
    body = {"model": "one", "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 2000,
            "pace_ms": 20}  # fmt: skip

    async def one() -> bool:
        answer = await s.post(f"{url}/v1/chat/completions", json=body)
        await answer.content.readany()
        answer.close()
        return answer.status == 200

    return await closed_loop(count, CLIENTS, one)


async def main(count: dict[str, int]) -> None:
    with Process(*PAIR) as backend, Engine(CONFIG.format(url=backend.url)) as engine:
        looker, url = Looker(engine), engine.url
        await asyncio.sleep(SETTLE_S)
        idle = looker.resident_mb()
        async with session() as s:
            for model in PAIR:
                await call(s, url, "POST", f"/models/{model}/warm?wait=60", {})
            await call(s, url, "POST", "/swaps?wait=30", {"task": TASK, "to": PAIR[1]})
        before = await looker.held()
        resident, failed, seconds = {}, {}, {}
        curve: list[float] = []
        works: dict[str, Callable[[aiohttp.ClientSession, str, int], Awaitable[int]]] = {
            "requests": lambda s, url, n: requests(s, url, n, looker, curve), "swaps": swaps, "aborted": aborted,
        }  # fmt: skip
        for name, work in works.items():
            begun = time.monotonic()
            async with session() as s:
                failed[name] = await work(s, url, count[name])
            seconds[name] = round(time.monotonic() - begun, 1)
            resident[name] = looker.resident_mb()
        after = await looker.quiet(before)
        resident["at_rest"] = looker.resident_mb()
    report(idle, before, after, resident, failed, count, seconds, curve)


def report(
    idle: float, before: dict[str, int], after: dict[str, int], resident: dict[str, float], failed: dict[str, int],
    count: dict[str, int], seconds: dict[str, float], curve: list[float],
) -> None:  # fmt: skip
    leaked = {name: max(0, after[name] - before[name]) for name in before}
    measured: dict[str, Any] = {
        "idle_mb": idle, "after_mb": resident, "curve_mb": curve, "leaked": leaked,
        "held_before": before, "held_after": after, "done": count, "failed": failed, "seconds": seconds,
    }  # fmt: skip
    must = {"idle_mb": f"<= {IDLE_MB:g}", "after_mb": f"<= {AFTER_MB:g}", "leaked": "0 of each", "failed": "0"}
    met = (
        idle <= IDLE_MB and max(resident.values()) <= AFTER_MB and not any(leaked.values()) and not any(failed.values())
    )
    emit("memory", must, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--requests", type=int, default=100_000)
    ap.add_argument("--swaps", type=int, default=1000)
    ap.add_argument("--aborted", type=int, default=1000)
    run(main(vars(ap.parse_args())), 570.0)
