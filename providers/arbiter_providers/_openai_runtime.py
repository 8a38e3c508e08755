"""One server that speaks OpenAI's dialect, and a model of it: shared by ``openai_compatible`` and ``server``.

Owns: the session to one address, its key, typed errors for whatever that address does. Never: starts a process; shows
the key (no message, no repr).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import Overloaded, ProviderError, Unreachable, WorkerDied
from arbiter_tui.provider import Chunk, Done, EventSink, InstanceStats, Request, Sink, WorkerEvent

from . import _openai_wire as wire
from ._relay import Tail, Told, whole
from ._upstream import Cut, Reply, Upstream
from ._upstream_tls import TlsReply, TlsUpstream

LONGEST_WAIT_S = 3600.0  # that we hand on, whatever a server asks for
QUICK_S = 5.0  # for what never waits for a model: lists, health
_MOST_BYTES = 64 * 1024 * 1024  # of an answer that is read whole: a batch of embeddings


class Runtime:
    """``stall_s``: so long nothing may come in the middle of an answer; a prompt that is read counts, so it is long.

    Runtimes with another dialect on HTTP (Ollama, Anthropic) are its children: they say what they are and how they err.
    """

    what = "OpenAI-compatible server"

    def __init__(self, base_url: str, *, key: str | None = None, stall_s: float = 120.0) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self._key = key.encode() if key else None
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._stall_s = stall_s
        self._session: aiohttp.ClientSession | None = None
        self.hot: Upstream | TlsUpstream
        if self.base_url.startswith("http://"):
            self.hot = Upstream(self.base_url, headers=self._headers, stall_s=stall_s)
        else:
            self.hot = TlsUpstream(self.base_url, headers=self._headers, stall_s=stall_s, session=self._http)

    async def models(self) -> list[dict[str, Any]]:
        """The entries of /v1/models; LM Studio's own list where there is one tells more."""
        told = await self.get(wire.MODELS)
        entries = told.get("data")
        if not isinstance(entries, list):
            raise ProviderError(f"what answers at {self.base_url} lists no models: it is no {self.what}")
        more = {e.get("id"): e for e in await self._lm_studio()}
        return [{**e, **more.get(e.get("id"), {})} for e in entries if isinstance(e, dict)]

    async def _lm_studio(self) -> list[dict[str, Any]]:
        try:
            told = await self.get("/api/v0/models")
        except (ProviderError, Overloaded):
            return []
        entries = told.get("data")
        return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []

    async def props(self) -> dict[str, Any]:
        """llama-server's /props: {} where it is another server."""
        try:
            return await self.get("/props")
        except (ProviderError, Overloaded):
            return {}

    async def healthy(self) -> bool:
        """/health where there is one, else the list. Neither generates nor wakes anything."""
        try:
            async with self.request("GET", "/health", None, timeout_s=QUICK_S) as response:
                if response.status != 404:
                    return response.status == 200
            await self.get(wire.MODELS)
        except (ProviderError, Overloaded):
            return False
        return True

    async def get(self, path: str) -> dict[str, Any]:
        async with self.request("GET", path, None, timeout_s=QUICK_S) as response:
            return await self._object(response, name=path)

    async def post(
        self, path: str, body: Mapping[str, Any], *, name: str, timeout_s: float | None = None, patient: bool = False
    ) -> dict[str, Any]:
        async with self.request("POST", path, body, timeout_s=timeout_s, patient=patient) as response:
            return await self._object(response, name=name)

    @asynccontextmanager
    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, timeout_s: float | None = None,
        patient: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        """One exchange. Leaving early closes the connection, which makes the server stop decoding.

        ``patient``: its answer may take any time to begin (a load); whoever asks keeps the time.
        Raises Unreachable (never connected, or broken off); a redirect is not followed, so that a key stays here.
        """
        stall_s = None if patient else self._stall_s
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=QUICK_S, sock_read=stall_s)
        why: str | None = None
        try:
            response = await self._http().request(
                method, self.base_url + path, json=body, timeout=timeout, headers=self._headers, allow_redirects=False
            )
        except aiohttp.ClientResponseError as error:  # it holds our headers, so it does not go on as a cause
            why = cause(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no address; TimeoutError: an OSError
            raise Unreachable(f"nobody answers at {self.base_url} ({cause(error)})") from error
        if why is not None:
            raise Unreachable(f"nobody answers at {self.base_url} ({why})")
        try:
            yield response
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self.base_url} broke off its answer ({cause(error)})") from error
        finally:
            response.close()

    def broken(self, error: Exception, *, began: bool) -> str:
        """In words: nobody there, or broken off."""
        what = "broke off its answer" if began else "nobody answers at"
        return f"{self.base_url} {what} ({cause(error)})" if began else f"{what} {self.base_url} ({cause(error)})"

    def error(self, status: int, body: bytes, *, name: str) -> ProviderError | Overloaded:
        return wire.error(status, self.hidden(body), name=name)

    def refused(self, status: int, body: bytes, again: bytes, *, name: str) -> ProviderError | Overloaded:
        """``error``, with the server's own word for when to come again."""
        found = self.error(status, body, name=name)
        if again.isdigit():  # a date, which is allowed too, is not worth a parser
            found.retry_after_s = min(float(again), LONGEST_WAIT_S)
        return found

    async def refusal(self, response: aiohttp.ClientResponse, *, name: str) -> ProviderError | Overloaded:
        again = response.headers.get("Retry-After", "").encode("latin-1", "replace")
        return self.refused(response.status, await bounded(response), again, name=name)

    def hidden(self, body: bytes) -> bytes:
        """A server may quote our key: it does not go on."""
        return body.replace(self._key, b"...") if self._key else body

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        self.hot.close()

    def _http(self) -> aiohttp.ClientSession:
        # One connection a request: closing it is how a request is cancelled, and none is left half read.
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        return self._session

    async def _object(self, response: aiohttp.ClientResponse, *, name: str) -> dict[str, Any]:
        if response.status != 200:
            raise await self.refusal(response, name=name)
        data = await bounded(response)
        try:
            told = json.loads(data)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise ProviderError(f"what answers at {self.base_url} is no {self.what}")
        return told


class OpenAiModel:
    """A model that a running server serves. ``gone``: says why it can't any more, None while it can."""

    def __init__(
        self, runtime: Runtime, version: ModelVersion, dialect: wire.Dialect, *, on_event: EventSink,
        forget: Callable[[OpenAiModel], None], slots: int | None = None,
    ) -> None:  # fmt: skip
        self.version = version
        self._runtime, self._dialect, self._on_event, self._forget = runtime, dialect, on_event, forget
        self._slots = slots
        self._unloaded = self._told = False

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self._check()
        path, body = wire.call(request, self._dialect)
        events = wire.Events(request, self._dialect, name=self.version.version, error=self._runtime.error)
        try:
            async with self._runtime.request("POST", path, body) as response:
                if response.status != 200:
                    raise await self._runtime.refusal(response, name=self.version.version)
                if "json" in response.content_type:
                    raise self._runtime.error(500, await bounded(response), name=self.version.version)
                async for data in response.content.iter_any():
                    for chunk in events.feed(data):
                        yield chunk
                        if isinstance(chunk, Done):
                            return
        except Unreachable as error:
            raise self._gone(str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderError(f"{self.version.version}: the answer can't be read ({type(error).__name__})") from error
        done = events.ended()
        if done is None:
            raise self._gone("its server ended the answer in the middle")
        yield done

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        told, body = request.original, self._words(request)
        if told is None or body is None:
            return None
        return self._relay(told.path, body) if told.stream else self._piece(self._whole(told.path, body))

    def whole(self, request: Request) -> Awaitable[tuple[bytes, Done]] | None:
        told, body = request.original, self._words(request)
        return None if told is None or told.stream or body is None else self._whole(told.path, body)

    def _words(self, request: Request) -> bytes | None:
        """The client's own, for this model; None where it has to be asked in ours."""
        return wire.original(request, self._dialect)

    async def _relay(self, path: str, body: bytes) -> AsyncGenerator[bytes | Done, Sink | None]:
        self._check()
        tail, began = Tail(), False
        try:
            async with self._runtime.hot.post(path, body) as reply:
                if reply.status != 200 or "json" in reply.kind:
                    told = await self._all(reply)
                    status = 500 if reply.status == 200 else reply.status
                    raise self._runtime.refused(status, told, reply.retry_after, name=self.version.version)
                began = True
                while data := await reply.next():
                    tail.add(data)
                    sink = yield data
                    if sink is not None:
                        await reply.pour(Told(tail, sink))
        except OSError as error:
            raise self._gone(self._runtime.broken(error, began=began)) from error
        ended = tail.done(self._runtime.hidden)
        if ended is None:
            raise self._gone("its server ended the answer in the middle")
        yield ended

    async def _whole(self, path: str, body: bytes) -> tuple[bytes, Done]:
        self._check()
        runtime = self._runtime
        try:
            status, again, told = await runtime.hot.whole(path, body, most=_MOST_BYTES, alive=runtime.healthy)
        except Cut as error:
            raise self._gone(runtime.broken(error.cause, began=True)) from error.cause
        except OSError as error:
            raise self._gone(runtime.broken(error, began=False)) from error
        if told is None:
            raise ProviderError(f"{runtime.base_url} sends an answer without end")
        if status != 200:
            raise runtime.refused(status, told, again, name=self.version.version)
        return told, whole(told)

    async def _piece(self, coming: Awaitable[tuple[bytes, Done]]) -> AsyncGenerator[bytes | Done, Sink | None]:
        told, done = await coming
        yield told
        yield done

    async def _all(self, reply: Reply | TlsReply) -> bytes:
        data = bytearray()
        while piece := await reply.next():
            data += piece
            if len(data) > _MOST_BYTES:
                raise ProviderError(f"{self._runtime.base_url} sends an answer without end")
        return bytes(data)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self._check()
        if not texts:
            return []
        body = {"model": self._dialect.model, "input": list(texts)}
        told = await self._runtime.post(wire.EMBEDDINGS, body, name=self.version.version)
        try:
            rows = sorted(told["data"], key=lambda row: row["index"])
            return [[float(x) for x in row["embedding"]] for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"{self.version.version} gave no embeddings ({type(error).__name__})") from error

    async def health(self) -> bool:
        return not self._unloaded and await self._runtime.healthy()

    async def stats(self) -> InstanceStats:
        """Its memory is its server's own affair, on another machine perhaps: unknown."""
        return InstanceStats(
            context=self.version.context, parallel=self._slots or self.version.parallel,
            base_url=self._runtime.base_url,
        )  # fmt: skip

    def log(self) -> list[str]:
        """A server that runs by itself keeps its own log."""
        return []

    async def unload(self) -> None:
        """We did not load it: it stays where it runs, and is not asked any more."""
        self._unloaded = True
        self._forget(self)

    def _check(self) -> None:
        if self._unloaded:
            raise WorkerDied(f"{self.version.version} was unloaded")

    def _gone(self, why: str) -> ProviderError:
        if self._unloaded:
            return WorkerDied(f"{self.version.version} was unloaded before the end of its answer")
        if not self._told:
            self._told = True
            self._on_event(WorkerEvent(version=self.version.version, kind="exited", message=why))
        return WorkerDied(f"{self.version.version}: {why}")


async def bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > _MOST_BYTES:
            raise ProviderError(f"{response.url.origin()} sends an answer without end")
    return bytes(data)


def cause(error: Exception) -> str:
    """In a few words: of a connection that failed, what the system says, not the library's own account of it."""
    number = getattr(getattr(error, "os_error", error), "errno", None)
    if number and isinstance(number, int) and number > 0:
        return os.strerror(number)
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return type(error).__name__
