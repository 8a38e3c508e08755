"""Compatibility: each check at its exact limit, with the figures that it shows."""

from __future__ import annotations

from typing import Any

import pytest
from core_cases import MIB, measured, version

from arbiter_tui.core.compatibility import KEPT_SHARE, Check, check
from arbiter_tui.core.registry import Lifecycle, ModelVersion
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import Criteria, Task

TEXT = frozenset({"text-generation"})


def found(
    name: str,
    *,
    old: ModelVersion | None = None,
    new: ModelVersion | None = None,
    criteria: dict[str, Any] | None = None,
    **known: Any,
) -> Check:
    task = Task(name="t", criteria=Criteria(**(criteria or {})))
    checks = check(old or version("old"), new or version("new"), task=task, **known).checks
    return next(c for c in checks if c.name == name)


def graded(quality: float, weight: float) -> Stats:
    return Stats(samples=100, hits=quality * weight, misses=(1.0 - quality) * weight)


def test_every_check_is_shown_in_order() -> None:
    """Seven checks, the forbidding ones first, whether they are met or not."""
    checks = check(None, version("new"), task=Task(name="t")).checks
    assert [c.name for c in checks] == [
        "lifecycle", "capabilities", "memory", "kept_capabilities", "context", "quality", "latency",
    ]  # fmt: skip
    assert [c.met for c in checks] == [True, True, None, True, True, True, True]


def test_what_it_is_and_can_do_is_shown() -> None:
    """State of life and capabilities, sorted, beside what was asked."""
    able = version("new", capabilities=TEXT | {"code"}, lifecycle=Lifecycle.DEPRECATED)
    assert found("lifecycle", new=able) == Check(name="lifecycle", met=False, value="deprecated", needed="active")
    asked = {"capabilities": frozenset({"vision", "code"})}
    assert found("capabilities", new=able, criteria=asked) == Check(
        name="capabilities", met=False, value=["code", "text-generation"], needed=["code", "vision"]
    )
    assert found("kept_capabilities", old=able) == Check(
        name="kept_capabilities", met=False, value=["text-generation"], needed=["code", "text-generation"]
    )
    assert found("kept_capabilities", old=version("old"), new=able).met is True


def test_all_that_is_lacking_is_named() -> None:
    """Every missing capability in one sentence, and every lost one."""
    task = Task(name="t", criteria=Criteria(capabilities=frozenset({"vision", "code"})))
    answer = check(version("old", capabilities=frozenset({"audio", "code"})), version("new"), task=task)
    assert answer.errors == ("new lacks code, vision, which t needs",)
    assert answer.warnings == ("audio, code would be lost",)


@pytest.mark.parametrize(("limit", "met"), [(8 * MIB, True), (8 * MIB - 1, False), (None, None)])
def test_exactly_the_budget_fits(limit: int | None, met: bool | None) -> None:
    """The whole budget may be used; without a budget nothing is known."""
    shown = found("memory", new_predicted=8 * MIB, memory_limit=limit)
    assert shown == Check(name="memory", met=met, value=8 * MIB, needed=limit)


def test_a_measured_size_wins_over_a_predicted_one_and_that_over_the_files() -> None:
    """The figure closest to the truth is compared, and an unknown size stays unknown."""
    new = version("new", file_bytes=3)
    assert found("memory", new=new, memory_limit=9).value == 3
    assert found("memory", new=new, new_predicted=2, memory_limit=9).value == 2
    assert found("memory", new=new, new_predicted=2, new_stats=measured(memory=1), memory_limit=9).value == 1
    assert found("memory", memory_limit=9) == Check(name="memory", met=None, value=None, needed=9)


@pytest.mark.parametrize(
    ("before", "now", "asked", "met", "needed"),
    [
        (2048, 2048, None, True, 2048),
        (2048, 2047, None, False, 2048),
        (1, 0, None, False, 1),
        (2048, 4096, 4097, False, 4097),
        (4097, 4096, 2048, False, 4097),
        (None, 2048, 2048, True, 2048),
        (None, None, None, True, None),
        (None, 5, None, True, None),
        (2048, None, None, None, 2048),
        (None, None, 1, None, 1),
    ],
)
def test_the_context_may_not_shrink_below_either_need(
    before: int | None, now: int | None, asked: int | None, met: bool | None, needed: int | None
) -> None:
    """The larger of what served and what the task asks is needed; as many tokens as that are enough."""
    old, new = version("old", context=before), version("new", context=now)
    shown = found("context", old=old, new=new, criteria={"min_context": asked})
    assert shown == Check(name="context", met=met, value=now, needed=needed)


@pytest.mark.parametrize(
    ("before", "after", "met", "needed"),
    [
        (graded(1.0, 10.0), graded(0.9, 10.0), True, 0.9),
        (graded(1.0, 10.0), graded(0.875, 10.0), False, 0.9),
        (graded(1.0, 10.0), graded(0.875, 9.0), None, 0.9),
        (graded(1.0, 9.0), graded(0.5, 10.0), True, None),
        (graded(0.5, 16.0), graded(0.4375, 16.0), False, 0.45),
    ],
)
def test_nine_tenths_of_the_quality_must_be_kept(before: Stats, after: Stats, met: bool | None, needed: Any) -> None:
    """Exactly 90% is kept; grades count from a weight of ten on, on either side."""
    assert KEPT_SHARE == 0.9
    shown = found("quality", old_stats=before, new_stats=after)
    assert shown == Check(name="quality", met=met, value=after.quality, needed=needed)


@pytest.mark.parametrize(
    ("limit", "seconds", "met"), [(1.0, 1.0, True), (1.0, 1.5, False), (1.0, None, None), (None, 1.5, True)]
)
def test_the_tasks_own_latency_is_the_limit(limit: float | None, seconds: float | None, met: bool | None) -> None:
    """A median of exactly the limit is met; without a limit any latency is."""
    shown = found("latency", criteria={"max_latency_s": limit}, new_stats=measured(latency_s=seconds))
    assert shown == Check(name="latency", met=met, value=seconds, needed=limit)


def test_an_open_question_with_words_is_a_warning_after_the_losses() -> None:
    """Losses first, then what is not known; with strict the losses are errors and the questions stay warnings."""
    old, new = version("old", context=2048, capabilities=TEXT | {"code"}), version("new")
    for strict in (False, True):
        answer = check(old, new, task=Task(name="t"), old_stats=measured(), strict=strict)
        said = (
            "the context of new is not known; 2048 tokens are in use",
            "its quality on this task is not measured yet; .72 would keep 90%",
        )
        assert answer.warnings == (said if strict else ("code would be lost", *said))
        assert answer.errors == (("code would be lost",) if strict else ())
