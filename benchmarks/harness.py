"""What every benchmark shares: an engine of its own in a temporary folder, load from a process of its own, JSON out.

Figures are ratios within one run and medians, for the machines that run this are noisy. A benchmark ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).resolve().parent.parent
V1 = "/arbiter/v1"
START_S = 60.0


def emit(name: str, must: dict[str, str], measured: dict[str, Any], met: bool | None) -> None:
    """One JSON object on stdout: the benchmark's name, what is asked, what was measured, whether it was met.

    ``machine`` says how busy the machine was; ``met`` None: it could not be measured here.
    """
    machine = {"cores": os.cpu_count(), "load_1m": round(os.getloadavg()[0], 1), "system": sys.platform}
    print(json.dumps({"benchmark": name, "must": must, "measured": measured, "met": met, "machine": machine}, indent=2))


def quantile(values: Sequence[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(q * (len(ordered) - 1))))]


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds: median, p95, p99, worst."""
    ms = [s * 1000 for s in seconds]
    return {
        "n": len(ms),
        "p50_ms": round(statistics.median(ms), 4),
        "p95_ms": round(quantile(ms, 0.95), 4),
        "p99_ms": round(quantile(ms, 0.99), 4),
        "max_ms": round(max(ms), 4),
    }


class Engine:
    """``arbiter serve`` in a process and folder of its own."""

    def __init__(self, config: str = "", *, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="arbiter-bench-"))
        self._own = folder is None
        self.config = self.folder / "arbiter.toml"
        self.config.write_text(config)
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> float:
        """Seconds until readiness says 200."""
        begun = time.monotonic()
        log = open(self.folder / "engine.log", "ab")  # noqa: SIM115 - the child owns it
        self.process = subprocess.Popen(
            [sys.executable, "-m", "arbiter_tui", "serve", "--config", str(self.config), "--state-dir",
             str(self.folder / "state"), "--port", "0"],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        log.close()
        while time.monotonic() - begun < START_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"the engine ended: {(self.folder / 'engine.log').read_text()[-2000:]}")
            found = self._ready()
            if found:
                self.url = found
                return time.monotonic() - begun
            time.sleep(0.01)
        raise RuntimeError("the engine was not ready in time")

    def _ready(self) -> str | None:
        file = self.folder / "state" / "engine.json"
        with contextlib.suppress(OSError, ValueError):
            held = json.loads(file.read_text())
            if self.process is not None and held.get("pid") == self.process.pid and held.get("url"):
                with urllib.request.urlopen(f"{held['url']}/health/readiness", timeout=1):
                    return str(held["url"])
        return None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Engine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(slots=True)
class Streamed:
    """One streamed answer as its client saw it. Seconds from sending."""

    model: str = ""
    id: str = ""
    text: str = ""
    ttft_s: float | None = None
    latency_s: float = 0.0
    pieces: int = 0
    done: bool = False
    error: str | None = None
    told: bool = False  # the error came as an event of the stream, not as a broken connection alone
    status: int = 0

    @property
    def whole(self) -> bool:
        return self.done and self.error is None and self.status == 200


async def stream(
    session: aiohttp.ClientSession, url: str, model: str, prompt: str, *, max_tokens: int = 32,
    seen: Streamed | None = None, **fields: Any,
) -> Streamed:  # fmt: skip
    """POST /v1/chat/completions, streamed, greedy. ``seen`` can be watched while it grows."""
    body = {
        "model": model, "messages": [{"role": "user", "content": prompt}], "stream": True,
        "max_tokens": max_tokens, "temperature": 0, **fields,
    }  # fmt: skip
    seen, begun = seen or Streamed(), time.perf_counter()
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
            seen.status, seen.model = answer.status, answer.headers.get("X-Arbiter-Model", "")
            seen.id = answer.headers.get("X-Arbiter-Request-Id", "")
            if answer.status != 200:
                seen.error = (await answer.text())[:300]
            async for line in answer.content:
                _read(seen, line, begun)
    except (aiohttp.ClientError, ConnectionError) as error:
        seen.error = seen.error or f"{type(error).__name__}: {error}"
    seen.latency_s = time.perf_counter() - begun
    return seen


def _read(seen: Streamed, line: bytes, begun: float) -> None:
    if not line.startswith(b"data: "):
        return
    if line.startswith(b"data: [DONE]"):
        seen.done = True
        return
    event = json.loads(line[6:])
    if "error" in event:
        seen.error, seen.told = str(event["error"]), True
        return
    for choice in event.get("choices", []):
        if piece := (choice.get("delta") or {}).get("content"):
            seen.ttft_s = seen.ttft_s or time.perf_counter() - begun
            seen.text += piece
            seen.pieces += 1


@contextlib.asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=180), connector=aiohttp.TCPConnector(limit=0)
    ) as s:
        yield s


async def call(s: aiohttp.ClientSession, url: str, method: str, path: str, body: Any = None) -> Any:
    """One control call; raises with the problem's text unless 2xx."""
    async with s.request(method, f"{url}{V1}{path}", json=body) as answer:
        data = await answer.json(content_type=None)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data}")
        return data


async def ready_versions(s: aiohttp.ClientSession, url: str, *, provider: str = "llama_server") -> list[str]:
    """Active versions of one embedded provider, in registration order."""
    found = await call(s, url, "GET", "/models?limit=1000")
    return [m["version"] for m in found["items"] if m["provider"] == provider and m["lifecycle"] == "active"]


async def everything(s: aiohttp.ClientSession, url: str, path: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await call(s, url, "GET", f"{path}?limit=1000{after}")
        found += page["items"]
        if not page["next"]:
            return found
        after = f"&after={page['next']}"


def family(pid: int) -> list[psutil.Process]:
    """A process's descendants, as they are now."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that still run (the same process, not another one with its number; a zombie is dead)."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def run(main: Coroutine[Any, Any, None], seconds: float = 570.0) -> None:
    """On the event loop that the engine itself uses; ends by itself, whatever hangs."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await main

    if sys.platform == "win32":
        asyncio.run(bounded())
    else:
        import uvloop

        uvloop.run(bounded())
