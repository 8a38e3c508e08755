"""The circuit breakers of versions: a version that fails again and again is not asked for a moment.

Owns: one breaker per version that has failed, and telling when it opens and closes. Never: the rules (core/breaker.py),
whom to ask instead (fallbacks.py), processes: one that crashes or does not load is the pool's affair, whose quarantine
is its breaker.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.breaker import NEW, Effect, Event, Phase, State, allows, least_bad, step, wait_s
from ..core.cost import Failure
from ..core.registry import ModelVersion
from ..errors import CircuitOpen
from .live import Live

COUNTED = frozenset({Failure.TIMEOUT, Failure.UNREACHABLE, Failure.PROVIDER_ERROR})


class Breakers:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._states: dict[str, State] = {}
        live.shut = lambda version: self.phase(version) is not Phase.CLOSED

    def phase(self, version: str) -> Phase:
        return self._states.get(version, NEW).phase

    def allows(self, version: ModelVersion) -> bool:
        state = self._states.get(version.version)
        return state is None or allows(state, self._live.clock.monotonic())

    def check(self, version: ModelVersion) -> None:
        """Raises CircuitOpen, which says when to come again."""
        if self.allows(version):
            return
        wait = wait_s(self._states[version.version], self._live.clock.monotonic())
        error = CircuitOpen(
            f"{version.version} has failed again and again and is not asked for another {wait:.0f} s",
            details={"version": version.version, "retry_after_s": wait},
        )
        error.retry_after_s = wait
        raise error

    def least_bad(self, versions: Sequence[ModelVersion]) -> ModelVersion:
        """Whom to try when none is allowed."""
        return versions[least_bad([self._states.get(v.version, NEW) for v in versions])]

    def admitted(self, version: ModelVersion) -> None:
        if version.version in self._states:
            self._step(version.version, Event.ADMITTED)

    def ended(self, version: str, failure: Failure | None) -> None:
        """On the request's path: nothing to do for whoever has never failed."""
        if failure is None:
            if version in self._states:
                self._step(version, Event.SUCCEEDED)
        elif failure in COUNTED:
            self._step(version, Event.FAILED)
        elif version in self._states:
            self._step(version, Event.WITHDRAWN)

    def _step(self, version: str, event: Event) -> None:
        now = self._live.clock.monotonic()
        state, effects = step(self._states.get(version, NEW), event, now)
        self._states[version] = state
        for effect in effects:
            self._tell(version, state, effect, now)

    def _tell(self, version: str, state: State, effect: Effect, now: float) -> None:
        said = {
            Effect.OPENED: f"{version} fails again and again: it is not asked for {wait_s(state, now):.0f} s",
            Effect.PROBES: f"{version} is tried again",
            Effect.CLOSED: f"{version} answers again",
        }[effect]
        self._live.event("breaker", said, version=version, breaker=state.phase.value)
