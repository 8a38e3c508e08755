"""Who of the replicas answers: laws of the choice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.balancing import PREFIX, SLACK, Seat, choose, prefix_key
from arbiter_tui.core.breaker import NEW, REPLICA, Event, Phase, State, allows, step

NOW = 1000.0
BREAKERS = st.sampled_from(
    [NEW, State(phase=Phase.OPEN, trips=1, until=NOW + 5), State(phase=Phase.OPEN, trips=3, until=NOW + 1),
     State(phase=Phase.HALF_OPEN, trips=1, until=NOW + 9), State(failed=1, seen=2, in_a_row=1, since=NOW - 1)]
)  # fmt: skip
SEATS = st.lists(
    st.builds(lambda f, b: (f, b), st.integers(0, 8), BREAKERS), min_size=1, max_size=8
).map(lambda rows: [Seat(number=n, in_flight=f, slots=4, breaker=b) for n, (f, b) in enumerate(rows)])  # fmt: skip
KEYS = st.one_of(st.none(), st.binary(min_size=1, max_size=20))


def seats(*in_flight: int) -> list[Seat]:
    return [Seat(number=n, in_flight=f, slots=4) for n, f in enumerate(in_flight)]


@given(SEATS, KEYS)
def test_somebody_is_always_asked_and_nobody_ejected_while_another_is_well(rows: list[Seat], key: bytes | None) -> None:
    """A seat whose breaker is shut is chosen only where all are: then the one that opened least."""
    chosen = next(s for s in rows if s.number == choose(rows, key, NOW))
    if any(allows(s.breaker, NOW) for s in rows):
        assert allows(chosen.breaker, NOW)
    else:
        assert chosen.breaker.trips == min(s.breaker.trips for s in rows)


@given(SEATS)
def test_without_a_prefix_it_is_the_least_loaded_of_those_that_never_failed(rows: list[Seat]) -> None:
    """No seat that is as well as the chosen one has fewer requests."""
    chosen = next(s for s in rows if s.number == choose(rows, None, NOW))
    if chosen.breaker is NEW:
        assert chosen.in_flight == min(s.in_flight for s in rows if s.breaker is NEW)


@given(st.lists(st.integers(0, 8), min_size=2, max_size=8), st.binary(min_size=1, max_size=20))
def test_home_is_left_when_it_is_full_or_much_busier(in_flight: list[int], key: bytes) -> None:
    """Whoever is chosen has a free place unless nobody has, and is at most SLACK busier than the idlest."""
    rows = seats(*in_flight)
    chosen = rows[choose(rows, key, NOW) or 0]
    least = min(in_flight)
    assert chosen.in_flight == least or (chosen.in_flight < 4 and chosen.in_flight / 4 <= least / 4 + SLACK)


@given(st.binary(min_size=1, max_size=20), st.integers(2, 8), st.data())
def test_one_beginning_stays_at_one_place_and_only_the_lost_ones_requests_move(
    key: bytes, count: int, data: st.DataObject
) -> None:
    """Rendezvous: another replica's death moves nobody; its own death moves to one that is there."""
    rows = seats(*[0] * count)
    home = choose(rows, key, NOW)
    assert choose(list(reversed(rows)), key, NOW) == home
    gone = data.draw(st.integers(0, count - 1))
    left = [s for s in rows if s.number != gone]
    moved = choose(left, key, NOW)
    assert moved == home if gone != home else moved != home


@pytest.mark.parametrize("count", [2, 3, 5])
def test_beginnings_spread_over_the_replicas(count: int) -> None:
    """With many different beginnings each replica is home to about its share of them."""
    homes = [choose(seats(*[0] * count), str(n).encode(), NOW) for n in range(2000)]
    for number in range(count):
        assert abs(homes.count(number) - 2000 / count) < 150


@pytest.mark.parametrize("sticky", [False, True])
def test_one_that_fails_fast_attracts_nobody(sticky: bool) -> None:
    """Least loaded because it fails at once, it gets no more than its probes: under 2% of 3,000 requests in a minute,
    while the well one, busy all the time, gets the rest."""
    breaker, asked, now = NEW, 0, 0.0
    for n in range(3000):
        now += 0.02
        rows = [Seat(number=0, in_flight=0, slots=4, breaker=breaker), Seat(number=1, in_flight=3, slots=4)]
        if choose(rows, str(n).encode() if sticky else None, now) == 0:
            asked += 1
            breaker, _ = step(breaker, Event.ADMITTED, now, REPLICA)
            breaker, _ = step(breaker, Event.FAILED, now, REPLICA)
    assert 0 < asked < 60


def test_one_that_is_well_again_is_asked_again() -> None:
    """Its probe is a request of somebody's, as soon as its time has come; after its success it has its share."""
    opened = State(phase=Phase.OPEN, trips=1, until=NOW)
    rows = [Seat(number=0, in_flight=2, slots=4, breaker=opened), Seat(number=1, in_flight=0, slots=4)]
    assert choose(rows, None, NOW - 0.1) == 1
    assert choose(rows, None, NOW) == 0
    breaker = step(step(opened, Event.ADMITTED, NOW, REPLICA)[0], Event.SUCCEEDED, NOW, REPLICA)[0]
    again = [Seat(number=0, in_flight=0, slots=4, breaker=breaker), Seat(number=1, in_flight=1, slots=4)]
    assert choose(again, None, NOW) == 0


def test_a_conversation_keeps_its_key_as_it_grows_and_an_empty_prompt_has_none() -> None:
    """The key is made of the beginning alone; nothing to share is no key."""
    assert prefix_key(["be brief", "hello"]) == prefix_key(["be brief", "hello"])
    assert prefix_key(["be brief", "hello"]) != prefix_key(["be brief", "goodbye"])
    assert prefix_key(["x" * PREFIX, "one"]) == prefix_key(["x" * PREFIX, "two"])
    assert prefix_key([]) is None
    assert prefix_key(["", ""]) is None
    assert prefix_key(["\ud800"])
    assert choose([], b"key", NOW) is None
