"""Every key of every screen, in every state: what it does is proven here, and a key without a proof fails.

The tables of keys are read from the screens themselves: one that is added there and not here is missed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from canned import HEALTHY
from canned_states import BENCHING, EMPTY, FAILED, ON_TRIAL, SWAPPING
from cockpit_seat import Seat, seat, with_task
from fake_cockpit import FakeEngine, cockpit

from arbiter_tui.tui.guard import WRITES
from arbiter_tui.tui.keys import ACTIONS
from arbiter_tui.tui.screens.bench_view import BenchView
from arbiter_tui.tui.screens.history import History
from arbiter_tui.tui.screens.log import LogView
from arbiter_tui.tui.screens.model_detail import ModelDetail
from arbiter_tui.tui.screens.playground import Playground
from arbiter_tui.tui.screens.registry import Registry
from arbiter_tui.tui.screens.requests import Requests
from arbiter_tui.tui.screens.task_detail import TaskDetail
from arbiter_tui.tui.screens.view import JUMPS, ViewScreen

Proof = Callable[[Seat], bool]
NAMES = {"?": "question_mark", "/": "slash"}


def opened(name: str) -> Proof:
    return lambda s: type(s.app.screen).__name__ == name


def asked(*call: Any) -> Proof:
    return lambda s: any(c[: len(call)] == call for c in s.engine.calls)


def focused(digit: int) -> Proof:
    return lambda s: s.app.main.focused_panel().digit == digit


def line_is(n: int) -> Proof:
    return lambda s: s.app.main.pool._last_index == n


# action -> the keys that come before it, and what it must bring about on a healthy engine
EFFECTS: dict[str, tuple[list[str], Proof]] = {
    "warm": (["G"], asked("warm")),
    "unload": ([], opened("Confirm")),
    "swap": ([], opened("SwapDialog")),
    "canary": ([], opened("SwapDialog")),
    "rollback": ([], asked("rollback", "topic")),
    "bench": ([], opened("Confirm")),
    "autopilot": ([], opened("Confirm")),
    "veto": ([], lambda s: "announces nothing" in s.notice),
    "task": ([], opened("TaskPicker")),
    "task_view": ([], opened("TaskDetail")),
    "details": ([], opened("ModelDetail")),
    "explain": ([], opened("Reading")),
    "log": ([], opened("LogView")),
    "engine_log": ([], opened("LogView")),
    "playground": ([], opened("Playground")),
    "requests": ([], opened("Requests")),
    "history": ([], opened("History")),
    "benchmark": ([], opened("BenchView")),
    "registry": ([], opened("Registry")),
    "sort": ([], lambda s: s.app.main.pool.sort == "memory"),
    "filter": ([], lambda s: s.app.main.pool.typing),
    "zoom": ([], lambda s: s.app.main.zoomed),
    "hardware": ([], opened("Hardware")),
    "shown": ([], opened("ShownSheet")),
    "freeze": ([], lambda s: s.app.view.frozen),
    "palette": ([], opened("Help")),
    "export": ([], lambda s: s.notice.startswith(("✓ written", "✕ nothing was written"))),
    "tour": ([], opened("Tour")),
    "help": ([], opened("Help")),
    "quit": ([], lambda s: not s.app.is_running or s.app._exit),
    "region(1)": (["2"], focused(1)),
    "region(2)": ([], focused(2)),
    "region(3)": ([], focused(3)),
    "region(4)": ([], focused(4)),
    "region(5)": ([], focused(5)),
    "move(1)": ([], line_is(1)),
    "move(-1)": (["j"], line_is(0)),
    "page(1)": ([], lambda s: s.app.main.pool._last_index > 0),
    "page(-1)": (["G"], lambda s: s.app.main.pool._last_index < 3),
    "end(1)": ([], line_is(3)),
    "end(-1)": (["G"], line_is(0)),
}
PRESSED = [(a.id, NAMES.get(key, key)) for a in ACTIONS for key in a.key.split(",")]
VIEWS: dict[type[ViewScreen], list[str]] = {
    Requests: ["R"], History: ["H"], BenchView: ["B"], Registry: ["M"], LogView: ["L"], Playground: ["g", "tab"],
}  # fmt: skip
IN_VIEWS = [(view, key) for view in VIEWS for a in view.KEYS for key in a.key.split(",")]
IN_TASK = [b.key for b in TaskDetail.BINDINGS if "here(" in b.action or "region(" in b.action]  # type: ignore[union-attr]
IN_MODEL = [b.key for b in ModelDetail.BINDINGS]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ``x`` writes its pictures."""
    monkeypatch.chdir(tmp_path)


def test_every_action_and_every_view_has_its_proof_here() -> None:
    """Neither more nor less than the screens' own tables."""
    assert EFFECTS.keys() == {a.id for a in ACTIONS}
    assert set(VIEWS) == set(ViewScreen.__subclasses__())


@pytest.mark.parametrize(("action", "key"), PRESSED)
async def test_each_key_does_what_it_says(
    action: str, key: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a healthy engine, by each of the action's keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    before, proof = EFFECTS[action]
    async with seat() as s:
        await s.press(*before, key)
        await s.until(lambda: proof(s))


STATES: dict[str, dict[str, Any]] = {
    "first run": {"snapshot": EMPTY}, "connecting": {"snapshot": None}, "gone": {"state": "gone"},
    "stale": {"state": "stale"}, "error": {"state": "error"}, "only reads": {"read_only": True},
    "swapping": {"snapshot": SWAPPING}, "on trial": {"snapshot": ON_TRIAL}, "measuring": {"snapshot": BENCHING},
    "a model failed": {"snapshot": FAILED},
    "announced": {"snapshot": with_task("topic", next_incumbent="x", next_at=9e9)},
}  # fmt: skip
SILENT = ("stale", "gone", "only reads", "connecting", "error")  # nothing may be asked to change here


@asynccontextmanager
async def sitting(state: str, size: tuple[int, int] = (120, 40)) -> Any:
    how = dict(STATES[state])
    snapshot = how.pop("snapshot", HEALTHY)
    engine = FakeEngine(*([] if snapshot is None else [snapshot]))
    app = cockpit(*([] if snapshot is None else [snapshot]), engine=engine, history=False, **how)
    async with app.run_test(size=size) as pilot:
        s = Seat(app, engine, pilot)
        await pilot.pause()
        if snapshot is not None:
            await s.until(lambda: app.view.snapshot is not None)
        yield s


def seen(s: Seat) -> tuple[Any, ...]:
    """All by which a key may answer."""
    main = s.app.main
    return (
        s.app.screen, s.notice, len(s.engine.calls), main.zoomed, main.focused, s.app.view.frozen, main.pool.sort,
        main.pool.cursor, s.app._exit, s.screen_text(),
    )  # fmt: skip


@pytest.mark.parametrize("state", STATES)
async def test_no_key_of_the_main_screen_fails_or_is_silent_in_any_state(state: str) -> None:
    """Each answers: by a screen, a move, a call, or the sentence that says why not. Where nothing may be changed, no
    call that writes is made. Moving where nothing is to move is the one thing that need not answer."""
    async with sitting(state) as s:
        for action, key in PRESSED:
            if action == "quit":
                continue  # on its own below
            await back(s)
            before = seen(s)
            await s.press(key)
            moves = action.startswith(("move", "page", "end", "region"))
            assert moves or seen(s) != before, (state, key)
        wrote = [c for c in s.engine.calls if c[0] in WRITES]
        assert not wrote or state not in SILENT, (state, wrote)


async def back(s: Seat) -> None:
    """To the main screen as it was at first."""
    for _ in range(4):
        if s.app.screen is s.app.main and not s.notice and not s.app.main.zoomed:
            break
        await s.press("escape")
    if s.app.view.frozen:
        await s.press("p")
    assert s.app.screen is s.app.main


@pytest.mark.parametrize("state", STATES)
async def test_q_leaves_in_every_state(state: str) -> None:
    """Whatever is wrong with the engine, the way out is open."""
    async with sitting(state) as s:
        await s.press("q")
        await s.until(lambda: s.app._exit or not s.app.is_running)


@pytest.mark.parametrize(("view", "key"), IN_VIEWS)
async def test_no_key_of_a_view_is_silent(view: type[ViewScreen], key: str) -> None:
    """It asks the engine, opens something, changes what is drawn, or says why not."""
    async with seat() as s:
        await s.press(*VIEWS[view])
        await s.until(lambda: isinstance(s.app.screen, view))
        await s.pilot.pause(0.05)
        before = (s.app.screen, s.notice, len(s.engine.calls), s.screen_text())
        await s.press(key)
        await s.until(lambda: (s.app.screen, s.notice, len(s.engine.calls), s.screen_text()) != before)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("state", ["gone", "only reads"])
async def test_keys_of_a_view_change_nothing_where_nothing_may_be_changed(view: type[ViewScreen], state: str) -> None:
    """And none of them fails."""
    async with sitting(state) as s:
        await s.press(*VIEWS[view])
        if not isinstance(s.app.screen, view):
            assert s.notice, "it says why it can't be opened"
            return
        for key in {key for v, key in IN_VIEWS if v is view}:
            await s.press(key)
            while s.app.screen is not s.app.main and not isinstance(s.app.screen, view):
                await s.press("escape")
            if s.app.screen is s.app.main:
                await s.press(*VIEWS[view])
        assert not [c for c in s.engine.calls if c[0] in WRITES]


@pytest.mark.parametrize("view", VIEWS)
async def test_from_a_view_to_the_others(view: type[ViewScreen]) -> None:
    """The capital keys of the main screen lead from one view to the next; the view's own says that you are there; one
    escape leads back to the main screen."""
    by_id = {a.id: a.key for a in ACTIONS}
    own = {key for a in view.KEYS for key in a.key.split(",")}
    for jump in JUMPS:
        if by_id[jump] in own:
            continue
        async with seat() as s:
            await s.press(*VIEWS[view])
            await s.until(lambda: isinstance(s.app.screen, view))
            first = s.app.screen
            await s.press(by_id[jump])
            if getattr(first, "ACTION", "") == jump:
                assert "you are there" in s.notice
                continue
            await s.until(lambda was=first: s.app.screen not in (was, s.app.main))  # type: ignore[misc]
            assert len(s.app.screen_stack) == 2
            await s.press("escape")
            assert s.app.screen is s.app.main


@pytest.mark.parametrize("key", IN_TASK)
async def test_no_key_of_the_task_screen_is_silent(key: str) -> None:
    """Its own table: the dialogs, the regions, zoom."""
    async with seat() as s:
        await s.press("T")
        await s.until(lambda: isinstance(s.app.screen, TaskDetail) and bool(s.app.screen.facts.told))
        if key == "1":
            await s.press("2")
        screen = s.app.screen
        assert isinstance(screen, TaskDetail)
        before = (s.app.screen, s.notice, len(s.engine.calls), screen.zoomed, screen.focused)
        await s.press(key)
        await s.until(lambda: (s.app.screen, s.notice, len(s.engine.calls), screen.zoomed, screen.focused) != before)


@pytest.mark.parametrize("key", IN_MODEL)
async def test_every_key_of_a_models_sheet_acts_on_that_model_or_says_why_not(key: str) -> None:
    """The sheet's own table: what it is left for happens to its model, or a sentence says why it does not."""
    async with seat() as s:
        await s.press("j", "enter")
        await s.until(lambda: isinstance(s.app.screen, ModelDetail))
        sheet = s.app.screen
        await s.press(key)
        await s.until(lambda: s.app.screen is not sheet or "▲" in s.screen_text())


@pytest.mark.parametrize("key", ["f1", "question_mark"])
@pytest.mark.parametrize("where", ["", "R", "T", "g"])
async def test_help_is_reached_from_everywhere(where: str, key: str) -> None:
    """Also by f1: in the playground's prompt a question mark is a question mark, and the last line says so."""
    async with seat() as s:
        await s.press(*where)
        before = s.app.screen
        await s.press(key)
        if where == "g" and key == "question_mark":
            assert s.app.screen is before
            assert isinstance(before, Playground)
            assert before.prompt.text == "?"
            assert "f1 keys" in s.screen_text()
            return
        await s.until(lambda: s.app.screen is not before)
        assert "keys" in s.screen_text()
