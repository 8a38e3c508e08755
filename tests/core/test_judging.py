"""The worth of a judge's verdict: both orders, trust, correction, several judges."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.judging import (
    FIRST,
    MARGIN,
    SECOND,
    TIE,
    Trust,
    Verdict,
    agreement,
    always_longest,
    by_judge,
    corrected,
    cross_fitted,
    half_of,
    kappa,
    panel,
    trust,
)


def verdict(asis: int | None, swapped: int | None = None, *, label: int = FIRST, **more: object) -> Verdict:
    known = {"item": "i", "judge": "j", "label": label, "asis": asis, "swapped": swapped, **more}
    return Verdict(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asis", "swapped", "both", "winner"),
    [
        (FIRST, FIRST, True, FIRST), (SECOND, SECOND, True, SECOND), (FIRST, SECOND, True, TIE),
        (None, None, True, TIE),
        (FIRST, None, True, TIE), (TIE, TIE, True, TIE), (SECOND, None, False, SECOND), (None, None, False, TIE),
    ],
)  # fmt: skip
def test_only_what_both_orders_say_counts(asis: int | None, swapped: int | None, both: bool, winner: int) -> None:
    """Contradictions and silence are a tie; with one order alone its word stands."""
    assert verdict(asis, swapped, both=both).winner == winner


def test_a_judge_that_always_names_one_place_decides_nothing() -> None:
    """By the answers' own numbers, naming the first place is 1 as they stand and 2 in the other order: never a win."""
    constant = [verdict(FIRST, SECOND, label=label) for label in (FIRST, SECOND) for _ in range(50)]
    found = agreement(constant)
    assert (found.coverage, found.accuracy, found.first_shown) == (0.0, None, 1.0)
    assert trust(constant) == Trust()
    assert trust(constant).weight == 0.0


def test_trust_counts_each_side_apart_with_one_of_each_for_a_start() -> None:
    """Ties, and pairs without a better one, tell nothing of trust."""
    rows = [verdict(FIRST, FIRST)] * 8 + [verdict(SECOND, SECOND)] * 2
    rows += [verdict(SECOND, SECOND, label=SECOND)] * 9 + [verdict(FIRST, SECOND), verdict(FIRST, FIRST, label=TIE)]
    known = trust(rows)
    assert known == Trust(first_right=8, first_wrong=2, second_right=9, second_wrong=0)
    assert known.sensitivity == pytest.approx(9 / 12)
    assert known.specificity == pytest.approx(10 / 11)
    assert known.youden == pytest.approx(9 / 12 + 10 / 11 - 1)
    assert known.weight == pytest.approx(known.youden**2)
    assert known.vote > 0
    wrong = Trust(first_right=1, first_wrong=9, second_right=2, second_wrong=8)
    assert (wrong.weight, wrong.vote) == (0.0, 0.0)


@given(st.floats(0.05, 0.95), st.floats(0.6, 0.99), st.floats(0.6, 0.99))
def test_the_correction_undoes_the_judges_mistakes(p: float, sensitivity: float, specificity: float) -> None:
    """From the share that such a judge would name, the true share comes back; and more verdicts make it surer."""
    n = 1_000_000
    known = Trust(
        first_right=round(n * sensitivity), first_wrong=round(n * (1 - sensitivity)),
        second_right=round(n * specificity), second_wrong=round(n * (1 - specificity)),
    )  # fmt: skip
    q = p * sensitivity + (1 - p) * (1 - specificity)
    found = corrected(round(q * n), n, known)
    few = corrected(round(q * 100), 100, known)
    assert found is not None
    assert few is not None
    assert found[0] == pytest.approx(p, abs=1e-3)
    assert few[1] > found[1] > 0


def test_the_corrected_share_covers_the_truth() -> None:
    """Within two standard deviations in at least 93 of 100 simulated judges, the trust itself being learnt from 60."""
    hits = 0
    for seed in range(200):
        chance = random.Random(seed)

        def says(label: int, chance: random.Random = chance) -> int:
            right = chance.random() < (0.85 if label == FIRST else 0.75)
            return label if right else FIRST + SECOND - label

        known = trust([verdict(w := says(lab), w, label=lab) for lab in (FIRST, SECOND) for _ in range(30)])
        truth = [FIRST if chance.random() < 0.7 else SECOND for _ in range(200)]
        found = corrected(sum(says(label) == FIRST for label in truth), 200, known)
        assert found is not None
        hits += abs(found[0] - 0.7) <= 2 * found[1]
    assert hits >= 186


def test_a_judge_that_says_nothing_corrects_nothing() -> None:
    """A coin, one that is mostly wrong, and one without verdicts."""
    coin = Trust(first_right=50, first_wrong=50, second_right=50, second_wrong=50)
    assert corrected(5, 10, coin) is None
    assert corrected(5, 10, Trust(first_right=1, first_wrong=9, second_right=1, second_wrong=9)) is None
    assert corrected(0, 0, Trust(first_right=90, second_right=90)) is None
    share = corrected(10, 10, Trust(first_right=90, first_wrong=10, second_right=90, second_wrong=10))
    assert share is not None
    assert share[0] == 1.0
    assert share[1] > 0.0


def test_kappa_is_agreement_beyond_chance() -> None:
    """1 for the same, 0 for chance, below it for contradiction; None where there is nothing to tell."""
    assert kappa([(1, 1), (2, 2), (0, 0)]) == pytest.approx(1.0)
    assert kappa([(1, 1), (1, 2), (2, 1), (2, 2)]) == pytest.approx(0.0)
    assert kappa([(1, 2), (2, 1)]) == pytest.approx(-1.0)
    assert kappa([(1, 1), (1, 1)]) is None
    assert kappa([]) is None


def test_agreement_by_hand() -> None:
    """Five pairs, each figure counted on the pairs that tell it."""
    rows = [
        verdict(FIRST, FIRST, len1=9, len2=1), verdict(FIRST, FIRST, label=SECOND, len1=9, len2=1),
        verdict(SECOND, FIRST, len1=1, len2=9), verdict(FIRST, SECOND, label=TIE),
        verdict(SECOND, SECOND, label=SECOND, len1=4, len2=4),
    ]  # fmt: skip
    found = agreement(rows)
    assert found.pairs == 5
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.coverage == pytest.approx(3 / 4)
    assert found.accuracy_asis == pytest.approx(2 / 4)
    assert found.consistency == pytest.approx(3 / 5)
    assert found.first_shown == pytest.approx(1 / 2)
    assert found.longer == pytest.approx(1.0)
    assert always_longest(rows) == pytest.approx(1 / 3)
    assert agreement([]).accuracy is None


def test_a_panel_follows_those_that_can_be_trusted() -> None:
    """The lead of the votes must be more than MARGIN of all of them; who has no vote changes nothing."""
    good, bad = verdict(FIRST, FIRST, judge="good"), verdict(SECOND, SECOND, judge="bad")
    assert panel([good, bad], {"good": 2.0, "bad": 0.9}).winner == FIRST
    assert panel([good, bad], {"good": 2.0, "bad": 1.0}).winner == TIE  # exactly a third
    assert panel([good, bad], {"good": 0.1}).winner == FIRST
    assert panel([good, bad], {}).winner == TIE
    assert panel([bad, good], {"bad": 2.0, "good": 0.0}).winner == SECOND
    assert pytest.approx(1 / 3) == MARGIN


def test_votes_are_learnt_on_other_pairs_than_they_are_counted_on() -> None:
    """Labels of one half changed at will leave the panel's verdicts on that half as they were."""
    chance = random.Random(3)
    rows = [
        verdict(w := (label if chance.random() < right else 3 - label), w, label=label, judge=judge, item=f"p{n}")
        for n in range(200) for label in [chance.choice((FIRST, SECOND))]
        for judge, right in (("good", 0.9), ("coin", 0.5))
    ]  # fmt: skip
    found = {one.item: one.winner for one in cross_fitted(rows)}
    assert len(found) == 200
    lied = [one if half_of(one.item) else verdict(one.asis, one.swapped, label=3 - one.label, judge=one.judge,
                                                  item=one.item) for one in rows]  # fmt: skip
    changed = {one.item: one.winner for one in cross_fitted(lied)}
    assert all(changed[item] == winner for item, winner in found.items() if not half_of(item))
    assert any(changed[item] != winner for item, winner in found.items() if half_of(item))
    assert list(by_judge(rows)) == ["coin", "good"]
