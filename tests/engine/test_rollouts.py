"""Rollouts in the engine: who is assigned to one, what promotes it, what takes it back, and what survives a restart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import ASK, Engine, read

from arbiter_tui.config import RolloutConfig
from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.snapshot import RolloutView
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.errors import LoadFailed, ProviderError, Refused, UnknownName, WorkerDied
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import MIB, Behaviour

QUICK = RolloutConfig(every_s=100.0, start=0.1, step=0.3, shadow_per_hour=3600.0)


def engine(new: str = "yes", **more: Any) -> Engine:
    """Incumbent a is always right; b answers ``new``. Sixty known questions."""
    models = {"a": Behaviour(answer="yes"), "b": Behaviour(answer=new)}
    return Engine(**{"models": models, "questions": 60, "rollout": QUICK, **more})


async def begin(e: Engine, to: str = "b") -> RolloutView:
    await e.arbiter.swap("work", "a")
    await e.arbiter.warm("a")
    return await e.arbiter.rollouts.start("work", to)


def now(e: Engine) -> RolloutView:
    return e.arbiter.rollouts.views()[0]


async def until_stage(e: Engine, stage: str) -> None:
    await e.until(lambda: now(e).phase == stage, turns=2000, step_s=1.0)


def asked_by(user: int) -> Request:
    return Request(messages=(Message("user", "hello"),), extra={"user": f"user-{user}"})


async def served(e: Engine, users: int) -> dict[int, str]:
    """user -> the version that answered."""
    found = {}
    for user in range(users):
        answer = await e.arbiter.begin("arbiter/work", asked_by(user))
        found[user] = answer.version.version
        await read(answer)
    return found


async def test_a_version_as_good_climbs_and_is_promoted() -> None:
    """Shadow, then each share of the ramp in order, then a swap whose trigger is the rollout; a stays for rollback."""
    async with engine() as e:
        assert (await begin(e)).phase == "shadow"
        await until_stage(e, "promoted")
        view = now(e)
        assert [share for _, share in view.ramp] == [0.1, 0.4, 0.7, 1.0]
        assert view.pairs >= 10
        route = e.arbiter.routes.get("work")
        assert (route.incumbent, route.previous, route.candidate) == ("b", "a", None)
        assert e.arbiter.swaps[0].trigger == "rollout"
        assert e.arbiter.swaps[0].evidence["rollout"] == view.id


async def test_shares_are_sticky_and_grow() -> None:
    """About the share's part of the users is served by b; a user stays with it while the share grows."""
    async with engine() as e:
        await begin(e)
        await until_stage(e, "canary")
        first = await served(e, 200)
        assert first == await served(e, 200)
        mine = {user for user, version in first.items() if version == "b"}
        assert 5 <= len(mine) <= 40
        await e.until(lambda: now(e).share == 0.4, turns=2000, step_s=1.0)
        later = {user for user, version in (await served(e, 200)).items() if version == "b"}
        assert mine < later
        assert 50 <= len(later) <= 110


async def test_whoever_names_a_version_gets_that_one() -> None:
    """The trial is for those who let the arbiter choose."""
    async with engine(rollout=RolloutConfig(every_s=100.0, start=1.0, shadow_per_hour=3600.0)) as e:
        await begin(e)
        await until_stage(e, "canary")
        assert set((await served(e, 20)).values()) == {"b"}
        answer = await e.arbiter.begin("a", ASK)
        assert answer.version.version == "a"
        await read(answer)


async def test_a_worse_version_is_taken_back_before_many_were_served() -> None:
    """Its answers to the known questions are wrong: withdrawn with the figures, told as an alert, nobody is sent to it
    any more, and it needs new evidence to return."""
    async with engine(new="no") as e:
        await begin(e)
        await until_stage(e, "withdrawn")
        view = now(e)
        assert view.verdict == "roll_back"
        assert view.p_worse is not None
        assert view.p_worse > 0.95
        assert view.canary_requests == 0
        assert e.arbiter.routes.get("work").candidate is None
        assert set((await served(e, 50)).values()) == {"a"}
        assert any("b was taken back" in alert.message for alert in e.arbiter.live.alerts)
        assert e.arbiter.evidence.owed("work")["b"] > 0
        record = await e.arbiter.explain(next(iter(e.store.decisions)))
        assert record


async def test_failures_end_it_at_once() -> None:
    """No quality is known at all (no questions): three answers that fail are enough. The clients don't notice: before
    the first word the version that serves the task answers instead."""
    plain = RolloutConfig(every_s=100.0, start=1.0, shadow_per_hour=0.0)
    async with engine(rollout=plain, questions=0) as e:
        await begin(e)
        await until_stage(e, "canary")
        e.provider.behaviours["b"].fail_generate = [ProviderError("broken") for _ in range(9)]
        for user in range(3):
            answer = await e.arbiter.begin("arbiter/work", asked_by(user))
            assert await read(answer) == "yes"
            assert answer.version.version == "a"
        await until_stage(e, "withdrawn")
        assert "fails more often" in now(e).reason
        assert set((await served(e, 10)).values()) == {"a"}
        assert e.arbiter.snapshot().engine.failed == 0


async def test_a_death_in_the_middle_is_told_and_one_before_the_first_word_is_not() -> None:
    """After the first word there is no second answer: the client gets the error."""
    plain = RolloutConfig(every_s=100.0, start=1.0, shadow_per_hour=0.0)
    for die_after, told in ((0, False), (1, True)):
        async with engine(rollout=plain, questions=0) as e:
            await begin(e)
            await until_stage(e, "canary")
            e.provider.behaviours["b"].chunks, e.provider.behaviours["b"].die_after = 3, die_after
            answer = await e.arbiter.begin("arbiter/work", asked_by(1))
            if told:
                with pytest.raises(WorkerDied):
                    await read(answer)
            else:
                assert await read(answer) == "yes"
                assert answer.outcome is not None
                assert answer.outcome.version == "a"


async def test_without_grades_the_ramp_holds_and_ends_without_a_verdict() -> None:
    """Nobody can say whether it is worse: the share stays, and in the end it is taken back, saying so."""
    async with engine(questions=0) as e:
        await begin(e)
        await until_stage(e, "canary")
        await e.clock.advance(500)
        assert now(e).share == 0.1
        assert "too weak" in now(e).reason
        await e.clock.advance(3000)
        assert now(e).phase == "withdrawn"
        assert now(e).reason == "no verdict in time"


async def test_feedback_of_users_counts_once_a_request() -> None:
    """Thumbs down on the new version's answers take it back; the same request graded again moves nothing."""
    plain = RolloutConfig(every_s=100.0, start=0.5, shadow_per_hour=0.0)
    async with engine(rollout=plain, questions=0) as e:
        await begin(e)
        await until_stage(e, "canary")
        graded: dict[str, int] = {"a": 0, "b": 0}
        for user in range(120):
            answer = await e.arbiter.begin("arbiter/work", asked_by(user))
            await read(answer)
            version = answer.version.version
            for _ in range(2):
                await e.arbiter.feedback(answer.id, 1.0 if version == "a" else 0.0)
            graded[version] += 1
            await e.clock.advance(1.0)
            if now(e).phase == "withdrawn":
                break
        assert now(e).phase == "withdrawn"
        trial = e.arbiter.rollouts._over[0].state.trial
        assert (trial.new_grades, trial.heard_new) == (0, graded["b"])


async def test_pause_holds_the_share_and_resume_counts_anew() -> None:
    """Nothing climbs while it is paused; after resuming the next step is a whole interval away."""
    async with engine() as e:
        id = (await begin(e)).id
        await until_stage(e, "canary")
        assert (await e.arbiter.rollouts.pause(id)).paused
        assert now(e).next_step_at is None
        await e.clock.advance(1000)
        assert now(e).share == 0.1
        resumed = await e.arbiter.rollouts.resume(id)
        assert resumed.next_step_at == pytest.approx(e.clock.now() + 100)
        await e.clock.advance(50)
        assert now(e).share == 0.1
        await e.clock.advance(60)
        assert now(e).share == 0.4


async def test_abort_and_promote_by_hand() -> None:
    """Abort: the old one serves everybody. Promote: the swap happens now. What is over can't be ordered any more."""
    async with engine() as e:
        id = (await begin(e)).id
        await until_stage(e, "canary")
        assert (await e.arbiter.rollouts.abort(id)).phase == "aborted"
        assert e.arbiter.routes.get("work").candidate is None
        with pytest.raises(Refused, match="is over: aborted"):
            await e.arbiter.rollouts.promote(id)
        second = (await e.arbiter.rollouts.start("work", "b")).id
        await e.arbiter.rollouts.promote(second)
        await until_stage(e, "promoted")
        assert e.serving() == "b"
        with pytest.raises(UnknownName):
            await e.arbiter.rollouts.abort("nope")


async def test_what_is_refused() -> None:
    """Unknown names, who serves already, a draft, a second one on the task; two that don't fit together where nothing
    could show what the new one is worth, or the old one may not leave memory."""
    async with engine() as e:
        await e.arbiter.swap("work", "a")
        rollouts = e.arbiter.rollouts
        for task, to in (("nope", "b"), ("work", "nope")):
            with pytest.raises(UnknownName):
                await rollouts.start(task, to)
        with pytest.raises(Refused, match="serves work already"):
            await rollouts.start("work", "a")
        await rollouts.start("work", "b")
        with pytest.raises(Refused, match="under way"):
            await rollouts.start("work", "b")
    async with engine(budget=150 * MIB) as e:
        await e.arbiter.swap("work", "a")
        await e.arbiter.warm("a")
        await e.arbiter.pin("a")
        with pytest.raises(Refused, match=r"don't fit into the memory budget together.*unpinned"):
            await e.arbiter.rollouts.start("work", "b")
        assert e.arbiter.rollouts.views() == ()
    silent = RolloutConfig(shadow_per_hour=0.0)
    for more, wanted in (({"questions": 0}, "had a suite"), ({"rollout": silent}, "shadow_per_hour were above 0")):
        async with engine(budget=150 * MIB, **more) as e:
            await e.arbiter.swap("work", "a")
            with pytest.raises(Refused, match=wanted) as refused:
                await e.arbiter.rollouts.start("work", "b")
            assert wanted in refused.value.details["why"][0]["would_change_if"]


async def test_two_tasks_side_by_side() -> None:
    """Each task has its own; one's end leaves the other alone."""
    async with engine(new="no", tasks=("work", "other")) as e:
        for task in ("work", "other"):
            await e.arbiter.swap(task, "a")
        await e.arbiter.warm("a")
        await e.arbiter.rollouts.start("work", "b")
        second = await e.arbiter.rollouts.start("other", "b")
        await e.arbiter.rollouts.pause(second.id)
        await e.until(lambda: not e.arbiter.rollouts.under_way("work"), turns=2000, step_s=1.0)
        assert e.arbiter.routes.get("work").candidate is None


async def test_a_version_that_can_not_be_loaded_is_taken_back() -> None:
    """The load fails: withdrawn with its words, nobody was assigned."""
    async with engine() as e:
        e.provider.behaviours["b"].fail_load = [LoadFailed("no room on the device")] * 9
        await begin(e)
        await until_stage(e, "withdrawn")
        assert "no room on the device" in now(e).reason


async def test_a_swap_by_hand_ends_it() -> None:
    """The operator decided otherwise: the trial is over and says by whom the task is served now."""
    async with engine(models={n: Behaviour(answer="yes") for n in "abc"}) as e:
        await begin(e)
        await until_stage(e, "canary")
        await e.arbiter.swap("work", "c")
        await until_stage(e, "aborted")
        assert "is served by c now" in now(e).reason
        assert e.serving() == "c"
        assert e.arbiter.evidence.owed("work") == {}, "it has not failed: it owes no new evidence"
        assert not [a for a in e.arbiter.live.alerts if "taken back" in a.message]


async def test_a_swap_by_hand_to_the_one_on_trial_is_its_promotion() -> None:
    """The operator was quicker: it serves everybody, and nothing says that it was taken back."""
    async with engine() as e:
        await begin(e)
        await until_stage(e, "canary")
        await e.arbiter.swap("work", "b")
        await until_stage(e, "promoted")
        assert e.serving() == "b"
        assert e.arbiter.evidence.owed("work") == {}
        assert now(e).reason == "over before its end: a swap by hand gave it the task"


async def test_a_rollback_to_the_one_on_trial_is_not_called_a_promotion() -> None:
    """The task was that version's before: undone in the middle of the trial, the record says by what it ended."""
    async with engine() as e:
        await e.arbiter.swap("work", "b")
        await e.arbiter.swap("work", "a")
        await begin(e)
        await until_stage(e, "canary")
        await e.arbiter.rollback("work")
        await until_stage(e, "promoted")
        assert e.serving() == "b"
        assert now(e).reason == "over before its end: a rollback gave it the task"


async def test_deprecating_the_one_on_trial_ends_it() -> None:
    """A task uses only active versions."""
    async with engine() as e:
        await begin(e)
        await until_stage(e, "canary")
        await e.arbiter.catalogue.move("b", Lifecycle.DEPRECATED)
        await until_stage(e, "aborted")
        assert "active no more" in now(e).reason


async def test_it_goes_on_after_a_restart() -> None:
    """Stage, share, evidence and who belongs to it are those of before; the time in between counts for no step."""
    async with engine() as e:
        await begin(e)
        await until_stage(e, "canary")
        before = await served(e, 60)
        await e.clock.advance(30)
        was = now(e)
    again = engine(store=e.store, clock=e.clock)
    await again.clock.advance(5000)
    async with again as e:
        await e.until(lambda: e.arbiter.pool.is_ready("b"), step_s=0.5)
        view = now(e)
        assert (view.id, view.phase, view.share, view.pairs) == (was.id, "canary", 0.1, was.pairs)
        await e.arbiter.warm("a")
        assert await served(e, 60) == before
        await until_stage(e, "promoted")


async def test_the_autopilot_waits_unless_who_serves_is_degraded() -> None:
    """A rollout decides by its own evidence; the guard says so and names the candidate."""
    async with engine(models={n: Behaviour(answer="yes") for n in "abc"}, mode="on", cooldown_s=0.0) as e:
        await begin(e)
        outlook = e.arbiter.autopilot.outlook("work")
        (guard,) = [g for g in outlook["guards"] if g["rule"] == "rollout"]
        assert (guard["met"], guard["value"]) == (False, "b")


async def test_latency_votes_only_against_the_tasks_limit() -> None:
    """More than half of the answers over max_latency_s: taken back; without a limit it is reported only."""
    slow = {"a": Behaviour(answer="yes"), "b": Behaviour(answer="yes", ttft_s=3.0)}
    for limit, stage in ((1.0, "withdrawn"), (None, "canary")):
        task = Task(name="work", criteria=Criteria(max_latency_s=limit))
        plain = RolloutConfig(every_s=100_000.0, start=1.0, shadow_per_hour=0.0, rule="literal")
        async with engine(models=slow, tasks=(task,), rollout=plain) as e:
            await begin(e)
            await until_stage(e, "canary")
            for user in range(12):
                answer = await e.arbiter.begin("arbiter/work", asked_by(user))
                reading = asyncio.ensure_future(read(answer))
                await e.until(reading.done, step_s=1.0)
            await e.clock.advance(2)
            assert now(e).phase == stage, limit
