"""One replica's record, how it is loaded and shown, and whom its set tells what.

Owns: these records. Never: changes one (replicas.py does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..core.breaker import NEW, Phase
from ..core.breaker import State as Breaker
from ..core.registry import ModelVersion
from ..core.snapshot import ReplicaView
from ..provider import EventSink, Load, LoadedModel, Provider, Request
from .health import Failures

Loader = Callable[[int, EventSink], Awaitable[LoadedModel]]


class Stage(StrEnum):
    LOADING = "loading"
    READY = "ready"
    LEAVING = "leaving"
    RESTING = "resting"


@dataclass(slots=True, eq=False)
class Replica:
    """``number``: its own for as long as it is wanted, through all of its workers."""

    number: int
    stage: Stage = Stage.LOADING
    model: LoadedModel | None = None
    in_flight: int = 0
    breaker: Breaker = NEW
    failures: Failures = field(default_factory=Failures)
    strikes: int = 0
    death: str | None = None  # while it loads
    died_with: int = 0  # requests that its worker had when the first of them saw it die
    life: object = None  # whose events count
    task: asyncio.Task[None] | None = None
    last_log: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whom a set tells what: ``changed`` when places came or went, ``freed`` when a copy's memory is free again,
    ``retried`` when a request that had not begun goes on to another one, ``tell`` in words, ``died`` when none is left.
    """

    changed: Callable[[], None]
    freed: Callable[[], None]
    retried: Callable[[], None]
    tell: Callable[[str], None]
    died: EventSink


def loader(provider: Provider, version: ModelVersion, timeout_s: float) -> Loader:
    """The provider's own way to each place where it has several, else the same load again."""
    place = getattr(provider, "load_replica", None)  # provider.Several
    if place is None:
        return lambda number, hear: provider.load(version, timeout_s=timeout_s, on_event=hear)
    return lambda number, hear: place(version, number, timeout_s=timeout_s, on_event=hear)


def together(loads: Sequence[Load | None]) -> Load | None:
    """What servers say of their own work, as that of one: requests are added up, the fullest cache counts. One that
    says nothing of its requests makes their sum unknown."""
    known = [load for load in loads if load is not None]
    if not known:
        return None
    running, waiting = (_sum([getattr(load, name, None) for load in loads]) for name in ("running", "waiting"))
    full = [load.cache_used for load in known if load.cache_used is not None]
    return Load(running=running, waiting=waiting, cache_used=max(full, default=None))


def _sum(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(n for n in counts if n is not None)


def shown(replicas: Iterable[Replica]) -> tuple[ReplicaView, ...]:
    """By their numbers, from 1 as in the log; nothing in it changes while nothing happens."""
    return tuple(
        ReplicaView(
            number=r.number + 1, state=str(r.stage), in_flight=r.in_flight, breaker=str(r.breaker.phase),
            failures=r.breaker.in_a_row, ejected=r.stage is Stage.READY and r.breaker.phase is not Phase.CLOSED,
            error=r.death,
        )
        for r in sorted(replicas, key=lambda r: r.number)
    )  # fmt: skip


def texts(request: Request) -> Iterator[str]:
    """What stays the same while a conversation grows: the instructions and the first question."""
    if request.prompt is not None:
        yield request.prompt
    for message in request.messages:
        yield message.content
        if message.role != "system":
            return
