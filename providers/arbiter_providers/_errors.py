"""What a dialect's reader needs of its runtime to speak of an error.

Owns: that one form. Never: which error (each dialect's own module), a key.
"""

from __future__ import annotations

from typing import Protocol

from arbiter_tui.errors import Overloaded, ProviderError


class Erring(Protocol):
    """A server's status and body -> ours, with nothing in it that must not go on."""

    def __call__(self, status: int, body: bytes, *, name: str) -> ProviderError | Overloaded: ...
