"""Pictures of every state, compared with accepted ones: sizes, themes, states. Behaviour is tested elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from canned import HEALTHY
from canned_past import machine
from canned_states import (
    BENCHING,
    EMPTY,
    FAILED,
    FOUR_GPUS,
    LONG,
    ON_TRIAL,
    REPLICATED,
    RIGHT_TO_LEFT,
    SWAPPING,
    crowd,
    many,
)
from fake_cockpit import FakeEngine, cockpit

from arbiter_tui.tui.app import CockpitApp

SMALL, USUAL, LARGE = (80, 24), (120, 40), (200, 60)
CASES: dict[str, tuple[Any, tuple[int, int], dict[str, Any], list[str]]] = {
    "healthy-80": (HEALTHY, SMALL, {}, []),
    "healthy-120": (HEALTHY, USUAL, {}, []),
    "healthy-200": (HEALTHY, LARGE, {}, []),
    "light-80": (HEALTHY, SMALL, {"theme": "light"}, []),
    "light-120": (HEALTHY, USUAL, {"theme": "light"}, []),
    "ansi-120": (HEALTHY, USUAL, {"theme": "ansi"}, []),
    "empty-120": (EMPTY, USUAL, {}, []),
    "empty-80": (EMPTY, SMALL, {}, []),
    "error-120": (None, USUAL, {"state": "error"}, []),
    "stale-120": (HEALTHY, USUAL, {"state": "stale"}, []),
    "gone-120": (HEALTHY, USUAL, {"state": "gone"}, []),
    "swapping-120": (SWAPPING, USUAL, {}, []),
    "failed-120": (FAILED, USUAL, {}, []),
    "benching-80-now": (BENCHING, SMALL, {}, ["5"]),
    "four-gpus-120": (FOUR_GPUS, USUAL, {}, []),
    "four-gpus-80-machine": (FOUR_GPUS, SMALL, {}, ["3"]),
    "crowd-120": (crowd(), USUAL, {}, []),
    "crowd-80": (crowd(), SMALL, {}, []),
    "crowd-200": (crowd(), LARGE, {}, []),
    "many-80": (many(), SMALL, {}, []),
    "many-80-ranking": (many(), SMALL, {}, ["2"]),
    "many-120": (many(), USUAL, {}, []),
    "many-200": (many(), LARGE, {}, []),
    "four-gpus-200": (FOUR_GPUS, LARGE, {}, []),
    "long-names-80": (LONG, SMALL, {}, []),
    "filter-120": (crowd(), USUAL, {}, ["slash", *"state:ready 13b"]),
    "zoom-200": (HEALTHY, LARGE, {}, ["3", "z"]),
    "ranking-80": (HEALTHY, SMALL, {}, ["2"]),
    "swaps-80": (HEALTHY, SMALL, {}, ["4"]),
    "unload-120": (HEALTHY, USUAL, {}, ["u"]),
    "swap-dialog-120": (HEALTHY, USUAL, {}, ["s"]),
    "swap-dialog-80-light": (HEALTHY, SMALL, {"theme": "light"}, ["s"]),
    "swap-how-120": (HEALTHY, USUAL, {}, ["s", "enter"]),
    "swap-when-80": (HEALTHY, SMALL, {}, ["s", "enter", "home", "j", "j", "enter"]),
    "on-trial-120": (ON_TRIAL, USUAL, {}, []),
    "trial-120": (ON_TRIAL, USUAL, {}, ["c"]),
    "trial-80-light": (ON_TRIAL, SMALL, {"theme": "light"}, ["c"]),
    "swap-record-120": (HEALTHY, USUAL, {}, ["4", "enter"]),
    "swap-record-80": (HEALTHY, SMALL, {}, ["4", "enter"]),
    "model-120": (HEALTHY, USUAL, {}, ["enter"]),
    "model-80": (HEALTHY, SMALL, {}, ["enter"]),
    "model-200": (HEALTHY, LARGE, {}, ["enter"]),
    "replicas-120": (REPLICATED, USUAL, {}, []),
    "replicas-80-model": (REPLICATED, SMALL, {}, ["enter"]),
    "right-to-left-80": (RIGHT_TO_LEFT, SMALL, {}, []),
    "right-to-left-120": (RIGHT_TO_LEFT, USUAL, {}, []),
    "shown-120": (HEALTHY, USUAL, {}, ["v"]),
    "hidden-120": (HEALTHY, USUAL, {}, ["v", "home", "space", "escape"]),
    "machine-80": (HEALTHY, SMALL, {}, ["m"]),
    "machine-120": (HEALTHY, USUAL, {}, ["m", *"jjjjjjj", "enter"]),
    "machine-200-four-gpus": (FOUR_GPUS, LARGE, {}, ["m"]),
    "help-80": (HEALTHY, SMALL, {}, ["question_mark"]),
    "too-small": (HEALTHY, (40, 8), {}, []),
}


def painted(app: CockpitApp) -> None:
    """A blank picture must never be accepted: something was drawn, and the app ended by itself."""
    assert any(w._lines for w in (app.main.header, app.main.small))
    assert app._exception is None


@pytest.mark.parametrize("case", CASES)
def test_picture(snap_compare: Callable[..., bool], case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen looks as it was accepted to look."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    snapshot, size, kw, press = CASES[case]
    engine = FakeEngine(*([snapshot] if snapshot else []))
    if case.startswith("machine"):
        engine.machine_answer = machine(gpus=4 if snapshot is FOUR_GPUS else 0)
    app = cockpit(*([snapshot] if snapshot else []), engine=engine, **kw)
    assert snap_compare(app, press=press, terminal_size=size)
    painted(app)


def test_picture_without_colour(snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: weights and reverse video only, every meaning still there as a glyph."""
    monkeypatch.setenv("NO_COLOR", "1")
    app = cockpit(HEALTHY)
    assert snap_compare(app, terminal_size=USUAL)
    painted(app)


def test_picture_before_the_first_snapshot(snap_compare: Callable[..., bool]) -> None:
    """While the engine starts the screen is there and says so."""
    assert snap_compare(cockpit(), terminal_size=USUAL)
