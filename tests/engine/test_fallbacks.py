"""Failover before the first word: who is asked instead, who is not, and what is recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from engine_kit import ASK, Engine, read

from arbiter_tui.core.breaker import VERSION, Phase
from arbiter_tui.core.tasks import Task
from arbiter_tui.errors import (
    CircuitOpen,
    InvalidRequest,
    LoadFailed,
    Overloaded,
    ProviderError,
    Unreachable,
    WorkerDied,
)
from arbiter_tui.gateway.metrics import render
from arbiter_tui.testing import Behaviour

BROKEN = "the runtime is broken"


def engine(chain: Sequence[str] | None = None, **models: Behaviour) -> Engine:
    """A task that version a serves; ``chain``: its fallbacks."""
    known = {name: models.get(name) or Behaviour(answer=name) for name in ("a", "b", "c")}
    fallback = None if chain is None else tuple(chain)
    return Engine(known, tasks=(Task(name="work", fallback=fallback),))


async def serving_a(e: Engine) -> None:
    await e.arbiter.swap("work", "a")


@pytest.mark.parametrize(
    "error",
    [ProviderError(BROKEN), Unreachable(BROKEN), Overloaded(BROKEN), LoadFailed(BROKEN), TimeoutError(BROKEN)],
    ids=lambda e: type(e).__name__,
)
async def test_what_fails_before_its_first_word_is_answered_by_the_next_in_the_chain(error: Exception) -> None:
    """The client sees one whole answer, its header names who gave it, and who failed has a failure to its name."""
    async with engine(["c", "b"]) as e:
        await serving_a(e)
        e.provider.behaviours["a"].fail_generate = [error]  # type: ignore[list-item]
        answer = await e.arbiter.begin("arbiter/work", ASK)
        assert await read(answer) == "c"
        assert (answer.version.version, answer.outcome.success if answer.outcome else None) == ("c", True)
        await e.arbiter.recorder.flush()
        assert e.arbiter.evidence.totals("a").failures == 1
        assert e.arbiter.evidence.totals("c").failures == 0


async def test_a_load_that_fails_goes_down_the_chain_until_somebody_answers() -> None:
    """Two of the chain can't be loaded; the third one answers the same request."""
    failing = Behaviour(fail_load=[LoadFailed(BROKEN)] * 9)
    async with engine(["b", "c"], b=failing) as e:
        await serving_a(e)
        await e.arbiter.unload("a")
        e.provider.behaviours["a"].fail_load = [LoadFailed(BROKEN)] * 9
        assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "c"


async def test_the_time_that_a_failed_load_took_is_no_overhead() -> None:
    """It was waited for: what the arbiter itself added stays what it is when somebody else answers."""
    async with engine(["c"]) as e:
        await serving_a(e)
        await e.arbiter.unload("a")
        await e.arbiter.warm("c")

        async def failing(version: object, **_: object) -> None:
            await e.clock.sleep(7.0)
            raise LoadFailed(BROKEN)

        e.provider.load = failing  # type: ignore[method-assign,assignment]
        asked = asyncio.create_task(e.arbiter.begin("arbiter/work", ASK))
        for _ in range(9):
            await e.clock.advance(1.0)
        answer = await asked
        assert answer.version.version == "c"
        assert answer.queue_s >= 7.0
        assert answer.overhead_s < 1.0
        await read(answer)


async def test_the_last_error_is_the_clients_when_nobody_is_left() -> None:
    """Each of the chain is asked once; nothing is asked twice or for ever."""
    async with engine(["b"]) as e:
        await serving_a(e)
        e.provider.behaviours["a"].fail_generate = [ProviderError("first")]
        e.provider.behaviours["b"].fail_generate = [ProviderError("second")]
        with pytest.raises(ProviderError, match="second"):
            await read(await e.arbiter.begin("arbiter/work", ASK))
        assert not e.arbiter.fallbacks.failed


async def test_without_a_chain_the_best_that_is_ready_answers_and_nothing_is_loaded_for_it() -> None:
    """The ranking decides between the ready ones; a cold one is not woken."""
    async with engine() as e:
        for name, quality in (("a", 0.9), ("b", 0.5), ("c", 0.8)):
            await e.teach(name, quality=quality)
        await serving_a(e)
        await e.arbiter.warm("b")
        e.provider.behaviours["a"].fail_generate = [ProviderError(BROKEN)] * 2
        assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "b"
        await e.arbiter.warm("c")
        assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "c"
        assert sorted(e.provider.loads) == ["a", "b", "c"]


async def test_an_empty_chain_means_nobody() -> None:
    """The operator's word: the error is the client's, although another version is ready."""
    async with engine([]) as e:
        await serving_a(e)
        await e.arbiter.warm("b")
        e.provider.behaviours["a"].fail_generate = [ProviderError(BROKEN)]
        with pytest.raises(ProviderError, match=BROKEN):
            await read(await e.arbiter.begin("arbiter/work", ASK))


async def test_a_named_version_is_never_replaced() -> None:
    """By name or by an alias, with or without the task's header: that one or its error."""
    async with engine(["b"]) as e:
        await serving_a(e)
        await e.arbiter.warm("b")
        await e.arbiter.alias("mine", "a")
        for name, task in (("a", None), ("mine", None), ("a", "work")):
            e.provider.behaviours["a"].fail_generate = [ProviderError(BROKEN)]
            answer = await e.arbiter.begin(name, ASK, task=task)
            with pytest.raises(ProviderError, match=BROKEN):
                await read(answer)
            assert answer.version.version == "a"


async def test_the_requests_own_fault_goes_nowhere_else() -> None:
    """Content that a runtime refuses is not carried from model to model."""
    async with engine(["b"]) as e:
        await serving_a(e)
        e.provider.behaviours["a"].fail_generate = [InvalidRequest("no such format")]
        with pytest.raises(InvalidRequest):
            await read(await e.arbiter.begin("arbiter/work", ASK))
        assert "b" not in e.provider.loads


async def test_after_the_first_word_nobody_else_is_asked() -> None:
    """A text half by one model and half by another is no answer."""
    async with engine(["b"], a=Behaviour(answer="one two", chunks=2, die_after=1)) as e:
        await serving_a(e)
        answer = await e.arbiter.begin("arbiter/work", ASK)
        with pytest.raises(WorkerDied):
            await read(answer)
        assert answer.version.version == "a"
        assert "b" not in e.provider.loads


async def test_a_worker_that_dies_twice_is_given_up_for_another_version() -> None:
    """Once it is asked again in its next life; then the chain answers."""
    async with engine(["b"]) as e:
        await serving_a(e)
        e.provider.behaviours["a"].fail_generate = [WorkerDied("gone"), WorkerDied("again")]
        answer = await e.arbiter.begin("arbiter/work", ASK)
        assert await read(answer) == "b"
        assert e.arbiter.evidence.totals("a").failures <= 1


async def test_who_failed_first_is_in_the_explanation_now_and_after_a_restart_and_among_the_events() -> None:
    """``explain REQUEST`` names the version, the kind of failure and, as long as it is known, its words."""
    async with engine(["b"]) as e:
        await serving_a(e)
        e.provider.behaviours["a"].fail_generate = [ProviderError(BROKEN)]
        answer = await e.arbiter.begin("arbiter/work", ASK)
        await read(answer)
        told = await e.arbiter.explain(answer.id)
        assert told["request"]["failed_over"] == [{"version": "a", "failure": "provider_error", "reason": BROKEN}]
        assert any("a failed first" in line and BROKEN in line for line in told["reasoning"])
        events = [x for x in await e.arbiter.events() if x["kind"] == "failover"]
        assert [(x["version"], x["to"], x["request"]) for x in events] == [("a", "b", answer.id)]
        e.arbiter.live.recent.clear()
        later = await e.arbiter.explain(answer.id)
        assert [f["version"] for f in later["request"]["failed_over"]] == ["a"]
        assert 'arbiter_failovers_total{task="work",model="a"} 1' in render(e.arbiter)


async def test_an_open_breaker_sends_the_task_to_another_and_refuses_who_names_it_until_it_is_well() -> None:
    """Five failures open it: the task's requests don't even try; a named one gets 503 with a time; after the pause one
    request is the probe, and its success closes it."""
    async with engine(["b"]) as e:
        await serving_a(e)
        e.provider.behaviours["a"].fail_generate = [ProviderError(BROKEN)] * VERSION.in_a_row
        for _ in range(VERSION.in_a_row):
            assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "b"
        assert e.arbiter.breakers.phase("a") is Phase.OPEN
        assert 'arbiter_breaker_state{model="a",provider="fake"} 2' in render(e.arbiter)
        assert (await e.arbiter.begin("arbiter/work", ASK)).version.version == "b"
        with pytest.raises(CircuitOpen) as refused:
            await e.arbiter.begin("a", ASK)
        assert refused.value.retry_after_s
        await e.clock.advance(VERSION.first_s)
        assert await read(await e.arbiter.begin("a", ASK)) == "a"
        assert e.arbiter.breakers.phase("a") is Phase.CLOSED
        assert 'arbiter_breaker_state{model="a",provider="fake"} 0' in render(e.arbiter)
        said = [x["message"] for x in await e.arbiter.events() if x["kind"] == "breaker"]
        assert len(said) == 3


async def test_if_all_are_open_the_least_bad_is_tried() -> None:
    """A task's request is never refused because of breakers alone."""
    async with engine(["b"]) as e:
        await serving_a(e)
        many = [ProviderError(BROKEN)] * 50
        e.provider.behaviours["a"].fail_generate, e.provider.behaviours["b"].fail_generate = many[:], many[:]
        for _ in range(VERSION.in_a_row):
            with pytest.raises(ProviderError):
                await read(await e.arbiter.begin("arbiter/work", ASK))
        assert {e.arbiter.breakers.phase(v) for v in ("a", "b")} == {Phase.OPEN}
        e.provider.behaviours["b"].fail_generate = []
        assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "b"


async def test_a_refusal_of_our_own_line_or_a_client_that_leaves_frees_the_probe() -> None:
    """A probe that never got to say anything is given back: the next request is the probe."""
    async with engine(["b"]) as e:
        await serving_a(e)
        e.provider.behaviours["a"].fail_generate = [ProviderError(BROKEN)] * VERSION.in_a_row
        for _ in range(VERSION.in_a_row):
            await read(await e.arbiter.begin("arbiter/work", ASK))
        await e.clock.advance(VERSION.first_s)
        probe = await e.arbiter.begin("a", ASK)
        with pytest.raises(CircuitOpen):
            await e.arbiter.begin("a", ASK)
        await probe.aclose()
        assert await read(await e.arbiter.begin("a", ASK)) == "a"


async def test_an_explored_version_that_fails_costs_the_client_nothing() -> None:
    """Whoever serves the task stands behind whoever is tried in its place, also where the chain is empty."""
    e = Engine({"a": Behaviour(answer="a"), "b": Behaviour(answer="b")}, tasks=(Task(name="work", fallback=()),),
               mode="on", explore_share=1.0)  # fmt: skip
    async with e:
        await serving_a(e)
        e.arbiter.live.routes.get("work")
        await e.arbiter.warm("b")
        target = e.arbiter.live.resolve("arbiter/work")
        b = e.arbiter.registry.get("b")
        assert e.arbiter.fallbacks.first(target, b).version == "b"
        e.provider.behaviours["b"].fail_generate = [ProviderError(BROKEN)]
        e.arbiter.asked._explorer.version_for = lambda target: b  # type: ignore[method-assign]
        assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "a"


async def test_health_is_a_real_generation_not_a_living_process() -> None:
    """It is ready and its process answers, but its generations fail: degraded, until one succeeds."""

    def health(e: Engine) -> str:
        return next(m.health for m in e.arbiter.snapshot().models if m.version == "a")

    async with engine([]) as e:
        await serving_a(e)
        await e.arbiter.warm("a")
        assert health(e) == "ok"
        e.provider.behaviours["a"].fail_generate = [ProviderError(BROKEN), InvalidRequest("your fault")]
        for expected in ("degraded", "degraded"):
            with pytest.raises(ProviderError):
                await read(await e.arbiter.begin("arbiter/work", ASK))
            assert health(e) == expected
        assert await read(await e.arbiter.begin("arbiter/work", ASK)) == "a"
        assert health(e) == "ok"


@pytest.mark.parametrize("named", [False, True])
async def test_an_answer_that_is_wanted_whole_is_made_anew_until_its_end(named: bool) -> None:
    """Its worker dies after the first word, which nobody has seen: the client gets one whole answer of one model, the
    same one's next life where it is named; its pieces are not mixed."""
    async with engine(["b"], a=Behaviour(answer="one two", chunks=2)) as e:
        await serving_a(e)
        await e.arbiter.warm("a")
        e.provider.born[-1].own = Behaviour(answer="lost lost", chunks=2, die_after=1)
        answer = await e.arbiter.begin("a" if named else "arbiter/work", ASK)
        answer.whole = True
        assert await read(answer) == "one two"
        assert (answer.retried, answer.outcome.success if answer.outcome else None) == (True, True)
        e.provider.born[-1].own = Behaviour(answer="lost lost", chunks=2, die_after=1)
        streamed = await e.arbiter.begin("a", ASK)
        with pytest.raises(WorkerDied):
            await read(streamed)


async def test_a_whole_answer_that_breaks_in_the_middle_is_finished_by_the_next_in_the_chain() -> None:
    """A library's ``execute`` wants it whole, too; what it had so far is forgotten."""
    async with engine(["b"], a=Behaviour(answer="one two three", chunks=3)) as e:
        await serving_a(e)
        e.provider.behaviours["a"].die_after = 2
        result = await e.arbiter.execute("work", ASK)
        assert (result.text, result.version) == ("b", "b")
