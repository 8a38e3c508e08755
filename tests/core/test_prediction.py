"""What a version will show before it has answered: from those that are alike, with an interval that holds."""

from __future__ import annotations

import math
import random

import pytest
from core_cases import version
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.prediction import (
    NEIGHBOURS,
    Traits,
    alike,
    predict,
    predict_amount,
    read_name,
    traits,
    weights,
)

NAMES = ("ada-2-1b", "ada-2-7b", "ada-3-7b", "bob-7b-q4_0", "bob-7b-q8_0", "cid-13b-instruct", "dot-270m")
KNOWN = [read_name(name) for name in NAMES]


@pytest.mark.parametrize(
    ("name", "words", "family", "size", "quantization"),
    [
        ("Ada-3.1-8B-Instruct-Q4_K_M.gguf", ("ada", "3.1"), "ada", 8e9, "q4_k_m"),
        ("bob2-135m", ("bob2",), "bob", 135e6, None),
        ("cid-v0.3", ("cid",), "cid", None, None),
        ("dot_1.5b-it-fp8", ("dot",), "dot", 1.5e9, "fp8"),
        ("7b", (), None, 7e9, None),
        ("", (), None, None, None),
    ],
)
def test_what_a_name_tells(name: str, words: tuple[str, ...], family: str, size: float, quantization: str) -> None:
    """Words without size, quantisation and what many names have; family; parameters."""
    found = read_name(name)
    assert (found.words, found.family, found.size, found.quantization) == (words, family, size, quantization)


def test_what_is_registered_goes_before_what_the_name_tells() -> None:
    """Parameters, family and quantisation of the version, where they are known."""
    known = version("x", model="ada-2-1b-q4_0", parameters=5, family="llama", quantization="Q8_0")
    assert traits(known) == Traits(name="x", words=("ada", "2"), family="llama", size=5.0, quantization="q8_0")
    plain = traits(version("x", model="ada-2-1b-q4_0"))
    assert (plain.family, plain.size, plain.quantization) == ("ada", 1e9, "q4_0")


def test_who_is_alike() -> None:
    """The same in another size, then the family, then a stranger; never more than oneself, and the same both ways."""
    one, sibling, cousin, stranger = KNOWN[0], KNOWN[1], KNOWN[2], KNOWN[5]
    assert alike(one, one) > alike(one, sibling) > alike(one, cousin) > alike(one, stranger) > 0
    assert alike(one, cousin) == alike(cousin, one)
    assert alike(KNOWN[3], KNOWN[4]) > alike(KNOWN[1], KNOWN[2])


@given(st.permutations(range(len(NAMES))), st.integers(2, len(NAMES) - 1))
def test_the_weights_are_shares_and_the_most_alike_has_the_most(order: list[int], count: int) -> None:
    """They sum to 1 whoever is known, and nobody outweighs the most alike but one that is about as alike."""
    new, known = KNOWN[order[0]], tuple(KNOWN[i] for i in order[1 : count + 1])
    share, sd = weights(known, new)
    assert math.isclose(sum(share), 1.0, abs_tol=1e-9)
    assert sd > 0
    heaviest = max(range(len(known)), key=lambda i: share[i])
    assert alike(new, known[heaviest]) >= max(alike(new, one) for one in known) - 0.051


@given(st.dictionaries(st.sampled_from(NAMES[1:]), st.floats(0.0, 1.0), max_size=6))
def test_a_prediction_is_a_quality_within_its_interval(table: dict[str, float]) -> None:
    """Always in 0..1 and inside; nothing is predicted from fewer than two; equal ones predict their value."""
    (found,) = predict(KNOWN[0], KNOWN[1:], [table])
    if len(table) < 2:
        assert found is None
        return
    assert found is not None
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.known == len(table)
    assert found.alike in table
    (same,) = predict(KNOWN[0], KNOWN[1:], [dict.fromkeys(table, 0.4)])
    assert same is not None
    assert same.value == pytest.approx(0.4)


def test_a_sibling_is_followed_and_strangers_are_averaged() -> None:
    """Between its sibling's .9 and the others' .3 a version is expected nearer to its sibling."""
    table = {"ada-2-7b": 0.9, "bob-7b-q4_0": 0.3, "cid-13b-instruct": 0.3, "dot-270m": 0.3}
    known = [t for t in KNOWN if t.name in table]
    (sibling,) = predict(KNOWN[0], known, [table])
    (stranger,) = predict(read_name("eve-30b"), known, [table])
    assert sibling is not None
    assert stranger is not None
    assert sibling.value > 0.6
    assert sibling.alike == "ada-2-7b"
    assert stranger.value == pytest.approx(0.45, abs=0.06)


def test_the_interval_holds_what_it_states() -> None:
    """In simulated worlds that are as assumed, 80% intervals hold 74 to 90 of a hundred left-out models."""
    chance, covered, seen = random.Random(4), 0, 0
    for _ in range(60):
        level = {t.name: chance.gauss(0.5, 0.1) for t in KNOWN}
        for lineage in ("ada-2", "bob"):
            shift = chance.gauss(0.0, 0.15)
            level = {n: v + shift * n.startswith(lineage) for n, v in level.items()}
        tables = [{n: min(1.0, max(0.0, v + chance.gauss(0.0, 0.08))) for n, v in level.items()} for _ in range(8)]
        new = chance.choice(KNOWN)
        others = [t for t in KNOWN if t is not new]
        told = predict(new, others, [{n: q for n, q in t.items() if n != new.name} for t in tables])
        for table, found in zip(tables, told, strict=True):
            assert found is not None
            seen += 1
            covered += found.low <= table[new.name] <= found.high
    assert 0.74 <= covered / seen <= 0.90


def test_only_the_most_alike_are_asked() -> None:
    """However many are known, the prediction rests on NEIGHBOURS of them."""
    many = [read_name(f"zed{n}-7b") for n in range(40)]
    (found,) = predict(KNOWN[0], [*many, *KNOWN[1:]], [{t.name: 0.5 for t in [*many, *KNOWN[1:]]}])
    assert found is not None
    assert found.known == NEIGHBOURS


def test_seconds_and_bytes_grow_with_the_size() -> None:
    """Twice the parameters, twice the seconds; without sizes, the mean of the logarithms; nothing of nothing."""
    table = {"ada-2-7b": 7.0, "bob-7b-q4_0": 7.0, "cid-13b-instruct": 13.0}
    known = [t for t in KNOWN if t.name in table]
    found = predict_amount(read_name("eve-30b"), known, table)
    assert found is not None
    assert found.value == pytest.approx(30.0, rel=0.01)
    assert found.low <= found.value <= found.high
    plain = predict_amount(read_name("eve"), known, {"ada-2-7b": 2.0, "bob-7b-q4_0": 2.0})
    assert plain is not None
    assert plain.value == pytest.approx(2.0)
    assert predict_amount(KNOWN[0], known, {"ada-2-7b": 7.0, "bob-7b-q4_0": 0.0}) is None


def test_seconds_learn_their_interval_from_other_tasks_too() -> None:
    """Where other tasks show that alike versions took very different times, the interval is wider, the value the same;
    tasks without any of them say nothing."""
    table = {"ada-2-7b": 7.0, "bob-7b-q4_0": 7.0, "cid-13b-instruct": 13.0}
    known = [t for t in KNOWN if t.name in table]
    alone = predict_amount(read_name("eve-30b"), known, table)
    wild = {"ada-2-7b": 1.0, "bob-7b-q4_0": 70.0, "cid-13b-instruct": 3.0}
    wider = predict_amount(read_name("eve-30b"), known, table, beside=[wild])
    assert alone is not None
    assert wider is not None
    assert wider.value == alone.value
    assert wider.low < alone.low <= alone.high < wider.high
    assert predict_amount(read_name("eve-30b"), known, table, beside=[{}, {"ada-2-7b": 0.0}]) == alone
