"""How many requests come in which hour of the week, learnt with forgetting: when is it usually quiet?

Owns: one mean rate per hour of the week (constant in size), and the two questions asked of it. Never: a clock, a time
zone (the caller counts hours), a veto (guards.py).

Each hour that was watched to its end moves its mean by 1 / (weeks seen, at most MEMORY): the newest weeks count, one
odd week is a quarter. An hour of the week that was never watched is expected to be as that hour of the day usually is,
and nothing is expected before a whole day was watched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

DAY, WEEK = 24, 168
MEMORY = 4  # weeks
QUIET_BELOW = 0.5  # of the mean rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """``rates``: requests per hour; ``seen``: how often that hour was watched, at most MEMORY."""

    rates: tuple[float, ...] = (0.0,) * WEEK
    seen: tuple[int, ...] = (0,) * WEEK

    def hour(self, hour: int, count: int) -> Traffic:
        """With one more hour, watched from its beginning to its end. ``hour``: of the week."""
        place, count = hour % WEEK, max(0, count)
        times = min(MEMORY, self.seen[place] + 1)
        mean = self.rates[place] + (count - self.rates[place]) / times
        rates, seen = list(self.rates), list(self.seen)
        rates[place], seen[place] = mean, times
        return replace(self, rates=tuple(rates), seen=tuple(seen))

    def busy(self, hour: int) -> float | None:
        """The usual rate of this hour over the mean of all; None where too little was watched, or nothing ever came."""
        rate, mean = self._expected(hour % WEEK), self._mean()
        return None if rate is None or not mean else rate / mean

    def quiet_in(self, hour: int) -> int | None:
        """Hours until the next one that is usually quiet, 0: this one; None if none is within a day, or it is not
        known."""
        for ahead in range(DAY):
            busy = self.busy(hour + ahead)
            if busy is None:
                return None
            if busy <= QUIET_BELOW:
                return ahead
        return None

    def _expected(self, place: int) -> float | None:
        if self.seen[place]:
            return self.rates[place]
        same = [p for p in range(place % DAY, WEEK, DAY) if self.seen[p]]
        return sum(self.rates[p] for p in same) / len(same) if same else None

    def _mean(self) -> float | None:
        """Over one day at least: of a single hour everything is usual."""
        days = [self._expected(p) for p in range(WEEK)]
        known = [rate for rate in days if rate is not None]
        return sum(known) / len(known) if len(known) == WEEK else None

    def pack(self) -> dict[str, Any]:
        return {"rates": [round(rate, 3) for rate in self.rates], "seen": list(self.seen)}


def unpack(data: Mapping[str, Any]) -> Traffic:
    """Raises KeyError, TypeError, ValueError on what it can't read."""
    rates, seen = tuple(float(r) for r in data["rates"]), tuple(int(s) for s in data["seen"])
    if len(rates) != WEEK or len(seen) != WEEK or min(rates) < 0.0 or min(seen) < 0:
        raise ValueError("a week has 168 hours, each with a rate that is no less than 0")
    return Traffic(rates=rates, seen=tuple(min(MEMORY, s) for s in seen))
