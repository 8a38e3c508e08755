"""Frozen views as JSON-ready dicts and back: the wire's form of what snapshot.py holds.

Owns: ``to_wire`` and ``from_wire``, and naming the field that can't be read. Never: which views there are.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache, partial
from math import isfinite
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ..errors import WireUnreadable

T = TypeVar("T")


def to_wire(view: Any) -> dict[str, Any]:
    """A dataclass of views as JSON-ready dict (``from_`` becomes ``from``)."""
    return cast(dict[str, Any], _rename(asdict(view)))


def _rename(value: Any) -> Any:
    if isinstance(value, dict):
        return {("from" if k == "from_" else k): _rename(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rename(v) for v in value]
    return value


class _Mismatch(Exception):
    """``at``: the path to the value that is not what it should be, innermost last."""

    def __init__(self, wanted: str, value: Any) -> None:
        super().__init__(wanted)
        self.wanted, self.value = wanted, value
        self.at: list[str] = []


Read = Callable[[Any], Any]


def from_wire(cls: type[T], data: Mapping[str, Any]) -> T:
    """Inverse of ``to_wire``. Unknown fields are ignored, missing ones and nulls take their defaults.

    Raises WireUnreadable, which names the field, where a value is of another type than the contract's.
    """
    try:
        return _read(cls, data)
    except _Mismatch as error:
        path = "".join(part if part.startswith("[") else f".{part}" for part in reversed(error.at)).lstrip(".")
        found = repr(error.value)
        said = found if len(found) <= 60 else f"{found[:57]}…"
        raise WireUnreadable(
            f"{path or 'the snapshot'} is {said}, not {error.wanted}: it is damaged, or of another version",
            details={"key": path},
        ) from None


def _read(cls: type[T], data: Any) -> T:
    if not isinstance(data, Mapping):
        raise _Mismatch("an object", data)
    known = {}
    for name, key, read, needed in _fields(cast(Any, cls)):
        value = data.get(key)
        if value is None and not needed:
            continue
        try:
            known[name] = read(value)
        except _Mismatch as error:
            error.at.append(key)
            raise
    return cls(**known)


@cache
def _fields(cls: type) -> tuple[tuple[str, str, Read, bool], ...]:
    """(field, its name on the wire, its reader, whether it must be there). What may be missing may be null."""
    hints = get_type_hints(cls)
    return tuple(
        (f.name, "from" if f.name == "from_" else f.name, _reader(hints[f.name]),
         f.default is MISSING and f.default_factory is MISSING)
        for f in fields(cast(Any, cls))
    )  # fmt: skip


def _reader(hint: Any) -> Read:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
    if is_dataclass(hint):
        return partial(_read, cast(type[Any], hint))
    if get_origin(hint) is tuple:
        return partial(_list, _reader(get_args(hint)[0]))
    if get_origin(hint) is Mapping or hint is Mapping:
        return _mapping
    words = get_origin(hint) is Literal  # a newer engine may know more of them
    return {str: _text, int: _whole, float: _number, bool: _flag}.get(str if words else hint, _any)


def _list(read: Read, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _Mismatch("a list", value)
    out = []
    for i, item in enumerate(value):
        try:
            out.append(read(item))
        except _Mismatch as error:
            error.at.append(f"[{i}]")
            raise
    return tuple(out)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Mismatch("a text", value)
    return value


def _whole(value: Any) -> int:
    if type(value) is not int and not (isinstance(value, float) and value.is_integer()):
        raise _Mismatch("a whole number", value)
    return int(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise _Mismatch("a number", value)
    return cast(float, value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _Mismatch("true or false", value)
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Mismatch("an object", value)
    return value


def _any(value: Any) -> Any:
    return value
