"""The provider on llama-cpp-python: each model in a child process of its own, messages over its pipes.

Owns: its workers and the messages to them. Never: a model in this process; the import of the engine here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import count
from typing import Any

from arbiter_tui.core.prompts import plain_prompt
from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import ContextOverflow, InvalidRequest, ProviderError
from arbiter_tui.provider import (
    Chunk,
    Done,
    EventSink,
    InstanceStats,
    LoadedModel,
    ProviderConfig,
    Request,
    Text,
    TokenLogprob,
    Usage,
)

from . import _media, _tools
from ._local import MIB, Settings, describe, embedded_versions, header, predicted_bytes
from ._process import Child, Message, Vigil, launch

_ENGINE_BYTES = 95 * MIB  # measured: interpreter, numpy and library, nothing loaded
_HEALTH_S = 2.0
_ERRORS: dict[str, type[ProviderError]] = {"context_overflow": ContextOverflow, "invalid_request": InvalidRequest}


class LlamaCppProvider:
    """Options: context, threads, gpu_layers, hang_timeout_s, embedded. One request at a time for each model."""

    kind = "llama_cpp"

    def __init__(self, config: ProviderConfig) -> None:
        self.name = config.name
        self._settings = Settings.of({**config.options, "parallel": 1})
        self._loaded: set[LlamaCppModel] = set()

    async def available(self) -> str | None:
        if importlib.util.find_spec("llama_cpp") is None:
            return "llama-cpp-python is not installed: `make engines` builds it (needs a C++ compiler)"
        return None

    async def discover(self) -> list[ModelVersion]:
        if await self.available() is not None:
            return []
        return await asyncio.to_thread(
            embedded_versions, provider=self.name, suffix="llama-cpp", settings=self._settings
        )

    async def inspect(self, source: str) -> ModelVersion:
        return await asyncio.to_thread(
            describe, source, provider=self.name, suffix="llama-cpp", settings=self._settings
        )

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        return predicted_bytes(version, engine_bytes=_ENGINE_BYTES, parallel=1, windowed=False)

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        settings = self._settings.with_options(version.options)
        head = await asyncio.to_thread(header, version.source)
        parameters = {
            "path": str(head.path), "context": version.context or settings.context,
            "threads": settings.thread_count(), "gpu_layers": settings.gpu_layers,
        }  # fmt: skip
        child, ready = await launch(
            "arbiter_providers._llama_cpp_worker", parameters,
            version=version.version, timeout_s=timeout_s, on_event=on_event,
        )  # fmt: skip
        model = LlamaCppModel(
            self._loaded, version, child, ready, chat_template=head.chat_template is not None, settings=settings
        )
        self._loaded.add(model)
        return model

    async def close(self) -> None:
        await asyncio.gather(*(m.unload() for m in list(self._loaded)))


class LlamaCppModel:
    """One worker and the requests that wait for its messages."""

    def __init__(
        self, siblings: set[LlamaCppModel], version: ModelVersion, child: Child, ready: Message, *,
        chat_template: bool, settings: Settings,
    ) -> None:  # fmt: skip
        self.version = version
        self._siblings = siblings
        self._child = child
        self._backend: str = ready["backend"]
        self._chat_template = chat_template
        self._ids = count(1)
        self._waiting: dict[int, _Replies] = {}
        self._vigil = Vigil(child, settings.hang_timeout_s, self._answers)
        child.on_message = self._receive
        self._mourner = asyncio.create_task(self._tell_of_the_end())

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        _tools.refuse(request, self.version.version, "serve it with llama_server")
        _media.refuse(request, self.version.version, "serve it with a llama-server of your own")
        with self._exchange(self._job(request)) as replies:
            while True:
                message = await replies.next()
                if message["event"] == "text":
                    yield Text(message["text"], _logprobs(message["logprobs"]))
                else:
                    yield Done(finish_reason=message["finish"], usage=Usage(**message["usage"]))
                    return

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        with self._exchange({"do": "embed", "texts": list(texts)}) as replies:
            rows: list[list[float]] = (await replies.next())["rows"]
            return rows

    async def health(self) -> bool:
        return self._child.alive and await self._answers()

    async def stats(self) -> InstanceStats:
        return InstanceStats(
            resident_bytes=self._child.resident_bytes(), cpu_s=self._child.cpu_s(), context=self.version.context,
            parallel=1, backend=self._backend, pid=self._child.pid,
        )  # fmt: skip

    def cpu_now(self) -> float | None:
        return self._child.cpu_now()

    def log(self) -> list[str]:
        return self._child.log()

    async def unload(self) -> None:
        self._siblings.discard(self)
        self._vigil.close()
        await self._child.stop()
        await self._mourner

    async def _answers(self) -> bool:
        """A ping is answered by the worker's listening thread: it neither waits for the model nor wakes anything."""
        try:
            async with asyncio.timeout(_HEALTH_S):
                with self._open({"do": "ping"}) as replies:
                    await replies.next()
        except (TimeoutError, ProviderError):
            return False
        return True

    def _job(self, request: Request) -> Message:
        plain = bool(request.messages) and not self._chat_template
        prompt = request.prompt or ""
        if plain:
            prompt = plain_prompt([(m.role, m.content) for m in request.messages], request.few_shot)
        return {
            "do": "generate", "prompt": prompt, "plain": plain,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens, "temperature": request.temperature, "top_p": request.top_p,
            "seed": request.seed, "stop": [*request.stop, "\n\n"] if plain else list(request.stop),
            "json_schema": None if request.json_schema is None else dict(request.json_schema),
            "grammar": request.grammar, "logprobs": request.logprobs, "extra": dict(request.extra),
        }  # fmt: skip

    @contextlib.contextmanager
    def _exchange(self, job: Message) -> Iterator[_Replies]:
        """A job that makes the engine work: the vigil watches it."""
        with self._vigil.request(), self._open(job) as replies:
            yield replies

    @contextlib.contextmanager
    def _open(self, job: Message) -> Iterator[_Replies]:
        """Send ``job``; leaving before its last message cancels it in the worker."""
        if not self._child.alive:
            raise self._child.died()
        number = next(self._ids)
        replies = self._waiting[number] = _Replies(self.version.version, self._child)
        self._child.send({**job, "id": number})
        try:
            yield replies
        finally:
            del self._waiting[number]
            if not replies.complete:
                self._child.send({"do": "cancel", "id": number})

    def _receive(self, message: Message) -> None:
        self._vigil.touch()
        replies = self._waiting.get(message["id"])
        if replies is not None:  # else its request has left meanwhile
            replies.put(message)

    async def _tell_of_the_end(self) -> None:
        await self._child.gone.wait()
        for replies in self._waiting.values():
            replies.put(None)


class _Replies:
    """The messages to one job. ``complete`` once the last one was taken, or none can follow."""

    def __init__(self, version: str, child: Child) -> None:
        self.complete = False
        self._version, self._child = version, child
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()

    def put(self, message: Message | None) -> None:
        self._queue.put_nowait(message)

    async def next(self) -> Message:
        """Raises the error that the worker reports, or WorkerDied."""
        message = await self._queue.get()
        self.complete = message is None or message["event"] != "text"
        if message is None:
            raise self._child.died()
        if message["event"] == "error":
            kind = _ERRORS.get(message["code"], ProviderError)
            raise kind(f"{self._version}: {message['message']}", details=message["details"])
        return message


def _logprobs(listed: list[Any]) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token, value, tuple((t, v) for t, v in top)) for token, value, top in listed)
