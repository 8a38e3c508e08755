"""The provider on a server of the user's own that is started for each model: llama-server, vLLM, mlx_lm.server …

Owns: the processes of the configured command. Never: a command that did not come from the configuration file.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import ModelUnusable, Overloaded, ProviderError, WorkerDied
from arbiter_tui.provider import (
    Chunk,
    Done,
    EventSink,
    InstanceStats,
    LoadedModel,
    ProviderConfig,
    Request,
    Sink,
    poured,
)

from . import _openai_wire as wire
from . import _tools
from ._local import MIB, Settings, describe, predicted_bytes
from ._openai_runtime import Runtime
from ._options import flag, known, names, positive, seconds
from ._process import Child, Vigil, launch
from ._running import RunningModel
from ._server_presets import PLACEHOLDERS, PRESETS, filled, for_program, preset_flags

HOST = "127.0.0.1"
STOP_S = 1.5  # then the supervisor ends it itself
OPTIONS = ("command", "preset", "models", "health", "start_timeout_s", "stop_timeout_s", "context", "parallel", "chat",
           "env", "api_key", "tensor_parallel", "pipeline_parallel", "ray_address", "rpc", "hang_timeout_s",
           "stall_timeout_s", "offline", "model_dirs")  # fmt: skip
_ENGINE_BYTES = 80 * MIB  # the server itself and the process that answers for it
_NOTICE_S = 2.0
_SECRET = re.compile(r"(?i)(key|token|password|passwd|secret|authorization)$")  # of a variable that holds one
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:[\w.-]+)?")


class ServerProvider:
    """Options: command (needed; with {source} and {port}), preset (latency, balanced, throughput), models (sources to
    list), health (default /health), start_timeout_s (default 300), stop_timeout_s (1.5), context, parallel, chat, env,
    api_key (where the server is told to want one, as by env = { LLAMA_API_KEY = "env:NAME" }), tensor_parallel,
    pipeline_parallel, ray_address (vLLM), rpc (llama.cpp's nodes), hang_timeout_s, stall_timeout_s, offline (default
    true: nothing is fetched from a hub)."""

    kind = "server"
    relays = wire.OWN

    def __init__(self, config: ProviderConfig) -> None:
        self.name = config.name
        o = config.options
        known(o, OPTIONS)
        preset = o.get("preset", "balanced")
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
        self._command = _checked(o.get("command"))
        for_program(self._command, o)
        self._command += preset_flags(
            self._command, preset, tensor=positive(o.get("tensor_parallel"), "tensor_parallel"),
            pipeline=positive(o.get("pipeline_parallel"), "pipeline_parallel"), rpc=names(o.get("rpc"), "rpc"),
        )  # fmt: skip
        self._env = _environment(o.get("env"))
        if flag(o.get("offline"), "offline", True):
            self._env = {"HF_HUB_OFFLINE": "1", **self._env}
        if o.get("ray_address"):
            self._env["RAY_ADDRESS"] = str(o["ray_address"])
            self._command += ["--distributed-executor-backend", "ray"]
        self._sources = list(names(o.get("models"), "models"))
        own = {name: o[name] for name in ("context", "parallel", "hang_timeout_s", "model_dirs") if name in o}
        self._settings = Settings.of({"parallel": PRESETS[preset], "hang_timeout_s": 60.0, **own})
        self._chat = flag(o.get("chat"), "chat", True)
        self._health = _path(o.get("health", "/health"))
        self.load_timeout_s = seconds(o.get("start_timeout_s"), "start_timeout_s", 300.0)
        self._stop_s = seconds(o.get("stop_timeout_s"), "stop_timeout_s", STOP_S)
        if self._stop_s > STOP_S:
            raise ValueError(f"stop_timeout_s may be {STOP_S:g} at most: an engine that stops waits no longer for it")
        self._stall_s = seconds(o.get("stall_timeout_s"), "stall_timeout_s", 120.0)
        self._key = o.get("api_key")
        self._secrets = [self._key or "", *(v for k, v in self._env.items() if _SECRET.search(k))]
        self._loaded: set[ServerModel] = set()

    async def available(self) -> str | None:
        program = self._command[0]
        if shutil.which(program) is None:
            return f"{program} is not installed or not on PATH: correct `command` of the provider {self.name}"
        return None

    async def discover(self) -> list[ModelVersion]:
        """Those of ``models`` that can be used; `inspect` of another says why not."""
        if await self.available() is not None:
            return []
        found = await asyncio.gather(*(self.inspect(s) for s in self._sources), return_exceptions=True)
        return [version for version in found if isinstance(version, ModelVersion)]

    async def inspect(self, source: str) -> ModelVersion:
        """A GGUF file is read; a folder or a hub's ``org/name`` is the server's own affair."""
        if _is_file(source):
            return await asyncio.to_thread(
                describe, source, provider=self.name, suffix=self.name, settings=self._settings
            )
        safe = wire.safe_name(source)
        return ModelVersion(
            version=f"{safe}.{wire.safe_name(self.name)[:20]}", provider=self.name, model=safe, source=source,
            context=self._settings.context, parallel=self._settings.parallel,
            capabilities=frozenset({"text-generation", *(("chat",) if self._chat else ())}),
        )  # fmt: skip

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        return predicted_bytes(version, engine_bytes=_ENGINE_BYTES, parallel=version.parallel, windowed=False)

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        port = _free_port()
        runtime = Runtime(f"http://{HOST}:{port}", key=self._key, stall_s=self._stall_s)
        child, _ = await launch(
            "arbiter_providers._server_worker",
            {"command": filled(self._command, version, host=HOST, port=port, context=self._settings.context),
             "host": HOST, "port": port, "health": self._health, "env": self._env, "stop_s": self._stop_s},
            version=version.version, timeout_s=timeout_s, on_event=on_event, tree=True, hidden=self._secrets,
        )  # fmt: skip
        try:
            served = await _served(runtime, version)
            props = await runtime.props()  # llama-server alone has them, and takes GBNF
        except BaseException:
            await asyncio.shield(_undo(child, runtime))
            raise
        chat = bool(version.options.get("chat", self._chat))
        speaker = RunningModel(
            runtime, version, wire.Dialect(served, grammar=bool(props), chat=chat, tools=_tools.supported(props)),
            on_event=lambda event: None, forget=lambda model: None,
        )  # fmt: skip
        model = ServerModel(self._loaded, child, runtime, speaker, hang_timeout_s=self._settings.hang_timeout_s)
        self._loaded.add(model)
        return model

    async def close(self) -> None:
        await asyncio.gather(*(m.unload() for m in list(self._loaded)))


class ServerModel:
    """One running server and the model that it serves."""

    def __init__(
        self,
        siblings: set[ServerModel],
        child: Child,
        runtime: Runtime,
        speaker: RunningModel,
        *,
        hang_timeout_s: float,
    ) -> None:
        self.version = speaker.version
        self._siblings, self._child, self._runtime, self._speaker = siblings, child, runtime, speaker
        self._vigil = Vigil(child, hang_timeout_s, runtime.healthy)

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if not self._child.alive:
            raise self._child.died()
        try:
            with self._vigil.request():
                async with aclosing(self._speaker.generate(request)) as chunks:
                    async for chunk in chunks:
                        self._vigil.touch()
                        yield chunk
        except WorkerDied as error:
            raise await self._dead(error) from error

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        """The server's own bytes."""
        relayed = self._speaker.relay(request)
        return None if relayed is None else self._relay(relayed)

    async def _relay(
        self, relayed: AsyncGenerator[bytes | Done, Sink | None]
    ) -> AsyncGenerator[bytes | Done, Sink | None]:
        if not self._child.alive:
            raise self._child.died()
        try:
            with self._vigil.request():
                async with aclosing(relayed):
                    piece = await anext(relayed, None)
                    while piece is not None:
                        self._vigil.touch()
                        sink = yield piece
                        told = None if sink is None else _Watched(sink, self._vigil)
                        piece = await (anext(relayed, None) if told is None else poured(relayed, told))
        except WorkerDied as error:
            raise await self._dead(error) from error

    def whole(self, request: Request) -> Awaitable[tuple[bytes, Done]] | None:
        coming = self._speaker.whole(request)
        return None if coming is None else self._whole(coming)

    async def _whole(self, coming: Awaitable[tuple[bytes, Done]]) -> tuple[bytes, Done]:
        try:
            with self._vigil.request():
                return await coming
        except WorkerDied as error:
            raise await self._dead(error) from error

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not self._child.alive:
            raise self._child.died()
        with self._vigil.request():
            return await self._speaker.embed(texts)

    async def embed_with(self, texts: Sequence[str], extra: Mapping[str, Any]) -> tuple[list[list[float]], int | None]:
        if not self._child.alive:
            raise self._child.died()
        with self._vigil.request():
            return await self._speaker.embed_with(texts, extra)

    async def health(self) -> bool:
        return self._child.alive and await self._runtime.healthy()

    async def stats(self) -> InstanceStats:
        """Memory and CPU of the whole process tree; what a graphics card holds is the hardware view's affair."""
        resident = await asyncio.to_thread(self._child.resident_bytes)
        return InstanceStats(
            resident_bytes=resident, cpu_s=self._child.cpu_s(), context=self.version.context,
            parallel=self.version.parallel, pid=self._child.pid,
            base_url=self._runtime.base_url if self._child.alive else None,
            load=await self._speaker.harvest.load() if self._child.alive else None,
        )  # fmt: skip

    def log(self) -> list[str]:
        return self._child.log()

    async def unload(self) -> None:
        self._siblings.discard(self)
        self._vigil.close()
        await self._child.stop()
        await self._speaker.unload()
        await self._runtime.close()

    async def _dead(self, error: WorkerDied) -> ProviderError:
        """A connection was cut in mid-answer: wait until the server's end is noticed, so that the error can say why."""
        try:
            async with asyncio.timeout(_NOTICE_S):
                await self._child.gone.wait()
        except TimeoutError:
            return ProviderError(str(error))
        return self._child.died()


class _Watched:
    """A sink on whose way the pieces count as progress."""

    __slots__ = ("_sink", "_vigil", "drain")

    def __init__(self, sink: Sink, vigil: Vigil) -> None:
        self._sink, self._vigil, self.drain = sink, vigil, sink.drain

    def write(self, data: bytes) -> bool:
        self._vigil.touch()
        return self._sink.write(data)


def _is_file(source: str) -> bool:
    """Is it a model file's path, rather than a folder or a hub's name?"""
    path = Path(source).expanduser()
    return not path.is_dir() and (path.suffix == ".gguf" or not _HUB_NAME.fullmatch(source))


def _checked(command: Any) -> list[str]:
    if not isinstance(command, list | tuple) or not command or not all(isinstance(part, str) for part in command):
        raise ValueError(
            'command is needed: a list of words, as in ["llama-server", "-m", "{source}", "--port", "{port}"]'
        )
    known = {"{" + name + "}" for name in PLACEHOLDERS}
    for part in command:
        if strange := set(re.findall(r"\{\w+\}", part)) - known:
            raise ValueError(f"command: {', '.join(sorted(strange))} is none of {', '.join(sorted(known))}")
    if not any("{port}" in part for part in command):
        raise ValueError("command needs {port}: the arbiter chooses it")
    return list(command)


def _environment(value: Any) -> dict[str, str]:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError('env must be a table, as in { HF_HOME = "/models" }')
    return {str(k): str(v) for k, v in (value or {}).items()}


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError(f'health must be a path of the server, as in "/health", not {value!r}')
    return value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _served(runtime: Runtime, version: ModelVersion) -> str:
    """The name under which the server knows its model."""
    try:
        listed = [e["id"] for e in await runtime.models() if isinstance(e.get("id"), str)]
    except (ModelUnusable, Overloaded):
        listed = []
    return listed[0] if listed and version.source not in listed else version.source


async def _undo(child: Child, runtime: Runtime) -> None:
    await child.stop()
    await runtime.close()
