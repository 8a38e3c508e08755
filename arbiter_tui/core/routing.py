"""The immutable route table: Task -> the version that serves it, the one on trial, the one to roll back to.

Owns: routes and their resolution. A switch is ONE assignment of a new table. Never: what is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

TASK_PREFIX = "arbiter/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``hold_until``: unix seconds until which the autopilot may not touch this task (an operator's hold)."""

    task: str
    incumbent: str | None = None
    candidate: str | None = None
    candidate_share: float = 0.0
    previous: str | None = None
    since: float = 0.0
    hold_until: float = 0.0


@dataclass(frozen=True, slots=True)
class RouteTable:
    routes: Mapping[str, Route] = field(default_factory=dict)
    revision: int = 0

    def get(self, task: str) -> Route:
        return self.routes.get(task) or Route(task=task)

    def with_route(self, route: Route) -> RouteTable:
        return RouteTable({**self.routes, route.task: route}, self.revision + 1)

    def switch(self, task: str, to: str, *, now: float, hold_until: float = 0.0) -> RouteTable:
        """``to`` serves from now on; who served becomes ``previous``. The same version again changes nothing."""
        route = self.get(task)
        if route.incumbent == to:
            return self
        return self.with_route(
            replace(
                route, incumbent=to, previous=route.incumbent, candidate=None, candidate_share=0.0,
                since=now, hold_until=max(hold_until, route.hold_until),
            )
        )  # fmt: skip

    def back(self, task: str, *, now: float, hold_until: float = 0.0) -> RouteTable | None:
        """The previous serves again; there is then nothing to roll back to. None if there is no previous."""
        route = self.get(task)
        if route.previous is None:
            return None
        return self.with_route(
            replace(
                route, incumbent=route.previous, previous=None, candidate=None, candidate_share=0.0,
                since=now, hold_until=max(hold_until, route.hold_until),
            )
        )  # fmt: skip


def task_of(name: str) -> str | None:
    """``arbiter/TASK`` -> ``TASK``, else None."""
    return name[len(TASK_PREFIX) :] if name.startswith(TASK_PREFIX) else None
