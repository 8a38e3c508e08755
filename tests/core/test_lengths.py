"""A change of the workload is no change of the model: longer prompts are slower and harder, and accuse nobody."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from core_cases import outcome

from arbiter_tui.core.cost import Outcome
from arbiter_tui.core.drift import Alarm, Detectors, Signal
from arbiter_tui.core.lengths import NEW, ByLength, Levels, size_of

Make = Callable[[int, random.Random], Outcome]


def request(tokens: int, chance: random.Random, *, slower: float = 1.0, worse: float = 1.0) -> Outcome:
    """Seconds grow with the prompt; answers to long ones are right less often, and fail more often."""
    long = tokens > 500
    good = (0.55 if long else 0.92) * worse
    return outcome(
        tokens_in=tokens, latency_s=slower * (0.2 + tokens / 1000) * chance.lognormvariate(0.0, 0.25),
        quality=float(chance.random() < good), success=chance.random() > (0.06 if long else 0.005),
    )  # fmt: skip


def lengths(chance: random.Random, long: float) -> int:
    return chance.randrange(1000, 3000) if chance.random() < long else chance.randrange(20, 200)


def alarms(outcomes: Iterable[Outcome]) -> list[tuple[int, Alarm]]:
    detectors, found = Detectors(), []
    for n, one in enumerate(outcomes):
        detectors, raised = detectors.observe(one)
        found += [(n, alarm) for alarm in raised]
    return found


def stream(seed: int, before: float, after: float, **change: float) -> list[Outcome]:
    """600 requests with a share ``before`` of long prompts, then 400 with ``after``, and what else changes there."""
    chance = random.Random(seed)
    first = [request(lengths(chance, before), chance) for _ in range(600)]
    return first + [request(lengths(chance, after), chance, **change) for _ in range(400)]


@pytest.mark.parametrize("before", [0.1, 0.0])
def test_longer_prompts_are_no_worse_model(before: float) -> None:
    """From mostly short to mostly long prompts, seen before or not: two alarms in ten streams at most; without the
    lengths nearly each stream has one."""
    told = blind = 0
    for seed in range(10):
        rows = stream(seed, before, 0.9)
        told += bool(alarms(rows))
        blind += bool(alarms(replace(row, tokens_in=None) for row in rows))
    assert told <= 2
    assert blind >= 9


@pytest.mark.parametrize(("change", "signal"), [({"slower": 2.0}, Signal.LATENCY), ({"worse": 0.5}, Signal.QUALITY)])
@pytest.mark.parametrize("after", [0.1, 0.9])
def test_a_worse_model_is_found_whatever_happens_to_the_prompts(
    change: dict[str, float], signal: Signal, after: float
) -> None:
    """Within 150 requests, with the same workload or with another one at the same time."""
    for seed in range(5):
        found = [n for n, alarm in alarms(stream(seed, 0.1, after, **change)) if alarm.signal is signal]
        assert found, (signal, seed)
        assert 600 <= found[0] < 750


def test_without_tokens_nothing_has_changed() -> None:
    """The same alarms at the same requests as a detector that knows no lengths, and none at all is learnt of them."""
    rows = [replace(row, tokens_in=None) for row in stream(3, 0.1, 0.9)]
    detectors = Detectors()
    for row in rows:
        detectors, _ = detectors.observe(row)
    assert detectors.quality.lengths == ByLength()
    assert detectors.latency.levels == Levels()


def test_a_length_is_held_against_a_version_only_once_it_is_known() -> None:
    """The first NEW answers of a length teach and accuse nobody, however bad they are; the next ones do."""
    chance = random.Random(1)
    detectors = Detectors()
    for _ in range(100):
        detectors, _ = detectors.observe(outcome(tokens_in=50, quality=float(chance.random() < 0.9)))
    before = detectors.quality.sums
    for _ in range(NEW):
        detectors, raised = detectors.observe(outcome(tokens_in=5000, quality=0.0))
        assert not raised
        assert detectors.quality.sums == before
    assert detectors.quality.lengths.seen[size_of(5000)] == (0.0, NEW)
    assert detectors.quality.lengths.share(5000, 0.9) == pytest.approx(0.0531, abs=1e-4)
    assert detectors.quality.lengths.share(None, 0.9) == 0.9
    detectors, _ = detectors.observe(outcome(tokens_in=5000, quality=0.0))
    assert detectors.quality.sums != before


def test_seconds_are_told_as_at_the_usual_lengths() -> None:
    """Once NEW of a length are known its own level is taken out; before that, and without tokens, nothing is."""
    levels = Levels()
    for n in range(NEW):
        assert levels.usually(50, 3.0) == 3.0
        assert not levels.knows(50)
        levels = levels.add(50, 1.0 + n % 2)
    assert levels.usual == pytest.approx(1.5)
    assert levels.knows(50)
    assert not levels.knows(5000)
    for _ in range(NEW):
        assert levels.usually(5000, 4.0) == 4.0
        levels = levels.add(5000, 4.0)
    assert levels.usually(5000, 4.0) == pytest.approx(1.5)
    assert levels.usually(50, 2.5) == pytest.approx(2.5)
    assert levels.n == 2 * NEW


@pytest.mark.parametrize("seed", range(5))
def test_several_at_once_are_told_as_each_is(seed: int) -> None:
    """The detectors keep levels and shares by length as Levels and ByLength do, one prompt after another."""
    chance = random.Random(seed)
    told = [(chance.gauss(0.0, 0.3), chance.choice((None, 9, 90, 900))) for _ in range(300)]
    levels, usual = Levels(), list[float]()
    for value, tokens in told:
        if tokens is not None:
            known, before = levels.knows(tokens), levels
            levels = levels.add(tokens, value)
            if not known and len(usual) >= 30:
                continue
            value = before.usually(tokens, value)
        usual.append(value)
    latency, _ = replace(Detectors().latency, threshold=1e9).steps(told)
    assert latency.levels == levels
    assert (latency.n, latency.mean) == (len(usual), pytest.approx(sum(usual) / len(usual)))
    graded = [(float(chance.random() < 0.9), tokens) for _, tokens in told]
    shares = ByLength()
    for good, tokens in graded:
        shares = shares.add(tokens, good)
    quality, _ = replace(Detectors().quality, limit=1e9, min_samples=999).steps(graded)
    assert quality.lengths == shares


def test_a_new_length_waits_for_its_level_only_after_the_first_samples() -> None:
    """While nothing could be alarmed anyway every value is taken; later a new length teaches first."""
    detector = Detectors().latency
    for _ in range(detector.min_samples):
        detector, _ = detector.timed(0.0, 50)
    assert detector.n == detector.min_samples
    for _ in range(NEW):
        detector, alarm = detector.timed(3.0, 5000)
        assert alarm is None
    assert detector.n == 30
    detector, _ = detector.timed(3.0, 5000)
    assert detector.n == 31
    assert detector.history[-1] == pytest.approx(0.0)
