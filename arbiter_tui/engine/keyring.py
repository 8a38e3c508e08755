"""The keys that open this engine: made, checked, rotated, revoked.

Owns: the table of keys (committed before it is acknowledged), their buckets, and whose request is being served.
Never: keeps a secret: only its scrypt hash with a salt of its own is stored, and it is shown once, when it is made.

Checking a secret takes tens of milliseconds on purpose. So a token that was found good is remembered by its keyed hash
(the key of that hash lives and dies with the process); from then on it costs microseconds, and its record is looked at
anew each time: what was revoked or has expired is refused at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from ..core.access import LOCAL, PREFIX, SCOPES, Bucket, Key, Secret, key_of, parts
from ..errors import Overloaded, Refused, UnknownName
from ..ports import Clock, Store

NOTE = "keys"
REMEMBERED = 4096  # tokens found good
WAITING = 32  # checks that may queue; each holds 16 MiB for its tens of milliseconds, one at a time
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32, "maxmem": 64 * 2**20}


class Caller:
    """A key in use: its record now, and its two buckets."""

    __slots__ = ("key", "last_used_at", "requests", "tokens")

    def __init__(self, key: Key, now: float) -> None:
        self.key = key
        self.last_used_at: float | None = None
        self.requests = _bucket(key.requests_per_minute, now)
        self.tokens = _bucket(key.tokens_per_minute, now)

    def admit(self, now: float) -> tuple[str, float] | None:
        """Count one request. Otherwise which limit is reached, and the seconds until there is room again."""
        if self.tokens is not None and (wait := self.tokens.wait(now)) > 0:
            return f"{self.key.tokens_per_minute:g} tokens a minute", wait
        if self.requests is not None:
            if (wait := self.requests.wait(now)) > 0:
                return f"{self.key.requests_per_minute:g} requests a minute", wait
            self.requests.take(1.0)
        return None

    def used(self, tokens: float) -> None:
        """An answer took so many tokens, both ways."""
        if self.tokens is not None:
            self.tokens.take(tokens)


# Whose request this is; None: nobody's key. Set at the door, read where the request is routed and where it ends.
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def who() -> str:
    """For the ledger: the key's id, or ``local``."""
    caller = CALLER.get()
    return LOCAL if caller is None else caller.key.id


class KeyRing:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._callers: dict[str, Caller] = {}
        self._good: OrderedDict[bytes, tuple[str, Secret | None]] = OrderedDict()
        self._pepper = os.urandom(32)
        self._checking = asyncio.Semaphore(1)
        self._waiting = 0
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        now = self._clock.monotonic()
        for stored in await self._store.note(NOTE) or ():
            key = key_of(stored)
            self._callers[key.id] = Caller(key, now)

    def keys(self) -> list[Key]:
        """Oldest first."""
        return [c.key for c in self._callers.values() if c.key.id != LOCAL]

    def usable(self) -> bool:
        """Whether anybody could come in with a key."""
        now = self._clock.now()
        return any(k.valid(now) for k in self.keys())

    def shown(self) -> list[dict[str, Any]]:
        now = self._clock.now()
        return [
            {**c.key.shown(now), "last_used_at": c.last_used_at} for c in self._callers.values() if c.key.id != LOCAL
        ]

    # ── changes ───────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, name: str, **fields: Any) -> tuple[Key, str]:
        """The key, and its token, which nobody will see again. ``fields``: those of Key. Raises Refused."""
        async with self._writing:
            if any(k.name == name for k in self.keys()):
                raise Refused(f"there is a key named {name!r}: rotate it, or revoke it first")
            token, secret = await _made(id := secrets.token_hex(4))
            key = Key(id=id, name=name, created_at=self._clock.now(), secrets=(secret,), **fields)
            await self._commit({**self._table(), id: key})
        return key, token

    async def rotate(self, name: str, *, overlap_s: float) -> tuple[Key, str]:
        """A new secret for the same key; the old one opens for ``overlap_s`` seconds more. Raises UnknownName."""
        async with self._writing:
            old, now = self.find(name), self._clock.now()
            if not old.valid(now):
                raise Refused(
                    f"the key {old.name!r} has expired: a new secret of it would open nothing; make a new key"
                )
            token, secret = await _made(old.id)
            kept = tuple(_ending(s, now + overlap_s) for s in old.secrets if s.valid(now)) if overlap_s > 0 else ()
            key = replace(old, secrets=(*kept, secret))
            await self._commit({**self._table(), old.id: key})
        return key, token

    async def revoke(self, name: str) -> Key:
        """From now on it opens nothing. Raises UnknownName."""
        async with self._writing:
            key = self.find(name)
            await self._commit({id: k for id, k in self._table().items() if id != key.id})
        return key

    def find(self, name: str) -> Key:
        """By id or name. Raises UnknownName."""
        found = next((k for k in self.keys() if name in (k.id, k.name)), None)
        if found is None:
            raise UnknownName("key", name, [k.name for k in self.keys()])
        return found

    def _table(self) -> dict[str, Key]:
        return {k.id: k for k in self.keys()}

    async def _commit(self, table: Mapping[str, Key]) -> None:
        await self._store.save_note(NOTE, [k.as_dict() for k in table.values()])
        now = self._clock.monotonic()
        local = {LOCAL: self._callers[LOCAL]} if LOCAL in self._callers else {}
        known = self._callers
        self._callers = local | {id: _renewed(known.get(id), key, now) for id, key in table.items()}

    def own(self) -> str:
        """A token of this engine's life, for whoever may read its state folder. Not stored."""
        token = f"{PREFIX}{LOCAL}_{secrets.token_urlsafe(32)}"
        self._callers[LOCAL] = Caller(Key(id=LOCAL, name=LOCAL, scope=SCOPES[-1]), self._clock.monotonic())
        self._good[self._print(token.encode())] = (LOCAL, None)
        return token

    # ── the door ──────────────────────────────────────────────────────────────────────────────────────────────

    def known(self, token: bytes) -> Caller | None:
        """The caller behind a token that was found good before: microseconds. None: it must be checked."""
        found = self._good.get(self._print(token))
        if found is None:
            return None
        caller, now = self._callers.get(found[0]), self._clock.now()
        if caller is None or not caller.key.valid(now):
            return None
        secret = found[1]
        if secret is not None and not (secret in caller.key.secrets and secret.valid(now)):
            return None
        caller.last_used_at = now
        return caller

    async def check(self, token: bytes) -> Caller | None:
        """The caller behind a token, checked against its hash on another thread. None: it opens nothing.

        Raises Overloaded when too many wait to be checked.
        """
        found = parts(token.decode("ascii", "replace"))
        caller = None if found is None else self._callers.get(found[0])
        if found is None or caller is None or caller.key.id == LOCAL or not caller.key.valid(self._clock.now()):
            return None
        if self._waiting >= WAITING:
            raise Overloaded("too many keys are being checked")
        self._waiting += 1
        try:
            async with self._checking:
                return self.known(token) or await self._matched(token, found[1], caller)
        finally:
            self._waiting -= 1

    async def _matched(self, token: bytes, given: str, caller: Caller) -> Caller | None:
        for secret in caller.key.secrets:
            if secret.valid(self._clock.now()) and await asyncio.to_thread(_same, given, secret):
                self._good[self._print(token)] = (caller.key.id, secret)
                while len(self._good) > REMEMBERED:
                    self._good.popitem(last=False)
                return self.known(token)
        return None

    def _print(self, token: bytes) -> bytes:
        return hashlib.blake2b(token, digest_size=16, key=self._pepper).digest()


def _bucket(per_minute: float | None, now: float) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, now)


def _renewed(known: Caller | None, key: Key, now: float) -> Caller:
    """What a key has used up stays used up when it is rotated."""
    if known is None:
        return Caller(key, now)
    known.key = key
    return known


def _ending(secret: Secret, at: float) -> Secret:
    return replace(secret, until=at if secret.until is None else min(secret.until, at))


async def _made(id: str) -> tuple[str, Secret]:
    given, salt = secrets.token_urlsafe(32), os.urandom(16)
    digest = await asyncio.to_thread(_hash, given, salt)
    return f"{PREFIX}{id}_{given}", Secret(salt=salt.hex(), hash=digest.hex())


def _hash(given: str, salt: bytes) -> bytes:
    return hashlib.scrypt(given.encode(), salt=salt, **SCRYPT)


def _same(given: str, secret: Secret) -> bool:
    return hmac.compare_digest(_hash(given, bytes.fromhex(secret.salt)), bytes.fromhex(secret.hash))
