"""Windows in a byte or two a value: what is kept of each, in which order, and how exactly."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.series import FAR, LARGEST, Brief, Grades, Logs, Shares

numbers = st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), max_size=30)
shares = st.lists(st.floats(0.0, 1.0), max_size=30)
grades = st.lists(st.tuples(st.floats(0.0, 1.0), st.sampled_from("abcd")), max_size=30)
KINDS = (Brief, Logs, Shares)


@given(numbers)
def test_any_size_of_number_is_right_to_four_thousandths(values: list[float]) -> None:
    """In the order in which they came, and to the nearest of what can be kept."""
    assert list(Brief.of(values)) == pytest.approx(values, rel=2**-8, abs=1e-37)


@given(st.lists(st.floats(-120.0, 120.0), max_size=30))
def test_logarithms_are_right_to_half_a_step(values: list[float]) -> None:
    """Small or large, to 1/512."""
    assert list(Logs.of(values)) == pytest.approx(values, abs=1 / 512)


@given(shares)
def test_shares_are_right_to_half_a_step(values: list[float]) -> None:
    """To 1/480, and never outside 0..1."""
    kept = list(Shares.of(values))
    assert kept == pytest.approx(values, abs=1 / 480 + 1e-12)
    assert all(0.0 <= value <= 1.0 for value in kept)


def test_what_people_write_is_exact() -> None:
    """Simple fractions as shares; halves, quarters and small whole numbers as numbers and logarithms."""
    plain = [0.0, 1.0, *(k / n for n in (2, 3, 4, 5, 6, 8, 10, 12) for k in range(1, n))]
    assert list(Shares.of(plain)) == pytest.approx(plain, abs=1e-12)
    simple = [0.0, 0.25, 0.5, 0.75, 1.5, 3.0, 100.0]
    assert list(Brief.of([*simple, 255.0, 256.0, -7.5])) == [*simple, 255.0, 256.0, -7.5]
    assert list(Logs.of([*simple, -0.75])) == [*simple, -0.75]


def test_what_lies_beyond_is_cut_and_the_rest_is_not() -> None:
    """Infinite, or outside 0..1: the nearest that can be kept; what is no number stays none."""
    assert list(Shares.of([-1.0, 0.5, 7.0])) == [0.0, 0.5, 1.0]
    assert list(Brief.of([math.inf, 2.0, -1e300])) == pytest.approx([LARGEST, 2.0, -LARGEST], rel=2**-8)
    assert list(Logs.of([1e9, 2.0, -math.inf])) == [FAR, 2.0, -FAR]
    assert (list(Logs.of([1e9, 2.0])), list(Logs.of([-1e9, 2.0]))) == ([FAR, 2.0], [-FAR, 2.0])
    assert (list(Shares.of([-0.5, 0.5])), list(Shares.of([1.5, 0.5]))) == ([0.0, 0.5], [1.0, 0.5])
    assert math.isnan(next(iter(Brief.of([math.nan]))))


@pytest.mark.parametrize("kind", KINDS)
@given(first=shares, more=shares, most=st.integers(1, 20))
def test_keeping_is_keeping_the_newest(kind: type[Brief | Logs | Shares], first: list[float], more: list[float],
                                       most: int) -> None:  # fmt: skip
    """However they arrive; what was kept before is a value and stays as it was."""
    before = kind().keep(first, most)
    whole = [*first, *more]
    assert before.keep(more, most) == kind.of(whole[-most:])
    assert before == kind.of(first[-most:])
    assert len(before) == min(most, len(first))


@pytest.mark.parametrize("kind", KINDS)
@given(values=shares, at=st.integers(-30, 30), to=st.integers(-30, 30))
def test_it_is_a_sequence(kind: type[Brief | Logs | Shares], values: list[float], at: int, to: int) -> None:
    """Places and slices are those of the list, slices are of the same kind, and packing again changes nothing."""
    kept = kind.of(values)
    assert isinstance(kept[at:to], kind)
    assert list(kept[at:to]) == list(kept)[at:to]
    assert [kept[i] for i in range(len(values))] == list(kept)
    assert kind.of(list(kept)) == kept
    assert kept == values
    assert kept == tuple(values)
    assert kind.of(kept) is kept
    assert (hash(kind.of(values)), pickle.loads(pickle.dumps(kept))) == (hash(kept), kept)
    assert repr(kept) == f"{kind.__name__}({list(kept)})"


def test_equal_are_only_the_same_kind_and_values() -> None:
    """Neither another kind with the same bytes nor another order nor a word."""
    assert Brief.of([1.0]) != Logs.of([1.0])
    assert Logs(b"\x01", b"\x00") != Brief(b"\x01", b"\x00")
    for kind in KINDS:
        assert kind.of([0.0, 1.0]) != kind.of([1.0, 0.0])
        assert kind.of([0.0]) != [1.0]
        assert kind() != "nothing"
    assert Shares() != Brief()


@given(grades, grades, st.integers(1, 20))
def test_grades_keep_their_sources(first: list[tuple[float, str]], more: list[tuple[float, str]], most: int) -> None:
    """Each grade with who gave it, the newest of all; names of which nothing is left are forgotten for new ones."""
    kept = fill(Grades(), first, most)
    both = fill(kept, more, most)
    expected = [*first, *more][-most:]
    assert [name for _, name in both] == [name for _, name in expected]
    assert [grade for grade, _ in both] == pytest.approx([grade for grade, _ in expected], abs=1 / 480 + 1e-12)
    assert both == tuple(expected) == fill(Grades(), expected, most)
    assert both[-2:] == Grades().keep([g for g, _ in expected[-2:]], [s for _, s in expected[-2:]], most)
    assert [both[i] for i in range(len(both))] == list(both)
    assert kept == first[-most:]
    assert pickle.loads(pickle.dumps(both)) == both


def fill(kept: Grades, values: list[tuple[float, str]], most: int) -> Grades:
    return kept.keep([grade for grade, _ in values], [name for _, name in values], most)


def test_any_number_of_sources_in_turn_fits_into_a_byte() -> None:
    """A thousand names one after another: only those of the newest values are kept."""
    kept = Grades()
    for n in range(1000):
        kept = kept.keep([0.5], [f"client-{n}"], 200)
    assert list(kept) == [(0.5, f"client-{n}") for n in range(800, 1000)]
    assert len(kept.names) <= 201
    assert Grades().keep([0.5], ["a"], 9) != Grades().keep([0.5], ["b"], 9)
    assert Grades().keep([0.5], ["a"], 9) != Grades().keep([0.25], ["a"], 9)
    assert Grades() != "nothing"
    assert repr(Grades().keep([0.5], ["a"], 9)) == "Grades([(0.5, 'a')])"
    assert hash(Grades()) == hash(Grades())
