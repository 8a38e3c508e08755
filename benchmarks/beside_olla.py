"""The arbiter and Olla side by side: the same client, the same fast backend, in blocks that take turns in one run.

Olla (Go) was the fastest gateway measured; a figure in requests a second depends on the machine and the hour, the share
of what Olla reaches in the same minutes does so less. Olla is no part of this project: build it (``go install`` of its
module, or its own release) and name the program.

    python benchmarks/beside_olla.py --olla PROGRAM [--rounds 10]    # or in the variable ARBITER_BENCH_OLLA
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
from fake_backend import Process
from gateway_speed import CONFIG, TASK, Way, discovered
from harness import Engine, call, emit, quantile, run, session
from raw_client import chat, connect

SECONDS, LONE = 3.0, 300
OLLA = """
server: {{host: "127.0.0.1", port: {port}, request_logging: false, rate_limits: {{global_requests_per_minute: 0,
  per_ip_requests_per_minute: 0, health_requests_per_minute: 0, burst_size: 0}}}}
proxy: {{engine: "olla", profile: "auto", load_balancer: "least-connections"}}
discovery: {{type: "static", refresh_interval: 30s, static: {{endpoints: [{{url: "{url}", name: "fake",
  type: "openai-compatible", priority: 100, model_url: "/v1/models", health_check_url: "/v1/models",
  check_interval: 30s, check_timeout: 1s}}]}}}}
model_registry: {{type: "memory"}}
logging: {{level: "error", format: "json"}}
"""


class Prefixed(Way):
    """Its OpenAI door lies below a path of its own."""

    def asked(self) -> bytes:
        return chat(self.url, self.model).replace(b"POST /v1/", b"POST /olla/openai/v1/", 1)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def olla(program: str, backend: str) -> Iterator[tuple[str, int]]:
    """Its address and process id, once it answers."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="arbiter-bench-olla-") as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(OLLA.format(port=port, url=backend))
        process = subprocess.Popen(
            [program, "--config", str(config)], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait(20)


async def answering(url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(urllib.request.urlopen, url + "/internal/health", None, 2.0)
                connection = await connect(url)
                reply = await connection.ask(Prefixed(url, "fake").asked())
                connection.close()
                if reply.status == 200:
                    return
            await asyncio.sleep(0.2)


def used_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def main(program: str, rounds: int) -> None:
    with Process("fake") as backend, Engine(CONFIG.format(task=TASK, url=backend.url)) as engine:
        assert engine.process is not None
        with olla(program, backend.url) as (address, pid):
            async with session() as s:
                version = await discovered(s, engine.url)
                await call(s, engine.url, "POST", f"/models/{version}/activate", {})
                await call(s, engine.url, "POST", "/swaps?wait=60", {"task": TASK, "to": version})
            await answering(address)
            ours, theirs = Way(engine.url, f"arbiter/{TASK}"), Prefixed(address, "fake")
            direct = Way(backend.url, "fake")
            pids = {id(ours): engine.process.pid, id(theirs): pid}
            used, answers = dict.fromkeys(pids, 0.0), dict.fromkeys(pids, 0)
            for turn in range(rounds):
                pair = [ours, theirs] if turn % 2 else [theirs, ours]
                for way in (direct, *pair):
                    await way.one_after_another(LONE)
                for way in pair:
                    before = used_s(pids[id(way)])
                    answers[id(way)] += await way.at_once(SECONDS)
                    used[id(way)] += used_s(pids[id(way)]) - before
    report(direct, ours, theirs, [1000 * used[id(way)] / answers[id(way)] for way in (ours, theirs)])


def report(direct: Way, ours: Way, theirs: Way, cpu_s: list[float]) -> None:
    shares = [a / b for a, b in zip(ours.rates, theirs.rates, strict=True)]
    floor = statistics.median(direct.latencies)
    added = [1000 * (statistics.median(way.latencies) - floor) for way in (ours, theirs)]
    longest = quantile(direct.latencies, 0.99)
    late = [1000 * (quantile(way.latencies, 0.99) - longest) for way in (ours, theirs)]
    share = statistics.median(shares)
    measured = {
        "share_of_olla": round(share, 3), "shares": [round(x, 2) for x in sorted(shares)],
        "requests_per_s": round(statistics.median(ours.rates)), "olla_requests_per_s": round(
            statistics.median(theirs.rates)
        ),
        "cpu_s_per_1000": round(cpu_s[0], 3), "olla_cpu_s_per_1000": round(cpu_s[1], 3),
        "added_p50_ms": round(added[0], 3), "olla_added_p50_ms": round(added[1], 3),
        "added_p99_ms": round(late[0], 3), "olla_added_p99_ms": round(late[1], 3),
    }  # fmt: skip
    emit("beside_olla", {"share_of_olla": ">= 1.0"}, measured, share >= 1.0)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--olla", default=os.environ.get("ARBITER_BENCH_OLLA", ""))
    ap.add_argument("--rounds", type=int, default=10)
    given = ap.parse_args()
    if given.olla:
        run(main(given.olla, given.rounds))
    else:
        emit("beside_olla", {"share_of_olla": ">= 1.0"}, {"skipped": "no Olla here: --olla PROGRAM"}, None)
