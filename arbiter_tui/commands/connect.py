"""How a command reaches an engine: a URL, this state folder's engine, a new one in the background, or none at all.

Owns: finding and starting an engine process. Never: what is asked of it.

Without a running engine, commands that read or configure open the state folder themselves, under its lock, behind the
same control API (in-process): there is one code path, and two engines never share a folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client import ControlClient, fetch_json, use_own_key
from ..config import find, load
from ..config import state_dir as default_state_dir
from ..errors import EngineUnreachable, Refused
from ..wire import snapshot_from

if TYPE_CHECKING:
    from ..config import Config

START_TIMEOUT_S = 30.0
BACKGROUND_FILE = "engine.background"  # the pid of an engine that ends with the command or cockpit that started it


def load_config(options: Namespace) -> Config:
    path = Path(options.config) if options.config else find()
    return load(path)


def state_dir(options: Namespace) -> Path:
    return default_state_dir(options.state_dir)


def running(options: Namespace) -> dict[str, Any] | None:
    """{pid, url} of this state folder's engine, None without one."""
    from ..adapters.state_folder import own_key
    from ..adapters.state_folder import running as engine_of

    found = engine_of(state_dir(options))
    if not found or not found.get("url"):
        return None
    use_own_key(str(found["url"]), lambda: own_key(state_dir(options)))
    return dict(found)


def engine_url(options: Namespace) -> str | None:
    """Where the engine is: --url, else this state folder's; None if none runs."""
    if options.url:
        return str(options.url).rstrip("/")
    found = running(options)
    return str(found["url"]) if found else None


def refuse_read_only(options: Namespace, what: str) -> None:
    if options.read_only:
        raise Refused(f"read-only: {what} was refused (drop --read-only to allow it)")


def spawn(options: Namespace, *, port: int | None = None) -> subprocess.Popen[bytes]:
    """Start this state folder's engine in a session of its own; its words go to engine.log beside the state."""
    folder = state_dir(options)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "arbiter_tui", "serve", "--state-dir", str(folder)]
    if options.config:
        command += ["--config", str(Path(options.config).resolve())]
    if port is not None:
        command += ["--port", str(port)]
    with open(folder / "engine.log", "ab", opener=lambda p, f: os.open(p, f, 0o600)) as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    with contextlib.suppress(OSError):  # only a hint for cockpits that join it
        (folder / BACKGROUND_FILE).write_text(str(process.pid), encoding="ascii")
    return process


def in_background(options: Namespace, found: Mapping[str, Any]) -> bool:
    """Whether the running engine was started by a command or cockpit, and will end with it."""
    try:
        return (state_dir(options) / BACKGROUND_FILE).read_text(encoding="ascii") == str(found.get("pid"))
    except (OSError, ValueError):
        return False


def wait_for_engine(options: Namespace, process: subprocess.Popen[bytes]) -> str:
    """The URL once the new engine answers. Raises EngineUnreachable with the end of its log."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EngineUnreachable(f"the engine did not start: {_last_words(options)}", details={"ended": True})
        found = running(options)
        if found:
            with contextlib.suppress(EngineUnreachable):
                if not _starting(str(found["url"])):
                    return str(found["url"])
        time.sleep(0.02)
    raise EngineUnreachable(f"the engine did not answer within {START_TIMEOUT_S:.0f} s: {_last_words(options)}")


def _starting(url: str) -> bool:
    """It listens before it has read its state; until then it refuses work."""
    return bool(fetch_json(url, "/health/liveness", timeout=1.0)["status"] == "starting")


def until_started(url: str) -> None:
    """An engine that another command has just begun is waited for."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with contextlib.suppress(EngineUnreachable):  # then the request itself says it best
        while _starting(url) and time.monotonic() < deadline:
            time.sleep(0.05)


def _last_words(options: Namespace) -> str:
    log = state_dir(options) / "engine.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    said = [line for line in lines if line.startswith("arbiter: ")] or lines
    return said[-1].removeprefix("arbiter: ") if said else "it said nothing"


def start(options: Namespace) -> str:
    """Start an engine and wait until it answers."""
    return wait_for_engine(options, spawn(options))


@contextlib.asynccontextmanager
async def client(options: Namespace, *, without_engine: str = "offline") -> AsyncIterator[ControlClient]:
    """A client of the engine. ``without_engine``: offline (open the state folder), start (for the command's duration),
    or fail (exit code 3)."""
    url = engine_url(options)
    if url is not None:
        await asyncio.to_thread(until_started, url)
        async with ControlClient(url) as api:
            yield api
        return
    match without_engine:
        case "start":
            process = spawn(options, port=0)
            try:
                url = await asyncio.to_thread(wait_for_engine, options, process)
                async with ControlClient(url) as api:
                    yield api
            finally:
                await asyncio.to_thread(end, process)
        case "offline":
            async with offline(options) as api:
                yield api
        case _:
            raise EngineUnreachable("no engine runs on this state folder; start it with `arbiter` or `arbiter serve`")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask politely (it drains), insist after its own deadline."""
    process.terminate()
    try:
        process.wait(timeout=12)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def offline(options: Namespace) -> AsyncIterator[ControlClient]:
    """The control API over the state folder itself: nothing is loaded, swaps only store the route."""
    import httpx

    from ..adapters.clock import SystemClock
    from ..adapters.store import SqliteStore
    from ..daemon import Daemon
    from ..gateway.app import build_app

    clock = SystemClock()
    folder = state_dir(options)
    store = await SqliteStore.open(folder, url=None, clock=clock)
    if store.notice:
        print(f"arbiter: {store.notice}", file=sys.stderr)
    try:
        daemon = Daemon(load_config(options), folder, announce=False)
        arbiter = daemon.build(store, clock)
        await arbiter.start(serving=False)
        try:
            app = build_app(arbiter, on_stop=lambda: None, trusted=True)
            async with ControlClient("http://localhost", transport=httpx.ASGITransport(app=app)) as api:
                yield api
        finally:
            await arbiter.stop(deadline_s=2.0)
    finally:
        await store.close()


class Reader:
    """Synchronous reads, without httpx where an engine runs. Use as a context manager."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._url: str | None = None

    def __enter__(self) -> Reader:
        self._url = engine_url(self._options)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get(self, path: str, *, timeout: float = 10.0) -> Any:
        if self._url is not None:
            return fetch_json(self._url, path, timeout=timeout)
        return asyncio.run(self._offline(path))

    async def _offline(self, path: str) -> Any:
        async with offline(self._options) as api:
            return await api.get(path)

    def need_engine(self, what: str) -> None:
        if self._url is None:
            raise EngineUnreachable(f"{what} needs a running engine; start it with `arbiter` or `arbiter serve`")

    def snapshot(self, *, after: int = 0, wait: float = 0.0) -> dict[str, Any]:
        found = self.get(f"/arbiter/v1/snapshot?after={after}&wait={wait:g}", timeout=wait + 10.0)
        snapshot_from(self._url or "this state folder", found)  # raises where it is not what it should be
        return dict(found)

    def requests(self) -> list[dict[str, Any]]:
        return list(self.get("/arbiter/v1/requests?limit=50")["items"])


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
