"""Moments as people write them: 22:00, +30m, 2026-11-22T06:00, unix seconds.

Owns: their meaning relative to a given now. Never: reads a clock or the time zone (now carries it).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

FORMS = "22:00 (the next one), +90s, +30m, +2h, 2026-11-22T06:00, or unix seconds"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(text: str, now: datetime) -> datetime:
    """The moment that ``text`` means; without a zone it is in that of ``now``. Raises ValueError naming the forms."""
    text = text.strip()
    if found := re.fullmatch(r"\+(\d+(?:\.\d+)?)([smhd])", text):
        return now + timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    if found := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text):
        at = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        return at if at > now else at + timedelta(days=1)
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), tz=now.tzinfo)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text[:64]!r} is no time; write {FORMS}") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=now.tzinfo)
