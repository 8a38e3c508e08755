"""Checks of a [[providers]] block's own keys, shared by the kinds that speak HTTP.

Owns: the sentences about a wrong option. Never: which options a kind has.
"""

from __future__ import annotations

from typing import Any


def positive(value: Any, name: str) -> int | None:
    """A number above 0; None where nothing is said. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{name} must be a number above 0, not {value!r}")
    return int(value)


def address(value: Any, example: str) -> str:
    """A base_url. Raises ValueError."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError(f'base_url is needed, as in "{example}"')
    return value


def names(value: Any, name: str) -> tuple[str, ...]:
    """One text or a list of them. Raises ValueError."""
    listed = [value] if isinstance(value, str) else value or []
    if not isinstance(listed, list | tuple) or not all(isinstance(n, str) and n for n in listed):
        raise ValueError(f"{name} must be a list of texts, not {value!r}")
    return tuple(listed)
