"""A task's criteria with a client's fields in place of some of them. Owns: reading their JSON forms. Never: decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ..core.tasks import Criteria, Preference, Weights
from ..errors import Refused, UnknownName


def criteria_with(base: Criteria, overrides: Mapping[str, Any]) -> Criteria:
    """``base`` with fields replaced; JSON forms of sets, preferences and weights are understood. Raises Refused."""
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
            values["weights"] = Weights(**values["weights"])
        return replace(base, **values)
    except (TypeError, ValueError) as error:
        raise Refused(f"criteria: {error}") from error
