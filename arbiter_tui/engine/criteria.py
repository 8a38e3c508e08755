"""A task's criteria with a client's fields in place of some of them. Owns: reading their JSON forms. Never: decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ..core.tasks import Criteria, Preference, Weights
from ..errors import ConfigError, Refused, UnknownName

LARGEST_WEIGHT = 1000  # as in a [[tasks]] block


def _share(name: str, weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= LARGEST_WEIGHT:
        raise ConfigError(f"criteria: weights.{name} must be a number between 0 and {LARGEST_WEIGHT}")
    return float(weight)


def criteria_with(base: Criteria, overrides: Mapping[str, Any]) -> Criteria:
    """``base`` with fields replaced; JSON forms of sets, preferences and weights are understood. Raises Refused,
    ConfigError."""
    known = {f.name for f in fields(Criteria)}
    for name in overrides:
        if name not in known:
            raise UnknownName("criterion", name, known)
    values = dict(overrides)
    try:
        if "capabilities" in values:
            values["capabilities"] = frozenset(values["capabilities"])
        if values.get("preference") is not None:
            values["preference"] = Preference(values["preference"])
        if isinstance(values.get("weights"), Mapping):
            values["weights"] = Weights(**{name: _share(name, w) for name, w in values["weights"].items()})
        return replace(base, **values)
    except (TypeError, ValueError) as error:
        raise Refused(f"criteria: {error}") from error
