"""Keys as values: what a scope includes, what a token looks like, how an allowance refills."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.access import SCOPES, Bucket, Key, Secret, key_of, parts


def test_a_scope_includes_those_before_it_and_no_other() -> None:
    """infer < control < admin."""
    allowed = {scope: [need for need in SCOPES if Key(id="k", name="n", scope=scope).allows(need)] for scope in SCOPES}
    assert allowed == {"infer": ["infer"], "control": ["infer", "control"], "admin": ["infer", "control", "admin"]}


def test_a_key_survives_being_stored_and_shows_nothing_of_its_secrets() -> None:
    """Through JSON and back it is equal; what is shown holds neither salt nor hash."""
    secrets = (Secret(salt="5a17", hash="4a54", until=20.0), Secret(salt="5a18", hash="4a55"))
    key = Key(id="k", name="n", tasks=("a",), requests_per_minute=3, expires_at=9.0, secrets=secrets)
    assert key_of(json.loads(json.dumps(key.as_dict()))) == key
    shown = key.shown(now=10.0)
    assert (shown["state"], shown["old_secret_until"]) == ("expired", 20.0)
    assert key.shown(now=8.0)["state"] == "valid"
    assert key.shown(now=21.0)["old_secret_until"] is None
    assert not any(text in json.dumps(shown) for text in ("5a17", "4a54", "5a18", "4a55"))


@pytest.mark.parametrize("token", ["", "arb_", "arb_x", "arb__y", "arb_x_", "sk-abc", "x_arb_y"])
def test_what_has_not_the_form_of_a_key_is_none(token: str) -> None:
    """Such a text is never looked up."""
    assert parts(token) is None


def test_a_secret_may_hold_the_separator() -> None:
    """Only the first one behind the id counts."""
    assert parts("arb_id_a_b-c") == ("id", "a_b-c")


def test_a_bucket_gives_a_minutes_worth_at_once_and_then_evenly() -> None:
    """60 a minute: 60 at once, then one a second; nothing accumulates beyond that."""
    bucket = Bucket(60, now=0.0)
    for _ in range(60):
        assert bucket.wait(0.0) == 0.0
        bucket.take(1)
    assert bucket.wait(0.0) == pytest.approx(1.0)
    assert bucket.wait(0.25) == pytest.approx(0.75)
    assert bucket.wait(1.0) == 0.0
    assert bucket.wait(1e6) == 0.0
    bucket.take(60)
    assert bucket.wait(1e6) == pytest.approx(1.0)


def test_what_was_taken_beyond_the_allowance_is_repaid_first() -> None:
    """An answer's tokens are known at its end: a debt delays the next request by exactly its size."""
    bucket = Bucket(600, now=0.0)
    bucket.take(900)
    assert bucket.wait(0.0) == pytest.approx(30.1)
    assert bucket.wait(30.1) == pytest.approx(0.0, abs=1e-6)


def test_an_allowance_below_one_a_minute_still_lets_one_through() -> None:
    """One request every two minutes."""
    bucket = Bucket(0.5, now=0.0)
    assert bucket.wait(0.0) == 0.0
    bucket.take(1)
    assert bucket.wait(0.0) == pytest.approx(120.0)


@given(st.floats(0.01, 1e6), st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e4)), max_size=30))
def test_after_the_wait_that_it_names_there_is_room(rate: float, uses: list[tuple[float, float]]) -> None:
    """Whatever was taken when: waiting as long as told is enough."""
    bucket, now = Bucket(rate, now=0.0), 0.0
    for pause, amount in uses:
        now += pause
        bucket.take(amount)
        wait = bucket.wait(now)
        assert wait >= 0.0
    now += bucket.wait(now)
    assert bucket.wait(now) <= 1e-6 * max(1.0, now)
