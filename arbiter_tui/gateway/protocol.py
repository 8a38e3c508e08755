"""The connection itself, on top of uvicorn's: what may come before a request is one, and how slowly.

Owns: the limits that the server has none of ([server.limits]: size and time of a request's head, silence before the
first one, a reader that takes nothing), and refusals in the dialect for what is no HTTP. Never: a body (limits.py), an
answer's content.

Nothing here stands on the way of an answer's bytes: a timer runs only while a head is incomplete or a reader is behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ..config_server import LimitsConfig
from ..errors import ArbiterError
from ..outbox import Outbox
from .limits import CLIENT
from .problems import BadRequest, Headers, dialect_of, status_of

LINGER_S = 1.0  # after a refusal the rest is thrown away: closing on unread data would lose our answer
SENT_AHEAD = 8  # so many requests may wait behind one of the same connection until nothing more is read
LINGER_BYTES = 4 * 2**20


class Client:
    """Of one request: whether its client is gone, told at once to whoever works for it; and a way to it that waits for
    nothing. In the scope under ``CLIENT``."""

    __slots__ = ("_protocol", "cycle", "gone", "task", "tell")

    def __init__(self, protocol: GuardedProtocol) -> None:
        self._protocol = protocol
        self.cycle: RequestResponseCycle | None = None
        self.task: asyncio.Task[None] | None = None  # that makes its answer
        self.gone = False
        self.tell: Callable[[], None] | None = None

    def body(self, most: int) -> bytes | None:
        """All of it, taken, where it is here already. None: it has to be received, or is longer than ``most``."""
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        if not 0 < len(cycle.body) <= most:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        self._protocol.flow.resume_reading()
        cycle.message_event.clear()
        return body

    @property
    def behind(self) -> bool:
        """It takes nothing for now: ``drain`` before the next word to it."""
        cycle = self.cycle
        return cycle is not None and not cycle.disconnected and self._protocol.flow.write_paused

    def leave(self) -> None:
        self.gone = True
        if self.tell is not None:
            self.tell()

    def begin(self, headers: Headers, data: bytes) -> None:
        """The head of a stream, status 200, and its first piece in one packet."""
        cycle = self.cycle
        assert cycle is not None, "a request whose head is read"
        if cycle.disconnected:
            return
        head = _lines(cycle, headers)
        cycle.response_started = cycle.chunked_encoding = True
        told = b"%s%s\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (STATUS_LINE[200], head, len(data), data)
        self._protocol.transport.write(told)

    def write(self, data: bytes) -> bool:
        """A piece of a stream that is open, at once. False: the client is behind, ``drain`` before the next one."""
        cycle = self.cycle
        if cycle is None or cycle.disconnected or not data:
            return True
        self._protocol.transport.write(b"%x\r\n%s\r\n" % (len(data), data) if cycle.chunked_encoding else data)
        return not self._protocol.flow.write_paused

    async def drain(self) -> None:
        await self._protocol.flow.drain()

    def answer(self, headers: Headers, body: bytes) -> None:
        """A whole answer, status 200, in one packet: what ``cycle.send`` does with two messages, and in two."""
        cycle, protocol = self.cycle, self._protocol
        assert cycle is not None, "a request whose head is read"
        if cycle.disconnected:
            return
        head = _lines(cycle, headers)
        told = b"%scontent-length: %d\r\n%s\r\n\r\n%s" % (STATUS_LINE[200], len(body), head, body)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        protocol.outbox.put(protocol.transport, told, len(protocol.tasks))
        if not cycle.keep_alive:
            protocol.outbox.flush()
            protocol.transport.close()
        cycle.on_response()


def _lines(cycle: RequestResponseCycle, headers: Headers) -> bytes:
    lines = [b": ".join(pair) for pair in headers]
    lines += [b": ".join(pair) for pair in cycle.default_headers]
    if not cycle.keep_alive:
        lines.append(b"connection: close")
    head = b"\r\n".join(lines)
    if head.count(b"\n") >= len(lines) or head.count(b"\r") >= len(lines):
        raise ValueError("a header with a line's end in it")
    return head


class _Unframed:
    """The way of an answer to a client of HTTP/1.0, which knows no chunks: the end of its connection is its end."""

    __slots__ = ("_cycle", "_send")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        cycle.chunked_encoding = False
        self._cycle, self._send = cycle, cycle.send

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self._cycle.expected_content_length = len(message.get("body", b""))
        await self._send(message)


def client_of(scope: Any) -> Client:
    found: Client = scope[CLIENT]
    return found


class GuardedProtocol(HttpToolsProtocol):
    """``guarded`` makes a class with other limits; they are read when they are needed, by every connection there is."""

    limits = LimitsConfig()
    outbox = Outbox()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.timeout_keep_alive = self.limits.idle_s
        self.url = b""
        self._in_head = False
        self._head_seen = 0
        self._timer: asyncio.TimerHandle | None = None  # of silence, or of a head
        self._reader: asyncio.TimerHandle | None = None  # of a client that takes nothing
        self._running: RequestResponseCycle | None = None  # the one whose answer is being made
        self._refusal: BadRequest | None = None
        self._refused = False
        self._worker: asyncio.Future[tuple[RequestResponseCycle, Any] | None] | None = None  # waits for the next one
        self._idle: asyncio.TimerHandle | None = None  # of silence between two requests
        self._idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._reader is not None:
            self._reader.cancel()
        if self._idle is not None:
            self._idle.cancel()
        worker, self._worker = self._worker, None
        if worker is not None and not worker.done():
            worker.set_result(None)
        running = self._running
        if running is not None and running is not self.cycle and not running.response_complete:
            running.disconnected = True  # uvicorn tells only the newest of requests that were sent ahead
            running.message_event.set()
        super().connection_lost(exc)
        if running is None or running.response_complete:
            self._forget()
        else:
            client_of(running.scope).leave()

    def _forget(self) -> None:
        """What its last request left, once the connection is gone: it knows this connection, too. Where each holds the
        other they stay until all garbage is collected, a thousand connections later."""
        self.scope = cast(Any, None)
        self.cycle = cast(Any, None)
        self._running = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """One task serves the requests of a connection, one after another: making one for each is a tenth of the cost
        of a short answer. Where it has not come back from the one before, another one begins."""
        self._running = cycle
        worker, self._worker = self._worker, None
        if worker is not None and not worker.done():
            worker.set_result((cycle, app))
        else:
            self.loop.create_task(self._serve(cycle, app), name="gateway-connection")

    async def _serve(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        given: tuple[RequestResponseCycle, Any] | None = (cycle, app)
        while given is not None:
            cycle, app = given
            client = client_of(cycle.scope)
            client.task = task
            self.tasks.add(task)  # the server waits for its end when it stops
            try:
                await cycle.run_asgi(app)
            finally:
                self.tasks.discard(task)
                client.cycle = None  # each holds the other: apart they go at once, and not when all garbage does
            if self.parser is None:  # lost
                self._forget()
            if self._worker is not None or self.transport.is_closing() or task.cancelling():
                return
            self._worker = self.loop.create_future()
            given = await self._worker

    def data_received(self, data: bytes) -> None:
        if self.outbox.waiting:
            self.outbox.flush()  # a refusal of what comes now must not overtake the answer to what came before
        self._head_seen += len(data)
        if self._refused:
            if self._head_seen > LINGER_BYTES:
                self.transport.abort()
            return
        if self._timer is not None and not self._in_head:
            self._stop_timer()  # the silence before the first request is over
        if self._in_head and self._head_seen > self.limits.head_bytes:
            self._refuse(_too_large(self.limits.head_bytes))
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("it can't be read")
        if self._timer is None and not self._refused and (self._in_head or self._between()):
            self._timer = self.loop.call_later(self.limits.head_s, self._too_slow)

    def eof_received(self) -> None:
        self.outbox.flush()
        super().eof_received()

    def shutdown(self) -> None:
        self.outbox.flush()
        super().shutdown()

    def _stay(self, rest: bytes) -> None:
        """A request that offers another protocol (Java's client always does) may be answered in this one; the parser
        then takes its body for words of the other. It is read anew without the offer. ``rest``: behind its head."""
        if self.scope["method"] == "CONNECT":
            self._refuse(BadRequest("this is no proxy", status=405, code="method_not_allowed"))
            return
        named = {b"upgrade", b"http2-settings"}
        lines = [
            b"%s: %s\r\n" % (name, b", ".join(t for t in value.split(b",") if t.strip().lower() not in named))
            if name == b"connection" else b"%s: %s\r\n" % (name, value)
            for name, value in self.headers if name not in named
        ]  # fmt: skip
        line = f"{self.scope['method']} {self.url.decode('latin-1')} HTTP/{self.parser.get_http_version()}\r\n"
        head = line.encode("latin-1") + b"".join(lines) + b"\r\n"
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _should_upgrade(self) -> bool:
        """What is asked with such an offer does not begin yet: ``_stay`` asks it anew."""
        return True

    def _between(self) -> bool:
        """No request is under way: what came were empty lines, which may stand before one, but not instead of one."""
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()
        cast(dict[str, Any], self.scope)[CLIENT] = Client(self)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._timer is not None:
            self._stop_timer()
        allowed = self.limits.head_bytes
        if self._head_seen > allowed and self._size() > allowed:
            self._refusal = _too_large(allowed)
            raise ValueError("the head is too large")  # the parser stops, and ``send_400_response`` says why
        self._head_seen = 0
        super().on_headers_complete()
        if self.parser.should_upgrade():
            return
        client_of(self.scope).cycle = self.cycle
        if self.scope["http_version"] == "1.0":
            self.cycle.send = _Unframed(self.cycle)  # type: ignore[method-assign]
        if 0 < len(self.pipeline) < SENT_AHEAD:
            self.flow.resume_reading()  # who does not read does not notice that the client has left

    def on_response_complete(self) -> None:
        """As uvicorn's. But one timer of silence serves many requests: when it rings it looks how long it has been."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._silent)

    def _silent(self) -> None:
        self._idle = None
        if self._in_head or self._timer is not None or not self._between():
            return  # something comes, or is answered: its end sets the timer again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle = self.loop.call_later(left, self._silent)
        else:
            self.timeout_keep_alive_handler()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to bytes that are no request, in the dialect of the path if one was there."""
        self._refuse(self._refusal or BadRequest(f"this is no HTTP request: {msg}", code="bad_http"))

    def _too_slow(self) -> None:
        self._timer = None
        if not self._in_head:
            self.transport.close()
            return
        told = f"the request's head did not arrive within {self.limits.head_s:g} s"
        self._refuse(BadRequest(told, status=408, code="head_too_slow"))

    def _refuse(self, error: ArbiterError) -> None:
        self._stop_timer()
        self._in_head = False
        if self.transport.is_closing():
            return
        if not self._may_answer():
            self.transport.abort()  # nonsense behind a request that is being answered: no word fits into that answer
            return
        self._refused = True
        dialect = dialect_of(self.url.split(b"?", 1)[0].decode("latin-1"))
        body = dialect.render(error)
        length = str(len(body)).encode()
        headers: Headers = [(b"content-type", dialect.kind), (b"content-length", length), (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % pair for pair in headers)
        self.transport.write(STATUS_LINE[status_of(error)] + head + b"\r\n" + body)
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)

    def _may_answer(self) -> bool:
        """Whether the next bytes of the connection are ours. A request that is broken in its own body ends here."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        if self.pipeline or cycle.response_started or not cycle.more_body:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        client_of(cycle.scope).leave()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reader is None:
            self._reader = self.loop.call_later(self.limits.reader_s, self._give_up)

    def resume_writing(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        super().resume_writing()

    def _give_up(self) -> None:
        """Whoever takes nothing for so long is gone: its place and its model are free again."""
        self._reader = None
        self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def guarded(limits: LimitsConfig) -> type[GuardedProtocol]:
    """A protocol for one server. Its ``limits`` may be replaced at any time."""
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits, "outbox": Outbox()})


def _too_large(limit: int) -> BadRequest:
    return BadRequest(
        f"the request's head is larger than {limit / 1024:g} KiB ([server.limits] head_bytes)",
        status=431,
        code="head_too_large",
    )
