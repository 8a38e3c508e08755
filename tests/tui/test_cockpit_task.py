"""The task screen: its criteria with a preview, its guards, its past, and the way of a change to the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import GEMMA, HEALTHY, SMOL
from cockpit_seat import Seat, seat, with_task

from arbiter_tui.core.snapshot import Snapshot
from arbiter_tui.errors import NoQualifyingModel, Refused
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.screens.explain import Reading
from arbiter_tui.tui.screens.model_detail import ModelDetail
from arbiter_tui.tui.screens.task_detail import TaskDetail
from arbiter_tui.tui.screens.task_picker import TaskPicker
from arbiter_tui.tui.text import plain

KNOBS = ["quality", "latency", "memory", "reliability", "recency"]


async def opened(s: Seat, task: str = "topic") -> TaskDetail:
    await s.press("T")
    await s.until(lambda: isinstance(s.app.screen, TaskDetail) and bool(s.app.screen.facts.profile))
    screen = s.app.screen
    assert isinstance(screen, TaskDetail)
    assert screen.facts.task == task
    return screen


def text_of(screen: TaskDetail) -> str:
    parts = [screen.head, *screen.panels, screen.said, screen.foot]
    return "\n".join(plain(x) for p in parts for x in p._lines)


async def settled(s: Seat, screen: TaskDetail) -> None:
    """The preview of the newest draft has come."""
    await s.until(lambda: not screen.facts.asking and (bool(screen.facts.preview) or not screen.facts.draft.changes))


def saved_as(settings: str) -> Snapshot:
    return with_task("topic", settings=settings)


async def test_it_shows_all_that_is_known_of_the_task() -> None:
    """Criteria, guards with value and limit, ranking, curves with the swap, trade-offs, requests, the profile."""
    async with seat() as s:
        screen = await opened(s)
        text = text_of(screen)
        for said in ("quality at least", "cooldown is over", "95.0 s", "of 5 min", "the cooldown ends in 205 s"):
            assert said in text
        for said in ("over time", "┊gemma3-270m-q4_k_m", "trade-offs", "◆", "requests", "complexity"):
            assert said in text
        assert "1 in the way" in text


async def test_a_step_previews_the_ranking_and_stores_nothing() -> None:
    """The engine is asked with all weights; the rows say where they stand now; only the draft has changed."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("j", *["right"] * 4)
        await settled(s, screen)
        weights = dict.fromkeys(KNOBS, 0.1) | {"quality": 0.4, "latency": 0.5}
        assert s.did("select", "topic", {"weights": weights})
        text = text_of(screen)
        assert "ranking · if saved" in text
        assert "↑ 3" in text
        assert f"With these, {SMOL} would be the best choice, not {GEMMA}" in text
        assert "was .30" in text
        assert "1 not saved" in text
        assert not any(call[0] == "put_task" for call in s.engine.calls)


async def test_back_to_the_saved_value_there_is_no_draft_any_more() -> None:
    """Nothing to save, nothing to drop: the ranking is the one of now."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("right", "left")
        assert not screen.facts.draft.changes
        assert "ranking · now" in text_of(screen)
        assert "esc back" in text_of(screen)
        await s.press("escape")
        assert s.app.screen is s.app.main


async def test_a_value_can_be_typed_and_what_is_none_is_refused_in_words() -> None:
    """Units are understood; a wrong one stays to be mended; escape leaves the value alone; digits move no region."""
    async with seat() as s:
        screen = await opened(s)
        await s.press(*["j"] * 6, "enter", *"2x", "enter")
        assert "✕ latency is 0 at: a number, with s, ms, min or without" in text_of(screen)
        assert not screen.facts.draft.changes
        await s.press("backspace", *"500", "enter")
        await s.press("enter", *"3", "escape")
        assert screen.facts.draft.value("latency_budget_s") == 2500
        await s.press("enter", "ctrl+u", *"900 ms", "enter")
        assert screen.facts.draft.value("latency_budget_s") == 0.9
        assert s.app.screen is screen
        assert screen.focused is screen.criteria


async def test_a_limit_that_is_taken_away_is_asked_and_saved_as_unset() -> None:
    """Backspace drops it; the wire says so by name."""
    async with seat() as s:
        screen = await opened(s)
        await s.press(*["j"] * 8, "backspace")
        await settled(s, screen)
        assert s.did("select", "topic", {"unset": ["quality_threshold"]})
        await s.press("ctrl+s", "k", "enter")
        await s.until(lambda: s.did("put_task", "topic", {"unset": ["quality_threshold"]}))


async def test_what_would_not_qualify_is_told_before_it_is_saved() -> None:
    """How many, which, and why."""
    async with seat() as s:
        screen = await opened(s)
        await s.press(*["j"] * 8, "enter", *".6", "enter")
        await settled(s, screen)
        assert "2 models would not qualify" in text_of(screen)
        await s.press("3", "3")
        assert "quality 0.41, at least 0.60 asked for" in text_of(screen)


async def test_saving_asks_and_is_done_only_when_a_snapshot_says_so() -> None:
    """Cancel is the default; the notice waits for the snapshot that knows the task by its new settings."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("right")
        await settled(s, screen)
        await s.press("ctrl+s")
        assert isinstance(s.app.screen, Confirm)
        assert "quality: .40 → .45" in s.screen_text()
        await s.press("enter")
        assert not any(call[0] == "put_task" for call in s.engine.calls)
        await s.press("ctrl+s", "k", "enter")
        await s.until(lambda: any(call[0] == "put_task" for call in s.engine.calls))
        assert "saving" in s.notice
        await s.show(saved_as("changed"))
        await s.until(lambda: "ranked by its new criteria" in s.notice)
        await s.until(lambda: not screen.facts.draft.changes)
        assert screen.facts.draft.saved["weights.quality"] == 0.45


async def test_a_snapshot_that_came_before_the_answer_is_proof_enough() -> None:
    """On a still engine none may follow."""
    async with seat(saved_as("changed")) as s:
        screen = await opened(s)
        await s.press("right")
        await settled(s, screen)
        await s.press("ctrl+s", "k", "enter")
        await s.until(lambda: "ranked by its new criteria" in s.notice)


async def test_a_change_that_is_refused_stays_a_draft() -> None:
    """The reason is said, and nothing that was typed is lost."""
    async with seat() as s:
        s.engine.refuse["put_task"] = Refused("no")
        screen = await opened(s)
        await s.press("right")
        await settled(s, screen)
        await s.press("ctrl+s", "k", "enter")
        await s.until(lambda: "no" in s.notice and "✕" in s.notice)
        assert screen.facts.draft.changes == {"weights.quality": 0.45}
        assert "1 not saved" in text_of(screen)


async def test_criteria_that_nobody_meets_say_so() -> None:
    """The engine's refusal takes the place of the preview."""
    async with seat() as s:
        s.engine.refuse["select"] = NoQualifyingModel("nothing qualifies for topic: both are too slow")
        screen = await opened(s)
        await s.press("right")
        await s.until(lambda: "both are too slow" in text_of(screen))
        assert "ranking · now" in text_of(screen)


async def test_weights_that_are_all_nothing_are_not_even_asked() -> None:
    """At least one must count."""
    async with seat() as s:
        screen = await opened(s)
        for knob in KNOBS:
            await s.press("enter", *"0", "enter")
            await s.press("j" if knob != KNOBS[-1] else "k")
        assert "at least one weight must be above 0" in text_of(screen)
        await s.press("ctrl+s")
        assert s.app.screen is screen
        assert "at least one weight" in s.notice


async def test_a_draft_is_dropped_only_after_asking() -> None:
    """Escape and q ask; Cancel keeps it; the task can't be changed under it."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("right", "q")
        assert isinstance(s.app.screen, Confirm)
        assert "1 criterion was changed" in s.screen_text()
        await s.press("enter")
        assert s.app.screen is screen
        assert screen.facts.draft.changes
        await s.press("t")
        assert s.app.screen is screen
        assert "save the changed criteria" in s.notice
        await s.press("escape", "k", "enter")
        assert not screen.facts.draft.changes
        await s.press("q")
        assert s.app.screen is s.app.main


async def test_a_cockpit_that_only_reads_may_try_but_not_save() -> None:
    """The key is absent from the footer and refused with the reason."""
    async with seat(read_only=True) as s:
        screen = await opened(s)
        await s.press("right")
        await settled(s, screen)
        assert "^s" not in text_of(screen)
        assert "autopilot on" in text_of(screen)
        await s.press("ctrl+s")
        assert s.app.screen is screen
        assert "only reads" in s.notice
        assert not any(call[0] == "put_task" for call in s.engine.calls)


async def test_another_operators_change_is_seen_and_a_draft_stays_over_it() -> None:
    """The snapshot's settings differ: the task is read again; what was changed here is still changed."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("right")
        await settled(s, screen)
        s.engine.stored["topic"] = {"latency_budget_s": 3.0, "settings": "theirs"}
        await s.show(saved_as("theirs"))
        await s.until(lambda: screen.facts.draft.saved["latency_budget_s"] == 3.0)
        assert screen.facts.draft.changes == {"weights.quality": 0.45}


async def test_the_guards_say_what_would_change_them() -> None:
    """The selected one in words below; the cursor walks through all."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("2", *["j"] * 10)
        assert "cooldown is over: no, it forbids a swap now. It would change if the cooldown ends" in text_of(screen)
        await s.press("home")
        assert "quality drifts: no. It would change if its quality fell for good." in text_of(screen)


async def test_enter_opens_a_requests_record_and_a_models_sheet() -> None:
    """Each region's own thing; escape comes back here."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("6", "enter")
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert "what had put it in charge" in s.screen_text()
        await s.press("escape", "3", "enter")
        assert isinstance(s.app.screen, ModelDetail)
        await s.press("escape")
        assert s.app.screen is screen


async def test_the_tasks_own_commands_work_from_here() -> None:
    """Autopilot, task, explain; a command that does not apply says why."""
    async with seat(with_task("topic", previous=None)) as s:
        screen = await opened(s)
        await s.press("r")
        assert "nothing served before" in s.notice
        await s.press("a")
        assert isinstance(s.app.screen, Confirm)
        await s.press("escape", "e")
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert "must hold for a swap" in s.screen_text()
        await s.press("escape", "t")
        assert isinstance(s.app.screen, TaskPicker)
        await s.press("slash", *"sentiment", "enter")
        await s.until(lambda: screen.facts.task == "sentiment" and bool(screen.facts.told))
        assert "task sentiment" in text_of(screen)


async def test_regions_are_chosen_zoomed_and_walked_through() -> None:
    """A digit goes there, again it stands alone; tab goes on; escape leaves the zoom first."""
    async with seat() as s:
        screen = await opened(s)
        await s.press("4", "4")
        assert screen.zoomed
        assert [p.digit for p in screen.panels if p.display] == [4]
        await s.press("tab")
        assert [p.digit for p in screen.panels if p.display] == [5]
        await s.press("escape")
        assert not screen.zoomed
        assert s.app.screen is screen
        await s.press("z")
        assert screen.zoomed
        await s.press("z", "shift+tab")
        assert screen.focused is screen.panels[3]


async def test_a_small_terminal_opens_one_region_and_a_tiny_one_shows_it_alone() -> None:
    """80x24: the others are their title lines; 60x14: only the chosen one."""
    async with seat(size=(80, 24)) as s:
        screen = await opened(s)
        assert [p.size.height for p in screen.panels][1:] == [1] * 6
        await s.press("2")
        await s.until(lambda: screen.panels[1].size.height > 10)
        assert screen.panels[0].size.height == 1
        await s.pilot.resize_terminal(60, 14)
        await s.until(lambda: [p.digit for p in screen.panels if p.display] == [2])


async def test_its_help_lists_its_own_keys() -> None:
    """What is different here, and what is as everywhere."""
    async with seat() as s:
        await opened(s)
        await s.press("question_mark")
        assert "save the changed criteria" in s.screen_text()
        assert "on, observe or off for this task" in s.screen_text()


async def test_an_engine_that_tells_nothing_is_no_crash() -> None:
    """An older one has no guards; one that refuses says why; both leave the snapshot's figures readable."""
    async with seat() as s:
        s.engine.stored["topic"] = {"guards": None, "outlook": "odd", "weights": 7}
        screen = await opened(s)
        assert "This engine does not tell them." in text_of(screen)
        assert "gemma3-270m" in text_of(screen)
    async with seat() as s:
        s.engine.refuse["task"] = Refused("not for you")
        await s.press("T")
        await s.until(lambda: isinstance(s.app.screen, TaskDetail) and "not for you" in text_of(s.app.screen))


async def test_nothing_new_asks_for_no_requests_again() -> None:
    """Requests are many bytes: the guards are looked at again, the requests only when there are others."""
    async with seat() as s:
        screen = await opened(s)
        asked = len([c for c in s.engine.calls if c[0] == "outcomes"])
        screen.look()
        await s.until(lambda: len([c for c in s.engine.calls if c[0] == "task"]) == 2)
        assert len([c for c in s.engine.calls if c[0] == "outcomes"]) == asked
        await s.show(with_task("topic", requests=6000))
        await s.until(lambda: screen._loading is None or screen._loading.done())
        screen.look()
        await s.until(lambda: len([c for c in s.engine.calls if c[0] == "outcomes"]) == asked + 1)


async def test_a_task_that_goes_away_is_said() -> None:
    """Another cockpit may have changed the configuration."""
    async with seat() as s:
        screen = await opened(s)
        s.app.view.snapshot = replace(HEALTHY, tasks=tuple(t for t in HEALTHY.tasks if t.task != "topic"))
        screen.sync()
        assert "no such task any more" in text_of(screen)


@pytest.mark.parametrize("key", ["right", "minus", "backspace", "enter", "ctrl+s"])
async def test_keys_before_the_first_answer_do_nothing(key: str) -> None:
    """Until the engine has told the criteria there is nothing to change."""
    async with seat() as s:
        s.engine.refuse["task"] = Refused("later")
        await s.press("T")
        await s.until(lambda: isinstance(s.app.screen, TaskDetail))
        screen = s.app.screen
        assert isinstance(screen, TaskDetail)
        await s.press(key)
        assert s.app.screen is screen
        assert not screen.facts.draft.changes
