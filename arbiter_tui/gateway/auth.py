"""The door's keeper: whose request this is, and whether that key may ask for it.

Owns: which scope a path needs, reading a key from a request, 401, 403 and 429. Never: a key's secret (engine/keyring.py
checks it), what happens behind the door.

Where keys are not required, a request without one is this machine's own; so is one with a key that is none of ours,
for many clients always send one. A key of ours that opens nothing (any more) is refused wherever it is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterable

from ..core.access import PREFIX
from ..engine.keyring import CALLER, Caller, KeyRing
from ..errors import ArbiterError, Forbidden, KeyNeeded, Overloaded
from ..ports import Clock
from .limits import BODY_SECONDS, App, ClientGone, Receive, Scope, Send, discard, respond
from .problems import dialect_of, retry_after, status_of

OURS = PREFIX.encode()
OPEN = frozenset({"/", "/health", "/health/liveness", "/health/readiness"})
CONTROL = "/arbiter/"
KEYS = "/arbiter/v1/keys"
MAKE_ONE = "make one with `arbiter key create NAME` on the engine's machine"


def scope_of(path: str) -> str | None:
    """The scope that a path needs; None: whoever asks."""
    if path.startswith(CONTROL):
        return "admin" if path == KEYS or path.startswith(KEYS + "/") else "control"
    if path in OPEN:
        return None
    return "control" if path == "/metrics" else "infer"


def presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key that a request shows: ``Authorization: Bearer``, or ``x-api-key``; of several one that is ours. Another
    kind of authorization belongs to a proxy."""
    found: bytes | None = None
    for name, value in headers:
        if name == b"x-api-key":
            token = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            token = value[7:].strip()
        else:
            continue
        if token.startswith(OURS):
            return token
        found = token if found is None else found
    return found


class KeyGuard:
    """ASGI wrapper. ``required``: nobody gets in without a key."""

    def __init__(self, app: App, ring: KeyRing, clock: Clock, *, required: bool) -> None:
        self._app = app
        self._ring = ring
        self._clock = clock
        self._required = required

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        CALLER.set(None)  # a request begins in the context of the one before it on its connection
        if not self._required and presented(scope["headers"]) is None:
            return self._app(scope, receive, send)
        return self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._admit(scope)
        except ArbiterError as error:
            await _refuse(scope, receive, send, error)
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        """Raises KeyNeeded, Forbidden, Overloaded."""
        needed = scope_of(scope["path"])
        if needed is None:
            return
        token = presented(scope["headers"])
        caller = None if token is None else self._ring.known(token)
        if caller is None and token is not None and token.startswith(OURS):
            caller = await self._ring.check(token)
            if caller is None:
                raise KeyNeeded("this key opens nothing: it is wrong, was revoked, or has expired")
        if caller is None:
            if self._required:
                raise KeyNeeded(f"a key is needed here (Authorization: Bearer, or x-api-key); {MAKE_ONE}")
            return
        CALLER.set(caller)  # whoever is refused from here on is known
        if not caller.key.allows(needed):
            raise Forbidden(f"this key's scope is {caller.key.scope}; {needed} is needed here")
        if needed == "infer" and scope["method"] == "POST":
            self._count(caller)

    def _count(self, caller: Caller) -> None:
        full = caller.admit(self._clock.monotonic())
        if full is not None:
            limit, wait = full
            error = Overloaded(f"this key's limit of {limit} is reached", details={"limit": limit})
            error.code = "rate_limit_exceeded"
            error.retry_after_s = min(wait, 86_400.0)
            raise error


async def _refuse(scope: Scope, receive: Receive, send: Send, error: ArbiterError) -> None:
    dialect, status = dialect_of(scope["path"]), status_of(error)
    headers = [(b"content-type", dialect.kind), *retry_after(error, status)]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    with contextlib.suppress(ClientGone):
        if scope["method"] not in ("GET", "HEAD"):
            await discard(receive, BODY_SECONDS)
        await respond(send, status, dialect.render(error), headers)
