"""``kill -9`` of the engine under load, twenty times on one state folder.

The load: streaming clients on a real model, reported outcomes, grades of served requests, and swaps between two warm
models. What was acknowledged with a 2xx before the kill must be there after the next start: every reported outcome,
every grade, every swap, and the route as the newest acknowledged swap left it (or one that was under way). No worker
may outlive its engine, and the next start must give a whole answer within three seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from harness import Engine, alive, call, emit, everything, family, quantile, ready_versions, run, session, stream

TASK, PROMPT, LIMIT_S, ORPHANS_WITHIN_S = "stories", "Tell me about the sea.", 3.0, 3.0
CONFIG = f'[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n\n[[tasks]]\nname = "{TASK}"\n'
BROKEN = (aiohttp.ClientError, ConnectionError, RuntimeError, TimeoutError)


@dataclass(slots=True)
class Acknowledged:
    """What the engine has confirmed, over all rounds."""

    outcomes: set[str] = field(default_factory=set)
    grades: dict[str, float] = field(default_factory=dict)
    swaps: dict[str, str] = field(default_factory=dict)  # id -> result
    route: str | None = None
    attempted: str | None = None  # a swap that was asked for and not answered


class Load:
    """Clients of one engine until it dies."""

    def __init__(self, s: aiohttp.ClientSession, url: str, pair: list[str], known: Acknowledged, dice: random.Random):
        self.s, self.url, self.pair, self.known, self.dice = s, url, pair, known, dice
        self.served: list[str] = []
        self.count = 0

    async def ask(self) -> None:
        while True:
            answer = await stream(self.s, self.url, f"arbiter/{TASK}", PROMPT, max_tokens=12)
            if not answer.whole:
                return
            self.served.append(answer.id)

    async def report(self) -> None:
        with contextlib.suppress(*BROKEN):
            while True:
                name = f"reported-{self.dice.getrandbits(64):016x}"
                body = {"id": name, "task": TASK, "version": self.pair[0], "success": True, "latency_s": 0.2}
                await call(self.s, self.url, "POST", "/outcomes", body)
                self.known.outcomes.add(name)
                await asyncio.sleep(0.01)  # the models need the processors, too

    async def grade(self) -> None:
        with contextlib.suppress(*BROKEN):
            while True:
                await asyncio.sleep(0.05)
                if self.served:
                    request, score = self.served.pop(), round(self.dice.random(), 2)
                    await call(self.s, self.url, "POST", "/feedback", {"request_id": request, "score": score})
                    self.known.grades[request] = score

    async def swap(self) -> None:
        with contextlib.suppress(*BROKEN):
            while True:
                await asyncio.sleep(self.dice.uniform(0.05, 0.2))
                self.known.attempted = self.dice.choice(self.pair)
                event = await call(
                    self.s, self.url, "POST", "/swaps?wait=60", {"task": TASK, "to": self.known.attempted}
                )
                if event.get("phases"):  # the same version again is no swap, and leaves no record
                    self.known.swaps[event["id"]] = event["result"]
                self.known.route, self.known.attempted = event["to"], None

    async def all(self) -> None:
        """Ends when the engine has died."""
        grading = asyncio.create_task(self.grade())
        await asyncio.gather(self.ask(), self.ask(), self.report(), self.swap())
        grading.cancel()


async def first_answer(s: aiohttp.ClientSession, url: str) -> None:
    answer = await stream(s, url, f"arbiter/{TASK}", PROMPT, max_tokens=4)
    if not answer.whole:
        raise RuntimeError(f"no answer after the start: {answer.error or 'cut off'}")


async def gone(workers: list[Any]) -> int:
    """Workers that are still there after a moment of grace."""
    end = time.monotonic() + ORPHANS_WITHIN_S
    while alive(workers) and time.monotonic() < end:  # noqa: ASYNC110 - other processes, nothing to await
        await asyncio.sleep(0.02)
    return len(alive(workers))


async def missing(s: aiohttp.ClientSession, url: str, known: Acknowledged) -> dict[str, int]:
    """How much of what was acknowledged is not there."""
    outcomes = {o["id"]: o for o in await everything(s, url, "/outcomes")}
    swaps = {w["id"]: w["result"] for w in await everything(s, url, "/swaps")}
    serving = (await call(s, url, "GET", f"/tasks/{TASK}"))["incumbent"]
    allowed = {known.route, known.attempted} - {None}
    return {
        "outcomes": len(known.outcomes - outcomes.keys()),
        "grades": sum(outcomes.get(i, {}).get("quality") != score for i, score in known.grades.items()),
        "swaps": sum(swaps.get(i) != result for i, result in known.swaps.items()),
        "routes": int(bool(allowed) and serving not in allowed),
    }


async def one_round(folder: Path, known: Acknowledged, dice: random.Random) -> dict[str, Any]:
    begun = time.monotonic()
    engine = Engine(CONFIG, folder=folder)
    engine.start()
    ready = time.monotonic() - begun
    assert engine.process is not None
    try:
        async with session() as s:
            await first_answer(s, engine.url)
            served = time.monotonic() - begun
            lost = await missing(s, engine.url, known)
            known.route = (await call(s, engine.url, "GET", f"/tasks/{TASK}"))["incumbent"]
            known.attempted = None
            statistics = await call(s, engine.url, "GET", "/statistics")
            pair = (await ready_versions(s, engine.url))[:2]
            for version in pair:
                await call(s, engine.url, "POST", f"/models/{version}/warm?wait=60", {})
            load = asyncio.create_task(Load(s, engine.url, pair, known, dice).all())
            await asyncio.sleep(dice.uniform(1.2, 3.2))
            workers = family(engine.process.pid)
            engine.kill()
            await load
    finally:
        engine.kill()
    return {
        "ready_s": ready, "served_s": served, "lost": lost, "workers": len(workers), "orphans": await gone(workers),
        "told": statistics["lost_at_last_crash"],
    }  # fmt: skip


async def main(times: int) -> None:
    folder, dice, known = Path(tempfile.mkdtemp(prefix="arbiter-bench-")), random.Random(7), Acknowledged()
    try:
        rounds = [await one_round(folder, known, dice) for _ in range(times + 1)]
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, True)
    report(rounds, known)


def report(rounds: list[dict[str, Any]], known: Acknowledged) -> None:
    again = rounds[1:]  # the first start follows no kill
    served = [r["served_s"] for r in again]
    lost = {kind: sum(r["lost"][kind] for r in again) for kind in again[0]["lost"]}
    measured = {
        "kills": len(again),
        "acknowledged": {"outcomes": len(known.outcomes), "grades": len(known.grades), "swaps": len(known.swaps)},
        "missing": lost,
        "workers_ended": sum(r["workers"] for r in rounds),
        "orphan_workers": sum(r["orphans"] for r in rounds),
        "first_answer_s": {"p50": round(quantile(served, 0.5), 3), "max": round(max(served), 3)},
        "ready_s": {"p50": round(quantile([r["ready_s"] for r in again], 0.5), 3)},
        "own_outcomes_lost_as_told": [r["told"] for r in again],
    }
    met = not any(lost.values()) and not measured["orphan_workers"] and max(served) <= LIMIT_S
    must = {"missing": "0", "orphan_workers": "0", "first_answer_s": "<= 3 (each)"}
    emit("kill_engine", must, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--times", type=int, default=20)
    args = ap.parse_args()
    run(main(args.times))
