"""The OpenAI door: /v1/chat/completions, /v1/completions, /v1/responses, /v1/embeddings, /v1/models.

Owns: the endpoints and the lists that they show. Never: routing (the engine resolves the name), another dialect.

Order of a stream: role chunk (with the first text, in one write) … finish_reason -> usage (if asked) -> [DONE].
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.routing import BaseRoute, Route

from ..core.registry import Lifecycle, ModelVersion
from ..core.routing import TASK_PREFIX
from ..engine.answer import Answer
from ..errors import UnknownName
from .embedding import counted, embedded
from .exchange import PING_S, Endpoint, Exchange
from .fields import Asked, seconds
from .generation import Generator, answer_headers, task_header
from .limits import BodyLimit, parse_object
from .openai_in import read_chat, read_completion, read_embeddings
from .openai_out import Shape, cut, embeddings
from .problems import OPENAI, RESPONSES, Dialect
from .responses_in import read_response
from .responses_out import Shape as ResponseShape


class OpenAIDoor:
    """The endpoints, bound to one engine."""

    def __init__(self, generator: Generator, *, body_limit: BodyLimit, ping_s: float = PING_S):
        self._generator = generator
        self._arbiter = generator.arbiter
        self._body_limit = body_limit
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
            "/v1/responses": self._endpoint(self.response, RESPONSES),
        }

    def _endpoint(self, work: Callable[[Exchange], Any], dialect: Dialect = OPENAI) -> Endpoint:
        return Endpoint(work, body_limit=self._body_limit, ping_s=self._ping_s, dialect=dialect)

    async def chat(self, exchange: Exchange) -> None:
        raw = await exchange.body()
        await self._generate(exchange, read_chat(parse_object(raw), raw), chat=True)

    async def completion(self, exchange: Exchange) -> None:
        raw = await exchange.body()
        await self._generate(exchange, read_completion(parse_object(raw), raw), chat=False)

    async def response(self, exchange: Exchange) -> None:
        body = parse_object(await exchange.body())
        asked = read_response(body)

        def form(answer: Answer) -> ResponseShape:
            return ResponseShape(answer.id, answer.version.version, int(time.time()), body, asked.request)

        await self._generator.run(exchange, asked, form)

    def _generate(self, exchange: Exchange, asked: Asked, *, chat: bool) -> Awaitable[None]:
        def form(answer: Answer) -> Shape:
            usage = asked.stream and asked.include_usage
            return Shape(answer.id, answer.version.version, int(time.time()), chat, usage)

        return self._generator.run(exchange, asked, form)

    async def embeddings(self, exchange: Exchange) -> None:
        body = parse_object(await exchange.body())
        name, texts, encoding, dimensions, extra = read_embeddings(body)
        keep_s = seconds(body.get("keep_alive"))
        name = name or self._generator.unnamed(exchange, None, task_header(exchange))
        told, whole = await embedded(self._generator, exchange, name, texts, keep_s, extra)
        vectors = [cut(v, dimensions) for v in whole]
        tokens, estimated = counted(told, texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, **estimated}
        data = embeddings(told.version.version, vectors, encoding=encoding, usage=usage)
        await exchange.answer(200, data, answer_headers(told))

    async def models(self, exchange: Exchange) -> None:
        """Tasks first (they are what a client should choose), then aliases, then versions. Wakes nothing."""
        await exchange.answer(200, json.dumps({"object": "list", "data": self._listed()}).encode(), [])

    async def model(self, exchange: Exchange) -> None:
        name = str(exchange.scope["path_params"]["name"])
        listed = self._listed()
        known = self._generator.known(name)
        found = next((m for m in listed if m["id"] == known), None)
        if found is None:
            raise UnknownName("model", name, [str(m["id"]) for m in listed])
        await exchange.answer(200, json.dumps(found).encode(), [])

    def _listed(self) -> list[dict[str, Any]]:
        registry, shown = self._arbiter.registry, self._arbiter.admission.shown()
        tasks = [_item(f"{TASK_PREFIX}{t}", "arbiter", 0.0) for t in self._arbiter.tasks if shown is None or t in shown]
        if shown is not None:
            return tasks
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
