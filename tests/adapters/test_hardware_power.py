"""Battery and heat as the system tells them: recorded answers, for no machine of the tests has a battery."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hardware_kit import honest

from arbiter_tui.adapters.hardware import SystemProbe
from arbiter_tui.adapters.hardware.generic import Machine
from arbiter_tui.adapters.hardware.power import HEAT, Power


def battery(plugged: bool | None, percent: float = 80.0) -> Any:
    return SimpleNamespace(percent=percent, secsleft=3600, power_plugged=plugged)


@pytest.mark.parametrize(("plugged", "on_battery"), [(True, False), (False, True), (None, None)])
def test_a_battery_says_whether_it_is_used(plugged: bool | None, on_battery: bool | None, tmp_path: Path) -> None:
    """What the system does not know stays unknown."""
    read = Power(lambda: battery(plugged, 104.0), tmp_path).read()
    assert (read.on_battery, read.battery.value) == (on_battery, 1.0)


def test_no_battery_and_no_support_are_reasons(tmp_path: Path) -> None:
    """Never a full or an empty one."""

    def refuse() -> Any:
        raise NotImplementedError

    for ask, why in ((lambda: None, "there is none"), (refuse, "not supported here")):
        read = Power(ask, tmp_path).read()
        assert read.on_battery is None
        assert why in (read.battery.why or "")


def counter(root: Path, cpu: int, count: str) -> None:
    folder = root / f"cpu{cpu}" / "thermal_throttle"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "core_throttle_count").write_text(count)


def test_heat_is_a_counter_that_has_grown(tmp_path: Path) -> None:
    """The first reading has nothing to compare with; a count that stands still is no heat."""
    power = Power(lambda: None, tmp_path)
    assert "does not count it" in (power.read().held_back_why or "")
    counter(tmp_path, 0, "7\n")
    counter(tmp_path, 1, "0\n")
    assert power.read().held_back == ()
    assert power.read().held_back == ()
    counter(tmp_path, 1, "2\n")
    assert power.read().held_back == (HEAT,)
    assert power.read().held_back == ()
    counter(tmp_path, 0, "nonsense")
    assert power.read().held_back_why == "throttling by heat: ValueError"


async def test_the_whole_view_carries_them(tmp_path: Path) -> None:
    """And every reading of it has a value or a reason."""
    probe = SystemProbe(Machine(), power=Power(lambda: battery(False, 55.0), tmp_path))
    view = await probe.read()
    honest(view)
    assert (view.on_battery, view.battery.value, view.cpu_throttle) == (True, 0.55, ())
    assert view.cpu_throttle_why is not None
    await probe.close()
