"""A thousand idle keep-alive connections and two hundred that send a head byte by byte: what others notice of them.

    python benchmarks/slow_clients.py [--seconds 6] [--blocks 4]

Eight closed-loop clients ask an engine before a backend that answers at once, alone and beside the slow ones, in turns
in one run. The slow ones are a process of their own; whoever of them is refused (408 after its time) comes again.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
from fake_backend import Process
from harness import Engine, call, emit, run, session, summary
from memory import CONFIG

IDLE, SLOW, CLIENTS, DRIP_S, RATIO = 1000, 200, 8, 0.5, 2.0
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n" + b"x-more: and more\r\n" * 2000


async def hold(port: int) -> None:
    """Until it is killed; says "ready" when all are there."""
    for _ in range(IDLE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        await reader.readuntil(b"}")
    slow = [asyncio.create_task(drip(port)) for _ in range(SLOW)]
    await asyncio.sleep(1.0)
    print("ready", flush=True)
    await asyncio.gather(*slow)


async def drip(port: int) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            refused = asyncio.ensure_future(reader.read())
            for byte in HEAD:
                writer.write(bytes([byte]))
                await asyncio.sleep(DRIP_S)
                if refused.done():
                    break
            writer.close()


async def block(s: aiohttp.ClientSession, url: str, seconds: float) -> tuple[list[float], int]:
    """Seconds of each request, and how many failed."""
    end, taken, failed = time.monotonic() + seconds, [], 0
    body = {"model": "one", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}

    async def client() -> None:
        nonlocal failed
        while time.monotonic() < end:
            begun = time.perf_counter()
            async with s.post(f"{url}/v1/chat/completions", json=body) as answer:
                await answer.read()
                failed += answer.status != 200
            taken.append(time.perf_counter() - begun)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return taken, failed


def holding(url: str) -> subprocess.Popen[bytes]:
    """The slow ones, once all of them are there."""
    command = [sys.executable, str(Path(__file__).resolve()), "--hold", url.rsplit(":", 1)[1]]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


async def beside(s: aiohttp.ClientSession, url: str, seconds: float) -> tuple[list[float], int]:
    holder = await asyncio.to_thread(holding, url)
    try:
        return await block(s, url, seconds)
    finally:
        holder.kill()
        holder.wait()


async def main(seconds: float, blocks: int) -> None:
    alone: list[float] = []
    crowded: list[float] = []
    failed = 0
    with Process("one", "two") as backend, Engine(CONFIG.format(url=backend.url)) as engine:
        async with session() as s:
            await call(s, engine.url, "POST", "/models/one/warm?wait=60", {})
            await block(s, engine.url, 1.0)
            for _ in range(blocks):
                for into, how in ((alone, block), (crowded, beside)):
                    taken, wrong = await how(s, engine.url, seconds)
                    into += taken
                    failed += wrong
    one, other = summary(alone), summary(crowded)
    ratio = round(other["p99_ms"] / one["p99_ms"], 2)
    measured = {"alone": one, "beside": other, "p99_ratio": ratio, "failed": failed, "idle": IDLE, "slow": SLOW}
    emit("slow_clients", {"p99_ratio": f"<= {RATIO:g}", "failed": "0"}, measured, ratio <= RATIO and not failed)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seconds", type=float, default=6.0)
    ap.add_argument("--blocks", type=int, default=4)
    ap.add_argument("--hold", type=int, metavar="PORT", help=argparse.SUPPRESS)
    args = ap.parse_args()
    run(hold(args.hold) if args.hold else main(args.seconds, args.blocks), 570.0)
