"""The hot path's client for addresses behind TLS: what _upstream.py offers, over aiohttp, which knows certificates.

Owns: the same words for the same things. Never: redirects, a certificate that nobody signed, the session (the
runtime's).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from arbiter_tui.provider import Sink

from ._upstream import CONNECT_S, LONGEST_S, Alive, Broken, Cut

Session = Callable[[], aiohttp.ClientSession]


class TlsReply:
    """An answer whose head is there. ``kind``: its content type, in lower case."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.kind = response.content_type.lower()
        self.retry_after = response.headers.get("Retry-After", "").encode("latin-1", "replace")

    async def next(self) -> bytes:
        """What has come since the last piece; empty at the end. Raises OSError where it breaks off."""
        try:
            return await self._response.content.readany()
        except (TimeoutError, aiohttp.ClientOSError):
            raise  # OSErrors, with the system's own words
        except aiohttp.ClientError as error:
            raise Broken(type(error).__name__) from error

    async def pour(self, sink: Sink) -> None:
        """All the rest into ``sink``. Raises OSError."""
        while data := await self.next():
            if not sink.write(data):
                await sink.drain()


class TlsUpstream:
    """``url``: https://HOST[:PORT]. ``stall_s``: so long nothing may come."""

    def __init__(self, url: str, *, headers: dict[str, str], stall_s: float, session: Session) -> None:
        self._url, self._stall_s, self._session = url, stall_s, session
        self._headers = {"Content-Type": "application/json", **headers}

    @asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncIterator[TlsReply]:
        """One exchange. Leaving early closes the connection. Raises OSError."""
        response = await self._asked(path, body, self._stall_s)
        try:
            yield TlsReply(response)
        finally:
            response.close()

    async def whole(
        self, path: str, body: bytes, *, most: int, alive: Alive | None = None
    ) -> tuple[int, bytes, bytes | None]:
        """As ``Upstream.whole``."""
        asking = asyncio.ensure_future(self._read(path, body, most))
        try:
            while not (await asyncio.wait({asking}, timeout=self._stall_s))[0]:
                if alive is None or not await alive():
                    raise TimeoutError(f"nothing for {self._stall_s:g} s")
            return asking.result()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _read(self, path: str, body: bytes, most: int) -> tuple[int, bytes, bytes | None]:
        response = await self._asked(path, body, LONGEST_S)
        try:
            reply, data = TlsReply(response), bytearray()
            while piece := await self._next(reply):
                data += piece
                if len(data) > most:
                    return reply.status, reply.retry_after, None
            return reply.status, reply.retry_after, bytes(data)
        finally:
            response.close()

    async def _next(self, reply: TlsReply) -> bytes:
        try:
            return await reply.next()
        except OSError as error:
            raise Cut(error) from error

    async def _asked(self, path: str, body: bytes, stall_s: float) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=stall_s)
        try:
            return await self._session().post(
                self._url + path, data=body, timeout=timeout, headers=self._headers, allow_redirects=False
            )
        except aiohttp.ClientResponseError as error:  # it holds our headers, so it does not go on as a cause
            why: OSError = Broken(type(error).__name__)
        except (TimeoutError, aiohttp.ClientOSError):
            raise
        except aiohttp.ClientError as error:
            why = Broken(type(error).__name__)
        raise why

    def close(self) -> None:
        """The runtime closes its session, and with it what is under way."""
