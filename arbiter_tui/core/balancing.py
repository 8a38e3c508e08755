"""Which replica of a version answers a request.

Owns: the choice. Never: a replica's life, a request, a clock.

In this order:

1. Among the replicas that may be asked. A breaker that is open ejects its replica; if all are ejected, the least bad of
   them is tried: somebody is always asked. One whose time has come is probed first: if it fails, another one answers.
2. At home: replicas are ranked by a hash of the prompt's beginning (rendezvous hashing), so that a conversation, or
   requests with one system prompt, come back to where that beginning is in the cache already. When a replica comes or
   goes, only its own requests move. Home is left when it is full, or busier than the least loaded by ``SLACK``.
3. Else the least loaded: requests in flight over places. A recent failure weighs like load (breaker.suspicion), so that
   a replica that fails fast, and is therefore always idle, attracts nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from .breaker import NEW, Phase, State, allows, least_bad, suspicion

PREFIX = 1024  # characters: about as many tokens as one batch of a prompt's reading
SLACK = 0.5  # of a replica's places


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A replica that is ready. ``number`` stays its own for life; ``slots``: requests that it answers at once."""

    number: int
    in_flight: int
    slots: int
    breaker: State = NEW

    def load(self, now: float) -> float:
        return self.in_flight / max(1, self.slots) + suspicion(self.breaker, now)


def prefix_key(texts: Iterable[str]) -> bytes | None:
    """What requests with the same beginning share; ``texts``: of the prompt, in order. None: there is nothing."""
    found = ""
    for text in texts:
        found += text + "\0"
        if len(found) >= PREFIX:
            break
    return found[:PREFIX].encode("utf-8", "surrogatepass") if found.strip("\0") else None


def choose(seats: Sequence[Seat], key: bytes | None, now: float) -> int | None:
    """The number of the seat to ask; None only if there is no seat. ``now``: monotonic seconds."""
    if not seats:
        return None
    fit = [seat for seat in seats if allows(seat.breaker, now)]
    if not fit:
        return seats[least_bad([seat.breaker for seat in seats])].number
    due = next((seat for seat in fit if seat.breaker.phase is not Phase.CLOSED), None)
    if due is not None:
        return due.number
    least = min(fit, key=lambda seat: (seat.load(now), seat.in_flight, seat.number))
    if key is None or len(fit) == 1:
        return least.number
    home = max(fit, key=lambda seat: _rank(key, seat.number))
    free = home.in_flight < home.slots
    return home.number if free and home.load(now) <= least.load(now) + SLACK else least.number


def _rank(key: bytes, number: int) -> bytes:
    return blake2b(key, digest_size=8, salt=number.to_bytes(8, "big")).digest()
