"""The engine's life: what a start finds, what goes wrong beside it, and what keeps running."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from engine_kit import ASK, Engine

from arbiter_tui.config import Config, ModelBlock, ProviderBlock
from arbiter_tui.core.registry import Lifecycle, ModelVersion
from arbiter_tui.engine.life import DEFAULT_BUDGET, budget
from arbiter_tui.errors import StateFull, Unreachable
from arbiter_tui.testing import GIB, Behaviour, FakeProbe, FakeProvider


class Remote(FakeProvider):
    """A runtime of its own, which may not run here."""

    kind = "ollama"
    missing: str | None = None

    async def available(self) -> str | None:
        return self.missing


class Broken(FakeProvider):
    async def discover(self) -> list[ModelVersion]:
        raise Unreachable("nobody listens")

    async def close(self) -> None:
        raise Unreachable("nobody listens")


def with_providers(e: Engine, *providers: FakeProvider) -> Engine:
    for provider in providers:
        e.arbiter.providers[provider.name] = provider  # type: ignore[index]
    return e


async def test_embedded_models_serve_and_those_elsewhere_wait_as_drafts() -> None:
    """What is installed is active at once; what another runtime has is listed, and activated by its operator."""
    remote = Remote("box", {"far": Behaviour()})
    async with with_providers(Engine(), remote) as e:
        await e.until(lambda: "far" in e.arbiter.registry.versions)
        lives = {v.version: v.lifecycle for v in e.arbiter.registry.versions.values()}
        assert lives == {"a": Lifecycle.ACTIVE, "b": Lifecycle.ACTIVE, "far": Lifecycle.DRAFT}
        assert e.serving() == "a"
        assert len(await e.arbiter.discover()) == 3
        assert len(await e.arbiter.discover(apply=True)) == 3
        assert len(e.arbiter.registry.versions) == 3


async def test_a_runtime_that_does_not_run_here_is_missed_only_by_who_configured_it() -> None:
    """A start is quiet about it; discovering by hand says what is missing, if the configuration names it."""
    remote = Remote("box", {"far": Behaviour()})
    remote.missing = "nothing listens on port 11434"
    e = with_providers(Engine(), remote)
    async with e:
        await e.clock.settle()
        assert await e.arbiter.discover() == [e.provider.version(name) for name in "ab"]
        assert not e.arbiter.snapshot().alerts
        e.arbiter.live.config = replace(e.arbiter.config, providers=(ProviderBlock(name="box", kind="ollama"),))
        await e.arbiter.discover()
        assert "11434" in e.arbiter.snapshot().alerts[0].message


async def test_one_broken_provider_hides_nobody_elses_models_and_stops_no_stop() -> None:
    """Its trouble is an alert; the others serve, and the engine closes them all."""
    e = with_providers(Engine(), Broken("broken", {"x": Behaviour()}))
    async with e:
        assert "nobody listens" in e.arbiter.snapshot().alerts[0].message
        assert (await e.arbiter.execute("work", ASK)).version == "a"
    assert e.provider.closed


async def test_configured_models_are_active_under_their_own_names() -> None:
    """With the block's options; one that can't be used is an alert, and a second start registers nothing twice."""
    blocks = (
        ModelBlock(name="coder", provider="fake", source="a", context=64, parallel=2, labels=("fast",), pinned=True),
        ModelBlock(name="ghost", provider="fake", source="nowhere"),
        ModelBlock(name="lost", provider="nobody", source="a"),
    )
    e = Engine()
    e.arbiter.config = e.arbiter.live.config = replace(e.arbiter.config, models=blocks)
    async with e:
        coder = e.arbiter.registry.get("coder")
        assert (coder.context, coder.parallel, coder.labels, coder.pinned) == (64, 2, ("fast",), True)
        assert coder.lifecycle is Lifecycle.ACTIVE
        said = " ".join(a.message for a in e.arbiter.snapshot().alerts)
        assert "ghost" in said
        assert "lost" in said
    again = Engine(store=e.store)
    again.arbiter.config = again.arbiter.live.config = replace(again.arbiter.config, models=blocks[:1])
    async with again:
        assert set(again.arbiter.registry.versions) == {"coder", "a", "b"}


async def test_without_any_model_the_engine_is_ready_and_says_what_to_do() -> None:
    """A fresh machine: no crash, a narrator that names the command, and the first activated model serves at once."""
    e = Engine({"a": Behaviour()})
    e.provider.behaviours.clear()
    async with e:
        assert e.arbiter.state == "ready"
        assert "register" in e.arbiter.snapshot().narrator
        e.provider.behaviours["new"] = Behaviour()
        await e.arbiter.register("fake", "new")
        assert e.serving() is None
        await e.arbiter.activate("new")
        assert e.serving() == "new"


async def test_a_full_disk_stops_no_answer_and_nothing_learnt_is_lost() -> None:
    """Requests go on, the trouble is told, and what was learnt is stored when the disk has room again."""
    async with Engine() as e:
        e.store.fail_next = [StateFull("no space left") for _ in range(40)]
        for _ in range(5):
            assert (await e.arbiter.execute("work", ASK)).text == "ok"
        await e.clock.advance(6.0)
        assert any("no space left" in a.message for a in e.arbiter.snapshot().alerts)
        e.store.fail_next = []
        await e.clock.advance(10.0)
        assert len(e.store.outcomes) == 5
        assert e.store.profiles["work"].requests == 5


async def test_a_loop_that_fails_goes_on() -> None:
    """One bad moment is an alert; the autopilot looks again."""
    async with Engine(mode="on", cooldown_s=1.0) as e:
        whole, calls = e.arbiter.autopilot.look, []  # type: ignore[var-annotated]

        async def look() -> object:
            calls.append(1)
            if len(calls) == 1:
                raise RuntimeError("a bad moment")
            return await whole()

        e.arbiter.autopilot.look = look  # type: ignore[method-assign,assignment]
        await e.teach("a", quality=0.1)
        await e.teach("b", quality=1.0)
        await e.until(lambda: e.serving() == "b", step_s=0.5)
        assert any("a bad moment" in a.message for a in e.arbiter.snapshot().alerts)


async def test_readers_of_events_are_woken() -> None:
    """A waiting reader gets the next event, and nothing after its time is up."""
    async with Engine() as e:
        newest = (await e.arbiter.events(0))[-1]["revision"]
        assert await e.arbiter.events(newest, 0.001) == []
        waiting = asyncio.create_task(e.arbiter.events(newest, 30.0))
        await e.clock.settle()
        await e.arbiter.alias("champion", "b")
        assert (await waiting)[0]["message"] == "alias: champion → b"


async def test_a_first_choice_explains_requests_after_a_restart_too() -> None:
    """Those before it and those after it name the same record, until a swap takes its place."""
    async with Engine() as first:
        before = await first.arbiter.execute("work", ASK)
        chosen = (await first.arbiter.explain(before.id))["decision"]["id"]
    async with Engine(store=first.store) as second:
        after = await second.arbiter.execute("work", ASK)
        for request in (before, after):
            assert (await second.arbiter.explain(request.id))["decision"]["id"] == chosen
        await second.clock.advance(1.0)
        swap = await second.arbiter.swap("work", "b" if after.version == "a" else "a")
    async with Engine(store=first.store, clock=second.clock) as third:
        last = await third.arbiter.execute("work", ASK)
        assert (await third.arbiter.explain(last.id))["decision"]["id"] == swap.id


async def test_a_swap_in_the_middle_can_be_explained() -> None:
    """Before its record is written, a running swap explains itself."""
    gate = asyncio.Event()
    async with Engine({"a": Behaviour(), "b": Behaviour(load_gate=gate)}) as e:
        swapping = asyncio.create_task(e.arbiter.swap("work", "b"))
        await e.until(lambda: e.arbiter.swaps)
        assert (await e.arbiter.explain(e.arbiter.swaps[0].id))["verdict"] == "running"
        gate.set()
        await swapping


def test_the_budget_is_the_configured_one_else_half_of_what_is_free() -> None:
    """And a plain two gibibytes where the machine can't say."""
    assert budget(Config(), FakeProbe(available=8 * GIB)) == 4 * GIB
    assert budget(Config(), FakeProbe(available=None)) == DEFAULT_BUDGET
    configured = replace(Config(), pool=replace(Config().pool, memory_budget_bytes=5))
    assert budget(configured, FakeProbe()) == 5
