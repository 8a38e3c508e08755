"""Who may do what: a key's record, its scope, and the bucket that its requests and tokens are drawn from.

Owns: the rules of keys as plain values. Never: a secret in clear, a clock, the store.

A scope includes those before it: ``infer`` asks models, ``control`` also reads and steers the engine, ``admin`` also
manages keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SCOPES = ("infer", "control", "admin")
LOCAL = "local"  # who asks without a key: somebody on this machine, or the owner of the state folder
PREFIX = "arb_"
_TOKEN = re.compile(r"\b(arb_[0-9A-Za-z]+_)[\w-]+")
KEY_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What is kept of a secret: salt and scrypt hash, hexadecimal. ``until``: unix seconds; rotated out, it ends."""

    salt: str
    hash: str
    until: float | None = None

    def valid(self, now: float) -> bool:
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """``tasks``: none means all. Rates are per minute, None: without limit. Times are unix seconds."""

    id: str
    name: str
    scope: str = "infer"
    tasks: tuple[str, ...] = ()
    default_task: str | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    created_at: float = 0.0
    expires_at: float | None = None
    secrets: tuple[Secret, ...] = ()

    def allows(self, scope: str) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def valid(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at

    def as_dict(self) -> dict[str, Any]:
        """To be stored."""
        return asdict(self)

    def shown(self, now: float) -> dict[str, Any]:
        """Without anything of its secrets."""
        known = {k: v for k, v in asdict(self).items() if k != "secrets"}
        ends = [s.until for s in self.secrets if s.until is not None and s.valid(now)]
        state = "valid" if self.valid(now) else "expired"
        return {**known, "tasks": list(self.tasks), "state": state, "old_secret_until": max(ends, default=None)}


def key_of(stored: Mapping[str, Any]) -> Key:
    """Inverse of ``as_dict``."""
    secrets = tuple(Secret(**s) for s in stored["secrets"])
    return Key(**{**stored, "secrets": secrets, "tasks": tuple(stored["tasks"])})


def parts(token: str) -> tuple[str, str] | None:
    """``arb_ID_SECRET`` -> (ID, SECRET); None if it has another form."""
    if not token.startswith(PREFIX):
        return None
    id, _, secret = token[len(PREFIX) :].partition("_")
    return (id, secret) if id and secret else None


def masked(text: str) -> str:
    """``text`` without the secret of any key that somebody wrote into it."""
    return _TOKEN.sub(r"\1***", text)


class Bucket:
    """A token bucket: a minute's worth at once, refilled evenly. ``take`` may go below zero; that is repaid first."""

    __slots__ = ("_at", "_level", "_rate", "_size")

    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / 60.0
        self._size = max(1.0, per_minute)
        self._level = self._size
        self._at = now

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until ``amount`` is there; 0.0 if it is now. Takes nothing."""
        self._level = min(self._size, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        missing = min(amount, self._size) - self._level
        return 0.0 if missing <= 1e-9 else math.inf if self._rate <= 0 else missing / self._rate

    def take(self, amount: float) -> None:
        self._level -= amount
