"""The Anthropic door: /v1/messages and /v1/messages/count_tokens.

Owns: the endpoints. Never: routing (the engine resolves the name), another dialect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.routing import BaseRoute, Route

from ..engine.answer import Answer
from ..engine.counting import tokens_sent
from .anthropic_in import read_count, read_messages
from .anthropic_out import Shape
from .exchange import PING_S, Endpoint, Exchange
from .generation import Generator, task_header
from .limits import BodyLimit, parse_object
from .problems import ANTHROPIC

PATH = "/v1/messages"


class AnthropicDoor:
    """The endpoints, bound to one engine."""

    def __init__(self, generator: Generator, *, body_limit: BodyLimit, ping_s: float = PING_S) -> None:
        self._generator = generator
        self._body_limit = body_limit
        self._ping_s = ping_s

    def routes(self) -> list[BaseRoute]:
        return [
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in self.streaming().items()),
            Route(f"{PATH}/count_tokens", self._endpoint(self.count), methods=["POST"]),
        ]

    def streaming(self) -> dict[str, Endpoint]:
        """The endpoint whose answers may be streams; it is a whole ASGI application for its POSTs."""
        return {PATH: self._endpoint(self.messages)}

    def _endpoint(self, work: Callable[[Exchange], Any]) -> Endpoint:
        return Endpoint(work, body_limit=self._body_limit, ping_s=self._ping_s, dialect=ANTHROPIC)

    async def messages(self, exchange: Exchange) -> None:
        asked = read_messages(parse_object(await exchange.body()))

        def form(answer: Answer) -> Shape:
            return Shape(answer.id, answer.version.version, tokens_sent(asked.request))

        await self._generator.run(exchange, asked, form)

    async def count(self, exchange: Exchange) -> None:
        """Estimated: only a loaded model's own tokenizer knows, and counting wakes nobody."""
        name, request = read_count(parse_object(await exchange.body()))
        named = name or self._generator.unnamed(exchange, request, task_header(exchange))
        target = self._generator.target(exchange, named, request)
        told = {"input_tokens": tokens_sent(request), "estimated": True}
        headers = [(b"x-arbiter-model", target.version.version.encode()), (b"x-arbiter-task", target.task.encode())]
        await exchange.answer(200, json.dumps(told).encode(), headers)
