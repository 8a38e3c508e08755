"""What a filter keeps: words and ``field:word`` pairs, all of which must be found. Pure text; never: keys, drawing.

``smol`` finds every line with that word, ``state:ready task:code`` those whose state and tasks contain them. A word
with a leading minus keeps the lines without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..core.snapshot import ModelView, Snapshot
from .state import serves

FIELDS = ("state", "task", "provider", "model", "health", "alias", "outcome", "id", "lifecycle", "level")


def matches(wanted: str, fields: Mapping[str, str]) -> bool:
    """Whether every word of ``wanted`` is found; a pair whose word is not typed yet keeps everything."""
    return all(_found(word, fields) for word in wanted.lower().split())


def _found(word: str, fields: Mapping[str, str]) -> bool:
    if word.startswith("-") and len(word) > 1:
        return not _found(word[1:], fields)
    name, colon, rest = word.partition(":")
    if colon and name in FIELDS:
        return rest in fields.get(name, "").lower()
    return any(word in value.lower() for value in fields.values())


def fields_of(version: str, model: ModelView | None, snapshot: Snapshot | None) -> dict[str, str]:
    """What a filter may ask of one version."""
    fields = {"version": version}
    if model is None or snapshot is None:
        return fields
    return fields | {
        "state": f"{model.state} {model.lifecycle}",
        "task": " ".join(serves(snapshot, version)),
        "provider": f"{model.provider} {model.backend or ''}",
        "model": f"{model.model} {model.quantization or ''}",
        "health": model.health,
        "alias": " ".join(model.aliases),
    }
