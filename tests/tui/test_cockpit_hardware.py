"""The whole machine: every reading or its reason, ten minutes of curves, the budget as one bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from canned import GEMMA, HARDWARE, HEALTHY, NOW, SMOL, G, r
from canned_past import machine
from canned_states import FOUR_GPUS, crowd
from cockpit_seat import Seat, seat

from arbiter_tui.core.snapshot import BudgetView, GpuView, HardwareView, Reading, Snapshot
from arbiter_tui.errors import EngineUnreachable
from arbiter_tui.tui.screens.hardware import KEPT, Hardware, Past
from arbiter_tui.tui.state import HISTORY, History
from arbiter_tui.tui.text import plain, width_of
from arbiter_tui.tui.widgets.readings import rows

SPENT = machine()["spent"]


def row(snapshot: Snapshot, key: str, width: int = 100) -> str:
    found = next(x for x in rows(snapshot, SPENT, width) if x.key == key)
    return "\n".join(plain(x) for x in found.lines)


async def opened(s: Seat, answer: Mapping[str, Any], *keys: str) -> None:
    s.engine.machine_answer = answer
    await s.press(*(keys or ("m",)))
    assert isinstance(s.app.screen, Hardware)


@pytest.mark.parametrize("keys", [("m",), ("3", "enter")])
async def test_two_ways_in(keys: tuple[str, ...]) -> None:
    """By its own key from anywhere, and as the details of the machine's region; escape leads back."""
    async with seat(size=(120, 60)) as s:
        await opened(s, machine(), *keys)
        await s.until(lambda: "the last 10 minutes" in s.screen_text())
        for word in ("processor", "cores 0–3", "swap", "disk", "state, models", "neural engine", "the models' memory",
                     "energy today", "12.4 kJ", "models' budget", "processor power"):  # fmt: skip
            assert word in s.screen_text(), word
        await s.press("escape")
        assert not isinstance(s.app.screen, Hardware)


async def test_enter_says_why_a_reading_is_missing_and_how_to_get_it() -> None:
    """A dash, its reason; on enter the way to it; enter again closes that."""
    async with seat(size=(120, 70)) as s:
        await opened(s, machine())
        await s.until(lambda: "sentiment" in s.screen_text())
        for key, words in {
            "ane": ("not read on this machine", "macmon"),
            "gpu": ("no NVIDIA driver", "nvidia-ml-py"),
            "disk:/mnt/big": ("no permission", "the engine's user"),
            "spent:sentiment": ("none of 2205 requests", "energy_j"),
        }.items():
            s.app.screen.cursor = key
            await s.press("enter")
            assert all(w.lower() in s.screen_text().lower() for w in words), key
            assert "→" in s.screen_text()
            await s.press("enter")
            assert "→" not in s.screen_text()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_row_can_be_reached(size: tuple[int, int]) -> None:
    """The last reading of four GPUs is as near as G, the first as near as home, and then the curves are in sight."""
    async with seat(FOUR_GPUS, size=size) as s:
        await opened(s, machine(gpus=4))
        await s.until(lambda: "gpu3" in s.screen_text() or "minutes" in s.screen_text())
        await s.press("G")
        assert "topic" in s.screen_text()
        await s.press("home")
        assert "processor" in s.screen_text()


async def test_an_engine_without_a_past_still_shows_the_present() -> None:
    """Older engines and lost ones: the readings stand, the trouble is one line."""
    async with seat(size=(120, 60)) as s:

        async def gone(after: float | None = None) -> Mapping[str, Any]:
            raise EngineUnreachable("no such path")

        s.engine.machine = gone  # type: ignore[method-assign]
        await s.press("m")
        await s.until(lambda: "the past can't be read" in s.screen_text())
        assert "0.6 G of 2.0 G in use" in s.screen_text()


@pytest.mark.parametrize("lie", [{}, {"at": ["x"], "curves": {}}, {"at": [1.0], "curves": 3}, {"at": 1, "curves": {}}])
async def test_a_past_that_makes_no_sense_costs_a_line(lie: dict[str, Any]) -> None:
    """An engine that lies does not end the cockpit."""
    async with seat(size=(120, 60)) as s:
        await opened(s, lie)
        await s.until(lambda: "can't read" in s.screen_text())
        assert s.app._exception is None


def test_the_past_grows_by_what_is_new_and_is_bounded() -> None:
    """Curves stay equally long when one comes later."""
    past = Past()
    past.add(machine(600))
    past.add({"at": [NOW + 1], "curves": {"cpu": [0.5], "gpu0": [0.7]}})
    assert len(past.at) == KEPT
    assert {len(v) for v in past.curves.values()} == {KEPT}
    assert past.curves["gpu0"][-2:] == [None, 0.7]
    assert past.curves["ram"][-1] is None
    with pytest.raises(KeyError):
        past.add({"at": [NOW + 2]})
    assert past.at[-1] == NOW + 1


def test_what_is_unknown_is_a_dash_with_its_reason_never_a_zero() -> None:
    """An empty view: every reading that there can be has a reason."""
    empty = replace(HEALTHY, hardware=HardwareView())
    for x in rows(empty, (), 100):
        if x.key in ("cpu", "ram", "swap", "cpu-power", "ane", "gpu"):
            assert x.why
            assert x.how
            assert "–" in plain(x.lines[0])
            assert "0%" not in plain(x.lines[0])


def test_a_gpu_in_full() -> None:
    """Load, memory by model, power, heat and what holds it back; a process that is not told is a dash."""
    assert "held back: heat (driver), power limit" in row(FOUR_GPUS, "gpu3-clocks")
    assert "not held back" in row(FOUR_GPUS, "gpu0-clocks")
    assert GEMMA in row(FOUR_GPUS, "gpu0-pid4242")
    assert SMOL in row(FOUR_GPUS, "gpu1-pid4243")
    assert "–" in row(FOUR_GPUS, "gpu0-pid99")
    assert "▲ 87 °C" in row(FOUR_GPUS, "gpu3-heat")
    unasked = replace(FOUR_GPUS, hardware=replace(HARDWARE, gpus=(GpuView(index=0, throttle_why="not told"),)))
    assert "not held back" not in row(unasked, "gpu0-clocks")
    assert "–" in row(unasked, "gpu0-clocks")


@pytest.mark.parametrize("width", [40, 72, 100, 144])
def test_the_budget_is_one_bar_whose_parts_add_up(width: int) -> None:
    """Each model its pattern and at least a cell, the rest empty, never longer than the line; over budget says so."""
    for snapshot in (HEALTHY, crowd(), replace(HEALTHY, budget=BudgetView(limit_bytes=G // 4, used_bytes=G // 2))):
        found = next(x for x in rows(snapshot, (), width) if x.key == "budget")
        bar = found.lines[1]
        assert width_of(bar) == width - 2
    over = replace(HEALTHY, budget=BudgetView(limit_bytes=G // 4, used_bytes=G // 2))
    assert "over" in row(over, "budget")


def test_each_part_of_the_budget_says_whose_it_is() -> None:
    """Every listed model has a number of its own, at the beginning of its part of the bar and before its name."""
    held = [m for m in crowd().models if m.resident_bytes]
    assert len(held) > 4
    found = rows(crowd(), (), 120)
    bar = plain(next(x for x in found if x.key == "budget").lines[1])
    numbers = [plain(x.lines[0])[0] for x in found if x.key.startswith("held:") and x.why is None]
    assert len(set(numbers)) == len(numbers) >= 4
    assert [c for c in bar if c in numbers] == numbers


@pytest.mark.parametrize("width", [36, 56, 72, 100, 144])
def test_no_row_is_longer_than_its_line(width: int) -> None:
    """At every width, with every kind of machine."""
    for snapshot in (HEALTHY, FOUR_GPUS, crowd(), replace(HEALTHY, hardware=HardwareView())):
        for x in rows(snapshot, SPENT, width):
            assert all(width_of(y) <= width for y in x.lines), (x.key, width)


def test_many_cores_are_few_lines() -> None:
    """128 cores: a column each, and no line too long."""
    many = replace(HEALTHY, hardware=replace(HARDWARE, cores=tuple(i / 127 for i in range(128)), cpu=r(0.5)))
    found = next(x for x in rows(many, (), 100) if x.key == "cores")
    assert len(found.lines) == 4
    assert "core 127 100%" in found.said


async def test_a_cockpit_that_comes_later_sees_what_was_before() -> None:
    """The main screen's curves begin with the engine's ten minutes, not with an empty field."""
    async with seat(history=False) as s:
        s.app.view.history = History()
        s.app._seen_at = None
        s.engine.machine_answer = machine(300)
        await s.show(replace(HEALTHY, revision=77))
        await s.until(lambda: len(s.app.view.history.of("cpu")) == 301)
        assert s.app.view.history.of("cpu")[-1] == 0.34


def test_an_older_past_is_put_before_and_bounded() -> None:
    """What overlaps is not counted twice; what is older than the curve holds is left out."""
    history = History()
    history.add(1000.0, {"cpu": 1.0})
    history.before([998.0, 999.0, 1000.0], {"cpu": [0.1, 0.2, 0.3], "ane": [0.0, 0.0, 0.0]})
    assert history.of("cpu") == [0.1, 0.2, 1.0]
    assert history.of("ane") == []
    full = History()
    full.add(5000.0, {"cpu": 1.0})
    full.before([float(t) for t in range(4000, 5000)], {"cpu": [t / 1000 for t in range(1000)]})
    assert len(full.of("cpu")) == HISTORY
    assert full.of("cpu")[-2:] == [0.999, 1.0]


async def test_enter_on_a_figure_says_what_it_counts() -> None:
    """Not the row once more; a swap space of 0 is explained, too."""
    none = replace(HEALTHY.hardware, swap_used_bytes=Reading(value=0), swap_total_bytes=Reading(value=0))
    async with seat(replace(HEALTHY, hardware=none), size=(120, 70)) as s:
        await opened(s, machine())
        for key, words in {
            "cpu": "since the reading before",
            "ram": "files kept for speed",
            "swap": "nothing is moved",
        }.items():
            s.app.screen.cursor = key
            await s.press("enter")
            assert words in " ".join(s.screen_text().replace("│", " ").split()), key
            await s.press("enter")
