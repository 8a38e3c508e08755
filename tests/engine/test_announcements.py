"""What the autopilot announces, the grace, and the operator's veto: it prevents the swap, and the record says so."""

from __future__ import annotations

import asyncio

import pytest
from engine_kit import ASK, Engine

from arbiter_tui.core.snapshot import Snapshot
from arbiter_tui.errors import Refused, StoreError, UnknownName
from arbiter_tui.testing import Behaviour

ANNOUNCES = {"mode": "on", "cooldown_s": 10.0, "announce_s": 40.0, "hold_s": 500.0}


async def better_b(e: Engine) -> None:
    await e.teach("a", quality=0.2)
    await e.teach("b", quality=1.0)


def seen(e: Engine) -> Snapshot:
    return e.arbiter.snapshot()


async def test_a_better_model_is_announced_and_takes_over_when_the_grace_is_over() -> None:
    """The sentence has the figures and the time left; the route stands until then, and no decision is stored twice."""
    async with Engine(**ANNOUNCES) as e:
        await better_b(e)
        await e.until(lambda: "unless you press n" in seen(e).narrator, step_s=0.5)
        assert "b leads work by ." in seen(e).narrator
        assert "swapping in 40 s" in seen(e).narrator
        task = seen(e).tasks[0]
        assert (task.incumbent, task.next_incumbent) == ("a", "b")
        stored = len(e.store.decisions)
        for _ in range(30):
            await e.clock.advance(1.0)
        assert e.serving() == "a"
        assert len(e.store.decisions) == stored
        assert "swapping in 10 s" in seen(e).narrator
        await e.until(lambda: e.serving() == "b", step_s=1.0)
        assert e.clock.now() >= (task.next_at or 0.0)
        await e.until(lambda: e.arbiter.swaps[0].result == "done")
        assert seen(e).tasks[0].next_incumbent is None


async def test_a_veto_prevents_the_announced_swap_and_says_so_in_its_record() -> None:
    """Long after its time the old model serves; the record names who, what, until when; the narrator names the hold."""
    async with Engine(**ANNOUNCES) as e:
        await better_b(e)
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "b", step_s=0.5)
        done = await e.arbiter.autopilot.veto("work")
        assert done["to"] == "b"
        assert seen(e).tasks[0].next_incumbent is None
        assert "hold" in seen(e).narrator
        for _ in range(100):
            await e.clock.advance(1.0)
        assert e.serving() == "a"
        assert not e.arbiter.swaps
        record = await e.arbiter.explain(done["decision"])
        assert (record["kind"], record["verdict"], record["to"]) == ("veto", "veto", "b")
        assert "the operator vetoed it" in record["sentence"]
        assert record["hold_until"] == done["hold_until"] == seen(e).tasks[0].hold_until
        assert any("vetoed" in x["message"] for x in await e.arbiter.events())


async def test_a_veto_ends_as_any_hold_does_and_is_announced_anew() -> None:
    """It is no ban: after the hold the same lead is announced with its whole grace."""
    async with Engine(**{**ANNOUNCES, "hold_s": 60.0}) as e:
        await better_b(e)
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "b", step_s=0.5)
        until = (await e.arbiter.autopilot.veto("work"))["hold_until"]
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "b", step_s=1.0)
        assert e.clock.now() >= until
        await e.until(lambda: e.serving() == "b", step_s=1.0)
        assert e.clock.now() >= until + 39.0


async def test_a_veto_survives_a_restart() -> None:
    """It is committed before it is acknowledged."""
    async with Engine(**ANNOUNCES) as e:
        await better_b(e)
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "b", step_s=0.5)
        done = await e.arbiter.autopilot.veto("work")
        store, clock = e.store, e.clock
    async with Engine(store=store, clock=clock, **ANNOUNCES) as again:
        assert again.arbiter.routes.get("work").hold_until == done["hold_until"]


async def test_a_veto_that_could_not_be_committed_is_none() -> None:
    """The store refuses: the error is told, the announcement stands."""
    async with Engine(**ANNOUNCES) as e:
        await better_b(e)
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "b", step_s=0.5)
        e.store.fail_next = [StoreError("no space left")]
        with pytest.raises(StoreError):
            await e.arbiter.autopilot.veto("work")
        assert seen(e).tasks[0].next_incumbent == "b"
        assert not e.arbiter.routes.get("work").hold_until


async def test_nothing_happens_while_a_veto_is_being_committed() -> None:
    """A look at the very moment when the grace ends must not win against a veto that came before."""
    async with Engine(**ANNOUNCES) as e:
        await better_b(e)
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "b", step_s=0.5)
        gate, save = asyncio.Event(), e.store.save_route

        async def slow(*given: object) -> None:
            await gate.wait()
            await save(*given)  # type: ignore[arg-type]

        e.store.save_route = slow  # type: ignore[method-assign, assignment]
        veto = asyncio.create_task(e.arbiter.autopilot.veto("work"))
        for _ in range(60):
            await e.clock.advance(1.0)
        assert e.serving() == "a"
        gate.set()
        await veto
        await e.clock.advance(5.0)
        assert e.serving() == "a"
        assert not e.arbiter.swaps


async def test_without_a_grace_it_acts_at_once() -> None:
    """The default: nothing is announced, as nobody may be there to object."""
    async with Engine(mode="on", cooldown_s=10.0) as e:
        await better_b(e)
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        assert not any(x.get("action") == "announce" for x in await e.arbiter.events())


async def test_a_degraded_model_is_replaced_without_grace() -> None:
    """Each second of it costs answers."""
    async with Engine(**ANNOUNCES) as e:
        await e.teach("b", quality=0.6)
        await e.teach("a", quality=0.7)
        await e.teach("a", quality=None, success=False, count=40)
        began = e.clock.now()
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        assert e.clock.now() - began < 5.0


async def test_what_only_the_cooldown_holds_back_is_announced_and_can_be_vetoed() -> None:
    """It is known what will happen and when: even without a grace there is time to object."""
    async with Engine(mode="on", cooldown_s=100.0, hold_s=500.0, oscillation_s=0.0) as e:
        await e.teach("b", quality=0.6)
        await e.teach("a", quality=0.6)
        await e.arbiter.swap("work", "b", trigger="auto")
        await e.teach("b", quality=0.0, count=60)
        await e.teach("a", quality=1.0, count=60)
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "a", step_s=0.5)
        assert "s unless you press n" in seen(e).narrator
        await e.arbiter.autopilot.veto("work")
        for _ in range(150):
            await e.clock.advance(1.0)
        assert e.serving() == "b"


async def test_what_is_not_sure_to_happen_is_not_announced() -> None:
    """An observing autopilot, or one that waits for samples, swaps nothing: there is nothing to veto."""
    async with Engine(**ANNOUNCES) as e:
        await e.arbiter.set_autopilot("observe")
        await better_b(e)
        await e.clock.advance(3.0)
        assert seen(e).tasks[0].next_incumbent is None
        assert "press n" not in seen(e).narrator
        with pytest.raises(Refused, match="announces nothing"):
            await e.arbiter.autopilot.veto("work")
        with pytest.raises(UnknownName):
            await e.arbiter.autopilot.veto("nothing")


async def test_an_announcement_whose_reason_is_gone_is_dropped() -> None:
    """New evidence takes the lead away: nothing happens, and another announcement would begin anew."""
    async with Engine(**ANNOUNCES) as e:
        await better_b(e)
        await e.until(lambda: seen(e).tasks[0].next_incumbent == "b", step_s=0.5)
        await e.teach("a", quality=1.0, count=400)
        await e.until(lambda: seen(e).tasks[0].next_incumbent is None, step_s=1.0)
        for _ in range(60):
            await e.clock.advance(1.0)
        assert e.serving() == "a"


async def test_a_swap_that_has_begun_is_not_vetoed() -> None:
    """The refusal says what to do instead."""
    gate = asyncio.Event()
    models = {"a": Behaviour(), "b": Behaviour(load_gate=gate)}
    async with Engine(models, mode="on", cooldown_s=10.0) as e:
        await better_b(e)
        await e.until(lambda: e.arbiter.swapper.running("work") is not None, step_s=0.5)
        with pytest.raises(Refused, match="has begun"):
            await e.arbiter.autopilot.veto("work")
        gate.set()


async def test_no_benchmark_is_asked_for_while_one_runs() -> None:
    """The narrator says how far it is instead."""
    gate = asyncio.Event()
    models = {"a": Behaviour(gate=gate), "b": Behaviour(gate=gate)}
    async with Engine(models, mode="on") as e:
        assert "press b" in seen(e).narrator
        await e.arbiter.start_bench(["work"])
        await e.until(lambda: "Measuring the models" in seen(e).narrator, step_s=0.5)
        assert "press b" not in seen(e).narrator
        gate.set()
        await e.arbiter.execute("work", ASK)
