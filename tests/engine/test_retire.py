"""Versions that were replaced or deprecated: kept at hand for ``keep_warm_s``, then unloaded and archived."""

from __future__ import annotations

from typing import Any

import pytest
from engine_kit import ASK, Engine, read

from arbiter_tui.config import PoolConfig, RolloutConfig
from arbiter_tui.core.registry import Lifecycle
from arbiter_tui.errors import NothingToRollBack
from arbiter_tui.testing import MIB, Behaviour

WEEK = 1000.0


def engine(**more: Any) -> Engine:
    return Engine(**{"rollout": RolloutConfig(keep_warm_s=WEEK, shadow_per_hour=0.0), **more})


def lifecycle(e: Engine, name: str) -> Lifecycle:
    return e.arbiter.registry.get(name).lifecycle


async def used(e: Engine, name: str) -> None:
    await read(await e.arbiter.begin(name, ASK))


async def replaced(e: Engine) -> None:
    """b took over from a, and a is deprecated."""
    await e.arbiter.swap("work", "a")
    await e.arbiter.warm("a")
    await e.arbiter.swap("work", "b")
    await e.arbiter.deprecate("a")


async def test_it_stays_loaded_for_its_time_and_is_archived_after_it() -> None:
    """Loaded all the while, ready for a rollback; then its process has ended, it is archived, and that is told."""
    async with engine() as e:
        await replaced(e)
        await e.clock.advance(WEEK - 30)
        assert e.arbiter.pool.is_ready("a")
        assert lifecycle(e, "a") is Lifecycle.DEPRECATED
        await e.clock.advance(60)
        assert lifecycle(e, "a") is Lifecycle.ARCHIVED
        assert "a" in e.provider.unloads
        assert any("a was deprecated" in alert.message for alert in e.arbiter.live.alerts)
        with pytest.raises(NothingToRollBack):
            await e.arbiter.rollback("work")
        assert e.serving() == "b"
        await e.arbiter.activate("a")
        await e.arbiter.swap("work", "a")
        assert e.serving() == "a"


async def test_the_time_counts_over_a_restart() -> None:
    """Half of it before, half after."""
    async with engine() as e:
        await replaced(e)
        await e.clock.advance(WEEK / 2)
    async with engine(store=e.store, clock=e.clock) as e:
        await e.clock.advance(WEEK / 2 - 30)
        assert lifecycle(e, "a") is Lifecycle.DEPRECATED
        await e.clock.advance(60)
        assert lifecycle(e, "a") is Lifecycle.ARCHIVED


async def test_whoever_serves_again_is_not_archived() -> None:
    """Activated or rolled back to in time: nothing happens to it, and a later deprecation counts anew."""
    async with engine() as e:
        await replaced(e)
        await e.clock.advance(WEEK / 2)
        await e.arbiter.activate("a")
        await e.clock.advance(WEEK)
        assert lifecycle(e, "a") is Lifecycle.ACTIVE
        await e.arbiter.deprecate("a")
        await e.clock.advance(20)
        await e.arbiter.rollback("work")
        await e.clock.advance(2 * WEEK)
        assert (e.serving(), lifecycle(e, "a")) == ("a", Lifecycle.DEPRECATED)


async def test_pinned_and_active_ones_stay() -> None:
    """A pin is an operator's word; what is only replaced is never archived."""
    async with engine() as e:
        await replaced(e)
        await e.arbiter.pin("a")
        await e.clock.advance(2 * WEEK)
        assert lifecycle(e, "a") is Lifecycle.DEPRECATED
        await e.arbiter.pin("a", False)
        await e.arbiter.activate("a")
        await e.clock.advance(2 * WEEK)
        assert lifecycle(e, "a") is Lifecycle.ACTIVE


async def test_the_idle_time_does_not_end_the_replaced_one() -> None:
    """``idle_ttl_s`` ends a model that nobody uses, but not the one that a rollback would need."""
    async with engine(models={name: Behaviour() for name in "abc"}) as e:
        e.arbiter.pool.adopt(queue_limit=64, idle_ttl_s=50.0, max_loaded=None)
        assert isinstance(e.arbiter.config.pool, PoolConfig)
        await e.arbiter.swap("work", "a")
        for name in "ac":
            await used(e, name)
        await e.arbiter.swap("work", "b")
        await e.clock.advance(200.0)
        assert e.arbiter.pool.is_ready("a")
        assert not e.arbiter.pool.is_ready("c")
        await e.clock.advance(WEEK)
        assert not e.arbiter.pool.is_ready("a")


async def test_memory_comes_first() -> None:
    """Where another model needs the room, the replaced one leaves."""
    async with engine(models={name: Behaviour() for name in "abc"}, budget=250 * MIB) as e:
        await replaced(e)
        await used(e, "a")
        await used(e, "c")
        assert not e.arbiter.pool.is_ready("a")
        assert e.arbiter.pool.is_ready("b")
