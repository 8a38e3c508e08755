"""The laws of noticing a change for the worse."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from core_cases import outcome
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure
from arbiter_tui.core.drift import HISTORY, Alarm, Detectors, PageHinkley, Signal, locate

values = st.lists(st.floats(0.0, 1.0), max_size=80)


def run(detector: PageHinkley, many: Sequence[float]) -> tuple[PageHinkley, list[tuple[int, Alarm]]]:
    alarms = []
    for i, value in enumerate(many):
        detector, alarm = detector.step(value)
        if alarm is not None:
            alarms.append((i, alarm))
    return detector, alarms


def draws(seed: int, n: int, share: float) -> list[float]:
    rng = random.Random(seed)
    return [float(rng.random() < share) for _ in range(n)]


def textbook(many: Sequence[float], signal: Signal, *, needed: int, delta: float, threshold: float) -> int | None:
    """Page-Hinkley as in the paper, each sum from scratch: index of the first alarm."""
    sums = [0.0]
    for i, value in enumerate(many):
        mean = math.fsum(many[: i + 1]) / (i + 1)
        worse = mean - value if signal is Signal.QUALITY else value - mean
        sums.append(sums[-1] + worse - delta)
        if i + 1 >= needed and sums[-1] - min(sums) > threshold:
            return i
    return None


@given(values, st.sampled_from(Signal), st.integers(1, 40), st.floats(0.0, 0.2), st.floats(0.1, 8.0))
def test_it_is_the_textbooks_detector(
    many: list[float], signal: Signal, needed: int, delta: float, threshold: float
) -> None:
    """The incremental state alarms at the same value as the definition, and never sooner than min_samples."""
    detector = PageHinkley(signal=signal, min_samples=needed, delta=delta, threshold=threshold)
    expected = textbook(many, signal, needed=needed, delta=delta, threshold=threshold)
    _, alarms = run(detector, many)
    near = any(
        textbook(many, signal, needed=needed, delta=delta, threshold=threshold + e) != expected for e in (-1e-9, 1e-9)
    )
    assert near or (alarms[0][0] if alarms else None) == expected


@given(values)
def test_one_side_only(many: list[float]) -> None:
    """What only becomes better never raises an alarm."""
    rising = sorted(many)
    assert run(PageHinkley(min_samples=2, threshold=0.5), rising)[1] == []
    assert run(PageHinkley(signal=Signal.FAILURES, min_samples=2, threshold=0.5), rising[::-1])[1] == []


@given(values)
def test_a_step_changes_no_earlier_state(many: list[float]) -> None:
    """States are values: stepping twice from one state gives the same result."""
    detector, _ = run(PageHinkley(min_samples=5, threshold=1.0), many)
    assert detector.step(0.3) == detector.step(0.3)


def test_false_alarms_and_delays_at_the_measured_settings() -> None:
    """100 seeded runs, 500 at .8 then 500 at .45: all found, <= .2 false alarms per 1,000, median <= 40."""
    delays, early = [], 0
    for seed in range(100):
        _, alarms = run(PageHinkley(), [*draws(seed, 500, 0.8), *draws(seed + 1000, 500, 0.45)])
        early += sum(i < 500 for i, _ in alarms)
        delays.append(next(i for i, _ in alarms if i >= 500) - 500)
    assert early / 50 <= 0.2
    assert sorted(delays)[50] <= 40


def test_one_change_gives_one_alarm_and_the_new_regime_is_kept() -> None:
    """After the alarm the detector knows the new mean and stays quiet."""
    detector, alarms = run(PageHinkley(), [1.0] * 100 + [0.0] * 300)
    assert len(alarms) == 1
    at, alarm = alarms[0]
    assert alarm.since == at - 99
    assert (alarm.before, alarm.after) == (1.0, 0.0)
    assert detector.mean == 0.0
    assert len(detector.history) <= HISTORY


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("at", [5, 20, 50, 90])
def test_a_clean_change_is_located_exactly(at: int, shares: bool) -> None:
    """Both likelihood ratios put a step in the mean where it is."""
    assert locate([0.9] * at + [0.2] * (100 - at), shares=shares) == at


@given(st.lists(st.floats(0.0, 1.0), max_size=12), st.booleans())
def test_locating_takes_any_history(many: list[float], shares: bool) -> None:
    """Short, constant or empty: the index is always one of the history's."""
    assert 0 <= locate(many, shares=shares) <= max(0, len(many) - 1)


def test_each_signal_has_its_own_detector() -> None:
    """Failures, latency and quality raise their own alarm, in their own unit, and leave the others alone."""
    failing, slow, poor = (Detectors.with_limits(min_samples=10, threshold=3.0) for _ in range(3))
    found: dict[str, Alarm] = {}
    for i in range(60):
        bad = i >= 30
        failing, a = failing.observe(outcome(i, success=not bad, failure=Failure.TIMEOUT if bad else None))
        slow, b = slow.observe(outcome(i, latency_s=2.5 if bad else 0.5, queue_s=0.1))
        poor, c = poor.observe(outcome(i, quality=0.0 if bad else 1.0))
        for name, alarms in (("failures", a), ("latency", b), ("quality", c)):
            if alarms:
                found.setdefault(name, alarms[0])
                assert [alarm.signal for alarm in alarms] == [name]
    assert found.keys() == {"failures", "latency", "quality"}
    assert found["latency"].before == pytest.approx(0.4, rel=2e-3)
    assert found["latency"].after == pytest.approx(2.4, rel=2e-3)
    assert found["latency"].sentence.startswith("latency rose from 399 ms to 2.4 s ")
    assert found["quality"].sentence.startswith("quality fell from 1.00 to .00 ")
    assert found["failures"].sentence.startswith("failures rose from .00 to 1.00 ")


def test_what_is_unknown_or_not_the_models_fault_moves_nothing() -> None:
    """Cancelled requests change no detector; unknown grades and latencies change only the failures' count."""
    fresh = Detectors()
    assert fresh.observe(outcome(success=False, failure=Failure.CANCELLED)) == (fresh, ())
    assert fresh.graded(None) == (fresh, ())
    after, _ = fresh.observe(outcome(latency_s=None, quality=None))
    assert (after.quality, after.latency) == (fresh.quality, fresh.latency)
    assert after.failures.n == 1


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_an_alarm_always_tells_of_a_change_for_the_worse(signal: Signal, data: st.DataObject) -> None:
    """Whatever came before, also a larger change for the better: what an alarm says got worse did get worse."""
    few = PageHinkley(signal=signal, min_samples=4, threshold=0.5)
    for _, alarm in run(few, data.draw(values))[1]:
        assert (alarm.after > alarm.before) == (signal is not Signal.QUALITY)


def test_a_recent_slowdown_is_found_behind_a_larger_speedup() -> None:
    """The likeliest change of all is the speed-up; the alarm is about the slow-down after it."""
    slow, fast, slower = [math.log(4.0)] * 8, [math.log(0.2)] * 40, [math.log(0.8)] * 4
    _, alarms = run(PageHinkley(signal=Signal.LATENCY, min_samples=8, threshold=2.0), slow + fast + slower)
    (at, alarm), *_ = alarms
    assert at - alarm.since + 1 == 48
    assert alarm.before == pytest.approx(math.exp((math.log(4.0) * 8 + math.log(0.2) * 40) / 48), rel=2e-3)
    assert alarm.after == pytest.approx(0.8, rel=2e-3)
    assert locate(slow + fast + slower, shares=False) == 8


def test_where_nothing_became_worse_the_last_index_is_given() -> None:
    """A series that only falls holds no rise, and the other way round."""
    falling = [1.0, 0.8, 0.6, 0.4]
    assert locate(falling, rises=True) == 3
    assert locate(falling, rises=False) == locate(falling)
