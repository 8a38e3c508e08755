"""What the engine's tests share: an Arbiter on fakes, and waiting for conditions instead of time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from arbiter_tui.config import AutopilotConfig, Config, PoolConfig, ProviderBlock, RolloutConfig
from arbiter_tui.config_gates import RuleBlock
from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.scaling import Span
from arbiter_tui.core.tasks import Task
from arbiter_tui.core.verify import SuiteItem
from arbiter_tui.engine.answer import Answer
from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.provider import Message, Request, Text
from arbiter_tui.testing import MIB, Behaviour, FakeClock, FakeProbe, FakeProvider, MemoryStore

ASK = Request(messages=(Message("user", "hello there"),))


def suite(task: str, count: int = 12, reference: str = "yes") -> tuple[SuiteItem, ...]:
    return tuple(
        SuiteItem(id=f"{task}-{n}", task=task, prompt=f"question {n}", reference=reference) for n in range(count)
    )


class Engine:
    """``models``: name -> Behaviour; every task has a suite whose right answer is "yes"."""

    def __init__(
        self,
        models: Mapping[str, Behaviour] | None = None,
        *,
        tasks: Sequence[str | Task] = ("work",),
        store: MemoryStore | None = None,
        budget: int = 1000 * MIB,
        clock: FakeClock | None = None,
        max_loaded: int | None = None,
        questions: int = 12,
        rollout: RolloutConfig | None = None,
        constitution: Sequence[RuleBlock] = (),
        replicas: Span | None = None,
        **autopilot: Any,
    ) -> None:
        self.clock = clock or FakeClock()
        self.provider = FakeProvider(models=models or {"a": Behaviour(), "b": Behaviour()}, clock=self.clock)
        self.store = store or MemoryStore()
        named = tuple(t if isinstance(t, Task) else Task(name=t) for t in tasks)
        settings = {"mode": "off", "explore_share": 0.0, "sentinels_per_hour": 0.0, **autopilot}
        config = Config(
            tasks=named,
            pool=PoolConfig(memory_budget_bytes=budget, max_loaded=max_loaded),
            autopilot=AutopilotConfig(**settings),
            rollout=rollout or RolloutConfig(),
            constitution=tuple(constitution),
            providers=(ProviderBlock(name="fake", kind="fake", replicas=replicas),) if replicas else (),
        )
        ids = itertools.count(1)
        generation = len(self.store.swaps) + len(self.store.outcomes) + len(self.store.decisions)
        self.arbiter = Arbiter(
            config, store=self.store, providers={"fake": self.provider}, probe=FakeProbe(), clock=self.clock,
            new_id=lambda: f"x{generation}-{next(ids)}", suites={t.name: suite(t.name, questions) for t in named},
        )  # fmt: skip

    async def __aenter__(self) -> Engine:
        await self.arbiter.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        own = [model.own for model in self.provider.born if model.own is not None]
        for behaviour in (*self.provider.behaviours.values(), *own):
            for gate in (behaviour.gate, behaviour.load_gate):
                if gate is not None:
                    gate.set()
        await self.arbiter.stop(deadline_s=5.0)

    async def until(self, condition: Callable[[], Any], *, turns: int = 400, step_s: float = 0.0) -> None:
        """Let the loop run (moving time by ``step_s`` a turn) until ``condition``; a test that waits in vain fails."""
        for _ in range(turns):
            await self.clock.settle()
            if condition():
                return
            await self.clock.advance(step_s)
        raise AssertionError("the condition never came true")

    async def teach(
        self, version: str, *, quality: float | None, count: int = 12, task: str = "work", **more: Any
    ) -> None:
        """``count`` reported outcomes of one version."""
        base = Outcome(
            id="", task=task, version=version, at=self.clock.now(), success=True, latency_s=0.1, ttft_s=0.05,
            quality=quality, quality_source=None if quality is None else "suite",
        )  # fmt: skip
        number = len(self.store.outcomes)
        several = [replace(base, id=f"{version}-{number}-{n}", **more) for n in range(count)]
        await self.arbiter.report(several)

    def serving(self, task: str = "work") -> str | None:
        return self.arbiter.routes.get(task).incumbent


async def read(answer: Answer) -> str:
    """The whole text; closes the answer."""
    text = ""
    try:
        async for chunk in answer:
            if isinstance(chunk, Text):
                text += chunk.text
    finally:
        await answer.aclose()
    return text
