"""The [[tasks]] blocks: read, and laid over the bundled tasks of the same name.

Owns: the keys of a task in the file (and in a request that changes one). Never: the bundled tasks, which it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from .config_reader import Setting, Where, read_values
from .core.registry import VERSION_NAME
from .core.tasks import AutopilotMode, Criteria, Preference, Task, Weights

MODES = tuple(mode.value for mode in AutopilotMode)
NAME = VERSION_NAME.pattern.strip("^$")
_OWN = ("name", "description", "suite", "autopilot", "policy", "private", "labels", "fallback", "max_tokens",
        "energy_per_day_j", "money_per_day", "seconds_per_day", "max_slowdown")  # fmt: skip
OPTIONAL = ("hardware", "max_latency_s", "max_memory_bytes", "min_context", "quality_threshold", "preference")
_OWN_OPTIONAL = ("max_slowdown",)  # likewise, of a task's own keys
_PREFERENCES = tuple(p.value for p in Preference)
_CRITERIA: Mapping[str, Setting] = {
    "hardware": Setting(kind="text", help="cpu, cuda, metal …"),
    "max_latency_s": Setting(kind="number", low=0.001, help="slower models do not qualify"),
    "max_memory_bytes": Setting(kind="size", low=1, help="larger models do not qualify"),
    "min_context": Setting(kind="int", low=1, help="tokens"),
    "quality_threshold": Setting(kind="number", low=0, high=1, help="degraded below quality_factor x this"),
    "latency_budget_s": Setting(kind="number", low=0.001, help="latency at which its share of the utility is 0"),
    "memory_budget_bytes": Setting(kind="size", low=1, help="memory at which its share of the utility is 0"),
}
TASK_SETTINGS: Mapping[str, Setting] = {
    "name": Setting(kind="text", pattern=NAME, required=True, help="unique; a bundled task's name changes that one"),
    "description": Setting(kind="text", help="for people"),
    "capabilities": Setting(kind="texts", help="what a model must have"),
    "weights": Setting(kind="table", help="quality, latency, memory, reliability, recency"),
    "preference": Setting(kind="text", choices=_PREFERENCES, help="doubles that share"),
    **_CRITERIA,
    "suite": Setting(kind="text", help="a bundled suite's name, or a JSONL file of {prompt, reference, verifier}"),
    "autopilot": Setting(kind="text", choices=MODES, help="of this task"),
    "policy": Setting(kind="text", pattern=NAME, help="who decides which version is better: bandit, score, fixed …"),
    "private": Setting(kind="flag", help="its prompts are never kept"),
    "labels": Setting(kind="texts", help="words that [[constitution]] rules may name"),
    "fallback": Setting(
        kind="texts", pattern=NAME, help="who is asked in turn when who serves it can't; none: who is ready"
    ),
    "max_tokens": Setting(kind="int", low=1, high=1_000_000, help="of an answer of the suite"),
    "energy_per_day_j": Setting(kind="number", low=0.001, help="of its answers; cheaper versions lead beyond its pace"),
    "money_per_day": Setting(kind="number", low=0.000001, help="likewise"),
    "seconds_per_day": Setting(kind="number", low=0.001, help="likewise, of answering"),
    "max_slowdown": Setting(
        kind="number", low=1.01, high=1000, help="a version on trial may take so many times as long; none: [rollout]'s"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredTask(Task):
    """A task from the file. ``given``: the keys that were written, so that merging overrides only those."""

    given: frozenset[str] = frozenset()


def merge_tasks(bundled: Iterable[Task], configured: Iterable[Task]) -> tuple[Task, ...]:
    """Bundled tasks in their order, changed where a configured one of the same name says so, then the new ones."""
    merged = {task.name: task for task in bundled}
    for task in configured:
        base = merged.get(task.name)
        merged[task.name] = task if base is None else _over(base, task)
    return tuple(merged.values())


def patch_task(base: Task, patch: Mapping[str, Any], *, source: str = "request") -> Task:
    """``base`` with the keys of ``patch`` (those of a [[tasks]] block). Raises ConfigError; a new name is refused.

    ``unset`` in it: a list of OPTIONAL criteria, or own limits, that shall constrain nothing any more.
    """
    where = Where(source, "task")
    base = _without(base, patch.get("unset", ()), where.key("unset"))
    change = read_task({"name": base.name, **{k: v for k, v in patch.items() if k != "unset"}}, where)
    if change.name != base.name:
        raise Where(source, "task.name").error(change.name, f"can't rename {base.name}")
    return _over(base, change)


def merge_patches(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """One patch that does what ``old`` and then ``new`` do."""
    gone = (set(old.get("unset", ())) - new.keys()) | (set(new.get("unset", ())) - new.keys())
    kept = {k: v for k, v in {**old, **new}.items() if k != "unset" and k not in gone}
    return {**kept, "unset": sorted(gone)} if gone else kept


def _without(base: Task, names: Any, where: Where) -> Task:
    known = (*OPTIONAL, *_OWN_OPTIONAL)
    if not isinstance(names, (list, tuple)) or any(name not in known for name in names):
        raise where.error(names, f"must be a list of {', '.join(known)}")
    own: dict[str, Any] = dict.fromkeys(name for name in names if name in _OWN_OPTIONAL)
    nothing: dict[str, Any] = dict.fromkeys(name for name in names if name in OPTIONAL)
    return replace(base, criteria=replace(base.criteria, **nothing), **own) if names else base


def read_task(table: Any, where: Where) -> ConfiguredTask:
    """One checked [[tasks]] block. Raises ConfigError."""
    if not isinstance(table, Mapping):
        raise where.error(table, "must be a table")
    values = read_values(TASK_SETTINGS, table, where)
    criteria: dict[str, Any] = {k: values[k] for k in _CRITERIA if k in values}
    if "capabilities" in values:
        criteria["capabilities"] = frozenset(values["capabilities"])
    if "preference" in values:
        criteria["preference"] = Preference(values["preference"])
    if "weights" in values:
        criteria["weights"] = _weights(values["weights"], where.key("weights"))
    own = {k: v for k, v in values.items() if k in _OWN}
    if "autopilot" in own:
        own["autopilot"] = AutopilotMode(own["autopilot"])
    return ConfiguredTask(criteria=Criteria(**criteria), given=frozenset(own) | frozenset(criteria), **own)


def _weights(table: Mapping[str, Any], where: Where) -> Weights:
    share = Setting(kind="number", low=0, high=1000)
    known = {f.name: share for f in fields(Weights)}
    # A partial table keeps the specified default of the weights that it does not name.
    weights = Weights(**read_values(known, table, where))
    if sum(getattr(weights, name) for name in known) <= 0:
        raise where.error(table, "at least one weight must be above 0")
    return weights


def _over(base: Task, change: Task) -> Task:
    """``base`` with what ``change`` says: a ConfiguredTask's written keys, else all that differs from a default."""
    if isinstance(change, ConfiguredTask):
        given = change.given
    else:
        plain = Task(name=change.name)
        given = frozenset(f for f in _OWN if getattr(change, f) != getattr(plain, f)) | frozenset(
            f.name for f in fields(Criteria) if getattr(change.criteria, f.name) != getattr(plain.criteria, f.name)
        )
    criteria = {f.name: getattr(change.criteria, f.name) for f in fields(Criteria) if f.name in given}
    own = {name: getattr(change, name) for name in _OWN if name in given}
    return replace(base, criteria=replace(base.criteria, **criteria), **own)


def check_policies(tasks: Iterable[Task], *, file: str) -> None:
    """Each task's policy is one that is known, plugins' included. Raises ConfigError with the nearest names."""
    from .core.policies import POLICIES  # all of the decision's mathematics: the cockpit reads a configuration, too

    for task in tasks:
        if task.policy not in POLICIES:
            raise Where(file, f"tasks.{task.name}.policy").error(task.policy, "no such policy", POLICIES)
