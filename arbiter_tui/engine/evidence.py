"""What has been measured so far: statistics per task and version, profiles per task, alarms, leaderboards.

Owns: folding outcomes into core's aggregates, and their cached views. Never: measures, stores outcomes (the recorder
does), decides.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..core.compatibility import Compatibility, check
from ..core.cost import Outcome
from ..core.drift import Alarm
from ..core.forgetting import hearsay, since, weighed
from ..core.intake import flaws, sound, unwelcome
from ..core.learning import TaskProfile
from ..core.registry import Lifecycle, ModelVersion
from ..core.scoring import leaderboard
from ..core.selection import Selection, disqualified, select
from ..core.snapshot import RowView
from ..core.stats import EMPTY, Stats
from ..core.tasks import Criteria
from ..core.watch import Watch
from .live import Live
from .pool import Pool

KEPT_GRADED = 20_000
STALE_S = 60.0  # a leaderboard without news is recomputed so often: recency fades


@dataclass(frozen=True, slots=True)
class Totals:
    """One version over all tasks. Seconds; unknown is None."""

    requests: int = 0
    failures: int = 0
    tokens_per_second: float | None = None
    ttft_s: float | None = None
    memory_bytes: int | None = None
    failed_at: float | None = None  # unix seconds of the newest generation here, if it failed

    def add(self, outcomes: Sequence[Outcome]) -> Totals:
        """With several more, the oldest first."""
        rate, ttft, memory, failed = self.tokens_per_second, self.ttft_s, self.memory_bytes, self.failed_at
        for n, outcome in enumerate(outcomes, self.requests):
            rate, ttft = _speed(rate, outcome.tokens_per_second, n), _eased(ttft, outcome.ttft_s)
            memory = memory if outcome.memory_bytes is None else outcome.memory_bytes
            # What was measured elsewhere, and what the client itself ended, says nothing of the model's health here.
            if outcome.source != "reported" and outcome.counts:
                failed = None if outcome.success else outcome.at
        failures = sum(o.counts and not o.success for o in outcomes)
        return Totals(self.requests + len(outcomes), self.failures + failures, rate, ttft, memory, failed)


def _eased(old: float | None, new: float | None) -> float | None:
    """A moving mean of the newest ten or so."""
    if new is None or old is None:
        return old if new is None else new
    return old + 0.1 * (new - old)


def _speed(old: float | None, new: float | None, n: int) -> float | None:
    """The same of the time that a token takes, ``n`` answers after the first: a short answer whose tokens came in one
    packet looks ten times as fast as it was, and must not count ten times."""
    if new is None or old is None:
        return old if new is None else new
    return 1.0 / (1.0 / old + max(0.1, 1.0 / (n + 1)) * (1.0 / new - 1.0 / old))


class Evidence:
    """``predict``: bytes that a provider expects of a version; None if it can't say. ``copies``: loaded together."""

    def __init__(
        self, live: Live, predict: Callable[[ModelVersion], int | None],
        copies: Callable[[ModelVersion], int] = lambda version: 1,
    ) -> None:  # fmt: skip
        self._live = live
        self._predict = predict
        self._copies = copies
        self._stats: dict[str, dict[str, Stats]] = {}
        self._profiles: dict[str, TaskProfile] = {}
        self._totals: dict[str, Totals] = {}
        self._requests: dict[str, int] = {}
        self._boards: dict[str, tuple[object, float, tuple[RowView, ...]]] = {}
        self._revision: dict[str, int] = {}
        self._graded: OrderedDict[str, int] = OrderedDict()  # who was graded by feedback -> the grade's place
        self._barred: dict[tuple[str, str], int] = {}
        self._dirty_profiles: set[str] = set()
        self.intake: Counter[str] = Counter()  # what was wrong with outcomes and grades, and how often
        config = live.config.autopilot
        self.watch = Watch(min_samples=config.drift_min_samples)

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────────

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Fold several in, the oldest first. Requests without a task teach only their versions' totals; what can't be
        true is unknown, and of an archived version nothing is learnt."""
        for (task, version), several in self._together(outcomes).items():
            self._totals[version] = self._totals.get(version, Totals()).add(several)
            if task:
                self._learn(task, version, several)

    def _together(self, outcomes: Iterable[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
        """By task and version, without what is wrong with them."""
        now, versions = self._live.clock.now(), self._live.registry.versions
        found: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in outcomes:
            wrong = flaws(outcome, now)
            if wrong:
                self.intake.update(f"{name} {what}" for name, what in wrong.items())
            version = versions.get(outcome.version)
            if version is not None and unwelcome(version):
                self.intake["version is archived"] += 1
                continue
            found.setdefault((outcome.task, outcome.version), []).append(sound(outcome, wrong, now))
        return found

    def _learn(self, task: str, version: str, outcomes: Sequence[Outcome]) -> None:
        self._requests[task] = self._requests.get(task, 0) + sum(o.source == "request" for o in outcomes)
        self._profiles[task] = self.profile(task).observe_all(outcomes)
        self._dirty_profiles.add(task)
        taken = 0
        for at, alarm in self.watch.outcomes(task, version, outcomes):
            self._count(task, version, outcomes[taken : at + 1])
            taken = at + 1
            self._note_alarms(outcomes[at], (alarm,))
        self._count(task, version, outcomes[taken:])
        self._changed(task)

    def _count(self, task: str, version: str, outcomes: Sequence[Outcome]) -> None:
        self.watch.settle(task, version, outcomes)
        known = self._stats.setdefault(task, {})
        if any(o.quality_source == "feedback" for o in outcomes):
            self._remember_grades(outcomes, known.get(version, EMPTY).seen)
        known[version] = known.get(version, EMPTY).add_all(outcomes)

    def grade(self, outcome: Outcome, quality: float, source: str, before: float | None = None) -> None:
        """A grade for an outcome that was learnt before; ``before``: the one of the same source that it corrects."""
        if not 0.0 <= quality <= 1.0:
            self.intake["quality is outside 0..1"] += 1
        elif before is None:
            self._graded_first(outcome, quality, source)
        elif before != quality:
            self._corrected(outcome, before, quality, source)

    def _corrected(self, outcome: Outcome, before: float, after: float, source: str) -> None:
        """In the place of the former one, if that still counts; the detectors have seen it, and don't look again."""
        place, stats = self._graded.get(outcome.id), self._stats.get(outcome.task, {}).get(outcome.version)
        self._profiles[outcome.task] = self.profile(outcome.task).regraded(before, after)
        self._dirty_profiles.add(outcome.task)
        if place is not None and stats is not None:
            self._stats[outcome.task][outcome.version] = stats.regraded(place, before, after, source)
        self._changed(outcome.task)

    def _graded_first(self, outcome: Outcome, quality: float, source: str) -> None:
        known = self._stats.setdefault(outcome.task, {})
        self._remember_grade(outcome.id, known.get(outcome.version, EMPTY).seen)
        known[outcome.version] = known.get(outcome.version, EMPTY).graded(quality, source)
        self._profiles[outcome.task] = self.profile(outcome.task).graded(quality)
        self._dirty_profiles.add(outcome.task)
        self._note_alarms(outcome, self.watch.grade(outcome.task, outcome.version, quality, outcome.tokens_in))
        self._changed(outcome.task)

    def _remember_grade(self, outcome_id: str, place: int) -> None:
        self._graded[outcome_id] = place
        if len(self._graded) > KEPT_GRADED:
            self._graded.popitem(last=False)

    def _note_alarms(self, outcome: Outcome, alarms: Sequence[Alarm]) -> None:
        """A change was found: what was measured before it says nothing about what answers now, unless it is only said
        by sources that are trusted less than those before it."""
        known = self._stats[outcome.task]
        for found in alarms:
            alarm = weighed(found, known[outcome.version])
            self.watch.stand(outcome.task, outcome.version, alarm)
            known[outcome.version] = _still_true(known[outcome.version], found)
            text = f"{outcome.version} on {outcome.task}: {alarm.sentence}"
            self._live.alert("warning", text, task=outcome.task, version=outcome.version)

    def restore(self, outcomes: Iterable[Outcome], profiles: Iterable[TaskProfile]) -> None:
        """After a restart: statistics from the newest outcomes, profiles as they were stored. What a change made untrue
        does not return, and neither does its alarm."""
        together: dict[tuple[str, str], list[Outcome]] = {}
        now = self._live.clock.now()
        for outcome in outcomes:
            kept = sound(outcome, flaws(outcome, now), now)
            together.setdefault((kept.task, kept.version), []).append(kept)
        for (task, version), several in together.items():
            self._totals[version] = self._totals.get(version, Totals()).add(several)
            if task:
                known = self._stats.setdefault(task, {})
                self._remember_grades(several, known.get(version, EMPTY).seen)
                known[version] = self._relearnt(known.get(version, EMPTY), several)
                asked = sum(o.source == "request" for o in several)
                self._requests[task] = self._requests.get(task, 0) + asked
        self._profiles.update({p.task: p for p in profiles})

    def _remember_grades(self, outcomes: Sequence[Outcome], place: int) -> None:
        """Whom feedback has graded may be graded better by it; ``place``: how many grades were seen before these."""
        for outcome in outcomes:
            if outcome.quality is not None and (outcome.failure is None or outcome.counts):
                if outcome.quality_source == "feedback":
                    self._remember_grade(outcome.id, place)
                place += 1

    def _relearnt(self, stats: Stats, outcomes: Sequence[Outcome]) -> Stats:
        """With these, the oldest first, and without what the changes among them made untrue."""
        taken = 0
        for at, alarm in self.watch.changes(outcomes):
            stats = _still_true(stats.add_all(outcomes[taken : at + 1]), alarm)
            taken = at + 1
        return stats.add_all(outcomes[taken:])

    def hear(self, task: str, version: str, lesson: Sequence[Outcome] | Stats) -> None:
        """What another state folder taught of a version here: it lies behind all that was measured here. Outcomes (the
        oldest first) come without what the changes among them made untrue; none of them is a request of this engine."""
        older = lesson if isinstance(lesson, Stats) else self._relearnt(EMPTY, lesson)
        known = self._stats.setdefault(task, {})
        known[version] = known.get(version, EMPTY).behind(older)
        self._changed(task)

    def _changed(self, task: str) -> None:
        self._revision[task] = self._revision.get(task, 0) + 1
        self._live.on_dirty()

    def forgive(self, task: str, version: str) -> None:
        """It serves from now on: its alarms start afresh."""
        self.watch.reset(task, version)

    def bar(self, task: str, version: str) -> None:
        """It was rolled back: it needs new evidence before the autopilot may bring it back."""
        samples = self.stats(task).get(version, EMPTY).samples
        self._barred[(task, version)] = samples + self._live.config.autopilot.min_samples

    def all_owed(self) -> dict[str, dict[str, int]]:
        """Task -> version -> samples, to be stored."""
        tasks = {task for task, _ in self._barred}
        return {task: self.owed(task) for task in sorted(tasks)}

    def restore_owed(self, owed: Mapping[str, Mapping[str, int]]) -> None:
        self._barred = {(t, v): int(n) for t, versions in owed.items() for v, n in versions.items()}

    def owed(self, task: str) -> dict[str, int]:
        """Version -> samples that it must have before it may return."""
        return {version: needed for (known, version), needed in self._barred.items() if known == task}

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def revision(self, task: str) -> int:
        """Another one when something was learnt of the task."""
        return self._revision.get(task, 0)

    def stats(self, task: str) -> dict[str, Stats]:
        return self._stats.get(task, {})

    def totals(self, version: str) -> Totals:
        return self._totals.get(version, Totals())

    def requests(self, task: str) -> int:
        """Requests of clients (not of the benchmark or sentinels)."""
        return self._requests.get(task, 0)

    def profile(self, task: str) -> TaskProfile:
        return self._profiles.get(task) or TaskProfile(task=task)

    def adopt_profile(self, profile: TaskProfile) -> None:
        """This state folder's own, as it was later than what is here; it is stored already."""
        self._profiles[profile.task] = profile

    def take_dirty_profiles(self) -> list[TaskProfile]:
        """Those that changed since the last call, to be stored."""
        found = [self._profiles[t] for t in sorted(self._dirty_profiles)]
        self._dirty_profiles.clear()
        return found

    def put_back_profiles(self, profiles: Sequence[TaskProfile]) -> None:
        self._dirty_profiles.update(p.task for p in profiles)

    def contenders(self, task: str) -> list[ModelVersion]:
        """Versions that a leaderboard of ``task`` lists: capable, not archived."""
        needed = self._live.task(task).criteria.capabilities
        states = (Lifecycle.DRAFT, Lifecycle.ACTIVE, Lifecycle.DEPRECATED)
        return self._live.registry.query(capabilities=needed, lifecycle=states)

    def leaderboard(self, task: str) -> tuple[RowView, ...]:
        """Cached until there is something new, or a minute has passed."""
        now = self._live.clock.now()
        described = self._live.task(task)
        key = (self._revision.get(task, 0), self._live.registry, described)
        cached = self._boards.get(task)
        if cached is not None and now - cached[1] < STALE_S and _same(cached[0], key):
            return cached[2]
        ranked, excluded = leaderboard(described, self.contenders(task), self.stats(task), now=now), self.excluded(task)
        rows = tuple(replace(row, unfit=excluded.get(row.version)) for row in ranked)
        self._boards[task] = (key, now, rows)
        return rows

    def select(self, task: str, criteria: Criteria | None, *, memory_limit: int) -> Selection:
        return select(
            self._live.task(task),
            list(self._live.registry.versions.values()),
            self.stats(task),
            now=self._live.clock.now(),
            criteria=criteria,
            hardware=self._hardware(),
            memory_limit=memory_limit,
            barred=self._unlawful(task),
        )

    def _unlawful(self, task: str) -> dict[str, str]:
        """Version -> the rule of the constitution that forbids it this task."""
        found = ((v.version, self._live.forbids(task, v)) for v in self._live.registry.versions.values())
        return {version: breach.sentence for version, breach in found if breach is not None}

    def excluded(self, task: str, *, memory_limit: int | None = None) -> dict[str, str]:
        """Version -> why it may not serve ``task``, as a sentence."""
        criteria, stats = self._live.task(task).criteria, self.stats(task)
        found = (
            (v.version, disqualified(v, criteria, stats.get(v.version, EMPTY), hardware=self._hardware(),
                                     memory_limit=memory_limit))
            for v in self._live.registry.versions.values()
        )  # fmt: skip
        measured = {version: reason for version, reason in found if reason is not None}
        return {**measured, **self._unlawful(task)}

    def _hardware(self) -> frozenset[str]:
        return frozenset({"cpu", self._live.hardware.backend.lower()})

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        """Of all copies that are loaded together: measured when it last ran, else what its provider expects."""
        each = self.totals(version.version).memory_bytes
        if each is None:
            each = self._predict(version)
        return None if each is None else each * self._copies(version)

    def compatibility(
        self, task: str, old: ModelVersion | None, new: ModelVersion, *, strict: bool, pool: Pool
    ) -> Compatibility:
        stats = self.stats(task)
        return check(
            old,
            new,
            task=self._live.task(task),
            old_stats=stats.get(old.version) if old is not None else None,
            new_stats=stats.get(new.version),
            strict=strict or self._live.config.autopilot.strict_compatibility,
            memory_limit=pool.budget_bytes,
            new_predicted=self.predicted_bytes(new),
        )


def _still_true(stats: Stats, alarm: Alarm) -> Stats:
    """What is left of ``stats`` after a change: all, where only sources that are trusted less tell of it."""
    return stats if hearsay(alarm, stats) else since(stats, weighed(alarm, stats))


def _same(a: object, b: tuple[object, ...]) -> bool:
    """By identity where the parts are immutable tables: comparing those would cost more than the board."""
    return isinstance(a, tuple) and a[0] == b[0] and a[1] is b[1] and a[2] is b[2]
