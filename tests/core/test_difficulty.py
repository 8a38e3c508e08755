"""What can be read off a prompt, who is predicted to answer it best, and when that is worth anything."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.difficulty import HASHED, MARGIN, Graded, Predictor, features, learn

WORDS = {True: ("12", "34", "56", "plus", "times"), False: ("once", "upon", "a", "king", "slept")}


def prompts(count: int, seed: int, *, tells: bool) -> list[Graded]:
    """Sums and stories. The first version is better on both; where prompts ``tell``, the second one on stories."""
    chance, rows = random.Random(seed), []
    for _ in range(count):
        sums = chance.random() < 0.6
        text = " ".join(chance.choice(WORDS[sums]) for _ in range(12))
        good = (0.9, 0.3) if sums or not tells else (0.3, 0.9)
        rows.append(Graded(features(text), [float(chance.random() < share) for share in good]))
    return rows


@given(st.text(max_size=300))
def test_features_are_always_as_many_and_finite(text: str) -> None:
    """Whatever is in a prompt, none of it far from 1; the same prompt has the same."""
    found = features(text)
    assert len(found) == len(features("")) == 9 + HASHED
    assert all(abs(value) < 20 for value in found)
    assert features(text) == found


def test_features_tell_prompts_apart() -> None:
    """Digits, code, capitals, lines, other letters and length each move their own."""
    plain = features("some words of a prompt")
    others = (
        "some words of a prompt, and then many more of them", "some words of a 12345", "some {words} = [of];",
        "SOME WORDS OF A PROMPT", "some\n\n\nwords of", "söme wörds öf ä", "some words? of a? prompt?",
    )  # fmt: skip
    for at, text in enumerate(others):
        assert features(text)[at] > plain[at]


def test_what_tells_is_learnt_and_routed_by() -> None:
    """Where prompts tell who answers best, more than half of what could be gained is; on prompts never seen."""
    known = learn(prompts(300, 1, tells=True))
    assert known.pays
    asked = prompts(300, 2, tells=True)
    chosen = [known.route(row.features) for row in asked]
    routed = sum(row.grades[c] for row, c in zip(asked, chosen, strict=True)) / 300
    best = sum(row.grades[known.best] for row in asked) / 300
    assert routed > best + 0.12
    assert set(chosen) == {0, 1}


@pytest.mark.parametrize("seed", range(4))
def test_where_nothing_tells_everything_stays_with_the_best(seed: int) -> None:
    """The gate is shut, and then the best version answers every prompt."""
    known = learn(prompts(200, seed, tells=False))
    assert (known.pays, known.best) == (False, 0)
    assert {known.route(row.features) for row in prompts(100, 9, tells=True)} == {0}


def test_a_small_difference_is_not_worth_it() -> None:
    """Another one must be predicted to be better by more than the margin."""
    two = features("x")
    flat = tuple(0.0 for _ in two)
    near = Predictor((0.5, 0.5 + MARGIN / 2), flat, tuple(1.0 for _ in two), (flat, flat), 0, True)
    assert near.route(two) == 0
    far = Predictor((0.5, 0.5 + 2 * MARGIN), flat, tuple(1.0 for _ in two), (flat, flat), 0, True)
    assert far.route(two) == 1
    assert far.grades(two) == pytest.approx((0.5, 0.54))
