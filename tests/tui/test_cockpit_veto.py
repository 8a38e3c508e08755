"""The key n: what the autopilot announces does not happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canned import GEMMA, HEALTHY, NOW, SMOL
from cockpit_seat import seat

from arbiter_tui.core.snapshot import Snapshot
from arbiter_tui.errors import Refused
from arbiter_tui.tui.state import announced


def coming(revision: int = 80, **tasks: float) -> Snapshot:
    """Tasks whose incumbent is about to be replaced, with the seconds left."""
    changed = tuple(
        replace(t, next_incumbent=SMOL if t.incumbent == GEMMA else GEMMA, next_at=NOW + tasks[t.task])
        if t.task in tasks
        else t
        for t in HEALTHY.tasks
    )
    said = f"{SMOL} leads topic by .15 [.04, .26] on 36 samples; swapping in 40 s unless you press n."
    return replace(HEALTHY, revision=revision, tasks=changed, narrator=said)


def held(snapshot: Snapshot, task: str) -> Any:
    tasks = tuple(
        replace(t, next_incumbent=None, next_at=None, hold_until=NOW + 3600) if t.task == task else t
        for t in snapshot.tasks
    )
    return replace(snapshot, revision=snapshot.revision + 1, tasks=tasks, narrator="held")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_n_vetoes_and_says_so_when_a_snapshot_shows_it(size: tuple[int, int]) -> None:
    """The footer offers it first while there is something to veto; success waits for its proof."""
    now = coming(topic=40)
    async with seat(now, size=size) as s:
        assert "n veto" in s.screen_text()
        assert "unless you press n" in s.screen_text().replace("\n", " ").replace("   ", "")
        await s.press("n")
        assert s.did("veto", "topic")
        assert s.notice.startswith("◐")
        await s.show(held(now, "topic"))
        assert "does not take over topic" in s.notice
        assert "15:31" in s.notice
        assert "n veto" not in s.screen_text()


async def test_the_chosen_task_comes_first_then_the_one_that_is_soonest() -> None:
    """A veto means what the screen speaks of."""
    assert announced(coming(boolean=5, topic=40), "topic").task == "topic"  # type: ignore[union-attr]
    assert announced(coming(boolean=5, extraction=3), "topic").task == "extraction"  # type: ignore[union-attr]
    async with seat(coming(boolean=5)) as s:
        await s.press("n")
        assert s.did("veto", "boolean")


async def test_with_nothing_announced_n_says_so() -> None:
    """And nothing is sent."""
    async with seat() as s:
        await s.press("n")
        assert "announces nothing" in s.notice
        assert not s.engine.calls


async def test_a_veto_that_comes_too_late_is_told_in_the_engines_words() -> None:
    """The swap has begun: the refusal stands in the narrator's line."""
    async with seat(coming(topic=1)) as s:
        s.engine.refuse["veto"] = Refused("topic: the swap has begun")
        await s.press("n")
        await s.until(lambda: "the swap has begun" in s.notice)


async def test_read_only_vetoes_nothing() -> None:
    """The key is not offered and refuses with a reason."""
    async with seat(coming(topic=40), read_only=True) as s:
        assert "n veto" not in s.screen_text()
        await s.press("n")
        assert "only reads" in s.notice
        assert not s.engine.calls
