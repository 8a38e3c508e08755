"""A rule of a decision in words: its name, its value and limit with their unit. Pure.

Owns: how one reason is told, wherever a record, a row or a guard shows it. Never: which rules there are
(core/guards.py).
"""

from __future__ import annotations

from typing import Any

from ..core.words import UNITS, WORDS, figure
from . import format as fmt

LIMIT = "limit"  # before the limit of a rule that has no word of its own


def named(rule: str) -> tuple[str, str]:
    """Its name, and what stands before its limit."""
    return WORDS.get(rule, (rule.replace("_", " "), ""))


def unit_of(rule: str, value: Any) -> str:
    """A reason on the wire has no unit: the rule has one; of an unknown rule a share is below one, a moment is no share
    and no count."""
    known = UNITS.get(rule)
    if known is not None:
        return known
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return "share" if isinstance(value, float) and abs(value) <= 1 else "at" if value > 1e9 else ""


def figure_of(value: object, unit: str) -> str:
    """A value by its unit, three significant digits at most."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return fmt.visible(figure(value))
    match unit:
        case "share":
            return fmt.score(value).replace("-0.", "-.")
        case "s":
            return fmt.seconds(value)
        case "at":
            return fmt.moment(value)[11:]
        case "bytes":
            return fmt.size(value)
        case "tokens":
            return fmt.plural(round(value), "token")
        case _:
            return figure(value, unit or "number")


def told(rule: str, value: Any, threshold: Any) -> str:
    """``latency drifts: 2.1 s, was 750 ms``; what has no limit has none named."""
    name, before = named(rule)
    unit = unit_of(rule, value)
    said = name if value is None else f"{name}: {figure_of(value, unit)}"
    if threshold is None or threshold in ([], ()):
        return said
    return f"{said}, {before or LIMIT} {figure_of(threshold, unit if rule in UNITS else unit_of(rule, threshold))}"
