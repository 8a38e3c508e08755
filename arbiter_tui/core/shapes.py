"""Shapes: what a value of a foreign record may be, and the sentence that says so where it is something else.

Owns: checks of JSON values, made of smaller ones. Never: which record has which fields (archive.py), reading anything.

A check is given a value and the path of its field. It returns None, or a sentence that names the field, what would be
right, and what is there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Check = Callable[[Any, str], str | None]
SHOWN = 40  # characters of a wrong value that are repeated


def wrong(path: str, right: str, value: Any) -> str:
    """``value`` is cut: a sentence is read by a person."""
    shown = repr(value)
    return f"{path} must be {right}, not {shown if len(shown) <= SHOWN else shown[:SHOWN] + '…'}"


def number(low: float, high: float) -> Check:
    """Finite and within (inclusive)."""

    def check(value: Any, path: str) -> str | None:
        right = f"a number from {low:g} to {high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return wrong(path, right, value)
        inside = low <= value <= high and (isinstance(value, int) or math.isfinite(value))
        return None if inside else wrong(path, right, value)

    return check


def whole(low: int, high: int) -> Check:
    def check(value: Any, path: str) -> str | None:
        inside = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if inside else wrong(path, f"a whole number from {low} to {high:.3g}", value)

    return check


def text(pattern: re.Pattern[str] | None = None, most: int = 512) -> Check:
    """``pattern`` matches all of it. Half of a surrogate pair is no text: nothing could store it."""

    def check(value: Any, path: str) -> str | None:
        right = f"a text of at most {most} characters" if pattern is None else f"a text like {pattern.pattern}"
        if not isinstance(value, str) or len(value) > most or any("\ud800" <= c <= "\udfff" for c in value):
            return wrong(path, right, value)
        return None if pattern is None or pattern.fullmatch(value) else wrong(path, right, value)

    return check


def one_of(*choices: str) -> Check:
    def check(value: Any, path: str) -> str | None:
        return (
            None if isinstance(value, str) and value in choices else wrong(path, f"one of {', '.join(choices)}", value)
        )

    return check


def flag(value: Any, path: str) -> str | None:
    return None if isinstance(value, bool) else wrong(path, "true or false", value)


def maybe(check: Check) -> Check:
    return lambda value, path: None if value is None else check(value, path)


def listing(each: Check, *, most: int, least: int = 0) -> Check:
    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            many = f"{least}" if least == most else f"at most {most}"
            return wrong(path, f"a list of {many}", value)
        return first(each(one, f"{path}[{n}]") for n, one in enumerate(value))

    return check


def table(key: Check, each: Check, *, most: int) -> Check:
    """An object with any keys that ``key`` allows."""

    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, dict) or len(value) > most:
            return wrong(path, f"an object of at most {most} fields", value)
        return first(
            key(name, f"{path}.{str(name)[:SHOWN]}") or each(one, f"{path}.{name}") for name, one in value.items()
        )

    return check


def record(needed: Mapping[str, Check], known: Mapping[str, Check] = {}) -> Check:
    """An object with these fields; those of ``known`` may be missing, and further ones are left alone."""

    def check(value: Any, path: str) -> str | None:
        if not isinstance(value, dict):
            return wrong(path or "a record", "an object", value)
        for name, one in needed.items():
            if name not in value:
                return f"{_at(path, name)} is missing: {one(None, 'it') or 'it may be null'}"
        checks = {**known, **needed}
        return first(checks[name](one, _at(path, name)) for name, one in value.items() if name in checks)

    return check


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def first(found: Sequence[str | None] | Any) -> str | None:
    return next((sentence for sentence in found if sentence is not None), None)
