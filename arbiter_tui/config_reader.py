"""From a TOML table to a frozen dataclass, and an error that names file, key, value and the nearest valid key.

Owns: the declaration of one setting (``setting``), reading and checking it, and the schema of a section.
Never: which settings exist (config.py says), any file.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from .core.scaling import MOST, SPAN, Span, span_of
from .errors import ConfigError, nearest

T = TypeVar("T")
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?\s*$", re.IGNORECASE)
_UNITS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What one key accepts. ``kind``: text, int, number, size, flag, texts, table (free keys), section, sections,
    span (a whole number, or a text like "1-3")."""

    kind: str
    help: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    section: type[Any] | None = None
    required: bool = False


def setting(
    default: Any = dataclasses.MISSING, *, factory: Callable[[], Any] | None = None, required: bool = False, **spec: Any
) -> Any:
    """A dataclass field that :func:`read` can fill. Keywords are those of :class:`Setting`."""
    metadata = {"setting": Setting(required=required, **spec)}
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a configuration: the file and the dotted path of a table."""

    file: str
    path: str = ""

    def key(self, name: str) -> Where:
        return Where(self.file, f"{self.path}.{name}" if self.path else name)

    def item(self, index: int) -> Where:
        return Where(self.file, f"{self.path}[{index}]")

    def error(self, value: Any, problem: str, valid: Iterable[str] = ()) -> ConfigError:
        """The error that belongs to this key. ``valid``: keys or values of which the nearest are named."""
        options = sorted(valid)
        near = nearest(str(value), options)
        hint = f"; nearest: {', '.join(near)}" if near else f"; valid: {', '.join(options)}" if options else ""
        message = f"{self.file}: {self.path or 'the file'} = {shown(value)}: {problem}{hint}"
        return ConfigError(message, details=self._details(value, near or options))

    def unknown(self, name: str, value: Any, valid: Iterable[str]) -> ConfigError:
        """A key that does not exist here."""
        at = self.key(name)
        known = sorted(valid)
        near = [self.key(n).path for n in nearest(name, known)]
        hint = f"nearest valid key: {', '.join(near)}" if near else f"valid keys: {', '.join(known)}"
        message = f"{self.file}: {at.path} = {shown(value)}: unknown key; {hint}"
        return ConfigError(message, details=at._details(value, near or known))

    def _details(self, value: Any, near: Sequence[str]) -> dict[str, Any]:
        return {"file": self.file, "key": self.path, "value": shown(value), "nearest": list(near)}


def shown(value: Any) -> str:
    """A value for an error message: short, and on one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def settings(cls: type[Any]) -> dict[str, Setting]:
    """Key -> Setting of the dataclass's declared fields."""
    return {f.name: f.metadata["setting"] for f in dataclasses.fields(cls) if "setting" in f.metadata}


def read(cls: type[T], table: Any, where: Where) -> T:
    """An instance of ``cls`` from ``table``. Raises ConfigError."""
    if not isinstance(table, Mapping):
        raise where.error(table, "must be a table")
    return cls(**read_values(settings(cls), table, where))


def read_values(known: Mapping[str, Setting], table: Mapping[str, Any], where: Where) -> dict[str, Any]:
    """The checked values of the keys that ``table`` has. Raises ConfigError."""
    for name in table:
        if name not in known:
            raise where.unknown(name, table[name], known)
    for name, spec in known.items():
        if spec.required and name not in table:
            raise where.key(name).error(None, "is required")
    return {name: read_value(known[name], value, where.key(name)) for name, value in table.items()}


def read_value(spec: Setting, value: Any, where: Where) -> Any:
    """One checked value. Raises ConfigError."""
    match spec.kind:
        case "section":
            return read(cast(type[Any], spec.section), value, where)
        case "sections":
            items = _list(value, where)
            return tuple(read(cast(type[Any], spec.section), v, where.item(i)) for i, v in enumerate(items))
        case "texts":
            return tuple(_text(spec, v, where.item(i)) for i, v in enumerate(_list(value, where)))
        case "table":
            return _table(value, where)
        case "flag":
            return _flag(value, where)
        case "size":
            return int(_ranged(spec, _size(value, where), where))
        case "int":
            return int(_ranged(spec, _whole(value, where), where))
        case "number":
            return _ranged(spec, _number(value, where), where)
        case "span":
            return _span(value, where)
        case _:
            return _text(spec, value, where)


def _list(value: Any, where: Where) -> list[Any]:
    if not isinstance(value, list):
        raise where.error(value, "must be a list")
    return value


def _table(value: Any, where: Where) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise where.error(value, "must be a table")
    return dict(value)


def _flag(value: Any, where: Where) -> bool:
    if not isinstance(value, bool):
        raise where.error(value, "must be true or false")
    return value


def _text(spec: Setting, value: Any, where: Where) -> str:
    if not isinstance(value, str):
        raise where.error(value, "must be a text")
    if spec.choices and value not in spec.choices:
        raise where.error(value, "is not one of the valid values", spec.choices)
    if spec.pattern is not None and not re.fullmatch(spec.pattern, value):
        raise where.error(value, f"must match {spec.pattern}")
    return value


def _whole(value: Any, where: Where) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise where.error(value, "must be a whole number")
    return value


def _number(value: Any, where: Where) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise where.error(value, "must be a finite number")
    return float(value)


def _size(value: Any, where: Where) -> int:
    """Bytes, from a whole number or a text like ``2GiB``."""
    if isinstance(value, str) and (found := _SIZE.match(value)):
        return round(float(found[1]) * _UNITS[(found[2] or "B").lower()])
    if isinstance(value, str):
        raise where.error(value, 'must be a size: bytes, or a text like "512MiB" or "2GiB"')
    return _whole(value, where)


def _span(value: Any, where: Where) -> Span:
    span = span_of(value)
    if span is None:
        raise where.error(value, f'must be a whole number from 1 to {MOST}, or a text like "1-3"')
    return span


def _ranged(spec: Setting, value: float, where: Where) -> float:
    low, high = spec.low, spec.high
    if (low is None or value >= low) and (high is None or value <= high):
        return value
    if high is None:
        raise where.error(value, f"must be at least {low:,}")
    raise where.error(value, f"must be at most {high:,}" if low is None else f"must be between {low:,} and {high:,}")


_JSON_TYPES: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "table": {"type": "object"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "span": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^{SPAN}$"}]},
    "size": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _SIZE.pattern}]},
}


def schema_of(cls: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a section."""
    known = settings(cls)
    required = [name for name, spec in known.items() if spec.required]
    properties = {name: _with_default(cls, name, spec) for name, spec in known.items()}
    found: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**found, "required": required} if required else found


def setting_schema(spec: Setting) -> dict[str, Any]:
    """The JSON Schema of one key."""
    if spec.kind == "section":
        return {**schema_of(cast(type[Any], spec.section)), "description": spec.help}
    if spec.kind == "sections":
        return {"type": "array", "items": schema_of(cast(type[Any], spec.section)), "description": spec.help}
    found = {**_JSON_TYPES[spec.kind], "description": spec.help}
    if spec.choices:
        found.update({"items": {"enum": list(spec.choices)}} if spec.kind == "texts" else {"enum": list(spec.choices)})
    if spec.kind in ("int", "number"):
        found.update({k: v for k, v in (("minimum", spec.low), ("maximum", spec.high)) if v is not None})
    return found


def _with_default(cls: type[Any], name: str, spec: Setting) -> dict[str, Any]:
    default = next(f.default for f in dataclasses.fields(cls) if f.name == name)
    if default is dataclasses.MISSING or default is None or spec.kind == "sections":
        return setting_schema(spec)
    return {**setting_schema(spec), "default": list(default) if isinstance(default, tuple) else default}
