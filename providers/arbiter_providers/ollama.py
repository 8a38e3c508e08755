"""The provider on a running Ollama: its models, over its own HTTP.

Owns: the conversation with one Ollama server. Never: starting it; pulling models; a model in this process.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

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
    WorkerEvent,
)

from . import _ollama_wire as wire

DEFAULT_URL = "http://127.0.0.1:11434"
_QUICK_S = 5.0  # for what never waits for a model: lists, health


class OllamaProvider:
    """Options: base_url, context (tokens, default 4096), parallel (default 1, as Ollama's own)."""

    kind = "ollama"

    def __init__(self, config: ProviderConfig) -> None:
        self.name = config.name
        self.base_url = str(config.options.get("base_url") or DEFAULT_URL).rstrip("/")
        self._context = int(config.options.get("context") or 4096)
        self._parallel = int(config.options.get("parallel") or 1)
        self._session: aiohttp.ClientSession | None = None
        self._loaded: set[OllamaModel] = set()

    async def available(self) -> str | None:
        try:
            await self.get("/api/version")
        except Unreachable:
            return f"none answers at {self.base_url}; get it from https://ollama.com, start it with `ollama serve`"
        except ProviderError as error:
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
        known = ", ".join(v.source.removeprefix("ollama:") for v in versions) or "nothing"
        raise ModelUnusable(f"Ollama at {self.base_url} has no model {name!r}; it has {known}")

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        """An estimate: the file and a quarter more for the KV cache and buffers; /api/ps tells once it is loaded."""
        return None if version.file_bytes is None else version.file_bytes * 5 // 4

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        name = version.source.removeprefix("ollama:")
        options = {} if version.context is None else {"num_ctx": version.context}
        body = {"model": name, "keep_alive": -1, "stream": False, "options": options}
        try:
            async with asyncio.timeout(timeout_s):
                shown = await self.post("/api/show", {"model": name}, name=name)
                await self.post(wire.GENERATE, body, name=name)
        except TimeoutError:
            await self.release(name)
            raise LoadFailed(f"{version.version} was not ready within {timeout_s:g} s") from None
        except (ModelUnusable, Unreachable):
            raise
        except (ProviderError, Overloaded) as error:
            raise LoadFailed(f"{version.version} did not load: {error}") from error
        bare = str(shown.get("template", "")).strip() == wire.BARE_TEMPLATE
        model = OllamaModel(self, version, name, bare=bare, on_event=on_event)
        self._loaded.add(model)
        return model

    async def close(self) -> None:
        await asyncio.gather(*(m.unload() for m in list(self._loaded)))
        if self._session is not None:
            await self._session.close()
            self._session = None

    def forget(self, model: OllamaModel) -> None:
        self._loaded.discard(model)

    async def release(self, name: str) -> None:
        """Ask Ollama to unload; if it can't be reached there is nothing left to unload."""
        try:
            async with asyncio.timeout(_QUICK_S):
                await self.post(wire.GENERATE, {"model": name, "keep_alive": 0, "stream": False}, name=name)
        except (TimeoutError, ProviderError, Overloaded):
            return

    async def get(self, path: str) -> dict[str, Any]:
        async with self.request("GET", path, None, timeout_s=_QUICK_S) as response:
            return await _object(response, name=path)

    async def post(self, path: str, body: Mapping[str, Any], *, name: str) -> dict[str, Any]:
        async with self.request("POST", path, body) as response:
            return await _object(response, name=name)

    @asynccontextmanager
    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, timeout_s: float | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One exchange. Leaving early closes the connection, which makes Ollama stop. Raises Unreachable."""
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_QUICK_S)
        try:
            response = await self._http().request(method, self.base_url + path, json=body, timeout=timeout)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise Unreachable(f"Ollama can't be reached at {self.base_url} ({_cause(error)})") from error
        try:
            yield response
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"Ollama at {self.base_url} broke off its answer ({_cause(error)})") from error
        finally:
            response.close()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        return self._session

    async def _versions(self) -> list[ModelVersion]:
        tags = (await self.get("/api/tags")).get("models") or []
        found = (
            wire.version_of(tag, provider=self.name, context=self._context, parallel=self._parallel) for tag in tags
        )
        return [version for version in found if version is not None]


class OllamaModel:
    """One model that Ollama holds for us (keep_alive -1)."""

    def __init__(
        self, provider: OllamaProvider, version: ModelVersion, name: str, *, bare: bool, on_event: EventSink
    ) -> None:
        self.version = version
        self._provider, self._name, self._bare, self._on_event = provider, name, bare, on_event
        self._gone = False

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self._check()
        path, body = wire.call(request, model=self._name, context=self.version.context, bare=self._bare)
        lines = wire.Lines(request, name=self._name, strip=self._bare and bool(request.messages))
        try:
            async with self._provider.request("POST", path, body) as response:
                if response.status != 200:
                    raise wire.error(response.status, await response.read(), name=self._name)
                async for data in response.content.iter_any():
                    for chunk in lines.feed(data):
                        yield chunk
                        if isinstance(chunk, Done):
                            return
        except WorkerDied as error:
            self._on_event(WorkerEvent(version=self.version.version, kind="exited", message=str(error)))
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"Ollama, {self._name}: the answer can't be read ({error!r})") from error
        raise WorkerDied(f"Ollama, {self._name}: the answer broke off without an end")

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self._check()
        if not texts:
            return []
        body = {"model": self._name, "input": list(texts), "keep_alive": -1, "truncate": False}
        if self.version.context is not None:
            body["options"] = {"num_ctx": self.version.context}
        told = await self._provider.post("/api/embed", body, name=self._name)
        vectors: list[list[float]] = told["embeddings"]
        return vectors

    async def health(self) -> bool:
        """Does Ollama answer and still hold the model? Asking for the list wakes nothing."""
        try:
            return not self._gone and await self._held() is not None
        except (ProviderError, Overloaded):
            return False

    async def stats(self) -> InstanceStats:
        try:
            held = await self._held()
        except (ProviderError, Overloaded):
            held = None
        size, on_gpu = (held or {}).get("size"), (held or {}).get("size_vram")
        return InstanceStats(
            resident_bytes=size, context=(held or {}).get("context_length"), parallel=self.version.parallel,
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

    async def _held(self) -> dict[str, Any] | None:
        """Our entry in /api/ps. Names that share weights are listed once, so the digest counts, too."""
        for entry in (await self._provider.get("/api/ps")).get("models") or []:
            same = self.version.digest is not None and f"sha256:{entry.get('digest')}" == self.version.digest
            if same or entry.get("model") == self._name:
                found: dict[str, Any] = entry
                return found
        return None


async def _object(response: aiohttp.ClientResponse, *, name: str) -> dict[str, Any]:
    data = await response.read()
    if response.status != 200:
        raise wire.error(response.status, data, name=name)
    try:
        told = json.loads(data)
    except ValueError as error:
        raise ProviderError(f"what answers at {response.url.origin()} is not Ollama") from error
    if not isinstance(told, dict):
        raise ProviderError(f"what answers at {response.url.origin()} is not Ollama")
    return told


def _cause(error: Exception) -> str:
    """In a few words: of a connection that failed, what the system says, not the library's own account of it."""
    number = getattr(getattr(error, "os_error", error), "errno", None)
    return os.strerror(number) if number else str(error) or type(error).__name__
