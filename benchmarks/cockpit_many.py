"""The cockpit where everything changes: 50 models and 20 tasks at 4 Hz, in a real terminal of 120 x 40.

The control wire is a stand-in of this script's own, in a process of its own: it answers the long poll with prepared
snapshots (compressed, only the chosen task's leaderboard whole, as the engine does) in which every figure of every
model and every leaderboard differs from the one before. What is measured is the cockpit's process alone: processor
seconds and bytes written, and how long a key takes to reach the screen meanwhile.

Twice: in a local terminal, and as it is over ssh (SSH_CONNECTION set): there it asks once a second and draws with the
terminal's own colours.

    python benchmarks/cockpit_many.py [--seconds 20] [--models 50] [--tasks 20]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from harness import emit, quantile
from terminal import Terminal

from arbiter_tui.core.snapshot import (
    BudgetView,
    EngineView,
    HardwareView,
    ModelView,
    Reading,
    RowView,
    Snapshot,
    TaskView,
    to_wire,
)

VARIANTS = 24
PERIOD_S = 0.25
GIB = 1 << 30
STATES = ("ready", "ready", "ready", "cold", "loading", "draining", "failed")
MUST = {
    "local": "<= 10 % of a core, <= 20,480 bytes/s",
    "ssh": "<= 2 % of a core, <= 6,144 bytes/s",
    "key_to_screen": "p95 <= 50 ms, max <= 150 ms",
}
LOCAL, SSH, KEY_P95_S, KEY_MAX_S = (10.0, 20_480), (2.0, 6_144), 0.05, 0.15


# the stand-in -----------------------------------------------------------------------------------------------------


def variant(n: int, models: int, tasks: int) -> Snapshot:
    """The ``n``-th of the prepared snapshots: every figure differs from its neighbour's."""
    rng = random.Random(n)
    now = time.time()
    versions = [f"model-{i:02d}-{(1, 3, 7, 13)[i % 4]}b-q{4 + i % 4}.llama-server" for i in range(models)]
    views = tuple(
        ModelView(
            version=v, provider="llama_server", model=v.partition("-q")[0], lifecycle="active", context=4096,
            state=STATES[i % 7], resident_bytes=int((i + 1 + rng.random()) * 2**26), predicted_bytes=(i + 1) * 2**26,
            in_flight=rng.randrange(5), queued=rng.randrange(3), tokens_per_second=round(20 + 200 * rng.random(), 1),
            ttft_s=round(0.01 + 0.1 * rng.random(), 4), requests=1000 * i + n * 7, health="ok", backend="CUDA",
            progress=round(rng.random(), 2), eta_s=round(9 * rng.random(), 1), last_used_at=now,
        )
        for i, v in enumerate(versions)
    )  # fmt: skip
    boards = []
    for t in range(tasks):
        rows = []
        for k in range(models):
            u = round(0.95 - 0.015 * k + 0.01 * rng.random(), 4)
            rows.append(
                RowView(
                    version=versions[(t * 7 + k) % models], rank=k + 1, utility=u, utility_low=u - 0.04,
                    utility_high=u + 0.04, quality=round(rng.random(), 4), quality_source="suite",
                    latency_p50_s=round(0.05 + 0.1 * rng.random(), 4), latency_p95_s=round(0.2 + rng.random(), 4),
                    memory_bytes=int((1 + rng.random()) * 2**28), energy_j=round(9 * rng.random(), 2),
                    success_rate=round(0.9 + 0.1 * rng.random(), 3), samples=100 + n, p_best=round(0.5 / (k + 1), 4),
                )
            )  # fmt: skip
        boards.append(
            TaskView(
                task=f"task-{t:02d}", incumbent=rows[0].version, previous=rows[1].version,
                candidate=rows[2].version if t % 5 == 0 else None, candidate_share=0.1 if t % 5 == 0 else 0.0,
                requests=100 * (t + 1) + n, leaderboard=tuple(rows),
            )
        )  # fmt: skip
    hardware = HardwareView(
        cpu=Reading(value=rng.random()), cores=tuple(rng.random() for _ in range(16)),
        ram_used_bytes=Reading(value=(20 + 9 * rng.random()) * GIB), ram_total_bytes=Reading(value=64.0 * GIB),
        swap_used_bytes=Reading(value=0.0), cpu_power_w=Reading(value=40 + 60 * rng.random()), gpu_why="none",
    )  # fmt: skip
    return Snapshot(
        revision=n + 1, taken_at=now, hardware=hardware, models=views, tasks=tuple(boards),
        engine=EngineView(state="ready", requests=10_000 + 40 * n, requests_per_second=round(160 * rng.random(), 1)),
        budget=BudgetView(limit_bytes=90 * GIB, used_bytes=int((60 + 9 * rng.random()) * GIB)),
        narrator=f"task-00: model-00 leads by .{n:02d} [.04, .26] on {100 + n} samples",
    )  # fmt: skip


def body(snapshot: Snapshot, task: str | None) -> dict[str, Any]:
    cut = tuple(t if task in (None, t.task) else replace(t, leaderboard=t.leaderboard[:3]) for t in snapshot.tasks)
    return to_wire(replace(snapshot, tasks=cut))


class Wire:
    """HTTP/1.1 as far as one cockpit needs it."""

    def __init__(self, models: int, tasks: int) -> None:
        self._snapshots = [variant(n, models, tasks) for n in range(VARIANTS)]
        self._packed: dict[tuple[int, str | None], bytes] = {}
        self._began = time.monotonic()
        for n in range(VARIANTS):
            self._pack(n, f"task-{tasks - 1:02d}")  # the busiest: the one that a cockpit chooses first

    def _pack(self, n: int, task: str | None) -> bytes:
        if (n, task) not in self._packed:
            self._packed[(n, task)] = gzip.compress(json.dumps(body(self._snapshots[n], task)).encode(), 1)
        return self._packed[(n, task)]

    def _revision(self) -> int:
        return int((time.monotonic() - self._began) / PERIOD_S) + 1

    async def answer(self, path: str) -> bytes:
        parts = urlsplit(path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        if not parts.path.endswith("/snapshot"):
            return gzip.compress(b'{"at": [], "curves": {}, "spent": [], "items": [], "next": null}')
        wait, after = float(query.get("wait", 0)), int(query.get("after", -1))
        while self._revision() <= after and wait > 0:
            await asyncio.sleep(PERIOD_S / 8)
            wait -= PERIOD_S / 8
        revision = self._revision()
        packed = self._pack(revision % VARIANTS, query.get("task"))
        fresh = gzip.decompress(packed).replace(
            b'"revision": %d' % (revision % VARIANTS + 1), b'"revision": %d' % revision
        )
        return gzip.compress(fresh, 1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                data = await self.answer(line.split()[1].decode())
                head = (
                    f"content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {len(data)}\r\n\r\n"
                )
                writer.write(b"HTTP/1.1 200 OK\r\n" + head.encode() + data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def stand_in(models: int, tasks: int) -> None:
    server = await asyncio.start_server(Wire(models, tasks).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


# measuring --------------------------------------------------------------------------------------------------------


def measure(url: str, seconds: float, environment: dict[str, str], keys: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "arbiter_tui", "attach", url]
    with Terminal(command, environment=environment) as terminal:
        if terminal.wait(lambda: bool(re.search(r"model-\d\d", terminal.text())), 30.0) is None:
            raise RuntimeError(f"it never showed a model:\n{terminal.text()}")
        terminal.rest(3.0)
        cpu, begun = terminal.cpu_s(), time.perf_counter()
        written = terminal.rest(seconds)
        took = time.perf_counter() - begun
        found: dict[str, Any] = {
            "cpu_percent_of_a_core": round(100 * (terminal.cpu_s() - cpu) / took, 2),
            "bytes_per_s": round(written / took),
            "resident_mib": round(terminal.resident_bytes() / 2**20, 1),
            "seconds": round(took, 1),
        }
        pressed = [seen for _ in range(keys) if (seen := move(terminal)) is not None]
        found["key_to_screen_ms"] = {
            "n": len(pressed), "missed": keys - len(pressed),
            "p50": ms(quantile(pressed, 0.5)), "p95": ms(quantile(pressed, 0.95)), "max": ms(max(pressed, default=0.0)),
        }  # fmt: skip
        return found


def ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def move(terminal: Terminal) -> float | None:
    """The cursor down by one line (back to the top at the end of what is seen): seconds until the screen shows it."""
    terminal.rest(random.uniform(0.15, 0.4))
    before = cursor(terminal)
    at = terminal.press("j" if before and before[0] < 12 else "k")
    seen = terminal.wait(lambda: cursor(terminal) != before, 2.0)
    return None if seen is None else seen - at


def cursor(terminal: Terminal) -> list[int]:
    return [n for n, row in enumerate(terminal.rows()) if row.startswith("│▸")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--stand-in", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.stand_in:
        asyncio.run(stand_in(chosen.models, chosen.tasks))
        return
    again = [sys.executable, str(Path(__file__)), "--stand-in", "--models", str(chosen.models)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*again, "--tasks", str(chosen.tasks)], stdout=subprocess.PIPE, text=True, env=env) as wire:
        try:
            assert wire.stdout is not None
            url = f"http://127.0.0.1:{int(wire.stdout.readline())}"
            local = measure(url, chosen.seconds, {}, chosen.keys)
            far = measure(url, chosen.seconds, {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, chosen.keys // 2)
        finally:
            wire.terminate()
    keys = local["key_to_screen_ms"]
    met = (
        all(within(found, limit) for found, limit in ((local, LOCAL), (far, SSH)))
        and keys["p95"] <= 1000 * KEY_P95_S
        and keys["max"] <= 1000 * KEY_MAX_S
        and not keys["missed"]
    )
    emit("cockpit_many", MUST, {"models": chosen.models, "tasks": chosen.tasks, "local": local, "ssh": far}, met)


def within(found: dict[str, Any], limit: tuple[float, int]) -> bool:
    return bool(found["cpu_percent_of_a_core"] <= limit[0] and found["bytes_per_s"] <= limit[1])


if __name__ == "__main__":
    main()
