"""Our Page-Hinkley beside river's: two implementations that know nothing of each other."""

from __future__ import annotations

import random

import pytest

from arbiter_tui.core.drift import PageHinkley, Signal

river = pytest.importorskip("river.drift", reason="river is not installed (pip install 'arbiter-tui[dev]')")


def series(seed: int) -> list[float]:
    """Values that become worse somewhere, by some amount, or not at all."""
    chance = random.Random(seed)
    at, by = chance.randrange(20, 400), chance.choice((0.0, 0.3, 0.8))
    return [chance.gauss(0.5, 0.2) + (by if n >= at else 0.0) for n in range(500)]


def first(found: list[bool]) -> int | None:
    return found.index(True) if True in found else None


@pytest.mark.parametrize("rises", [True, False])
def test_it_alarms_where_rivers_does(rises: bool) -> None:
    """The same values, limits and side: the first alarm at the same value, for 60 series; some have none."""
    places = []
    for seed in range(60):
        values = series(seed) if rises else [1.0 - value for value in series(seed)]
        ours = PageHinkley(signal=Signal.LATENCY if rises else Signal.QUALITY)
        theirs = river.PageHinkley(
            min_instances=ours.min_samples, delta=ours.delta, threshold=ours.threshold, alpha=1.0,
            mode="up" if rises else "down",
        )  # fmt: skip
        mine, other = [], []
        for value in values:
            ours, alarm = ours.step(value)
            theirs.update(value)
            mine.append(alarm is not None)
            other.append(theirs.drift_detected)
        assert first(mine) == first(other), seed
        places.append(first(mine))
    assert None in places
    assert len({place for place in places if place is not None}) > 10
