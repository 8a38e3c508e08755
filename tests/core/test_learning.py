"""The laws of what is learnt about a task."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from core_cases import MIB, criteria, outcome, outcomes
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.learning import BUCKETS, FADE_AT, MIN_LEARNT, Pattern, TaskProfile
from arbiter_tui.core.tasks import Criteria, Preference

SETTABLE = ("max_latency_s", "max_memory_bytes", "min_context", "quality_threshold", "preference")


def taught(many: list[Outcome]) -> TaskProfile:
    profile = TaskProfile(task="t")
    for one in many:
        profile = profile.observe(one)
    return profile


def usual(n: int = 20, **changes: object) -> TaskProfile:
    known: dict[str, object] = {
        "latency_s": 0.5,
        "ttft_s": 0.1,
        "memory_bytes": 100 * MIB,
        "tokens_in": 200,
        "tokens_out": 20,
        "quality": 0.8,
    }
    return taught([outcome(i, **{**known, **changes}) for i in range(n)])


@given(st.lists(outcomes, max_size=40))
def test_a_profile_survives_the_wire(many: list[Outcome]) -> None:
    """as_dict -> JSON -> from_dict is the identity, so that nothing learnt is lost by a restart."""
    profile = taught(many)
    assert TaskProfile.from_dict(json.loads(json.dumps(profile.as_dict()))) == profile


@given(st.lists(outcomes, max_size=40), criteria)
def test_enhancing_fills_what_is_unset_and_touches_nothing_else(many: list[Outcome], asked: Criteria) -> None:
    """The user's own limits and weights are never loosened nor tightened; enhancing twice changes nothing more."""
    profile = taught(many)
    enhanced = profile.enhance(asked)
    for name in Criteria.__dataclass_fields__:
        if name not in SETTABLE or getattr(asked, name) is not None:
            assert getattr(enhanced, name) == getattr(asked, name)
    assert profile.enhance(enhanced) == enhanced


@given(outcomes, outcomes)
def test_a_profile_holds_no_models_name(one: Outcome, other: Outcome) -> None:
    """The same experience teaches the same, whoever served it: what was learnt cannot depend on a model's name."""
    mine = taught([one, other])
    theirs = taught([replace(one, version="someone-else"), replace(other, version="a-third")])
    assert mine == theirs
    assert "someone-else" not in json.dumps(theirs.as_dict())


@given(st.lists(outcomes, min_size=1, max_size=40))
def test_what_is_not_the_models_fault_teaches_nothing(many: list[Outcome]) -> None:
    """Only outcomes that count are counted, and each exactly once."""
    profile = taught(many)
    counted = [one for one in many if one.counts]
    assert profile.requests == len(counted)
    assert profile.successes == sum(one.success for one in counted)
    assert sum(profile.failures.values()) == len(counted) - profile.successes
    assert profile.quality_n == sum(one.quality is not None for one in counted)


def test_a_profile_stays_small_whatever_it_sees() -> None:
    """10,000 requests of every size and kind leave at most 10 KB."""
    profile, kinds = TaskProfile(task="t"), list(Failure)
    for i in range(10_000):
        size = 1.37 ** (i % 90)
        profile = profile.observe(
            outcome(
                i,
                success=i % 5 > 0,
                failure=None if i % 5 else kinds[i % len(kinds)],
                latency_s=size * 1e-6,
                ttft_s=size * 1e-7,
                memory_bytes=int(size),
                tokens_in=int(size),
                tokens_out=int(size),
                quality=0.123456789,
            )
        )
    assert len(json.dumps(profile.as_dict())) <= 10_000


@given(st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_patterns_quantile_is_right_to_a_bucket(values: list[float], share: float) -> None:
    """The histogram's quantile is never below the exact one and at most one bucket (a factor of 2^(1/4)) above."""
    pattern = Pattern(1e-6)
    for value in values:
        pattern = pattern.add(value)
    ordered = sorted(values)
    exact = next(v for i, v in enumerate(ordered, start=1) if i >= share * len(values))
    found = pattern.quantile(share)
    assert found is not None
    assert exact * 0.999 <= found <= exact * 2**0.25 * 1.001


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_pattern_takes_any_number(value: float) -> None:
    """Zero, negative, infinite or not a number: it lands in a bucket and nothing breaks."""
    for pattern in (Pattern(1.0), Pattern(1e-6)):
        ((bucket, count),) = pattern.add(value).counts.items()
        assert (0 <= bucket < BUCKETS, count) == (True, 1)


def test_old_behaviour_fades() -> None:
    """After as many newer values again the old ones no longer decide: a faster model changes what is usual."""
    pattern = Pattern(1e-6)
    for _ in range(FADE_AT):
        pattern = pattern.add(10.0)
    for _ in range(FADE_AT):
        pattern = pattern.add(0.1)
    assert pattern.n < FADE_AT
    assert pattern.quantile(0.5) == pytest.approx(0.1, rel=0.2)
    assert Pattern(1.0).mean is None
    assert Pattern(1.0).quantile(0.5) is None


def test_learnt_limits_admit_what_is_usual() -> None:
    """A model that behaves as the task is used to passes every learnt limit; a ten times worse one none."""
    enhanced = usual().enhance(Criteria())
    assert enhanced.max_latency_s is not None
    assert 0.5 < enhanced.max_latency_s < 5.0
    assert enhanced.max_memory_bytes is not None
    assert 100 * MIB < enhanced.max_memory_bytes < 1000 * MIB
    assert enhanced.min_context is not None
    assert 220 <= enhanced.min_context <= 300
    assert enhanced.quality_threshold == pytest.approx(0.72)


def test_too_little_teaches_no_limit() -> None:
    """Fewer than MIN_LEARNT observations leave the criteria as they were."""
    assert usual(MIN_LEARNT - 1).enhance(Criteria()) == Criteria()
    assert TaskProfile(task="t").complexity is None
    assert TaskProfile(task="t").success_rate is None


@pytest.mark.parametrize(
    ("choices", "learnt"),
    [
        ([], None),
        ([Preference.FAST, Preference.FAST], None),
        ([Preference.FAST] * 3, Preference.FAST),
        ([Preference.FAST, Preference.QUALITY, Preference.LOW_MEMORY], None),
        ([Preference.QUALITY, Preference.QUALITY, Preference.FAST], Preference.QUALITY),
    ],
)
def test_a_preference_is_learnt_when_operators_agree(choices: list[Preference], learnt: Preference | None) -> None:
    """Three choices, three fifths of them equal; it then fills an unset preference."""
    profile = TaskProfile(task="t")
    for choice in choices:
        profile = profile.prefer(choice)
    assert profile.preference == learnt
    assert profile.enhance(Criteria()).preference == learnt
    assert TaskProfile.from_dict(json.loads(json.dumps(profile.as_dict()))).preference == learnt


def test_complexity_grows_with_length_and_falls_with_grades() -> None:
    """Longer prompts are harder, better grades say easier, and it stays within 0..1."""
    short, long = usual(tokens_in=20), usual(tokens_in=4000)
    easy, hard = usual(quality=1.0), usual(quality=0.1)
    ungraded = usual(quality=None)
    assert short.complexity is not None
    assert long.complexity is not None
    assert 0.0 <= short.complexity < long.complexity <= 1.0
    assert easy.complexity is not None
    assert hard.complexity is not None
    assert easy.complexity < hard.complexity
    assert ungraded.complexity is not None
    assert usual().success_rate == 1.0
    assert usual().by_length == {8: (20, 20)}
