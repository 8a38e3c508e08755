"""One replica's record, how it is loaded, and whom its set tells what.

Owns: these records. Never: changes one (replicas.py does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from ..core.breaker import NEW
from ..core.breaker import State as Breaker
from ..core.registry import ModelVersion
from ..provider import EventSink, LoadedModel, Provider
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
