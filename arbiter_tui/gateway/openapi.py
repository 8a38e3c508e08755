"""The description of what is served: the control API's from the same tables that check it, so that nothing can be
served and not described; the model endpoints' from openapi_asking.py.

Owns: the OpenAPI 3.1 document. Never: a field list of its own.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from .. import __version__
from ..core.snapshot import ModelView, OperationView, RolloutView, RowView, Snapshot, SwapView
from . import openapi_asking
from .bodies import field_schema, schema
from .calls import PREFIX, Call

_PLAIN: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"},
}  # fmt: skip
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457; `code` is stable, further members depend on it (why, reasons, nearest, id)",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "code": {"type": "string"},
    },
}  # fmt: skip


def document(calls: Sequence[Call]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(PREFIX + call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "arbiter: control API and model endpoints", "version": __version__},
        "paths": {**paths, **openapi_asking.paths()},
        "components": {"schemas": {**_schemas(), **openapi_asking.SCHEMAS}},
    }


def _operation(call: Call) -> dict[str, Any]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", call.path)
    ]
    query = [{"name": n, "in": "query", "schema": field_schema(f)} for n, f in call.query.items()]
    answers: dict[str, Any] = {str(call.status): _answer(call.summary, call.answer, "application/json")}
    if call.status == 201:
        answers["200"] = _answer("It was there already", call.answer, "application/json")
    if call.method != "GET" and "wait" in call.query and call.status in (200, 201):
        answers["202"] = _answer("Goes on; watch it at Location", "OperationView", "application/json")
    if call.media is not None:
        content = {call.media: {"schema": {"type": "string", "format": "binary"}}}
        answers[str(call.status)] = {"description": call.summary, "content": content}
    answers["default"] = _answer("What went wrong", "Problem", "application/problem+json")
    found: dict[str, Any] = {
        "summary": call.summary, "operationId": _name(call), "parameters": path + query, "responses": answers
    }  # fmt: skip
    if call.raw:
        file = {"schema": {"type": "string", "format": "binary"}}
        found["requestBody"] = {"required": True, "content": dict.fromkeys(call.raw, file)}
    elif call.body or call.opaque:
        found["requestBody"] = {"content": {"application/json": {"schema": _body(call)}}}
    return found


def _body(call: Call) -> dict[str, Any]:
    if call.opaque:
        return {"type": "object"}
    one = schema(call.body or {})
    return {"oneOf": [one, {"type": "array", "items": one}]} if call.lists else one


def _answer(text: str, name: str, kind: str) -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _name(call: Call) -> str:
    words = re.sub(r"[{}]", "", call.path).strip("/").replace("/", "_").replace(".", "_")
    return f"{call.method.lower()}_{words}"


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {"Problem": _PROBLEM, "Object": {"type": "object"}}
    for cls in (Snapshot, ModelView, SwapView, OperationView, RolloutView, RowView):
        _describe(cls, found)
    found["Selection"] = {
        "type": "object",
        "properties": {
            "task": {"type": "string"}, "primary": {"type": "string"}, "fallback": {"type": ["string", "null"]},
            "confidence": {"type": "number"}, "scores": {"type": "array", "items": _ref("RowView")},
            "reasoning": {"type": "array", "items": {"type": "string"}},
            "disqualified": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }  # fmt: skip
    for name, item in (("Objects", "Object"), ("Models", "ModelView"), ("Swaps", "SwapView")):
        found[name] = _list(_ref(item))
    found["Texts"] = _list({"type": "string"})
    return found


def _list(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {"items": {"type": "array", "items": item}, "next": {"type": ["string", "null"]}},
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _describe(cls: Any, into: dict[str, Any]) -> None:
    """A read-model's dataclass as a schema, and those it is made of."""
    if cls.__name__ in into:
        return
    into[cls.__name__] = {}
    hints = get_type_hints(cls)
    properties = {("from" if f.name == "from_" else f.name): _schema_of(hints[f.name], into) for f in fields(cls)}
    required = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    into[cls.__name__] = {"type": "object", "properties": properties, "required": required}


def _schema_of(hint: Any, into: dict[str, Any]) -> dict[str, Any]:
    if get_origin(hint) in (Union, types.UnionType):
        inner = next(a for a in get_args(hint) if a is not type(None))
        return {"anyOf": [_schema_of(inner, into), {"type": "null"}]}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _schema_of(get_args(hint)[0], into)}
    if is_dataclass(hint):
        _describe(hint, into)
        return _ref(getattr(hint, "__name__", ""))
    if get_origin(hint) is not None:
        return {"type": "object"}
    return dict(_PLAIN.get(hint, {}))
