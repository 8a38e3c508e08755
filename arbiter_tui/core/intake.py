"""Intake: what is wrong with an outcome before anything is learnt from it.

Owns: which values can't be true, and what is left of an outcome without them. Never: stores, counts, learns.

A value that can't be true (NaN, a negative time, 1e300 seconds, a quality outside 0..1) becomes unknown, which teaches
nothing. A moment of the future becomes now: who reports with a wrong clock reports all the same. What comes late is as
good as any other: sums know no order, and the newest moment stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter

from .cost import Outcome
from .registry import Lifecycle, ModelVersion

AHEAD_S = 60.0  # clocks differ by so much
MOST = 1e15  # more seconds, bytes, tokens or joules has no answer; a store's integers end at 9e18
_AMOUNTS = (
    "latency_s", "ttft_s", "queue_s", "overhead_s", "tokens_in", "tokens_out", "memory_bytes", "cpu_s", "energy_j",
)  # fmt: skip
_amounts: Callable[[Outcome], tuple[float | None, ...]] = attrgetter(*_AMOUNTS)


def flaws(outcome: Outcome, now: float) -> Mapping[str, str]:
    """Field -> what is wrong with it; ``now`` in unix seconds."""
    found: dict[str, str] = {}
    for name, value in zip(_AMOUNTS, _amounts(outcome), strict=True):
        if value is None or 0 <= value <= MOST:
            continue
        found[name] = _amiss(value)
    quality = outcome.quality
    if quality is not None and not 0.0 <= quality <= 1.0:  # NaN is in no range
        found["quality"] = "is outside 0..1"
    if not math.isfinite(outcome.at):
        found["at"] = "is not a number"
    elif outcome.at > now + AHEAD_S:
        found["at"] = "is in the future"
    return found


def _amiss(value: float) -> str:
    if not -math.inf < value < math.inf:  # NaN neither; an integer beyond every float is compared, not converted
        return "is not a number"
    return "is negative" if value < 0 else "is too large"


def sound(outcome: Outcome, wrong: Mapping[str, str], now: float) -> Outcome:
    """Without its flaws: unknown instead of wrong, now instead of later."""
    if not wrong:
        return outcome
    changed = {name: now if name == "at" else None for name in wrong}
    return replace(outcome, **changed)  # type: ignore[arg-type]


def unwelcome(version: ModelVersion) -> str | None:
    """Why nothing is learnt of this version any more; None if it is."""
    return f"{version.version} is archived" if version.lifecycle is Lifecycle.ARCHIVED else None
