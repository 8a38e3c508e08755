"""The provider on xllamacpp: a whole llama-server in one wheel, each model in a child process of its own.

Owns: its workers and the HTTP to them on loopback. Never: a model in this process; the import of xllamacpp here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import aiohttp

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import NotSupported, ProviderError
from arbiter_tui.provider import Chunk, Done, EventSink, InstanceStats, LoadedModel, ProviderConfig, Request, Sink

from . import _llama_server_wire as wire
from . import _tools
from ._local import MIB, Settings, describe, embedded_versions, header, predicted_bytes
from ._process import Child, Message, Vigil, launch
from ._relay import Tail

_ENGINE_BYTES = 60 * MIB  # measured: interpreter, library, HTTP threads
_HEALTH_S = 2.0


class LlamaServerProvider:
    """Options: context, parallel, threads, gpu_layers, hang_timeout_s, prompt_cache_mib, warmup, embedded."""

    kind = "llama_server"

    def __init__(self, config: ProviderConfig) -> None:
        self.name = config.name
        self._settings = Settings.of(config.options)
        self._loaded: set[LlamaServerModel] = set()

    async def available(self) -> str | None:
        if importlib.util.find_spec("xllamacpp") is None:
            return "xllamacpp is not installed: pip install 'arbiter-tui[llama-server]'"
        return None

    async def discover(self) -> list[ModelVersion]:
        if await self.available() is not None:
            return []
        return await asyncio.to_thread(
            embedded_versions, provider=self.name, suffix="llama-server", settings=self._settings
        )

    async def inspect(self, source: str) -> ModelVersion:
        return await asyncio.to_thread(
            describe, source, provider=self.name, suffix="llama-server", settings=self._settings
        )

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        return predicted_bytes(version, engine_bytes=_ENGINE_BYTES, parallel=version.parallel, windowed=False)

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        settings = self._settings.with_options(version.options)
        head = await asyncio.to_thread(header, version.source)
        parameters = {
            "path": str(head.path), "name": version.version, "context": version.context or settings.context,
            "parallel": version.parallel,
            "threads": settings.thread_count(), "gpu_layers": settings.gpu_layers, "warmup": settings.warmup,
            "prompt_cache_mib": settings.prompt_cache_mib, "mean_pooling": head.number("pooling_type") is None,
        }  # fmt: skip
        child, ready = await launch(
            "arbiter_providers._llama_server_worker", parameters,
            version=version.version, timeout_s=timeout_s, on_event=on_event,
        )  # fmt: skip
        model = LlamaServerModel(
            self._loaded, version, child, ready, chat_template=head.chat_template is not None, settings=settings
        )
        self._loaded.add(model)
        await model.learn()
        return model

    async def close(self) -> None:
        await asyncio.gather(*(m.unload() for m in list(self._loaded)))


class LlamaServerModel:
    """One worker and the session to it."""

    def __init__(
        self, siblings: set[LlamaServerModel], version: ModelVersion, child: Child, ready: Message, *,
        chat_template: bool, settings: Settings,
    ) -> None:  # fmt: skip
        self.version = version
        self.base_url: str = ready["url"]
        self._siblings = siblings
        self._child = child
        self._backend: str = ready["backend"]
        self._chat_template = chat_template
        self._tools = True
        self._embedding = asyncio.Lock()
        self._vigil = Vigil(child, settings.hang_timeout_s, self._answers)
        # One connection per request: closing it is how a request is cancelled, and the engine holds a thread for each.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5.0),
        )

    async def learn(self) -> None:
        """Whether its template has a place for tools; what can't be asked is left to the engine."""
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
            async with self._http.get(self.base_url + "/props", timeout=aiohttp.ClientTimeout(_HEALTH_S)) as response:
                props = await response.json()
                self._tools = not isinstance(props, dict) or _tools.supported(props)

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        path, body = wire.call(
            request, chat_template=self._chat_template, tools=self._tools, version=self.version.version
        )
        plain = wire.is_plain(request, chat_template=self._chat_template)
        events = wire.Events(path, request, version=self.version.version, plain=plain)
        try:
            async with contextlib.aclosing(self._answer(path, body)) as pieces:
                async for data in pieces:
                    for chunk in events.feed(data):
                        yield chunk
                        if isinstance(chunk, Done):
                            return
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"{self.version.version}: the engine's answer can't be read ({error!r})") from error
        raise await self._dead()

    async def _answer(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The bytes of one streamed answer; leaving it stops the decoding. Raises what the engine refuses."""
        if not self._child.alive:
            raise self._child.died()
        response: aiohttp.ClientResponse | None = None
        try:
            with self._vigil.request():
                response = await self._http.post(self.base_url + path, json=body)
                if response.status != 200:
                    raise wire.error(response.status, await response.read(), version=self.version.version)
                async for data in response.content.iter_any():
                    self._vigil.touch()
                    yield data
        except (aiohttp.ClientError, OSError) as error:
            raise await self._dead() from error
        finally:
            if response is not None:
                response.close()  # in mid-answer this is what stops the decoding

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        """Streams alone: of an answer that comes whole the engine would not say when its first token was there."""
        told = request.original
        if told is None or not told.stream or request.only_original or not told.path.startswith("/v1/c"):
            return None  # /v1/chat/completions and /v1/completions; it passes over what it does not know
        if told.path == wire.CHAT and not self._chat_template:
            return None
        if request.needs_tools and not self._tools:
            return None
        return self._relay(told.path, wire.original(request, model=self.version.version))

    async def _relay(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[bytes | Done, Sink | None]:
        tail = Tail()
        async with contextlib.aclosing(self._answer(path, body)) as pieces:
            async for data in pieces:
                tail.add(data)
                yield data
        done = tail.done()
        if done is None:
            raise await self._dead()
        yield done

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One text at a time: texts of unequal length side by side get wrong means from the engine (cosine .95)."""
        if not self._child.alive:
            raise self._child.died()
        async with self._embedding:
            return [await self._embed(text) for text in texts]

    async def _embed(self, text: str) -> list[float]:
        try:
            with self._vigil.request():
                body = {"input": text, "cache_prompt": False}
                async with self._http.post(self.base_url + "/v1/embeddings", json=body) as response:
                    if response.status != 200:
                        raise wire.error(response.status, await response.read(), version=self.version.version)
                    vector: list[float] = (await response.json())["data"][0]["embedding"]
                    return vector
        except (aiohttp.ClientError, OSError) as error:
            raise await self._dead() from error
        except (ValueError, KeyError, TypeError) as error:
            raise NotSupported(f"{self.version.version} gave no embeddings ({error!r})") from error

    async def health(self) -> bool:
        return self._child.alive and await self._answers()

    async def stats(self) -> InstanceStats:
        return InstanceStats(
            resident_bytes=self._child.resident_bytes(), cpu_s=self._child.cpu_s(), context=self.version.context,
            parallel=self.version.parallel, backend=self._backend, pid=self._child.pid,
            base_url=self.base_url if self._child.alive else None,
        )  # fmt: skip

    def cpu_now(self) -> float | None:
        return self._child.cpu_now()

    def log(self) -> list[str]:
        return self._child.log()

    async def unload(self) -> None:
        self._siblings.discard(self)
        self._vigil.close()
        await self._child.stop()
        await self._http.close()

    async def _answers(self) -> bool:
        """/health is answered by the engine's HTTP threads: it neither waits for a slot nor wakes anything."""
        try:
            async with self._http.get(self.base_url + "/health", timeout=aiohttp.ClientTimeout(_HEALTH_S)) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, RuntimeError):  # RuntimeError: the session was closed meanwhile
            return False

    async def _dead(self) -> ProviderError:
        """A connection was cut in mid-answer: wait until the worker's end is noticed, so that the error can say why."""
        try:
            async with asyncio.timeout(_HEALTH_S):
                await self._child.gone.wait()
        except TimeoutError:
            return ProviderError(f"the engine of {self.version.version} broke off its answer")
        return self._child.died()
