"""A pool of replicas of one fake model, and what its tests ask of it."""

from __future__ import annotations

from engine_kit import Engine, read

from arbiter_tui.core.scaling import Span
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.instance import Instance
from arbiter_tui.engine.replicas import ReplicaSet
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import MIB, Behaviour, FakeModel

PLAIN = Request(messages=(Message("user", ""),))  # has no beginning that would draw it to one of them
BROKEN = "the runtime is broken"


def engine(low: int = 2, high: int | None = None, *, budget: int = 1000 * MIB, **how: object) -> Engine:
    """One version ``a`` of 100 MiB a copy, four places each."""
    models = {"a": Behaviour(**{"answer": "ok", **how})}  # type: ignore[arg-type]
    return Engine(models, tasks=(Task(name="work", fallback=()),), budget=budget, replicas=Span(low, high or low))


def instance(e: Engine) -> Instance:
    return e.arbiter.pool._instances["a"]


def several(e: Engine) -> ReplicaSet:
    found = instance(e).replicas
    assert found is not None
    return found


def living(e: Engine) -> list[FakeModel]:
    return [m for m in e.provider.born if m.alive]


async def ready(e: Engine, count: int = 2) -> list[FakeModel]:
    await e.arbiter.warm("a")
    await e.until(lambda: several(e).ready == count)
    return living(e)


async def ask(e: Engine, text: str = "hello") -> str:
    return await read(await e.arbiter.begin("a", Request(messages=(Message("user", text),))))
