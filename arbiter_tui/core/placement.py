"""Placement: what to evict so that a wanted model fits into the memory budget.

Owns: the choice of victims. Never: loading, unloading or draining (the pool does), measuring memory.
Pinned models are never evicted; leased ones never before their leases have ended (they go to ``wait_for``).
Idle victims come first; among victims the least loss (value x time to reload), then the longest unused. Bytes, seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .snapshot import Why
from .words import MIB, plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is to be loaded. ``bytes`` None = unknown: it is admitted and measured once it is there."""

    version: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is loaded (or loading). ``leased``: in-flight claims; ``value`` 0..1: how much it is wanted."""

    version: str
    bytes: int | None = None
    leased: int = 0
    pinned: bool = False
    last_used_at: float = 0.0
    value: float = 0.0
    reload_cost_s: float = 0.0

    @property
    def loss(self) -> tuple[bool, float, float, str]:
        """Sorts the cheapest victim first."""
        return (self.leased > 0, self.value * self.reload_cost_s, self.last_used_at, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``evict`` can go now; ``wait_for`` must drain first and go then; with ``fits`` False neither is touched."""

    evict: tuple[str, ...] = ()
    fits: bool = True
    wait_for: tuple[str, ...] = ()
    why: tuple[Why, ...] = ()

    @property
    def sentence(self) -> str:
        """The first reason, for a person."""
        return "; ".join(line.would_change_if or line.rule for line in self.why[:1])


def plan(want: Need, held: Sequence[Held], *, budget: int, max_loaded: int | None = None) -> Plan:
    """What must go so that ``want`` fits into ``budget`` bytes and at most ``max_loaded`` models are loaded."""
    others = [h for h in held if h.version != want.version]
    pinned = [h for h in others if h.pinned]
    needed = want.bytes or 0
    room = Room(needed=needed, budget=budget, max_loaded=max_loaded)
    for staying in ([], pinned):
        if not room.fits(staying):
            return _never(want, room, staying)
    movable = sorted((h for h in others if not h.pinned), key=lambda h: h.loss)
    victims = _spare(room, others, _victims(room, others, movable))
    return Plan(
        evict=tuple(v.version for v in victims if not v.leased),
        wait_for=tuple(v.version for v in victims if v.leased),
        why=(_reason(want, needed, others, victims, budget),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    needed: int
    budget: int
    max_loaded: int | None

    def fits(self, staying: Iterable[Held]) -> bool:
        """Whether the wanted model fits beside those that stay."""
        beside = list(staying)
        return used(beside) + self.needed <= self.budget and (
            self.max_loaded is None or len(beside) + 1 <= self.max_loaded
        )


def used(held: Iterable[Held]) -> int:
    """Bytes held; an unknown size counts nothing (the pool's measurement replaces it within a tick)."""
    return sum(h.bytes or 0 for h in held)


def _victims(room: Room, others: Sequence[Held], movable: Sequence[Held]) -> list[Held]:
    """The cheapest first, until it fits."""
    gone: list[Held] = []
    staying = list(others)
    for victim in movable:
        if room.fits(staying):
            break
        staying.remove(victim)
        gone.append(victim)
    return gone


def _spare(room: Room, others: Sequence[Held], victims: Sequence[Held]) -> list[Held]:
    """Without the victims that turned out to be needless, the dearest spared first."""
    gone = list(victims)
    for victim in reversed(victims):
        fewer = [v for v in gone if v is not victim]
        if room.fits(h for h in others if h not in fewer):
            gone = fewer
    return gone


def _reason(want: Need, needed: int, others: Sequence[Held], victims: Sequence[Held], budget: int) -> Why:
    free = budget - used(others)
    if not victims:
        text = f"{want.version} needs {_mib(needed)} and {_mib(free)} are free"
        return Why(rule="memory_budget", value=needed, threshold=free, would_change_if=text)
    names = ", ".join(v.version for v in victims)
    text = f"{names} would stay if {_mib(needed)} were free for {want.version}; {_mib(max(free, 0))} are"
    return Why(rule="memory_budget", value=needed, threshold=free, would_change_if=text)


def _never(want: Need, room: Room, pinned: Sequence[Held]) -> Plan:
    """It can't fit, whatever goes: too large, or too little is left beside what is pinned."""
    seats = 1 + len(pinned)
    if room.max_loaded is not None and seats > room.max_loaded:
        allowed = plural(seats, "model was", "models were")
        text = f"{want.version} could be loaded if {allowed} allowed at once; {room.max_loaded} are"
        return _no(Why(rule="max_loaded", value=seats, threshold=room.max_loaded, would_change_if=text))
    needed, beside = used(pinned) + room.needed, "beside what is pinned" if pinned else "even alone"
    text = f"{want.version} would fit {beside} with a memory budget of {_mib(needed)}; it is {_mib(room.budget)}"
    return _no(Why(rule="memory_budget", value=needed, threshold=room.budget, would_change_if=text))


def _no(why: Why) -> Plan:
    return Plan(fits=False, why=(why,))


def _mib(value: int) -> str:
    return f"{value / MIB:.0f} MiB"
