"""The keys that ask something of the engine, in every state that they apply to, through Textual's Pilot."""

from __future__ import annotations

import pytest
from canned import GEMMA, GEMMA_CPP, HEALTHY, SMOL, SMOL_CPP
from canned_states import BENCHING, EMPTY
from cockpit_seat import seat, with_model, with_task
from fake_cockpit import cockpit

from arbiter_tui.errors import Incompatible
from arbiter_tui.tui.keys import ACTIONS
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.screens.help import Help
from arbiter_tui.tui.screens.swap_dialog import SwapDialog


async def test_w_warms_the_selected_model_and_says_so_only_when_a_snapshot_shows_it() -> None:
    """The call goes to the version under the cursor; success waits for its proof."""
    async with seat() as s:
        s.app.main.pool.cursor = SMOL_CPP
        await s.press("w")
        assert s.did("warm", SMOL_CPP)
        assert s.notice.startswith("◐")
        await s.show(with_model(SMOL_CPP, state="ready"))
        assert s.notice == f"✓ {SMOL_CPP} is warm"


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
        assert "It serves topic" in s.screen_text()
        assert "2 answers under way" in s.screen_text()
        await s.press("enter")
        assert not s.engine.calls
        await s.press("u", "k", "enter")
        assert s.did("unload", GEMMA)


async def test_s_lists_candidates_with_what_the_dry_run_says_and_swaps() -> None:
    """The cursor starts on the best candidate that does not serve; its preview is asked for; then how, and Cancel is
    the default."""
    async with seat() as s:
        await s.press("s")
        assert isinstance(s.app.screen, SwapDialog)
        await s.until(lambda: s.did("dry_run", "topic", GEMMA_CPP))
        await s.until(lambda: "gain -.05 [-.18, .08] in utility, on 44 samples of it" in s.screen_text())
        text = " ".join(s.screen_text().split())
        assert "✓ active ✓ can do it ✓ fits ✓ context ? quality" in text
        assert "loaded first into 0.4 G of 1.4 G free, about 600 ms" in text
        assert "2 answers under way will finish where they began" in text
        await s.press("enter")
        assert "let gemma3-270m-q4_k_m.llama-cpp serve topic?" in s.screen_text()
        await s.press("enter")
        assert not [c for c in s.engine.calls if c[0] in ("swap", "canary", "schedule")]
        await s.press("s", "enter", "home", "enter")
        await s.until(lambda: s.did("swap", "topic", GEMMA_CPP))
        await s.show(with_task("topic", incumbent=GEMMA_CPP, previous=GEMMA))
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
        assert not s.did("swap", "topic", GEMMA_CPP)


async def test_a_refused_swap_shows_the_reason_and_stays() -> None:
    """A dry run that is refused keeps the dialog open with its sentence."""
    async with seat() as s:
        s.engine.refuse["dry_run"] = Incompatible("it has no text-generation")
        await s.press("s")
        await s.until(lambda: "it has no text-generation" in s.screen_text())
        await s.press("enter")
        assert isinstance(s.app.screen, SwapDialog)
        assert not s.did("swap", "topic", GEMMA_CPP)


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
