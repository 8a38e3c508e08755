"""Checks of a [[providers]] block's own keys, shared by the kinds that speak HTTP.

Owns: the sentences about a wrong option. Never: which options a kind has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arbiter_tui.errors import nearest


def known(table: Mapping[str, Any], valid: Sequence[str], where: str = "") -> None:
    """A misspelt option must not pass in silence. Raises ValueError."""
    for name in table:
        if name not in valid:
            near = nearest(name, valid)
            hint = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(sorted(valid))}"
            raise ValueError(f"{where}{name} is no option; {hint}")


def seconds(value: Any, name: str, default: float) -> float:
    """Raises ValueError."""
    found = number(value, name)
    return default if found is None else found


def number(value: Any, name: str) -> float | None:
    """Above 0; None where nothing is said. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a number above 0, not {value!r}")
    return float(value)


def whole(value: Any, name: str) -> int | None:
    """-1 (all, or without limit) or above; None where nothing is said. Raises ValueError."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < -1):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return value


def flag(value: Any, name: str, default: bool) -> bool:
    """Raises ValueError."""
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return default if value is None else value


def positive(value: Any, name: str) -> int | None:
    """A number of things; None where nothing is said. Raises ValueError."""
    found = number(value, name)
    if found is not None and found < 1:
        raise ValueError(f"{name} must be 1 or more, not {value!r}")
    return None if found is None else int(found)


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
