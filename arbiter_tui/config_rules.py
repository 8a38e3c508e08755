"""The [[rules]] blocks: which task a request belongs to when its client can't say.

Owns: the keys of a rule and their checks. Never: applies one (the gateway does).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .config_reader import Where, setting

_PATTERNS = ("system", "path", "client", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """One rule: every pattern that it has must be found (``re.search``) for its task to be chosen."""

    task: str = setting(kind="text", required=True, help="a task's name")
    system: str | None = setting(None, kind="text", help="regular expression over the system prompt")
    path: str | None = setting(None, kind="text", help="regular expression over the request's path")
    client: str | None = setting(None, kind="text", help="regular expression over the User-Agent")
    model: str | None = setting(None, kind="text", help="regular expression over a model's name that is unknown here")

    def patterns(self) -> dict[str, str]:
        return {key: given for key in _PATTERNS if (given := getattr(self, key)) is not None}


def check_task_rules(rules: Sequence[RuleConfig], where: Where) -> None:
    """Raises ConfigError for a rule without a pattern, or with one that is no regular expression."""
    for i, rule in enumerate(rules):
        at = where.item(i)
        if not rule.patterns():
            raise at.error(rule.task, f"a rule needs at least one of {', '.join(_PATTERNS)}")
        for key, pattern in rule.patterns().items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise at.key(key).error(pattern, f"is no regular expression: {error}") from None


def check_rule_tasks(rules: Sequence[RuleConfig], tasks: Iterable[str], *, file: str) -> None:
    """Raises ConfigError for a rule whose task there isn't."""
    known = list(tasks)
    for i, rule in enumerate(rules):
        if rule.task not in known:
            raise Where(file, "rules").item(i).key("task").error(rule.task, "there is no such task", known)
