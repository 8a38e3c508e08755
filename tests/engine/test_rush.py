"""Quiet hours in the engine: counted, kept over a restart, waited for; and swaps that happen together."""

from __future__ import annotations

from datetime import datetime

from engine_kit import ASK, Engine, read

from arbiter_tui.config import ScheduleConfig
from arbiter_tui.testing import FakeClock

MIDNIGHT = datetime(2025, 6, 2).timestamp()  # a Monday, by this machine's clock


async def hours(e: Engine, count: int, requests: int) -> None:
    """So many hours, each with so many requests at its beginning."""
    for _ in range(count):
        for _ in range(requests):
            await read(await e.arbiter.begin("arbiter/work", ASK))
        e.clock._now += 3600.0
        await e.arbiter.rush.look()


def scheduled(e: Engine, **changes: object) -> Engine:
    object.__setattr__(e.arbiter.config, "schedule", ScheduleConfig(**changes))  # type: ignore[arg-type]
    return e


async def test_an_hour_counts_when_it_was_watched_whole() -> None:
    """The one in which the engine started does not, nor does one that it slept through; a restart forgets nothing."""
    e = Engine(clock=FakeClock(MIDNIGHT + 1800.0))
    async with e:
        await e.arbiter.swap("work", "a")
        await e.arbiter.rush.look()
        await hours(e, 3, 2)
        assert [e.arbiter.rush.traffic.seen[h] for h in range(4)] == [0, 1, 1, 0]
        assert e.arbiter.rush.traffic.rates[1] == 2.0
        e.clock._now += 5 * 3600.0
        await e.arbiter.rush.look()
        assert sum(e.arbiter.rush.traffic.seen) == 2
        known = e.arbiter.rush.traffic
    async with Engine(clock=e.clock, store=e.store) as again:
        assert again.arbiter.rush.traffic == known


async def test_what_is_usual_is_known_after_a_day() -> None:
    """Busy from 8 to 20: at noon the quiet hour is eight hours away, at night it is now."""
    async with Engine(clock=FakeClock(MIDNIGHT)) as e:
        await e.arbiter.swap("work", "a")
        await e.arbiter.rush.look()
        await hours(e, 1, 0)
        await hours(e, 7, 0)
        await hours(e, 12, 3)
        await hours(e, 5, 0)
        around = e.arbiter.live.around
        assert (around.busy, around.quiet_in_s) == (0.0, 0.0)
        await hours(e, 11, 0)
        around = e.arbiter.live.around
        assert around.quiet_in_s == 8 * 3600.0
        assert around.busy is not None
        assert around.busy > 1.5


async def test_a_better_model_waits_for_the_quiet_hour() -> None:
    """The verdict is a hold that says when; in the quiet hour it swaps."""
    async with Engine(mode="off", cooldown_s=0.0, clock=FakeClock(MIDNIGHT)) as e:
        scheduled(e, quiet=True)
        await e.arbiter.swap("work", "a")
        await e.arbiter.rush.look()
        await hours(e, 8, 0)
        await hours(e, 12, 3)
        await hours(e, 5, 0)
        await hours(e, 12, 0)
        at_once = {"latency_s": 1e-6, "ttft_s": 1e-6}  # as the requests of these hours were
        await e.teach("a", quality=0.2, count=60, **at_once)
        await e.teach("b", quality=1.0, count=60, **at_once)
        await e.arbiter.set_autopilot("on", "work")
        verdict = e.arbiter.autopilot.judge("work")
        assert (verdict.action, verdict.to) == ("hold", "b")
        assert "the next hour that is usually quiet begins" in verdict.sentence
        await hours(e, 9, 0)
        assert e.arbiter.autopilot.judge("work").action == "swap"


async def test_swaps_that_are_due_happen_together() -> None:
    """Two tasks whose better model was found at different times: both swap at the same multiple of ``batch_s``."""
    async with Engine(mode="on", cooldown_s=0.0, tasks=("work", "other"), clock=FakeClock(MIDNIGHT)) as e:
        scheduled(e, batch_s=600.0)
        for task in ("work", "other"):
            await e.arbiter.swap(task, "a")
        for task in ("work", "other"):
            await e.clock.advance(130.0)
            e.arbiter.live.put_route(e.arbiter.routes.get(task).__class__(task=task, incumbent="a"))
            await e.teach("a", quality=0.2, count=60, task=task)
            await e.teach("b", quality=1.0, count=60, task=task)
        await e.clock.advance(2.0)
        assert {e.serving("work"), e.serving("other")} == {"a"}
        assert {at for _, at in e.arbiter.live.announced.values()} == {MIDNIGHT + 600.0}
        await e.clock.advance(600.0 - (e.clock.now() - MIDNIGHT) + 2.0)
        assert {e.serving("work"), e.serving("other")} == {"b"}
