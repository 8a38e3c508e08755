"""The bundled suites are sound: big enough, unambiguous, and answerable by the book."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from arbiter_tui.core.tasks import Task
from arbiter_tui.core.verify import SuiteItem, verify
from arbiter_tui.data import bundled_suites, bundled_tasks
from arbiter_tui.gateway.recognition import GENERAL

EVERY = bundled_tasks()
TASKS = tuple(task for task in EVERY if task.suite is not None)
SUITES = bundled_suites()


def spoken(item: SuiteItem) -> str:
    """The reference as a model would say it."""
    reference = item.reference[0] if isinstance(item.reference, list) else item.reference
    return json.dumps(reference) if isinstance(reference, dict) else str(reference)


def test_every_task_has_its_suite() -> None:
    """At least six tasks, each with a suite, a description and distinct names; only the gateway's last resort for
    clients that name nobody has none, for no questions are like all of theirs."""
    assert len(TASKS) >= 6
    assert {task.suite for task in TASKS} == set(SUITES)
    assert len({task.name for task in EVERY}) == len(EVERY)
    assert all(task.description for task in EVERY)
    assert [task.name for task in EVERY if task not in TASKS] == [GENERAL]


def test_loading_is_cached_and_the_dict_is_ours() -> None:
    """A caller may change the dict it got; items are shared, not parsed again."""
    mine = bundled_suites()
    name = TASKS[0].name
    assert mine[name] is SUITES[name]
    mine.clear()
    assert bundled_suites()


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_suite_is_sound(task: Task) -> None:
    """Forty items or more; ids and prompts unique; the reference itself is worth 1, silence is worth 0."""
    items = SUITES[task.name]
    assert len(items) >= 40
    assert len({item.id for item in items}) == len(items)
    assert len({item.prompt for item in items}) == len(items)
    assert {item.task for item in items} == {task.name}
    assert all(verify(item.verifier, spoken(item), item.reference) == 1.0 for item in items)
    assert all(verify(item.verifier, "", item.reference) == 0.0 for item in items)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_examples_are_fair(task: Task) -> None:
    """Four to six worked examples, none of them a question of the suite, each an answer its verifier can read."""
    prompts = {item.prompt for item in SUITES[task.name]}
    assert 4 <= len(task.few_shot) <= 6
    assert not prompts & {asked for asked, _ in task.few_shot}
    assert all("\n" not in said for _, said in task.few_shot)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_labels_are_balanced(task: Task) -> None:
    """Always saying the same label gains nothing: no label of a fixed set exceeds its even share by half."""
    items = SUITES[task.name]
    if items[0].verifier["kind"] != "one_of" or len({str(item.verifier["labels"]) for item in items}) > 1:
        pytest.skip("no fixed set of labels")
    share = Counter(item.reference for item in items)
    assert max(share.values()) <= 1.5 * len(items) / len(items[0].verifier["labels"])


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_priors_are_measured_qualities(task: Task) -> None:
    """Priors are rounded to .05, in 0..1, and name the bundled models."""
    assert set(task.priors) == {"smollm2-135m", "gemma3-270m"}
    assert all(0 <= p <= 1 and round(p * 20) == pytest.approx(p * 20) for p in task.priors.values())


def test_no_single_model_is_best_everywhere() -> None:
    """The reason for an arbiter: by the measured priors each bundled model clearly leads on some task."""
    lead = [task.priors["smollm2-135m"] - task.priors["gemma3-270m"] for task in TASKS]
    assert max(lead) >= 0.25 - 1e-9
    assert min(lead) <= -0.25 + 1e-9
