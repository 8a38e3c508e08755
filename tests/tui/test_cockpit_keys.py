"""Every key in every state that it applies to, through Textual's Pilot on a fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from canned import BENCHING, EMPTY, GEMMA, GEMMA_Q8, HEALTHY, NOW, QWEN, SMOL, SMOL_CPP, crowd
from fake_cockpit import Clock, FakeEngine, cockpit
from textual.pilot import Pilot

from arbiter_tui.errors import Incompatible
from arbiter_tui.tui.app import CockpitApp
from arbiter_tui.tui.keys import ACTIONS
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.screens.explain import Reading
from arbiter_tui.tui.screens.help import Help
from arbiter_tui.tui.screens.swap_dialog import SwapDialog
from arbiter_tui.tui.screens.task_picker import TaskPicker
from arbiter_tui.tui.text import plain


class Seat:
    """One cockpit with its engine and its pilot."""

    def __init__(self, app: CockpitApp, engine: FakeEngine, pilot: Pilot[int]) -> None:
        self.app, self.engine, self.pilot = app, engine, pilot

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await self.pilot.pause()

    async def show(self, snapshot: Any) -> None:
        self.engine.show(snapshot)
        await self.until(lambda: self.app.view.snapshot is snapshot)

    @property
    def notice(self) -> str:
        return self.app.view.notice.text if self.app.view.notice else ""

    def did(self, *call: Any) -> bool:
        return call in self.engine.calls

    def screen_text(self) -> str:
        body = self.app.screen._body if hasattr(self.app.screen, "_body") else None
        widgets = [body] if body else [self.app.main.header, *self.app.main.panels, self.app.main.footer_]
        return "\n".join(plain(x) for w in widgets for x in w._lines)


@asynccontextmanager
async def seat(*snapshots: Any, size: tuple[int, int] = (120, 40), **kw: Any) -> AsyncIterator[Seat]:
    engine = FakeEngine(*(snapshots or (HEALTHY,)))
    app = cockpit(*(snapshots or (HEALTHY,)), engine=engine, **kw)
    async with app.run_test(size=size) as pilot:
        s = Seat(app, engine, pilot)
        await s.until(lambda: app.view.snapshot is not None)
        yield s


def with_model(version: str, **change: Any) -> Any:
    models = tuple(replace(m, **change) if m.version == version else m for m in HEALTHY.models)
    return replace(HEALTHY, revision=HEALTHY.revision + 100, models=models)


def with_task(task: str, **change: Any) -> Any:
    tasks = tuple(replace(t, **change) if t.task == task else t for t in HEALTHY.tasks)
    return replace(HEALTHY, revision=HEALTHY.revision + 100, tasks=tasks)


async def test_w_warms_the_selected_model_and_says_so_only_when_a_snapshot_shows_it() -> None:
    """The call goes to the version under the cursor; success waits for its proof."""
    async with seat() as s:
        s.app.main.pool.cursor = QWEN
        await s.press("w")
        assert s.did("warm", QWEN)
        assert s.notice.startswith("◐")
        await s.show(with_model(QWEN, state="ready"))
        assert s.notice == f"✓ {QWEN} is warm"


async def test_w_on_a_warm_model_says_why_not() -> None:
    """A key that does not apply explains itself and asks nothing of the engine."""
    async with seat() as s:
        await s.press("w")
        assert "it is ready" in s.notice
        assert not s.engine.calls


async def test_u_asks_first_and_cancel_is_the_default() -> None:
    """Enter on a fresh dialog does nothing; the dialog names what would be lost."""
    async with seat() as s:
        await s.press("u")
        assert isinstance(s.app.screen, Confirm)
        assert "It serves arithmetic" in s.screen_text()
        assert "2 answers under way" in s.screen_text()
        await s.press("enter")
        assert not s.engine.calls
        await s.press("u", "k", "enter")
        assert s.did("unload", GEMMA)


async def test_s_lists_candidates_with_what_the_dry_run_says_and_swaps() -> None:
    """The cursor starts on the best candidate that does not serve; its preview is asked for; enter swaps."""
    async with seat() as s:
        await s.press("s")
        assert isinstance(s.app.screen, SwapDialog)
        await s.until(lambda: s.did("dry_run", "topic", GEMMA_Q8))
        assert "compatible" in s.screen_text()
        await s.press("enter")
        await s.until(lambda: s.did("swap", "topic", GEMMA_Q8))
        await s.show(with_task("topic", incumbent=GEMMA_Q8, previous=GEMMA))
        assert "serves topic now" in s.notice


async def test_a_swap_with_warnings_asks_again() -> None:
    """What would be evicted and lost stands in a second question whose default is Cancel."""
    async with seat() as s:
        s.engine.preview = {"warnings": ["smaller context: 1024 < 2048"], "evict": [SMOL]}
        await s.press("s")
        await s.until(lambda: "smaller context" in s.screen_text())
        await s.press("enter")
        assert isinstance(s.app.screen, Confirm)
        assert "unloaded to make room" in s.screen_text()
        await s.press("enter")
        assert not s.did("swap", "topic", GEMMA_Q8)


async def test_a_refused_swap_shows_the_reason_and_stays() -> None:
    """A dry run that is refused keeps the dialog open with its sentence."""
    async with seat() as s:
        s.engine.refuse["dry_run"] = Incompatible("it has no text-generation")
        await s.press("s")
        await s.until(lambda: "it has no text-generation" in s.screen_text())
        await s.press("enter")
        assert isinstance(s.app.screen, SwapDialog)
        assert not s.did("swap", "topic", GEMMA_Q8)


async def test_r_undoes_a_fresh_swap_with_one_key() -> None:
    """While the old model is warm and the swap is fresh, no question stands between."""
    async with seat() as s:
        await s.press("r")
        await s.until(lambda: s.did("rollback", "topic"))


async def test_r_asks_when_the_old_model_must_be_loaded() -> None:
    """An old or cold rollback names who serves meanwhile."""
    async with seat(with_model(SMOL, state="cold")) as s:
        await s.press("r")
        assert isinstance(s.app.screen, Confirm)
        assert "loaded first" in s.screen_text()
        await s.press("k", "enter")
        assert s.did("rollback", "topic")


async def test_a_refused_command_is_said_in_the_engines_words() -> None:
    """An error of the engine reaches the narrator's line as it is."""
    async with seat() as s:
        s.engine.refuse["rollback"] = Incompatible("the model is gone")
        await s.press("r")
        await s.until(lambda: "the model is gone" in s.notice)
        await s.press("escape")
        assert s.notice == ""


@pytest.mark.parametrize(("moves", "wanted"), [((), ["topic"]), (("j",), None)])
async def test_b_measures_this_task_or_every_one(moves: tuple[str, ...], wanted: list[str] | None) -> None:
    """The first choice is the chosen task, the second every task."""
    async with seat() as s:
        await s.press("b", *moves, "enter")
        assert s.did("bench", wanted)


async def test_b_cancels_a_running_benchmark() -> None:
    """While one runs, b shows its progress and offers to cancel it; the default leaves it running."""
    async with seat(BENCHING) as s:
        await s.press("b")
        assert "42% done, 31 s left" in s.screen_text()
        await s.press("enter")
        assert not s.engine.calls
        await s.press("b", "k", "enter")
        assert s.did("cancel", "op-1")


async def test_a_sets_the_autopilot_of_the_chosen_task() -> None:
    """The present mode is preselected, so enter alone changes nothing that matters."""
    async with seat() as s:
        await s.press("a", "j", "enter")
        assert s.did("autopilot", "topic", "observe")
        await s.show(with_task("topic", autopilot="observe"))
        assert s.notice == "✓ autopilot of topic: observe"


async def test_p_holds_the_picture_while_collecting_goes_on() -> None:
    """Frozen, snapshots arrive but are not drawn; p shows the newest."""
    async with seat() as s:
        await s.press("p")
        assert "frozen" in s.screen_text()
        newer = with_task("topic", requests=9999)
        s.engine.show(newer)
        await s.until(lambda: s.app._requests == newer.engine.requests)
        assert s.app.view.snapshot is HEALTHY
        await s.press("p")
        await s.until(lambda: s.app.view.snapshot is newer)


async def test_t_chooses_a_task_by_typing() -> None:
    """The picker filters; the ranking follows and the wire is asked for that task."""
    async with seat() as s:
        await s.press("t")
        assert isinstance(s.app.screen, TaskPicker)
        await s.press("slash", *"sent", "enter")
        assert s.app.view.task == "sentiment"
        assert "ranking · sentiment" in s.screen_text()


async def test_enter_shows_details_of_what_is_selected() -> None:
    """In the models: the version; in the swaps: the swap with its phases."""
    async with seat() as s:
        await s.press("enter")
        assert isinstance(s.app.screen, Reading)
        assert "gemma3-270m" in s.screen_text()
        await s.press("escape", "4", "enter")
        assert "phases" in s.screen_text()
        assert "probe" in s.screen_text()


async def test_e_explains_the_swap_or_the_tasks_choice() -> None:
    """The record comes from the engine by the identity under the cursor."""
    async with seat() as s:
        await s.press("e")
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert s.did("select", "topic")
        assert "best utility" in s.screen_text()
        await s.press("escape", "4", "j", "e")
        await s.until(lambda: s.did("explain", "sw-6"))


async def test_l_shows_the_log_without_its_control_characters() -> None:
    """A worker's escape sequence is not obeyed by this screen."""
    async with seat() as s:
        await s.press("l")
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert s.did("log", GEMMA)
        assert "error: something" in s.screen_text()
        assert "\x1b" not in s.screen_text()


async def test_o_sorts_and_the_title_shows_it() -> None:
    """The column's title carries the mark."""
    async with seat() as s:
        await s.press("o")
        assert s.app.main.pool.sort == "memory"
        assert "mem▾" in s.screen_text()


async def test_the_cursor_stays_on_its_model_when_rows_move() -> None:
    """Identity, never index: sorting and arriving models do not change what a key acts on."""
    async with seat() as s:
        await s.press("j", "j", "j")
        chosen = s.app.main.pool.cursor
        await s.press("o", "o", "o", "o")
        assert s.app.main.target() == chosen
        await s.show(replace(HEALTHY, revision=99, models=HEALTHY.models[::-1]))
        assert s.app.main.target() == chosen


async def test_motion_reaches_both_ends() -> None:
    """j k G home ctrl+d ctrl+u, in a list longer than its region."""
    async with seat(crowd()) as s:
        pool = s.app.main.pool
        first = pool.cursor
        await s.press("G")
        assert pool.cursor == pool.identity(pool.items()[-1])
        await s.press("ctrl+u", "ctrl+d", "k", "home")
        assert pool.cursor == first


async def test_digits_focus_and_zoom() -> None:
    """A digit goes to its region; again, that region stands alone; again, all are back."""
    async with seat() as s:
        for digit, panel in enumerate(s.app.main.panels, 1):
            await s.press(str(digit))
            if digit > 1:
                assert s.app.main.focused is panel
        await s.press("2", "2")
        assert not s.app.main.pool.display
        await s.press("2")
        assert s.app.main.pool.display


async def test_the_accordion_opens_the_focused_region() -> None:
    """At 80x24 the others are folded to their title line, which still says the essential."""
    async with seat(size=(80, 24)) as s:
        await s.press("3")
        heights = {p.name_: p.size.height for p in s.app.main.panels[:4]}
        assert heights["machine"] > 10
        assert heights["models"] == heights["swaps"] == 1
        assert "ranking · topic" in s.screen_text()


async def test_too_small_names_the_size_that_is_needed() -> None:
    """Below the smallest form one polite line stands."""
    async with seat(size=(40, 8)) as s:
        assert "44×10" in "".join(plain(x) for x in s.app.main.small._lines)


async def test_help_is_a_menu_and_the_palette_is_typed_into() -> None:
    """Every action is listed, with why it does not apply; enter runs the selected one."""
    async with seat() as s:
        await s.press("question_mark")
        assert isinstance(s.app.screen, Help)
        assert {e.key for e in s.app.screen.entries(80) if e.key} == {a.id for a in ACTIONS}
        assert "not now: it is ready" in s.screen_text()
        await s.press("escape", "ctrl+p", *"log", "enter")
        await s.until(lambda: s.did("log", GEMMA))


@pytest.mark.parametrize("key", ["w", "u", "s", "r", "b", "a"])
async def test_read_only_changes_nothing(key: str) -> None:
    """No key that writes reaches the engine, and the footer offers none."""
    async with seat(read_only=True) as s:
        await s.press(key)
        assert "only reads" in s.notice
        assert not s.engine.calls
        assert "swap" not in "".join(a.word for a in s.app.main.footer_.actions)


@pytest.mark.parametrize("key", ["w", "u", "s", "r", "b", "a", "t", "enter", "e", "l"])
async def test_first_run_explains_every_key_that_needs_a_model(key: str) -> None:
    """With nothing registered no key fails; the screen names what to do."""
    async with seat(EMPTY) as s:
        assert "arbiter register PATH.gguf" in s.screen_text()
        await s.press(key)
        assert s.notice.startswith("▲")


@pytest.mark.parametrize("key", ["w", "u", "s", "r", "b", "a", "l"])
async def test_keys_while_the_engine_is_gone_say_so(key: str) -> None:
    """Nothing is sent into the void."""
    app = cockpit(HEALTHY, state="gone")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press(key)
        assert app.view.notice is not None
        assert "does not answer" in app.view.notice.text


async def test_silence_is_stale_and_news_ends_it() -> None:
    """Three seconds without a snapshot are shown with their age."""
    clock = Clock()
    async with seat(now=clock) as s:
        clock.at += 2.9
        s.app.check_stale()
        assert s.app.view.link == "live"
        clock.at += 4.2
        s.app.check_stale()
        assert "stale 7 s" in s.screen_text()
        await s.show(with_task("topic", requests=1))
        assert s.app.view.link == "live"


async def test_a_lost_engine_is_reconnected_to() -> None:
    """The last picture stays, greyed; when the wire is back all goes on."""
    async with seat() as s:
        s.engine.lose()
        await s.until(lambda: s.app.view.link == "gone")
        assert "reconnecting" in s.screen_text()
        assert GEMMA.partition(".")[0] in s.screen_text()
        s.engine.fail = None
        await s.until(lambda: s.app.view.link == "live")


async def test_an_unchanged_snapshot_repaints_nothing() -> None:
    """The same figures under a new revision ask for no repaint at all."""
    async with seat() as s:
        asked: list[Any] = []
        for widget in (s.app.main.header, *s.app.main.panels, s.app.main.footer_):
            widget.refresh = lambda *a, **k: asked.append(a)  # type: ignore[method-assign, assignment]
        same = replace(HEALTHY, revision=42)
        await s.show(same)
        assert asked == []


async def test_one_changed_figure_repaints_one_place() -> None:
    """A model's speed touches its own cells (and nothing else in the region)."""
    async with seat() as s:
        asked: list[Any] = []
        s.app.main.pool.refresh = lambda *regions, **k: asked.extend(regions)  # type: ignore[method-assign, assignment]
        await s.show(with_model(SMOL, tokens_per_second=180.0))
        assert len(asked) == 1
        assert asked[0].height == 1
        assert asked[0].width <= 6


async def test_q_leaves_a_joined_engine_alone() -> None:
    """Only what this cockpit started does it stop."""
    async with seat() as s:
        await s.press("q")
        assert s.app.return_code == 0
        assert not s.did("stop")


async def test_q_stops_an_own_engine_that_nobody_else_used() -> None:
    """No question where there is nothing to ask."""
    async with seat(owns_engine=True) as s:
        await s.press("q")
        await s.until(lambda: s.app.return_code is not None)
        assert s.did("stop")


@pytest.mark.parametrize(("moves", "stopped"), [((), True), (("j",), False)])
async def test_q_asks_when_others_used_the_engine(moves: tuple[str, ...], stopped: bool) -> None:
    """Stop is the default, leaving it serving is the other choice."""
    async with seat(owns_engine=True) as s:
        await s.show(replace(HEALTHY, revision=42, engine=replace(HEALTHY.engine, requests=12_600)))
        await s.press("q")
        assert isinstance(s.app.screen, Confirm)
        await s.press(*moves, "enter")
        await s.until(lambda: s.app.return_code is not None)
        assert s.did("stop") is stopped


async def test_x_writes_a_picture(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen as an SVG, and where it went."""
    async with seat() as s:
        monkeypatch.setattr(s.app, "save_screenshot", lambda: str(tmp_path / "a.svg"))
        await s.press("x")
        assert "a.svg" in s.notice


async def test_keys_can_be_remapped() -> None:
    """An action's id is its name in the configuration."""
    async with seat(keys={"swap": "f2"}) as s:
        await s.press("f2")
        assert isinstance(s.app.screen, SwapDialog)


async def test_a_click_selects_and_a_second_opens() -> None:
    """The mouse does what the cursor does."""
    async with seat() as s:
        await s.pilot.click("#pool", offset=(10, 3))
        assert s.app.main.pool.cursor == SMOL
        await s.pilot.click("#pool", offset=(10, 6), times=2)
        await s.until(lambda: isinstance(s.app.screen, Reading))
        assert SMOL_CPP in s.screen_text()


async def test_a_story_stands_on_the_narrators_line() -> None:
    """A scripted show's newest line is what spectators read."""
    async with seat(story=lambda: "a fault is injected now") as s:
        s.app.tick()
        assert "a fault is injected now" in s.screen_text()
        assert NOW


async def test_a_fault_in_the_poll_is_seen() -> None:
    """Whatever breaks while reading, the screen says so instead of standing still."""
    async with seat() as s:
        s.engine.fail = ValueError("not a snapshot")  # type: ignore[assignment]
        s.engine._news.set()
        await s.until(lambda: s.app.view.link == "error")
        assert "ValueError: not a snapshot" in (s.app.view.trouble.why if s.app.view.trouble else "")


def test_the_control_client_is_an_engine() -> None:
    """Every call that the cockpit makes exists on the client."""
    from arbiter_tui.client import ControlClient
    from arbiter_tui.tui.source import Engine

    wanted = {name for name in vars(Engine) if not name.startswith("_")}
    assert wanted <= set(dir(ControlClient))
