"""Who decides what is better, by the task's own policy: bandit, score, fixed, round robin, or a plugin's."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from engine_kit import ASK, Engine

from arbiter_tui.adapters import plugins
from arbiter_tui.config_tasks import check_policies
from arbiter_tui.core.policies import POLICIES, Fixed, Start
from arbiter_tui.core.tasks import Task
from arbiter_tui.errors import ConfigError


def work(policy: str) -> tuple[Task, ...]:
    return (Task(name="work", policy=policy),)


async def answered(e: Engine, count: int) -> list[str]:
    """The versions that answer so many requests of the task."""
    found = []
    for _ in range(count):
        found.append((await e.arbiter.execute("work", ASK)).version)
    return found


@pytest.mark.parametrize("policy", ["bandit", "score"])
async def test_evidence_moves_the_route_and_the_record_says_by_whose_word(policy: str) -> None:
    """Both swap to what is clearly better; the bandit's beliefs stand in the record, the score needs none."""
    async with Engine(tasks=work(policy), mode="on", cooldown_s=5.0) as e:
        await e.teach("a", quality=0.2, count=20)
        await e.teach("b", quality=1.0, count=20)
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        await e.until(lambda: e.arbiter.swaps[0].result == "done")
        record = await e.arbiter.explain(e.arbiter.swaps[0].evidence["decision"])
        assert record["inputs"]["policy"] == policy
        assert [b["version"] for b in record["inputs"]["beliefs"]] == (["b", "a"] if policy == "bandit" else [])
        assert record["recomputed"] is True


async def test_the_bandit_asks_for_more_than_the_score_before_it_swaps() -> None:
    """It looks again and again, so it wants 2.6 standard deviations: on the same middling lead the score swaps."""
    verdicts = {}
    for policy in ("score", "bandit"):
        async with Engine(tasks=work(policy), mode="observe") as e:
            for version, good in (("a", 10), ("b", 20)):
                await e.teach(version, quality=1.0, count=good)
                await e.teach(version, quality=0.0, count=24 - good)
            verdicts[policy] = e.arbiter.autopilot.judge("work")
    assert (verdicts["score"].action, verdicts["score"].to) == ("hold", "b")  # it only observes
    assert verdicts["bandit"].action == "none"
    assert "closest" in verdicts["bandit"].sentence


@pytest.mark.parametrize("policy", ["fixed", "round_robin"])
async def test_for_measuring_nothing_is_swapped(policy: str) -> None:
    """Whatever the evidence says."""
    async with Engine(tasks=work(policy), mode="on", cooldown_s=5.0) as e:
        await e.teach("a", quality=0.0, count=30)
        await e.teach("b", quality=1.0, count=30)
        await e.clock.advance(60.0)
        assert e.serving() == "a"
        guards = e.arbiter.autopilot.outlook("work")["guards"]
        assert not [g for g in guards if g["kind"] == "trigger" and g["met"]]


async def test_round_robin_asks_each_that_is_loaded_in_turn_and_fixed_nobody_else() -> None:
    """Round robin is for measuring: no share limits it, but a hold of the operator does."""
    async with Engine(tasks=work("round_robin"), mode="on", hold_s=1000.0) as e:
        assert await answered(e, 2) == ["a", "a"]  # nobody else is loaded
        await e.arbiter.warm("b")
        assert sorted(await answered(e, 4)) == ["a", "a", "b", "b"]
        await e.arbiter.swap("work", "b")
        assert await answered(e, 4) == ["b"] * 4
    async with Engine(tasks=work("fixed"), mode="on", explore_share=1.0) as e:
        await e.arbiter.warm("b")
        assert await answered(e, 4) == ["a"] * 4


async def test_the_bandit_explores_what_promises_most_within_its_share() -> None:
    """One request in five, those that were saved, too; never one that another is surely better than; nobody that would
    have to be loaded."""
    async with Engine({"a": _fake(), "b": _fake(), "c": _fake()}, mode="on", explore_share=0.2) as e:
        await e.teach("a", quality=0.9, count=30)
        await e.teach("b", quality=0.9, count=4)
        await e.teach("c", quality=0.0, count=60)
        await e.arbiter.warm("c")
        assert await answered(e, 10) == ["a"] * 10
        await e.arbiter.warm("b")
        found = await answered(e, 20)
        assert (found.count("b"), found.count("a")) == (6, 14)


async def test_a_new_sibling_is_expected_to_do_as_its_kin_does() -> None:
    """Nobody has graded it: its belief says so, and whom it is alike; grades of its own end that."""
    models = {name: _fake() for name in ("ada-7b", "ada-3b", "bob-7b")}
    async with Engine(models, mode="observe") as e:
        await e.teach("ada-7b", quality=0.9, count=30)
        await e.teach("bob-7b", quality=0.1, count=30)
        kin = next(b for b in e.arbiter.autopilot.beliefs.of("work") if b.version == "ada-3b")
        assert (kin.source, kin.alike) == ("alike", "ada-7b")
        told = e.arbiter.autopilot.beliefs.expected("work")["ada-3b"]
        assert told.low <= told.value <= told.high
        assert told.value > 0.5
        await e.teach("ada-3b", quality=0.3, count=30)
        assert "ada-3b" not in e.arbiter.autopilot.beliefs.expected("work")


class Stubborn(Fixed):
    """Would always have the last one by name serve."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.incumbent = len(start.names) - 1


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    point = EntryPoint(name="stubborn", value="test_policies_live:Stubborn", group=plugins.POLICY_GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.POLICY_GROUP else [])
    assert plugins.load_policies() == ["stubborn"]
    yield
    del POLICIES["stubborn"]


@pytest.mark.usefixtures("plugin")
async def test_a_plugins_policy_nominates_and_the_guards_still_decide() -> None:
    """Only whom it names may take over for being better, and only on evidence."""
    check_policies(work("stubborn"), file="x")
    models = {name: _fake() for name in ("a", "b", "c")}
    async with Engine(models, tasks=work("stubborn"), mode="on", cooldown_s=5.0) as e:
        await e.teach("a", quality=0.2, count=20)
        await e.teach("b", quality=1.0, count=20)
        await e.clock.advance(10.0)
        assert e.serving() == "a"
        await e.teach("c", quality=0.9, count=20)
        await e.until(lambda: e.serving() == "c", step_s=0.5)


@pytest.mark.usefixtures("plugin")
def test_a_policy_that_can_not_be_used_warns_and_an_unknown_one_is_named() -> None:
    """A name that is taken; a task that asks for a policy that nobody has."""
    with pytest.warns(plugins.PluginWarning, match="taken"):
        assert plugins.load_policies() == []
    with pytest.raises(ConfigError, match=r"tasks\.work\.policy.*bandit"):
        check_policies(work("bandid"), file="x")


def _fake() -> Any:
    from arbiter_tui.testing import Behaviour

    return Behaviour()
