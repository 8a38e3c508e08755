"""The OpenAI door: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models.

Owns: carrying a parsed request through the engine and its chunks back out, with the X-Arbiter headers.
Never: routing (the engine resolves the name), another dialect.

Order of a stream: role chunk (with the first text, in one write) … finish_reason -> usage (if asked) -> [DONE].
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import uuid4

from starlette.routing import BaseRoute, Route

from ..core.registry import Lifecycle, ModelVersion
from ..core.routing import TASK_PREFIX
from ..engine.answer import Answer
from ..engine.arbiter import Arbiter
from ..errors import ArbiterError, UnknownName, WorkerDied
from ..provider import Chunk, Done, Request, Text, TokenLogprob
from .exchange import PING_S, Endpoint, Exchange
from .limits import header, parse_object
from .openai_in import Asked, read_chat, read_completion, read_embeddings
from .openai_out import Shape, embeddings, usage_of
from .problems import Headers, ModelLoading

LOAD_WAIT_S = 60.0  # a request that is not streamed gets 503 + Retry-After after so long: before common client limits
Reader = Callable[..., Asked]


class OpenAIDoor:
    """The endpoints, bound to one engine."""

    def __init__(self, arbiter: Arbiter, *, body_limit: int, load_wait_s: float = LOAD_WAIT_S, ping_s: float = PING_S):
        self._arbiter = arbiter
        self._body_limit = body_limit
        self._load_wait_s = load_wait_s
        self._ping_s = ping_s

    def routes(self) -> list[BaseRoute]:
        return [
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in self.streaming().items()),
            Route("/v1/embeddings", self._endpoint(self.embeddings), methods=["POST"]),
            Route("/v1/models", self._endpoint(self.models), methods=["GET"]),
            Route("/v1/models/{name:path}", self._endpoint(self.model), methods=["GET"]),
        ]

    def streaming(self) -> dict[str, Endpoint]:
        """The endpoints whose answers may be streams, by path; each is a whole ASGI application for its POSTs."""
        return {
            "/v1/chat/completions": self._endpoint(self.chat),
            "/v1/completions": self._endpoint(self.completion),
        }

    def _endpoint(self, work: Callable[[Exchange], Any]) -> Endpoint:
        return Endpoint(work, body_limit=self._body_limit, ping_s=self._ping_s)

    async def chat(self, exchange: Exchange) -> None:
        await self._generate(exchange, read_chat, chat=True)

    async def completion(self, exchange: Exchange) -> None:
        await self._generate(exchange, read_completion, chat=False)

    async def _generate(self, exchange: Exchange, reader: Reader, *, chat: bool) -> None:
        task, examples = _task_header(exchange), header(exchange.scope, b"x-arbiter-examples") == b"true"
        asked = reader(parse_object(await exchange.body()), default_model=f"{TASK_PREFIX}{task}" if task else None)
        exchange.watch(streams=asked.stream)
        answer = await self._begin(asked, task, examples)
        try:
            chunks = aiter(answer)
            first = await _next(chunks)  # the status is still ours to choose; and who answers is certain from here on
            usage = asked.stream and asked.include_usage
            shape = Shape(answer.id, answer.version.version, int(time.time()), chat, usage)
            send = _stream if asked.stream else _whole
            await send(exchange, first, chunks, asked.request, shape, answer_headers(answer))
        except ArbiterError as error:
            await exchange.fail(error, answer_headers(answer))
        finally:
            await answer.aclose()

    async def _begin(self, asked: Asked, task: str | None, examples: bool) -> Answer:
        if asked.stream:  # pings keep it alive, however long the load takes
            return await self._arbiter.begin(asked.name, asked.request, task=task, examples=examples)
        try:
            async with asyncio.timeout(self._load_wait_s):
                return await self._arbiter.begin(asked.name, asked.request, task=task, examples=examples)
        except TimeoutError:
            raise self._still_loading(asked.name) from None

    def _still_loading(self, name: str) -> ModelLoading:
        loading = [v for v in self._arbiter.pool.views().values() if v.state in ("loading", "warming")]
        progress: dict[str, float | None] = {"progress": None, "eta_seconds": None}
        if loading:
            progress = {"progress": loading[0].progress, "eta_seconds": loading[0].eta_s}
        message = f"{name} was not ready within {self._load_wait_s:g} s; loading goes on"
        return ModelLoading(message, details={"loading": progress})

    async def embeddings(self, exchange: Exchange) -> None:
        started = time.perf_counter()
        name, texts, encoding = read_embeddings(parse_object(await exchange.body()))
        exchange.watch(streams=False)
        overhead = time.perf_counter() - started
        version, vectors = await self._arbiter.embed(name, texts)
        size = sum(len(t.encode()) for t in texts)
        headers: Headers = [
            (b"x-arbiter-model", version.encode()),
            (b"x-arbiter-request-id", uuid4().hex.encode()),
            (b"x-arbiter-overhead-ms", b"%.3f" % (overhead * 1000)),
        ]
        await exchange.answer(200, embeddings(version, vectors, encoding=encoding, prompt_bytes=size), headers)

    async def models(self, exchange: Exchange) -> None:
        """Tasks first (they are what a client should choose), then aliases, then versions. Wakes nothing."""
        await exchange.answer(200, json.dumps({"object": "list", "data": self._listed()}).encode(), [])

    async def model(self, exchange: Exchange) -> None:
        name = str(exchange.scope["path_params"]["name"])
        listed = self._listed()
        found = next((m for m in listed if m["id"] == name), None)
        if found is None:
            raise UnknownName("model", name, [str(m["id"]) for m in listed])
        await exchange.answer(200, json.dumps(found).encode(), [])

    def _listed(self) -> list[dict[str, Any]]:
        registry = self._arbiter.registry
        tasks = [_item(f"{TASK_PREFIX}{t}", "arbiter", 0.0) for t in self._arbiter.tasks]
        live = [v for v in registry.versions.values() if v.lifecycle is not Lifecycle.ARCHIVED]
        aliases = [
            _item(a, registry.versions[v].provider, registry.versions[v].created_at)
            for a, v in registry.aliases.items()
            if v in registry.versions
        ]
        return [*tasks, *aliases, *(_version_item(v) for v in live)]


def _item(name: str, owner: str, created: float) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created), "owned_by": owner}


def _version_item(version: ModelVersion) -> dict[str, Any]:
    return {
        **_item(version.version, version.provider, version.created_at),
        "context_length": version.context,
        "lifecycle": version.lifecycle,
        "capabilities": sorted(version.capabilities),
    }


def _task_header(exchange: Exchange) -> str | None:
    value = header(exchange.scope, b"x-arbiter-task")
    return value.decode("latin-1").strip()[:128] or None if value is not None else None


def answer_headers(answer: Answer) -> Headers:
    """What served it, and where to ask why."""
    return [
        (b"x-arbiter-model", answer.version.version.encode()),
        (b"x-arbiter-task", (answer.task or "").encode()),
        (b"x-arbiter-decision", (answer.decision_id or answer.id).encode()),  # both can be asked at /explain
        (b"x-arbiter-request-id", answer.id.encode()),
        (b"x-arbiter-overhead-ms", b"%.3f" % (answer.overhead_s * 1000)),
    ]


async def _stream(
    exchange: Exchange, chunk: Chunk, chunks: AsyncIterator[Chunk], request: Request, shape: Shape, headers: Headers
) -> None:
    await exchange.open(headers)
    opening, pieces = shape.opening(), 0
    while isinstance(chunk, Text):
        pieces += 1
        await exchange.write(opening + shape.piece(chunk) if opening else shape.piece(chunk))
        opening = b""
        chunk = await _next(chunks)
    await exchange.close(opening + shape.ending(chunk, _usage(chunk, pieces, request)))


async def _whole(
    exchange: Exchange, chunk: Chunk, chunks: AsyncIterator[Chunk], request: Request, shape: Shape, headers: Headers
) -> None:
    texts: list[str] = []
    tokens: list[TokenLogprob] = []
    while isinstance(chunk, Text):
        texts.append(chunk.text)
        tokens += chunk.logprobs
        chunk = await _next(chunks)
    body = shape.whole("".join(texts), tokens, chunk, _usage(chunk, len(texts), request))
    await exchange.answer(200, body, headers)


async def _next(chunks: AsyncIterator[Chunk]) -> Chunk:
    """The next chunk; an answer that ends without Done, or was cut short, is an error: truncation is never success."""
    try:
        chunk = await anext(chunks)
    except StopAsyncIteration:
        raise WorkerDied("the answer ended before it was complete") from None
    if isinstance(chunk, Done) and chunk.finish_reason == "cancelled":
        raise WorkerDied("the answer was cancelled before it was complete")
    return chunk


def _usage(done: Done, pieces: int, request: Request) -> Mapping[str, Any]:
    size = len((request.prompt or "").encode()) + sum(len(m.content.encode()) for m in request.messages)
    return usage_of(done.usage, pieces=pieces, prompt_bytes=size)
