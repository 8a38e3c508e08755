"""Spans for OpenTelemetry: one a request, by its conventions, without a word of it, and never in its way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from arbiter_tui import daemon
from arbiter_tui.config import Config, TelemetryConfig, parse
from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.errors import ArbiterError, ConfigError
from arbiter_tui.integrations import opentelemetry as ours
from arbiter_tui.integrations.opentelemetry import Spans, attributes, tracing
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import Behaviour, FakeClock, FakeProbe, FakeProvider, MemoryStore

SECRET_WORD = "xylophone"
MODEL = FakeProvider(models={"a": Behaviour()}).version("a")


@pytest.fixture
def memory() -> Iterator[tuple[Spans, InMemorySpanExporter]]:
    """Spans that stay here."""
    exporter, provider = InMemorySpanExporter(), tracing("arbiter")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider)
    yield spans, exporter
    spans.close()


def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def outcome(**fields: object) -> Outcome:
    base = {"id": "r1", "task": "chat", "version": "a", "at": 1000.0, "success": True, "latency_s": 2.0}
    return Outcome(**{**base, **fields})  # type: ignore[arg-type]


async def test_each_request_is_one_span_without_a_word_of_it(memory: tuple[Spans, InMemorySpanExporter]) -> None:
    """Who answered which task, tokens, times; the failed one as an error with its kind; no word of prompt or answer."""
    spans, exporter = memory
    how = Behaviour(answer=f"the {SECRET_WORD} plays", chunks=3)
    arbiter = Arbiter(
        Config(tasks=(Task(name="chat"),)), store=MemoryStore(), providers={"fake": FakeProvider(models={"a": how})},
        probe=FakeProbe(), clock=FakeClock(), new_id=lambda: "id", suites={},
    )  # fmt: skip
    arbiter.live.on_outcome.append(spans.saw)
    await arbiter.start()
    try:
        asked = Request(messages=(Message("user", f"play the {SECRET_WORD}"),))
        await arbiter.execute("chat", asked)
        how.die_after = 1
        with pytest.raises(ArbiterError):
            await arbiter.execute("chat", asked)
    finally:
        await arbiter.stop(deadline_s=1.0)
    until(lambda: len(exporter.get_finished_spans()) == 2)
    good, bad = exporter.get_finished_spans()
    assert good.name == "chat a"
    told = dict(good.attributes or {})
    assert (told["gen_ai.operation.name"], told["gen_ai.response.model"], told["arbiter.task"]) == ("chat", "a", "chat")
    assert (told["gen_ai.usage.output_tokens"], told["gen_ai.provider.name"]) == (3, "fake")
    assert good.status.status_code is not StatusCode.ERROR
    assert (bad.status.status_code, (bad.attributes or {})["error.type"]) == (StatusCode.ERROR, Failure.WORKER_DIED)
    assert SECRET_WORD not in "".join(span.to_json() for span in (good, bad))


async def test_embeddings_are_spans_of_their_own_kind(memory: tuple[Spans, InMemorySpanExporter]) -> None:
    """Named as the conventions name them, with what was read; nothing of it is taken for an answer."""
    spans, exporter = memory
    arbiter = Arbiter(
        Config(tasks=(Task(name="chat"),)), store=MemoryStore(),
        providers={"fake": FakeProvider(models={"a": Behaviour()})}, probe=FakeProbe(), clock=FakeClock(),
        new_id=lambda: "id", suites={},
    )  # fmt: skip
    arbiter.live.on_embedding.append(spans.saw)
    await arbiter.start()
    try:
        await arbiter.embed("a", [f"the {SECRET_WORD}"])
    finally:
        await arbiter.stop(deadline_s=1.0)
    until(lambda: bool(exporter.get_finished_spans()))
    (span,) = exporter.get_finished_spans()
    told = dict(span.attributes or {})
    assert (span.name, told["gen_ai.operation.name"], told["gen_ai.request.model"]) == (
        "embeddings a",
        "embeddings",
        "a",
    )
    assert SECRET_WORD not in str(span.to_json())


def test_a_span_lasts_as_long_as_its_request(memory: tuple[Spans, InMemorySpanExporter]) -> None:
    """From its beginning to its end in the world's time, whenever it is made; service and version stand beside it."""
    spans, exporter = memory
    spans.saw(outcome(ttft_s=0.5), MODEL)
    until(lambda: bool(exporter.get_finished_spans()))
    (span,) = exporter.get_finished_spans()
    assert (span.start_time, span.end_time) == (998 * 10**9, 1000 * 10**9)
    assert span.resource.attributes["service.name"] == "arbiter"
    assert (span.attributes or {})["gen_ai.response.time_to_first_chunk"] == 0.5


def test_what_nobody_measured_has_no_attribute() -> None:
    """Unknown is not zero."""
    assert not {name for name in attributes(outcome(), MODEL) if "tokens" in name or "queue" in name}


def test_what_no_client_asked_is_no_span(memory: tuple[Spans, InMemorySpanExporter]) -> None:
    """Probes, sentinels and benchmarks are the arbiter's own."""
    spans, exporter = memory
    spans.saw(outcome(source="sentinel"), MODEL)
    spans.saw(outcome(source="bench"), MODEL)
    spans.saw(outcome(id="mine"), MODEL)
    spans.close()
    assert [(s.attributes or {})["gen_ai.response.id"] for s in exporter.get_finished_spans()] == ["mine"]


def test_a_queue_that_is_full_drops_and_counts(
    memory: tuple[Spans, InMemorySpanExporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow collector costs spans, never memory without end."""
    spans, _ = memory
    gate = threading.Event()
    monkeypatch.setattr(spans, "_span", lambda *_: gate.wait(10))
    for _ in range(ours.QUEUE + 50):
        spans.saw(outcome(), MODEL)
    assert 0 < spans.dropped <= 50
    gate.set()


def test_without_the_package_the_key_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConfigError, at the start; without the key nothing is imported at all."""
    monkeypatch.setitem(sys.modules, "arbiter_tui.integrations.opentelemetry", None)
    there = Config(telemetry=TelemetryConfig(otlp_endpoint="http://127.0.0.1:1/v1/traces"))
    with pytest.raises(ConfigError, match=r"otlp_endpoint.*arbiter-tui\[otel\]"):
        daemon.spans_of(there, None)  # type: ignore[arg-type]
    assert daemon.spans_of(Config(), None) is None  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"telemetry\.otlp_endpoint"):
        parse('[telemetry]\notlp_endpoint = "localhost"')


def test_an_engine_without_the_key_imports_none_of_it() -> None:
    """Zero cost: the daemon's modules bring no OpenTelemetry."""
    code = (
        "import sys, arbiter_tui.daemon, arbiter_tui.engine.arbiter, arbiter_tui.gateway.app;"
        "sys.exit(any('opentelemetry' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent).returncode == 0


def test_a_collector_gets_them_over_http() -> None:
    """The real exporter, to a server that listens; closing sends what still waits."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        spans = Spans(ours.exporting(f"http://127.0.0.1:{server.server_port}/v1/traces", service="mine"))
        spans.saw(outcome(), MODEL)
        spans.close()
    finally:
        server.shutdown()
        server.server_close()
    assert [path for path, _ in got] == ["/v1/traces"]
    assert b"gen_ai.response.model" in got[0][1]
