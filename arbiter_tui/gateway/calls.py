"""The control API's machinery: one ``Call`` is one row of the table; ``mount`` turns rows into routes.

Owns: content types, bodies, queries, Idempotency-Key, gzip, problem details. Never: what a call does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.routing import Route

from ..core.access import masked
from ..engine.keyring import who
from ..errors import StoreError
from .bodies import Field, Fields, check, read_query
from .exchange import Endpoint, Exchange
from .limits import BodyLimit, header, parse_object
from .problems import JSON, PROBLEMS, BadRequest, Headers

PREFIX = "/arbiter/v1"
GZIP_FROM = 1024  # bytes: below this compressing costs more than it saves
KEPT_KEYS = 256
FREE_TEXT = frozenset({"comment", "reason"})  # what a person wrote belongs to its record, not to the ledger
LONGEST_TOLD = 120
LONGEST_ACTION = 300
READ = {"GET", "HEAD"}
LIMIT = Field("integer", low=1, high=1000, help="at most so many items (default 100)")
AFTER = Field("text", help="the `next` of the page before")
WAIT = Field("number", low=0, high=600, help="seconds to wait")
TASK = Field("text", help="only this task's")
PAGED: Fields = {"limit": LIMIT, "after": AFTER}


@dataclass(frozen=True, slots=True)
class Ask:
    """One checked call: the path's names, the query, the body."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """``body``: JSON-ready, or bytes that are JSON already."""

    body: Any
    status: int = 200
    headers: Headers = field(default_factory=list)
    kind: bytes = JSON


Handler = Callable[[Ask], Awaitable[Reply]]
Audit = Callable[[str, str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One row: what it is, what it takes, who does it. ``answer`` names a schema of openapi.py.

    ``body`` None: no body is read; ``lists``: the body may also be ``{"items": [...]}`` or a bare list of such.
    """

    method: str
    path: str
    summary: str
    do: Handler
    body: Fields | None = None
    query: Fields = field(default_factory=dict)
    answer: str = "Object"
    status: int = 200
    lists: bool = False
    looks: Callable[[Any], bool] = lambda body: False  # a call with this body changes nothing
    opaque: bool = False  # the engine checks the fields (a task's are those of the configuration file)
    raw: tuple[str, ...] = ()  # the body is one of these media types, and is handed on as it came
    media: str | None = None  # of the answer, where that is no JSON
    most: BodyLimit | None = None  # what the body may be, where that is not what others may


class Keys:
    """Idempotency-Key: the same key with the same request gets the same answer; with another request 422."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[bytes, asyncio.Task[Reply]]] = OrderedDict()

    async def once(self, call: str, key: str, fingerprint: bytes, work: Callable[[], Awaitable[Reply]]) -> Reply:
        known = self._known.get((call, key))
        if known is None:
            task = asyncio.ensure_future(_shielded(work))
            self._known[(call, key)] = (fingerprint, task)
            while len(self._known) > KEPT_KEYS:
                self._known.popitem(last=False)
        else:
            seen, task = known
            if seen != fingerprint:
                raise BadRequest("this Idempotency-Key was used for another request", status=422, code="key_reused")
        try:
            return await asyncio.shield(task)
        except Exception:
            self._known.pop((call, key), None)  # an error changed nothing: the key may be tried again
            raise


async def _shielded(work: Callable[[], Awaitable[Reply]]) -> Reply:
    return await work()


def mount(calls: list[Call], *, body_limit: BodyLimit, audit: Audit) -> list[Route]:
    """Routes of the rows; ``audit`` (who, what, of what) is awaited before each that changes something, and after it
    with what became of it: done, accepted (it goes on by itself), or refused and why.

    Starlette answers 405 for a path that exists with another method.
    """
    keys = Keys()
    return [
        Route(
            PREFIX + call.path,
            Endpoint(_Work(call, keys, audit).run, body_limit=call.most or body_limit, dialect=PROBLEMS),
            methods=[call.method],
        )
        for call in calls
    ]


class _Work:
    def __init__(self, call: Call, keys: Keys, audit: Audit) -> None:
        self._audit = audit
        self._call = call
        self._keys = keys

    async def run(self, exchange: Exchange) -> None:
        call, scope = self._call, exchange.scope
        raw = b"" if call.method in READ else await exchange.body()
        pairs = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        query = read_query(pairs, call.query)
        body = None if call.method in READ else self._body(exchange, raw)
        ask = Ask(scope["path_params"], query, body)
        if call.method in READ:
            exchange.watch(streams=False)  # a reader that leaves stops waiting; a write that began is finished
        key = header(scope, b"idempotency-key")
        if call.method in READ or call.looks(body) or query.get("dry_run"):
            await _send(exchange, await self._done(exchange, ask, key, raw))
            return
        action = masked(f"{call.method} {scope['path']}")[:LONGEST_ACTION]
        await self._audit(who(), action, told(body))  # before: nothing happens untold
        try:
            reply = await self._done(exchange, ask, key, raw)
        except Exception as error:
            await self._ended("refused", f"{action} {getattr(error, 'code', 'internal_error')}")
            raise
        await self._ended("accepted" if reply.status == 202 else "done", action)
        await _send(exchange, reply)

    async def _ended(self, how: str, action: str) -> None:
        """What became of an attempt. It is over: a store that can't be written any more changes nothing of that."""
        with contextlib.suppress(StoreError):
            await self._audit(who(), how, action)

    async def _done(self, exchange: Exchange, ask: Ask, key: bytes | None, raw: bytes) -> Reply:
        call, scope = self._call, exchange.scope
        if key is None or call.method in READ:
            return await call.do(ask)
        where = f"{who()} {call.method} {scope['path']}"
        print_ = hashlib.sha256(scope["query_string"] + b"\0" + raw).digest()
        return await self._keys.once(where, key.decode("latin-1")[:256], print_, lambda: call.do(ask))

    def _body(self, exchange: Exchange, raw: bytes) -> Any:
        kind = header(exchange.scope, b"content-type")
        if self._call.raw:
            return _as_it_came(raw, kind, self._call.raw)
        if (raw or kind is not None) and not _is_json(kind):
            raise BadRequest("the body must be application/json", status=415, code="unsupported_media_type")
        call = self._call
        if call.lists and raw.lstrip()[:1] == b"[":
            raw = b'{"items":' + raw + b"}"
        value = parse_object(raw) if raw.strip() else {}
        if call.lists and "items" in value:
            items = value["items"]
            if not isinstance(items, list) or not all(isinstance(i, dict) for i in items):
                raise BadRequest("'items' must be a list of objects", status=422, param="items")
            return [check(item, call.body or {}) for item in items]
        if call.opaque:
            return value
        checked = check(value, call.body or {})
        return [checked] if call.lists else checked


def _as_it_came(raw: bytes, kind: bytes | None, kinds: tuple[str, ...]) -> bytes:
    """Raises BadRequest for another media type: a form that a web page posts is none of them."""
    given = "" if kind is None else kind.decode("latin-1").split(";")[0].strip().lower()
    if given not in kinds:
        raise BadRequest(f"the body must be {' or '.join(kinds)}", status=415, code="unsupported_media_type")
    return raw


def told(body: Any) -> str:
    """A write's body for the ledger: its short fields in one line, and of a list how long it is; no free text."""
    if isinstance(body, bytes):
        return f"{len(body)} bytes"
    if isinstance(body, list):
        return f"{len(body)} items" if len(body) != 1 else told(body[0])
    pairs = ((k, v) for k, v in (body or {}).items() if k not in FREE_TEXT)
    return " ".join(f"{k}={masked(json.dumps(v, default=_plain))[:LONGEST_TOLD]}" for k, v in pairs)[: 4 * LONGEST_TOLD]


def _is_json(kind: bytes | None) -> bool:
    return kind is not None and kind.split(b";")[0].strip().lower() == b"application/json"


async def _send(exchange: Exchange, reply: Reply) -> None:
    data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body, default=_plain).encode()
    if reply.kind != JSON:
        await exchange.answer(reply.status, data, list(reply.headers), kind=reply.kind)
        return
    headers = list(reply.headers)
    accepts = header(exchange.scope, b"accept-encoding") or b""
    if len(data) >= GZIP_FROM and b"gzip" in accepts:
        data = gzip.compress(data, compresslevel=1)
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    await exchange.answer(reply.status, data, headers, kind=JSON)


def _plain(value: Any) -> Any:
    """Sets (sorted) and whatever else the engine's records hold, as JSON can say it."""
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (tuple, list)):
        return list(value)
    return str(value)
