"""Posterior: what each version is worth on a task by the live policy, with how sure that is.

Owns: turning what was measured and what is expected into the beliefs by which the policy ``bandit`` decides. Never: a
veto, a swap (autoswap.py), the specified score and its table (scoring.py), which stay as they are.

Grades are believed as the replayed policy believes them (joint.py): answers to the same prompt are compared, and a
version that may have become worse is doubted. A grade q of a version whose other shares (latency, memory, reliability)
come to c is worth w q + c, w being quality's weight. So the user's weights decide what is better, and the grades how
sure that is. Before there are any, a version is expected to be as good as a bundled prior says, as it is on other tasks
(other_tasks.py), as those that are alike are (prediction.py), or as all are, in this order; which one it was is told.

What sources below FIRM say is one observation of its own, worth no more than stats.py allows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .belief import Arm, Counts, Estimate, Expected, estimate
from .joint import DOMINATED_Z, EXPECTED, Graded, Joint, Known
from .levels import observed
from .other_tasks import Grades, Told, from_other_tasks
from .policies import SWAP_Z, index
from .prediction import Expectation
from .registry import ModelVersion
from .scoring import MIN_SAMPLES, Scale, Scored, beside_quality, probability_best
from .stats import ASKED, EMPTY, FIRM, Stats, trust_of
from .tasks import Task

TOGETHER = 16  # versions of a task that are believed together; others, who have the fewest grades, each alone
AFRESH_S = 60.0  # so often, at most, what is expected of versions is put in anew
MOVED = 0.02  # where it has changed by so much


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """``mean``: the expected utility; ``low``, ``high``: its 90% interval; ``weight``: grades behind it; ``source``:
    what was expected before there were any came from (bundled, tasks, alike, all), and ``alike`` the version that it is
    most alike. ``index``: mean and what may be learnt by asking it. ``apart``: the standard deviation of its lead over
    ``against``, which prompts in common make smaller; ``worse``: another one is better with P > .95."""

    version: str
    mean: float
    sd: float
    low: float
    high: float
    p_best: float
    weight: float
    index: float
    source: str
    alike: str | None = None
    against: str | None = None
    apart: float | None = None
    worse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is expected of a version without its own grades here, and by whose word."""

    quality: float | None
    source: str
    alike: str | None = None


def beliefs(
    task: Task, versions: Sequence[ModelVersion], stats: Mapping[str, Stats],
    expected: Mapping[str, Expectation], now: float, *, incumbent: str | None = None,
    graded: Mapping[str, Grades] | None = None,
) -> tuple[Belief, ...]:  # fmt: skip
    """Of all ``versions``, best first, from nothing but this. ``expected``: of those that nobody has graded yet;
    ``graded``: other tasks' grades."""
    return Posterior().of(task, versions, stats, expected, now, incumbent=incumbent, graded=graded)


def firm(stats: Stats) -> tuple[float, float]:
    """The sum of the grades of trusted sources, and their number."""
    told = [both for source, both in stats.told.items() if trust_of(source) >= FIRM]
    good, bad = sum(good for good, _ in told), sum(bad for _, bad in told)
    return good, good + bad


class Posterior:
    """Of one task: what was learnt is kept, so that a new grade costs one update. It begins anew, from the statistics
    alone, where a version came or went, or what is expected of one is another thing now. A change that drift.py has
    detected is no reason: a version that may have become worse is doubted here by the odds of that (belief.py), and of
    an alarm's few grades, which were chosen for being bad, nobody would be sure."""

    def __init__(self) -> None:
        self._joint = Joint([])
        self._names: tuple[str, ...] = ()
        self._before: dict[str, Before] = {}
        self._taken: dict[str, tuple[int, float]] = {}  # how many grades were learnt; the sum of trusted ones then
        self._asked_at = -math.inf
        self._first = 0  # grades that it began with

    def of(
        self, task: Task, versions: Sequence[ModelVersion], stats: Mapping[str, Stats],
        expected: Mapping[str, Expectation], now: float, *, incumbent: str | None = None,
        graded: Mapping[str, Grades] | None = None,
    ) -> tuple[Belief, ...]:  # fmt: skip
        known = {v.version: stats.get(v.version, EMPTY) for v in versions}
        if not self._still(known) or now - self._asked_at >= AFRESH_S:
            names = _chosen(known, incumbent)
            told = _other_tasks(task, {name: known[name] for name in names}, graded or {})
            before = {v.version: _before(task, v, expected, told) for v in versions}
            if names != self._names or not self._still(known) or any(
                not _near(before[name].quality, self._before[name].quality) for name in names
            ):  # fmt: skip
                self._begin(names, known, before, told)
            self._asked_at = now
        self._fold(known)
        return _Utilities(Scale.of(task.criteria, now), known, self._before, self._joint, self._names, incumbent).rows()

    def _still(self, known: Mapping[str, Stats]) -> bool:
        """Whether only what came since is missing."""
        if self._before.keys() != known.keys():
            return False
        if self._few(known):
            return False
        return all(self._follows(known[name], *self._taken[name]) for name in self._names)

    def _few(self, known: Mapping[str, Stats]) -> bool:
        """Whether there are twice the grades that it began with, and still so few: it began not knowing how grades
        scatter here, nor what they are on average."""
        seen = [known[name].seen for name in self._names]
        return max(seen, default=0) <= ASKED and sum(seen) > 2 * self._first + MIN_SAMPLES

    @staticmethod
    def _follows(mine: Stats, taken: int, good: float) -> bool:
        """Not where a grade was corrected, or more came than are remembered."""
        fresh = mine.seen - taken
        return 0 < fresh <= len(mine.grades) or (fresh == 0 and (mine.forgotten > 0 or firm(mine)[0] == good))

    def _begin(
        self, names: tuple[str, ...], known: Mapping[str, Stats], before: dict[str, Before],
        told: Mapping[str, tuple[Told, int]],
    ) -> None:  # fmt: skip
        self._joint, self._names, self._before = _begun(names, known, before, told), names, before
        self._taken = {name: (known[name].seen, firm(known[name])[0]) for name in names}
        self._first = sum(known[name].seen for name in names)

    def _fold(self, known: Mapping[str, Stats]) -> None:
        for i, name in enumerate(self._names):
            mine = known[name]
            for grade in _graded(mine, mine.seen - self._taken[name][0]):
                self._joint.learn(i, grade)
            self._taken[name] = mine.seen, firm(mine)[0]


def _near(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(a - b) <= MOVED


def _chosen(known: Mapping[str, Stats], incumbent: str | None) -> tuple[str, ...]:
    """The incumbent and those with the most grades, in their own order."""
    if len(known) <= TOGETHER:
        return tuple(known)
    ranked = sorted(known, key=lambda name: (name != incumbent, -known[name].quality_weight, name))
    first = set(ranked[:TOGETHER])
    return tuple(name for name in known if name in first)


def _other_tasks(task: Task, known: Mapping[str, Stats], graded: Mapping[str, Grades]) -> dict[str, tuple[Told, int]]:
    """Version -> what other tasks tell of all of them, and its place there; of those alone that they tell of."""
    here = {name: firm(mine) for name, mine in known.items()}
    told = from_other_tasks({**graded, task.name: here}, task.name) if graded and here else None
    return {} if told is None else {name: (told, i) for i, name in enumerate(here) if told.known[i]}


def _before(
    task: Task, version: ModelVersion, expected: Mapping[str, Expectation], told: Mapping[str, tuple[Told, int]]
) -> Before:
    names = (version.version, version.model, version.family)
    bundled = next((task.priors[name] for name in names if name is not None and name in task.priors), None)
    if bundled is not None:
        return Before(quality=min(1.0, max(0.0, bundled)), source="bundled")
    if version.version in told:
        found, place = told[version.version]
        return Before(quality=found.means[place], source="tasks")
    alike = expected.get(version.version)
    if alike is not None:
        return Before(quality=alike.value, source="alike", alike=alike.alike)
    return Before(quality=None, source="all")


def _begun(
    names: Sequence[str], known: Mapping[str, Stats], before: Mapping[str, Before],
    told: Mapping[str, tuple[Told, int]],
) -> Joint:  # fmt: skip
    shared = [before[name].source == "tasks" for name in names]
    first = [
        Known(answers=(answers := _graded(known[name], len(known[name].grades))), older=_older(known[name], answers),
              expected=before[name].quality)
        for name in names
    ]  # fmt: skip
    if not any(shared):
        return Joint(first)
    places = [told[name] if one else None for name, one in zip(names, shared, strict=True)]
    covariance = [[0.0 if a is None or b is None else a[0].covariance[a[1]][b[1]] for b in places] for a in places]
    return Joint(first, covariance, shared)


def _graded(stats: Stats, newest: int) -> list[Graded]:
    """Of the newest grades those whose sources are trusted, the oldest first."""
    if newest <= 0:
        return []
    return [
        Graded(grade, item, trust_of(source)) for grade, source, item in stats.answers(newest)
        if trust_of(source) >= FIRM
    ]  # fmt: skip


def _older(stats: Stats, answers: Sequence[Graded]) -> Counts:
    """Of trusted grades, what is known beside ``answers``: their sum, taken to scatter as a coin does."""
    good, n = firm(stats)
    good -= sum(one.trust * one.quality for one in answers)
    bad = n - sum(one.trust for one in answers) - good
    return Counts(good=max(0.0, good), bad=max(0.0, bad), squares=max(0.0, good)) if good + bad > 0.5 else Counts()


def _weak(stats: Stats) -> tuple[float, float]:
    """What the other sources say: the mean of their grades, and what that is worth at most."""
    good = weight = 0.0
    for source, worth in stats.quality_sources.items():
        right, wrong = stats.told.get(source, (0.0, 0.0))
        if trust_of(source) < FIRM and right + wrong > 0.0:
            good, weight = good + worth * right / (right + wrong), weight + worth
    return (good / weight, weight) if weight > 0.0 else (0.0, 0.0)


class _Utilities:
    """Grades as utilities: those that are believed together, then each of the others alone."""

    def __init__(
        self, scale: Scale, known: Mapping[str, Stats], before: Mapping[str, Before], joint: Joint,
        names: Sequence[str], incumbent: str | None,
    ) -> None:  # fmt: skip
        self._scale, self._known, self._before, self._incumbent = scale, known, before, incumbent
        self._w = scale.weights.quality
        self._beside = {name: beside_quality(scale, mine) for name, mine in known.items()}
        self._names = list(names)
        told, levels = joint.estimates, joint.levels
        self._means, self._doubt = [one.mean for one in told], [one.doubt for one in told]
        self._covariance = [list(row) for row in levels.covariance]
        own = [levels.own_variance(i) for i in range(len(told))]
        self._weight = [one.weight for one in told]
        for i, name in enumerate(self._names):
            mean, n = _weak(known[name])
            if n > 0.0:
                rest, noise = mean - self._means[i], levels.noise[i] / n
                observed(self._means, self._covariance, [(i, 1.0)], rest, noise)
                own[i], self._weight[i] = 1.0 / (1.0 / own[i] + 1.0 / noise), self._weight[i] + n
        self._own = [math.sqrt(variance) for variance in own]
        usual = sum(self._means) / len(self._means) if self._means else 0.5
        for name in known:
            if name not in set(self._names):
                self._alone(name, usual)

    def _alone(self, name: str, usual: float) -> None:
        """One more, of which nobody else's grades tell."""
        mine, expected = self._known[name], self._before[name].quality
        arm = Arm(normal=Counts(good=mine.hits, bad=mine.misses, squares=mine.hits))
        weight = 3.0 if expected is None else EXPECTED
        told = estimate(arm, 0, Expected(quality=usual if expected is None else expected, weight=weight))
        self._names.append(name)
        self._means.append(told.mean)
        self._doubt.append(0.0)
        self._own.append(told.sd)
        self._weight.append(told.weight)
        for row in self._covariance:
            row.append(0.0)
        self._covariance.append([0.0] * (len(self._names) - 1) + [told.sd**2])

    def rows(self) -> tuple[Belief, ...]:
        means = [
            self._w * min(1.0, max(0.0, q)) + self._beside[name][0]
            for q, name in zip(self._means, self._names, strict=True)
        ]
        own = [self._spread(i, self._own[i] ** 2) for i in range(len(means))]
        scored = [
            Scored(name, EMPTY, mean, max(sd, 1e-6), 0.5)
            for name, mean, sd in zip(self._names, means, own, strict=True)
        ]
        best = probability_best(scored)
        leading = sorted(range(len(means)), key=lambda i: -means[i])[:TOGETHER]
        against = self._names.index(self._incumbent) if self._incumbent in self._names else None
        found = []
        for i, name in enumerate(self._names):
            sd, doubt = self._spread(i, self._covariance[i][i]), self._w * self._doubt[i]
            level_sd = math.sqrt(max(own[i] ** 2 - doubt**2, 1e-12))
            found.append(Belief(
                version=name, mean=means[i], sd=sd, low=max(0.0, means[i] - DOMINATED_Z * sd),
                high=min(1.0, means[i] + DOMINATED_Z * sd), p_best=best[name], weight=self._weight[i],
                index=index(Estimate(means[i], level_sd, doubt, max(1.0, self._weight[i]))),
                source=self._before[name].source, alike=self._before[name].alike,
                against=None if against in (None, i) else self._incumbent,
                apart=None if against is None or against == i else self._apart(i, against),
                worse=any(means[j] - means[i] > DOMINATED_Z * self._apart(j, i) for j in leading if j != i),
            ))  # fmt: skip
        return tuple(sorted(found, key=lambda b: (-b.mean, b.version)))

    def _spread(self, i: int, variance: float) -> float:
        """Of its utility, that of its level being ``variance``."""
        doubt, beside = self._w * self._doubt[i], self._beside[self._names[i]][1]
        return math.sqrt(max(0.0, self._w**2 * variance + doubt**2 + beside**2))

    def _apart(self, a: int, b: int) -> float:
        """The standard deviation of the difference of two utilities."""
        rows = self._covariance
        level = max(rows[a][a] + rows[b][b] - 2.0 * rows[a][b], 1e-9)
        beside = math.hypot(self._beside[self._names[a]][1], self._beside[self._names[b]][1])
        return math.sqrt(self._w**2 * (level + self._doubt[a] ** 2 + self._doubt[b] ** 2) + beside**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Of one version over another: by how much it leads, the bound below which that is with P < .005, and what is
    gained on average by taking the better one of both."""

    by: float
    low: float
    high: float
    expected: float


def gain(a: Belief, b: Belief) -> Gain:
    sd = a.apart if a.apart is not None and a.against == b.version else math.hypot(a.sd, b.sd)
    by = a.mean - b.mean
    z = by / max(sd, 1e-9)
    density, below = math.exp(-0.5 * min(z * z, 700.0)) / math.sqrt(2.0 * math.pi), 0.5 * math.erfc(-z / math.sqrt(2.0))
    return Gain(by=by, low=by - SWAP_Z * sd, high=by + SWAP_Z * sd, expected=max(0.0, by * below + sd * density))
