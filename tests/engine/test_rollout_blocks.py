"""A rollout of two versions of which only one fits into memory: they take turns, and clients never wait for longer than
a swap would make them."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from engine_kit import ASK, Engine, read, suite

from arbiter_tui.config import RolloutConfig
from arbiter_tui.core.snapshot import RolloutView
from arbiter_tui.core.tasks import Task
from arbiter_tui.core.verify import SuiteItem
from arbiter_tui.errors import LoadFailed, ProviderError
from arbiter_tui.provider import Message, Request
from arbiter_tui.testing import MIB, Behaviour

TURNS = RolloutConfig(every_s=300.0, start=0.1, step=0.3, shadow_per_hour=3600.0, load_every_s=50.0, block_questions=5)
SCHEMA = {"kind": "json_schema", "schema": {"type": "object", "required": ["city"]}}


def engine(new: str = "yes", **more: Any) -> Engine:
    """Incumbent a is always right; b answers ``new``. 100 MiB each, 150 for both."""
    models = {"a": Behaviour(answer="yes"), "b": Behaviour(answer=new)}
    return Engine(**{"models": models, "questions": 60, "rollout": TURNS, "budget": 150 * MIB, **more})


async def begin(e: Engine) -> RolloutView:
    await e.arbiter.swap("work", "a")
    await e.arbiter.warm("a")
    return await e.arbiter.rollouts.start("work", "b")


def now(e: Engine) -> RolloutView:
    return e.arbiter.rollouts.views()[0]


async def until_block(e: Engine, number: int) -> None:
    """The block is over and the old one is back."""
    await e.until(lambda: now(e).blocks == number and not now(e).in_block, turns=5000, step_s=1.0)
    await e.until(lambda: e.arbiter.pool.is_ready("a"), step_s=0.1)


async def test_one_as_good_is_promoted_after_blocks_and_nobody_is_served_by_it_before() -> None:
    """Five questions a block, one load in fifty seconds; every five minutes it is looked at, until as many looks
    were good as a ramp has steps: then it is swapped in."""
    async with engine() as e:
        view = await begin(e)
        assert (view.phase, view.blocks, view.share) == ("shadow", 0, 0.0)
        assert "don't fit into memory" in view.reason
        await until_block(e, 1)
        assert now(e).pairs == 5
        answer = await e.arbiter.begin("arbiter/work", ASK)
        assert answer.version.version == "a"
        await read(answer)
        await e.until(lambda: now(e).reason.startswith("step 1 of 4, after 6 blocks: P(worse"), turns=9000, step_s=1.0)
        await e.until(lambda: now(e).phase == "promoted", turns=4000, step_s=10.0)
        assert e.serving() == "b"
        assert now(e).canary_requests == 0
        assert now(e).reason.startswith("promoted after 12 blocks: P(worse than 0.95 x the old one)")
        assert e.arbiter.swaps[0].trigger == "rollout"


async def test_a_worse_one_is_taken_back_within_blocks() -> None:
    """Its answers are wrong: withdrawn as soon as the pairs say so, in the middle of a block; the old one is back."""
    async with engine(new="no") as e:
        await begin(e)
        await e.until(lambda: now(e).phase == "withdrawn", turns=5000, step_s=1.0)
        view = now(e)
        assert (view.verdict, view.pairs, view.blocks) == ("roll_back", 10, 2)
        assert e.arbiter.routes.get("work").candidate is None
        await e.until(lambda: e.arbiter.pool.is_ready("a"), step_s=0.1)
        assert e.arbiter.evidence.owed("work")["b"] > 0


async def test_loads_are_no_closer_than_allowed() -> None:
    """Counted at the provider: between two loads of b there are never less than load_every_s."""
    async with engine() as e:
        await begin(e)
        seen: list[float] = []
        for _ in range(400):
            before = e.provider.loads.count("b")
            await e.clock.advance(1.0)
            seen += [e.clock.now()] * (e.provider.loads.count("b") - before)
        assert len(seen) >= 5
        assert min(b - a for a, b in pairwise(seen)) >= 49.0


async def test_a_client_ends_the_block_and_waits_for_one_load_only() -> None:
    """In the middle of a question and in the middle of b's load: its wait is a's load, not the question's end."""
    slow = {"a": Behaviour(answer="yes"), "b": Behaviour(answer="yes", load_s=4.0)}
    for ttft_s in (50.0, 0.0):
        async with engine(models=slow) as e:
            await begin(e)
            slow["a"].load_s, slow["b"].ttft_s = 3.0, ttft_s
            await e.until(lambda: now(e).in_block, turns=5000, step_s=1.0)
            if ttft_s:
                await e.until(lambda: e.arbiter.pool.is_ready("b"), step_s=0.5)
                await e.clock.advance(2.0)
            came = e.clock.monotonic()
            asked = asyncio.ensure_future(e.arbiter.begin("arbiter/work", ASK))
            await e.until(asked.done, step_s=0.1)
            waited = e.clock.monotonic() - came
            assert (await asked).version.version == "a"
            await read(await asked)
            assert waited <= 3.2, ttft_s
            slow["a"].load_s = 0.0
            assert not now(e).in_block
            slow["b"].ttft_s = 0.0
            pairs = now(e).pairs
            await until_block(e, 2)
            assert now(e).pairs > pairs


async def test_clients_of_another_model_are_served_beside_the_block() -> None:
    """c stays loaded: its requests end nothing, and the block goes on after them."""
    models = {"a": Behaviour(), "b": Behaviour(answer="yes"), "c": Behaviour(resident_bytes=20 * MIB)}
    models["a"].answer = "yes"
    async with engine(models=models, tasks=("work", "other")) as e:
        await e.arbiter.swap("other", "c")
        await e.arbiter.warm("c")
        await begin(e)
        models["b"].ttft_s = 2.0
        await e.until(lambda: now(e).in_block and e.arbiter.pool.is_ready("b"), turns=5000, step_s=1.0)
        assert e.arbiter.pool.is_ready("c")
        answer = await e.arbiter.begin("arbiter/other", ASK)
        await read(answer)
        assert now(e).in_block
        await until_block(e, 1)
        assert now(e).pairs == 5
        assert e.provider.loads.count("c") == 1


async def test_it_waits_for_quiet() -> None:
    """While clients ask every few seconds no block begins; when they stop, one does."""
    async with engine() as e:
        await begin(e)
        for _ in range(200):
            await read(await e.arbiter.begin("arbiter/work", ASK))
            await e.clock.advance(4.0)
        assert now(e).blocks == 0
        await until_block(e, 1)


async def test_pause_abort_and_promote_by_hand() -> None:
    """Pausing ends a block and begins none; resuming counts anew; abort brings the old one back; promote swaps."""
    async with engine() as e:
        id = (await begin(e)).id
        e.provider.behaviours["b"].ttft_s = 5.0
        await e.until(lambda: now(e).in_block and e.arbiter.pool.is_ready("b"), turns=5000, step_s=1.0)
        await e.arbiter.rollouts.pause(id)
        await e.until(lambda: e.arbiter.pool.is_ready("a") and not now(e).in_block, step_s=0.1)
        loads = e.provider.loads.count("b")
        assert now(e).next_block_at is None
        await e.clock.advance(300)
        assert e.provider.loads.count("b") == loads
        await e.arbiter.rollouts.resume(id)
        await e.until(lambda: now(e).in_block and e.arbiter.pool.is_ready("b"), turns=5000, step_s=1.0)
        await e.arbiter.rollouts.abort(id)
        await e.until(lambda: e.arbiter.pool.is_ready("a"), step_s=0.1)
        assert (now(e).phase, e.serving()) == ("aborted", "a")
        await read(await e.arbiter.begin("arbiter/work", ASK))  # what was just loaded is used first
        second = (await e.arbiter.rollouts.start("work", "b")).id
        await e.arbiter.rollouts.promote(second)
        await e.until(lambda: now(e).phase == "promoted", step_s=1.0)
        assert e.serving() == "b"


async def test_it_goes_on_after_a_restart_in_the_middle_of_a_block() -> None:
    """Evidence, what was asked, and when it was loaded last are those of before: no question is asked again, and no
    load comes early."""
    async with engine() as e:
        await begin(e)
        await until_block(e, 1)
        e.provider.behaviours["b"].ttft_s = 5.0
        await e.until(lambda: now(e).in_block and now(e).pairs == 7, turns=5000, step_s=1.0)
        was, asked = now(e), set(e.arbiter.rollouts._open["work"].done)
    again = engine(store=e.store, clock=e.clock)
    async with again as e:
        view = now(e)
        assert (view.id, view.phase, view.pairs, view.blocks) == (was.id, "shadow", was.pairs, 2)
        assert not view.in_block
        assert e.arbiter.rollouts._open["work"].done == asked
        await e.arbiter.warm("a")
        early = e.arbiter.rollouts._open["work"].state.next_block_at
        assert early is not None
        await e.clock.advance(early - e.clock.now() - 2.0)
        assert "b" not in e.provider.loads
        await e.until(lambda: now(e).phase == "promoted", turns=4000, step_s=10.0)


async def test_failures_of_questions_end_it() -> None:
    """No client ever sees it, so what fails are its questions: three are enough where the old one has none."""
    async with engine() as e:
        await begin(e)
        await until_block(e, 1)
        e.provider.behaviours["b"].fail_generate = [ProviderError("broken") for _ in range(99)]
        await e.until(lambda: now(e).phase == "withdrawn", turns=5000, step_s=1.0)
        assert "fails more often" in now(e).reason


async def test_one_that_can_not_be_loaded_is_taken_back_and_the_old_one_is_back() -> None:
    """The load fails in its first block: withdrawn with the reason."""
    async with engine() as e:
        e.provider.behaviours["b"].fail_load = [LoadFailed("no room on the device")] * 9
        await begin(e)
        await e.until(lambda: now(e).phase == "withdrawn", turns=5000, step_s=1.0)
        assert "no room on the device" in now(e).reason
        await e.until(lambda: e.arbiter.pool.is_ready("a"), step_s=0.1)


async def test_without_a_verdict_it_ends_in_time() -> None:
    """Clients never leave it alone long enough: after 30 steps it is over, and says so."""
    async with engine(rollout=RolloutConfig(every_s=10.0, shadow_per_hour=3600.0)) as e:
        await begin(e)
        for _ in range(80):
            await read(await e.arbiter.begin("arbiter/work", ASK))
            await e.clock.advance(4.0)
        assert (now(e).phase, now(e).reason) == ("withdrawn", "no verdict in time")


async def test_prompts_of_clients_are_asked_first_where_a_rule_grades_them() -> None:
    """All of the suite is graded by one schema: so are the answers to what clients asked; a private task's never."""
    heard: list[str] = []

    def said(request: Request) -> str:
        heard.append(request.messages[-1].content)
        return '{"city": "Rome"}'

    for private in (False, True):
        heard.clear()
        models = {"a": Behaviour(answer=said), "b": Behaviour(answer=said)}
        async with engine(models=models, tasks=(Task(name="work", private=private),)) as e:
            items = tuple(
                SuiteItem(id=f"q{n}", task="work", prompt=f"question {n}", reference={}, verifier=SCHEMA)
                for n in range(20)
            )
            e.arbiter.live.suites = {"work": items}
            await e.arbiter.swap("work", "a")
            for n in range(3):
                request = Request(messages=(Message("user", f"where is client {n}?"),))
                await read(await e.arbiter.begin("arbiter/work", request))
            heard.clear()
            await e.arbiter.rollouts.start("work", "b")
            await until_block(e, 1)
            assert now(e).pairs == 5
            of_clients = [text for text in heard if "client" in text]
            assert len(of_clients) == (0 if private else 6), "each was answered by both"


async def test_prompts_that_nobody_can_grade_tell_of_failures_only() -> None:
    """The suite's questions have answers of their own; a client's prompt has none: asked once, of the new one."""
    heard: list[str] = []

    def said(request: Request) -> str:
        heard.append(request.messages[-1].content)
        return "yes"

    async with engine(models={"a": Behaviour(answer="yes"), "b": Behaviour(answer=said)}) as e:
        e.arbiter.live.suites = {"work": suite("work", 20)}
        await begin(e)
        for n in range(20):
            request = Request(messages=(Message("user", f"client {n}"),))
            await read(await e.arbiter.begin("arbiter/work", request))
        await until_block(e, 2)
        assert sorted(t for t in heard if "client" in t) == sorted(f"client {n}" for n in range(10, 20))
        assert now(e).pairs == 10


async def test_one_that_grows_beyond_memory_is_taken_back() -> None:
    """Side by side it holds more than there is, or more than its task allows: its answers don't matter."""
    plain = RolloutConfig(every_s=100.0, shadow_per_hour=3600.0)
    for beside, rule in ((900, "no longer fits into memory beside a"), (300, "the task allows")):
        task = Task(name="work")
        async with engine(rollout=plain, budget=950 * MIB, tasks=(task,)) as e:
            await begin(e)
            await e.until(lambda: now(e).phase == "canary", turns=2000, step_s=1.0)
            e.provider.behaviours["b"].resident_bytes = beside * MIB
            if rule == "the task allows":
                await e.arbiter.put_task({"name": "work", "max_memory_bytes": 200 * MIB})
            await e.until(lambda: now(e).phase == "withdrawn", turns=50, step_s=1.0)
            assert rule in now(e).reason
