"""The detector of shares: its sums from scratch, its limits, what it takes for normal, and what it is worth."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arbiter_tui.core import drift
from arbiter_tui.core.drift import HISTORY, Alarm, ShareDrift, Signal

values = st.lists(st.floats(0.0, 1.0), max_size=80)


def run(detector: ShareDrift, many: Sequence[float]) -> tuple[ShareDrift, list[tuple[int, Alarm]]]:
    alarms = []
    for i, value in enumerate(many):
        detector, alarm = detector.step(value)
        alarms += [] if alarm is None else [(i, alarm)]
    return detector, alarms


def draws(seed: int, n: int, share: float) -> list[float]:
    rng = random.Random(seed)
    return [float(rng.random() < share) for _ in range(n)]


def evidence(detector: ShareDrift) -> float:
    return math.log(math.fsum(w * math.exp(s) for w, s in zip(drift.WEIGHTS, detector.sums, strict=True)))


def textbook(many: Sequence[float], needed: int) -> list[float]:
    """The logarithm of the weighted evidence after each value, by likelihoods written out."""
    known, late, sums, found = [1.0, 0.0], [], [0.0] * 4, []
    for n, x in enumerate(many, start=1):
        p = min(max(math.fsum(known) / len(known), 0.005), 0.995)
        spread = math.fsum(v * v for v in known) / len(known) - (math.fsum(known) / len(known)) ** 2
        spread = min(1.0, max(0.05, spread / (p * (1 - p))))
        for i, shift in enumerate((0.5, 1.0, 2.0, 3.5)):
            odds = p / (1 - p) * math.exp(-shift)
            p1 = odds / (1 + odds)
            ratio = x * math.log(p1 / p) + (1 - x) * math.log((1 - p1) / (1 - p))
            sums[i] = min(50.0, max(0.0, sums[i] + ratio / spread))
        found.append(math.log(0.19 * math.exp(sums[0]) + 0.57 * math.exp(sums[1]) + 0.19 * math.exp(sums[2])
                              + 0.05 * math.exp(sums[3])))  # fmt: skip
        late.append(x)
        if found[-1] < 2.0 or n <= needed:
            known, late = known + late, []
    return found


@given(values, st.integers(1, 40))
def test_it_is_four_cusums_against_what_was_normal(many: list[float], needed: int) -> None:
    """Each step's evidence is that of the likelihoods written out; failures are the same with 1 for a bad one."""
    quality = ShareDrift(min_samples=needed, limit=1e9)
    failures = replace(quality, signal=Signal.FAILURES)
    for value, expected in zip(many, textbook(many, needed), strict=True):
        if abs(expected - 2.0) < 1e-9:
            return  # rounding decides whether it is under suspicion
        quality, failures = quality.step(value)[0], failures.step(1.0 - value)[0]
        assert evidence(quality) == pytest.approx(expected, abs=1e-6)
        assert evidence(failures) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("good", [1.0, 0.0])
def test_what_was_always_the_same_is_held_to_a_coin_at_the_edge(good: float) -> None:
    """300 right or wrong answers and then some others: the evidence is that of the likelihoods written out."""
    many = [good] * 300 + [1.0 - good] * 3 + [good] * 20
    detector = ShareDrift(limit=1e9)
    for value, expected in zip(many, textbook(many, 30), strict=True):
        detector = detector.step(value)[0]
        assert evidence(detector) == pytest.approx(expected, abs=1e-6)


@given(values, st.sampled_from([Signal.QUALITY, Signal.FAILURES]), st.integers(1, 20))
def test_an_alarm_always_tells_of_a_change_for_the_worse(many: list[float], signal: Signal, needed: int) -> None:
    """Whatever came before it, and never sooner than min_samples."""
    few = ShareDrift(signal=signal, min_samples=needed, limit=0.5, warm=0.0)
    _, alarms = run(few, many)
    assert all(i + 1 >= needed for i, _ in alarms)
    for _, alarm in alarms:
        assert (alarm.after > alarm.before) == (signal is Signal.FAILURES)
        assert alarm.since <= alarm.samples


@given(values)
@example([0.9154844570906457] * 4)  # the means of two and of three of them differ in their last digit
def test_one_side_only(many: list[float]) -> None:
    """What only becomes better never raises an alarm."""
    rising = sorted(many)
    assert run(ShareDrift(min_samples=2, limit=0.7, warm=0.0), rising)[1] == []
    assert run(ShareDrift(signal=Signal.FAILURES, min_samples=2, limit=0.7, warm=0.0), rising[::-1])[1] == []


def test_the_evidence_must_pass_the_limit_and_the_warm_up() -> None:
    """Exactly at the limit there is no alarm; warm is added in full at min_samples and halved at twice as many."""
    calm, _ = run(ShareDrift(min_samples=20, limit=1e9), [1.0] * 39)
    after, _ = calm.step(0.0)
    found = evidence(after)
    assert after.n == 40
    for limit, warm, alarmed in (
        (found, 0.0, False), (found - 1e-9, 0.0, True), (found - 0.5, 1.0, False), (found - 0.5 - 1e-9, 1.0, True),
    ):  # fmt: skip
        assert (replace(calm, limit=limit, warm=warm).step(0.0)[1] is not None) == alarmed


@pytest.mark.parametrize("needed", [3, 4, 9])
def test_the_first_alarm_is_at_min_samples(needed: int) -> None:
    """Not one value later."""
    detector = ShareDrift(min_samples=needed, limit=0.05, warm=0.0)
    _, alarms = run(detector, [1.0] + [0.0] * 9)
    assert alarms[0][0] == needed - 1


def test_what_comes_under_suspicion_is_no_part_of_normal_until_it_is_over() -> None:
    """The share before stays while the evidence is above e^2, and takes it all in once it falls below."""
    calm, _ = run(ShareDrift(limit=1e9), [1.0] * 60)
    held, _ = run(calm, [0.0] * 3)
    assert evidence(held) > 2.0
    assert (held.late_good, held.late_bad, held.late_squares) == (0.0, 3.0 - held.bad + 1.0, 0.0)
    assert held.good == 61.0
    over = held
    while evidence(over) >= 2.0:
        over, _ = over.step(1.0)
    assert (over.late_good, over.late_bad, over.late_squares) == (0.0, 0.0, 0.0)
    assert (over.good, over.bad) == (1.0 + over.n - 3.0, 4.0)
    assert over.squares == over.good


def test_grades_that_scatter_little_tell_more() -> None:
    """A fall from .60 to .50 is found soon among grades near .6, and not at all that soon among coins of .6."""
    rng = random.Random(3)
    near = [0.6 + rng.uniform(-0.1, 0.1) for _ in range(200)] + [0.5 + rng.uniform(-0.1, 0.1) for _ in range(100)]
    _, alarms = run(ShareDrift(), near)
    assert alarms
    assert 200 < alarms[0][0] < 250
    assert alarms[0][1].before == pytest.approx(0.6, abs=0.02)
    assert alarms[0][1].after == pytest.approx(0.5, abs=0.05)


def test_after_an_alarm_only_the_new_regime_is_known() -> None:
    """Count, mean, history and the share before are those of what came after; the limits stay."""
    detector = ShareDrift(min_samples=10, limit=4.0, warm=1.0)
    many = [1.0] * 40 + [0.0] * 10
    ((at, alarm),) = run(detector, many)[1][:1]
    kept = at - 39
    assert (alarm.since, alarm.samples, alarm.before, alarm.after) == (kept, at + 1, 1.0, 0.0)
    fresh, _ = run(detector, many[: at + 1])
    assert (fresh.n, fresh.mean, fresh.history) == (kept, 0.0, (0.0,) * kept)
    assert (fresh.good, fresh.bad, fresh.squares, fresh.sums) == (1.0, 1.0 + kept, 1.0, (0.0,) * 4)
    assert (fresh.min_samples, fresh.limit, fresh.warm) == (10, 4.0, 1.0)
    assert fresh == replace(fresh, late_good=0.0, late_bad=0.0, late_squares=0.0)


def test_where_nothing_became_worse_the_sums_start_anew_and_the_rest_stays() -> None:
    """History ends before the change: there is nothing to tell, and it does not ask again at every step."""
    known = ShareDrift(min_samples=1, limit=0.0, warm=0.0, good=100.0, bad=1.0, squares=100.0, n=5, history=(0.0,) * 5)
    after, alarm = known.step(0.0)
    assert alarm is None
    assert after.sums == (0.0,) * 4
    assert (after.n, len(after.history)) == (6, 6)


def test_memory_and_sums_are_bounded() -> None:
    """Years of failures before min_samples overflow nothing; 500 values are kept."""
    detector, alarms = run(ShareDrift(signal=Signal.FAILURES, min_samples=10_000), [0.0] * 600 + [1.0] * 600)
    assert alarms == []
    assert len(detector.history) == HISTORY
    assert max(detector.sums) <= 50.0
    assert detector.n == 1200
    assert detector.mean == pytest.approx(0.5)


def test_false_alarms_and_delays_at_the_measured_settings() -> None:
    """100 seeded runs, 500 at .8 then 500 at .45: nearly all found, <= .13 false alarms per 1,000, median <= 25;
    and a fall from .98 to .92, which a tolerance of .05 hides, is found nine times in ten."""
    delays, early, small = [], 0, 0
    for seed in range(100):
        _, alarms = run(ShareDrift(), [*draws(seed, 500, 0.8), *draws(seed + 1000, 500, 0.45)])
        early += sum(i < 500 for i, _ in alarms)
        delays.append(next((i for i, _ in alarms if i >= 500), 9999) - 499)
        _, alarms = run(ShareDrift(), [*draws(seed, 500, 0.98), *draws(seed + 1000, 500, 0.92)])
        small += any(i >= 500 for i, _ in alarms)
    assert early / 50 <= 0.13
    assert sorted(delays)[50] <= 25
    assert sum(delay <= 500 for delay in delays) >= 98  # a false alarm just before the change hides it
    assert small >= 90
