"""The autopilot: it acts on evidence, obeys its operator, and can explain itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from engine_kit import ASK, Engine

from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.drift import Alarm, Signal
from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.core.watch import Watch
from arbiter_tui.engine import sentinels
from arbiter_tui.errors import LoadFailed, Refused, UnknownName
from arbiter_tui.testing import Behaviour, MemoryStore

ON = {"mode": "on", "cooldown_s": 10.0}


async def test_it_swaps_to_what_is_credibly_better_and_says_why() -> None:
    """Evidence alone moves the route; the swap carries its figures and the decision behind it can be read by id."""
    async with Engine(**ON) as e:
        await e.teach("a", quality=0.2)
        await e.teach("b", quality=1.0)
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        await e.until(lambda: e.arbiter.swaps[0].result == "done")
        swap = e.arbiter.swaps[0]
        assert swap.trigger == "auto"
        assert swap.why[0].rule == "better"
        decision = await e.arbiter.explain(swap.evidence["decision"])
        assert decision["kind"] == "autopilot"
        assert decision["inputs"]["leaderboard"]
        assert decision["thresholds"]["cooldown_s"] == 10.0
        assert "b" in e.arbiter.snapshot().narrator
        told = [x["message"] for x in await e.arbiter.events() if x["message"].endswith("; swapping")]
        assert len(told) == len(set(told)) == 1, "one decision is one line of the log"


async def test_without_evidence_it_does_nothing() -> None:
    """Neither a bundled order nor time moves a route."""
    async with Engine(**ON) as e:
        await e.arbiter.execute("work", ASK)
        await e.clock.advance(30.0)
        assert e.serving() == "a"
        assert not e.arbiter.swaps
        assert "arbiter bench" in e.arbiter.snapshot().narrator


@pytest.mark.parametrize("mode", ["observe", "off"])
async def test_observing_or_off_it_only_says_what_it_would_do(mode: str) -> None:
    """The verdict is a hold with the mode as its reason, stored once, and the route stands."""
    async with Engine(**ON) as e:
        await e.arbiter.set_autopilot(mode)
        await e.teach("a", quality=0.2)
        await e.teach("b", quality=1.0)
        await e.clock.advance(20.0)
        assert e.serving() == "a"
        verdict = e.arbiter.autopilot.judge("work")
        assert verdict.action == "hold"
        assert {"observe", "mode"} & {w.rule for w in verdict.why}
        holds = [d for d in e.store.decisions.values() if '"hold"' in d]
        assert len(holds) == 1
        assert e.arbiter.snapshot().engine.autopilot == mode


async def test_an_operators_swap_is_held_and_the_cooldown_follows_every_swap() -> None:
    """It waits for both, then acts; the narrator names what it waits for."""
    async with Engine(mode="on", cooldown_s=30.0, hold_s=100.0) as e:
        await e.arbiter.swap("work", "b")
        await e.teach("b", quality=0.2)
        await e.teach("a", quality=1.0)
        await e.clock.advance(50.0)
        assert e.serving() == "b"
        assert "hold" in e.arbiter.snapshot().narrator
        await e.until(lambda: e.serving() == "a", step_s=10.0)
        assert e.clock.now() - 1_700_000_000.0 >= 100.0


async def test_a_degraded_version_is_replaced() -> None:
    """Failures below the threshold bring in the best other version."""
    async with Engine(**ON) as e:
        await e.teach("b", quality=0.6)
        await e.teach("a", quality=0.7)
        await e.teach("a", quality=None, success=False, count=40)
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        assert "success" in {w.rule for w in e.arbiter.swaps[0].why}


async def test_a_silent_loss_of_quality_is_found_and_rolled_back() -> None:
    """Quality falls while everything succeeds: an alarm, an alert, and the previous version serves again."""
    async with Engine(mode="on", cooldown_s=5.0, drift_min_samples=10, hold_s=0.0) as e:
        await e.teach("a", quality=0.75, count=30)
        await e.arbiter.swap("work", "b", trigger="auto")
        await e.clock.advance(6.0)
        await e.teach("b", quality=1.0, count=30)
        await e.clock.advance(2.0)
        assert e.serving() == "b"
        await e.teach("b", quality=0.0, count=30)
        await e.until(lambda: e.serving() == "a", step_s=0.5)
        await e.until(lambda: e.arbiter.swaps[0].result == "done")
        back = e.arbiter.swaps[0]
        assert "drift_quality" in {w.rule for w in back.why}
        assert (back.trigger, back.evidence["undoes"]) == ("auto", e.arbiter.swaps[1].id)
        assert "rolling back" in back.reason
        assert any("quality fell" in a.message for a in e.arbiter.snapshot().alerts)
        await e.clock.advance(60.0)
        assert e.serving() == "a", "what was rolled back needs new evidence to return"


async def test_a_version_repointed_behind_its_alias_is_judged_by_its_own_evidence() -> None:
    """When the alias of a route moves to a worse version, the better one comes back."""
    async with Engine(**ON) as e:
        await e.teach("a", quality=1.0)
        await e.teach("b", quality=0.1)
        await e.arbiter.alias("champion", "a")
        await e.arbiter.swap("work", "champion", trigger="auto")
        await e.arbiter.alias("champion", "b")
        await e.until(lambda: e.serving() == "a", step_s=1.0)
        assert (e.arbiter.swaps[0].from_, e.arbiter.swaps[0].to) == ("b", "a")


async def test_a_swap_that_fails_is_not_tried_again_before_the_cooldown() -> None:
    """One alert and a pause, not a loop of loads."""
    models = {"a": Behaviour(), "b": Behaviour(fail_load=[LoadFailed("no") for _ in range(50)])}
    async with Engine(models, mode="on", cooldown_s=60.0) as e:
        await e.teach("a", quality=0.2)
        await e.teach("b", quality=1.0)
        await e.until(lambda: [s for s in e.arbiter.swaps if s.result == "failed"], step_s=0.5)
        await e.clock.advance(20.0)
        assert e.serving() == "a"
        assert len(e.arbiter.swaps) == 1


async def test_sentinels_ask_the_serving_version_in_quiet_moments_only() -> None:
    """Known questions at the configured rate, graded, recorded as such, never while a client is served."""
    task = Task(name="work", criteria=Criteria())
    async with Engine({"a": Behaviour(answer="yes"), "b": Behaviour()}, tasks=(task,), mode="on",
                      sentinels_per_hour=60.0) as e:  # fmt: skip
        await e.clock.advance(300.0)
        assert not e.store.outcomes, "nobody uses it: nothing is asked"
        await e.arbiter.execute("work", ASK)
        e.arbiter.autopilot.busy = lambda: True
        await e.clock.advance(120.0)
        asked = [o for o in e.store.outcomes.values() if o.source == "sentinel"]
        assert not asked
        e.arbiter.autopilot.busy = lambda: False
        await e.clock.advance(600.0)
        asked = [o for o in e.store.outcomes.values() if o.source == "sentinel"]
        assert 8 <= len(asked) <= 11
        assert {(o.version, o.quality, o.quality_source) for o in asked} == {("a", 1.0, "sentinel")}
        assert e.arbiter.evidence.requests("work") == 1


async def test_sentinels_are_asked_of_tasks_that_were_used_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that serves two tasks is asked only for the one that a client uses, and no longer than it is used."""
    assert sentinels.USED_WITHIN_S == 3600.0
    monkeypatch.setattr(sentinels, "USED_WITHIN_S", 100.0)
    models = {"a": Behaviour(answer="yes")}
    async with Engine(models, tasks=("used", "unused"), mode="on", sentinels_per_hour=360.0) as e:
        await e.arbiter.execute("used", ASK)

        def asked() -> list[str]:
            return [o.task for o in e.store.outcomes.values() if o.source == "sentinel"]

        await e.clock.advance(110.0)
        assert set(asked()) == {"used"}
        count = len(asked())
        await e.clock.advance(100.0)
        assert len(asked()) == count
        await e.arbiter.execute("unused", ASK)
        await e.clock.advance(50.0)
        assert set(asked()[count:]) == {"unused"}


async def test_a_mode_that_does_not_exist_is_refused() -> None:
    """Unknown modes and tasks change nothing."""
    async with Engine() as e:
        with pytest.raises(Refused):
            await e.arbiter.set_autopilot("maybe")
        with pytest.raises(UnknownName):
            await e.arbiter.set_autopilot("on", "nothing")
        assert e.store.modes == {}


def test_an_alarm_ends_when_its_signal_has_recovered() -> None:
    """It stands through bad values, falls after enough good ones, and starts afresh with a new incumbency."""
    watch = Watch(min_samples=5)
    for _ in range(20):
        assert not watch.grade("work", "a", 1.0)
    raised: list[Alarm] = []
    for _ in range(10):
        raised += watch.grade("work", "a", 0.0)
    assert [a.signal for a in raised] == [Signal.QUALITY]
    assert watch.alarms("work", "a")
    for _ in range(5):
        watch.grade("work", "a", 1.0)
    assert not watch.alarms("work", "a")
    for _ in range(10):
        watch.grade("work", "a", 0.0)
    watch.reset("work", "a")
    assert not watch.alarms("work", "a")


async def test_the_missing_measurement_is_told_to_both_doors() -> None:
    """The same sentence stands on the screen and in a shell: it names the key and the command."""
    async with Engine(tasks=("work", "play")) as e:
        assert (
            e.arbiter.snapshot().narrator == "2 of 2 tasks have no measured quality: press b, or run `arbiter bench`."
        )


async def test_what_no_benchmark_measures_is_not_asked_for() -> None:
    """A task without questions, as ``general``, is no reason to press b: the line would stand there for ever."""
    async with Engine(tasks=("work", "general")) as e:
        e.arbiter.live.suites = {"work": e.arbiter.live.suites["work"]}
        e.arbiter.autopilot.narrator.tell()
        assert e.arbiter.snapshot().narrator.startswith("1 of 1 task has no measured quality")


async def test_going_to_and_fro_is_left_to_the_operator() -> None:
    """b takes over, then a looks better again: an alert asks, nothing moves by itself, and a swap by hand is done."""
    async with Engine(mode="on", cooldown_s=5.0, hold_s=0.0, oscillation_s=1000.0) as e:
        await e.teach("a", quality=0.4)
        await e.teach("b", quality=1.0)
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        await e.teach("b", quality=0.0, count=14)
        await e.teach("a", quality=1.0, count=60)
        await e.clock.advance(60.0)
        assert e.serving() == "b"
        assert "oscillation" in {w.rule for w in e.arbiter.autopilot.judge("work").why}
        assert any("swap by hand" in alert.message for alert in e.arbiter.snapshot().alerts)
        await e.arbiter.swap("work", "a")
        assert e.serving() == "a"


async def test_the_swaps_of_a_day_are_counted_over_a_restart() -> None:
    """The budget is counted from the records of the store; what a person did is not counted."""
    store = MemoryStore()
    async with Engine(mode="on", cooldown_s=5.0, swaps_per_day=1, store=store) as e:
        await e.teach("a", quality=0.2)
        await e.teach("b", quality=1.0)
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        await e.until(lambda: e.arbiter.swaps[0].result == "done")
    async with Engine(mode="on", cooldown_s=5.0, swaps_per_day=1, store=store) as e:
        assert [move.to for move in e.arbiter.autopilot.inputs("work").moves] == ["b"]
        (budget,) = [g for g in e.arbiter.autopilot.outlook("work")["guards"] if g["rule"] == "budget"]
        assert (budget["met"], budget["value"], budget["threshold"]) == (False, 1, 1)


async def test_what_can_not_be_true_is_refused_or_bounded_and_counted() -> None:
    """Reported values that can't be true: none of the list is taken. A moment of the future is now, a duplicate and an
    archived version teach nothing; statistics count each."""
    async with Engine() as e:
        good = Outcome(id="good", task="work", version="a", at=e.clock.now(), success=True, quality=1.0)
        for wrong in ({"quality": float("nan")}, {"quality": 1.5}, {"latency_s": -1.0}, {"latency_s": float("inf")}):
            with pytest.raises(Refused, match="outcome 2 of 2"):
                await e.arbiter.report([good, replace(good, id="bad", **wrong)])
        assert not e.store.outcomes
        assert e.arbiter.evidence.stats("work") == {}
        await e.arbiter.report([good, replace(good, id="late", at=e.clock.now() + 1e6), good])
        assert e.arbiter.evidence.stats("work")["a"].samples == 2
        assert e.arbiter.evidence.stats("work")["a"].last_at == e.clock.now()
        await e.arbiter.report([good])
        await e.arbiter.deprecate("b")
        e.arbiter.live.registry = e.arbiter.live.registry.move("b", Lifecycle.ARCHIVED)
        with pytest.raises(Refused, match="archived"):
            await e.arbiter.report([replace(good, id="b", version="b")])
        counted = e.arbiter.statistics()["intake"]
        assert counted["quality is outside 0..1"] == 2
        assert counted["latency_s is negative"] == counted["latency_s is not a number"] == 1
        assert counted["at is in the future"] == counted["version is archived"] == 1
        assert counted["duplicates"] == 2


async def test_a_thousand_false_scores_do_not_move_the_route() -> None:
    """One client calls every answer of the better version wrong: its quality falls by no more than feedback is trusted,
    and it goes on serving beside one that is truly worse."""
    async with Engine(mode="on", cooldown_s=5.0, hold_s=0.0) as e:
        await e.teach("a", quality=0.9, count=60)
        await e.teach("b", quality=0.2, count=60)
        for n in range(1000):
            e.arbiter.evidence.grade(
                Outcome(id=f"r{n}", task="work", version="a", at=e.clock.now(), success=True), 0.0, "feedback"
            )
        await e.clock.advance(60.0)
        quality = e.arbiter.evidence.stats("work")["a"].quality
        assert quality is not None
        assert quality >= 0.9 * 0.4 - 1e-9
        assert all(alarm.after >= 0.35 for alarm in e.arbiter.evidence.watch.alarms("work", "a"))
        assert e.serving() == "a"


async def test_an_alarm_in_the_middle_of_a_batch_forgets_what_came_before_it() -> None:
    """Whether outcomes arrive one by one or hundreds at once: the same statistics, the same alarms, told once."""
    several = [
        Outcome(id=f"o{n}", task="work", version="a", at=float(n), success=True, latency_s=0.5 if n < 60 else 4.0,
                quality=float(n < 60), quality_source="suite")
        for n in range(100)
    ]  # fmt: skip
    found = []
    for batch in (1, 7, 100):
        async with Engine(drift_min_samples=10) as e:
            for at in range(0, 100, batch):
                await e.arbiter.recorder.commit(several[at : at + batch])
            known = e.arbiter.evidence.stats("work")["a"]
            alarms = e.arbiter.evidence.watch.alarms("work", "a")
            told = [event["message"] for event in await e.arbiter.events() if "quality fell" in event["message"]]
            found.append((known, sorted(a.signal for a in alarms), len(told)))
    assert found[0][1:] == (["latency", "quality"], 1)
    assert found[0][0].quality == 0.0
    assert found[1] == found[0] == found[2]


async def test_every_second_sentinel_asks_a_promising_other_version_the_same_question() -> None:
    """Within the same number of them: the one that serves, then another that is loaded and less known, the same
    question; both answers name it. Nobody who is not loaded, nobody at all where exploring is off."""
    models = {name: Behaviour(answer="yes") for name in "abc"}
    for share, expected in ((0.05, {"a", "b"}), (0.0, {"a"})):
        async with Engine(models, mode="on", sentinels_per_hour=60.0, explore_share=share) as e:
            await e.teach("a", quality=1.0, count=30)
            await e.arbiter.warm("b")
            await e.arbiter.execute("work", ASK)
            await e.clock.advance(1200.0)
            asked = [o for o in e.store.outcomes.values() if o.source == "sentinel"]
            assert 16 <= len(asked) <= 21
            assert {o.version for o in asked} == expected
            assert all(o.item for o in asked)
            if share:
                pairs = [(one, other) for one, other in pairwise(asked) if other.version == "b"]
                assert pairs
                assert all(one.version == "a" and one.item == other.item for one, other in pairs)


async def test_answers_to_one_question_are_compared_whoever_asked_it() -> None:
    """A benchmark of two versions: the same questions have the same names in the store and no text of them; after a
    restart on the same store the statistics know them, and the lead is as sure as it was."""
    store = MemoryStore()
    models = {"a": Behaviour(answer="no"), "b": Behaviour(answer="yes")}
    async with Engine(models, store=store, mode="observe") as e:
        await e.arbiter.swap("work", "a")
        await e.arbiter.start_bench(["work"])
        await e.until(lambda: e.arbiter.bench.running() is None, step_s=1.0)
        items = {v: [o.item for o in store.outcomes.values() if o.version == v] for v in "ab"}
        assert items["a"] == items["b"]
        assert len(set(items["a"])) == 12
        assert not [item for item in items["a"] if item is None or "question" in item]
        before = {b.version: b for b in e.arbiter.autopilot.beliefs.of("work")}
    async with Engine(models, store=store, mode="observe") as e:
        after = {b.version: b for b in e.arbiter.autopilot.beliefs.of("work")}
        assert before["b"].apart is not None
        assert after["b"].apart == pytest.approx(before["b"].apart, rel=0.05)
        assert after["b"].mean == pytest.approx(before["b"].mean, abs=0.02)
