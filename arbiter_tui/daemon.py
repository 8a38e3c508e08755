"""The composition root: the only place where adapters meet the engine, and the engine meets HTTP.

Owns: the life of an engine process (lock, store, providers, engine, server, signals) in that order, and its reverse.
Never: a decision, a screen.

Stopping (SIGTERM, SIGINT, SIGHUP, or POST /engine/stop) refuses new work, drains, ends the workers, flushes the store,
all under one deadline of ten seconds; a second signal ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ArbiterError, ConfigError

if TYPE_CHECKING:
    import uvicorn

    from .config import Config
    from .core.tasks import Task
    from .core.verify import SuiteItem
    from .engine.arbiter import Arbiter
    from .engine.webhooks import Hook, Webhooks
    from .integrations.opentelemetry import Spans
    from .ports import Clock, Store

STOP_DEADLINE_S = 10.0
SWITCH_S = 0.001  # the store's thread lets the loop in after so long; Python's own 5 ms are ten answers
HOLDER_S = 0.5  # for whoever holds the port to say who it is


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; a port that is taken is a ConfigError that says how to choose another."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"can't listen on {host}:{port}: {_holder(host, port) or error.strerror}; choose another with --port N or "
            f"[server] port (--port 0 takes any free one)"
        ) from error
    listener.listen(256)
    listener.setblocking(False)
    return listener


def _holder(host: str, port: int) -> str:
    """Who listens there, where it is another engine, and how to look at that one; empty where that can't be told."""
    from http.client import HTTPConnection, HTTPException

    at = "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host
    connection = HTTPConnection(at, port, timeout=HOLDER_S)
    try:
        connection.request("GET", "/health/liveness")  # open to everybody: no key of ours goes there
        told = json.loads(connection.getresponse().read(2000))
    except (OSError, HTTPException, ValueError):
        return ""
    finally:
        connection.close()
    if not isinstance(told, dict) or not {"status", "version"} <= set(told):
        return ""
    url = f"http://[{at}]:{port}" if ":" in at else f"http://{at}:{port}"
    return f"another arbiter engine is there already, arbiter attach {url} shows it"


class Daemon:
    """One engine process. ``run`` returns the exit code."""

    def __init__(self, config: Config, state_dir: Path, *, port: int | None = None, announce: bool = True) -> None:
        self._file = config  # as it was read: --port is not the file's
        self.config = config if port is None else replace(config, server=replace(config.server, port=port))
        self.state_dir = state_dir
        self.announce = announce
        self._stop = asyncio.Event()
        self._signals = 0

    def request_stop(self) -> None:
        self._stop.set()

    def _on_signal(self) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(130)
        self.request_stop()

    def _say(self, text: str) -> None:
        if self.announce:
            # The terminal may be gone (SIGHUP): a broken pipe must not stop the stopping.
            with contextlib.suppress(OSError, ValueError):
                print(text, file=sys.stderr, flush=True)

    async def run(self) -> int:
        from .adapters.clock import SystemClock
        from .adapters.state_folder import refuse_a_second
        from .adapters.store import SqliteStore

        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(name, self._on_signal)
        try:
            listener = bind(self.config.server.host, self.config.server.port)
        except ConfigError:
            refuse_a_second(self.state_dir)  # it may well be this folder's own engine that listens there
            raise
        url = replace(self.config.server, port=listener.getsockname()[1]).url
        clock = SystemClock()
        try:
            store = await SqliteStore.open(self.state_dir, url=url, clock=clock, retention=self.config.retention)
        except BaseException:
            listener.close()
            raise
        if store.notice:
            self._say(f"arbiter: {store.notice}")
        try:
            return await self._serve(store, listener, url, clock)
        finally:
            await store.close()

    async def _serve(self, store: Store, listener: socket.socket, url: str, clock: Clock) -> int:
        from .adapters.logs import EventLog
        from .adapters.posts import Poster
        from .engine.webhooks import Webhooks

        arbiter = self.build(store, clock, port=listener.getsockname()[1])
        await self._lock_doors(arbiter)
        log = EventLog(asyncio.get_running_loop(), lambda text, level: arbiter.live.event("log", text, level=level))
        log.listen()
        spans = spans_of(self.config, arbiter)
        poster = Poster()
        webhooks = Webhooks(hooks_of(self.config), arbiter.live, poster.post)
        arbiter.live.on_swap.append(webhooks.saw)
        posting = asyncio.create_task(webhooks.run(), name="webhooks")
        server = _server(arbiter, self.request_stop, Rereader(self._file, arbiter, webhooks).reload)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        starting = asyncio.create_task(arbiter.start(), name="start")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait({starting, stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                _settle_memory()
                sys.setswitchinterval(SWITCH_S)
                self._say(f"arbiter: serving at {url}  (state: {self.state_dir}; ctrl+c stops)")
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not starting.done():
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
            await self._wind_down(arbiter, server, serving)
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)
            await poster.close()
            if spans is not None:
                await asyncio.to_thread(spans.close)
            log.leave()
        return 0

    async def _lock_doors(self, arbiter: Arbiter) -> None:
        """Before anybody is served: the keys are known, and who owns the state folder has one. Raises ConfigError."""
        from .adapters.state_folder import hand_key

        server = self.config.server
        await arbiter.keyring.load()
        if server.exposed and not arbiter.keyring.usable():
            where = self.config.path or "the configuration"
            raise ConfigError(
                f"{where}: server.host = {server.host!r}: other machines may reach this address, and there is no key; "
                'make one with `arbiter key create NAME`, or serve loopback only (host = "127.0.0.1")'
            )
        if server.keys_required:
            hand_key(self.state_dir, arbiter.keyring.own())

    async def _wind_down(self, arbiter: Arbiter, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        self._say("arbiter: draining and stopping")
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await arbiter.stop(deadline_s=STOP_DEADLINE_S - 2.0)
        except TimeoutError:
            self._say("arbiter: the deadline passed; the workers were ended")
        server.should_exit = True
        done, _ = await asyncio.wait({serving}, timeout=1.0)
        if not done:
            server.force_exit = True
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    def build(self, store: Store, clock: Clock, *, port: int | None = None) -> Arbiter:
        """``port``: the one that listens, where the configuration left the choice to the system."""
        from .adapters.hardware import open_probe
        from .adapters.machine import fingerprint
        from .adapters.plugins import load_policies, load_providers
        from .config_whole import tasks_of
        from .data import bundled_suites
        from .engine.arbiter import Arbiter

        load_policies()
        tasks = tasks_of(self.config)
        server = self.config.server if port is None else replace(self.config.server, port=port)
        return Arbiter(
            replace(self.config, tasks=tasks, server=server),
            store=store,
            providers=load_providers(self.config.providers, model_dirs=model_folders(self.config)),
            probe=open_probe(
                [("state", self.state_dir.absolute()), *(("models", Path(f)) for f in model_folders(self.config))]
            ),
            clock=clock,
            new_id=ids(),
            suites={**bundled_suites(), **own_suites(tasks, self.config.path)},
            state_dir=str(self.state_dir.absolute()),
            machine=fingerprint(),
        )


def spans_of(config: Config, arbiter: Arbiter) -> Spans | None:
    """OpenTelemetry's, where [telemetry] says where they go; else nothing of it is imported. Raises ConfigError."""
    endpoint = config.telemetry.otlp_endpoint
    if endpoint is None:
        return None
    try:
        from .integrations.opentelemetry import Spans, exporting

        spans = Spans(exporting(endpoint, service=config.telemetry.service_name))
    except ImportError as error:
        where = f"{config.path or 'the configuration'}: telemetry.otlp_endpoint"
        told = f"{where}: needs the extra otel ({error.name} is missing): pip install 'arbiter-tui[otel]'"
        raise ConfigError(told) from error
    arbiter.live.on_outcome.append(spans.saw)
    arbiter.live.on_embedding.append(spans.saw)
    return spans


def hooks_of(config: Config) -> list[Hook]:
    """The [[webhooks]] blocks with their secrets. Raises ConfigError for one that can't be found."""
    from .adapters.secrets import is_reference, resolve
    from .engine.webhooks import Hook, secret_bytes

    return [
        Hook(
            name=b.name, events=b.events, url=resolve(b.url) if is_reference(b.url) else b.url,
            secret=None if b.secret is None else secret_bytes(resolve(b.secret)),
        )
        for b in config.webhooks
    ]  # fmt: skip


def ids() -> Callable[[], str]:
    """Names of requests and swaps: 64 bits that nobody can guess, without a call of the system for each."""
    chance = random.Random(os.urandom(32))
    return lambda: f"{chance.getrandbits(64):016x}"


def _settle_memory() -> None:
    """What the start has made stays: the garbage collector need not visit it again in the middle of an answer. What a
    request makes is freed without it; it looks for rings once in some hundred requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def model_folders(config: Config) -> tuple[str, ...]:
    """[pool] model_dirs as absolute paths: relative ones lie beside the configuration file."""
    base = config.path.parent if config.path else Path()
    return tuple(str((base / Path(folder).expanduser()).absolute()) for folder in config.pool.model_dirs)


def own_suites(tasks: Sequence[Task], config: Path | None) -> dict[str, tuple[SuiteItem, ...]]:
    """The suites that are files (``suite = "suites/code-review.jsonl"``), relative to the configuration's folder.

    Raises ConfigError that names the file and the line.
    """
    from .core.verify import parse_suite

    found = {}
    for task in tasks:
        if task.suite is None or not task.suite.endswith(".jsonl"):
            continue
        path = (config.parent if config else Path()) / Path(task.suite).expanduser()
        try:
            found[task.suite] = parse_suite(task.name, path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{config}: tasks.{task.name}.suite = {task.suite!r}: {error}") from error
    return found


class Rereader:
    """The configuration file of an engine that serves, read again. ``file``: what it said at the start."""

    def __init__(self, file: Config, arbiter: Arbiter, webhooks: Webhooks) -> None:
        self._file = file
        self._arbiter = arbiter
        self._webhooks = webhooks
        self._one_at_a_time = asyncio.Lock()

    async def reload(self, dry_run: bool) -> dict[str, Any]:
        """{file, applied, not_applied}. Raises ConfigError: then nothing has changed."""
        from .engine.reload import adopt, compare

        async with self._one_at_a_time:
            file, config, suites, hooks = await asyncio.to_thread(self._read)
            if dry_run:
                found = compare(self._arbiter.config, config)
            else:
                found = await adopt(self._arbiter, config, suites)
                self._webhooks.adopt(hooks)
        later = [{"key": key, "why": why} for key, why in found.later.items()]
        return {"file": file, "dry_run": dry_run, "applied": list(found.applied), "not_applied": later}

    def _read(self) -> tuple[str | None, Config, dict[str, tuple[SuiteItem, ...]], list[Hook]]:
        """All that can be wrong with a file is found here."""
        from .config import load
        from .config_whole import check_blocks, tasks_of
        from .data import bundled_suites

        fresh = load(self._file.path)
        check_blocks(fresh, self._arbiter.providers)
        tasks = tasks_of(fresh)
        if fresh.server.port == self._file.server.port:  # the one that listens may be --port's, or the system's choice
            fresh = replace(fresh, server=replace(fresh.server, port=self._arbiter.config.server.port))
        suites = {**bundled_suites(), **own_suites(tasks, fresh.path)}
        file = None if fresh.path is None else str(fresh.path)
        return file, replace(fresh, tasks=tasks), suites, hooks_of(fresh)


def _server(
    arbiter: Arbiter, on_stop: Callable[[], None], on_reload: Callable[[bool], Awaitable[dict[str, Any]]]
) -> uvicorn.Server:
    import uvicorn

    from .gateway.app import build_app
    from .gateway.protocol import guarded

    protocol = guarded(arbiter.config.server.limits)

    def adopt(config: Config) -> None:
        protocol.limits = config.server.limits

    arbiter.live.on_config.append(adopt)
    config = uvicorn.Config(
        build_app(arbiter, on_stop=on_stop, on_reload=on_reload),
        log_level="warning", access_log=False, lifespan="off", server_header=False, date_header=False,
        proxy_headers=False, http=protocol, ws="none",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # uvicorn would take the signals for itself and close connections before the engine has drained.
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
    return server


def serve(config: Config, state_dir: Path, *, port: int | None = None, announce: bool = True) -> int:
    """Run an engine in the foreground until it is told to stop. Returns the exit code (0, 1, 2)."""
    from .errors import StoreError

    async def main() -> int:
        return await Daemon(config, state_dir, port=port, announce=announce).run()

    try:
        if sys.platform == "win32":
            return asyncio.run(main())
        import uvloop

        return uvloop.run(main())
    except ConfigError as error:
        print(f"arbiter: {error}", file=sys.stderr)
        return 2
    except (StoreError, ArbiterError) as error:
        print(f"arbiter: {error}", file=sys.stderr)
        return 1
