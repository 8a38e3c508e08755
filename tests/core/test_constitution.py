"""The constitution as values: whom a rule binds, what breaks it, and when a waiver lifts it."""

from __future__ import annotations

import pytest

from arbiter_tui.core.constitution import Breach, Rule, Waiver, breach, labels_of, unmet
from arbiter_tui.core.tasks import Task

STAYS = Rule(name="stays-here", labels=("private",), local=True, reason="patients' records")


def judged(*rules: Rule, task: str = "t", labels: tuple[str, ...] = (), provider: str = "box", local: bool = False,
           now: float = 0.0) -> Breach | None:  # fmt: skip
    return breach(rules, task, labels, "v", provider=provider, local=local, now=now)


@pytest.mark.parametrize(
    ("rule", "task", "labels", "binds"),
    [
        (Rule(name="r", local=True), "any", (), True),
        (Rule(name="r", local=True, tasks=("a",)), "a", (), True),
        (Rule(name="r", local=True, tasks=("a",)), "b", ("a",), False),
        (Rule(name="r", local=True, labels=("x", "y")), "b", ("y", "z"), True),
        (Rule(name="r", local=True, labels=("x",)), "x", (), False),
        (Rule(name="r", local=True, tasks=("a",), labels=("x",)), "b", ("x",), True),
    ],
)
def test_a_rule_binds_those_it_names_by_task_or_label_and_all_if_it_names_none(
    rule: Rule, task: str, labels: tuple[str, ...], binds: bool
) -> None:
    """Either is enough; a task's name is no label."""
    assert (judged(rule, task=task, labels=labels) is not None) is binds


def test_a_local_rule_is_broken_by_a_version_elsewhere_only() -> None:
    """And the refusal names the rule, its reason and what would have to change."""
    assert judged(STAYS, labels=("private",), local=True) is None
    found = judged(STAYS, labels=("private",))
    assert found is not None
    assert found.rule is STAYS
    for part in ("'stays-here'", "patients' records", "v does not run on this machine"):
        assert part in found.sentence
    assert found.why["rule"] == "constitution stays-here"
    assert "waived" in found.why["would_change_if"]


def test_a_rule_may_name_the_providers_that_are_allowed() -> None:
    """Where the version runs does not matter to it."""
    rule = Rule(name="ours", providers=("box", "gpu"))
    assert judged(rule, provider="gpu") is None
    found = judged(rule, provider="other", local=True)
    assert found is not None
    assert "box, gpu" in found.sentence


def test_the_first_broken_rule_is_named_and_a_kept_one_lifts_no_other() -> None:
    """Rules add up."""
    kept, broken = Rule(name="kept", providers=("box",)), Rule(name="broken", local=True)
    found = judged(kept, broken, Rule(name="later", local=True))
    assert found is not None
    assert found.rule.name == "broken"


def test_a_waiver_lifts_its_rule_for_its_task_until_its_end() -> None:
    """At the very second of its end the rule binds again; another task and another rule were never lifted."""
    waived = Rule(name="r", local=True, waivers=(Waiver(task="t", reason="a test", until=100.0),))
    assert judged(waived, now=99.9) is None
    assert judged(waived, now=100.0) is not None
    assert judged(waived, task="u", now=0.0) is not None
    assert judged(waived, Rule(name="other", local=True), now=0.0) is not None


def test_a_private_task_carries_the_label_private() -> None:
    """Beside its own."""
    assert labels_of(Task(name="t", private=True, labels=("a",))) == {"private", "a"}
    assert labels_of(Task(name="t")) == frozenset()


def test_a_rule_that_binds_nobody_is_told() -> None:
    """A misspelt task or label protects nobody: each of them is named, and what is there is not."""
    known = [Task(name="letters", private=True), Task(name="code", labels=("customers",))]
    assert unmet("stays", ("letters",), ("private", "customers"), known) == []
    (task, label) = unmet("stays", ("leters", "code"), ("privat", "private"), known)
    assert "'stays' binds no task named 'leters'" in task
    assert "'stays' binds no task with the label 'privat'" in label
