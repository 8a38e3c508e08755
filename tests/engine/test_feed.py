"""The feed: a still engine is silent, a busy one is bounded, a slow reader skips."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from engine_kit import ASK, Engine

from arbiter_tui.core.snapshot import EngineView, GpuView, HardwareView, ModelView, Reading, Snapshot
from arbiter_tui.engine.feed import TICK_S, Feed
from arbiter_tui.engine.views import settle_hardware
from arbiter_tui.testing import FakeClock


class Source:
    def __init__(self) -> None:
        self.snapshot = Snapshot(narrator="0")
        self.built = 0
        self.clock = FakeClock()
        self.feed = Feed(self.clock, self.build)

    def build(self) -> Snapshot:
        self.built += 1
        return replace(self.snapshot, taken_at=float(self.built), engine=EngineView(uptime_s=float(self.built)))

    def say(self, text: str) -> None:
        self.snapshot = Snapshot(narrator=text)
        self.feed.mark_dirty()


async def test_only_a_change_of_content_makes_a_revision() -> None:
    """Nothing dirty: nothing built. Dirty but the same, apart from its time: no revision."""
    source = Source()
    assert source.feed.tick()
    assert not source.feed.tick()
    assert source.built == 1
    source.feed.mark_dirty()
    assert not source.feed.tick()
    assert (source.built, source.feed.revision) == (2, 1)
    source.say("1")
    assert source.feed.tick()
    assert source.feed.revision == 2


async def test_while_a_model_loads_each_tick_looks_again() -> None:
    """A load's progress moves without any event; when it is over, the feed is as still as before."""
    source = Source()
    source.snapshot = Snapshot(models=(ModelView(version="a", state="loading", progress=0.1),))
    source.feed.mark_dirty()
    assert source.feed.tick()
    source.snapshot = Snapshot(models=(ModelView(version="a", state="loading", progress=0.4),))
    assert source.feed.tick()
    source.snapshot = Snapshot(models=(ModelView(version="a", state="ready"),))
    assert source.feed.tick()
    assert not source.feed.tick()
    assert source.built == 3


async def test_at_most_four_snapshots_a_second() -> None:
    """However often something changes and whoever looks, one tick builds one snapshot."""
    source, seen = Source(), list[int]()

    async def reader() -> None:
        while True:
            seen.append((await source.feed.wait(seen[-1] if seen else 0, 30.0)).revision)

    tasks = [asyncio.create_task(source.feed.run()), *(asyncio.create_task(reader()) for _ in range(3))]
    await source.clock.settle()
    for n in range(40):
        source.say(str(n))
        await source.clock.advance(TICK_S / 10)
    assert 4 <= source.built <= 6
    assert max(seen) == source.feed.revision
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_nothing_is_built_while_nobody_looks() -> None:
    """Whoever comes then gets what is true now, not what was."""
    source = Source()
    loop = asyncio.create_task(source.feed.run())
    for n in range(40):
        source.say(str(n))
        await source.clock.advance(TICK_S)
    assert source.built == 0
    assert (await source.feed.wait(0, 5.0)).narrator == "39"
    source.say("40")
    assert (await source.feed.wait(1, 0.0)).narrator == "39", "within the same tick"
    await source.clock.advance(TICK_S)
    assert (await source.feed.wait(1, 5.0)).narrator == "40"
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_reader_waits_for_news_and_skips_what_it_missed() -> None:
    """After the newest it waits and is woken; after an older or unknown one it gets the newest at once."""
    source = Source()
    first = await source.feed.wait(0, 5.0)
    assert first.revision == 1
    assert (await source.feed.wait(1, 0.0)).revision == 1
    assert (await source.feed.wait(1, 0.001)).revision == 1
    waiting = asyncio.create_task(source.feed.wait(1, 30.0))
    await source.clock.settle()
    assert not waiting.done()
    for text in "123":
        source.say(text)
        source.feed.tick()
    assert (await waiting).revision == 4
    assert (await source.feed.wait(2, 30.0)).narrator == "3"
    assert (await source.feed.wait(99, 30.0)).revision == 4, "a reader of another engine's life is answered at once"


async def test_a_still_engine_gives_no_new_revision() -> None:
    """Minutes pass with a model loaded and nothing asked: the revision stands."""
    async with Engine(mode="on") as e:
        await e.arbiter.execute("work", ASK)
        await e.clock.advance(30.0)
        before = (await e.arbiter.feed.wait(0, 0.0)).revision
        for _ in range(160):
            await e.clock.advance(0.25)
            e.arbiter.feed.tick()
        assert before > 0
        assert e.arbiter.feed.revision == before


def test_hardware_moves_in_the_steps_that_a_screen_shows() -> None:
    """Less than a step changes nothing; an unreadable value passes with its reason; GPUs keep their steps, too."""
    gpu = GpuView(index=0, utilisation=Reading(value=0.5), power_w=Reading(value=99.6))
    old = settle_hardware(
        HardwareView(),
        HardwareView(cpu=Reading(value=0.254), ram_used_bytes=Reading(value=4.004e9), cores=(0.31,), gpus=(gpu,)),
    )
    assert (old.cpu.value, old.ram_used_bytes.value, old.gpus[0].power_w.value) == (0.25, 4.0e9, 100.0)
    near = HardwareView(
        cpu=Reading(value=0.258), ram_used_bytes=Reading(value=4.006e9), cores=(0.33,),
        gpus=(replace(gpu, power_w=Reading(value=100.4)),),
    )  # fmt: skip
    assert settle_hardware(old, near) == old
    gone = settle_hardware(old, replace(near, cpu=Reading(value=None, why="no permission")))
    assert (gone.cpu.value, gone.cpu.why) == (None, "no permission")
    assert settle_hardware(old, replace(near, cpu=Reading(value=0.9))).cpu.value == 0.9
