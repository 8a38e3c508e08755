"""Money: each paid answer's cost is recorded, a cap holds across restarts, nothing is asked of it unasked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import ASK, Engine, suite

from arbiter_tui.config import Config
from arbiter_tui.core.cost import Failure, Outcome, Price
from arbiter_tui.core.tasks import Task
from arbiter_tui.engine.arbiter import Arbiter
from arbiter_tui.engine.chronicle import DAY_S
from arbiter_tui.errors import BudgetSpent
from arbiter_tui.gateway.metrics import render
from arbiter_tui.gateway.problems import OPENAI, retry_after, status_of
from arbiter_tui.testing import Behaviour, FakeProbe, FakeProvider, MemoryStore

PRICE = Price(input=1000.0, output=2000.0)


class Paid(Engine):
    """The version ``dear`` belongs to a paid provider; ``a`` and ``b`` do not."""

    def __init__(self, cap: float | None = None, *, task: Task | None = None, **more: Any) -> None:
        described = task or Task(name="work")
        super().__init__(tasks=(described,), **more)
        self.cloud = FakeProvider("cloud", {"dear": Behaviour(answer="yes", chunks=4)}, clock=self.clock)
        self.cloud.price = lambda version: PRICE  # type: ignore[attr-defined]
        self.cloud.budget_per_day = cap  # type: ignore[attr-defined]
        before = self.arbiter
        self.arbiter = Arbiter(
            Config(tasks=before.config.tasks, pool=before.config.pool, autopilot=before.config.autopilot),
            store=self.store, providers={"fake": self.provider, "cloud": self.cloud}, probe=FakeProbe(),
            clock=self.clock, new_id=before.live.new_id, suites={"work": suite("work")},
        )  # fmt: skip

    async def asked(self, name: str = "dear") -> Outcome:
        answer = await self.arbiter.begin(name, ASK)
        async for _ in answer:
            pass
        await self.arbiter.recorder.flush()
        return self.store.outcomes[answer.id]

    def spent(self) -> float:
        return float(self.arbiter.spending.rows()[0]["spent_today"])


def test_a_price_is_per_million_and_the_cache_may_be_cheaper() -> None:
    """What came from the cache is a part of what went in."""
    assert Price(input=2.0, output=8.0).of(500_000, 250_000, 100_000) == pytest.approx(3.0)
    assert Price(input=2.0, output=8.0, cached_input=0.5).of(500_000, 250_000, 100_000) == pytest.approx(2.85)


async def test_an_answer_s_cost_is_recorded_and_shown() -> None:
    """On its outcome, in its explanation, in /metrics and the statistics; a model of one's own costs nothing said."""
    async with Paid() as engine:
        outcome = await engine.asked()
        assert outcome.tokens_in is not None
        assert outcome.money == pytest.approx(PRICE.of(outcome.tokens_in, 4))
        assert (await engine.asked("a")).money is None
        told = await engine.arbiter.explain(outcome.id)
        assert told["request"]["money"] == outcome.money
        lines = [line for line in render(engine.arbiter).splitlines() if line.startswith("arbiter_cost_total{")]
        assert len(lines) == 1
        assert 'model="dear",provider="cloud"' in lines[0]
        assert float(lines[0].rpartition(" ")[2]) == outcome.money
        assert engine.arbiter.statistics()["money"] == [
            {"provider": "cloud", "spent_today": outcome.money, "budget_per_day": None}
        ]


async def test_without_prices_what_was_spent_is_unknown() -> None:
    """None, not nothing: the answers did cost something."""
    async with Paid() as engine:
        engine.cloud.price = lambda version: None  # type: ignore[attr-defined]
        assert (await engine.asked()).money is None
        assert engine.arbiter.spending.rows() == [{"provider": "cloud", "spent_today": None, "budget_per_day": None}]


async def test_beyond_the_cap_it_is_refused_with_the_way_out() -> None:
    """402 in the dialects, until midnight; one alert; models of one's own still answer; a new day begins at nothing."""
    async with Paid(cap=0.001) as engine:
        await engine.asked()
        with pytest.raises(BudgetSpent, match=r"budget of 0.001 a day .* raise budget_per_day") as seen:
            await engine.arbiter.begin("dear", ASK)
        assert status_of(seen.value) == 402
        assert OPENAI.shape(seen.value)["error"]["code"] == "budget_spent"
        [(_, seconds)] = retry_after(seen.value, 402)
        assert 1 <= int(seconds) <= DAY_S
        assert sum("has spent its budget" in a.message for a in engine.arbiter.live.alerts) == 1
        assert (await engine.asked("a")).success
        engine.clock._now += DAY_S  # the wall clock alone: a day of ticks takes long
        assert (await engine.asked()).success


async def test_the_cap_survives_a_restart() -> None:
    """The sum of the day is read from the store."""
    store = MemoryStore()
    async with Paid(cap=0.001, store=store) as engine:
        await engine.asked()
        spent = engine.spent()
        clock = engine.clock
    assert spent > 0.001
    async with Paid(cap=0.001, store=store, clock=clock) as again:
        assert again.spent() == pytest.approx(spent)
        with pytest.raises(BudgetSpent):
            await again.arbiter.begin("dear", ASK)


async def test_a_task_goes_to_its_fallback_when_the_money_is_spent() -> None:
    """The task's own chain answers; without one the refusal is the client's to know."""
    for chain, answers in ((("a",), True), ((), False)):
        async with Paid(cap=0.001, task=Task(name="work", fallback=chain)) as engine:
            await engine.arbiter.activate("dear")
            await engine.arbiter.swap("work", "dear")
            await engine.asked()
            if answers:
                assert (await engine.asked("arbiter/work")).version == "a"
            else:
                with pytest.raises(BudgetSpent):
                    await engine.arbiter.begin("arbiter/work", ASK)


async def test_an_answer_that_is_broken_off_is_charged_by_estimate() -> None:
    """The client that leaves in the middle pays for what went in and what came; one that saw nothing pays nothing."""
    async with Paid() as engine:
        answer = await engine.arbiter.begin("dear", ASK)
        await anext(answer)
        await anext(answer)
        await answer.aclose()
        assert answer.outcome is not None
        assert answer.outcome.failure is Failure.CANCELLED
        await engine.arbiter.recorder.flush()
        assert engine.store.outcomes[answer.id].money == pytest.approx(PRICE.of(3, 2))  # eleven bytes
        spent = engine.spent()
        refused = await engine.arbiter.begin("dear", ASK)
        await refused.aclose()
        assert engine.spent() == spent


async def test_the_arbiter_asks_a_paid_model_nothing_by_itself() -> None:
    """No sentinel, no shadow, no exploring request; a benchmark is asked for by a person, and counts."""
    async with Paid(explore_share=1.0, mode="on", sentinels_per_hour=3600.0) as engine:
        arbiter = engine.arbiter
        await arbiter.activate("dear")
        await arbiter.warm("dear")
        assert {(await engine.asked("arbiter/work")).version for _ in range(6)} <= {"a", "b"}
        task, item = arbiter.live.task("work"), suite("work")[0]
        for source in ("sentinel", "shadow"):
            asker = arbiter.bench._asker
            assert (await asker.ask(task, arbiter.registry.get("dear"), item, source)).failure is Failure.CLIENT_ERROR
        assert engine.spent() == 0.0
        assert (await arbiter.bench._asker.ask(task, arbiter.registry.get("dear"), item, "suite")).money
        assert engine.spent() > 0.0


async def test_what_is_under_way_at_the_cap_is_finished_and_charged() -> None:
    """Requests that began before the cap was reached end well; the next one is refused."""
    async with Paid(cap=0.001) as engine:
        gate = engine.cloud.behaviour("dear").gate = asyncio.Event()
        first = asyncio.create_task(engine.asked())
        second = asyncio.create_task(engine.asked())
        await engine.until(lambda: engine.arbiter.in_flight == 2)
        gate.set()
        assert (await first).success
        assert (await second).success
        with pytest.raises(BudgetSpent):
            await engine.arbiter.begin("dear", ASK)
