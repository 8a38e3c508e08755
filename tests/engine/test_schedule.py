"""Swaps for later: carried out in time, cancelled, and what a restart does to them."""

from __future__ import annotations

import pytest
from engine_kit import Engine

from arbiter_tui.core.snapshot import OperationView
from arbiter_tui.errors import Refused, StoreError, UnknownName
from arbiter_tui.testing import Behaviour


async def book(e: Engine, to: str = "b", in_s: float = 60.0, **more: bool) -> OperationView:
    await e.arbiter.swap("work", "a")
    return await e.arbiter.schedule.add("work", to, at=e.clock.now() + in_s, when="in a minute", **more)


async def test_it_is_swapped_then_and_not_before() -> None:
    """The trigger is the schedule, and the reason names the time."""
    async with Engine() as e:
        view = await book(e)
        assert [o.id for o in e.arbiter.snapshot().operations] == [view.id]
        await e.clock.advance(55)
        assert e.serving() == "a"
        await e.until(lambda: e.serving() == "b", step_s=1.0)
        swap = e.arbiter.swaps[0]
        assert (swap.trigger, swap.reason) == ("schedule", "as scheduled for in a minute")
        await e.until(lambda: e.arbiter.operation(view.id).state == "done", step_s=1.0)
        assert e.arbiter.snapshot().operations == ()


async def test_what_is_cancelled_does_not_happen() -> None:
    """Cancelled twice is cancelled once; an unknown one is an error."""
    async with Engine() as e:
        view = await book(e)
        for _ in range(2):
            assert (await e.arbiter.cancel_operation(view.id)).state == "cancelled"
        shown = e.arbiter.snapshot().operations
        assert [(o.id, o.state, o.result["ended_at"]) for o in shown] == [(view.id, "cancelled", e.clock.now())]
        await e.clock.advance(100)
        assert e.serving() == "a"
        with pytest.raises(UnknownName):
            await e.arbiter.schedule.cancel("nope")


async def test_a_canary_can_be_scheduled() -> None:
    """At its time the rollout begins; nothing is swapped."""
    async with Engine() as e:
        await book(e, canary=True)
        await e.until(lambda: e.arbiter.rollouts.under_way("work"), step_s=1.0, turns=200)
        assert e.serving() == "a"
        assert e.arbiter.routes.get("work").candidate == "b"


async def test_it_survives_a_restart_and_happens_once() -> None:
    """Its time passed while no engine ran: carried out at the start; a third start does nothing more."""
    async with Engine() as e:
        await book(e)
    await e.clock.advance(1000)
    async with Engine(store=e.store, clock=e.clock) as again:
        await again.until(lambda: again.serving() == "b", step_s=1.0)
        await again.arbiter.swap("work", "a")
    async with Engine(store=e.store, clock=e.clock) as third:
        await third.clock.advance(100)
        assert third.serving() == "a"


async def test_what_is_refused_then_is_told() -> None:
    """The version was taken away meanwhile: the appointment failed, an alert says why."""
    async with Engine({n: Behaviour() for n in "ab"}) as e:
        view = await book(e)
        await e.arbiter.deprecate("b")
        await e.until(lambda: e.arbiter.operation(view.id).state == "failed", step_s=1.0, turns=200)
        assert any("was refused" in alert.message for alert in e.arbiter.live.alerts)
        assert e.serving() == "a"


async def test_only_moments_within_the_next_year() -> None:
    """Past, now and far are refused; unknown names too; a store that refuses leaves nothing behind."""
    async with Engine() as e:
        for in_s in (-1.0, 0.0, 400 * 86400.0):
            with pytest.raises(Refused, match="within the next year"):
                await book(e, in_s=in_s)
        with pytest.raises(UnknownName):
            await e.arbiter.schedule.add("work", "nope", at=e.clock.now() + 5, when="soon")
        e.store.fail_next = [StoreError("disk")]
        with pytest.raises(StoreError):
            await e.arbiter.schedule.add("work", "b", at=e.clock.now() + 5, when="soon")
        assert e.arbiter.schedule.views() == []
