"""What the arbiter adds between a client and a fast backend: latency, throughput, processor time, streams, first chunk.

Every request is by task: recognised, selected, leased, passed on, measured and recorded. The backend is one fast fake
in a process of its own; the same client asks it directly and through the arbiter, in blocks that take turns in one
run. The machine is shared by client, backend and arbiter.

    python benchmarks/gateway_speed.py [--short]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass, field

import aiohttp
import psutil
from fake_backend import Process
from harness import Engine, call, emit, quantile, run, session
from raw_client import Connection, Reply, chat, connect

TASK = "stories"
CONFIG = """
[autopilot]
mode = "off"
sentinels_per_hour = 0

[[tasks]]
name = "{task}"

[[providers]]
name = "fake"
kind = "openai_compatible"
base_url = "{url}"
parallel = 256
"""
AT_ONCE, STREAMS, CHUNKS = 64, 8, 500
PACED, PACE_MS = 20, 10


@dataclass(slots=True)
class Way:
    """To the backend: directly, or through the arbiter."""

    url: str
    model: str
    latencies: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    chunk_rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)

    def asked(self) -> bytes:
        return chat(self.url, self.model)

    async def connections(self, number: int) -> list[Connection]:
        return [await connect(self.url) for _ in range(number)]

    async def one_after_another(self, requests: int) -> None:
        (connection,) = await self.connections(1)
        asked = self.asked()
        for n in range(requests + 20):
            reply = checked(await connection.ask(asked))
            if n >= 20:
                self.latencies.append(reply.total_s)
        connection.close()

    async def at_once(self, seconds: float) -> int:
        """How many answers; the rate is kept."""
        connections = await self.connections(AT_ONCE)
        asked, end, answers = self.asked(), time.perf_counter() + seconds, 0

        async def client(connection: Connection) -> None:
            nonlocal answers
            while time.perf_counter() < end:
                checked(await connection.ask(asked))
                answers += 1

        begun = time.perf_counter()
        await asyncio.gather(*(client(c) for c in connections))
        self.rates.append(answers / (time.perf_counter() - begun))
        for connection in connections:
            connection.close()
        return answers

    async def streams(self) -> list[bytes]:
        """The bodies of eight streams at once, as fast as they come."""
        connections = await self.connections(STREAMS)
        asked = chat(self.url, self.model, stream=True, max_tokens=CHUNKS)
        begun = time.perf_counter()
        replies = await asyncio.gather(*(c.ask(asked) for c in connections))
        self.chunk_rates.append(STREAMS * CHUNKS / (time.perf_counter() - begun))
        for connection in connections:
            connection.close()
        return [checked(reply).body for reply in replies]

    async def paced(self) -> None:
        """Eight clients with one paced stream each, again and again; they begin at different times, as people do."""
        connections = await self.connections(STREAMS)
        asked = chat(self.url, self.model, stream=True, max_tokens=PACED, pace_ms=PACE_MS)

        async def client(n: int) -> None:
            await asyncio.sleep(n / STREAMS * PACED * PACE_MS / 1000)
            for _ in range(2):
                self.firsts.append(checked(await connections[n].ask(asked)).first_s or 0.0)

        await asyncio.gather(*(client(n) for n in range(STREAMS)))
        for connection in connections:
            connection.close()


def checked(reply: Reply) -> Reply:
    if reply.status != 200 or not reply.ended:
        raise RuntimeError(f"{reply.status}, {'whole' if reply.ended else 'cut'}: {reply.body[:300]!r}")
    return reply


async def discovered(s: aiohttp.ClientSession, url: str) -> str:
    """The fake's version, once its provider has been asked what it has."""
    async with asyncio.timeout(20):
        while True:
            listed = await call(s, url, "GET", "/models?limit=1000")
            for model in listed["items"]:
                if model["provider"] == "fake":
                    return str(model["version"])
            await asyncio.sleep(0.05)


def processor_s(engine: Engine) -> float:
    assert engine.process is not None
    times = psutil.Process(engine.process.pid).cpu_times()
    return float(times.user + times.system)


async def main(*, short: bool) -> None:
    rounds, requests, seconds = (3, 150, 1.0) if short else (10, 500, 4.0)
    with Process("fake") as backend, Engine(CONFIG.format(task=TASK, url=backend.url)) as engine:
        async with session() as s:
            version = await discovered(s, engine.url)
            await call(s, engine.url, "POST", f"/models/{version}/activate", {})
            await call(s, engine.url, "POST", "/swaps?wait=60", {"task": TASK, "to": version})
        direct, through = Way(backend.url, "fake"), Way(engine.url, f"arbiter/{TASK}")
        used = answers = different = 0.0
        for _ in range(rounds):
            for way in (direct, through):
                await way.one_after_another(requests)
            for way in (direct, through):
                before = processor_s(engine)
                got = await way.at_once(seconds)
                if way is through:
                    used, answers = used + processor_s(engine) - before, answers + got
            for _ in range(3):
                bodies = [*await direct.streams(), *await through.streams()]
                different += sum(body != bodies[0] for body in bodies)
            for way in (direct, through):
                await way.paced()
    report(direct, through, used / answers * 1000, int(different))


def report(direct: Way, through: Way, cpu_s: float, different: int) -> None:
    middle = statistics.median(direct.latencies)
    added = statistics.median(through.latencies) - middle
    worst = quantile(through.latencies, 0.99) - quantile(direct.latencies, 0.99)
    rate, chunks = statistics.median(through.rates), statistics.median(through.chunk_rates)
    share = statistics.median(t / d for t, d in zip(through.chunk_rates, direct.chunk_rates, strict=True))
    first = statistics.median(through.firsts) - statistics.median(direct.firsts)
    measured = {
        "added_p50_ms": round(added * 1000, 3),
        "added_p99_ms": round(worst * 1000, 3),
        "direct_p50_ms": round(middle * 1000, 3),
        "requests_per_s": round(rate),
        "direct_requests_per_s": round(statistics.median(direct.rates)),
        "cpu_s_per_1000": round(cpu_s, 3),
        "chunks_per_s": round(chunks),
        "direct_chunks_per_s": round(statistics.median(direct.chunk_rates)),
        "chunks_share_of_direct": round(share, 3),
        "streams_that_differ": different,
        "first_chunk_added_ms": round(first * 1000, 3),
    }
    must = {
        "added_p50_ms": "<= .5", "added_p99_ms": "<= 1.5", "requests_per_s": ">= 4,250", "cpu_s_per_1000": "<= .3",
        "chunks_share_of_direct": ">= .9", "streams_that_differ": "0", "first_chunk_added_ms": "<= 1",
    }  # fmt: skip
    met = (
        added <= 0.0005 and worst <= 0.0015 and rate >= 4250 and cpu_s <= 0.3 and share >= 0.9
        and not different and first <= 0.001
    )  # fmt: skip
    emit("gateway_speed", must, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--short", action="store_true")
    run(main(short=ap.parse_args().short))
