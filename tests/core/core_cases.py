"""What the tests of core/ are made of: versions, outcomes, statistics, and hypothesis' strategies for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.registry import Lifecycle, ModelVersion
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import Criteria, Preference, Task, Weights

NOW = 1_000_000.0
MIB = 1024**2


def version(name: str, **changes: Any) -> ModelVersion:
    known: dict[str, Any] = {
        "provider": "fake",
        "model": name,
        "source": f"/{name}.gguf",
        "lifecycle": Lifecycle.ACTIVE,
    }
    return ModelVersion(version=name, **{**known, **changes})


def outcome(n: int = 0, **changes: Any) -> Outcome:
    known: dict[str, Any] = {"id": f"r{n}", "task": "t", "version": "a", "at": NOW, "success": True}
    return Outcome(**{**known, **changes})


def measured(
    n: int = 40,
    *,
    quality: float | None = 0.8,
    latency_s: float | None = 1.0,
    memory: int | None = 100 * MIB,
    failed: int = 0,
    at: float = NOW,
    source: str = "suite",
) -> Stats:
    """Statistics of ``n`` requests, the last ``failed`` of which failed; grades are 0 or 1 with that mean."""
    stats = Stats()
    for i in range(n):
        grade = None if quality is None else float(int((i + 1) * quality) > int(i * quality))
        good = i < n - failed
        stats = stats.add(
            outcome(
                i,
                success=good,
                latency_s=latency_s,
                memory_bytes=memory,
                quality=grade,
                quality_source=source,
                at=at,
                failure=None if good else Failure.TIMEOUT,
            )
        )
    return stats


fractions = st.floats(0.0, 1.0)
maybe = st.none()
seconds = st.floats(0.0, 1e5)
outcomes = st.builds(
    Outcome,
    id=st.uuids().map(str),
    task=st.just("t"),
    version=st.just("a"),
    at=st.floats(0.0, NOW),
    success=st.booleans(),
    latency_s=maybe | seconds,
    ttft_s=maybe | seconds,
    queue_s=maybe | seconds,
    tokens_in=maybe | st.integers(0, 200_000),
    tokens_out=maybe | st.integers(0, 10_000),
    memory_bytes=maybe | st.integers(0, 2**42),
    energy_j=maybe | st.floats(0.0, 1e6),
    failure=maybe | st.sampled_from(Failure),
    quality=maybe | fractions,
    quality_source=maybe | st.sampled_from(["suite", "feedback", "judge", "elsewhere"]),
)
statistics = st.one_of(
    st.builds(
        measured,
        st.integers(0, 40),
        quality=maybe | fractions,
        latency_s=maybe | st.floats(0.0, 20.0),
        memory=maybe | st.integers(0, 4 * 1024**3),
        at=st.floats(0.0, NOW),
    ),
    st.lists(outcomes, max_size=25).map(lambda many: _fold(many)),
)
weights = st.builds(Weights, *(), **{name: st.floats(0.0, 1.0) for name in Weights.__dataclass_fields__})
criteria = st.builds(
    Criteria,
    max_latency_s=maybe | st.floats(0.001, 100.0),
    max_memory_bytes=maybe | st.integers(1, 2**34),
    min_context=maybe | st.integers(1, 100_000),
    quality_threshold=maybe | fractions,
    weights=weights,
    preference=maybe | st.sampled_from(Preference),
    latency_budget_s=st.floats(0.1, 60.0),
    memory_budget_bytes=st.integers(MIB, 2**35),
)
names = st.sampled_from([f"m{i}" for i in range(8)])
tasks = st.builds(
    lambda c, priors: Task(name="t", criteria=c, priors=priors), criteria, st.dictionaries(names, fractions, max_size=4)
)
boards = st.dictionaries(names, statistics, min_size=1, max_size=6)


def _fold(many: list[Outcome]) -> Stats:
    stats = Stats()
    for one in many:
        stats = stats.add(replace(one, failure=None) if one.success else one)
    return stats
