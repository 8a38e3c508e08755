"""What is usual in which hour of the week: by laws, and on recorded arrivals of a real service."""

from __future__ import annotations

import csv
import gzip
import json
import os
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.traffic import DAY, MEMORY, QUIET_BELOW, WEEK, Traffic, unpack

PLACE = Path(os.environ.get("ARBITER_TRACES") or Path(__file__).resolve().parents[3] / "shared" / "traces")
ARRIVALS = PLACE / "azure_llm_arrivals_2023.csv.gz"


def watched(counts: list[int], first: int = 0) -> Traffic:
    traffic = Traffic()
    for n, count in enumerate(counts):
        traffic = traffic.hour(first + n, count)
    return traffic


def test_nothing_is_expected_before_a_day_was_watched() -> None:
    """Of a few hours everything is usual; and where nothing ever came there is no quiet hour either."""
    assert watched([5] * (DAY - 1)).busy(0) is None
    assert watched([5] * (DAY - 1)).quiet_in(0) is None
    assert watched([5] * DAY).busy(0) == 1.0
    assert watched([0] * DAY).busy(0) is None


def test_a_day_with_a_quiet_night() -> None:
    """Nights without requests: how far the next one is, from every hour of every day, also of days never watched."""
    traffic = watched([0 if hour < 6 else 100 for hour in range(DAY)])
    for day in range(7):
        assert traffic.quiet_in(day * DAY + 3) == 0
        assert traffic.quiet_in(day * DAY + 6) == 18
        assert traffic.quiet_in(day * DAY + 23) == 1
    busy = traffic.busy(12)
    assert busy is not None
    assert busy == pytest.approx(24 / 18)


def test_flat_traffic_has_no_quiet_hour() -> None:
    """Whoever waits for one would wait for ever: it is not known when, so nothing is held."""
    assert watched([50] * WEEK).quiet_in(10) is None


def test_it_forgets() -> None:
    """What used to be the night is the day now: after MEMORY weeks the new one is what is usual."""
    old, new = [0 if h < 6 else 100 for h in range(DAY)] * 7, [100 if h < 6 else 0 for h in range(DAY)] * 7
    traffic = watched(old * MEMORY + new * 3 * MEMORY)
    assert traffic.quiet_in(3) == 3
    assert traffic.quiet_in(12) == 0


@given(st.lists(st.integers(0, 10_000), min_size=DAY, max_size=3 * WEEK), st.integers(0, 10_000))
def test_what_is_learnt_is_bounded_and_comes_back(counts: list[int], first: int) -> None:
    """Means lie between what was seen, the size is constant, what is packed says the same; a quiet hour is one."""
    traffic = watched(counts, first)
    assert all(0 <= rate <= max(counts) for rate in traffic.rates)
    assert max(traffic.seen) <= MEMORY
    again = unpack(json.loads(json.dumps(traffic.pack())))
    assert again.seen == traffic.seen
    assert again.rates == pytest.approx(traffic.rates, abs=1e-3)
    for hour in range(0, WEEK, 7):
        ahead = traffic.quiet_in(hour)
        assert ahead is None or 0 <= ahead < DAY
        if ahead is not None:
            busy = traffic.busy(hour + ahead)
            assert busy is not None
            assert busy <= QUIET_BELOW


@pytest.mark.parametrize("told", [{}, {"rates": [1.0], "seen": [1]}, {"rates": [-1.0] * WEEK, "seen": [1] * WEEK}])
def test_what_can_not_be_read_is_refused(told: dict[str, object]) -> None:
    """A damaged note is learnt anew, never believed."""
    with pytest.raises((KeyError, ValueError)):
        unpack(told)


@pytest.mark.skipif(not ARRIVALS.is_file(), reason="the recorded arrivals are not here; ARBITER_TRACES names them")
def test_quiet_times_of_real_arrivals_are_quiet_in_the_other_half() -> None:
    """An hour of a real service in 24 parts, learnt from every second arrival: in the parts that are quietest by these
    come fewer of the others than their share, and the order of the parts is mostly the same."""
    with gzip.open(ARRIVALS, "rt", encoding="utf-8") as file:
        at = sorted(datetime.fromisoformat(row["timestamp"][:26]).timestamp() for row in csv.DictReader(file))
    begin, length = at[0], (at[-1] - at[0] + 1e-6) / DAY
    counts = [[0] * DAY, [0] * DAY]
    for n, moment in enumerate(at):
        counts[n % 2][int((moment - begin) / length)] += 1
    traffic = watched(counts[0])
    usual = [traffic.busy(part) or 0.0 for part in range(DAY)]
    quietest = sorted(range(DAY), key=usual.__getitem__)[: DAY // 4]
    there = sum(counts[1][part] for part in quietest) / sum(counts[1])
    assert there < 0.8 * len(quietest) / DAY
    ranks = [sorted(range(DAY), key=c.__getitem__).index for c in counts]
    apart = sum((ranks[0](p) - ranks[1](p)) ** 2 for p in range(DAY))
    assert 1 - 6 * apart / (DAY * (DAY * DAY - 1)) > 0.8, "Spearman's rank correlation"
