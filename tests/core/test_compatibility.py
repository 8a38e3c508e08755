"""The laws of what may replace what."""

from __future__ import annotations

from typing import Any

import pytest
from core_cases import MIB, measured, statistics, version
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.compatibility import Compatibility, check
from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import Criteria, Task

TASK = Task(name="t")
BOTH = frozenset({"text-generation", "code"})


def verdict(
    *, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None, criteria: dict[str, Any] | None = None,
    **given_: Any,
) -> Compatibility:  # fmt: skip
    task = Task(name="t", criteria=Criteria(**(criteria or {})))
    return check(version("old", **(old or {})), version("new", **(new or {})), task=task, **given_)


def met(found: Compatibility) -> dict[str, bool | None]:
    return {c.name: c.met for c in found.checks}


@pytest.mark.parametrize(
    ("case", "name", "sentence"),
    [
        ({"new": {"lifecycle": Lifecycle.DRAFT}}, "lifecycle", "new is draft: activate it first"),
        ({"criteria": {"capabilities": BOTH}}, "capabilities", "new lacks code, which t needs"),
        (
            {"new_predicted": 9 * MIB, "memory_limit": 8 * MIB},
            "memory",
            "new needs 9 MiB; the whole budget is 8 MiB",
        ),
    ],
)
def test_what_would_break_the_task_is_an_error_always(case: dict[str, Any], name: str, sentence: str) -> None:
    """Inactive, incapable, or too large even alone: refused, strict or not."""
    for strict in (False, True):
        found = verdict(**case, strict=strict)
        assert not found.ok
        assert sentence in found.errors
        assert met(found)[name] is False


@pytest.mark.parametrize(
    ("case", "name", "sentence"),
    [
        ({"old": {"capabilities": BOTH}}, "kept_capabilities", "code would be lost"),
        (
            {"old": {"context": 4096}, "new": {"context": 2048}},
            "context",
            "the context shrinks to 2048 tokens from 4096",
        ),
        (
            {"old_stats": measured(quality=0.8), "new_stats": measured(quality=0.6)},
            "quality",
            "quality .60 is below 90% of .80",
        ),
        (
            {"new_stats": measured(latency_s=3.0), "criteria": {"max_latency_s": 1.0}},
            "latency",
            "median latency 3 s is above the task's 1 s",
        ),
    ],
)
def test_a_loss_is_a_warning_and_with_strict_an_error(case: dict[str, Any], name: str, sentence: str) -> None:
    """The operator hears of it; only strict refuses."""
    lenient, strict = verdict(**case), verdict(**case, strict=True)
    assert lenient.ok
    assert lenient.warnings == (sentence,)
    assert not strict.ok
    assert strict.errors == (sentence,)
    assert met(lenient)[name] is False


@pytest.mark.parametrize(
    ("case", "name", "hint"),
    [
        ({"old": {"context": 4096}}, "context", "not known"),
        ({"old_stats": measured()}, "quality", "not measured yet; .72 would keep 90%"),
        ({"criteria": {"max_latency_s": 1.0}}, "latency", None),
        ({}, "memory", None),
    ],
)
def test_the_unknown_is_never_an_error(case: dict[str, Any], name: str, hint: str | None) -> None:
    """A figure that is missing leaves the check open, even with strict."""
    found = verdict(**case, strict=True)
    assert found.ok
    assert met(found)[name] is None
    assert (hint is None) == (found.warnings == ())
    assert hint is None or hint in found.warnings[0]


@given(statistics, statistics, st.none() | st.integers(0, 2**32), st.booleans())
def test_strict_only_ever_refuses_more(old: Stats, new: Stats, limit: int | None, smaller: bool) -> None:
    """What strict admits the lenient check admits; both see the same checks, and lose no sentence between them."""
    case: dict[str, Any] = {
        "old": {"context": 4096},
        "new": {"context": 2048 if smaller else 4096},
        "old_stats": old,
        "new_stats": new,
        "memory_limit": limit,
    }
    lenient, strict = verdict(**case), verdict(**case, strict=True)
    assert lenient.checks == strict.checks
    assert lenient.ok or not strict.ok
    assert set(lenient.errors) <= set(strict.errors)
    assert {*lenient.errors, *lenient.warnings} == {*strict.errors, *strict.warnings}
    assert lenient.ok == (not lenient.errors)


@given(statistics)
def test_a_version_may_replace_itself(stats: Stats) -> None:
    """Nothing is lost by the same content: no errors and, when it is measured, no warnings, even with strict."""
    same = version("same", context=4096)
    found = check(same, same, task=TASK, old_stats=stats, new_stats=stats, strict=True, memory_limit=2**43)
    assert found.ok
    assert found.warnings == ()


def test_the_first_version_of_a_task_replaces_nobody() -> None:
    """Without an incumbent only the task's own needs are asked; a measured size wins over a predicted one."""
    new = version("new", context=2048, file_bytes=MIB)
    assert check(None, new, task=TASK, strict=True).ok
    heavy = check(None, new, task=TASK, new_stats=measured(memory=9 * MIB), new_predicted=MIB, memory_limit=8 * MIB)
    assert not heavy.ok
    assert next(c.value for c in heavy.checks if c.name == "memory") == 9 * MIB
