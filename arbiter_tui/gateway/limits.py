"""What a request may look like before anybody reads its meaning: host, origin, size, time, JSON.

Owns: the DNS-rebinding guard, the body reader and the strict JSON reader. Never: a field's meaning.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from json.scanner import make_scanner
from typing import Any, NoReturn
from urllib.parse import urlsplit

from ..config_server import LimitsConfig, is_address, is_loopback
from .problems import BadRequest, Headers, dialect_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CLIENT = "arbiter.client"  # in the scope under our own server: what it knows of the client (protocol.py)
BODY_SECONDS = 30.0  # for a body that nobody wants: it is thrown away, so that the client gets to read our refusal
DRAIN_BYTES = 64 * 2**20  # of a body that is too large we discard so much, so that the client gets to read our 413


COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # gzip and zstd; others begin with anything

TO_ORIGINS = ("/v1/", "/api/")  # what a listed origin may use: models, never the control API
SHOWN = b"x-arbiter-model, x-arbiter-task, x-arbiter-decision, x-arbiter-request-id, x-arbiter-overhead-ms, retry-after"
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-max-age", b"600"),
]
ASKED_FIELDS, ASKED_LOCALLY = b"access-control-request-headers", b"access-control-request-private-network"


class BodyLimit:
    """What a request's body may be: bytes, and seconds until it is there. A reload changes it for the next."""

    __slots__ = ("seconds", "size")

    def __init__(self, limits: LimitsConfig) -> None:
        self.adopt(limits)

    def adopt(self, limits: LimitsConfig) -> None:
        self.size, self.seconds = limits.body_bytes, limits.body_s


class ClientGone(Exception):
    """The client left before its request was complete; there is nobody to answer."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a request header; ``name`` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """One whole answer with its length."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


# --- who is asking -----------------------------------------------------------------------------------------------


class HostGuard:
    """ASGI wrapper: only names of this machine as Host, only our own or a listed origin as Origin.

    A web page whose name was re-bound to this machine sends its own name as Host; a page that posts across sites sends
    its own Origin. Both get 403, whatever they asked for. A listed origin may use the model endpoints, and nothing
    else, and is told so by CORS headers; nobody else ever sees one.

    ``hosts``: names beside loopback's. ``exposed``: other machines may reach us, by address: nobody can re-bind one.
    """

    def __init__(
        self, app: App, *, hosts: Collection[str] = (), origins: Collection[str] = (), exposed: bool = False
    ) -> None:
        self._app = app
        self._exposed = exposed
        self.adopt(hosts, origins)

    def adopt(self, hosts: Collection[str], origins: Collection[str]) -> None:
        """These names and origins count from here on."""
        self._hosts = frozenset(h.lower() for h in hosts)
        self._origins = frozenset(o.lower() for o in origins)
        self._known: set[bytes] = set()  # host values already judged good: the hot path is one set lookup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if "//" in (path := scope["path"]) or path[-1:] == "/":
                scope["path"] = _plain(path)
            try:
                listed = self._judge(scope)
            except BadRequest as refusal:
                dialect = dialect_of(str(scope["path"]))
                await respond(send, refusal.status, dialect.render(refusal), [(b"content-type", dialect.kind)])
                return
            if listed is not None:
                if scope["method"] == "OPTIONS":
                    await respond(send, 204, b"", [*_cors(listed), *PREFLIGHT, *_granted(scope)])
                    return
                send = _telling(send, listed)
        await self._app(scope, receive, send)

    def _judge(self, scope: Scope) -> bytes | None:
        """The listed foreign origin, if that is who asks. Raises BadRequest."""
        host: bytes | None = None
        origin: bytes | None = None
        for key, value in scope["headers"]:
            if key == b"host":
                if host is not None:
                    raise BadRequest("a request has one Host header", code="bad_http")
                host = bytes(value)
            elif key == b"origin":
                origin = bytes(value)
        if host is None:
            host = _unnamed(scope)
        elif host not in self._known:
            if not self._host_allowed(host.decode("latin-1")):
                raise BadRequest(
                    "this Host name is not served here ([server] hosts lists further ones)",
                    status=403, code="foreign_host",
                )  # fmt: skip
            if len(self._known) < 64:
                self._known.add(host)
        if origin is None or _same_origin(origin.decode("latin-1"), host.decode("latin-1")):
            return None
        if origin.decode("latin-1").lower() in self._origins and str(scope["path"]).startswith(TO_ORIGINS):
            return origin
        raise BadRequest("requests from other sites are refused", status=403, code="foreign_origin")

    def _host_allowed(self, value: str) -> bool:
        name = _hostname(f"//{value}")
        if name is None:
            return False
        return name in self._hosts or is_loopback(name) or (self._exposed and is_address(name))


def _unnamed(scope: Scope) -> bytes:
    """HTTP/1.0 knows no Host: probes speak it, no browser does. Raises BadRequest for any newer one."""
    if scope["http_version"] != "1.0":
        raise BadRequest("a request needs a Host header", code="bad_http")
    return b""


def _plain(path: str) -> str:
    """Base addresses are written with a slash at their end, and without: neither leads astray."""
    return "/" + "/".join(part for part in path.split("/") if part)


def _cors(origin: bytes) -> Headers:
    return [(b"access-control-allow-origin", origin), (b"vary", b"origin"), (b"access-control-expose-headers", SHOWN)]


def _granted(scope: Scope) -> Headers:
    """The fields that the page's client wants to send, whatever they are (the official ones send a dozen of their own),
    and its way from the internet to this machine."""
    fields, locally = header(scope, ASKED_FIELDS), header(scope, ASKED_LOCALLY)
    found: Headers = [] if fields is None else [(b"access-control-allow-headers", fields)]
    return [*found, (b"access-control-allow-private-network", b"true")] if locally == b"true" else found


def _telling(send: Send, origin: bytes) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_cors(origin)]
        await send(message)

    return told


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _same_origin(origin: str, host: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


# --- the body ----------------------------------------------------------------------------------------------------


async def read_body(scope: Scope, receive: Receive, allowed: BodyLimit) -> bytes:
    """The whole body. Raises BadRequest (413 too large, 408 too slow) or ClientGone."""
    limit, seconds = allowed.size, allowed.seconds
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        await discard(receive, seconds)
        raise _too_large(limit)
    message = await _timed(receive, seconds)
    body = bytes(_piece(message))
    if len(body) <= limit and not message.get("more_body", False):
        return body
    return await _rest(receive, bytearray(body), limit, seconds)


async def _rest(receive: Receive, body: bytearray, limit: int, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more and len(body) <= limit:
                message = await receive()
                body += _piece(message)
                more = bool(message.get("more_body", False))
    except TimeoutError:
        raise _too_slow(seconds) from None
    if len(body) > limit:
        del body
        if more:
            await discard(receive, seconds)
        raise _too_large(limit)
    return bytes(body)


async def _timed(receive: Receive, seconds: float) -> Message:
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError:
        raise _too_slow(seconds) from None


def _piece(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGone
    piece: bytes = message.get("body", b"")
    return piece


async def discard(receive: Receive, seconds: float) -> None:
    """Throw the rest away, up to a bound: closing on unread data would reset the connection and lose our answer."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(seconds):
            while left > 0:
                message = await receive()
                left -= len(_piece(message))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _too_large(limit: int) -> BadRequest:
    told = f"the body is larger than {limit / 2**20:.3g} MiB ([server.limits] body_bytes)"
    return BadRequest(told, status=413, code="body_too_large")


def _too_slow(seconds: float) -> BadRequest:
    return BadRequest(f"the body did not arrive within {seconds:g} s", status=408, code="body_too_slow")


# --- JSON --------------------------------------------------------------------------------------------------------


def parse_object(body: bytes) -> dict[str, Any]:
    """Strict JSON object: UTF-8, no NaN or Infinity, no key twice, no lone surrogate, no abyss. Raises BadRequest."""
    try:
        text = body.decode("utf-8")
        value = _decoded(text)
        if b"\\u" in body:  # an escaped lone surrogate is valid JSON, but no text: nothing after us could encode it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        if body.startswith(COMPRESSED):
            told = "the body is compressed: send it as it is, without Content-Encoding"
            raise BadRequest(told, status=415, code="unsupported_encoding") from None
        raise BadRequest("the body is not valid UTF-8 (nor is a compressed one read)") from None
    except UnicodeEncodeError:
        raise BadRequest("the body holds half of a surrogate pair") from None
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply") from None
    except ValueError as error:
        if not body.strip():
            raise BadRequest("the body is empty: it must be a JSON object") from None
        raise BadRequest(f"the body is not valid JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def _decoded(text: str) -> Any:
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # a value is missing: ``decode`` says so in words
        end = -1
    return value if end == len(text) else _STRICT.decode(text)  # there may be blanks around it, too


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"the key {twice[:64]!r} appears twice", param=twice[:64])
    return result


def _constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is not valid JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadRequest(f"the number {text[:32]} is out of range")
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float)
_scan: Callable[[str, int], tuple[Any, int]] = make_scanner(_STRICT)  # type: ignore[arg-type] # so typeshed says
