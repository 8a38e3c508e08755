"""Intake: what is wrong with an outcome before anything is learnt from it.

Owns: which values can't be true, and what is left of an outcome without them. Never: stores, counts, learns.

A value that can't be true (NaN, a negative time, a quality outside 0..1) becomes unknown; unknown teaches nothing. A
moment of the future becomes now: who reports with a wrong clock reports all the same. What comes late or out of order
is as good as any other: sums know no order, and the newest moment stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter

from .cost import Outcome
from .registry import Lifecycle, ModelVersion

AHEAD_S = 60.0  # clocks differ by so much
_AMOUNTS = (
    "latency_s", "ttft_s", "queue_s", "overhead_s", "tokens_in", "tokens_out", "memory_bytes", "cpu_s", "energy_j",
)  # fmt: skip
_amounts: Callable[[Outcome], tuple[float | None, ...]] = attrgetter(*_AMOUNTS)


def flaws(outcome: Outcome, now: float) -> Mapping[str, str]:
    """Field -> what is wrong with it; ``now`` in unix seconds."""
    found: dict[str, str] = {}
    for name, value in zip(_AMOUNTS, _amounts(outcome), strict=True):
        if value is None or 0 <= value < math.inf:
            continue
        found[name] = "is negative" if math.isfinite(value) else "is not a number"
    quality = outcome.quality
    if quality is not None and not 0.0 <= quality <= 1.0:  # NaN is in no range
        found["quality"] = "is outside 0..1"
    if not math.isfinite(outcome.at):
        found["at"] = "is not a number"
    elif outcome.at > now + AHEAD_S:
        found["at"] = "is in the future"
    return found


def sound(outcome: Outcome, wrong: Mapping[str, str], now: float) -> Outcome:
    """Without its flaws: unknown instead of wrong, now instead of later."""
    if not wrong:
        return outcome
    changed = {name: now if name == "at" else None for name in wrong}
    return replace(outcome, **changed)  # type: ignore[arg-type]


def unwelcome(version: ModelVersion) -> str | None:
    """Why nothing is learnt of this version any more; None if it is."""
    return f"{version.version} is archived" if version.lifecycle is Lifecycle.ARCHIVED else None
