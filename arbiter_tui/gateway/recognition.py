"""Which task a request belongs to when its client can't say.

Owns: the [[rules]] of the configuration, in their order, and the last resort ``general``. Never: a name that resolves
(a version, an alias, a task and the header X-Arbiter-Task come first and are the engine's to resolve).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config_rules import RuleConfig
from ..core.routing import TASK_PREFIX
from ..core.tasks import Task
from ..provider import Request
from .limits import Scope, header

GENERAL = "general"
LOOKED_AT = 4096  # characters of the system prompt and of every other text that a rule sees


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str  # arbiter/TASK
    tests: tuple[tuple[str, re.Pattern[str]], ...]

    def fits(self, seen: Mapping[str, str]) -> bool:
        return all(pattern.search(seen[key]) for key, pattern in self.tests)


class Recogniser:
    """``tasks``: the engine's own, live: a task that appears later counts from then on."""

    def __init__(self, rules: Sequence[RuleConfig], tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self.adopt(rules)

    def adopt(self, rules: Sequence[RuleConfig]) -> None:
        """These rules count from here on."""
        self._rules = tuple(
            _Rule(TASK_PREFIX + r.task, tuple((k, re.compile(p)) for k, p in r.patterns().items())) for r in rules
        )

    def by_rule(self, scope: Scope, request: Request | None, model: str) -> str | None:
        """``arbiter/TASK`` of the first rule all of whose patterns are found, or None."""
        if not self._rules:
            return None
        seen = {
            "system": _system(request)[:LOOKED_AT],
            "path": str(scope["path"])[:LOOKED_AT],
            "client": (header(scope, b"user-agent") or b"").decode("latin-1")[:LOOKED_AT],
            "model": model,
        }
        return next((rule.name for rule in self._rules if rule.fits(seen)), None)

    def fallback(self) -> str | None:
        """``arbiter/general``, where there is such a task."""
        return TASK_PREFIX + GENERAL if GENERAL in self._tasks else None


def _system(request: Request | None) -> str:
    told: list[Any] = [] if request is None else [m.content for m in request.messages if m.role in _INSTRUCTING]
    return "\n".join(told)


_INSTRUCTING = frozenset({"system", "developer"})
