"""What the door adds to a request: keys checked and limits counted, against no guard at all, interleaved in one run.

The guarded application answers at once, so that nothing but the guard is measured: without a key, with a key that was
found good before (and has rates), and with a key of a foreign kind, each in turns. The cost of finding a key good for
the first time (one scrypt, on another thread) is told apart. Prints JSON; microseconds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from harness import emit

from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.engine.keyring import KeyRing
from arbiter_tui.gateway.auth import KeyGuard
from arbiter_tui.gateway.limits import HostGuard
from arbiter_tui.testing import MemoryStore

ROUNDS = 40
PER_ROUND = 500
BYTES_OF_SECRET = 43

App = Callable[[Any, Any, Any], Awaitable[None]]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    return None


async def nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def drop(message: Any) -> None:
    return None


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """A chat request as uvicorn gives it, with what the official clients send."""
    sent = [(b"host", b"127.0.0.1:8017"), (b"accept", b"application/json"), (b"content-type", b"application/json"),
            (b"user-agent", b"OpenAI/Python 1.60"), *headers, (b"content-length", b"120")]  # fmt: skip
    return {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": sent, "query_string": b""}


async def timed(app: App, asked: dict[str, Any]) -> float:
    """Microseconds per request."""
    began = time.perf_counter()
    for _ in range(PER_ROUND):
        await app(asked, nothing, drop)
    return (time.perf_counter() - began) / PER_ROUND * 1e6


async def measure() -> dict[str, Any]:
    ring, clock = KeyRing(MemoryStore(), SystemClock()), SystemClock()
    _, token = await ring.create("app", requests_per_minute=1e9, tokens_per_minute=1e9)
    began = time.perf_counter()
    assert await ring.check(token.encode()) is not None
    first_ms = (time.perf_counter() - began) * 1e3
    key = (b"authorization", b"Bearer " + token.encode())
    foreign = (b"authorization", b"Bearer sk-" + b"x" * BYTES_OF_SECRET)
    ways: dict[str, tuple[App, dict[str, Any]]] = {
        "bare": (answer, scope(key)),
        "host only": (HostGuard(answer), scope(key)),
        "no key": (HostGuard(KeyGuard(answer, ring, clock, required=False)), scope()),
        "foreign key": (HostGuard(KeyGuard(answer, ring, clock, required=False)), scope(foreign)),
        "key": (HostGuard(KeyGuard(answer, ring, clock, required=True)), scope(key)),
    }
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (app, asked) in ways.items():
            seen[name].append(await timed(app, asked))
    medians = {name: round(statistics.median(values), 3) for name, values in seen.items()}
    added = round(medians["key"] - medians["host only"], 3)
    return {
        "median_us": medians,
        "key_added_us": added,
        "key_over_host_check": round(medians["key"] / medians["host only"], 2),
        "first_check_ms": round(first_ms, 1),
        "requests_each": ROUNDS * PER_ROUND,
    }


if __name__ == "__main__":
    found = asyncio.run(measure())
    emit("gate_overhead", {"key_added_us": "<= 50"}, found, found["key_added_us"] <= 50.0)
