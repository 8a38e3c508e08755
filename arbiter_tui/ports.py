"""Protocols that the engine needs: Clock, Store, HardwareProbe. adapters/ and testing.py implement them.

Store methods are awaitables that complete after the commit (acknowledged = committed), except ``record`` which is
the recorder's batched path. The store has one writer thread; callers never see SQLite errors, only StoreError's tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .core.cost import Outcome
from .core.grading import Grading
from .core.knowledge import Heard, Said
from .core.learning import TaskProfile
from .core.registry import Registry
from .core.routing import Route, RouteTable
from .core.snapshot import HardwareView, SwapView


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class HardwareProbe(Protocol):
    async def read(self) -> HardwareView:
        """One reading; bounded in time; every value or None with a reason."""
        ...

    def available_bytes(self) -> int | None:
        """Memory that models could use now, in bytes."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StoredState:
    """What a restart begins with. ``intents``: swaps recorded as running when the process ended."""

    registry: Registry = field(default_factory=Registry)
    routes: RouteTable = field(default_factory=RouteTable)
    profiles: Mapping[str, TaskProfile] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)  # task -> autopilot mode chosen by the operator
    swaps: Sequence[SwapView] = ()  # newest first, at most 200
    outcomes: Sequence[Outcome] = ()  # newest last, at most 500 per task and version
    intents: Sequence[SwapView] = ()
    lost: int | None = None  # outcomes known to be lost at the last crash; None if it ended cleanly


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """All that one archive changes. ``profiles``: of this state folder itself, as they were later; ``registry`` None:
    the table of versions and aliases stays; ``tasks``: name -> the patch that is kept of it; ``who``, ``subject``: of
    the ledger's line."""

    heard: Heard
    profiles: Sequence[TaskProfile] = ()
    registry: Registry | None = None
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    who: str = "local"
    subject: str = ""


class Store(Protocol):
    async def load(self) -> StoredState: ...

    async def save_registry(self, registry: Registry, *, who: str, action: str, subject: str) -> None:
        """Commit the table and append one hash-chained ledger line."""
        ...

    async def save_route(self, route: Route, swap: SwapView | None = None) -> None:
        """The route and the swap event that caused it, in ONE transaction."""
        ...

    async def save_swap(self, swap: SwapView) -> None:
        """Insert or update by id (the intent before the switch, the result after)."""
        ...

    async def save_profiles(self, profiles: Iterable[TaskProfile]) -> None: ...

    async def save_mode(self, task: str, mode: str) -> None: ...

    def expect(self, outcome_id: str) -> None:
        """An outcome that will be recorded soon; if the process ends before, it is counted as lost. Never waits."""
        ...

    async def record(self, outcomes: Sequence[Outcome]) -> None:
        """Insert a batch, idempotent by id."""
        ...

    async def heard(self) -> Heard:
        """What was taken in from other state folders."""
        ...

    async def said(self) -> Sequence[Said]:
        """Its records alone."""
        ...

    async def take_in(self, change: Import) -> None:
        """All of it and its ledger line in ONE transaction. Of an outcome whose id is known nothing is stored, but for
        the grade of one that was taken in without any."""
        ...

    async def ungraded(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of ``ids`` under which an outcome without a grade was taken in."""
        ...

    async def known(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of ``ids`` under which an outcome is stored, one of this state folder or one that was taken in."""
        ...

    async def set_quality(self, outcome_id: str, quality: float, source: str, comment: str = "") -> Grading | None:
        """A grade of a recorded outcome, where it may stand (core/grading.py); None if there is no such id."""
        ...

    async def save_decision(self, decision_id: str, record: Mapping[str, Any]) -> None: ...

    async def decision(self, decision_id: str) -> Mapping[str, Any] | None: ...

    async def list_swaps(
        self, *, limit: int = 100, after: str | None = None, task: str | None = None
    ) -> list[SwapView]:
        """Newest first; ``after`` is the id of the last one seen."""
        ...

    async def swap(self, swap_id: str) -> SwapView | None: ...

    async def list_outcomes(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        task: str | None = None,
        version: str | None = None,
        source: str | None = None,
    ) -> list[Outcome]:
        """Newest first. With ``source`` the newest 100,000 of all outcomes are looked through, not the whole past."""
        ...

    async def ledger(
        self, *, limit: int = 100, after: str | None = None, subject: str | None = None
    ) -> list[dict[str, Any]]:
        """Oldest first; with ``subject`` only lines in which that name is a word."""
        ...

    async def spent_since(self, at: float) -> list[dict[str, Any]]:
        """Per task since ``at`` (unix seconds): ``{task, requests, measured, energy_j}``; of unmeasured ones None."""
        ...

    async def money_since(self, at: float) -> dict[str, float]:
        """Per version what its outcomes since ``at`` (unix seconds) cost; versions without any are left out."""
        ...

    async def note_change(self, who: str, action: str, subject: str) -> None:
        """Append one line to the ledger. ``who``: a key's id, or ``local``."""
        ...

    async def verify_ledger(self) -> str | None:
        """None if the chain is whole, else a sentence naming the first broken entry."""
        ...

    async def save_note(self, key: str, value: Any) -> None:
        """Small durable key-value notes (benchmark progress, prompts of runs)."""
        ...

    async def note(self, key: str) -> Any: ...

    async def close(self) -> None:
        """Flush and close. Idempotent."""
        ...
