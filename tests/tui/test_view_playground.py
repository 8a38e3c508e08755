"""The playground: what is asked of whom, what is seen while it comes, what a verdict sets off, what is hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from canned import GEMMA, HEALTHY, SMOL, SMOL_CPP
from canned_states import EMPTY
from cockpit_seat import Seat, seat, with_model, with_task
from fake_cockpit import Clock
from fake_views import PROMPTS, request

from arbiter_tui.errors import EngineUnreachable, WorkerDied
from arbiter_tui.tui.duel import Side
from arbiter_tui.tui.screens.playground import Playground
from arbiter_tui.tui.screens.prompt_picker import ModelPicker, PromptPicker
from arbiter_tui.tui.screens.task_picker import TaskPicker
from arbiter_tui.tui.text import plain
from arbiter_tui.tui.widgets.answers import as_written


def screen(s: Seat) -> Playground:
    return cast(Playground, s.app.screen)


@asynccontextmanager
async def opened(*snapshots: Any, **kw: Any) -> AsyncIterator[Seat]:
    async with seat(*snapshots, **kw) as s:
        await s.press("g")
        await s.until(lambda: isinstance(s.app.screen, Playground) and screen(s).prompt.has_focus)
        yield s


async def ask(s: Seat, text: str = "what is it") -> None:
    await s.press(*(("space" if c == " " else c) for c in text), "enter")
    await s.pilot.pause()


async def ended(s: Seat) -> None:
    await s.until(lambda: screen(s).duel is not None and not screen(s).duel.running)  # type: ignore[union-attr]
    screen(s).redraw()


async def test_enter_asks_who_serves_and_the_best_of_the_others() -> None:
    """Both by version, in the task's form, with the same message; the answers stand side by side."""
    async with opened() as s:
        await ask(s)
        await ended(s)
        said = [{"role": "user", "content": "what is it"}]
        assert s.did("answer", GEMMA, "topic", said)
        assert s.did("answer", SMOL, "topic", said)
        assert "about the interest" in s.screen_text()
        assert "It could also" in s.screen_text()
        assert "◆ serves" in s.screen_text()
        assert screen(s).answers[0].region.y == screen(s).answers[1].region.y


async def test_at_80_columns_the_answers_stand_one_below_the_other() -> None:
    """Each has the whole width."""
    async with opened(size=(80, 24)) as s:
        a, b = screen(s).answers
        assert a.region.width == b.region.width == 80
        assert b.region.y == a.region.bottom


@pytest.mark.parametrize(
    ("key", "grades"),
    [("a", (1.0, 0.0)), ("b", (0.0, 1.0)), ("e", (1.0, 1.0)), ("equals_sign", (1.0, 1.0)), ("0", (0.0, 0.0))],
)
async def test_one_key_judges_and_both_requests_get_their_grade(key: str, grades: tuple[float, float]) -> None:
    """The verdict is feedback for the ids of both answers; a second verdict is refused."""
    async with opened() as s:
        await ask(s)
        await ended(s)
        assert "Which is better?" in s.screen_text()
        await s.press(key)
        await s.until(lambda: "feedback for topic" in s.notice)
        ids = [side.request_id for side in screen(s).duel.sides]  # type: ignore[union-attr]
        assert [c for c in s.engine.calls if c[0] == "feedback"] == [
            ("feedback", id, grade) for id, grade in zip(ids, grades, strict=True)
        ]
        await s.press("a")
        assert "judged already" in s.notice


async def test_a_verdict_that_the_engine_refuses_is_no_verdict() -> None:
    """It is said, and may be given again."""
    async with opened() as s:
        await ask(s)
        await ended(s)
        s.engine.refuse["feedback"] = EngineUnreachable("gone for a moment")
        await s.press("a")
        await s.until(lambda: "the verdict was not taken: gone for a moment" in s.notice)
        del s.engine.refuse["feedback"]
        await s.press("a")
        await s.until(lambda: "feedback for topic" in s.notice)


@pytest.mark.parametrize("swapped", [False, True])
async def test_hidden_names_are_told_with_the_verdict_only(swapped: bool) -> None:
    """Neither name nor figure is on the screen before; the letters keep their models; A is A when judged."""
    async with opened() as s:
        screen(s)._swapped = lambda: swapped
        await s.press("ctrl+b")
        await ask(s)
        await ended(s)
        text = s.screen_text()
        assert GEMMA.partition(".")[0] not in text
        assert "tok/s" not in text
        await s.press("n")
        assert "judge the hidden answers first" in s.notice
        await s.press("a")
        await s.until(lambda: "feedback for topic" in s.notice)
        first, second = (SMOL, GEMMA) if swapped else (GEMMA, SMOL)
        assert "A gets 1, B gets 0" in s.notice
        assert plain(screen(s).answers[0]._lines[0]).startswith(f"┌ A · {first}")
        assert [r._ids["model"] for r in s.engine.running] == [first, second]
        assert s.did("feedback", "re-0", 1.0)
        assert "tok/s" in s.screen_text()


async def test_escape_cancels_what_is_coming_and_closes_the_streams() -> None:
    """The engine sees its client leave; nothing half is judged; the next escape leads back."""
    async with opened() as s:
        s.engine.gate.clear()
        await ask(s)
        assert "esc cancels" in s.screen_text()
        await s.press("a")
        assert "still coming" in s.notice
        await s.press("escape")
        await s.until(lambda: all(r.closed for r in s.engine.running))
        screen(s).redraw()
        assert s.screen_text().count("○ cancelled") == 2
        await s.press("a")
        assert "only whole answers are judged" in s.notice
        await s.press("escape", "escape")
        assert s.app.screen is s.app.main


async def test_leaving_ends_the_answers_and_keeps_what_was_typed() -> None:
    """Nothing decodes for nobody, and no prompt is typed twice."""
    async with opened() as s:
        s.engine.gate.clear()
        await ask(s, "a long one")
        await s.press("q")
        await s.until(lambda: all(r.closed for r in s.engine.running))
        await s.press("g")
        assert screen(s).prompt.text == "a long one"


async def test_a_model_that_fails_says_why_and_the_other_goes_on() -> None:
    """One side's error is its own."""
    async with opened() as s:
        s.engine.answers[GEMMA] = ("It ", WorkerDied("killed\x1b[2J by SIGKILL"))
        await ask(s)
        await ended(s)
        text = s.screen_text()
        assert "killed [2J by SIGKILL" in text
        assert "It could also" in text


async def test_figures_stand_below_each_answer() -> None:
    """The first token's time and the rate after it; of a runtime that does not count, an estimate is marked."""
    side = Side("m", state="done", began=10.0, first_at=10.25, ended_at=12.25, tokens=101)
    assert (side.ttft_s, side.took_s, side.rate) == (0.25, 2.25, 50.0)
    assert Side("m", tokens=1, first_at=1.0, ended_at=2.0).rate is None
    async with opened() as s:
        await ask(s)
        await ended(s)
        duel = screen(s).duel
        assert duel is not None
        duel.sides[0] = Side("m", state="done", began=10.0, first_at=10.25, ended_at=12.25, tokens=101, estimated=True)
        screen(s).redraw()
        assert "first token 250 ms  ~50 tok/s  ~101 tokens" in s.screen_text()


async def test_while_it_loads_the_panel_says_so() -> None:
    """A cold model's answer waits for its load, with the time that is left."""
    async with opened(with_model(GEMMA, state="loading", eta_s=7.0)) as s:
        s.engine.gate.clear()
        await ask(s)
        assert "loading, 7 s left" in s.screen_text()


async def test_a_recent_request_is_asked_again_as_it_was() -> None:
    """Its prompt comes into the text area with its task; unchanged, its very characters are sent."""
    async with opened() as s:
        s.engine.rows[-1]["messages"] = [{"role": "user", "content": "ring\x07 the bell"}]
        await s.press("ctrl+r")
        await s.until(lambda: isinstance(s.app.screen, PromptPicker))
        assert PROMPTS[0] in s.screen_text()
        await s.press("enter")
        await s.until(lambda: screen(s).prompt.text == "ring  the bell")
        assert s.app.view.task == request(59)["task"]
        await s.press("enter")
        await ended(s)
        assert s.engine.calls[-2][3] == [{"role": "user", "content": "ring\x07 the bell"}]


async def test_another_prompt_takes_the_answers_to_the_one_before_away() -> None:
    """Answers and a verdict under a prompt are those to that prompt; then one escape leads out."""
    async with opened() as s:
        await ask(s)
        await ended(s)
        await s.press("a")
        await s.until(lambda: "✓ better" in s.screen_text())
        await s.press("ctrl+r")
        await s.until(lambda: isinstance(s.app.screen, PromptPicker))
        await s.press("enter")
        await s.until(lambda: isinstance(s.app.screen, Playground) and screen(s).prompt.text != "what is it")
        assert "about the interest" not in s.screen_text()
        assert "✓ better" not in s.screen_text()
        assert "Its answer appears here" in s.screen_text()
        await s.press("escape")
        await s.until(lambda: not isinstance(s.app.screen, Playground))


async def test_two_escapes_lead_from_the_prompt_out_whatever_was_said() -> None:
    """The first to the answers, the second out: a notice is no step."""
    async with opened() as s:
        await ask(s)
        await ended(s)
        await s.press("a")
        await s.until(lambda: "feedback for topic" in s.screen_text())
        await s.press("i", "escape")
        assert screen(s).answers[0].has_focus
        await s.press("escape")
        await s.until(lambda: not isinstance(s.app.screen, Playground))


async def test_a_conversation_goes_before_its_last_message() -> None:
    """What was said before is sent along and counted; an emptied prompt starts anew."""
    async with opened() as s:
        talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
        screen(s).take({"task": "topic", "messages": [*talk, {"role": "user", "content": "go on"}]})
        await s.pilot.pause()
        assert "2 earlier messages" in s.screen_text()
        await s.press("enter")
        await ended(s)
        assert s.engine.calls[-2][3] == [*talk, {"role": "user", "content": "go on"}]
        await s.press("i", "ctrl+u")
        await s.until(lambda: "earlier" not in s.screen_text())


async def test_the_requests_view_leads_here_with_its_prompt() -> None:
    """g on a request opens the playground with that prompt; one that is forgotten says so."""
    async with seat() as s:
        await s.press("R")
        await s.until(lambda: bool(getattr(getattr(s.app.screen, "rows", None), "loaded", False)))
        await s.press("g")
        await s.until(lambda: isinstance(s.app.screen, Playground) and screen(s).prompt.text == PROMPTS[2])
        await s.press("escape", *"kkkkk", "g")
        await s.until(lambda: "not remembered" in s.notice)


async def test_another_model_and_another_task_are_chosen() -> None:
    """The list leads with the ranking; who serves the new task answers as A."""
    async with opened() as s:
        await s.press("ctrl+o")
        await s.until(lambda: isinstance(s.app.screen, ModelPicker))
        await s.press("slash", *"cpp", "enter")
        await s.until(lambda: isinstance(s.app.screen, Playground))
        assert screen(s).versions() == [GEMMA, SMOL_CPP]
        await s.press("ctrl+t")
        await s.until(lambda: isinstance(s.app.screen, TaskPicker))
        await s.press("slash", *"boolean", "enter")
        await s.until(lambda: isinstance(s.app.screen, Playground))
        assert screen(s).versions()[0] == SMOL
        assert "boolean" in s.screen_text()


async def test_an_empty_prompt_asks_nobody() -> None:
    """It says so; ctrl+j makes a line, enter does not."""
    async with opened() as s:
        await s.press("enter")
        assert "the prompt is empty" in s.notice
        await s.press("a", "ctrl+j", "b")
        assert screen(s).prompt.text == "a\nb"
        assert not [c for c in s.engine.calls if c[0] == "answer"]


async def test_with_one_model_its_answer_is_good_or_bad() -> None:
    """No second model: the panel says how to get one; B and equal do not apply."""
    alone = replace(HEALTHY, models=tuple(m for m in HEALTHY.models if m.version == GEMMA))
    async with opened(alone) as s:
        assert "arbiter activate VERSION" in s.screen_text()
        await ask(s)
        await ended(s)
        await s.press("b")
        assert "only one answer" in s.notice
        await s.press("a")
        await s.until(lambda: s.did("feedback", "re-0", 1.0))


async def test_a_still_playground_draws_nothing() -> None:
    """When nothing comes any more its clock is stopped."""
    async with opened(now=Clock()) as s:
        await ask(s)
        await s.until(lambda: screen(s)._timer is None)
        asked: list[Any] = []
        for panel in screen(s).answers:
            panel.refresh = lambda *a, **k: asked.append(a)  # type: ignore[method-assign, assignment]
        await s.show(with_task("topic", requests=1))
        assert asked == []


@pytest.mark.parametrize("how", ["read-only", "empty"])
async def test_where_it_does_not_apply_its_key_says_why(how: str) -> None:
    """A cockpit that only reads asks no model; without a model there is nobody to ask."""
    async with seat(EMPTY if how == "empty" else HEALTHY, read_only=how == "read-only") as s:
        await s.press("g")
        assert s.app.screen is s.app.main
        why = "there is no model" if how == "empty" else "this cockpit only reads"
        assert s.notice == f"▲ playground: {why}"


async def test_a_lost_engine_takes_no_prompt() -> None:
    """Asking is refused with its reason; what was typed stays."""
    async with opened() as s:
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        await ask(s)
        assert "the engine does not answer" in s.notice
        assert screen(s).prompt.text == "what is it"


def test_an_answer_keeps_its_lines_and_indents() -> None:
    """Code stays code; a long line goes on below itself, by the cells of the terminal."""
    lines = [plain(x) for x in as_written("def f():\n    return 1\n\n世界世界世界 and on", 12)]
    assert lines == ["def f():", "    return 1", "", "世界世界世界", "and on"]


async def test_what_was_said_on_the_main_screen_stays_there() -> None:
    """A notice of the main screen is none of the playground's."""
    async with seat() as s:
        await s.press("w")
        assert "warm up" in s.notice
        await s.press("g")
        await s.until(lambda: isinstance(s.app.screen, Playground))
        assert "warm up" not in s.screen_text()


@pytest.mark.parametrize("way_out", ["escape", "jump"])
async def test_the_main_screens_task_comes_back_after_asking_again(way_out: str) -> None:
    """The playground takes the prompt's own task; what the operator was looking at is as it was."""
    async with opened() as s:
        before = s.app.view.task
        other = next(t.task for t in HEALTHY.tasks if t.task != before)
        screen(s).take({"task": other, "messages": [{"role": "user", "content": "again"}]})
        assert s.app.view.task == other
        if way_out == "jump":
            screen(s).action_jump("requests")
        await s.press(*["escape"] * 2)
        await s.until(lambda: s.app.view.task == before)
