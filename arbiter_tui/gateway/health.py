"""Health and metrics: what a supervisor and a scraper ask. Wakes no model, resets nobody's time to live.

Owns: /health, /health/liveness, /health/readiness, /metrics (its text: metrics.py). Never: a judgement of its own.
"""

from __future__ import annotations

import json

from starlette.routing import BaseRoute, Route

from .. import __version__
from ..engine.arbiter import Arbiter
from .exchange import Endpoint, Exchange
from .limits import BodyLimit
from .metrics import render
from .problems import Headers

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


class Health:
    def __init__(self, arbiter: Arbiter, *, body_limit: BodyLimit) -> None:
        self._arbiter = arbiter
        self._body_limit = body_limit

    def routes(self) -> list[BaseRoute]:
        paths = {
            "/health": self.health, "/health/liveness": self.liveness, "/health/readiness": self.readiness,
            "/metrics": self.metrics,
        }  # fmt: skip
        return [
            Route(path, Endpoint(work, body_limit=self._body_limit), methods=["GET"]) for path, work in paths.items()
        ]

    async def health(self, exchange: Exchange) -> None:
        await self._say(exchange, 200)

    async def liveness(self, exchange: Exchange) -> None:
        """200 as long as the event loop turns, draining included."""
        await self._say(exchange, 200)

    async def readiness(self, exchange: Exchange) -> None:
        """200 while new work is accepted: store open, routes built, not draining."""
        await self._say(exchange, 200 if self._arbiter.state == "ready" else 503)

    async def _say(self, exchange: Exchange, status: int) -> None:
        headers: Headers = [(b"retry-after", b"1")] if status == 503 else []
        body = {"status": self._arbiter.state, "version": __version__}
        await exchange.answer(status, json.dumps(body).encode(), headers)

    async def metrics(self, exchange: Exchange) -> None:
        await exchange.answer(200, render(self._arbiter).encode(), [], kind=PROMETHEUS)
