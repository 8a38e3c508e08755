"""What bounds a trial in the engine: grades of clients by their trust, slowness by what is allowed, and its time."""

from __future__ import annotations

import pytest
from test_rollouts import QUICK, asked_by, begin, engine, now, read, until_stage

from arbiter_tui.config import RolloutConfig, merge_patches, parse, patch_task
from arbiter_tui.core.recompute import same
from arbiter_tui.core.tasks import Task
from arbiter_tui.core.trial import CLIMB_BELOW
from arbiter_tui.engine.trials import KEPT_SEEN
from arbiter_tui.errors import ConfigError, ProviderError
from arbiter_tui.testing import Behaviour


async def test_one_clients_false_scores_take_nobody_back_whom_the_questions_clear() -> None:
    """Thirty questions without a difference, then every answer of the new one called wrong, 120 times: the ramp holds,
    nobody is taken back, the reason tells how little the scores weigh, and each record computes to the same again."""
    short = RolloutConfig(every_s=60.0, start=1.0, shadow_per_hour=3600.0, max_steps=3)
    async with engine(questions=30, rollout=short) as e:
        await begin(e)
        await e.until(lambda: now(e).pairs == 30, turns=2000, step_s=1.0)
        plain = now(e).p_worse or 0.0
        for user in range(120):
            answer = await e.arbiter.begin("arbiter/work", asked_by(user))
            await read(answer)
            assert answer.version.version == "b"
            await e.arbiter.feedback(answer.id, 0.0)
        await e.clock.advance(2.0)
        view = now(e)
        assert view.phase == "canary"
        assert view.verdict == "hold"
        assert view.p_worse is not None
        assert CLIMB_BELOW < view.p_worse <= plain + 0.6
        assert "120 grades of users or judges weigh 45" in view.why[0].would_change_if
        await e.clock.advance(180.0)
        assert now(e).phase == "withdrawn", "held to its end: there was no verdict in time"
        assert now(e).reason == "no verdict in time"
        for id in list(e.store.decisions):
            assert same(await e.store.decision(id) or {}) in (True, None)


async def test_false_praise_promotes_nobody_whom_the_questions_condemn() -> None:
    """A thousand scores of 1.0 first; then the questions show that it is always wrong."""
    slowly = RolloutConfig(every_s=100.0, start=1.0, shadow_per_hour=1.0)
    async with engine(new="no", rollout=slowly) as e:
        view = await begin(e)
        running = e.arbiter.rollouts._find(view.id)
        for _ in range(1000):
            e.arbiter.rollouts._shown(running, running.state.trial.told(1.0, "feedback", new=True))
        e.arbiter.live.config = e.arbiter.live.config.__class__(rollout=QUICK)
        await until_stage(e, "withdrawn")
        assert "taken back: P(worse" in now(e).reason


@pytest.mark.parametrize(
    ("own", "general", "stage"),
    [(None, None, "promoted"), (None, 2.0, "withdrawn"), (2.0, None, "withdrawn"), (9.0, 2.0, "promoted")],
)
async def test_slowness_votes_only_against_what_is_allowed(
    own: float | None, general: float | None, stage: str
) -> None:
    """Six times as slow and as good: reported alone, unless [rollout] or the task's own limit forbids it."""
    models = {"a": Behaviour(answer="yes", ttft_s=0.5), "b": Behaviour(answer="yes", ttft_s=3.0)}
    limited = RolloutConfig(every_s=60.0, start=0.7, step=0.3, shadow_per_hour=3600.0, max_slowdown=general)
    async with engine(models=models, tasks=(Task(name="work", max_slowdown=own),), rollout=limited) as e:
        await begin(e)
        await e.until(lambda: now(e).phase in ("withdrawn", "promoted"), turns=4000, step_s=0.5)
        view = now(e)
        assert view.phase == stage
        assert view.slowdown == pytest.approx(6.0, rel=0.3)
        if stage == "withdrawn":
            assert view.reason.startswith("taken back: P(over 2 x the old one's seconds) is ")


async def test_one_that_fails_its_questions_fails_no_client() -> None:
    """Errors in the shadow end the trial there; answers of the shadow are nobody's requests."""
    async with engine() as e:
        id = (await begin(e)).id
        await e.until(lambda: e.arbiter.rollouts._find(id).state.ready, step_s=0.1)
        e.provider.behaviours["b"].fail_generate = [ProviderError("broken") for _ in range(50)]
        await until_stage(e, "withdrawn")
        view = now(e)
        assert "P(fails more often)" in view.reason
        assert (view.ramp, view.canary_requests, view.pairs) == ((), 0, 0)
    async with engine() as e:
        await begin(e)
        await until_stage(e, "canary")
        assert now(e).pairs >= 10
        assert now(e).canary_requests == 0
        for user in range(60):
            await read(await e.arbiter.begin("arbiter/work", asked_by(user)))
        running = e.arbiter.rollouts._find(now(e).id)
        assert now(e).canary_requests == running.state.trial.new_requests - running.state.trial.shadowed > 0


async def test_a_trial_ends_after_as_many_steps_as_it_may_take() -> None:
    """Without a grade it holds; [rollout] max_steps says for how long."""
    for steps in (2, 5):
        async with engine(questions=0, rollout=RolloutConfig(every_s=20.0, max_steps=steps)) as e:
            await begin(e)
            await until_stage(e, "canary")
            began = now(e).started_at
            await e.until(lambda: now(e).phase == "withdrawn", turns=2000, step_s=1.0)
            assert steps * 20.0 <= (now(e).ended_at or 0.0) - began <= steps * 20.0 + 2.0
            assert now(e).reason == "no verdict in time"


def test_a_task_may_set_and_unset_its_own_limit() -> None:
    """As a key of its block or a request's field; below 1.01 it would forbid equals."""
    task = patch_task(Task(name="t"), {"max_slowdown": 1.5})
    assert (task.max_slowdown, task.as_dict()["max_slowdown"]) == (1.5, 1.5)
    assert patch_task(task, {"unset": ["max_slowdown"]}).max_slowdown is None
    assert merge_patches({"max_slowdown": 1.5}, {"unset": ["max_slowdown"]}) == {"unset": ["max_slowdown"]}
    with pytest.raises(ConfigError, match="max_slowdown"):
        patch_task(Task(name="t"), {"max_slowdown": 1.0})
    assert parse("[rollout]\nmax_slowdown = 1.5\nmax_steps = 48\n").rollout.max_steps == 48
    for wrong in ("max_slowdown = 0.9", "max_steps = 0"):
        with pytest.raises(ConfigError, match=wrong.split()[0]):
            parse(f"[rollout]\n{wrong}\n")


async def test_a_correction_counts_once_in_a_trial() -> None:
    """The newest score of each answer is what the trial knows, of both sides; an answer from before it is none of its
    business; and only the newest requests are remembered for that."""
    plain = RolloutConfig(every_s=100.0, start=0.5, shadow_per_hour=0.0)
    async with engine(rollout=plain, questions=0) as e:
        before = await e.arbiter.execute("work", asked_by(0))
        view = await begin(e)
        await e.clock.advance(101.0)
        await until_stage(e, "canary")
        newest: dict[str, dict[str, float]] = {"a": {}, "b": {}}
        for user in range(30):
            answer = await e.arbiter.begin("arbiter/work", asked_by(user))
            await read(answer)
            for score in (0.0, 1.0, user / 30):
                await e.arbiter.feedback(answer.id, score)
                newest[answer.version.version][answer.id] = score
        await e.arbiter.feedback(before.id, 0.0)
        running = e.arbiter.rollouts._find(view.id)
        trial = running.state.trial
        assert (trial.heard_old, trial.heard_new) == (len(newest["a"]), len(newest["b"]))
        assert trial.told_new == pytest.approx(0.6 * sum(newest["b"].values()))
        assert trial.told_old == pytest.approx(0.6 * sum(newest["a"].values()))
        for n in range(KEPT_SEEN + 5):
            running.saw(str(n))
        assert (len(running.seen), "4" in running.seen, "5" in running.seen) == (KEPT_SEEN, False, True)
