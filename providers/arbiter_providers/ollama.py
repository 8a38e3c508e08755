"""The provider on a running Ollama: its models, over its own HTTP.

Owns: the conversation with one Ollama server; that a version is served by the content that it was registered with.
Never: starting it; pulling a model unasked; a model in this process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import LoadFailed, ModelUnusable, Overloaded, ProviderError, Unreachable, WorkerDied
from arbiter_tui.provider import (
    Chunk,
    Done,
    EventSink,
    InstanceStats,
    LoadedModel,
    ProviderConfig,
    Request,
    Sink,
    WorkerEvent,
)

from . import _ollama_wire as wire
from ._openai_runtime import QUICK_S, Runtime
from ._options import address, known, positive, seconds
from ._passing import passed
from ._streams import chunks

OPTIONS = ("base_url", "context", "parallel", "stall_timeout_s", "api_key")
DEFAULT_URL = "http://127.0.0.1:11434"
LOOK_EVERY_S = 10.0  # at what lies under a loaded model's name: a list of all models, so not at each health question


class OllamaRuntime(Runtime):
    what = "Ollama"

    def error(self, status: int, body: bytes, *, name: str) -> ProviderError | Overloaded:
        return wire.error(status, self.hidden(body), name=name)


class OllamaProvider:
    """Options: base_url, context (tokens, default 4096), parallel (default 1, as Ollama's own), api_key (for one behind
    a proxy that wants it), stall_timeout_s (default 120)."""

    kind = "ollama"
    relays = (wire.CHAT, wire.GENERATE)

    def __init__(self, config: ProviderConfig) -> None:
        self.name = config.name
        known(config.options, OPTIONS)
        url = address(config.options.get("base_url") or DEFAULT_URL, DEFAULT_URL)
        self._context = positive(config.options.get("context"), "context") or 4096
        self._parallel = positive(config.options.get("parallel"), "parallel") or 1
        stall_s = seconds(config.options.get("stall_timeout_s"), "stall_timeout_s", 120.0)
        self.runtime = OllamaRuntime(url, key=config.options.get("api_key"), stall_s=stall_s)
        self._loaded: set[OllamaModel] = set()
        self._weights: dict[str, str | None] = {}  # digest of a model -> the file of its weights

    @property
    def base_url(self) -> str:
        return self.runtime.base_url

    async def available(self) -> str | None:
        try:
            await self.runtime.get("/api/version")
        except Unreachable:
            return f"none answers at {self.base_url}; get it from https://ollama.com, start it with `ollama serve`"
        except (ProviderError, Overloaded) as error:
            return f"{error}: install it from https://ollama.com and start it with `ollama serve`"
        return None

    async def discover(self) -> list[ModelVersion]:
        """What /api/tags lists; an Ollama that is not there has no models."""
        try:
            return await self._versions()
        except Unreachable:
            return []

    async def inspect(self, source: str) -> ModelVersion:
        name = source.removeprefix("ollama:")
        versions = await self._versions()
        for version in versions:
            if version.source in (f"ollama:{name}", f"ollama:{name}:latest"):
                return version
        known = ", ".join(wire.name_of(v) for v in versions) or "nothing"
        raise ModelUnusable(
            f"Ollama at {self.base_url} has no model {name!r}; it has {known} "
            f"(`arbiter register ollama:{name} --pull` lets it fetch one)"
        )

    async def pull(self, source: str) -> AsyncGenerator[tuple[str, float | None], None]:
        """Ollama fetches it into its own store; leaving early stops that, and the next time goes on from there."""
        name = source.removeprefix("ollama:")
        lines = wire.PullLines(self.runtime.error, name=name)
        body = {"model": name, "stream": True}
        async with self.runtime.request("POST", wire.PULL, body, patient=True) as response:
            if response.status != 200:
                raise await self.runtime.refusal(response, name=name)
            async for data in response.content.iter_any():
                for step in lines.feed(data):
                    yield step
        if not lines.done:
            raise ProviderError(f"Ollama, {name}: the download broke off; the same command goes on from there")

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        """An estimate: the file and a quarter more for the KV cache and buffers; /api/ps tells once it is loaded."""
        return None if version.file_bytes is None else version.file_bytes * 5 // 4

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        name = wire.name_of(version)
        options = {} if version.context is None else {"num_ctx": version.context}
        body = {"model": name, "keep_alive": -1, "stream": False, "options": options}
        try:
            async with asyncio.timeout(timeout_s):
                await self.check(version)
                shown = await self.runtime.post(wire.SHOW, {"model": name}, name=name)
                await self.runtime.post(wire.GENERATE, body, name=name, patient=True)
        except TimeoutError:
            await self.release(name)
            raise LoadFailed(f"{version.version} was not ready within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            await asyncio.shield(self.release(name))
            raise
        except (ModelUnusable, Unreachable):
            raise
        except (ProviderError, Overloaded) as error:
            raise LoadFailed(f"{version.version} did not load: {error}") from error
        model = OllamaModel(self, version, name, bare=wire.is_bare(shown), on_event=on_event)
        if version.digest is not None:
            self._weights[version.digest] = wire.weights_of(shown)
        self._loaded.add(model)
        return model

    async def close(self) -> None:
        await asyncio.gather(*(m.unload() for m in list(self._loaded)))
        await self.runtime.close()

    def forget(self, model: OllamaModel) -> None:
        self._loaded.discard(model)

    async def release(self, name: str) -> None:
        """Ask Ollama to unload; if it can't be reached there is nothing left to unload."""
        body = {"model": name, "keep_alive": 0, "stream": False}
        try:
            await self.runtime.post(wire.GENERATE, body, name=name, timeout_s=QUICK_S)
        except (ProviderError, Overloaded):
            return

    async def check(self, version: ModelVersion) -> None:
        """Raises ModelUnusable where Ollama has it no more, or something else under its name."""
        name = wire.name_of(version)
        tag = next((t for t in await self._tags() if wire.tagged(t) == name), None)
        if tag is None:
            raise ModelUnusable(
                f"Ollama at {self.base_url} has no {name} any more; `arbiter register ollama:{name} --pull` fetches "
                "what it is today"
            )
        if version.digest not in (None, wire.digest_of(tag)):
            raise ModelUnusable(
                f"{version.version} is gone: under the name {name} Ollama has another model now "
                f"({wire.short(wire.digest_of(tag))}, not {wire.short(version.digest)}), a version of its own"
            )

    async def held(self, version: ModelVersion) -> dict[str, Any] | None:
        """Our entry in /api/ps. Models with the same weights share a runner, which is listed under one name only."""
        entries = (await self.runtime.get("/api/ps")).get("models") or []
        for entry in entries:
            if wire.digest_of(entry) == version.digest or wire.tagged(entry) == wire.name_of(version):
                return dict(entry)
        ours = self._weights.get(version.digest or "")
        for entry in entries if ours else ():
            if await self._weights_of(entry) == ours:
                return dict(entry)
        return None

    async def _weights_of(self, entry: dict[str, Any]) -> str | None:
        digest, name = wire.digest_of(entry) or "", wire.tagged(entry)
        if digest not in self._weights:
            shown = await self.runtime.post(wire.SHOW, {"model": name}, name=name, timeout_s=QUICK_S)
            self._weights[digest] = wire.weights_of(shown)
        return self._weights[digest]

    async def _tags(self) -> list[dict[str, Any]]:
        tags = (await self.runtime.get("/api/tags")).get("models") or []
        if not isinstance(tags, list):
            raise ProviderError(f"what answers at {self.base_url} lists no models: it is no Ollama")
        return [t for t in tags if isinstance(t, dict) and wire.tagged(t)]

    async def _versions(self) -> list[ModelVersion]:
        found = (
            wire.version_of(tag, provider=self.name, context=self._context, parallel=self._parallel)
            for tag in await self._tags()
        )
        return [version for version in found if version is not None]


class OllamaModel:
    """One model that Ollama holds for us (keep_alive -1: how long is ours to say)."""

    def __init__(
        self, provider: OllamaProvider, version: ModelVersion, name: str, *, bare: bool, on_event: EventSink
    ) -> None:
        self.version = version
        self._provider, self._name, self._bare, self._on_event = provider, name, bare, on_event
        self._gone = self._told = False
        self._looked_at = time.monotonic()

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self._check()
        path, body = wire.call(request, model=self._name, context=self.version.context, bare=self._bare)
        strip = self._bare and bool(request.messages)
        runtime = self._provider.runtime
        lines = wire.Lines(request, error=runtime.error, name=self._name, strip=strip)
        try:
            async with aclosing(chunks(runtime, path, body, lines, name=self._name, gone=self._died)) as pieces:
                async for chunk in pieces:
                    yield chunk
        except WorkerDied as error:
            self._tell(str(error))
            raise

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        """Ollama's own answer to a client of Ollama's."""
        told = wire.original(request, model=self._name, context=self.version.context, bare=self._bare)
        return (
            None if told is None or request.original is None else self._relay(*told, request, request.original.stream)
        )

    async def _relay(
        self, path: str, body: dict[str, Any], request: Request, stream: bool
    ) -> AsyncGenerator[bytes | Done, Sink | None]:
        self._check()
        runtime = self._provider.runtime
        lines = wire.Lines(request, error=runtime.error, name=self._name, strip=False)
        passing = passed(
            runtime, path, body, lines, name=self._name, gone=self._died, whole=None if stream else wire.ended
        )  # fmt: skip
        try:
            async with aclosing(passing) as pieces:
                async for piece in pieces:
                    yield piece
        except WorkerDied as error:
            self._tell(str(error))
            raise

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors, _ = await self.embed_with(texts, {})
        return vectors

    async def embed_with(self, texts: Sequence[str], extra: Mapping[str, Any]) -> tuple[list[list[float]], int | None]:
        self._check()
        if not texts:
            return [], None
        body = {**extra, "model": self._name, "input": list(texts), "keep_alive": -1, "truncate": False}
        if self.version.context is not None:
            body["options"] = {"num_ctx": self.version.context}
        told = await self._provider.runtime.post("/api/embed", body, name=self._name)
        try:
            return [[float(x) for x in row] for row in told["embeddings"]], told.get("prompt_eval_count")
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"Ollama, {self._name}: gave no embeddings ({type(error).__name__})") from error

    async def health(self) -> bool:
        """Does Ollama answer, still hold the model, and still have the same under its name? Asking wakes nothing."""
        try:
            if self._gone or await self._provider.held(self.version) is None:
                return False
            if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
                await self._provider.check(self.version)
                self._looked_at = time.monotonic()
        except ModelUnusable as error:
            self._tell(str(error))
            return False
        except (ProviderError, Overloaded):
            return False
        return True

    async def stats(self) -> InstanceStats:
        try:
            held = await self._provider.held(self.version) or {}
        except (ProviderError, Overloaded):
            held = {}
        size, on_gpu = held.get("size"), held.get("size_vram")
        return InstanceStats(
            resident_bytes=size, context=held.get("context_length"), parallel=self.version.parallel,
            backend=None if on_gpu is None else "GPU" if on_gpu else "CPU", base_url=self._provider.base_url,
        )  # fmt: skip

    def log(self) -> list[str]:
        """Ollama keeps its own log; it does not hand it out."""
        return []

    async def unload(self) -> None:
        if not self._gone:
            self._gone = True
            self._provider.forget(self)
            await self._provider.release(self._name)

    def _check(self) -> None:
        if self._gone:
            raise WorkerDied(f"{self.version.version} was unloaded")

    def _died(self, why: str) -> ProviderError:
        return WorkerDied(f"Ollama, {self._name}: {why}")

    def _tell(self, why: str) -> None:
        if not self._told and not self._gone:
            self._told = True
            self._on_event(WorkerEvent(version=self.version.version, kind="exited", message=why))
