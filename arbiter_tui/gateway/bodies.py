"""What the control API's bodies and queries may hold, as data: one table checks them and describes them.

Owns: field kinds, the check (unknown fields are 422, naming the nearest), the JSON schema. Never: what they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import nearest
from .problems import BadRequest

Kind = Literal["text", "number", "integer", "flag", "texts", "object", "any"]
_TYPES: Mapping[Kind, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "flag": {"type": "boolean"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "object": {"type": "object"},
    "any": {},
}
_WORDS: Mapping[Kind, str] = {
    "text": "a text", "number": "a number", "integer": "an integer", "flag": "true or false",
    "texts": "a list of texts", "object": "an object", "any": "anything",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field. ``low`` and ``high`` bound numbers (inclusive); null is the same as leaving an optional one out."""

    kind: Kind
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""


Fields = Mapping[str, Field]


def check(body: Mapping[str, Any], spec: Fields) -> dict[str, Any]:
    """The known fields that are given and not null. Raises BadRequest 422 naming the field."""
    for name in body:
        if name not in spec:
            near = nearest(name, spec)
            hint = f"; nearest: {', '.join(near)}" if near else f"; known: {', '.join(sorted(spec)) or 'none'}"
            raise invalid(name[:64], f"unknown field {name[:64]!r}{hint}")
    for name, field in spec.items():
        if field.required and body.get(name) is None:
            raise invalid(name, f"{name!r} is required: {_WORDS[field.kind]}")
    return {name: _checked(name, value, spec[name]) for name, value in body.items() if value is not None}


def invalid(param: str, message: str) -> BadRequest:
    return BadRequest(message, status=422, param=param, code="invalid_body")


def _checked(name: str, value: Any, field: Field) -> Any:
    if not _is(value, field.kind):
        raise invalid(name, f"{name!r} must be {_WORDS[field.kind]}")
    if field.choices and value not in field.choices:
        raise invalid(name, f"{name!r} must be one of {', '.join(field.choices)}")
    if field.low is not None and value < field.low:
        raise invalid(name, f"{name!r} must be at least {field.low:g}")
    if field.high is not None and value > field.high:
        raise invalid(name, f"{name!r} must be at most {field.high:g}")
    return value


def _is(value: Any, kind: Kind) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "flag":
            return isinstance(value, bool)
        case "texts":
            return isinstance(value, list) and all(isinstance(v, str) for v in value)
        case "object":
            return isinstance(value, dict)
    return True


def schema(spec: Fields) -> dict[str, Any]:
    """JSON Schema of a body."""
    required = [name for name, field in spec.items() if field.required]
    found: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: field_schema(field) for name, field in spec.items()},
    }
    return {**found, "required": required} if required else found


def field_schema(field: Field) -> dict[str, Any]:
    given = {"minimum": field.low, "maximum": field.high, "enum": list(field.choices) or None,
             "description": field.help or None}  # fmt: skip
    return {**_TYPES[field.kind], **{k: v for k, v in given.items() if v is not None}}


def read_query(pairs: Mapping[str, str], spec: Fields) -> dict[str, Any]:
    """A query string's values by their kinds. Unknown parameters are ignored, as everywhere on the web."""
    return {name: _from_text(name, pairs[name], field) for name, field in spec.items() if pairs.get(name)}


def _from_text(name: str, text: str, field: Field) -> Any:
    try:
        value = _parse(text, field.kind)
    except ValueError:
        raise invalid(name, f"?{name}= must be {_WORDS[field.kind]}, not {text[:64]!r}") from None
    return _checked(name, value, field)


def _parse(text: str, kind: Kind) -> Any:
    match kind:
        case "integer":
            return int(text)
        case "number":
            value = float(text)
            if value != value:  # NaN compares false with every bound
                raise ValueError(text)
            return value
        case "flag":
            if text not in ("true", "false", "1", "0"):
                raise ValueError(text)
            return text in ("true", "1")
    return text


def page(items: Sequence[Mapping[str, Any]], query: Mapping[str, Any], *, key: str = "id") -> dict[str, Any]:
    """``{items, next}``: those behind the one whose ``key`` is ``?after=``, at most ``?limit=``."""
    after, limit = query.get("after"), query.get("limit", 100)
    start = 0
    if after is not None:
        start = next((i + 1 for i, item in enumerate(items) if str(item.get(key)) == after), len(items))
    shown = list(items[start : start + limit])
    more = start + limit < len(items)
    return {"items": shown, "next": str(shown[-1].get(key)) if shown and more else None}


def whole_page(items: Sequence[Mapping[str, Any]], query: Mapping[str, Any], *, key: str = "id") -> dict[str, Any]:
    """``{items, next}`` of what a store has already cut: there may be more when the page is full."""
    full = len(items) >= query.get("limit", 100)
    return {"items": list(items), "next": str(items[-1].get(key)) if items and full else None}
