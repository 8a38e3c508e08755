"""Moments as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.moments import moment

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 11, 21, 21, 30, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("22:00", NOW.replace(hour=22, minute=0)),
        ("21:30", NOW + timedelta(days=1)),  # now is not later
        ("6:05", NOW.replace(hour=6, minute=5) + timedelta(days=1)),
        ("+90s", NOW + timedelta(seconds=90)),
        ("+30m", NOW + timedelta(minutes=30)),
        ("+1.5h", NOW + timedelta(hours=1.5)),
        ("+2d", NOW + timedelta(days=2)),
        (" 2026-11-22T06:00 ", datetime(2026, 11, 22, 6, 0, tzinfo=ZONE)),
        ("2026-11-22T06:00+00:00", datetime(2026, 11, 22, 8, 0, tzinfo=ZONE)),
        ("1800000000", datetime.fromtimestamp(1_800_000_000, tz=ZONE)),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, meant: datetime) -> None:
    """Without a zone in the zone of now; a time of day is the next one."""
    assert moment(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "soon", "24:00", "12:60", "+5", "-5m", "2026-13-01", "9" * 40])
def test_nonsense_is_refused_with_the_forms(text: str) -> None:
    """The error names what can be written."""
    with pytest.raises(ValueError, match="22:00"):
        moment(text, NOW)


@given(hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_time_of_day_lies_within_the_next_day(hour: int, minute: int) -> None:
    """Later than now, by at most a day, and shows that time."""
    at = moment(f"{hour:02}:{minute:02}", NOW)
    assert timedelta(0) < at - NOW <= timedelta(days=1)
    assert (at.hour, at.minute) == (hour, minute)
