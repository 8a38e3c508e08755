"""A replica as a screen shows it: its number, its stage, its breaker and what its worker died with."""

from __future__ import annotations

from arbiter_tui.core.breaker import Phase
from arbiter_tui.core.breaker import State as Breaker
from arbiter_tui.core.snapshot import ReplicaView
from arbiter_tui.engine.replica import Replica, Stage, shown, together
from arbiter_tui.provider import Load


def test_replicas_are_shown_by_their_numbers_with_why_one_is_passed_over() -> None:
    """From 1, as in the log; one that is not ready is not ejected, for it is nobody's choice anyway."""
    ill = Breaker(phase=Phase.OPEN, in_a_row=3, until=50.0)
    found = shown([
        Replica(2, Stage.RESTING, death="killed", breaker=ill), Replica(0, Stage.READY, in_flight=4),
        Replica(1, Stage.READY, breaker=ill),
    ])  # fmt: skip
    assert found == (
        ReplicaView(number=1, state="ready", in_flight=4),
        ReplicaView(number=2, state="ready", breaker="open", failures=3, ejected=True),
        ReplicaView(number=3, state="resting", breaker="open", failures=3, error="killed"),
    )


def test_what_replicas_servers_say_is_told_as_one() -> None:
    """Requests are added up, the fullest cache counts; one that says nothing makes the sum unknown, not smaller."""
    told = Load(running=2, waiting=1, cache_used=0.5)
    assert together([told, Load(running=3, waiting=0, cache_used=0.9)]) == Load(running=5, waiting=1, cache_used=0.9)
    assert together([told, Load(running=3)]) == Load(running=5, waiting=None, cache_used=0.5)
    assert together([told, None]) == Load(cache_used=0.5)
    assert together([None, None]) is None
    assert together([]) is None
