"""One replica more or one less: the pool's regular look at the versions that may have several.

Owns: when to ask, the claim of a further replica's memory. Never: the rule (core/scaling.py), evicts anybody, loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..config import Config
from ..core.registry import ModelVersion
from ..core.scaling import ONE, Load, Span, Verdict, step
from ..ports import Clock
from ..provider import Provider
from .instance import Instance
from .keeper import EventLog, Spans
from .scheduler import Scheduler


class Scaler:
    def __init__(
        self, instances: Mapping[str, Instance], clock: Clock, scheduler: Scheduler, *, spans: Spans, log: EventLog
    ) -> None:
        self._instances, self._clock, self._scheduler = instances, clock, scheduler
        self._spans, self._log = spans, log

    def look(self) -> None:
        for instance in self._instances.values():
            if instance.replicas is not None and instance.loaded and instance.leaving is None:
                self._look_at(instance)

    def _look_at(self, instance: Instance) -> None:
        copies, life = instance.replicas, instance.life
        if copies is None or life is None:
            return
        load = Load(
            copies=copies.copies, coming=copies.coming + copies.leaving, queued=len(instance.line),
            in_flight=instance.in_flight, slots=max(1, instance.version.parallel),
            room=copies.may_grow and self._scheduler.room_for(life.each), blocked=self._scheduler.blocked,
        )  # fmt: skip
        life.scaling, verdict = step(life.scaling, load, self._spans(instance.version), self._clock.monotonic())
        if verdict is Verdict.GROW:
            instance.claimed += life.each  # before its load starts, as every claim
            copies.grow()
            self._log("replica", instance.name, f"requests wait: a further replica, {copies.copies} in all")
        elif verdict is Verdict.SHRINK and not copies.leaving:
            copies.shrink()
            why = "somebody waits for memory" if load.blocked else "there is little to do"
            self._log("replica", instance.name, f"{why}: one replica less, {copies.copies} stay")


def spans_of(config: Callable[[], Config], providers: Mapping[str, Provider]) -> Spans:
    """What is configured now: of the model, else of its provider; a provider with several places has one in each."""

    def span(version: ModelVersion) -> Span:
        places = getattr(providers.get(version.provider), "replicas", None)  # provider.Several
        if places is not None and (count := places(version)) > 1:
            return Span(count, count)
        told = config()
        named = (b.replicas for b in told.models if b.name == version.version)
        whole = (b.replicas for b in told.providers if b.name == version.provider)
        return next((found for found in (*named, *whole) if found is not None), ONE)

    return span
