"""The narrator's words for a swap that has ended: what it was, in the same words as everywhere."""

from __future__ import annotations

import pytest

from arbiter_tui.core.snapshot import SwapView
from arbiter_tui.core.words import change
from arbiter_tui.engine.narrator import _told


@pytest.mark.parametrize(
    ("swap", "said"),
    [
        ({"from_": "a", "to": "b", "result": "done", "reason": "b leads by .2 on 40 samples; swapping"},
         "work: a → b. b leads by .2 on 40 samples"),
        ({"from_": "b", "to": "b", "result": "done", "reason": "b already serves work"},
         "work: b stays. b already serves work"),
        ({"from_": None, "to": "b", "result": "done", "reason": "asked"}, "work: nobody → b. asked"),
        ({"from_": "a", "to": "b", "result": "failed", "error": "b was not ready within 2 min"},
         "work: a → b failed: b was not ready within 2 min"),
    ],
)  # fmt: skip
def test_a_swap_that_has_ended_is_told_as_what_it_was(swap: dict[str, str], said: str) -> None:
    """No arrow from a version to itself, nothing about to happen that has happened."""
    assert _told(SwapView(id="s", task="work", **swap)) == said  # type: ignore[arg-type]


def test_a_version_that_takes_over_from_itself_stays() -> None:
    """The one phrase for it."""
    assert (change("a", "a"), change("a", "b"), change(None, "b")) == ("a stays", "a → b", "nobody → b")
