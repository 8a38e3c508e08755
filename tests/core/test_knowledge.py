"""Knowledge from elsewhere: whose word prevails, whom it speaks of, and that no order of imports matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.knowledge import (
    KEPT,
    HeardOutcome,
    Said,
    filled,
    lesson,
    matching,
    newest,
    prevails,
    united,
)
from arbiter_tui.core.learning import TaskProfile
from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.core.stats import EMPTY, WINDOW, Stats
from arbiter_tui.core.traffic import WEEK, Traffic


def outcome(n: int, quality: float | None = None, **changes: Any) -> Outcome:
    base = Outcome(
        id=f"o{n}", task="t", version="v", at=1000.0 + n, success=True, latency_s=0.1 + n % 7 / 10, ttft_s=0.05,
        tokens_in=20, tokens_out=5, memory_bytes=1000 + n, energy_j=1.0 + n % 3, quality=quality,
        quality_source=None if quality is None else "suite",
    )  # fmt: skip
    return replace(base, **changes)


def profile(requests: int, at: float = 0.0) -> Said:
    data = TaskProfile(task="t").observe_all([outcome(n, 0.5) for n in range(requests)]).as_dict()
    return Said(kind="profile", origin="o", name="t", at=at, data=data)


GRADES = st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=40)


# ── whose word prevails ───────────────────────────────────────────────────────────────────────────────────────────────


def test_of_one_origin_the_later_word_prevails_and_a_profile_only_grows() -> None:
    """The clock decides but for profiles, where more requests are later; the same again is no news."""
    model = Said(kind="model", origin="o", name="v", at=5.0, data={"digest": "a"})
    later = replace(model, at=6.0, data={"digest": "b"})
    assert prevails(model, None)
    assert prevails(later, model)
    assert not prevails(model, later)
    assert not prevails(replace(model, at=9.0), model), "nothing in it is new"
    assert prevails(profile(9, at=1.0), profile(4, at=99.0))
    assert not prevails(profile(4, at=99.0), profile(9, at=1.0))


# ── whom it speaks of ─────────────────────────────────────────────────────────────────────────────────────────────────

A = ModelVersion(version="a", provider="p", model="m", source="s", digest="sha256:1")
B = replace(A, version="b", provider="q")
NAMELESS = replace(A, version="c", digest=None)
KINDS = {"p": "llama_server", "q": "llama_cpp"}


@pytest.mark.parametrize(
    ("model", "versions", "same_machine", "here"),
    [
        ({"version": "x", "digest": "sha256:1", "provider": "llama_cpp"}, [A, B], False, ["b"]),
        ({"version": "x", "digest": "sha256:1", "provider": "ollama"}, [A, B], False, ["a", "b"]),
        ({"version": "a", "digest": "sha256:2", "provider": "llama_server"}, [A, B], True, []),
        ({"version": "c", "digest": None, "provider": "llama_server"}, [NAMELESS], True, ["c"]),
        ({"version": "c", "digest": None, "provider": "llama_server"}, [NAMELESS], False, []),
        ({"version": "c", "digest": None, "provider": "openai"}, [NAMELESS], True, []),
        ({"version": "a", "digest": None, "provider": "llama_server"}, [A], True, []),
    ],
)
def test_a_model_is_known_by_its_content(
    model: dict[str, Any], versions: Sequence[ModelVersion], same_machine: bool, here: list[str]
) -> None:
    """By digest whatever its name, in the same kind of runtime first; without one only where it was measured."""
    assert matching(model, versions, lambda v: KINDS[v.provider], same_machine=same_machine) == here


# ── what it teaches ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_machine_teaches_quality_alone() -> None:
    """No second, byte, joule, sample or failure of it; grades that were firm there are reported ones here."""
    heard = [
        outcome(1, 1.0), outcome(2, 0.0), outcome(3),
        outcome(4, 0.5, quality_source="feedback"), outcome(5, success=False, failure=Failure.TIMEOUT),
    ]  # fmt: skip
    told = lesson(heard, same_machine=False)
    assert isinstance(told, Stats)
    assert set(told.quality_sources) == {"reported", "feedback"}
    assert told.quality is not None
    assert (told.samples, told.failures, told.latency_p50_s, told.memory_bytes, told.energy_j) == (
        0,
        0,
        None,
        None,
        None,
    )
    assert told.success_rate is None
    assert told.last_at is None, "recency is of what was measured here"
    assert lesson(heard, same_machine=True) == heard


@given(older=GRADES, newer=GRADES)
def test_what_lies_behind_counts_as_if_it_had_come_first(older: list[float | None], newer: list[float | None]) -> None:
    """Stats of two pasts put together are those of one past, but for the rounding of what fades."""
    first = [outcome(n, q) for n, q in enumerate(older)]
    second = [outcome(100 + n, q) for n, q in enumerate(newer)]
    whole, joined = EMPTY.add_all([*first, *second]), EMPTY.add_all(second).behind(EMPTY.add_all(first))
    for name in ("samples", "successes", "failures", "memory_bytes", "last_at", "latencies", "results", "grades"):
        assert getattr(joined, name) == getattr(whole, name), name
    for name in ("hits", "misses"):
        assert getattr(joined, name) == pytest.approx(getattr(whole, name)), name
    assert joined.energies[0] == whole.energies[0]
    assert joined.energies[1] == pytest.approx(whole.energies[1])


def test_what_lies_behind_never_hides_what_was_measured_here() -> None:
    """Windows keep the newest: a long past of elsewhere adds nothing to a full one."""
    here = EMPTY.add_all([outcome(n, 1.0, latency_s=0.5) for n in range(WINDOW)])
    there = EMPTY.add_all([outcome(n, 0.0, latency_s=9.0) for n in range(WINDOW)])
    joined = here.behind(there)
    assert (joined.latency_p50_s, joined.latency_p95_s) == (here.latency_p50_s, here.latency_p95_s)
    assert joined.memory_bytes == here.memory_bytes
    assert there.behind(EMPTY) is there


# ── together ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_profiles_of_several_origins_are_read_as_one() -> None:
    """Counts add up whatever their order; seconds and bytes of another machine are left out."""
    own, near, far = (TaskProfile.from_dict(profile(n).data) for n in (3, 5, 7))
    whole = united(own, [(near, True), (far, False)])
    assert whole == united(own, [(far, False), (near, True)])
    assert (whole.requests, whole.quality_n, whole.prompt_tokens.n) == (15, 15, 15)
    assert (whole.latency.n, whole.memory.n) == (8, 8)
    assert whole.by_length[5] == (15, 15)


def test_hours_that_were_never_watched_here_are_known_from_elsewhere() -> None:
    """What was watched here stands."""
    own = Traffic().hour(3, 10)
    heard = Traffic()
    for hour in range(WEEK):
        heard = heard.hour(hour, 40 if hour % 24 == 12 else 1)
    joined = filled(own, [heard])
    assert joined.rates[3] == 10
    assert joined.rates[12] == 40
    assert own.quiet_in(0) is None
    assert joined.quiet_in(0) == 0
    assert filled(own, []) == own


def test_only_the_newest_of_each_kind_are_kept() -> None:
    """As many as a start learns from, in their order, of each origin, task and version on its own."""
    several = [HeardOutcome("o", outcome(n)) for n in range(KEPT + 20)]
    others = [HeardOutcome("p", outcome(9000 + n)) for n in range(3)]
    assert newest([*several, *others]) == [*several[20:], *others]
