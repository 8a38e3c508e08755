"""A span of each client's request for OpenTelemetry, by the names of its gen_ai conventions.

Owns: the span's form, a bounded queue between the request and whoever makes spans. Never: a prompt or an answer, a
request's time: ``saw`` appends and returns, a thread of its own does the rest. What does not fit into the queue is
dropped and counted; a collector that does not answer costs spans, nothing else.

Imported only where [telemetry] otlp_endpoint is set: it needs the extra ``otel``.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from .. import __version__
from ..core.cost import Outcome
from ..core.registry import ModelVersion

QUEUE = 4096  # requests that may wait to become spans
EVERY_S = 0.5
END_WITHIN_S = 3.0
EMBEDDING = "embedding"
CLIENTS = frozenset({"request", "failover", EMBEDDING})  # what nobody asked for (probes, benchmarks) is no request


def exporting(endpoint: str, *, service: str) -> TracerProvider:
    """Sends to a collector, in batches, on a thread of the SDK's own. Raises ImportError without the exporter."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = tracing(service)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


def tracing(service: str) -> TracerProvider:
    """Without any exporter. Not the process's global one: it is ours alone."""
    return TracerProvider(resource=Resource.create({"service.name": service, "service.version": __version__}))


class Spans:
    """``saw`` from the event loop; ``close`` makes spans of what still waits and sends them, within seconds."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("arbiter", __version__)
        self._waiting: deque[tuple[Outcome, ModelVersion]] = deque()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="spans", daemon=True)
        self._thread.start()
        self.dropped = 0

    def saw(self, outcome: Outcome, version: ModelVersion) -> None:
        """A request has ended. Constant time."""
        if outcome.source not in CLIENTS:
            return
        if len(self._waiting) >= QUEUE:
            self.dropped += 1
            return
        self._waiting.append((outcome, version))

    def close(self) -> None:
        self._end.set()
        self._thread.join(END_WITHIN_S)
        self._provider.force_flush(int(END_WITHIN_S * 1000))
        self._provider.shutdown()

    def _work(self) -> None:
        while not self._end.wait(EVERY_S):
            self._make()
        self._make()

    def _make(self) -> None:
        while self._waiting:
            self._span(*self._waiting.popleft())

    def _span(self, outcome: Outcome, version: ModelVersion) -> None:
        end = int(outcome.at * 1e9)
        start = end - int((outcome.latency_s or 0.0) * 1e9)
        span = self._tracer.start_span(
            f"{operation(outcome)} {version.version}",
            kind=SpanKind.SERVER,
            start_time=start,
            attributes=attributes(outcome, version),
        )
        if outcome.failure is not None:
            span.set_status(Status(StatusCode.ERROR, outcome.failure.value))
        span.end(end_time=end)


def operation(outcome: Outcome) -> str:
    return "embeddings" if outcome.source == EMBEDDING else "chat"


def attributes(outcome: Outcome, version: ModelVersion) -> dict[str, Any]:
    """What nobody measured has no attribute."""
    told: dict[str, Any] = {
        "gen_ai.operation.name": operation(outcome),
        "gen_ai.provider.name": version.provider,
        "gen_ai.request.model": version.version,
        "gen_ai.response.model": version.version,
        "gen_ai.response.id": outcome.id,
        "gen_ai.usage.input_tokens": outcome.tokens_in,
        "gen_ai.usage.output_tokens": outcome.tokens_out,
        "gen_ai.response.time_to_first_chunk": outcome.ttft_s,
        "error.type": None if outcome.failure is None else outcome.failure.value,
        "arbiter.task": outcome.task or None,
        "arbiter.queue_seconds": outcome.queue_s,
        "arbiter.overhead_seconds": outcome.overhead_s,
    }
    return {name: value for name, value in told.items() if value is not None}
