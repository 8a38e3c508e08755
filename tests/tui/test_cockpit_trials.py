"""Canaries, swaps for later, and taking a swap back: every dialog's way from the key to the engine's call."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from canned import GEMMA, GEMMA_CPP, HEALTHY, NOW
from canned_states import ON_TRIAL, SWAPPING
from cockpit_seat import Seat, seat

from arbiter_tui.core.snapshot import OperationView
from arbiter_tui.tui.format import clock
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.screens.swap_dialog import SwapDialog
from arbiter_tui.tui.screens.trial import Trial
from arbiter_tui.tui.screens.when import When

LATER = OperationView(
    id="ap1",
    kind="appointment",
    state="waiting",
    message="topic to x at Sun 22:00",
    result={"task": "topic", "to": "x"},
)


def again(snapshot: object, by: int = 7) -> object:
    return replace(snapshot, revision=snapshot.revision + by)  # type: ignore[attr-defined]


async def choose(s: Seat, *keys: str) -> None:
    """From the key to the question how."""
    await s.press("s")
    await s.until(lambda: s.did("dry_run", "topic", GEMMA_CPP))
    await s.press("enter", *keys)


async def test_a_canary_begins_and_its_proof_is_the_snapshot() -> None:
    """Swap now, Canary, Schedule, Cancel: the second one; done is said when a snapshot shows the rollout."""
    async with seat() as s:
        await choose(s)
        assert isinstance(s.app.screen, Confirm)
        labels = [choice.label for choice in s.app.screen.choices]
        assert labels == ["Swap now", "Canary", "Schedule", "Cancel"]
        assert s.app.screen.cursor == "cancel"
        await s.press("home", "j", "enter")
        await s.until(lambda: s.did("canary", "topic", GEMMA_CPP))
        await s.show(again(ON_TRIAL))
        assert "is on trial for topic" in s.notice


async def test_where_both_do_not_fit_the_canary_says_that_nobody_is_served_by_it() -> None:
    """They can't serve side by side: it answers in turns."""
    async with seat() as s:
        s.engine.preview = {**s.engine.preview, "exclusive": True}
        await choose(s)
        assert [c.label for c in s.app.screen.choices] == ["Swap now", "Canary", "Schedule", "Cancel"]
        assert "both do not fit" in s.screen_text()
        assert "nobody is served by it before" in s.screen_text()


async def test_a_swap_for_later_with_an_offered_and_with_a_typed_time() -> None:
    """Half an hour from now is the first offer; what is typed is read back as a moment before enter takes it."""
    async with seat() as s:
        await choose(s, "home", "j", "j", "enter")
        assert isinstance(s.app.screen, When)
        await s.press("home", "enter")
        await s.until(lambda: s.did("schedule", "topic", GEMMA_CPP, NOW + 1800))
    async with seat() as s:
        await choose(s, "home", "j", "j", "enter", "slash", *"+9")
        assert "2026-11-22T06:00" in s.screen_text(), "what is no time yet says which forms there are"
        await s.press("enter")
        assert isinstance(s.app.screen, When)
        await s.press("0", "m", "enter")
        await s.until(lambda: s.did("schedule", "topic", GEMMA_CPP, NOW + 5400))
        await s.show(
            replace(HEALTHY, revision=900, operations=(replace(LATER, result={"task": "topic", "to": GEMMA_CPP}),))
        )
        assert "will be swapped" in s.notice


async def test_escape_goes_one_step_back() -> None:
    """From the time to the way, from the way to the candidates with the cursor where it was, and out."""
    async with seat() as s:
        await choose(s, "home", "j", "j", "enter")
        assert isinstance(s.app.screen, When)
        await s.press("escape")
        assert isinstance(s.app.screen, Confirm)
        await s.press("escape")
        assert isinstance(s.app.screen, SwapDialog)
        assert s.app.screen.cursor == GEMMA_CPP
        await s.press("escape")
        assert s.app.screen is s.app.main
        assert s.engine.calls == [c for c in s.engine.calls if c[0] not in ("schedule", "rollout")]


async def test_offers_of_a_time_stand_in_the_order_in_which_they_come() -> None:
    """At three at night six comes before ten."""
    async with seat() as s:
        for hour, wanted in ((3, ["+30m", "+2h", "06:00", "22:00"]), (23, ["+30m", "+2h", "06:00", "22:00"]),
                             (12, ["+30m", "+2h", "22:00", "06:00"])):  # fmt: skip
            when = When(s.app.view, "topic", datetime(2026, 11, 21, hour).astimezone().timestamp())
            assert [e.key for e in when.entries(60)] == wanted


async def test_s_on_a_task_with_an_appointment_offers_to_drop_it() -> None:
    """Dropped: the engine cancels it, and the notice waits for the snapshot without it."""
    async with seat(replace(HEALTHY, operations=(LATER,))) as s:
        await s.press("s")
        assert "topic to x at Sun 22:00" in s.screen_text()
        await s.press("enter")
        assert not s.engine.calls
        await s.press("s", "home", "j", "enter")
        assert isinstance(s.app.screen, SwapDialog), "swap otherwise"
        await s.press("escape", "s", "home", "enter")
        await s.until(lambda: s.did("cancel", "ap1"))
        await s.show(again(HEALTHY))
        assert "dropped" in s.notice


async def test_s_while_a_swap_runs_offers_to_take_it_back() -> None:
    """Cancel leaves it alone; Take it back asks the engine; what became of it is what the snapshot says."""
    swap = next(x for x in SWAPPING.swaps if x.result == "running")
    for result, word in (("failed", "taken back"), ("done", "too late")):
        async with seat(SWAPPING) as s:
            s.app.show_task(swap.task)
            await s.press("s")
            text = s.screen_text()
            assert f"{swap.task} is being swapped to {swap.to}" in text
            assert "Let it go on" in text
            assert "Cancel" not in text, "beside what cancels a swap that word could mean either"
            await s.press("enter")
            assert not s.did("cancel_swap", swap.id)
            await s.press("s", "home", "enter")
            await s.until(lambda: s.did("cancel_swap", swap.id))
            ended = tuple(replace(x, result=result) if x.id == swap.id else x for x in SWAPPING.swaps)
            await s.show(replace(SWAPPING, revision=SWAPPING.revision + 9, swaps=ended))
            assert word in s.notice


async def test_c_shows_how_a_trial_stands_and_gives_its_orders() -> None:
    """Evidence and verdict; leaving it is the default; each order reaches the engine and is proven by a snapshot."""
    rollout = ON_TRIAL.rollouts[0]
    for keys, order, changed in (
        (["home"], "promote", {"phase": "promoting"}), (["home", "j"], "pause", {"paused": True}),
        (["home", "j", "j"], "abort", {"phase": "aborted"}),
    ):  # fmt: skip
        async with seat(ON_TRIAL) as s:
            await s.press("c")
            assert isinstance(s.app.screen, Trial)
            text = s.screen_text()
            for words in ("31 questions answered by both", "10% → 40%", "P(worse)", ".12", "hold"):
                assert words in text, words
            await s.press("enter")
            assert not [c for c in s.engine.calls if c[0] == "rollout"]
            await s.press("c", *keys, "enter")
            await s.until(lambda: s.did("rollout", rollout.id, order))  # noqa: B023
            changed_view = replace(rollout, **changed)
            await s.show(replace(ON_TRIAL, revision=ON_TRIAL.revision + 9, rollouts=(changed_view,)))
            assert s.notice.startswith("✓")


async def test_a_paused_trial_offers_to_resume() -> None:
    """Pause and resume take the same place."""
    paused = replace(ON_TRIAL.rollouts[0], paused=True, next_step_at=None)
    async with seat(replace(ON_TRIAL, rollouts=(paused,))) as s:
        await s.press("c", "home", "j", "enter")
        await s.until(lambda: s.did("rollout", paused.id, "resume"))


async def test_c_without_a_trial_chooses_a_model_and_read_only_refuses() -> None:
    """The same dialog as a swap's; where only reading is allowed nothing opens."""
    async with seat() as s:
        await s.press("c")
        assert isinstance(s.app.screen, SwapDialog)
    async with seat(read_only=True) as s:
        await s.press("c")
        assert s.app.screen is s.app.main
        assert "only reads" in s.notice


async def test_a_trial_is_seen_on_the_main_screen() -> None:
    """Its row carries the mark; the fifth region has share and evidence."""
    async with seat(ON_TRIAL, size=(80, 24)) as s:
        await s.press("2")
        assert "◇" in s.screen_text()
        await s.press("5")
        assert "31 pairs · P(worse) .12" in s.screen_text()
        assert GEMMA.split(".")[0] in s.screen_text()


async def test_c_asks_whom_to_try_and_then_whether_to_begin() -> None:
    """Its own words from the first line on; nothing begins before Begin the trial, and Cancel is the default."""
    async with seat() as s:
        await s.press("c")
        assert "try whom on topic" in s.screen_text()
        await s.until(lambda: s.did("dry_run", "topic", GEMMA_CPP))
        await s.press("enter")
        assert isinstance(s.app.screen, Confirm)
        assert [c.label for c in s.app.screen.choices] == ["Begin the trial", "Cancel"]
        assert f"try {GEMMA_CPP} on topic?" in s.screen_text()
        await s.press("escape")
        assert "try whom on topic" in s.screen_text(), "back to the choice of a trial, not of who serves"
        await s.press("enter", "enter")
        assert not s.did("canary", "topic", GEMMA_CPP)
        await s.press("c", "enter", "home", "enter")
        await s.until(lambda: s.did("canary", "topic", GEMMA_CPP))


async def test_where_both_do_not_fit_c_offers_turns() -> None:
    """What it does to memory and to clients is said before it begins; Cancel is the default."""
    async with seat() as s:
        s.engine.preview = {**s.engine.preview, "exclusive": True}
        await s.press("c")
        await s.until(lambda: s.did("dry_run", "topic", GEMMA_CPP))
        await s.press("enter")
        assert isinstance(s.app.screen, Confirm)
        assert [c.label for c in s.app.screen.choices] == ["Begin the trial", "Cancel"]
        assert "they take turns in memory" in s.screen_text()
        await s.press("home", "enter")
        await s.until(lambda: s.did("canary", "topic", GEMMA_CPP))


async def test_turns_in_memory_are_told_wherever_a_trial_is() -> None:
    """Its sheet, the fifth region: blocks instead of a share that is always none, and when the next may begin."""
    turns = replace(
        ON_TRIAL.rollouts[0], phase="shadow", share=0.0, ramp=(), canary_requests=0, blocks=3, in_block=True,
        reason="holds after 3 blocks, the evidence is too weak", next_block_at=NOW + 300,
    )  # fmt: skip
    for view, words in (
        (turns, "one fits: block 3 is running"),
        (replace(turns, in_block=False), f"one fits: 3 blocks so far, the next from {clock(NOW + 300, NOW)} on"),
    ):
        async with seat(replace(ON_TRIAL, rollouts=(view,)), size=(80, 24)) as s:
            await s.press("5")
            assert "3 blocks" in s.screen_text()
            await s.press("c")
            assert words in " ".join(s.screen_text().split())
            assert "no client served" in s.screen_text()
