"""Verifiers: what a model's answer is worth against a known reference.

Owns: ``SuiteItem`` (one question of a task's suite) and ``verify``, the pure function from answer to quality.
Never: asks a model, reads a file, runs an answer as code.

A verifier is plain data, so that it can stand in a JSONL suite and travel on the wire::

    {"kind": "exact"}                         the first line is the reference, but for case, spaces, outer punctuation
    {"kind": "one_of", "labels": [...]}       the label that is named first is the reference
    {"kind": "contains", "all": bool}         the reference (a text, or several) occurs as whole words
    {"kind": "number", "tolerance": 0.0}      the first number of the answer equals the reference
    {"kind": "regex", "pattern": "..."}       the pattern (or the reference, as a pattern) is found
    {"kind": "json_schema", "schema": {...}}  the answer is JSON of that shape; share of the reference's fields it has

Quality is in 0..1; only ``json_schema`` gives values between (fields right / fields asked). An answer that cannot be
read is worth 0. A verifier that is itself malformed raises ValueError: a broken suite must never look like a bad model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w])|(?<![\w.])[-+]?\.\d+")
_OUTER = " \t\r\n.,;:!?\"'`*_()[]{}<>“”‘’"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteItem:
    """One question with a known answer. ``id`` is stable: paired comparisons join on it."""

    id: str
    task: str
    prompt: str
    reference: Any
    verifier: Mapping[str, Any] = field(default_factory=lambda: {"kind": "exact"})


def verify(verifier: Mapping[str, Any], answer: str, reference: Any) -> float:
    """Quality of ``answer`` in 0..1. Raises ValueError for an unknown kind or a malformed verifier."""
    kind = verifier.get("kind", "exact")
    check = _KINDS.get(kind)
    if check is None:
        raise ValueError(f"unknown verifier {kind!r}; known: {', '.join(sorted(_KINDS))}")
    return check(verifier, answer, reference)


def unreferenced(verifiers: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The rule that all of ``verifiers`` are, if it is one that grades an answer without knowing the right one."""
    first, *others = [dict(v) for v in verifiers] or [{}]
    alone = first.get("kind") == "json_schema" or (first.get("kind") == "regex" and "pattern" in first)
    return first if alone and all(other == first for other in others) else None


def fold(text: str) -> str:
    """Case, runs of white space and outer punctuation do not matter to ``exact`` and ``one_of``."""
    return " ".join(text.casefold().split()).strip(_OUTER)


def first_line(text: str) -> str:
    """The first line that says something: models without a chat template go on talking after it."""
    return next((line for line in text.splitlines() if line.strip(_OUTER)), "")


def _exact(_: Mapping[str, Any], answer: str, reference: Any) -> float:
    said = fold(first_line(answer))
    return float(any(said == fold(str(r)) for r in _several(reference)))


def _one_of(verifier: Mapping[str, Any], answer: str, reference: Any) -> float:
    labels = verifier.get("labels")
    if not isinstance(labels, Sequence) or isinstance(labels, str) or not labels:
        raise ValueError("one_of needs a list of labels")
    wanted = fold(str(reference))
    if wanted not in {fold(str(label)) for label in labels}:
        raise ValueError(f"the reference {reference!r} is none of the labels")
    return float(_first_label(first_line(answer), [fold(str(label)) for label in labels]) == wanted)


def _first_label(line: str, labels: Iterable[str]) -> str | None:
    """The label named earliest; the longer one where two begin together ("not sure" before "not")."""
    text = " ".join(line.casefold().split())
    found = [(m.start(), -len(label), label) for label in labels if (m := _whole(label).search(text))]
    return min(found)[2] if found else None


def _contains(verifier: Mapping[str, Any], answer: str, reference: Any) -> float:
    text = " ".join(answer.casefold().split())
    hits = [_whole(fold(str(r))).search(text) is not None for r in _several(reference)]
    return float(bool(hits) and (all(hits) if verifier.get("all") else any(hits)))


def _number(verifier: Mapping[str, Any], answer: str, reference: Any) -> float:
    wanted, tolerance = _figure(reference, "reference"), _figure(verifier.get("tolerance", 0.0), "tolerance")
    found = _NUMBER.search(first_line(answer))
    if found is None:
        return 0.0
    said = float(found.group().replace(",", ""))
    return float(math.isclose(said, wanted, rel_tol=0.0, abs_tol=tolerance + 1e-9))


def _figure(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the {what} {value!r} is no number") from error


def _regex(verifier: Mapping[str, Any], answer: str, reference: Any) -> float:
    pattern = verifier.get("pattern", reference)
    if not isinstance(pattern, str):
        raise ValueError("regex needs a pattern")
    try:
        return float(re.search(pattern, answer, re.IGNORECASE if verifier.get("ignore_case") else 0) is not None)
    except re.error as error:
        raise ValueError(f"regex pattern {pattern!r}: {error}") from error


def _json(verifier: Mapping[str, Any], answer: str, reference: Any) -> float:
    schema = verifier.get("schema", {})
    _refuse_unknown_types(schema)  # whatever the answer is: a broken schema must show itself when the suite is read
    value = first_json(answer)
    if value is _NOTHING or not matches_schema(value, schema):
        return 0.0
    if not isinstance(reference, Mapping) or not isinstance(value, Mapping):
        return float(_same(value, reference))
    if not reference:
        return 1.0
    return sum(k in value and _same(value[k], wanted) for k, wanted in reference.items()) / len(reference)


def _refuse_unknown_types(schema: Any) -> None:
    """Raises ValueError where a schema, or one inside it, is no object or names a type that JSON doesn't have."""
    if not isinstance(schema, Mapping):
        raise ValueError(f"a schema is an object, not {schema!r}")
    for kind in _several(schema.get("type", ())):
        if kind not in _TYPES:
            raise ValueError(f"unknown JSON type {kind!r}")
    for inner in (*schema.get("properties", {}).values(), *((schema["items"],) if "items" in schema else ())):
        _refuse_unknown_types(inner)


def first_json(text: str) -> Any:
    """The first JSON object or array inside ``text`` (a fence or a sentence may surround it), else a sentinel."""
    decoder = json.JSONDecoder()
    for start in (m.start() for m in re.finditer(r"[{\[]", text)):
        try:
            return decoder.raw_decode(text, start)[0]
        except (json.JSONDecodeError, RecursionError):
            continue
    return _NOTHING


def matches_schema(value: Any, schema: Mapping[str, Any]) -> bool:
    """The part of JSON Schema that suites use: type enum const required properties additionalProperties items."""
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    kind = schema.get("type")
    if kind is not None and not any(_is(value, k) for k in _several(kind)):
        return False
    if isinstance(value, Mapping):
        return _object_matches(value, schema)
    if isinstance(value, list) and "items" in schema:
        return all(matches_schema(v, schema["items"]) for v in value)
    return True


def _object_matches(value: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    properties: Mapping[str, Any] = schema.get("properties", {})
    if any(name not in value for name in schema.get("required", ())):
        return False
    if schema.get("additionalProperties") is False and any(name not in properties for name in value):
        return False
    return all(matches_schema(value[name], sub) for name, sub in properties.items() if name in value)


def _is(value: Any, kind: Any) -> bool:
    if kind not in _TYPES:
        raise ValueError(f"unknown JSON type {kind!r}")
    if isinstance(value, bool):  # bool is an int in Python, not in JSON
        return bool(kind == "boolean")
    return isinstance(value, _TYPES[kind])


def _same(said: Any, wanted: Any) -> bool:
    if isinstance(said, str) and isinstance(wanted, str):
        return fold(said) == fold(wanted)
    return type(said) is type(wanted) and bool(said == wanted)


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _whole(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")


class _Nothing:
    """No JSON found: None would be a valid JSON value."""


_NOTHING = _Nothing()
_TYPES: Mapping[str, Any] = {
    "string": str,
    "number": int | float,
    "integer": int,
    "boolean": bool,
    "object": Mapping,
    "array": list,
    "null": type(None),
}
_KINDS: Mapping[str, Callable[[Mapping[str, Any], str, Any], float]] = {
    "exact": _exact,
    "one_of": _one_of,
    "contains": _contains,
    "number": _number,
    "regex": _regex,
    "json_schema": _json,
}


def parse_suite(task: str, text: str) -> tuple[SuiteItem, ...]:
    """The items of a suite in JSONL: ``prompt`` and ``reference``, optionally ``verifier`` and ``id``.

    Raises ValueError that names the line.
    """
    return tuple(_item(task, n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip())


def _item(task: str, number: int, line: str) -> SuiteItem:
    try:
        row = json.loads(line)
        item = SuiteItem(
            id=str(row.get("id", f"{task}-{number:03d}")),
            task=task,
            prompt=row["prompt"],
            reference=row["reference"],
            verifier=row.get("verifier", {"kind": "exact"}),
        )
        verify(item.verifier, "", item.reference)  # a malformed verifier shows itself here, not as a bad model
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"suite of {task!r}, line {number}: {error!s}") from error
    return item
