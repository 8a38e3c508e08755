"""Counters and histograms since the start, for /metrics: what a scraper needs to compute rates and percentiles itself.

Owns: the series of requests (by task, model, provider, outcome) and of swaps (by trigger, result), in constant time per
request. Never: a decision (evidence.py has what is decided by), an estimate, a label that a client could choose: names
are those of the registry and the configuration, and beyond ``MOST`` of them everything further is ``other``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from ..core.cost import Outcome
from ..core.snapshot import SwapView

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SHORT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
BETWEEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
MOST = 500  # pairs of task and model
OTHER = ("other", "other", "other")
ENDED = frozenset({"done", "failed"})

Series = tuple[str, str, str]  # task, model, provider


class Histogram:
    """``counts[i]``: values up to ``bounds[i]`` and above the bound before; the last one: above all."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)


class Requests:
    """What is known of one task's requests to one model."""

    __slots__ = ("energy_j", "histograms", "money", "outcomes", "tokens_in", "tokens_out")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.tokens_in = 0
        self.tokens_out = 0
        self.energy_j: float | None = None
        self.money: float | None = None
        self.histograms = {
            "request_seconds": Histogram(SECONDS), "queue_seconds": Histogram(SECONDS),
            "ttft_seconds": Histogram(SECONDS), "inter_token_seconds": Histogram(BETWEEN),
            "overhead_seconds": Histogram(SHORT),
        }  # fmt: skip

    def add(self, outcome: Outcome) -> None:
        kind = "success" if outcome.success else str(outcome.failure or "failed")
        self.outcomes[kind] = self.outcomes.get(kind, 0) + 1
        self.tokens_in += outcome.tokens_in or 0
        self.tokens_out += outcome.tokens_out or 0
        if outcome.energy_j is not None:
            self.energy_j = (self.energy_j or 0.0) + outcome.energy_j
        if outcome.money is not None:
            self.money = (self.money or 0.0) + outcome.money
        values = outcome.latency_s, outcome.queue_s, outcome.ttft_s, _between(outcome), outcome.overhead_s
        for histogram, value in zip(self.histograms.values(), values, strict=True):
            if value is not None:
                histogram.add(value)


class Measures:
    def __init__(self) -> None:
        self.requests: dict[Series, Requests] = {}
        self.swaps: dict[tuple[str, str], int] = {}
        self.failovers: dict[tuple[str, str], int] = {}  # task, version that failed -> requests that others answered

    def ended(self, outcome: Outcome, provider: str) -> None:
        """A client's request has ended."""
        series = (outcome.task, outcome.version, provider)
        known = self.requests.get(series)
        if known is None:
            series = series if len(self.requests) < MOST else OTHER
            known = self.requests.setdefault(series, Requests())
        known.add(outcome)

    def failed_over(self, task: str, version: str) -> None:
        """A version failed before its first word, and another one is asked."""
        key = (task, version)
        if key not in self.failovers and len(self.failovers) >= MOST:
            key = OTHER[:2]
        self.failovers[key] = self.failovers.get(key, 0) + 1

    def swapped(self, before: SwapView | None, after: SwapView) -> None:
        """A swap's record changed; it counts when it ends."""
        if after.result in ENDED and before is not None and before.result == "running":
            key = (after.trigger, after.result)
            self.swaps[key] = self.swaps.get(key, 0) + 1


def _between(outcome: Outcome) -> float | None:
    """Mean seconds between two tokens of an answer; None where it can't be known."""
    if not outcome.success or outcome.latency_s is None or outcome.ttft_s is None or (outcome.tokens_out or 0) < 2:
        return None
    decoding = outcome.latency_s - (outcome.queue_s or 0.0) - outcome.ttft_s
    return max(0.0, decoding) / ((outcome.tokens_out or 0) - 1)
