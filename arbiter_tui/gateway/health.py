"""Health and metrics: what a supervisor and a scraper ask. Wakes no model, resets nobody's time to live.

Owns: /health, /health/liveness, /health/readiness, /metrics (Prometheus text). Never: a judgement of its own.
"""

from __future__ import annotations

import json

from starlette.routing import BaseRoute, Route

from .. import __version__
from ..engine.arbiter import Arbiter
from .exchange import Endpoint, Exchange
from .problems import Headers

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


class Health:
    def __init__(self, arbiter: Arbiter, *, body_limit: int) -> None:
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


def render(arbiter: Arbiter) -> str:
    """Prometheus text: bounded labels (model, provider, task), base units; an unknown value has no line."""
    seen = arbiter.snapshot()
    lines: list[str] = []

    def family(name: str, kind: str, text: str, rows: list[tuple[str, float | int | None]]) -> None:
        known = [(labels, value) for labels, value in rows if value is not None]
        if known:
            lines.extend((f"# HELP arbiter_{name} {text}", f"# TYPE arbiter_{name} {kind}"))
            lines.extend(f"arbiter_{name}{labels} {value:g}" for labels, value in known)

    def models(field: str) -> list[tuple[str, float | int | None]]:
        return [(_labels(model=m.version, provider=m.provider), getattr(m, field)) for m in seen.models]

    family("up", "gauge", "1 while new work is accepted", [("", int(arbiter.state == "ready"))])
    family("uptime_seconds", "gauge", "since the start", [("", seen.engine.uptime_s)])
    family("requests_total", "counter", "requests ended", [("", seen.engine.requests)])
    family("requests_failed_total", "counter", "of them failed", [("", seen.engine.failed)])
    family("memory_budget_bytes", "gauge", "for models", [("", seen.budget.limit_bytes)])
    family("memory_used_bytes", "gauge", "of the budget", [("", seen.budget.used_bytes)])
    family("model_requests_total", "counter", "requests a model served", models("requests"))
    family("model_failures_total", "counter", "of them failed", models("failures"))
    family("model_in_flight", "gauge", "requests being answered", models("in_flight"))
    family("model_queued", "gauge", "requests waiting", models("queued"))
    family("model_resident_bytes", "gauge", "memory of the model's processes", models("resident_bytes"))
    family("model_ttft_seconds", "gauge", "time to first token, mean", models("ttft_s"))
    family("model_tokens_per_second", "gauge", "decode rate, mean", models("tokens_per_second"))
    states = [_labels(model=m.version, provider=m.provider, state=m.state) for m in seen.models]
    family("model_state", "gauge", "1 for the state a model is in", [(labels, 1) for labels in states])
    tasks = [(_labels(task=t.task), t.requests) for t in seen.tasks]
    family("task_requests_total", "counter", "requests of a task", list(tasks))
    results: dict[tuple[str, str], int] = {}
    for swap in seen.swaps:
        results[swap.trigger, swap.result] = results.get((swap.trigger, swap.result), 0) + 1
    family("recent_swaps", "gauge", "swaps of the kept history by trigger and result",
           [(_labels(trigger=t, result=r), n) for (t, r), n in sorted(results.items())])  # fmt: skip
    return "\n".join(lines) + "\n"


def _labels(**pairs: str) -> str:
    inner = ",".join(f'{k}="{_escape(v)}"' for k, v in pairs.items())
    return "{" + inner + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
