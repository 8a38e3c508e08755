"""The constitution: what holds whatever is measured, as rules that the operator writes and no autopilot may weigh.

Owns: which rules bind a task, whether a version may serve it under them, waivers. Never: reads a clock, routes.

A rule binds the tasks that it names and those that carry one of its labels; one that names neither binds all. A task
that is ``private`` carries the label ``private``. A waiver suspends one rule for one task until a day, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .tasks import Task

PRIVATE = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """``until``: unix seconds."""

    task: str
    reason: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``local``: only models that run on this machine; ``providers``: only those of these providers (none: of any)."""

    name: str
    tasks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    local: bool = False
    providers: tuple[str, ...] = ()
    reason: str = ""
    waivers: tuple[Waiver, ...] = ()

    def binds(self, task: str, labels: Iterable[str], now: float) -> bool:
        named = not (self.tasks or self.labels) or task in self.tasks or not set(self.labels).isdisjoint(labels)
        return named and not any(w.task == task and now < w.until for w in self.waivers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """What would break which rule. ``why``: the one line of the refusal's reasons."""

    rule: Rule
    sentence: str
    why: dict[str, Any]


def unmet(name: str, tasks: Iterable[str], labels: Iterable[str], known: Iterable[Task]) -> list[str]:
    """What a rule is meant to bind and doesn't, for there is none of it: a misspelt name protects nobody."""
    found = list(known)
    names, carried = {t.name for t in found}, {label for t in found for label in labels_of(t)}
    told = f"the constitution's rule {name!r} binds no task"
    return [
        *(f"{told} named {task!r}: there is none" for task in tasks if task not in names),
        *(f"{told} with the label {label!r}: none has it" for label in labels if label not in carried),
    ]


def labels_of(task: Task) -> frozenset[str]:
    return frozenset(task.labels) | ({PRIVATE} if task.private else frozenset())


def breach(
    rules: Sequence[Rule], task: str, labels: Iterable[str], version: str, *, provider: str, local: bool, now: float
) -> Breach | None:
    """The first rule that ``version`` would break by serving ``task``; None if it may. ``now``: unix seconds."""
    for rule in rules:
        if not rule.binds(task, labels, now):
            continue
        if rule.local and not local:
            return _breach(rule, f"{version} does not run on this machine", provider, "this machine")
        if rule.providers and provider not in rule.providers:
            allowed = ", ".join(rule.providers)
            return _breach(rule, f"{version} is served by {provider}, not by {allowed}", provider, allowed)
    return None


def _breach(rule: Rule, what: str, value: str, needed: str) -> Breach:
    because = f": {rule.reason}" if rule.reason else ""
    sentence = f"the constitution's rule {rule.name!r} forbids it{because}; {what}"
    why = {
        "rule": f"constitution {rule.name}", "value": value, "threshold": needed,
        "would_change_if": f"[[constitution]] {rule.name} were changed, or waived with a reason and an end",
    }  # fmt: skip
    return Breach(rule=rule, sentence=sentence, why=why)
