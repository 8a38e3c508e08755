"""Lengths: what a prompt's length alone explains of seconds and grades, so that longer prompts are no worse model.

Owns: the level of log-seconds and the share of good answers by the prompt's length, and when either is too little known
to say anything. Never: an alarm (drift.py).

Prompts of a length that was hardly seen before teach, and accuse nobody: a new workload is learnt first. What it costs
is that a model which changes together with its workload is found NEW requests later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

NEW = 30  # prompts of about a length, until what they show is held against the version
SHRINK = 4.0  # prompts that the share over all lengths is worth beside those of one
LONGEST = 24  # powers of two that are told apart
UNSEEN = (0.0, 0)
CAUTION = 1.0  # standard errors by which a share is taken to be lower than what was seen: an alarm is about falls


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Means of log-seconds by the power of two of the prompt's tokens. ``usual``: what seconds are told against, the
    mean of the first NEW."""

    n: int = 0
    mean: float = 0.0
    usual: float | None = None
    seen: Mapping[int, tuple[float, int]] = field(default_factory=dict)

    def add(self, tokens: int, y: float) -> Levels:
        size, n = size_of(tokens), self.n + 1
        mean = self.mean + (y - self.mean) / n
        before, known = self.seen.get(size, UNSEEN)
        level = before + (y - before) / (known + 1)
        usual = mean if self.usual is None and n >= NEW else self.usual
        return Levels(n=n, mean=mean, usual=usual, seen={**self.seen, size: (level, known + 1)})

    def knows(self, tokens: int) -> bool:
        return self.seen.get(size_of(tokens), UNSEEN)[1] >= NEW

    def usually(self, tokens: int, y: float) -> float:
        """Log-seconds as they would be at the usual mix of lengths."""
        if self.usual is None or not self.knows(tokens):
            return y
        return y - self.seen[size_of(tokens)][0] + self.usual


@dataclass(frozen=True, slots=True, kw_only=True)
class ByLength:
    """Good answers and answers by the power of two of the prompt's tokens."""

    seen: Mapping[int, tuple[float, int]] = field(default_factory=dict)

    def add(self, tokens: int | None, good: float) -> ByLength:
        if tokens is None:
            return self
        size = size_of(tokens)
        before, n = self.seen.get(size, UNSEEN)
        return ByLength(seen={**self.seen, size: (before + good, n + 1)})

    def knows(self, tokens: int | None) -> bool:
        """A prompt without a known length is like any other."""
        return tokens is None or self.seen.get(size_of(tokens), UNSEEN)[1] >= NEW

    def share(self, tokens: int | None, overall: float) -> float:
        """Of good answers to prompts of about this length; with caution while they are few."""
        if tokens is None:
            return overall
        good, n = self.seen.get(size_of(tokens), UNSEEN)
        share = (good + SHRINK * overall) / (n + SHRINK)
        return max(0.0, share - CAUTION * math.sqrt(share * (1.0 - share) / (n + SHRINK)))


def size_of(tokens: int) -> int:
    size = tokens.bit_length() if tokens > 0 else 0
    return size if size < LONGEST else LONGEST
