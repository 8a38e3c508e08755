"""Folding several outcomes in at once is folding them in one after another."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.drift import Alarm, Detectors, PageHinkley, ShareDrift, Signal
from arbiter_tui.core.learning import FADE_AT, Pattern, TaskProfile
from arbiter_tui.core.stats import EMPTY

seconds = st.one_of(st.none(), st.floats(0.001, 60.0))


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    failure = draw(st.sampled_from([None, None, None, Failure.TIMEOUT, Failure.CANCELLED, Failure.CLIENT_ERROR]))
    return Outcome(
        id="o", task="t", version="v", at=draw(st.floats(0, 1e9)), success=failure is None, failure=failure,
        latency_s=draw(seconds), ttft_s=draw(seconds), queue_s=draw(seconds), energy_j=draw(seconds),
        tokens_in=draw(st.one_of(st.none(), st.integers(0, 9999))),
        tokens_out=draw(st.one_of(st.none(), st.integers(0, 999))),
        memory_bytes=draw(st.one_of(st.none(), st.integers(1, 10**10))),
        quality=draw(st.one_of(st.none(), st.floats(0, 1))),
        quality_source=draw(st.sampled_from([None, "suite", "feedback"])),
    )  # fmt: skip


@given(st.lists(outcomes(), max_size=30), st.integers(0, 30))
def test_statistics_and_profile(several: list[Outcome], cut: int) -> None:
    """However they are cut into batches, the same figures."""
    first, rest = several[:cut], several[cut:]
    assert EMPTY.add_all(first).add_all(rest) == reduce(lambda known, o: known.add(o), several, EMPTY)
    fresh = TaskProfile(task="t")
    one_by_one = reduce(lambda known, o: known.observe(o), several, fresh)
    assert fresh.observe_all(first).observe_all(rest) == one_by_one


@settings(max_examples=10)
@given(st.lists(st.floats(0.001, 100.0), min_size=1, max_size=20))
def test_a_pattern_fades_at_the_same_value(values: list[float]) -> None:
    """In the middle of a batch as at its end."""
    many = (values * (2 * FADE_AT // len(values) + 1))[: FADE_AT + 500]
    one_by_one = reduce(lambda known, v: known.add(v), many, Pattern(1e-6))
    assert Pattern(1e-6).add_all(many) == one_by_one
    assert Pattern(1e-6).add_all(many[:900]).add_all(many[900:]) == one_by_one


@st.composite
def histories(draw: st.DrawFn) -> list[Outcome]:
    """A quiet time and a bad one, so that alarms do go off in the middle of batches."""
    quiet, bad = draw(st.integers(20, 80)), draw(st.integers(0, 60))
    seed = draw(st.randoms(use_true_random=False))
    found = []
    for n in range(quiet + bad):
        worse = n >= quiet
        found.append(Outcome(
            id="o", task="t", version="v", at=float(n), success=seed.random() > (0.6 if worse else 0.02),
            latency_s=(2.0 if worse else 0.5) * (1 + 0.1 * seed.random()),
            tokens_in=seed.choice((None, 9, 9, 9, 200)), quality=float(seed.random() > 0.5 * worse),
        ))  # fmt: skip
    return found


@given(histories(), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_detectors_and_their_alarms(several: list[Outcome], sizes: list[int]) -> None:
    """The same states, and the same alarms at the same outcomes, whatever the batches are."""
    single, one_by_one = Detectors.with_limits(min_samples=10, threshold=3.0), list[tuple[int, Alarm]]()
    for n, outcome in enumerate(several):
        single, alarms = single.observe(outcome)
        one_by_one += [(n, alarm) for alarm in alarms]
    together, batched, at = Detectors.with_limits(min_samples=10, threshold=3.0), list[tuple[int, Alarm]](), 0
    while at < len(several):
        size = sizes[at % len(sizes)]
        together, found = together.observe_all(several[at : at + size])
        batched += [(at + place, alarm) for place, alarm in found]
        at += size
    assert together == single
    assert batched == one_by_one


def test_a_bad_time_does_raise_alarms_in_the_middle_of_a_batch() -> None:
    """So that the property above is about something; two changes in one batch give two alarms."""
    falling = [1.0] * 60 + [0.0] * 40 + [1.0] * 60 + [0.0] * 40
    for fresh in (ShareDrift(min_samples=10), PageHinkley(min_samples=10, threshold=5.0)):
        _, alarms = fresh.steps([(value, None) for value in falling])
        assert [60 <= place < 100 or 160 <= place < 200 for place, _ in alarms] == [True, True]
    slow, alarms = replace(PageHinkley(), signal=Signal.LATENCY).steps([(0.0, 9)] * 40 + [(3.0, 9)] * 40)
    assert [alarm.signal for _, alarm in alarms] == [Signal.LATENCY]
    assert slow.n < 80
