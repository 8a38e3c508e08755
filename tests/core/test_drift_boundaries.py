"""Drift at its exact limits: when the alarm goes, where the change is put, and from what it starts anew."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from core_cases import outcome

from arbiter_tui.core.cost import Failure
from arbiter_tui.core.drift import HISTORY, REMEMBERED, Alarm, Detectors, PageHinkley, ShareDrift, Signal, locate


def run(detector: PageHinkley, many: Sequence[float]) -> tuple[PageHinkley, list[tuple[int, Alarm]]]:
    alarms = []
    for i, value in enumerate(many):
        detector, alarm = detector.step(value)
        alarms += [] if alarm is None else [(i, alarm)]
    return detector, alarms


# --- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threshold", "alarmed"), [(0.5, False), (0.49, True)])
def test_the_sum_must_pass_the_threshold(threshold: float, alarmed: bool) -> None:
    """A failure after a success lifts the sum by exactly a half: at the threshold itself there is no alarm."""
    detector = PageHinkley(signal=Signal.FAILURES, min_samples=1, delta=0.0, threshold=threshold)
    assert bool(run(detector, [0.0, 1.0])[1]) == alarmed


@pytest.mark.parametrize("needed", [2, 3, 9])
def test_the_first_alarm_is_at_min_samples(needed: int) -> None:
    """Not one value later: min_samples values are enough."""
    detector = PageHinkley(signal=Signal.FAILURES, min_samples=needed, delta=0.0, threshold=0.1)
    _, alarms = run(detector, [0.0] + [1.0] * 8)
    assert alarms[0][0] == needed - 1


@pytest.mark.parametrize("detectors", [Detectors(), Detectors.with_limits()])
def test_the_measured_settings_are_the_defaults(detectors: Detectors) -> None:
    """30 samples for each; shares: e^7 after a warm-up; latency: a tolerance of .05, a threshold of 10."""
    for signal in Signal:
        assert (getattr(detectors, signal).signal, getattr(detectors, signal).min_samples) == (signal, 30)
    assert (detectors.latency.delta, detectors.latency.threshold) == (0.05, 10.0)
    for shares in (detectors.quality, detectors.failures):
        assert (shares.limit, shares.warm) == (7.0, 4.0)


@pytest.mark.parametrize(("threshold", "limit"), [(5.0, 3.5), (3.0, 3.0), (20.0, 14.0)])
def test_limits_are_those_of_all_three(threshold: float, limit: float) -> None:
    """What is configured reaches each detector, in proportion; that of shares never falls below 3."""
    limits = Detectors.with_limits(min_samples=7, delta=0.25, threshold=threshold)
    assert (limits.latency.min_samples, limits.latency.delta, limits.latency.threshold) == (7, 0.25, threshold)
    for shares in (limits.quality, limits.failures):
        assert (shares.min_samples, shares.limit, shares.warm) == (7, limit, pytest.approx(0.4 * threshold))


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_exactly_the_newest_values_are_kept() -> None:
    """160 log-seconds and 500 shares, the oldest going first."""
    detector, _ = run(PageHinkley(), [i / 256 for i in range(REMEMBERED + 3)])
    assert REMEMBERED == 160
    assert detector.history == tuple(i / 256 for i in range(3, REMEMBERED + 3))
    assert detector.n == REMEMBERED + 3
    shares, _ = ShareDrift(limit=99.0).steps([(i / 1000, None) for i in range(HISTORY + 3)])
    assert HISTORY == 400
    assert list(shares.history) == pytest.approx([i / 1000 for i in range(3, HISTORY + 3)], abs=1 / 480 + 1e-9)
    assert shares.n == HISTORY + 3


def test_after_an_alarm_only_the_new_regime_is_known() -> None:
    """Count, mean and history are those of what came after the change, and the sums start from nothing."""
    detector, alarms = run(PageHinkley(min_samples=10, threshold=2.0), [1.0] * 20 + [0.25] * 4)
    ((at, alarm),) = alarms
    kept = at - 19
    assert (alarm.since, alarm.samples, alarm.before, alarm.after) == (kept, at + 1, 1.0, 0.25)
    restarted, _ = run(PageHinkley(min_samples=10, threshold=2.0), ([1.0] * 20 + [0.25] * 4)[: at + 1])
    assert (restarted.n, restarted.mean, restarted.history) == (kept, 0.25, (0.25,) * kept)
    assert (restarted.total, restarted.lowest) == (0.0, 0.0)
    assert (restarted.min_samples, restarted.threshold) == (10, 2.0)
    assert detector.n == 24 - 20


# --- where ----------------------------------------------------------------------------------------------------------


def bernoulli(values: Sequence[float]) -> float:
    """The log-likelihood of shares around their own mean."""
    mean = math.fsum(values) / len(values)
    return sum(v * math.log(mean) if v else 0.0 for v in values) + sum(
        (1.0 - v) * math.log(1.0 - mean) if v < 1.0 else 0.0 for v in values
    )


def gaussian(values: Sequence[float]) -> float:
    """The log-likelihood of values around their own mean at one known variance, but for constants."""
    mean = math.fsum(values) / len(values)
    return -math.fsum((v - mean) ** 2 for v in values)


@pytest.mark.parametrize("seed", range(40))
def test_the_change_is_put_where_two_means_are_likeliest(seed: int) -> None:
    """Against the likelihoods written out, on noisy shares and on noisy logarithms of seconds."""
    rng = random.Random(seed)
    n = rng.randint(6, 30)
    shares = [float(rng.random() < (0.8 if i < n // 3 else 0.4)) for i in range(n)]
    graded = [round(rng.random(), 3) for _ in range(n)]
    logs = [rng.gauss(-1.0 if i < n // 2 else 0.5, 1.0) for i in range(n)]
    for values, likelihood, kind in ((shares, bernoulli, True), (graded, bernoulli, True), (logs, gaussian, False)):
        gains = [likelihood(values[:k]) + likelihood(values[k:]) for k in range(1, n)]
        assert gains[locate(values, shares=kind) - 1] == pytest.approx(max(gains), abs=1e-9)


def test_shares_are_the_default_and_differ_from_logarithms() -> None:
    """Near 0 a small rise of a share is less likely by chance than the Gaussian ratio thinks: the two disagree."""
    values = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    spread = [0.02, 0.02, 0.02, 0.02, 0.3, 0.3, 0.3, 0.75]
    assert locate(values) == locate(values, shares=True) == 6
    assert locate(spread, shares=True) == 4
    assert locate(spread, shares=False) == 7
    assert locate(spread) == 4


@pytest.mark.parametrize(
    ("values", "at"),
    [([], 0), ([0.5], 0), ([0.5] * 4, 1), ([1.0, 0.0, 0.0], 1), ([0.5] * 3 + [0.25] * 3, 3), ([0.0, 0.0, 1.0], 2)],
)
def test_short_and_slight_changes_are_located_too(values: list[float], at: int) -> None:
    """From the first split on, the first of equals, and however slight the change."""
    assert locate(values, shares=True) == at
    assert locate(values, shares=False) == at


def test_latency_is_located_in_logarithms_and_told_in_seconds() -> None:
    """The detector of latency uses the Gaussian ratio, which puts this change elsewhere than the other would."""
    values = [0.02, 0.02, 0.02, 0.02, 0.3, 0.3, 0.3, 0.75]
    for signal, at in ((Signal.LATENCY, 7), (Signal.FAILURES, 4)):
        detector = PageHinkley(signal=signal, min_samples=8, delta=0.0, threshold=0.5)
        _, ((when, alarm),) = run(detector, values)
        assert (when, alarm.since) == (7, 8 - at)
        means = math.fsum(values[:at]) / at, math.fsum(values[at:]) / (8 - at)
        shown = tuple(map(math.exp, means)) if signal is Signal.LATENCY else means
        assert (alarm.before, alarm.after) == pytest.approx(shown, rel=2e-3, abs=1e-3)


# --- what is observed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "seconds"),
    [({"latency_s": 0.5}, 0.5), ({"latency_s": 3.0, "queue_s": 2.0}, 1.0), ({"latency_s": 1.0, "queue_s": 2.0}, 1e-6)],
)
def test_latency_is_what_the_model_took(known: dict[str, Any], seconds: float) -> None:
    """Without the wait in the queue, which counts nothing where it is unknown; never nothing at all."""
    after, alarms = Detectors().observe(outcome(**known))
    assert after.latency.mean == pytest.approx(math.log(seconds))
    assert alarms == ()


def test_a_failures_duration_is_no_latency() -> None:
    """Only answered requests move the latency; a failure counts as one."""
    after, _ = Detectors().observe(outcome(success=False, failure=Failure.TIMEOUT, latency_s=9.0))
    assert (after.latency.n, after.failures.n, after.failures.mean) == (0, 1, 1.0)


def test_a_quiet_grade_raises_nothing() -> None:
    """No alarm is no alarm, not an empty one."""
    after, alarms = Detectors().graded(0.5)
    assert (after.quality.n, alarms) == (1, ())
