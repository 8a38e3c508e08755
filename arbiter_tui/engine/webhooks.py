"""Webhooks: what became of swaps, posted to whoever asked for it, after the fact and beside the work.

Owns: which event a change of a swap is, the bounded queue of each hook, retries, the signature, the one alert while a
hook does not take what it is sent. Never: HTTP (the caller's ``post`` has it), a swap's way: nothing here is awaited by
one.

A message is that of Standard Webhooks: ``{type, timestamp, data}``, signed in ``webhook-signature`` as
``v1,base64(HMAC-SHA256(secret, id.timestamp.body))``. Deliveries of one hook are in order; each is tried again after
``RETRIES_S`` unless the receiver says that it will never take it (another 4xx than 408 and 429).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..config_gates import WEBHOOK_EVENTS
from ..core.snapshot import SwapView
from .live import Live

RETRIES_S = (1.0, 5.0, 30.0, 120.0, 600.0)
QUEUE = 100  # messages of one hook; beyond that the oldest is dropped, and told
TRY_AGAIN = frozenset({408, 429})
TOLD = ("id", "task", "from_", "to", "trigger", "result", "reason", "started_at", "duration_s", "error")
Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]  # url, body, headers -> status; raises OSError


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """``url`` and ``secret`` are values here, resolved; neither is ever told: only ``name`` is."""

    name: str
    url: str
    events: tuple[str, ...] = WEBHOOK_EVENTS
    secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    event: str
    at: float
    body: bytes


def event_of(before: SwapView | None, after: SwapView) -> str | None:
    """The event that a change of a swap's record is; None: nothing that is told."""
    if before is not None and before.result == after.result:
        return None
    match after.result:
        case "running":
            return "swap-started"
        case "failed":
            return "swap-failed"
        case "done":
            return "rolled-back" if after.trigger == "rollback" else "swap-complete"
    return None  # rolled_back: the rollback that did it has its own record


def signature(secret: bytes, id: str, at: int, body: bytes) -> str:
    digest = hmac.new(secret, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def secret_bytes(secret: str) -> bytes:
    """As Standard Webhooks has them: behind ``whsec_`` base64, else the text itself."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            return secret.encode()
    return secret.encode()


class Webhooks:
    def __init__(self, hooks: Sequence[Hook], live: Live, post: Post) -> None:
        self._live = live
        self._post = post
        self._news = asyncio.Event()
        self._senders: dict[Hook, _Sender] = {}
        self.adopt(hooks)

    def adopt(self, hooks: Sequence[Hook]) -> None:
        """These hooks from here on. One that stays as it is keeps what waits in its queue."""
        self._senders = {hook: self._senders.get(hook) or _Sender(hook, self._live, self._post) for hook in hooks}
        self._news.set()

    def saw(self, before: SwapView | None, after: SwapView) -> None:
        """A swap's record changed. Constant time; never waits."""
        event = event_of(before, after)
        if event is None:
            return
        now = self._live.clock.now()
        data = {name.rstrip("_"): getattr(after, name) for name in TOLD}
        at = datetime.fromtimestamp(now, UTC).isoformat()
        body = json.dumps({"type": event, "timestamp": at, "data": data}).encode()
        message = Message(f"msg_{after.id}_{event}", event, now, body)
        for sender in self._senders.values():
            sender.put(message)

    async def run(self) -> None:
        """Deliver until cancelled."""
        working: dict[_Sender, asyncio.Task[None]] = {}
        try:
            while True:
                self._news.clear()
                wanted = set(self._senders.values())
                for sender in wanted - working.keys():
                    working[sender] = asyncio.create_task(sender.run(), name="webhook")
                for sender in working.keys() - wanted:
                    working.pop(sender).cancel()
                await self._news.wait()
        finally:
            for task in working.values():
                task.cancel()
            await asyncio.gather(*working.values(), return_exceptions=True)


class _Sender:
    """One hook's queue and its worker."""

    def __init__(self, hook: Hook, live: Live, post: Post) -> None:
        self._hook = hook
        self._live = live
        self._post = post
        self._waiting: deque[Message] = deque()
        self._news = asyncio.Event()
        self._silent = True  # whether nothing has gone wrong since the last delivery

    def put(self, message: Message) -> None:
        if message.event not in self._hook.events:
            return
        if len(self._waiting) >= QUEUE:
            self._waiting.popleft()
            self._trouble(f"more than {QUEUE} messages wait; the oldest are dropped")
        self._waiting.append(message)
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._deliver(self._waiting.popleft())

    async def _deliver(self, message: Message) -> None:
        for pause in (*RETRIES_S, None):
            trouble, final = await self._once(message)
            if trouble is None:
                self._silent = True
                return
            if final or pause is None:
                self._trouble(f"{message.event} was not delivered: {trouble}")
                return
            await self._live.clock.sleep(pause)

    async def _once(self, message: Message) -> tuple[str | None, bool]:
        """What went wrong (None: nothing), and whether it is of no use to try again."""
        hook, at = self._hook, int(self._live.clock.now())
        headers: dict[str, Any] = {
            "content-type": "application/json", "webhook-id": message.id, "webhook-timestamp": str(at),
        }  # fmt: skip
        if hook.secret is not None:
            headers["webhook-signature"] = signature(hook.secret, message.id, at, message.body)
        try:
            status = await self._post(hook.url, message.body, headers)
        except (OSError, TimeoutError) as error:
            return type(error).__name__, False  # its text may hold the address, and that a secret
        if 200 <= status < 300:
            return None, True
        return f"answered {status}", status < 500 and status not in TRY_AGAIN

    def _trouble(self, text: str) -> None:
        if self._silent:
            self._silent = False
            self._live.alert("warning", f"webhook {self._hook.name}: {text}")
