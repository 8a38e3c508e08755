"""Knowledge that came from elsewhere: what is kept of it, whose word prevails, and which models here it speaks of.

Owns: the records of other state folders (origins), the rule by which two records of one origin become one, the match
between a model that was known there and versions that are registered here. Never: stores, reads an archive.

Every record belongs to one origin, and of one origin the later word prevails; what several origins say stands side by
side and is put together when it is read. So taking in the same archive twice, or two archives in either order, leads to
the same knowledge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .cost import Outcome
from .learning import Pattern, TaskProfile
from .registry import ModelVersion
from .stats import EMPTY, FIRM, Stats, trust_of
from .traffic import MEMORY, WEEK, Traffic

KEPT = 500  # newest outcomes of each origin, task and version: as many as a start learns from
ELSEWHERE = "reported"  # the source of grades that were measured on another machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """``kind``: machine, model, profile, traffic; ``name``: of the version or task; ``at``: when it was said."""

    kind: str
    origin: str
    name: str
    at: float
    data: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.origin, self.name


@dataclass(frozen=True, slots=True)
class HeardOutcome:
    """An outcome of another state folder; its version is called as it was there."""

    origin: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """``outcomes``: the oldest first."""

    said: Sequence[Said] = ()
    outcomes: Sequence[HeardOutcome] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All records, by what they are about."""

    machines: Mapping[str, str] = field(default_factory=dict)  # origin -> fingerprint
    models: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)  # (origin, version)
    profiles: Mapping[tuple[str, str], TaskProfile] = field(default_factory=dict)  # (origin, task)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)  # origin

    @classmethod
    def of(cls, said: Iterable[Said]) -> Known:
        several = list(said)
        return cls(
            machines={s.origin: str(s.data["machine"]) for s in several if s.kind == "machine"},
            models={(s.origin, s.name): s.data for s in several if s.kind == "model"},
            profiles={(s.origin, s.name): TaskProfile.from_dict(s.data) for s in several if s.kind == "profile"},
            traffic={
                s.origin: Traffic(rates=tuple(s.data["rates"]), seen=tuple(s.data["seen"]))
                for s in several if s.kind == "traffic"
            },
        )  # fmt: skip


def prevails(new: Said, old: Said | None) -> bool:
    """Whether ``new`` replaces what the same origin said before. A profile only grows: the one with more requests (then
    grades) is the later one, whatever the clocks say."""
    if old is None:
        return True
    return new.data != old.data and _grown(new) > _grown(old)


def _grown(one: Said) -> tuple[float, ...]:
    if one.kind == "profile":
        return float(one.data["requests"]), float(one.data["quality_n"]), one.at
    return (one.at,)


def matching(
    model: Mapping[str, Any], versions: Iterable[ModelVersion], kind_of: Callable[[ModelVersion], str | None],
    *, same_machine: bool,
) -> list[str]:  # fmt: skip
    """The versions here that are this model: the same content, by the same kind of runtime where there is one, else by
    any. What has no digest is only known by its name, its runtime, and the machine that it runs on."""
    digest, kind = model.get("digest"), model.get("provider")
    if digest is None:
        return [
            v.version
            for v in versions
            if same_machine and v.digest is None and (v.version, kind_of(v)) == (model["version"], kind)
        ]
    same = [v for v in versions if v.digest == digest]
    alike = [v for v in same if kind_of(v) == kind]
    return [v.version for v in alike or same]


def newest(outcomes: Sequence[HeardOutcome]) -> list[HeardOutcome]:
    """The newest KEPT of each origin, task and version, in their order."""
    left: Counter[tuple[str, str, str]] = Counter()
    kept = set[str]()
    for h in sorted(outcomes, key=lambda h: -h.outcome.at):
        of = (h.origin, h.outcome.task, h.outcome.version)
        left[of] += 1
        if left[of] <= KEPT:
            kept.add(h.outcome.id)
    return [h for h in outcomes if h.outcome.id in kept]


def lesson(outcomes: Sequence[Outcome], *, same_machine: bool) -> list[Outcome] | Stats:
    """What these, the oldest first, teach of a version here. Measured on this machine they are outcomes like any other;
    else only their grades count, as reported ones where their source was trusted more: seconds, bytes, joules and
    failures are that machine's own."""
    return list(outcomes) if same_machine else grades(outcomes, same_machine=False)


def grades(outcomes: Sequence[Outcome], *, same_machine: bool) -> Stats:
    """What their grades alone teach."""
    told = EMPTY
    for o in outcomes:
        if o.quality is not None and o.success:
            source = o.quality_source or "unknown"
            told = told.graded(o.quality, source if same_machine or trust_of(source) < FIRM else ELSEWHERE)
    return told


def united(own: TaskProfile, heard: Iterable[tuple[TaskProfile, bool]]) -> TaskProfile:
    """What all origins together know of a task; ``heard``: each with whether it was learnt on this machine. Seconds and
    bytes of other machines are left out."""
    whole = own
    for other, same_machine in heard:
        whole = replace(
            whole,
            requests=whole.requests + other.requests,
            successes=whole.successes + other.successes,
            failures=_summed(whole.failures, other.failures),
            latency=_joined(whole.latency, other.latency) if same_machine else whole.latency,
            ttft=_joined(whole.ttft, other.ttft) if same_machine else whole.ttft,
            memory=_joined(whole.memory, other.memory) if same_machine else whole.memory,
            prompt_tokens=_joined(whole.prompt_tokens, other.prompt_tokens),
            answer_tokens=_joined(whole.answer_tokens, other.answer_tokens),
            quality_n=whole.quality_n + other.quality_n,
            quality_sum=whole.quality_sum + other.quality_sum,
            by_length=_lengths(whole.by_length, other.by_length),
            preferences=_summed(whole.preferences, other.preferences),
            updated_at=max([at for at in (whole.updated_at, other.updated_at) if at is not None], default=None),
        )
    return whole


def _summed(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in [*a, *(name for name in b if name not in a)]}


def _joined(a: Pattern, b: Pattern) -> Pattern:
    """Of the same floor, as all are that one kind of figure has."""
    if a.floor != b.floor:
        return a if a.n else b
    counts = {bucket: a.counts.get(bucket, 0) + b.counts.get(bucket, 0) for bucket in a.counts.keys() | b.counts.keys()}
    return Pattern(a.floor, counts, a.n + b.n, a.total + b.total)


def _lengths(a: Mapping[int, tuple[int, int]], b: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    none = (0, 0)
    return {
        size: (a.get(size, none)[0] + b.get(size, none)[0], a.get(size, none)[1] + b.get(size, none)[1])
        for size in a.keys() | b.keys()
    }


def filled(own: Traffic, heard: Iterable[Traffic]) -> Traffic:
    """``own``, and where an hour of the week was never watched here, what the others saw of it."""
    several = list(heard)
    rates, seen = list(own.rates), list(own.seen)
    for hour in range(WEEK):
        weeks = sum(t.seen[hour] for t in several)
        if not own.seen[hour] and weeks:
            rates[hour] = sum(t.rates[hour] * t.seen[hour] for t in several) / weeks
            seen[hour] = min(MEMORY, weeks)
    return Traffic(rates=tuple(rates), seen=tuple(seen))
