"""Records: a dataclass in everything but that the type checker alone keeps them frozen."""

from __future__ import annotations

from dataclasses import asdict, replace

from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.records import record


@record(frozen=True, slots=True, kw_only=True)
class Pair:
    first: int
    second: str = ""


@record(frozen=True, slots=True, eq=False)
class Claim:
    of: int


@given(st.integers(), st.text(), st.integers(), st.text())
def test_equal_records_are_one_key(a: int, b: str, c: int, d: str) -> None:
    """Equality and hash go by the fields, as a frozen dataclass's do."""
    one, other = Pair(first=a, second=b), Pair(first=c, second=d)
    assert (one == other) == ((a, b) == (c, d))
    assert len({one, other}) == (1 if one == other else 2)


def test_what_dataclasses_do_they_do() -> None:
    """Copies with a change, dictionaries, slots, defaults."""
    assert asdict(replace(Pair(first=1), second="x")) == {"first": 1, "second": "x"}
    assert not hasattr(Pair(first=1), "__dict__")


def test_claims_are_each_their_own() -> None:
    """Without equality two of the same content are two."""
    assert len({Claim(1), Claim(1)}) == 2
