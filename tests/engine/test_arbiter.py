"""The way of a request: names, leases, outcomes, failures; start and stop."""

from __future__ import annotations

import asyncio

import pytest
from engine_kit import ASK, Engine, read

from arbiter_tui.core.cost import Failure
from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.core.tasks import Criteria, Task
from arbiter_tui.errors import (
    ConfigError,
    ContextOverflow,
    Draining,
    LoadFailed,
    NoQualifyingModel,
    NotSupported,
    Overloaded,
    Refused,
    UnknownName,
    WorkerDied,
)
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import Behaviour


async def test_a_name_is_a_version_then_an_alias_then_a_task() -> None:
    """The same three names reach a model in that order, and an unknown one names its nearest neighbours."""
    async with Engine({"a": Behaviour(answer="from a"), "b": Behaviour(answer="from b")}) as e:
        await e.arbiter.alias("champion", "b")
        assert await read(await e.arbiter.begin("b", ASK)) == "from b"
        assert await read(await e.arbiter.begin("champion", ASK)) == "from b"
        assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "from a"
        assert await read(await e.arbiter.begin("gpt-4", ASK, task="work")) == "from a"
        with pytest.raises(UnknownName) as raised:
            await e.arbiter.begin("champio", ASK)
        assert "champion" in raised.value.details["nearest"]
        with pytest.raises(UnknownName):
            await e.arbiter.begin("arbiter/nothing", ASK)


async def test_a_route_may_name_an_alias_which_is_resolved_at_each_request() -> None:
    """Moving the alias behind a route changes who answers the next request, without a swap."""
    async with Engine({"a": Behaviour(answer="from a"), "b": Behaviour(answer="from b")}) as e:
        await e.arbiter.alias("champion", "a")
        event = await e.arbiter.swap("work", "champion")
        assert event.result == "done"
        assert (await e.arbiter.execute("work", ASK)).text == "from a"
        await e.arbiter.alias("champion", "b")
        assert (await e.arbiter.execute("work", ASK)).text == "from b"
        assert e.arbiter.snapshot().tasks[0].incumbent == "b"
        said = "work: a → b, because the alias champion was moved"
        assert [a.message for a in e.arbiter.snapshot().alerts] == [said], "nobody else would tell who serves now"
        assert said in [event["message"] for event in await e.arbiter.events()]
        await e.arbiter.alias("champion", "b")
        await e.arbiter.alias("other", "a")
        assert len(e.arbiter.snapshot().alerts) == 1


async def test_an_answer_is_measured_and_recorded_once() -> None:
    """Queue, first token and latency are told apart, and closing an answer that ended changes nothing."""
    async with Engine({"a": Behaviour(answer="one two", chunks=2, load_s=2.0, ttft_s=0.5, chunk_s=0.25)}) as e:
        starting = asyncio.create_task(e.arbiter.begin("arbiter/work", ASK))
        await e.until(starting.done, step_s=0.25)
        answer = await starting
        assert answer.queue_s == pytest.approx(2.0)
        assert answer.overhead_s == pytest.approx(0.0)
        reading = asyncio.create_task(read(answer))
        await e.until(reading.done, step_s=0.25)
        assert await reading == "one two"
        await answer.aclose()
        outcome = answer.outcome
        assert outcome is not None
        assert outcome.success
        assert outcome.ttft_s == pytest.approx(0.5)
        assert outcome.latency_s == pytest.approx(3.0)
        assert outcome.quality is None
        await e.arbiter.recorder.flush()
        assert [o.id for o in e.store.outcomes.values()] == [answer.id]
        assert e.arbiter.requests()[0]["id"] == answer.id


async def test_leaving_early_frees_the_model_and_is_not_the_models_fault() -> None:
    """aclose in mid-answer stops the decoding, gives the lease back, and counts as cancelled."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(answer="abcdef", chunks=3, gate=gate)}) as e:
        gate.set()
        answer = await e.arbiter.begin("arbiter/work", ASK)
        await anext(answer)
        await answer.aclose()
        await answer.aclose()
        assert e.provider.loaded["a"].cancelled == 1
        assert e.arbiter.in_flight == 0
        view = e.arbiter.pool.view("a")
        assert view is not None
        assert view.in_flight == 0
        assert answer.outcome is not None
        assert answer.outcome.failure is Failure.CANCELLED
        e.arbiter.recorder.absorb()
        assert e.arbiter.evidence.stats("work")["a"].samples == 0
        assert e.arbiter.snapshot().engine.failed == 0


async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind() -> None:
    """Cancelling a request that waits for a load frees its place; the load that nobody wants any more is cancelled."""
    async with Engine({"a": Behaviour(load_gate=asyncio.Event())}) as e:
        waiting = asyncio.create_task(e.arbiter.begin("arbiter/work", ASK))
        await e.until(lambda: e.provider.loads)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert e.arbiter.in_flight == 0
        await e.until(lambda: e.arbiter.snapshot().models[0].state == "cold")


async def test_a_worker_that_dies_before_the_first_word_is_retried_once() -> None:
    """The same version answers after its reload, whether a task or itself was asked; a second death is the client's."""
    async with Engine({"a": Behaviour(answer="ok")}) as e:
        await e.arbiter.warm("a")
        e.provider.behaviours["a"].fail_generate = [WorkerDied("gone")]
        answer = await e.arbiter.begin("arbiter/work", ASK)
        assert await read(answer) == "ok"
        assert answer.retried
        e.provider.behaviours["a"].fail_generate = [WorkerDied("gone")]
        named = await e.arbiter.begin("a", ASK)
        assert await read(named) == "ok"
        assert named.version.version == "a"
        for name in ("arbiter/work", "a"):
            e.provider.behaviours["a"].fail_generate = [WorkerDied("gone"), WorkerDied("again")]
            with pytest.raises(WorkerDied):
                await read(await e.arbiter.begin(name, ASK))


async def test_a_worker_that_dies_after_the_first_word_is_an_error_never_an_end() -> None:
    """What was already written can't be taken back: the reader gets the error, and it counts against the model."""
    async with Engine({"a": Behaviour(answer="abcd", chunks=4, die_after=2)}) as e:
        answer = await e.arbiter.begin("arbiter/work", ASK)
        with pytest.raises(WorkerDied):
            await read(answer)
        assert answer.outcome is not None
        assert answer.outcome.failure is Failure.WORKER_DIED
        e.provider.behaviours["a"].die_after = None
        assert (await e.arbiter.execute("work", ASK)).text == "abcd"


async def test_the_clients_own_fault_never_counts_against_the_model() -> None:
    """A prompt beyond the context is refused with its type and leaves the statistics alone."""
    async with Engine({"a": Behaviour(context=3)}) as e:
        long = Request(messages=(Message("user", "one two three four five"),))
        with pytest.raises(ContextOverflow):
            await e.arbiter.execute("work", long)
        e.arbiter.recorder.absorb()
        assert e.arbiter.evidence.stats("work")["a"].samples == 0
        assert e.arbiter.requests()[0]["failure"] is Failure.CLIENT_ERROR


async def test_a_load_that_fails_is_refused_with_its_type_and_counted() -> None:
    """Whoever asked gets LoadFailed before any byte, and the model's success rate knows of it."""
    async with Engine({"a": Behaviour(fail_load=[LoadFailed("no")])}) as e:
        with pytest.raises(LoadFailed):
            await e.arbiter.begin("arbiter/work", ASK)
        e.arbiter.recorder.absorb()
        assert e.arbiter.evidence.stats("work")["a"].failures == 1
        assert e.arbiter.in_flight == 0


async def test_a_full_line_is_overloaded_and_no_outcome() -> None:
    """A refusal says nothing about the model, so nothing is recorded of it."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(gate=gate)}) as e:
        e.arbiter.pool._queue_limit = 1
        await e.arbiter.warm("a")
        parallel = e.arbiter.registry.get("a").parallel
        running = [asyncio.create_task(e.arbiter.execute("work", ASK)) for _ in range(parallel)]
        await e.until(lambda: e.arbiter.in_flight == parallel)
        refused = 0
        waiting = []
        for _ in range(70):
            task = asyncio.create_task(e.arbiter.execute("work", ASK))
            await asyncio.sleep(0)
            waiting.append(task)
        await e.clock.settle()
        gate.set()
        for done in await asyncio.gather(*running, *waiting, return_exceptions=True):
            refused += isinstance(done, Overloaded)
        assert refused > 0
        assert e.arbiter.snapshot().engine.requests == 74 - refused


async def test_what_does_not_qualify_says_why_for_each_model() -> None:
    """Nobody serves a task that no model can do, and the refusal carries the reasons."""
    needs = Task(name="vision", criteria=Criteria(capabilities=frozenset({"images"})))
    async with Engine(tasks=("work", needs)) as e:
        with pytest.raises(NoQualifyingModel):
            await e.arbiter.begin("arbiter/vision", ASK)
        with pytest.raises(NoQualifyingModel) as raised:
            e.arbiter.select("vision")
        assert set(raised.value.details["reasons"]) == {"a", "b"}
        assert e.arbiter.select("work", max_memory_bytes=10**12).primary == "a"
        with pytest.raises(UnknownName):
            e.arbiter.select("work", speed=1)
        with pytest.raises(Refused):
            e.arbiter.select("work", preference="cheap")


async def test_embeddings_come_from_the_named_model() -> None:
    """One vector per text, and a model without them says so by type."""
    async with Engine({"a": Behaviour(), "b": Behaviour(embeddings=False)}) as e:
        told, vectors = await e.arbiter.embed("a", ["x", "y"])
        assert (told.version.version, len(vectors)) == ("a", 2)
        with pytest.raises(NotSupported):
            await e.arbiter.embed("b", ["x"])


async def test_exploration_is_a_counted_share_of_task_requests_on_loaded_versions() -> None:
    """Every twentieth request of a task goes elsewhere while the autopilot is on; never one that names its version."""
    models = {"a": Behaviour(answer="a"), "b": Behaviour(answer="b")}
    async with Engine(models, mode="on", explore_share=0.05) as e:
        cold = [(await e.arbiter.execute("work", ASK)).version for _ in range(20)]
        assert set(cold) == {"a"}, "a cold version is not explored"
        await e.arbiter.warm("b")
        warm = [(await e.arbiter.execute("work", ASK)).version for _ in range(100)]
        assert warm.count("b") == 6  # one was saved while nobody else was loaded
        for _ in range(40):
            assert await read(await e.arbiter.begin("a", ASK)) == "a"
        await e.arbiter.set_autopilot("off", "work")
        assert {(await e.arbiter.execute("work", ASK)).version for _ in range(40)} == {"a"}


async def test_feedback_becomes_quality_and_teaches_once() -> None:
    """A grade reaches the leaderboard with its source; graded twice counts once; nonsense is refused."""
    async with Engine() as e:
        result = await e.arbiter.execute("work", ASK)
        await e.arbiter.feedback(result.id, 1.0, "nice")
        await e.arbiter.feedback(result.id, 1.0)
        stats = e.arbiter.evidence.stats("work")["a"]
        assert stats.quality == 1.0
        assert len(stats.grades) == 1
        assert stats.quality_source == "feedback"
        with pytest.raises(UnknownName):
            await e.arbiter.feedback("nothing", 1.0)
        with pytest.raises(Refused):
            await e.arbiter.feedback(result.id, 2.0)


async def test_a_grade_is_seen_wherever_its_request_is_shown() -> None:
    """The newest requests, the explanation of this one, and the leaderboard of a snapshot say it at once."""
    async with Engine() as e:
        await e.arbiter.execute("work", ASK)
        result = await e.arbiter.execute("work", ASK)
        await e.arbiter.execute("work", ASK)
        assert [r["quality"] for r in e.arbiter.requests()] == [None, None, None]
        seen = await e.arbiter.feed.wait(0, 0.0)
        watching = asyncio.create_task(e.arbiter.feed.wait(seen.revision, 60.0))
        await e.arbiter.feedback(result.id, 0.75)
        shown = {r["id"]: r for r in e.arbiter.requests()}
        assert (shown[result.id]["quality"], shown[result.id]["quality_source"]) == (0.75, "feedback")
        assert [r["quality"] for r in shown.values()].count(None) == 2
        assert (await e.arbiter.explain(result.id))["request"]["quality"] == 0.75
        assert e.arbiter.snapshot().tasks[0].leaderboard[0].quality == 0.75
        await e.until(watching.done, step_s=0.25)
        assert (await watching).tasks[0].leaderboard[0].quality == 0.75


async def test_reported_outcomes_are_committed_and_idempotent() -> None:
    """The same id again changes nothing; an unknown task or version is refused whole."""
    async with Engine() as e:
        await e.teach("a", quality=1.0, count=3)
        assert len(e.store.outcomes) == 3
        outcome = next(iter(e.store.outcomes.values()))
        await e.arbiter.report([outcome])
        assert e.arbiter.evidence.stats("work")["a"].samples == 3
        with pytest.raises(UnknownName):
            await e.teach("nothing", quality=1.0)
        with pytest.raises(UnknownName):
            await e.teach("a", quality=1.0, task="nothing")


async def test_what_was_learnt_and_decided_survives_a_restart() -> None:
    """Registry, route, mode, statistics, profile and a changed task are there after the next start."""
    async with Engine() as first:
        await first.arbiter.alias("champion", "b")
        await first.arbiter.set_autopilot("observe", "work")
        await first.arbiter.swap("work", "b")
        await first.teach("b", quality=1.0)
        await first.arbiter.put_task({"name": "work", "max_latency_s": 3.0})
        await first.arbiter.put_task({"name": "new-work", "description": "made at run time"})
        result = await first.arbiter.execute("work", ASK)
    async with Engine(store=first.store) as again:
        assert again.serving() == "b"
        assert again.serving("new-work") is not None
        assert again.arbiter.registry.aliases == {"champion": "b"}
        assert again.arbiter.live.mode("work") == "observe"
        assert again.arbiter.evidence.stats("work")["b"].samples == 13
        assert again.arbiter.profile("work").requests == 13
        assert again.arbiter.tasks["work"].criteria.max_latency_s == 3.0
        explained = await again.arbiter.explain(result.id)
        assert explained["decision"]["kind"] == "swap"


async def test_a_stop_finishes_what_runs_and_refuses_what_comes() -> None:
    """An answer in flight ends whole; later requests get Draining; every model and the store's batch are settled."""
    gate = asyncio.Event()
    e = Engine({"a": Behaviour(answer="abcd", chunks=2, gate=gate)})
    await e.arbiter.start()
    running = asyncio.create_task(e.arbiter.execute("work", ASK))
    await e.until(lambda: e.arbiter.in_flight == 1 and "a" in e.provider.loaded)
    stopping = asyncio.create_task(e.arbiter.stop(5.0))
    await e.clock.settle()
    with pytest.raises(Draining):
        await e.arbiter.begin("arbiter/work", ASK)
    gate.set()
    assert (await running).text == "abcd"
    await stopping
    await e.arbiter.stop()
    assert e.provider.loaded == {}
    assert e.provider.closed
    assert len(e.store.outcomes) == 1


async def test_a_version_lives_through_draft_active_deprecated() -> None:
    """A registered one is a draft that can be named but not put on a task; who serves can't be deprecated."""
    async with Engine() as e:
        e.provider.behaviours["c"] = Behaviour(answer="from c")
        version = await e.arbiter.register("fake", "c", name="new", labels=("x",))
        assert version.lifecycle is Lifecycle.DRAFT
        assert (await e.arbiter.register("fake", "c")).version == "new"
        assert await read(await e.arbiter.begin("new", ASK))
        with pytest.raises(Refused):
            await e.arbiter.swap("work", "new")
        await e.arbiter.activate("new")
        assert (await e.arbiter.swap("work", "new")).result == "done"
        with pytest.raises(Refused, match="serves work"):
            await e.arbiter.deprecate("new")
        assert (await e.arbiter.deprecate("a")).lifecycle is Lifecycle.DEPRECATED
        with pytest.raises(UnknownName):
            await e.arbiter.register("nobody", "c")
        assert (await e.arbiter.pin("new")).pinned
        assert e.arbiter.log("new")


async def test_a_bad_task_changes_nothing() -> None:
    """An unknown key or a missing name is refused, and the task is as it was."""
    async with Engine() as e:
        before = e.arbiter.tasks["work"]
        for patch in ({"name": "work", "max_latency": 1}, {"max_latency_s": 1}):
            with pytest.raises(ConfigError):
                await e.arbiter.put_task(patch)
        assert e.arbiter.tasks["work"] == before


async def test_statistics_and_explanations_name_their_figures() -> None:
    """Counters add up, and the first choice of a task can be explained from its record."""
    async with Engine() as e:
        result = await e.arbiter.execute("work", ASK)
        figures = e.arbiter.statistics()
        assert figures["requests"] == 1
        assert figures["tasks"]["work"]["versions"]["a"]["samples"] == 1
        explained = await e.arbiter.explain(result.id)
        assert explained["decision"]["kind"] == "selection"
        assert explained["decision"]["reasoning"]
        with pytest.raises(UnknownName):
            await e.arbiter.explain("nothing")
        events = await e.arbiter.events(0)
        assert [x["revision"] for x in events] == sorted(x["revision"] for x in events)
        assert await e.arbiter.events(events[-1]["revision"]) == []
