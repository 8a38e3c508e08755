"""The benchmark: graded by verifiers, with progress, cancelled and resumed without asking anything twice."""

from __future__ import annotations

import asyncio

import pytest
from engine_kit import ASK, Engine

from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.core.verify import SuiteItem
from arbiter_tui.engine.bench import request_of
from arbiter_tui.engine.matrix import _measured
from arbiter_tui.errors import Refused, UnknownName, WorkerDied
from arbiter_tui.testing import Behaviour

RIGHT, WRONG = Behaviour(answer="yes"), Behaviour(answer="no")


def state(e: Engine, id: str) -> str:
    return e.arbiter.operation(id).state


async def test_it_fills_the_leaderboard_with_graded_outcomes() -> None:
    """Each active version answers each question once; quality comes from the verifier and says so."""
    async with Engine({"a": WRONG, "b": RIGHT}, tasks=("work", "play")) as e:
        operation = await e.arbiter.start_bench()
        assert "48 questions: 2 tasks, 2 models" in operation.message
        await e.until(lambda: state(e, operation.id) == "done", step_s=0.1)
        assert e.arbiter.operation(operation.id).result["work"] == {"a": 0.0, "b": 1.0}
        rows = e.arbiter.snapshot().tasks[0].leaderboard
        assert [(r.version, r.samples, r.quality_source) for r in rows] == [("b", 12, "suite"), ("a", 12, "suite")]
        assert len(e.store.outcomes) == 48
        assert {o.source for o in e.store.outcomes.values()} == {"bench"}
        assert e.arbiter.snapshot().operations[0].progress == 1.0
        assert e.arbiter.evidence.requests("work") == 0, "a benchmark's question is no client's request"


async def test_it_shows_progress_and_an_estimate_and_can_be_cancelled_and_resumed() -> None:
    """What was answered stays; the next one asks only what is left."""
    async with Engine({"a": Behaviour(answer="yes", ttft_s=1.0)}) as e:
        operation = await e.arbiter.start_bench(["work"], ["a"])
        await e.until(lambda: e.arbiter.operation(operation.id).progress >= 0.4, step_s=0.25)
        shown = e.arbiter.operation(operation.id)
        assert shown.eta_s is not None
        assert shown.eta_s == pytest.approx(7, abs=2)
        cancelled = await e.arbiter.cancel_operation(operation.id)
        assert cancelled.state == "cancelled"
        answered = len(e.store.outcomes)
        assert 0 < answered < 12
        e.provider.behaviours["a"].ttft_s = 0.0
        again = await e.arbiter.start_bench(["work"], ["a"])
        assert again.message.startswith(f"{12 - answered} questions")
        await e.until(lambda: state(e, again.id) == "done", step_s=0.1)
        assert len(e.store.outcomes) == 12
        assert (await e.arbiter.cancel_operation(again.id)).state == "done"


async def test_it_resumes_after_a_restart_and_begins_anew_when_all_was_asked() -> None:
    """The memory of what was asked is in the store; a whole benchmark asked for again asks everything again."""
    async with Engine({"a": Behaviour(answer="yes", ttft_s=1.0)}) as first:
        operation = await first.arbiter.start_bench()
        await first.until(lambda: first.arbiter.operation(operation.id).progress >= 0.3, step_s=0.25)
    answered = len(first.store.outcomes)
    async with Engine({"a": RIGHT}, store=first.store) as again:
        second = await again.arbiter.start_bench()
        assert second.message.startswith(f"{12 - answered} questions")
        await again.until(lambda: state(again, second.id) == "done", step_s=0.1)
        third = await again.arbiter.start_bench()
        assert third.message.startswith("12 questions")
        await again.until(lambda: state(again, third.id) == "done", step_s=0.1)


async def test_the_ranking_says_who_may_not_serve() -> None:
    """Below the task's own quality once that is measured: it is listed, with the reason."""
    strict = Task(name="work", suite="work", criteria=Criteria(quality_threshold=0.9))
    async with Engine({"a": RIGHT, "b": WRONG}, tasks=[strict]) as e:
        operation = await e.arbiter.start_bench()
        await e.until(lambda: state(e, operation.id) == "done", step_s=0.1)
        rows = {row.version: row.unfit for row in e.arbiter.snapshot().tasks[0].leaderboard}
        assert rows["a"] is None
        assert "quality" in (rows["b"] or "")


async def test_its_table_forgets_nothing_for_the_feedback_that_came_since() -> None:
    """Hundreds of grades from clients take no measured cell away."""
    stats = Stats()
    for n in range(40):
        stats = stats.graded(float(n % 4 > 0), "suite")
    for _ in range(500):
        stats = stats.graded(0.0, "feedback")
    assert _measured(stats) == {"quality": 0.75, "samples": 40}
    assert _measured(Stats()) == {"quality": None, "samples": 0}


async def test_a_model_that_fails_is_measured_as_failing() -> None:
    """The benchmark goes on, and the failures are outcomes of their own kind."""
    async with Engine({"a": Behaviour(answer="yes", fail_generate=[WorkerDied("x"), WorkerDied("y")])}) as e:
        operation = await e.arbiter.start_bench()
        await e.until(lambda: state(e, operation.id) == "done", step_s=0.5)
        stats = e.arbiter.evidence.stats("work")["a"]
        assert (stats.samples, stats.failures) == (12, 2)
        assert stats.quality == 1.0


async def test_clients_come_first_but_do_not_starve_it() -> None:
    """While a request runs, questions wait, for a bounded time."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(gate=gate), "b": RIGHT}) as e:
        request = asyncio.create_task(e.arbiter.execute("work", ASK))
        await e.until(lambda: e.arbiter.in_flight == 1)
        operation = await e.arbiter.start_bench(versions=["b"])
        await e.clock.advance(2.0)
        assert e.arbiter.operation(operation.id).progress == 0.0
        await e.until(lambda: e.arbiter.operation(operation.id).progress > 0.0, step_s=1.0)
        gate.set()
        await request
        await e.until(lambda: state(e, operation.id) == "done", step_s=1.0)


async def test_what_can_not_be_measured_is_refused_by_name() -> None:
    """Unknown names, and a task without a suite; unasked, such a task is only left out."""
    async with Engine() as e:
        await e.arbiter.put_task({"name": "bare"})
        with pytest.raises(Refused, match="no suite"):
            await e.arbiter.start_bench(["bare"])
        for wrong in ({"tasks": ["nothing"]}, {"versions": ["nothing"]}):
            with pytest.raises(UnknownName):
                await e.arbiter.start_bench(**wrong)
        with pytest.raises(UnknownName):
            e.arbiter.operation("nothing")
        assert "1 task," in (await e.arbiter.start_bench()).message


async def test_a_broken_suite_is_not_a_bad_model() -> None:
    """A malformed verifier fails the operation with its reason; the model's quality is untouched."""
    async with Engine() as e:
        broken = (SuiteItem(id="1", task="work", prompt="p", reference="r", verifier={"kind": "nonsense"}),)
        e.arbiter.live.suites = {"work": broken}
        operation = await e.arbiter.start_bench(versions=["a"])
        await e.until(lambda: state(e, operation.id) == "failed")
        assert "nonsense" in e.arbiter.operation(operation.id).message
        assert e.arbiter.evidence.stats("work") == {}


def test_a_question_carries_the_tasks_examples_in_both_forms() -> None:
    """As turns for chat models and as pairs for models without a template; greedy."""
    task = Task(name="work", few_shot=(("1+1?", "2"),), max_tokens=7)
    request = request_of(task, SuiteItem(id="1", task="work", prompt="2+2?", reference="4"))
    assert [m.role for m in request.messages] == ["user", "assistant", "user"]
    assert request.few_shot == (("1+1?", "2"),)
    assert (request.max_tokens, request.temperature) == (7, 0.0)
