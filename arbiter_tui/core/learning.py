"""TaskProfile: what has been learnt about a kind of work. It contains no model's name, so it outlives every model.

Owns: latency, quality, memory and success patterns, preferences and complexity of a task, and how they enrich criteria.
Never: which model taught it (scoring.py keeps that), storing itself (the store does).
Units: seconds, bytes, tokens. A profile is at most 10 KB of JSON, however many outcomes it has seen: patterns are
logarithmic histograms with a fixed number of buckets, and what is old fades (see ``Pattern.add``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Any, TypeVar

from .cost import Outcome
from .lengths import LONGEST
from .tasks import Criteria, Preference

PER_OCTAVE = 4  # a bucket spans a factor of 1.19: quantiles are right to about 9%
BUCKETS = 160  # 40 octaves: from FLOOR on, that is one microsecond to 12 days, or one byte to a terabyte
FADE_AT = 2_000  # a pattern's counts are halved when it holds this many: the newest thousand or two decide
MIN_LEARNT = 10  # fewer observations than this teach nothing
LATENCY_SLACK = 2.0  # a learnt limit may refuse outliers only, never the usual
MEMORY_SLACK = 1.5
QUALITY_SLACK = 0.9
PREFERENCE_SHARE = 0.6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A logarithmic histogram of positive values, ``floor`` being the smallest that it tells apart."""

    floor: float
    counts: Mapping[int, int] = field(default_factory=dict)
    n: int = 0
    total: float = 0.0

    def add(self, value: float) -> Pattern:
        """With ``value`` in it; at FADE_AT values everything is halved, so that old behaviour fades."""
        return self.add_all((value,))

    def add_all(self, values: Sequence[float]) -> Pattern:
        """With several more, one after another."""
        counts, n, total, taken = dict(self.counts), self.n, self.total, 0
        while taken < len(values):
            several = values[taken : taken + FADE_AT - n]
            taken, n, total = taken + len(several), n + len(several), sum(several, total)
            for bucket, count in _counted_buckets(several, self.floor):
                counts[bucket] = counts.get(bucket, 0) + count
            if n >= FADE_AT:
                counts = {known: count // 2 for known, count in counts.items() if count > 1}
                before, n = n, sum(counts.values())
                total = total * n / before
        return Pattern(self.floor, counts, n, total)

    @property
    def mean(self) -> float | None:
        return self.total / self.n if self.n else None

    def quantile(self, share: float) -> float | None:
        """The upper edge of the bucket in which the quantile lies; None without values. ``share`` in 0..1."""
        seen, wanted = 0, share * self.n
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return float(self.floor * 2 ** (bucket / PER_OCTAVE))
        return None

    def as_dict(self) -> dict[str, Any]:
        counts = {str(bucket): count for bucket, count in sorted(self.counts.items())}
        return {"floor": self.floor, "n": self.n, "total": self.total, "counts": counts}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pattern:
        counts = {int(bucket): int(count) for bucket, count in data.get("counts", {}).items()}
        return cls(float(data["floor"]), counts, int(data.get("n", 0)), float(data.get("total", 0.0)))


def _counted_buckets(values: Sequence[float], floor: float) -> Iterable[tuple[int, int]]:
    """Bucket and count, a bucket perhaps several times. Whole numbers (bytes, tokens) repeat: each is put in once."""
    if floor < 1.0:
        return Counter(_buckets(values, floor)).items()
    counted = Counter(values)
    return zip(_buckets(list(counted), floor), counted.values(), strict=True)


def _buckets(values: Sequence[float], floor: float) -> list[int]:
    most, highest = floor * 2.0**64, BUCKETS - 1
    if max(values) < most / 2.0**25:  # none of them is beyond the last bucket
        return [ceil(PER_OCTAVE * log2(value / floor)) if value > floor else 0 for value in values]
    return [min(highest, ceil(PER_OCTAVE * log2(min(value, most) / floor))) if value > floor else 0 for value in values]


def _seconds() -> Pattern:
    return Pattern(1e-6)


def _units() -> Pattern:
    return Pattern(1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProfile:
    """What is known of a task, whoever served it.

    ``quality_sum`` over ``quality_n`` graded answers is the mean grade (0..1); ``failures`` counts by kind;
    ``preferences`` counts what operators asked for; ``by_length`` holds [requests, successes] per power of two of the
    prompt's tokens: what becomes harder when prompts become longer.
    """

    task: str
    requests: int = 0
    successes: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    latency: Pattern = field(default_factory=_seconds)
    ttft: Pattern = field(default_factory=_seconds)
    memory: Pattern = field(default_factory=_units)
    prompt_tokens: Pattern = field(default_factory=_units)
    answer_tokens: Pattern = field(default_factory=_units)
    quality_n: int = 0
    quality_sum: float = 0.0
    by_length: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    preferences: Mapping[str, int] = field(default_factory=dict)
    updated_at: float | None = None

    def observe(self, outcome: Outcome, prompt_tokens: int | None = None) -> TaskProfile:
        """The profile after one more request. What isn't the model's fault (cancelled ...) teaches nothing."""
        return self.observe_all((outcome if prompt_tokens is None else replace(outcome, tokens_in=prompt_tokens),))

    def observe_all(self, outcomes: Sequence[Outcome]) -> TaskProfile:
        """The profile after several more, the oldest first: as one after another, at a fraction of the cost."""
        seen = [o for o in outcomes if o.failure is None or o.counts]
        if not seen:
            return self
        good = [o for o in seen if o.success]
        grades = [min(1.0, max(0.0, o.quality)) for o in seen if o.quality is not None]
        newest = max(o.at for o in seen)
        return replace(
            self,
            requests=self.requests + len(seen),
            successes=self.successes + len(good),
            failures=_counted(self.failures, [str(o.failure or "unknown") for o in seen if not o.success]),
            latency=_with(self.latency, [o.latency_s for o in good]),
            ttft=_with(self.ttft, [o.ttft_s for o in good]),
            memory=_with(self.memory, [o.memory_bytes for o in good]),
            prompt_tokens=_with(self.prompt_tokens, [o.tokens_in for o in good]),
            answer_tokens=_with(self.answer_tokens, [o.tokens_out for o in good]),
            quality_n=self.quality_n + len(grades),
            quality_sum=sum(grades, self.quality_sum),
            by_length=_count_lengths(self.by_length, seen),
            updated_at=newest if self.updated_at is None else max(newest, self.updated_at),
        )

    def graded(self, quality: float | None) -> TaskProfile:
        """A grade (0..1) that came with or after its request; None moves nothing."""
        if quality is None:
            return self
        return replace(self, quality_n=self.quality_n + 1, quality_sum=self.quality_sum + min(1.0, max(0.0, quality)))

    def regraded(self, before: float, after: float) -> TaskProfile:
        """With one grade corrected."""
        return replace(self, quality_sum=max(0.0, self.quality_sum + after - before))

    def prefer(self, preference: Preference) -> TaskProfile:
        """Remember that an operator asked for this preference on this task."""
        return replace(self, preferences={**self.preferences, preference: self.preferences.get(preference, 0) + 1})

    @property
    def quality_mean(self) -> float | None:
        return self.quality_sum / self.quality_n if self.quality_n else None

    @property
    def success_rate(self) -> float | None:
        return self.successes / self.requests if self.requests else None

    @property
    def preference(self) -> Preference | None:
        """What operators ask for in at least 60% of three or more choices; None if they don't agree."""
        total = sum(self.preferences.values())
        if total < 3:
            return None
        name, count = max(self.preferences.items(), key=lambda item: (item[1], item[0]))
        return Preference(name) if count / total >= PREFERENCE_SHARE else None

    @property
    def complexity(self) -> float | None:
        """How hard the work is, 0..1: half from the usual length (8k tokens are 1), half from the grades.

        None until MIN_LEARNT prompts are known; without grades it is the length alone.
        """
        if self.prompt_tokens.n < MIN_LEARNT:
            return None
        tokens = (self.prompt_tokens.mean or 0.0) + (self.answer_tokens.mean or 0.0)
        length = min(1.0, math.log2(max(tokens, 1.0)) / 13)
        graded = self.quality_mean
        return length if graded is None else (length + 1.0 - graded) / 2

    def enhance(self, criteria: Criteria) -> Criteria:
        """``criteria`` with what is unset filled from what was learnt. What the user has set is never touched.

        Learnt limits carry slack: they keep out a version that is far worse than what the task is used to.
        """
        return replace(
            criteria,
            max_latency_s=_unless(criteria.max_latency_s, self._usual_latency()),
            max_memory_bytes=_unless(criteria.max_memory_bytes, self._usual_memory()),
            min_context=_unless(criteria.min_context, self._usual_context()),
            quality_threshold=_unless(criteria.quality_threshold, self._usual_quality()),
            preference=_unless(criteria.preference, self.preference),
        )

    def _usual_latency(self) -> float | None:
        return _scaled(self.latency, 0.95, LATENCY_SLACK)

    def _usual_memory(self) -> int | None:
        usual = _scaled(self.memory, 1.0, MEMORY_SLACK)
        return None if usual is None else math.ceil(usual)

    def _usual_context(self) -> int | None:
        prompt = _scaled(self.prompt_tokens, 0.95, 1.0)
        return None if prompt is None else math.ceil(prompt + (_scaled(self.answer_tokens, 0.95, 1.0) or 0.0))

    def _usual_quality(self) -> float | None:
        mean = self.quality_mean
        return None if mean is None or self.quality_n < MIN_LEARNT else QUALITY_SLACK * mean

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, at most 10 KB."""
        return {
            "task": self.task,
            "requests": self.requests,
            "successes": self.successes,
            "failures": dict(self.failures),
            **{name: getattr(self, name).as_dict() for name in _PATTERNS},
            "quality_n": self.quality_n,
            "quality_sum": self.quality_sum,
            "by_length": {str(size): list(pair) for size, pair in sorted(self.by_length.items())},
            "preferences": {str(name): count for name, count in self.preferences.items()},
            "updated_at": self.updated_at,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskProfile:
        """Inverse of ``as_dict``; missing fields take their defaults, unknown ones are ignored."""
        plain: dict[str, Any] = {name: data[name] for name in _PLAIN if name in data}
        patterns: dict[str, Any] = {name: Pattern.from_dict(data[name]) for name in _PATTERNS if name in data}
        lengths = {int(size): (int(pair[0]), int(pair[1])) for size, pair in data.get("by_length", {}).items()}
        return cls(**plain, **patterns, by_length=lengths)


_PATTERNS = ("latency", "ttft", "memory", "prompt_tokens", "answer_tokens")
_PLAIN = (
    "task", "requests", "successes", "failures", "quality_n", "quality_sum", "preferences", "updated_at",
)  # fmt: skip


def _with(pattern: Pattern, values: Sequence[float | None]) -> Pattern:
    known = [value for value in values if value is not None]
    return pattern.add_all(known) if known else pattern


def _counted(counts: Mapping[str, int], more: Sequence[str]) -> Mapping[str, int]:
    grown = dict(counts)
    for name in more:
        grown[name] = grown.get(name, 0) + 1
    return grown


def _unless(chosen: T | None, learnt: T | None) -> T | None:
    return learnt if chosen is None else chosen


def _scaled(pattern: Pattern, share: float, slack: float) -> float | None:
    if pattern.n < MIN_LEARNT:
        return None
    usual = pattern.quantile(share)
    return None if usual is None else usual * slack


def _count_lengths(
    lengths: Mapping[int, tuple[int, int]], outcomes: Sequence[Outcome]
) -> Mapping[int, tuple[int, int]]:
    grown = dict(lengths)
    sizes = [(max(0, o.tokens_in).bit_length(), o.success) for o in outcomes if o.tokens_in is not None]
    for (bits, success), count in Counter(sizes).items():
        size = min(LONGEST, bits)
        requests, successes = grown.get(size, (0, 0))
        grown[size] = (requests + count, successes + count * success)
    return grown
