"""One HTTP exchange of the hot routes on raw ASGI: the body in, one answer or one stream out, and its client's leaving.

Owns: that the work is cancelled when the client leaves, and that a stream stays alive with its dialect's pings while
nothing comes. Never: what a dialect says.

Our own server says at once that a client is gone (protocol.py); under any other one ``receive()`` task watches.

A stream is opened late, with its first bytes, so that everything that can be refused still gets its status. After an
error in an open stream the connection is cut: an end of file must never look like success.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from ..errors import ArbiterError
from ..provider import Sink
from .limits import CLIENT, BodyLimit, ClientGone, Receive, Scope, Send, read_body, respond
from .problems import JSON, OPENAI, Dialect, Headers, internal, retry_after, status_of
from .protocol import Client

PING_S = 10.0  # silence after which a stream gets a comment: below the idle limits of common proxies
STREAM_HEADERS: Headers = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
log = logging.getLogger(__name__)


class StreamCut(Exception):
    """Raised to leave an open stream without its clean end."""


def _news(record: logging.LogRecord) -> bool:
    """Of what the server logs: a stream that was cut on purpose is told to its client, and is no error of ours."""
    return "returned without completing response" not in str(record.msg)


logging.getLogger("uvicorn.error").addFilter(_news)


class Exchange:
    """``with Exchange(...)`` around the work: leaving clients cancel it (``gone`` is then True)."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, body_limit: BodyLimit, ping_s: float = PING_S,
        dialect: Dialect = OPENAI,
    ) -> None:  # fmt: skip
        self.scope = scope
        self._dialect = dialect
        self.opened = False
        self.gone = False
        self._receive = receive
        self._send = send
        self._body_limit = body_limit
        self._ping_s = ping_s
        self._wrote = False  # since the last look for silence
        self._ends = (dialect.behind, b"\r\n\r\n")
        self.between = True  # events, not within one: the only place for what is ours
        self._pinging: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[object] | None = None
        self.client: Client | None = scope.get(CLIENT)
        self.headers: Headers = []  # of a refusal: what is known of it already
        self._timer: asyncio.TimerHandle | None = None

    async def body(self) -> bytes:
        there = None if self.client is None else self.client.body(self._body_limit.size)
        return there if there is not None else await read_body(self.scope, self._receive, self._body_limit)

    def watch(self, *, streams: bool) -> None:
        """From here on the current task is cancelled when the client leaves."""
        self._worker = self.client.task if self.client is not None else asyncio.current_task()
        assert self._worker is not None, "an exchange runs in a task"
        if streams and self._dialect.ping is not None:
            self._timer = self._worker.get_loop().call_later(self._ping_s, self._silent)
        if self.client is None:
            self._watcher = asyncio.create_task(self._watch(), name="gateway-watcher")
            return
        self.client.tell = self._left
        if self.client.gone:
            self._left()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()

    def _left(self) -> None:
        self.gone = True
        if self._worker is not None:
            self._worker.cancel()

    def _silent(self) -> None:
        """Nothing was written for a while, or something was: look again then."""
        assert self._worker is not None
        loop = self._worker.get_loop()
        self._timer = loop.call_later(self._ping_s, self._silent)
        if self._wrote:
            self._wrote = False
        elif self.opened and self.client is not None:
            if self.between:
                self.client.write(self._dialect.ping or b"")
        else:
            self._pinging = loop.create_task(self._ping(), name="gateway-ping")

    async def _ping(self) -> None:
        if self.between:  # still: a piece may have gone out before this task's turn
            await self.write(self._dialect.ping or b"")
            self._wrote = False  # a ping is no news: the next one is due as soon

    async def open(self, headers: Headers) -> None:
        """Send the stream's head, if a ping has not already. Then they follow as a comment."""
        if self.opened:
            notes = b"".join(b": %s=%s\n" % pair for pair in headers)
            await self._send({"type": "http.response.body", "body": notes + b"\n", "more_body": True})
            return
        self.opened = True
        framed = [(b"content-type", self._dialect.stream), *STREAM_HEADERS, *headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": framed})

    async def begin(self, headers: Headers, data: bytes) -> None:
        """The stream's head and its first bytes: under our own server in one packet, where nobody between looks on."""
        client = self.client
        if self.opened or client is None or not data or not self._straight(client):
            await self.open(headers)
            await self.write(data)
            return
        if client.behind:
            await client.drain()
        self.opened = True
        self.noted(data)
        client.begin([(b"content-type", self._dialect.stream), *STREAM_HEADERS, *headers], data)

    def _straight(self, client: Client) -> bool:
        return getattr(self._send, "__self__", None) is client.cycle

    async def write(self, data: bytes) -> None:
        if not self.opened:
            await self.open([])
        self.noted(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def part(self) -> None:
        """What was cut in the middle of an event or line ends here: what is ours must not become a part of it."""
        if not self.between:
            await self.write(self._dialect.behind)

    def noted(self, data: bytes) -> None:
        """These bytes go out."""
        self._wrote = True
        self.between = data.endswith(self._ends)

    @property
    def sink(self) -> Sink | None:
        """A way into the open stream that waits for nothing; None under a foreign server, and where somebody between
        wants to see what goes out."""
        client = self.client
        return _Straight(self, client) if client is not None and self._straight(client) else None

    async def close(self, data: bytes) -> None:
        """The last bytes of a stream that ended well."""
        self._stop_watching()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, body: bytes, headers: Headers, *, kind: bytes = JSON) -> None:
        self._stop_watching()
        client, headers = self.client, [(b"content-type", kind), *headers]
        if status == 200 and client is not None and self._straight(client):
            if client.behind:
                await client.drain()
            client.answer(headers, body)  # nobody between wants to see what goes out
        else:
            await respond(self._send, status, body, headers)

    async def fail(self, error: ArbiterError, headers: Headers) -> None:
        """Before the stream: an answer with its status. In it: an error event, then the cut."""
        if self.opened:
            await self.write(self._dialect.framed(error))
            raise StreamCut
        body = self._dialect.render(error)
        status = status_of(error)
        close = [(b"connection", b"close")] if status in (408, 413) else []
        await self.answer(status, body, retry_after(error, status) + close + headers, kind=self._dialect.kind)

    def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        if self.client is not None:
            self.client.tell = None
        if self._timer is not None:
            self._timer.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._stop_watching()
        if isinstance(error, asyncio.CancelledError) and self.gone:
            task = asyncio.current_task()
            assert task is not None
            return task.uncancel() == 0  # cancelled by our watcher alone: the work is done; else somebody wants us gone
        return isinstance(error, (ClientGone, StreamCut))


class _Straight:
    """Pieces of an open stream, from whoever reads them to the client's connection, without a task between."""

    __slots__ = ("_client", "_exchange")

    def __init__(self, exchange: Exchange, client: Client) -> None:
        self._exchange, self._client = exchange, client

    def write(self, data: bytes) -> bool:
        self._exchange.noted(data)
        return self._client.write(data)

    async def drain(self) -> None:
        await self._client.drain()


Work = Callable[[Exchange], Awaitable[None]]


class Endpoint:
    """A raw ASGI endpoint (Starlette routes class instances as ASGI apps): runs ``work`` in an Exchange."""

    def __init__(self, work: Work, *, body_limit: BodyLimit, ping_s: float = PING_S, dialect: Dialect = OPENAI) -> None:
        self._dialect = dialect
        self._work = work
        self._body_limit = body_limit
        self._ping_s = ping_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with Exchange(
            scope, receive, send, body_limit=self._body_limit, ping_s=self._ping_s, dialect=self._dialect
        ) as exchange:
            try:
                await self._work(exchange)
            except (ClientGone, StreamCut):
                raise
            except ArbiterError as error:
                await exchange.fail(error, exchange.headers)
            except Exception as error:  # the boundary: a defect must become an answer of the dialect, and a log line
                log.exception("unexpected error at %s", scope.get("path"))
                await exchange.fail(internal(error), [])
