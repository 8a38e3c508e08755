"""The recorder: nothing waits for the store, batches are committed, nothing is counted twice."""

from __future__ import annotations

import asyncio

import pytest

from arbiter_tui.core.cost import Outcome
from arbiter_tui.engine.recorder import BATCH, FLUSH_S, Recorder
from arbiter_tui.errors import StateFull
from arbiter_tui.testing import FakeClock, MemoryStore


def outcome(number: int) -> Outcome:
    return Outcome(id=f"o{number}", task="work", version="a", at=float(number), success=True)


class Desk:
    def __init__(self, queue: int = 1_000) -> None:
        self.clock, self.store = FakeClock(), MemoryStore()
        self.learnt: list[str] = []
        self.trouble: list[str] = []
        self.recorder = Recorder(
            self.store,
            self.clock,
            lambda several: self.learnt.extend(o.id for o in several),
            on_trouble=self.trouble.append,
            queue=queue,
        )


async def test_outcomes_are_committed_within_a_quarter_of_a_second() -> None:
    """Appending touches no store; the loop's next turn commits what is there."""
    desk = Desk()
    loop = asyncio.create_task(desk.recorder.run())
    await desk.clock.settle()
    assert desk.recorder.append(outcome(1))
    await desk.clock.settle()
    assert not desk.store.outcomes
    await desk.clock.advance(FLUSH_S)
    assert list(desk.store.outcomes) == ["o1"]
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_full_batch_does_not_wait_for_its_turn() -> None:
    """BATCH outcomes are committed at once, in order."""
    desk = Desk()
    for n in range(BATCH):
        desk.recorder.append(outcome(n))
    await desk.clock.settle()
    assert list(desk.store.outcomes) == [f"o{n}" for n in range(BATCH)]
    assert desk.recorder.saved == BATCH


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    """The queue is bounded: memory can't grow because a disk is slow."""
    desk = Desk(queue=3)
    assert [desk.recorder.append(outcome(n)) for n in range(5)] == [True, True, True, False, False]
    assert desk.recorder.dropped == 2


async def test_a_store_that_refuses_keeps_the_batch() -> None:
    """Nothing is lost and somebody is told; the next flush commits it once."""
    desk = Desk()
    desk.store.fail_next = [StateFull("no space left")]
    desk.recorder.append(outcome(1))
    await desk.recorder.flush()
    assert "no space left" in desk.trouble[0]
    desk.recorder.append(outcome(2))
    await desk.recorder.flush()
    assert list(desk.store.outcomes) == ["o1", "o2"]
    assert desk.learnt == ["o1", "o2"]


async def test_each_outcome_teaches_once() -> None:
    """The same id again, by any way, is no evidence."""
    desk = Desk()
    desk.recorder.remember(["o0"])
    for n in (0, 1, 1):
        desk.recorder.append(outcome(n))
    desk.recorder.absorb()
    assert await desk.recorder.commit([outcome(1), outcome(2), outcome(2)]) == 1
    assert desk.learnt == ["o1", "o2"]


async def test_a_reported_outcome_that_was_not_committed_is_not_acknowledged() -> None:
    """commit raises what the store raises, and teaches nothing of it."""
    desk = Desk()
    desk.store.fail_next = [StateFull("no space left")]
    with pytest.raises(StateFull):
        await desk.recorder.commit([outcome(1)])
    assert desk.learnt == []
    assert await desk.recorder.commit([outcome(1)]) == 1


async def test_what_ends_after_the_close_is_dropped_and_counted() -> None:
    """The store is gone by then: what was waiting is committed, what comes later touches nothing."""
    desk = Desk()
    desk.recorder.append(outcome(1))
    await desk.recorder.close()
    assert list(desk.store.outcomes) == ["o1"]
    assert not desk.recorder.append(outcome(2))
    await desk.recorder.flush()
    assert (list(desk.store.outcomes), desk.recorder.dropped) == (["o1"], 1)
