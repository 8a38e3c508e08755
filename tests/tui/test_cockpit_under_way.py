"""A swap under way: its phase, what is left, and the keys that mean something else meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import NOW
from canned_states import SWAPPING
from cockpit_seat import seat

from arbiter_tui.core.snapshot import Phase, Snapshot
from arbiter_tui.tui.under_way import under_way

SWAP = SWAPPING.swaps[0]


def at(over: tuple[str, ...], **model: object) -> Snapshot:
    """The swap with these phases over, three seconds after it began, and its model as given."""
    swap = replace(SWAP, phases=tuple(Phase(name=n, seconds=0.01) for n in over), started_at=NOW - 3)
    models = tuple(replace(m, **model) if m.version == SWAP.to else m for m in SWAPPING.models)  # type: ignore[arg-type]
    return replace(SWAPPING, taken_at=NOW, swaps=(swap, *SWAPPING.swaps[1:]), models=models)


LOADING = at(("validating", "recording"), state="loading", progress=0.5, eta_s=2.2)
UNKNOWN = at(("validating", "recording"), state="loading", progress=None, eta_s=None)


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (at(()), "validating, 3 s so far"),
        (LOADING, "loading ▰▰▰▱▱▱ 2 s left, 3 s so far"),
        (UNKNOWN, "loading, 3 s so far"),
        (at(("validating", "recording", "warming")), "probing, 3 s so far"),
        (at(("validating", "recording", "warming", "probing", "transferring", "switching")), "draining, 3 s so far"),
    ],
)
def test_the_phase_after_those_that_are_over_is_the_one_under_way(snapshot: Snapshot, said: str) -> None:
    """With the load's estimate where the engine has one, and no empty bar where it has none."""
    assert under_way(snapshot.swaps[0], snapshot).told() == said


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_the_models_and_the_swaps_tell_phase_and_estimate(size: tuple[int, int]) -> None:
    """At 80x24, too, where the swaps are one title line: the loading model's row and that title say it."""
    async with seat(LOADING, size=size) as s:
        models = "\n".join(x for x in s.screen_text().splitlines() if "left" in x)
        assert models.count("2 s left") >= 2
        assert "loading" in models
    async with seat(UNKNOWN, size=size) as s:
        rows = [x for x in s.screen_text().splitlines() if "3 s so far" in x]
        assert rows
        assert not any("▱" in x for x in rows)
    async with seat(at(("validating", "recording", "warming"), state="ready"), size=size) as s:
        assert "◐ probing" in s.screen_text()


async def test_while_a_swap_runs_s_takes_back_and_r_says_so() -> None:
    """The footer calls the key what it does now; r does not claim that nothing served before."""
    async with seat(LOADING) as s:
        s.app.show_task(SWAP.task)
        await s.pilot.pause()
        assert "s take back" in s.screen_text()
        await s.press("r")
        assert "a swap is under way; s takes it back" in s.notice
