"""The machine's circumstances from one reading to the next: battery, heat, GPUs that come and go."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.circumstances import NORMAL, SETTLE_S, Circumstances, seen
from arbiter_tui.core.snapshot import GpuView, HardwareView

COOL = HardwareView()
HOT = HardwareView(cpu_throttle=("heat (processor)",))


def gpu(index: int, name: str = "X", *throttle: str) -> GpuView:
    return GpuView(index=index, name=name, throttle=throttle)


def test_what_is_unknown_changes_nothing() -> None:
    """A machine that tells neither its battery nor its clocks is one on mains, and cool; the first GPUs are no news."""
    after, news = seen(NORMAL, HardwareView(gpus=(gpu(0),)), 10.0)
    assert (after.on_battery, after.is_hot(10.0), after.changed_at, news) == (None, False, None, ())


def test_battery_and_mains_are_told_once() -> None:
    """Each change is one sentence; the same again is none, and neither is losing the reading."""
    state, said = NORMAL, []
    for on in (None, True, True, False, False, True, None):
        state, news = seen(state, HardwareView(on_battery=on), 0.0)
        said.append(news)
    assert said == [(), ("on battery",), (), ("mains power is back",), (), ("on battery",), ()]


def test_heat_is_over_only_after_a_while() -> None:
    """It comes and goes by the second; what it held back waits until it has been gone for a minute."""
    hot, news = seen(NORMAL, HOT, 100.0)
    assert news == ("heat holds the machine back: heat (processor)",)
    still, news = seen(hot, COOL, 100.0 + SETTLE_S - 1)
    assert (still.is_hot(100.0 + SETTLE_S - 1), news) == (True, ())
    cool, news = seen(still, COOL, 100.0 + SETTLE_S)
    assert (cool.is_hot(100.0 + SETTLE_S), news) == (False, ("heat no longer holds the machine back",))


def test_only_heat_counts_as_heat() -> None:
    """A power limit holds for good and is part of the machine."""
    limited, _ = seen(NORMAL, HardwareView(gpus=(gpu(0, "X", "power limit"),)), 1.0)
    assert not limited.is_hot(1.0)
    hot, _ = seen(NORMAL, HardwareView(gpus=(gpu(1, "X", "power limit", "heat (driver)"),)), 1.0)
    assert hot.hot == ("GPU 1: heat (driver)",)


def test_gpus_that_appear_and_leave_are_named() -> None:
    """With the moment; one that is lost to its driver (no name) has left."""
    state, _ = seen(NORMAL, HardwareView(gpus=(gpu(0), gpu(1, "Y"))), 1.0)
    gone, news = seen(state, HardwareView(gpus=(gpu(0), gpu(1, ""))), 2.0)
    assert gone.changed_at == 2.0
    assert news == ("GPU 1 (Y) left: what ran on it is loaded again where it fits",)
    back, news = seen(gone, HardwareView(gpus=(gpu(0), gpu(1, "Z"))), 3.0)
    assert (back.changed_at, news) == (3.0, ("GPU 1 (Z) appeared: what is loaded from now on may use it",))
    assert seen(back, HardwareView(stale=True), 4.0) == (back, ())
    assert seen(back, HardwareView(gpus=(gpu(0), gpu(1, "Z"))), 4.0)[0].changed_at == 3.0


@given(st.lists(st.tuples(st.sampled_from([None, True, False]), st.booleans(), st.integers(0, 2)), max_size=30))
def test_no_reading_twice_is_news(readings: list[tuple[bool | None, bool, int]]) -> None:
    """Whatever came before: the same reading in the same moment again says nothing, and changes nothing."""
    state = Circumstances()
    for n, (on, hot, count) in enumerate(readings):
        view = HardwareView(
            on_battery=on, cpu_throttle=("heat",) if hot else (), gpus=tuple(gpu(i) for i in range(count))
        )
        state, _ = seen(state, view, 30.0 * n)
        assert seen(state, view, 30.0 * n) == (state, ())
        json.dumps(state.hot)
