"""The switch itself, both versions warm: from the route's change to the first request served by the new version.

Instant fake models, so that only the arbiter's own time is seen, while versions a and b take turns on their task. Once
in process with four clients that ask each millisecond (``begin`` to the first text); once through the HTTP gateway
with one client in the same process (``POST /v1/chat/completions`` to the headers that name the new version; more
would measure the queue of a process that is both sides). The third figure is from real models in their worker
processes: the phase "switching" of their swaps, its commit included.

    python benchmarks/switch.py [--swaps 300] [--no-real]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import uvicorn
from harness import Engine, call, emit, quantile, ready_versions, run, session, summary
from inprocess import ASK, arbiter_on_fakes

from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.gateway.app import build_app
from arbiter_tui.provider import Text
from arbiter_tui.testing import Behaviour

TASK, LIMIT_S, REAL_SWAPS, PAUSE_S = "work", 0.005, 20, 0.001
Asking = Callable[[], Awaitable[str]]  # one request; the version whose first text (or headers) just arrived


class Watch:
    """Notes when the route changes and when the first answer of its new version arrives."""

    def __init__(self, arbiter: Arbiter) -> None:
        self.taken: list[float] = []
        self.failed = 0
        self._since: tuple[str, float] | None = None
        self._put, self._live = arbiter.live.put_route, arbiter.live
        arbiter.live.put_route = self._changed  # type: ignore[method-assign]

    def _changed(self, route: object) -> None:
        self._put(route)  # type: ignore[arg-type]
        self._since = (str(self._live.routes.get(TASK).incumbent), time.perf_counter())

    def served(self, version: str) -> None:
        if self._since is not None and version == self._since[0]:
            self.taken.append(time.perf_counter() - self._since[1])
            self._since = None


async def measure(arbiter: Arbiter, watch: Watch, ask: Asking, swaps: int, clients: int) -> None:
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            watch.served(await ask())
            await asyncio.sleep(PAUSE_S)

    asking = [asyncio.create_task(client()) for _ in range(clients)]
    for n in range(swaps):
        done = await arbiter.swap(TASK, "ba"[n % 2])
        watch.failed += done.result != "done"
        while len(watch.taken) <= n:  # noqa: ASYNC110 - the next swap only after this one has served
            await asyncio.sleep(0.001)
    stop.set()
    await asyncio.gather(*asking)


async def in_process(swaps: int) -> Watch:
    async with arbiter_on_fakes({"a": Behaviour(), "b": Behaviour()}) as arbiter:
        watch = Watch(arbiter)

        async def ask() -> str:
            answer = await arbiter.begin(f"arbiter/{TASK}", ASK, task=TASK)
            try:
                async for chunk in answer:
                    if isinstance(chunk, Text):
                        return answer.version.version
            finally:
                await answer.aclose()
            return ""

        await measure(arbiter, watch, ask, swaps, clients=4)
        return watch


@contextlib.asynccontextmanager
async def gateway(arbiter: Arbiter) -> AsyncIterator[str]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    listener.setblocking(False)
    config = uvicorn.Config(build_app(arbiter, on_stop=lambda: None), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def over_http(swaps: int) -> Watch:
    async with (
        arbiter_on_fakes({"a": Behaviour(), "b": Behaviour()}) as arbiter,
        gateway(arbiter) as url,
        session() as s,
    ):
        watch = Watch(arbiter)
        body = {"model": f"arbiter/{TASK}", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}

        async def ask() -> str:
            async with s.post(f"{url}/v1/chat/completions", json=body) as answer:
                version = answer.headers.get("X-Arbiter-Model", "")
                watch.served(version)
                await answer.read()
                if answer.status != 200:
                    watch.failed += 1
                return version

        await measure(arbiter, watch, ask, swaps, clients=1)
        return watch


async def real(s: aiohttp.ClientSession, url: str) -> list[float]:
    """Seconds of the phase "switching" of forced swaps between two real, warm models."""
    pair = (await ready_versions(s, url))[:2]
    if len(pair) < 2:
        return []
    for version in pair:
        await call(s, url, "POST", f"/models/{version}/warm?wait=60", {})
    await call(s, url, "POST", "/swaps?wait=60", {"task": "sentiment", "to": pair[1]})
    found = []
    for n in range(REAL_SWAPS):
        event = await call(s, url, "POST", "/swaps?wait=60", {"task": "sentiment", "to": pair[n % 2]})
        found += [p["seconds"] for p in event["phases"] if p["name"] == "switching"]
    return found


async def main(swaps: int, with_real: bool) -> None:
    inside, http = await in_process(swaps), await over_http(swaps)
    phases: list[float] = []
    if with_real:
        with Engine('[autopilot]\nmode = "off"\nsentinels_per_hour = 0\n') as engine:
            async with session() as s:
                phases = await real(s, engine.url)
    measured = {
        "in_process": summary(inside.taken),
        "over_http": summary(http.taken),
        "real_models_switch_phase": summary(phases) if phases else None,
        "failed": inside.failed + http.failed,
    }
    met = not measured["failed"] and all(quantile(w.taken, 0.99) <= LIMIT_S for w in (inside, http))
    emit("switch", {"in_process": "<= 5 ms p99", "over_http": "<= 5 ms p99", "failed": "0"}, measured, met)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--swaps", type=int, default=300)
    ap.add_argument("--no-real", action="store_true")
    args = ap.parse_args()
    run(main(args.swaps, not args.no_real))
