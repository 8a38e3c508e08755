"""What changed without being a swap: a trial's steps and an appointment that came to nothing, each with its record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import GEMMA, GEMMA_CPP, HEALTHY, NOW, SMOL
from canned_states import ON_TRIAL
from cockpit_seat import seat

from arbiter_tui.core.snapshot import OperationView, RolloutView, Snapshot, SwapView, to_wire
from arbiter_tui.tui.changes import Step, changes, steps
from arbiter_tui.tui.screens.explain import Reading
from arbiter_tui.tui.screens.history import History

TRIAL = ON_TRIAL.rollouts[0]
LATER = OperationView(
    id="ap1", kind="appointment", state="cancelled", message="cancelled: topic to x at Sun 22:00",
    result={"task": "topic", "to": SMOL, "at": NOW + 600, "ended_at": NOW - 30},
)  # fmt: skip


def lines(
    *rollouts: RolloutView, operations: tuple[OperationView, ...] = (), swaps: tuple[SwapView, ...] = ()
) -> list[str]:
    return [f"{s.result} {s.reason}" for s in steps(rollouts, operations, swaps)]


def test_a_trial_has_a_line_for_its_begin_each_share_and_its_end() -> None:
    """In their order of time among the swaps, each with the moment it happened."""
    over = replace(TRIAL, phase="withdrawn", reason="it was surely worse", ended_at=NOW - 5)
    told = steps([over], (), ())
    assert [(s.result, s.started_at) for s in told] == [
        ("begun", TRIAL.started_at), ("step", NOW - 7200), ("step", NOW - 1800), ("withdrawn", NOW - 5),
    ]  # fmt: skip
    assert [s.share for s in told if s.result == "step"] == [0.1, 0.4]
    assert told[-1].reason == "it was surely worse"
    shown = changes(replace(HEALTHY, rollouts=(over,)))
    assert [s.started_at for s in shown] == sorted((s.started_at for s in shown), reverse=True)
    assert {s.id for s in HEALTHY.swaps} < {s.id for s in shown}


@pytest.mark.parametrize("phase", ["promoted", "aborted"])
def test_a_trial_that_goes_on_has_no_end_and_one_that_is_over_has(phase: str) -> None:
    """Only what ended is said to have ended."""
    assert lines(TRIAL)[-1].startswith("step")
    assert lines(replace(TRIAL, phase=phase, reason="so", ended_at=NOW))[-1] == f"{phase} so"


def test_a_promotion_is_told_by_its_swap() -> None:
    """One line for one event: the swap that a rollout ended in names it."""
    over = replace(TRIAL, phase="promoted", reason="no worse", ended_at=NOW)
    swap = SwapView(id="s", task="topic", to=GEMMA_CPP, trigger="rollout", result="done", evidence={"rollout": "ro1"})
    assert "promoted no worse" in lines(over)
    assert "promoted no worse" not in lines(over, swaps=(swap,))
    assert "promoted no worse" in lines(over, swaps=(replace(swap, result="failed"),))


def test_an_appointment_is_told_when_it_came_to_nothing() -> None:
    """Dropped and refused; not while it waits, not where a swap tells what became of it, not by an older engine."""
    assert lines(operations=(LATER,)) == [f"dropped {LATER.message}"]
    assert lines(operations=(replace(LATER, state="failed"),))[0].startswith("refused")
    assert lines(operations=(replace(LATER, state="waiting", result={**LATER.result, "ended_at": None}),)) == []
    assert lines(operations=(replace(LATER, kind="bench"),)) == []
    swap = SwapView(id="s", task="topic", to=SMOL, trigger="schedule", result="failed", started_at=NOW + 600.2)
    assert lines(operations=(replace(LATER, state="failed"),), swaps=(swap,)) == []
    assert lines(operations=(replace(LATER, result={"task": "topic", "to": SMOL}),)) == []


def happened() -> Snapshot:
    over = replace(TRIAL, phase="withdrawn", reason="it was surely worse", ended_at=NOW - 5, p_worse=0.99)
    return replace(HEALTHY, revision=77, rollouts=(over,), operations=(LATER,))


async def test_region_four_shows_them_and_enter_and_e_open_their_record() -> None:
    """The newest stands first: a trial taken back, with its reason; its record has every step; so has the dropped
    appointment's."""
    async with seat(happened(), size=(120, 40)) as s:
        await s.press("4")
        assert isinstance(s.app.main.swaps.selected(), Step)
        assert "it was surely worse" in s.screen_text()
        await s.press("enter")
        assert isinstance(s.app.screen, Reading)
        text = s.screen_text()
        assert "trial · topic" in text
        assert "P(worse)" in text
        assert "40%" in text
        assert not s.engine.calls, "all of it was in the snapshot"
        await s.press("escape", "j", "e")
        assert "appointment · topic" in s.screen_text()
        assert "was planned for" in s.screen_text()


async def test_the_history_has_older_trials_too_and_filters_them() -> None:
    """The snapshot's and those that the engine still knows, each once."""
    async with seat(happened()) as s:
        older = replace(TRIAL, id="ro0", task="boolean", started_at=NOW - 9000, ramp=(), phase="aborted",
                        reason="by hand", ended_at=NOW - 8000)  # fmt: skip
        s.engine.past_rollouts = [to_wire(older), to_wire(happened().rollouts[0])]
        await s.press("H")
        await s.until(lambda: isinstance(s.app.screen, History) and s.app.screen.rows.loaded)
        table = s.app.screen.rows  # type: ignore[attr-defined]
        await s.until(lambda: any(x.id == "ro0/aborted" for x in table.items()))
        ids = [x.id for x in table.items()]
        assert len(ids) == len(set(ids))
        assert [x.started_at for x in table.items()] == sorted((x.started_at for x in table.items()), reverse=True)
        await s.press("slash", *"state:aborted", "enter")
        assert [x.id for x in table.items()] == ["ro0/aborted"]
        await s.press("enter")
        assert "trial · boolean" in s.screen_text()
        assert GEMMA in s.screen_text()
