"""The rings of the past: bounded, in order, and told as they were."""

from __future__ import annotations

import time

from engine_kit import ASK, Engine

from arbiter_tui.core.snapshot import GpuProcessView, GpuView, HardwareView, Reading
from arbiter_tui.engine import chronicle
from arbiter_tui.engine.chronicle import KEPT_STEPS, KEPT_VERSIONS, MACHINE_S, Chronicle, history_of, midnight, named


def test_the_machines_ring_holds_ten_minutes_and_no_more() -> None:
    """The oldest go first; what comes after a time is all that is sent."""
    kept = Chronicle()
    for second in range(MACHINE_S + 50):
        kept.read(float(second), HardwareView(cpu=Reading(value=second / 1000)), 0.5)
    whole = kept.machine(0.0)
    assert (whole["at"][0], whole["at"][-1], len(whole["at"])) == (50.0, 649.0, MACHINE_S)
    newest = kept.machine(646.0)
    assert newest["at"] == [647.0, 648.0, 649.0]
    assert newest["curves"]["cpu"] == [0.647, 0.648, 0.649]
    assert newest["curves"]["ram"] == [None, None, None]


def test_a_gpu_that_comes_later_has_a_gap_before() -> None:
    """Curves are equally long; what was not read then is unknown then."""
    kept = Chronicle()
    kept.read(1.0, HardwareView(), None)
    gpu = GpuView(index=0, utilisation=Reading(value=0.7), memory_used_bytes=Reading(value=2.0),
                  memory_total_bytes=Reading(value=8.0), power_w=Reading(value=200.0))  # fmt: skip
    kept.read(2.0, HardwareView(gpus=(gpu,)), None)
    found = kept.machine(0.0)["curves"]
    assert found["gpu0"] == [None, 0.7]
    assert found["gpu0_memory"] == [None, 0.25]
    assert found["gpu0_power_w"] == [None, 200.0]
    assert {len(values) for values in found.values()} == {2}


def test_steps_are_bounded_per_version_and_in_all() -> None:
    """A model that restarts for ever, and ever new models, cost a bounded memory."""
    kept = Chronicle()
    for n in range(KEPT_STEPS + 10):
        kept.step(float(n), "a", "failed", str(n))
    assert [s["message"] for s in kept.steps("a")][:2] == [str(KEPT_STEPS + 9), str(KEPT_STEPS + 8)]
    assert len(kept.steps("a")) == KEPT_STEPS
    for n in range(KEPT_VERSIONS):
        kept.step(0.0, f"v{n}", "ready", "")
    assert not kept.steps("a")
    assert kept.steps("v0")


def test_a_process_is_named_after_the_model_whose_worker_it_is() -> None:
    """Others stay without a name."""
    gpu = GpuView(index=0, processes=(GpuProcessView(pid=1, memory_bytes=5), GpuProcessView(pid=2)))
    (seen,) = named(HardwareView(gpus=(gpu,)), {1: "a"}).gpus
    assert [p.version for p in seen.processes] == ["a", None]


def test_the_day_begins_at_the_local_midnight() -> None:
    """Whatever the hour, and at midnight itself."""
    start = time.mktime((2026, 7, 14, 0, 0, 0, 0, 0, -1))
    assert midnight(start) == start
    assert midnight(start + 86_399.5) == start


async def test_a_versions_past_is_told_whole() -> None:
    """Its loads with their times, its changes from the ledger, its requests, its memory expected and measured."""
    async with Engine() as e:
        await e.arbiter.execute("work", ASK)
        await e.arbiter.alias("champion", "a")
        await e.clock.advance(5.0)
        await e.arbiter.unload("a")
        found = await history_of(e.arbiter, "champion")
        assert found["version"] == "a"
        assert [s["state"] for s in reversed(found["states"])] == ["loading", "ready", "unloading", "unloaded"]
        assert found["states"][0]["at"] - found["states"][-1]["at"] >= 5.0
        assert found["changes"][0]["action"] == "alias"
        assert [(s["task"], s["success"]) for s in found["samples"]] == [("work", True)]
        assert found["memory"]["expected_bytes"]


async def test_the_machine_is_remembered_while_nobody_looks() -> None:
    """A cockpit that is attached later finds the past; the energy of today is counted seldom, not at every look."""
    async with Engine() as e:
        ring = e.arbiter.live.chronicle
        await e.until(lambda: len(ring.machine(0.0)["at"]) >= 15, step_s=1.0)
        await e.arbiter.execute("work", ASK)
        await e.arbiter.recorder.flush()
        first = await ring.spent(e.arbiter)
        nothing = {"measured": 0, "energy_j": None, "priced": 0, "money": None}
        assert first == [{"task": "work", "requests": 1, **nothing}]
        await e.arbiter.execute("work", ASK)
        await e.arbiter.recorder.flush()
        assert await ring.spent(e.arbiter) is first
        await e.clock.advance(chronicle.SPENT_FOR_S)
        assert (await ring.spent(e.arbiter))[0]["requests"] == 2
