"""The bundled tasks and their suites, all written for this project (see LICENSE.md beside this file).

Owns: loading them once, when first asked. Never: a verdict about a model beyond the measured priors in ``tasks.py``.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from ..core.tasks import Task
from ..core.verify import SuiteItem, parse_suite


def bundled_tasks() -> tuple[Task, ...]:
    """Every bundled task, each with its suite of the same name, worked examples and measured priors."""
    from .tasks import TASKS

    return TASKS


def bundled_suites() -> dict[str, tuple[SuiteItem, ...]]:
    """Suite's name -> its items (at least 40 each). The dict is the caller's own; the items are shared and frozen."""
    return {task.suite: _suite(task.suite) for task in bundled_tasks() if task.suite}


@cache
def _suite(name: str) -> tuple[SuiteItem, ...]:
    return parse_suite(name, files(__name__).joinpath("suites", f"{name}.jsonl").read_text(encoding="utf-8"))
