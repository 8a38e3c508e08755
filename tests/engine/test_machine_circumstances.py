"""On battery, in heat, with a GPU that leaves: what the engine stops doing, says, and takes up again."""

from __future__ import annotations

from dataclasses import replace

from engine_kit import ASK, Engine, read

from arbiter_tui.config import RolloutConfig, ScheduleConfig
from arbiter_tui.core.snapshot import GpuView, HardwareView
from arbiter_tui.testing import Behaviour, FakeProbe

BATTERY, HOT = HardwareView(on_battery=True), HardwareView(cpu_throttle=("heat (processor)",))


async def show(e: Engine, view: HardwareView) -> None:
    """As the machine is read from now on."""
    probe = e.arbiter.live.probe
    assert isinstance(probe, FakeProbe)
    probe.view = view
    await e.clock.advance(1.1)


def asked(e: Engine) -> int:
    e.arbiter.recorder.absorb()
    return sum(s.samples for s in e.arbiter.evidence.stats("work").values())


async def test_on_battery_and_in_heat_no_sentinel_is_asked() -> None:
    """A used task gets its questions on mains; on battery and in heat none, unless the configuration says so."""
    for view, rules, quiet in (
        (HardwareView(), ScheduleConfig(), False),
        (BATTERY, ScheduleConfig(), True),
        (BATTERY, ScheduleConfig(on_battery="ignore"), False),
        (HOT, ScheduleConfig(), True),
        (HOT, ScheduleConfig(heat="ignore"), False),
    ):
        async with Engine(mode="on", sentinels_per_hour=3600.0) as e:
            object.__setattr__(e.arbiter.config, "schedule", rules)
            await e.arbiter.swap("work", "a")
            await show(e, view)
            await read(await e.arbiter.begin("arbiter/work", ASK))
            before = asked(e)
            await e.clock.advance(20.0)
            assert (asked(e) == before) is quiet, (view, rules)


async def test_on_battery_nothing_is_explored_and_the_trial_waits() -> None:
    """Each request goes to who serves; a trial asks no pairs. Back on mains both go on."""
    models = {"a": Behaviour(answer="yes"), "b": Behaviour(answer="yes")}
    trial = RolloutConfig(shadow_per_hour=3600.0, every_s=1000.0)
    async with Engine(models=models, mode="on", explore_share=1.0, rollout=trial, questions=60) as e:
        await e.arbiter.swap("work", "a")
        e.arbiter.live.put_route(replace(e.arbiter.routes.get("work"), hold_until=0.0))
        for name in "ab":
            await e.arbiter.warm(name)
        for view, explored in ((BATTERY, False), (HardwareView(on_battery=False), True)):
            await show(e, view)
            answer = await e.arbiter.begin("arbiter/work", ASK)
            await read(answer)
            assert (answer.version.version == "b") is explored
        await show(e, BATTERY)
        await e.arbiter.rollouts.start("work", "b")
        await e.clock.advance(20.0)
        assert e.arbiter.rollouts.views()[0].pairs == 0
        await show(e, HardwareView(on_battery=False))
        await e.until(lambda: e.arbiter.rollouts.views()[0].pairs > 0, step_s=1.0)


async def test_it_is_said_in_the_narrators_line_and_as_events() -> None:
    """Why nothing is asked; each change once."""
    async with Engine(mode="on") as e:
        await e.arbiter.swap("work", "a")
        await e.clock.advance(700.0)
        await show(e, BATTERY)
        e.arbiter.autopilot.narrate()
        assert e.arbiter.live.narrator == "On battery: nothing is explored or asked until mains power is back."
        await show(e, HardwareView(on_battery=False))
        said = [x["message"] for x in await e.arbiter.events() if x["kind"] == "machine"]
        assert said == ["on battery", "mains power is back"]


async def test_a_gpu_that_leaves_is_an_alert_and_holds_swaps_for_a_cooldown() -> None:
    """Seconds measured with it say nothing of the next ones: the guard says so, with the time to go."""
    with_gpu = HardwareView(gpus=(GpuView(index=0, name="X"),))
    async with Engine(mode="on", cooldown_s=100.0) as e:
        await e.arbiter.swap("work", "a")
        await show(e, with_gpu)
        await show(e, HardwareView())
        assert any("GPU 0 (X) left" in a.message for a in e.arbiter.live.alerts)

        def guard() -> dict[str, object]:
            (found,) = [g for g in e.arbiter.autopilot.outlook("work")["guards"] if g["rule"] == "hardware"]
            return dict(found)

        assert guard()["met"] is False
        assert "GPU 0 (X) left" in str(guard()["would_change_if"])
        await e.clock.advance(100.0)
        assert guard()["met"] is True
