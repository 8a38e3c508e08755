"""Outcome and cost: one measured request, and what it used.

Owns: the record of a request and the pure arithmetic on it. Never: measuring (the engine does), storing.
Units: seconds, bytes, joules. Unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .records import record


class Failure(StrEnum):
    TIMEOUT = "timeout"
    WORKER_DIED = "worker_died"
    UNREACHABLE = "unreachable"
    LOAD_FAILED = "load_failed"
    PROVIDER_ERROR = "provider_error"
    CLIENT_ERROR = "client_error"  # the request's own fault: never counted against the model
    CANCELLED = "cancelled"  # the client left: likewise


NOT_THE_MODELS_FAULT = frozenset({Failure.CLIENT_ERROR, Failure.CANCELLED})


@record(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``quality`` in 0..1 arrives later or never; ``quality_source``: suite, sentinel, feedback, verifier, judge.
    ``item``: the fingerprint of a graded answer's prompt (prompts.py), by which answers to the same are compared."""

    id: str
    task: str
    version: str
    at: float  # unix seconds
    success: bool
    latency_s: float | None = None
    ttft_s: float | None = None
    queue_s: float | None = None
    overhead_s: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    memory_bytes: int | None = None
    cpu_s: float | None = None
    energy_j: float | None = None
    failure: Failure | None = None
    quality: float | None = None
    quality_source: str | None = None
    source: str = "request"  # request, failover, embedding, bench, sentinel, shadow, reported
    tokens_estimated: bool = False  # whether the runtime did not count them
    money: float | None = None  # of a paid provider; of an answer that was broken off an estimate
    item: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it says anything about the model at all."""
        return self.failure not in NOT_THE_MODELS_FAULT

    @property
    def tokens_per_second(self) -> float | None:
        """Decode rate: tokens after the first over the time after the first."""
        tokens, latency, first = self.tokens_out, self.latency_s, self.ttft_s
        if tokens is None or tokens < 2 or latency is None or first is None:
            return None
        decode_s = latency - (self.queue_s or 0.0) - first
        return (tokens - 1) / decode_s if decode_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Money per million tokens, in whatever currency the configuration thinks in."""

    input: float
    output: float
    cached_input: float | None = None  # None: as input

    def of(self, tokens_in: float, tokens_out: float, tokens_cached: float = 0.0) -> float:
        """``tokens_cached`` are a part of ``tokens_in``."""
        cached = min(tokens_cached, tokens_in)
        cheap = self.input if self.cached_input is None else self.cached_input
        return ((tokens_in - cached) * self.input + cached * cheap + tokens_out * self.output) / 1e6


def percentile(values: Iterable[float], share: float) -> float | None:
    """Nearest-rank percentile of ``values``; None when there are none. ``share`` in 0..1."""
    ordered = sorted(values)
    return percentile_of(ordered, share) if ordered else None


def percentile_of(ordered: Sequence[float], share: float) -> float:
    """The same of values that are sorted already, at least one."""
    return ordered[min(len(ordered) - 1, max(0, round(share * (len(ordered) - 1))))]
