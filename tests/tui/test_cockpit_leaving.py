"""The ways out: what asks first and what does not, ctrl+q and ctrl+c, a window in which nothing can be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from canned import HEALTHY
from canned_states import BENCHING, ON_TRIAL
from cockpit_seat import seat

from arbiter_tui.core.snapshot import OperationView
from arbiter_tui.tui.leaving import at_stake
from arbiter_tui.tui.screens.confirm import Confirm
from arbiter_tui.tui.screens.main import TooSmall
from arbiter_tui.tui.screens.sheet import Sheet
from arbiter_tui.tui.text import plain

LATER = replace(
    HEALTHY,
    revision=60,
    operations=(OperationView(id="ap-1", kind="appointment", state="waiting", message="topic to gemma at Sun 06:00"),),
)
STAKES = {"bench": (BENCHING, "A benchmark is running"), "trial": (ON_TRIAL, "on trial"), "later": (LATER, "missed")}


@pytest.mark.parametrize("keys", [("q",), ("ctrl+q",), ("g", "tab", "ctrl+q"), ("question_mark", "ctrl+q")])
async def test_what_would_be_lost_is_asked_about_and_leaving_the_engine_is_the_default(keys: tuple[str, ...]) -> None:
    """From everywhere ctrl+q is what q is on the main screen; enter at once ends nothing."""
    for snapshot, word in STAKES.values():
        async with seat(snapshot, owns_engine=True) as s:
            await s.press(*keys)
            await s.until(lambda s=s: isinstance(s.app.screen, Confirm))  # type: ignore[misc]
            assert word in s.screen_text()
            await s.press("enter")
            await s.until(lambda s=s: s.app._exit)  # type: ignore[misc]
            assert not s.app.stop_engine


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_where_nothing_is_lost_nothing_is_asked(key: str) -> None:
    """An idle engine of one's own ends with its cockpit; another's never does, whatever it is doing."""
    async with seat(HEALTHY, owns_engine=True) as s:
        await s.press(key)
        await s.until(lambda: s.app._exit)
        assert s.app.stop_engine
    async with seat(BENCHING) as s:
        await s.press(key)
        await s.until(lambda: s.app._exit)
        assert not s.app.stop_engine


async def test_ctrl_c_ends_nothing_and_says_what_does() -> None:
    """On the main screen and in a sheet, in the cockpit's own words and with the key as it is mapped."""
    async with seat(HEALTHY, keys={"quit": "Q"}) as s:
        await s.press("ctrl+c")
        assert s.notice == "▲ Q quits, ctrl+q from everywhere"
        await s.press("question_mark", "ctrl+c")
        assert isinstance(s.app.screen, Sheet)
        assert "Q quits, ctrl+q from everywhere" in s.screen_text()
        assert not s.app._exit


def test_a_finished_benchmark_and_a_kept_appointment_are_not_at_stake() -> None:
    """Only what ends or is missed counts."""
    done = replace(BENCHING, operations=tuple(replace(o, state="done") for o in BENCHING.operations))
    kept = replace(LATER, operations=tuple(replace(o, state="cancelled") for o in LATER.operations))
    for snapshot in (None, HEALTHY, done, kept):
        assert at_stake(snapshot, used_by_others=False) == []
    assert len(at_stake(HEALTHY, used_by_others=True)) == 1


async def test_where_nothing_can_be_seen_no_key_steers() -> None:
    """Below the smallest size: it names the size and the one key that works; a larger window has all of them again."""
    async with seat(HEALTHY, size=(40, 10)) as s:
        said = "\n".join(plain(x) for x in s.app.main.query_one(TooSmall)._lines)
        assert "44×10" in said
        assert "q quits" in said
        calls = list(s.engine.calls)
        await s.press("w", "u", "s", "b", "r", "enter", "question_mark", "c", "n")
        assert s.app.screen is s.app.main
        assert s.engine.calls == calls
        await s.pilot.resize_terminal(120, 40)
        await s.press("s")
        assert isinstance(s.app.screen, Sheet)


async def test_q_works_where_nothing_can_be_seen() -> None:
    """The way out is never shut."""
    async with seat(HEALTHY, size=(40, 10)) as s:
        await s.press("q")
        await s.until(lambda: s.app._exit)
