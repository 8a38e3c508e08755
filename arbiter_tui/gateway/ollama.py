"""The Ollama door: /, /api/version, /api/tags, /api/ps, /api/show, /api/chat, /api/generate, /api/embed(dings).

Owns: the endpoints. Never: pulls, copies or deletes a model (501: the
arbiter registers what is there), another dialect.

A name is a version, an alias or arbiter/TASK, with or without ``:latest``. Listing wakes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version as installed
from time import perf_counter_ns
from typing import Any
from uuid import uuid4

from starlette.routing import BaseRoute, Route

from ..core.registry import Lifecycle, ModelVersion
from ..core.routing import TASK_PREFIX
from ..engine.answer import Answer
from ..engine.live import Target
from ..errors import NotSupported, Refused
from .embedding import counted, embedded
from .exchange import Endpoint, Exchange
from .fields import seconds
from .generation import LATEST, Generator, answer_headers
from .limits import BodyLimit, parse_object
from .ollama_in import Job, read_chat, read_generate, read_inputs, read_name
from .ollama_out import Shape, loaded, running, shown, tag
from .openai_out import cut
from .problems import OLLAMA, BadRequest, Headers

UNLOAD_WAIT_S = 5.0  # an unload behind a long answer goes on by itself; its client is told after so long
_JSON = b"application/json; charset=utf-8"
_NOT_OFFERED = {
    "/api/pull": "POST", "/api/push": "POST", "/api/create": "POST", "/api/copy": "POST", "/api/delete": "DELETE",
    "/api/blobs/{digest}": "POST", "/api/signout": "POST", "/api/me": "POST",
}  # fmt: skip


class OllamaDoor:
    """The endpoints, bound to one engine."""

    def __init__(self, generator: Generator, *, body_limit: BodyLimit) -> None:
        self._generator = generator
        self._arbiter = generator.arbiter
        self._body_limit = body_limit
        self._unloading: set[asyncio.Task[None]] = set()

    def routes(self) -> list[BaseRoute]:
        reads = {"/": self.root, "/api/version": self.version, "/api/tags": self.tags, "/api/ps": self.ps}
        writes = {"/api/show": self.show, "/api/embed": self.embed, "/api/embeddings": self.embeddings}
        return [
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in self.streaming().items()),
            *(Route(path, self._endpoint(work), methods=["GET"]) for path, work in reads.items()),
            *(Route(path, self._endpoint(work), methods=["POST"]) for path, work in writes.items()),
            *(Route(path, self._endpoint(_refuse), methods=[how]) for path, how in _NOT_OFFERED.items()),
        ]

    def streaming(self) -> dict[str, Endpoint]:
        """The endpoints whose answers may be streams, by path; each is a whole ASGI application for its POSTs."""
        return {"/api/chat": self._endpoint(self.chat), "/api/generate": self._endpoint(self.generate)}

    def _endpoint(self, work: Callable[[Exchange], Any]) -> Endpoint:
        return Endpoint(work, body_limit=self._body_limit, dialect=OLLAMA)

    # ── answers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def chat(self, exchange: Exchange) -> None:
        await self._do(exchange, read_chat(parse_object(await _body(exchange))), chat=True)

    async def generate(self, exchange: Exchange) -> None:
        await self._do(exchange, read_generate(parse_object(await _body(exchange))), chat=False)

    async def _do(self, exchange: Exchange, job: Job, *, chat: bool) -> None:
        if job.asked is None:
            await self._load(exchange, job, chat=chat)
            return
        name = self._generator.known(job.name)
        asked = replace(job.asked, name=name)

        def form(answer: Answer) -> Shape:
            return Shape(job.name, chat, answer)

        await self._generator.run(exchange, asked, form)

    async def _load(self, exchange: Exchange, job: Job, *, chat: bool) -> None:
        """Loads, or unloads where ``keep_alive`` is 0."""
        target = self._generator.target(exchange, job.name)
        exchange.watch(streams=False)
        if job.keep_s == 0:
            self._arbiter.admission.check_unload()
            await self._unload(target.version)
        else:
            await self._loaded(target.version, job.keep_s)
        reason = "unload" if job.keep_s == 0 else "load"
        await exchange.answer(200, loaded(job.name, reason, chat=chat), _headers(target), kind=_JSON)

    async def _loaded(self, version: ModelVersion, keep_s: float | None) -> None:
        await self._arbiter.pool.ensure(version)
        if keep_s is not None:
            self._arbiter.admission.keep(self._arbiter.pool, version.version, keep_s)

    async def _unload(self, version: ModelVersion) -> None:
        """What is being answered is answered first. The unload goes on if its client leaves or it takes long."""
        view = self._arbiter.pool.view(version.version)
        if view is not None and view.pinned:
            raise Refused(f"{version.version} is pinned: it stays loaded until it is unpinned")
        task = asyncio.create_task(self._arbiter.pool.unload(version.version), name="ollama-unload")
        self._unloading.add(task)
        task.add_done_callback(self._unloading.discard)
        await asyncio.wait({task}, timeout=UNLOAD_WAIT_S)

    async def embed(self, exchange: Exchange) -> None:
        began = perf_counter_ns()
        body = parse_object(await _body(exchange))
        name, texts, dimensions, extra = read_inputs(body)
        headers, vectors, took = await self._embedded(exchange, name, texts, seconds(body.get("keep_alive")), extra)
        told: dict[str, Any] = {"model": name, "embeddings": [cut(v, dimensions) for v in vectors]}
        if texts:
            told |= {"total_duration": perf_counter_ns() - began, **took}
        await exchange.answer(200, json.dumps(told).encode(), headers, kind=_JSON)

    async def embeddings(self, exchange: Exchange) -> None:
        body = parse_object(await _body(exchange))
        name, texts, _, extra = read_inputs({**body, "input": body.get("prompt")})
        headers, vectors, _ = await self._embedded(exchange, name, texts, seconds(body.get("keep_alive")), extra)
        told = {"embedding": vectors[0] if vectors else []}
        await exchange.answer(200, json.dumps(told).encode(), headers, kind=_JSON)

    async def _embedded(
        self, exchange: Exchange, name: str, texts: list[str], keep_s: float | None, extra: Mapping[str, Any]
    ) -> tuple[Headers, list[list[float]], dict[str, int]]:
        """Headers, vectors, and what it took."""
        if not texts:
            target = self._generator.target(exchange, name)
            exchange.watch(streams=False)
            await self._loaded(target.version, keep_s)
            return _headers(target), [], {}
        try:
            told, vectors = await embedded(self._generator, exchange, name, texts, keep_s, extra)
        except NotSupported as error:
            raise BadRequest(str(error), status=501, code=error.code) from error
        tokens, estimated = counted(told, texts)
        return answer_headers(told), vectors, {"prompt_eval_count": tokens, **estimated}

    # ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def root(self, exchange: Exchange) -> None:
        await exchange.answer(200, b"Ollama is running", [], kind=b"text/plain; charset=utf-8")

    async def version(self, exchange: Exchange) -> None:
        """A number in Ollama's form: clients compare it with the one that they need."""
        told = {"version": "0.33.0", "arbiter": installed("arbiter-tui")}
        await exchange.answer(200, json.dumps(told).encode(), [], kind=_JSON)

    async def tags(self, exchange: Exchange) -> None:
        listed = [tag(name + LATEST, version) for name, version in self._named()]
        await exchange.answer(200, json.dumps({"models": listed}).encode(), [], kind=_JSON)

    async def ps(self, exchange: Exchange) -> None:
        """What is loaded or being answered from. A model that is still loading holds nothing to list."""
        views, versions = self._arbiter.pool.views(), self._arbiter.registry.versions
        ttl_s = self._arbiter.config.pool.idle_ttl_s
        listed = [
            running(name + LATEST, versions[name], view, idle_ttl_s=ttl_s)
            for name, view in views.items()
            if view.state in ("ready", "draining") and name in versions
        ]
        await exchange.answer(200, json.dumps({"models": listed}).encode(), [], kind=_JSON)

    async def show(self, exchange: Exchange) -> None:
        name = read_name(parse_object(await _body(exchange)))
        target = self._generator.target(exchange, name)
        await exchange.answer(200, json.dumps(shown(name, target.version)).encode(), _headers(target), kind=_JSON)

    # ── names ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _named(self) -> Iterator[tuple[str, ModelVersion]]:
        """Tasks that have somebody to serve them, then aliases, then versions."""
        live, registry, shown = self._arbiter.live, self._arbiter.registry, self._arbiter.admission.shown()
        for task in self._arbiter.tasks:
            if shown is not None and task not in shown:
                continue
            serving = live.find(live.routes.get(task).incumbent)
            if serving is not None:
                yield TASK_PREFIX + task, serving
        if shown is not None:
            return
        yield from ((a, registry.versions[v]) for a, v in registry.aliases.items() if v in registry.versions)
        yield from ((n, v) for n, v in registry.versions.items() if v.lifecycle is not Lifecycle.ARCHIVED)


async def _body(exchange: Exchange) -> bytes:
    body = await exchange.body()
    if not body:
        raise BadRequest("missing request body")
    return body


async def _refuse(exchange: Exchange) -> None:
    path = exchange.scope["path"]
    raise BadRequest(f"{path} is not offered here: register models with the arbiter", status=501, code="not_offered")


def _headers(target: Target) -> Headers:
    return [
        (b"x-arbiter-model", target.version.version.encode()),
        (b"x-arbiter-task", target.task.encode()),
        (b"x-arbiter-request-id", uuid4().hex.encode()),
    ]
