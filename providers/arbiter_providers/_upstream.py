"""The hot path's client: POSTs to one plain HTTP/1.1 address over kept-alive connections, on uvicorn's own parser.

Owns: the connections to one runtime, their time limits, the bytes of an answer as they are read. Never: TLS, redirects,
what a byte means; everything that is not hot goes through aiohttp, which costs four times as much a request.

An answer that is left before its end closes its connection, which makes the runtime stop decoding. Errors are OSErrors
(TimeoutError among them), as the system's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httptools

from arbiter_tui.outbox import Outbox
from arbiter_tui.provider import Sink

CONNECT_S = 5.0
IDLE_S = 4.0  # below the idle limits of common servers: llama-server and uvicorn close after five seconds
AHEAD_BYTES = 256 * 1024  # so much may wait for a reader until nothing more is read
MOST_IDLE = 128
HEAD_BYTES = 64 * 1024
LONGEST_S = 3600.0  # a silent answer that is wanted whole, however well its server says it is

Alive = Callable[[], Awaitable[bool]]


class Broken(OSError):
    """The other side closed the connection, or what it sent is no HTTP."""


class Cut(Broken):
    """It closed in the middle of an answer. ``cause``: what the system says."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _Connection(asyncio.Protocol):
    """One connection: one exchange at a time. ``status`` 0: no head yet. ``alive``: asked before silence is an error,
    for an answer that comes whole is silent as long as it is made."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._idle_since: float | None = None
        self.fresh = True  # nothing was asked of it before
        self._loop = asyncio.get_running_loop()
        self._buffer: list[bytes] = []
        self.on_body = self._buffer.append  # as the parser's own: a stream has thousands of pieces
        self._parser: Any = httptools.HttpResponseParser(self)
        self.alive: Alive | None = None
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limit_s = 0.0
        self._begin()

    def _begin(self) -> None:
        """The parser goes on to the next answer by itself: a connection is used again only after a whole one."""
        self.status = 0
        self.kind = ""
        self.retry_after = b""
        self.over = False
        self.error: OSError | None = None
        self._keeps = False
        self._length: int | None = None
        self._buffer.clear()
        self._held = self._head_seen = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self.sink: Sink | None = None  # takes what is read at once
        self.full = False  # it said that its other side is behind
        self._framed = False

    # ── what the transport says ───────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # uvloop's is one without inheriting from it

    def data_received(self, data: bytes) -> None:
        if self._idle_since is not None:
            self.close()  # words that nobody asked for: what follows would be taken for the next answer
            return
        self._heard_at = self._loop.time()
        if self.status == 0:
            self._head_seen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(Broken(f"no HTTP: {error}"))
        if self.status == 0 and self._head_seen > HEAD_BYTES:
            self.fail(Broken("a head without end"))
        self._held += len(data)  # with its framing
        if self.sink is not None and not self.over and self.error is None:
            data = self.take()
            if not data or self.sink.write(data):
                return
            self.sink, self.full = None, True
        if self._held > AHEAD_BYTES and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = self._parser = None  # it knows this connection
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.over and self.error is None:
            if self.status and self._length is None and not self._framed:
                self.over = True  # an answer of no stated length ends with its connection
            else:
                self.error = exc if isinstance(exc, OSError) else Broken("connection closed")
        self._wake()

    # ── what the parser says ──────────────────────────────────────────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self.kind = value.decode("latin-1").lower()
        elif name == b"content-length":
            self._length = int(value) if value.isdigit() else None
        elif name == b"transfer-encoding":
            self._framed = b"chunked" in value.lower()
        elif name == b"retry-after":
            self.retry_after = value

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._keeps = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self.over = self.status >= 200  # 100 Continue is no answer

    # ── one exchange ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def reusable(self) -> bool:
        return self.over and self._keeps and self.error is None and self.transport is not None

    @property
    def stale(self) -> bool:
        """Its server may have had enough of it."""
        return self._idle_since is not None and self._loop.time() - self._idle_since >= IDLE_S

    def rest(self) -> None:
        self._idle_since = self._loop.time()

    def ask(self, request: bytes, outbox: Outbox, under_way: int, alive: Alive | None) -> None:
        if not self.fresh:
            self._begin()
        assert self.transport is not None
        self.alive, self._idle_since, self._heard_at = alive, None, self._loop.time()
        self._asked_at = self._heard_at
        outbox.put(self.transport, request, under_way)

    async def wait(self, limit_s: float) -> None:
        """Returns when something is new. Raises TimeoutError after ``limit_s`` of silence.

        One timer serves many waits: when it rings it looks how long it has been silent."""
        self._waiter, self._limit_s = self._loop.create_future(), limit_s
        if self._timer is None:
            self._timer = self._loop.call_later(limit_s, self._silent)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _silent(self) -> None:
        self._timer = None
        if self._waiter is None:
            return  # nobody waits: the next one who does sets it again
        left = self._heard_at + self._limit_s - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._silent)
        elif self.alive is not None and self._loop.time() - self._asked_at < LONGEST_S:
            self._looking = self._loop.create_task(self._look(self.alive, self._waiter), name="upstream-alive")
        else:
            self.fail(TimeoutError(f"nothing for {self._limit_s:g} s"))

    async def _look(self, alive: Alive, waiter: asyncio.Future[None]) -> None:
        """It is silent: is it at work, or gone?"""
        try:
            well = await alive()
        except Exception:  # what can't be asked is not well
            well = False
        self._looking = None
        if self._waiter is not waiter:
            return  # something came meanwhile
        if not well:
            self.fail(TimeoutError(f"nothing for {self._limit_s:g} s, and it does not answer"))
            return
        self._heard_at = self._loop.time()
        self._timer = self._timer or self._loop.call_later(self._limit_s, self._silent)

    def take(self) -> bytes:
        """All that was read; empty if nothing was."""
        if not self._buffer:
            return b""
        data = self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)
        self._buffer.clear()
        self._held = 0
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return data

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def fail(self, error: OSError) -> None:
        self.error = self.error or error
        self.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Reply:
    """An answer whose head is there. ``kind``: its content type, in lower case."""

    def __init__(self, connection: _Connection, stall_s: float) -> None:
        self.status = connection.status
        self.kind = connection.kind
        self.retry_after = connection.retry_after
        self._connection, self._stall_s = connection, stall_s

    async def next(self) -> bytes:
        """What has come since the last piece, joined; empty at the end. Raises OSError where it breaks off."""
        connection = self._connection
        while True:
            if data := connection.take():
                return data
            if connection.error is not None:
                raise connection.error
            if connection.over:
                return b""
            await connection.wait(self._stall_s)

    async def pour(self, sink: Sink) -> None:
        """All the rest into ``sink``, as it is read, without a turn of the loop between. Raises OSError."""
        connection = self._connection
        while True:
            if connection.full:
                connection.full = False
                await sink.drain()
            elif data := connection.take():
                connection.full = not sink.write(data)
            elif connection.error is not None:
                raise connection.error
            elif connection.over:
                return
            else:
                connection.sink = sink
                try:
                    await connection.wait(self._stall_s)
                finally:
                    connection.sink = None


class Upstream:
    """``url``: http://HOST[:PORT]. ``keep`` False: a connection for each request, for servers that hold a thread for
    each. ``stall_s``: so long nothing may come."""

    def __init__(self, url: str, *, headers: dict[str, str], stall_s: float, keep: bool = True) -> None:
        place = urlsplit(url)
        if place.scheme != "http" or place.hostname is None:
            raise ValueError(f"{url} is no plain HTTP address")
        self.keep = keep
        self._host, self._port, self._path = place.hostname, place.port or 80, place.path.rstrip("/")
        told = {"Host": place.netloc.rsplit("@", 1)[-1], "Content-Type": "application/json", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self._stall_s = stall_s
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()  # given out
        self._outbox = Outbox()
        self._heads: dict[tuple[str, bool], bytes] = {}  # path, whether connections are kept -> all up to the length

    def post(self, path: str, body: bytes) -> _Exchange:
        """One exchange: ``async with`` it for its reply. Raises OSError. A kept connection that its server has closed
        meanwhile gives way to a new one: nothing of the request was answered yet."""
        return _Exchange(self, self._request(path, body))

    async def whole(
        self, path: str, body: bytes, *, most: int, alive: Alive | None = None
    ) -> tuple[int, bytes, bytes | None]:
        """One exchange whose answer is wanted at once: its status, when to come again, its body; None for one of more
        than ``most`` bytes. Raises what entering ``post`` does, and Cut for an answer that had begun. It may be silent
        as long as its server is ``alive``: nothing of it comes before all of it is made."""
        connection = await self.begin(self._request(path, body), alive)
        try:
            data = connection.take()
            while not connection.over:
                if connection.error is not None:
                    raise Cut(connection.error)
                await connection.wait(self._stall_s)
                data += connection.take()
                if len(data) > most:
                    return connection.status, connection.retry_after, None
            return connection.status, connection.retry_after, data
        finally:
            self.back(connection)

    def _request(self, path: str, body: bytes) -> bytes:
        head = self._heads.get((path, self.keep))
        if head is None:
            kept = "" if self.keep else "Connection: close\r\n"
            head = f"POST {self._path}{path} HTTP/1.1\r\n{self._head}{kept}Content-Length: ".encode("latin-1")
            self._heads[path, self.keep] = head
        return b"%s%d\r\n\r\n%s" % (head, len(body), body)

    async def begin(self, request: bytes, alive: Alive | None = None) -> _Connection:
        """A connection on which the head of an answer to ``request`` has come; give it ``back``."""
        connection = self._kept() or await self._connect()
        self._busy.add(connection)
        try:
            while True:
                connection.ask(request, self._outbox, len(self._busy), alive)
                while connection.status < 200 and connection.error is None:
                    await connection.wait(self._stall_s)
                error = connection.error
                if error is None or connection.status >= 200:
                    return connection
                if connection.fresh or isinstance(error, TimeoutError) or connection.status:
                    raise error
                connection.close()
                self._busy.discard(connection)
                connection = await self._connect()
                self._busy.add(connection)
        except BaseException:
            self._busy.discard(connection)
            connection.close()
            raise

    def reply(self, connection: _Connection) -> Reply:
        return Reply(connection, self._stall_s)

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.stale:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(CONNECT_S):
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection

    def back(self, connection: _Connection) -> None:
        """To the idle ones if its answer was read to its end, else it is closed: the runtime stops decoding."""
        self._busy.discard(connection)
        if connection.reusable and self.keep and len(self._idle) < MOST_IDLE:
            connection.fresh = False
            connection.rest()
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """What is under way is broken off, and told so. Idempotent."""
        while self._idle:
            self._idle.pop().close()
        for connection in list(self._busy):
            connection.fail(Broken("closed by us"))


class _Exchange:
    """A context: enters with the reply once its head is there."""

    __slots__ = ("_connection", "_request", "_upstream")

    def __init__(self, upstream: Upstream, request: bytes) -> None:
        self._upstream, self._request = upstream, request
        self._connection: _Connection | None = None

    async def __aenter__(self) -> Reply:
        self._connection = await self._upstream.begin(self._request)
        return self._upstream.reply(self._connection)

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            self._upstream.back(self._connection)
