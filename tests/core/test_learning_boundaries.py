"""What is learnt, figure by figure: buckets, fading, the limits that are taught, and what each of them is made of."""

from __future__ import annotations

import math
from typing import Any

import pytest
from core_cases import NOW, outcome

from arbiter_tui.core import learning
from arbiter_tui.core.cost import Failure
from arbiter_tui.core.learning import BUCKETS, FADE_AT, MIN_LEARNT, Pattern, TaskProfile
from arbiter_tui.core.tasks import Criteria, Preference


def taught(*changes: dict[str, Any], n: int = 1) -> TaskProfile:
    profile = TaskProfile(task="t")
    for i in range(n):
        for change in changes:
            profile = profile.observe(outcome(i, **change))
    return profile


def test_the_constants_are_the_documented_ones() -> None:
    """Resolution, range, how fast it forgets, how much teaches, and the slack of each learnt limit."""
    assert (learning.PER_OCTAVE, BUCKETS, FADE_AT, MIN_LEARNT) == (4, 160, 2000, 10)
    assert (learning.LATENCY_SLACK, learning.MEMORY_SLACK, learning.QUALITY_SLACK) == (2.0, 1.5, 0.9)
    assert learning.PREFERENCE_SHARE == 0.6


# --- patterns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        (-1.0, 0), (0.0, 0), (8.0, 0), (8.01, 1), (16.0, 4), (16.01, 5), (32.0, 8), (8.0 * 2.0**39, 156),
        (8.0 * 2.0**40, 159), (math.inf, 159), (math.nan, 0),
    ],
)  # fmt: skip
def test_a_bucket_is_a_quarter_of_an_octave_above_the_floor(value: float, bucket: int) -> None:
    """Four buckets to a doubling, each closed at its upper edge; the last takes everything larger."""
    assert dict(Pattern(8.0).add(value).counts) == {bucket: 1}


def test_a_quantile_is_the_upper_edge_of_its_bucket() -> None:
    """A share that is reached exactly by a bucket lies in it."""
    pattern = Pattern(8.0).add(16.0).add(30.0)
    assert (pattern.quantile(0.0), pattern.quantile(0.5), pattern.quantile(0.51), pattern.quantile(1.0)) == (
        16.0, 16.0, 32.0, 32.0,
    )  # fmt: skip
    assert Pattern(8.0).add(15.0).quantile(1.0) == 16.0
    assert (pattern.n, pattern.total, pattern.mean) == (2, 46.0, 23.0)


def test_at_its_limit_a_pattern_is_halved() -> None:
    """The 2,000th value halves the counts; odd ones round down, single ones go; the mean stays what it was."""
    nearly = Pattern(1.0, {0: 1001, 4: 996, 8: 1}, FADE_AT - 2, (FADE_AT - 2) * 3.0)
    before = nearly.add(3.0)
    assert (before.n, before.counts[0]) == (FADE_AT - 1, 1001)
    after = before.add(3.0)
    assert dict(after.counts) == {0: 500, 4: 498, 7: 1}
    assert after.n == 999
    assert after.mean == pytest.approx(3.0)


def test_a_pattern_is_read_from_what_there_is() -> None:
    """Missing parts are empty, numbers in text are numbers again."""
    assert Pattern.from_dict({"floor": 2}) == Pattern(2.0)
    full = {"floor": 1.0, "n": 3, "total": 9.0, "counts": {"4": 2, "8": 1}}
    assert Pattern.from_dict(full) == Pattern(1.0, {4: 2, 8: 1}, 3, 9.0)
    assert Pattern(1.0, {8: 1, 4: 2}, 3, 9.0).as_dict() == full
    assert list(Pattern(1.0, {8: 1, 4: 2}, 3, 9.0).as_dict()["counts"]) == ["4", "8"]


# --- one request ----------------------------------------------------------------------------------------------------


def test_a_success_teaches_every_figure_that_it_has() -> None:
    """Latency, first token, memory, prompt and answer, each in its own pattern."""
    known = {"latency_s": 2.0, "ttft_s": 1.0, "memory_bytes": 64, "tokens_in": 16, "tokens_out": 4}
    profile = taught(known)
    for name, value in zip(
        ("latency", "ttft", "memory", "prompt_tokens", "answer_tokens"), known.values(), strict=True
    ):
        pattern = getattr(profile, name)
        assert (name, pattern.n, pattern.total) == (name, 1, value)
    assert (profile.requests, profile.successes, dict(profile.failures)) == (1, 1, {})
    unknown = taught({})
    assert all(getattr(unknown, name).n == 0 for name in ("latency", "ttft", "memory", "answer_tokens"))


def test_a_failure_teaches_its_kind_and_no_figure() -> None:
    """How long a timeout took is no latency; a failure without a kind is still one."""
    timeout: dict[str, Any] = {"success": False, "failure": Failure.TIMEOUT, "latency_s": 9.0, "tokens_in": 5}
    profile = taught(timeout, timeout, {"success": False})
    assert dict(profile.failures) == {"timeout": 2, "unknown": 1}
    assert (profile.requests, profile.successes, profile.success_rate) == (3, 0, 0.0)
    assert (profile.latency.n, dict(profile.by_length)) == (0, {3: (2, 0)})


def test_tokens_that_were_counted_elsewhere_win() -> None:
    """``prompt_tokens`` replaces what the outcome says."""
    profile = TaskProfile(task="t").observe(outcome(tokens_in=5), prompt_tokens=64)
    assert (profile.prompt_tokens.total, dict(profile.by_length)) == (64, {7: (1, 1)})


@pytest.mark.parametrize(
    ("tokens", "size"), [(-5, 0), (0, 0), (1, 1), (2, 2), (255, 8), (256, 9), (2**23, 24), (2**30, 24)]
)
def test_lengths_are_counted_by_powers_of_two(tokens: int, size: int) -> None:
    """Up to sixteen million tokens; what is longer is counted with those."""
    assert dict(taught({"tokens_in": tokens}).by_length) == {size: (1, 1)}


def test_lengths_count_requests_and_successes_apart() -> None:
    """Two requests of a size, one of which succeeded; a request of unknown length counts nowhere."""
    profile = taught({"tokens_in": 9}, {"tokens_in": 9, "success": False}, {"tokens_in": 99}, {})
    assert dict(profile.by_length) == {4: (2, 1), 7: (1, 1)}


def test_the_newest_request_dates_the_profile() -> None:
    """A late arrival does not turn the clock back."""
    assert taught({"at": NOW}, {"at": NOW - 9}).updated_at == NOW
    assert taught({"at": NOW - 9}, {"at": NOW}).updated_at == NOW


@pytest.mark.parametrize(("given", "kept"), [(1.5, 1.0), (-0.5, 0.0), (0.25, 0.25)])
def test_a_grade_is_a_share(given: float, kept: float) -> None:
    """What lies outside 0..1 is cut; the mean is over the graded answers alone."""
    profile = taught({}).graded(given).graded(0.75)
    assert (profile.quality_n, profile.quality_sum, profile.quality_mean) == (2, kept + 0.75, (kept + 0.75) / 2)
    assert TaskProfile(task="t").quality_mean is None


# --- what it says of the task ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fast", "quality", "learnt"), [(3, 2, "fast"), (2, 0, None), (3, 0, "fast"), (5, 4, None), (1, 2, "quality")]
)
def test_operators_agree_from_three_fifths_of_three_choices_on(fast: int, quality: int, learnt: str | None) -> None:
    """Exactly 60% is agreement; two choices are too few."""
    profile = TaskProfile(task="t")
    for preference, times in ((Preference.FAST, fast), (Preference.QUALITY, quality)):
        for _ in range(times):
            profile = profile.prefer(preference)
    assert profile.preference == learnt


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "grade", "complexity"),
    [
        (96, 32, None, 7 / 13),
        (96, 32, 0.75, (7 / 13 + 0.25) / 2),
        (8000, 192, None, 1.0),
        (90_000, 0, 0.0, 1.0),
        (0, 0, None, 0.0),
        (64, None, None, 6 / 13),
        (0, 2, None, 1 / 13),
    ],
)
def test_complexity_is_half_the_length_and_half_the_grades(
    tokens_in: int, tokens_out: int | None, grade: float | None, complexity: float
) -> None:
    """Prompt and answer together on a logarithmic scale where 8k tokens are 1; the mean with what is missing to 1."""
    profile = taught({"tokens_in": tokens_in, "tokens_out": tokens_out, "quality": grade}, n=MIN_LEARNT)
    assert profile.complexity == pytest.approx(complexity)


def test_ten_prompts_teach_a_complexity_and_nine_do_not() -> None:
    """Below MIN_LEARNT it is unknown."""
    assert taught({"tokens_in": 9}, n=MIN_LEARNT - 1).complexity is None
    assert taught({"tokens_in": 9}, n=MIN_LEARNT).complexity is not None


def test_each_learnt_limit_is_its_quantile_with_its_slack() -> None:
    """Twice the 95th percentile of latency, 1.5 x the largest memory, prompt and answer of the 95th, .9 x grades."""
    usual = {"latency_s": 2.0**19 * 1e-6, "memory_bytes": 64, "tokens_in": 128, "tokens_out": 16, "quality": 0.75}
    large = {"latency_s": 99.0, "memory_bytes": 2**20 - 9, "tokens_in": 4096, "tokens_out": 999, "quality": 0.75}
    enhanced = taught(*[usual] * 19, large).enhance(Criteria())
    assert enhanced.max_latency_s == pytest.approx(2.0 * 2.0**19 * 1e-6)
    assert enhanced.max_memory_bytes == 3 * 2**19
    assert enhanced.min_context == 144
    assert enhanced.quality_threshold == pytest.approx(0.9 * 0.75)


def test_limits_are_whole_bytes_and_tokens_rounded_up() -> None:
    """A learnt limit never refuses by rounding; a prompt alone is enough for a context."""
    enhanced = taught({"memory_bytes": 9, "tokens_in": 9}, n=10).enhance(Criteria())
    assert enhanced.max_memory_bytes == math.ceil(1.5 * 2 ** (13 / 4))
    assert enhanced.min_context == math.ceil(2 ** (13 / 4))


@pytest.mark.parametrize(("n", "taught_"), [(MIN_LEARNT - 1, False), (MIN_LEARNT, True)])
def test_ten_observations_teach_each_limit(n: int, taught_: bool) -> None:
    """Each limit by its own count: latency, memory, prompt, grades."""
    known = {"latency_s": 1.0, "memory_bytes": 9, "tokens_in": 9, "quality": 0.5}
    enhanced = taught(known, n=n).enhance(Criteria())
    limits = (
        enhanced.max_latency_s, enhanced.max_memory_bytes, enhanced.min_context, enhanced.quality_threshold,
    )  # fmt: skip
    assert [limit is not None for limit in limits] == [taught_] * 4


def test_a_damaged_profile_teaches_nothing() -> None:
    """A pattern that counts values which it does not hold sets no limit, and breaks nothing."""
    empty = Pattern(1.0, {}, 20, 0.0)
    damaged = TaskProfile(task="t", latency=empty, memory=empty, prompt_tokens=empty, answer_tokens=empty)
    assert damaged.enhance(Criteria()) == Criteria()


def test_a_profile_is_read_from_what_there_is() -> None:
    """A profile of an older version lacks fields: they take their defaults; what is unknown is ignored."""
    assert TaskProfile.from_dict({"task": "t", "from_the_future": 1}) == TaskProfile(task="t")
    shown = taught({"tokens_in": 300}, {"tokens_in": 9, "success": False}).prefer(Preference.FAST).as_dict()
    assert shown["by_length"] == {"4": [1, 0], "9": [1, 1]}
    assert list(shown["by_length"]) == ["4", "9"]
    assert shown["preferences"] == {"fast": 1}
    assert shown.keys() == {
        "task", "requests", "successes", "failures", "latency", "ttft", "memory", "prompt_tokens", "answer_tokens",
        "quality_n", "quality_sum", "by_length", "preferences", "updated_at",
    }  # fmt: skip
