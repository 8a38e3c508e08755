"""What can be read off a prompt, who is predicted to answer it best, and when that is worth anything."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core import difficulty
from arbiter_tui.core.difficulty import MARGIN, PLAIN, Features, Graded, Likeness, chosen, features, learn, like

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
    assert len(found.plain) == len(features("").plain) == 9
    assert all(abs(value) < 20 for value in found.plain)
    assert all(value >= 1.0 for value in found.words.values())
    assert features(text) == found


def test_features_tell_prompts_apart() -> None:
    """Digits, code, capitals, lines, other letters and length each move their own."""
    plain = features("some words of a prompt").plain
    others = (
        "some words of a prompt, and then many more of them", "some words of a 12345", "some {words} = [of];",
        "SOME WORDS OF A PROMPT", "some\n\n\nwords of", "söme wörds öf ä", "some words? of a? prompt?",
    )  # fmt: skip
    for at, text in enumerate(others):
        assert features(text).plain[at] > plain[at]


def test_what_tells_is_learnt_and_routed_by() -> None:
    """Where prompts tell who answers best, more than half of what could be gained is; on prompts never seen."""
    known = learn(prompts(160, 1, tells=True))
    assert known.pays
    asked = prompts(150, 2, tells=True)
    chosen = [known.route(row.features) for row in asked]
    routed = sum(row.grades[c] for row, c in zip(asked, chosen, strict=True)) / 150
    best = sum(row.grades[known.best] for row in asked) / 150
    assert routed > best + 0.12
    assert set(chosen) == {0, 1}


@pytest.mark.parametrize("seed", range(4))
def test_where_nothing_tells_everything_stays_with_the_best(seed: int) -> None:
    """The gate is shut, and then the best version answers every prompt."""
    known = learn(prompts(120, seed, tells=False))
    assert (known.pays, known.best) == (False, 0)
    assert {known.route(row.features) for row in prompts(100, 9, tells=True)} == {0}


def test_a_small_difference_is_not_worth_it() -> None:
    """Another one must be predicted to be better by more than the margin."""
    assert chosen([0.5, 0.5 + MARGIN / 2], 0) == 0
    assert chosen([0.5, 0.5 + 2 * MARGIN], 0) == 1
    assert chosen([0.5, 0.4], 0) == 0


@given(st.lists(st.text(alphabet="abc 1?", max_size=40), min_size=2, max_size=8))
def test_a_prompt_is_most_like_itself(texts: list[str]) -> None:
    """Likeness is symmetric, between 0 and 1 + PLAIN, and largest with itself; unknown words count for nothing."""
    told = [features(text) for text in texts]
    seen = Likeness(told)
    placed = [seen.placed(one) for one in told]
    for a in placed:
        assert like(a, a) <= 1.0 + PLAIN + 1e-9
        for b in placed:
            assert like(a, b) == pytest.approx(like(b, a))
            assert 0.0 <= like(a, b) <= like(a, a) + 1e-9
    assert seen.placed(Features(told[0].plain, {-1: 1.0})).words == {}


def test_rare_words_make_prompts_more_alike_than_frequent_ones() -> None:
    """Two that share a word which few have, against two that share one which all have."""
    seen = Likeness([features(f"the {word}") for word in ("cat", "cat", "dog", "elk", "fox", "owl")])
    cat, other, dog = (seen.placed(features(text)) for text in ("the cat", "a cat", "the dog"))
    assert like(cat, other) > like(cat, dog)


@pytest.mark.parametrize("seed", range(3))
def test_the_prediction_of_a_past_prompt_from_the_others_is_exact(seed: int) -> None:
    """What the sweep says of each prompt without itself is what a predictor says that was never told of it."""
    rows = prompts(30, seed, tells=True)
    told = learn(rows)
    kernel = difficulty._alike(told.past)
    assert kernel[3][7] == kernel[7][3] == pytest.approx(like(told.past[3], told.past[7]))
    assert kernel[5][5] == pytest.approx(like(told.past[5], told.past[5]) + difficulty.RIDGE)
    turned = difficulty._inverse([list(row) for row in kernel])
    for i, row in enumerate(kernel):
        for j in range(30):
            assert sum(x * turned[k][j] for k, x in enumerate(row)) == pytest.approx(float(i == j), abs=1e-9)
    rest = [row.grades[0] - told.means[0] for row in rows]
    others = [k for k in range(30) if k != 4]
    small = difficulty._inverse([[kernel[a][b] for b in others] for a in others])
    by_hand = sum(kernel[4][b] * sum(small[x][y] * rest[others[y]] for y in range(29)) for x, b in enumerate(others))
    assert told.means[0] + by_hand == pytest.approx(rows[4].grades[0] - told.pulls[0][4] / turned[4][4])


def test_only_the_newest_prompts_are_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is bounded."""
    monkeypatch.setattr(difficulty, "REMEMBERED", 50)
    rows = prompts(80, 5, tells=True)
    assert learn(rows).means == learn(rows[30:]).means
    assert len(learn(rows).past) == 50
