"""Replaying selection: a policy serves recorded requests and sees only the outcome of the version that it chose.

Owns: the drawing of items, the benchmark that comes before, the exchange of models that stands for a degradation, the
figures. Never: reads a file; decides (policies.py does). Randomness comes from generators seeded with names alone.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from .exploring import Ration
from .other_tasks import Grades, Told, from_other_tasks
from .policies import POLICIES, Bandit, Policy, Seen, Start
from .replay_engine import EnginePolicy
from .trial import normal

SURE = 0.95
EXPLORE, SENTINELS = 0.05, 20.0  # as the engine is configured, unless it is told otherwise
DIMENSIONS = ("latency_s", "memory_bytes", "energy_j", "cost")
Answers = Mapping[str, Mapping[str, Seen]]  # model -> item -> what it answered


ENGINE = "autopilot"  # replayed only: the running engine's own decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``prior``: items of the benchmark; ``degrade``: requests at which the best and the median model are exchanged.
    ``explore``: the share of requests that another than the incumbent may answer, None as the policy likes (the
    engine's: EXPLORE). ``sentinels``: questions an hour in idle time, to the incumbent and to whom the policy would ask
    (none; the engine's: SENTINELS). ``one_fits``: nobody else is loaded; whom the policy would ask answers ``block`` of
    the newest prompts in idle time, at most each ``load_every_s`` (the engine itself loads nobody to ask). A request
    takes its share of ``requests_per_hour``."""

    seed: int = 1
    requests: int = 1000
    prior: int = 20
    degrade: tuple[int, ...] = ()
    policy: str = "bandit"
    explore: float | None = None
    one_fits: bool = False
    sentinels: float | None = None
    requests_per_hour: float = 3600.0
    load_every_s: float = 600.0
    block: int = 30

    @property
    def questions(self) -> float:
        """In an hour's idle time."""
        return (SENTINELS if self.policy == ENGINE else 0.0) if self.sentinels is None else self.sentinels

    @property
    def share(self) -> float:
        """Of the requests, that may explore."""
        if self.one_fits:
            return 0.0
        return (EXPLORE if self.policy == ENGINE else 1.0) if self.explore is None else self.explore


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectReplay:
    """``served``, ``best``: sums of the true mean qualities of who served, and of the best model at that time.
    ``explored``: requests served by another than the incumbent; ``idle``: questions in idle time; ``loads``: how often
    another version was loaded for them."""

    requests: int = 0
    served: float = 0.0
    best: float = 0.0
    swaps: int = 0
    wrong_swaps: int = 0
    explored: int = 0
    dominated_choices: int = 0
    idle: int = 0
    loads: int = 0

    @property
    def share_of_best(self) -> float | None:
        return self.served / self.best if self.best > 0.0 else None

    @property
    def regret(self) -> float:
        return self.best - self.served

    def plus(self, other: SelectReplay) -> SelectReplay:
        names = self.__dataclass_fields__
        return SelectReplay(**{name: getattr(self, name) + getattr(other, name) for name in names})


def replay_select(tasks: Mapping[str, Answers], settings: Settings) -> dict[str, SelectReplay]:
    """Each task's figures, tasks in the order of their names."""
    named = {task: _named(tasks[task]) for task in sorted(tasks)}
    known = {task: _benchmark(answers, task, settings) for task, answers in named.items()}
    grades = {
        task: {model: (sum(seen.quality for seen in of), float(len(of))) for model, of in found.items()}
        for task, found in known.items()
    }
    told = {task: from_other_tasks(grades, task) if settings.prior else None for task in named}
    return {
        task: _Run(task, answers, known[task], told[task], grades if settings.prior else {}, settings).run()
        for task, answers in named.items()
    }


def _named(answers: Answers) -> Answers:
    """Each answer with the name of its prompt."""
    return {
        model: {item: seen if seen.item == item else replace(seen, item=item) for item, seen in of.items()}
        for model, of in answers.items()
    }


Known = dict[str, list[Seen]]


def _benchmark(answers: Answers, task: str, settings: Settings) -> Known:
    """What each model answered to the same random items; one that lacks an item answers another one."""
    chance = Random(f"{settings.seed}/{task}/benchmark")
    items = sorted({item for of in answers.values() for item in of})
    count = settings.prior
    drawn = chance.sample(items, count) if count <= len(items) else chance.choices(items, k=count)
    found: Known = {}
    for model in sorted(answers):
        own = sorted(answers[model])
        found[model] = [answers[model].get(item) or answers[model][chance.choice(own)] for item in drawn]
    return found


class _Run:
    """One task."""

    def __init__(
        self, task: str, answers: Answers, known: Known, told: Told | None, graded: Mapping[str, Grades],
        settings: Settings,
    ) -> None:  # fmt: skip
        self._names = sorted(answers)
        self._answers = [answers[name] for name in self._names]
        self._own = [sorted(of) for of in self._answers]
        self._items = sorted({item for of in self._answers for item in of})
        self._means = [statistics.fmean(seen.quality for seen in of.values()) for of in self._answers]
        self._plays = list(range(len(self._names)))  # whose answers each model gives: exchanged by a degradation
        self._settings, self._step_s = settings, 3600.0 / settings.requests_per_hour
        start = Start(
            names=self._names, known=[known[name] for name in self._names],
            expected=told.means if told else [None] * len(self._names), covariance=told.covariance if told else None,
        )  # fmt: skip
        self._policy: Policy = (
            EnginePolicy(start, task, graded, self._step_s, one_fits=settings.one_fits)
            if settings.policy == ENGINE
            else POLICIES[settings.policy](start)
        )
        self._watch = self._policy if isinstance(self._policy, Bandit) else Bandit(start)
        self._costs = Costs(start)
        self._order = Random(f"{settings.seed}/{task}/requests")
        self._chance = Random(f"{settings.seed}/{task}/policy")
        self._between = Random(f"{settings.seed}/{task}/idle")
        self._ration = Ration()
        self._newest: deque[str] = deque(maxlen=settings.block)  # prompts that the incumbent has answered
        self._block_at = 0.0
        self._due = 0.0
        self._swaps = self._wrong = self._idle = self._loads = 0

    def run(self) -> SelectReplay:
        served = best = 0.0
        explored = dominated = 0
        standing: int | None = None
        for number in range(self._settings.requests):
            if number in self._settings.degrade:
                self._exchange()
            wanted, incumbent = self._policy.choose(self._chance), self._policy.incumbent
            standing = incumbent if incumbent is not None else wanted if standing is None else standing
            chosen = self._allowed(wanted, standing)
            dominated += self._dominated(chosen)
            explored += incumbent is not None and chosen != incumbent
            item, seen = self._answer(chosen, self._order)
            served += self._mean(chosen)
            best += max(self._means)
            self._learn(chosen, seen)
            if chosen == standing:
                self._newest.append(item)
            self._in_idle_time((number + 1) * self._step_s)
        return SelectReplay(
            requests=self._settings.requests, served=served, best=best, swaps=self._swaps, wrong_swaps=self._wrong,
            explored=explored, dominated_choices=dominated, idle=self._idle, loads=self._loads,
        )  # fmt: skip

    def _allowed(self, wanted: int, standing: int) -> int:
        """Whom the policy would ask, or who serves where it has explored enough."""
        share = self._settings.share
        if share >= 1.0:
            return wanted
        may = self._ration.asked(share)
        if wanted == standing or not may:
            return standing
        self._ration.used()
        return wanted

    def _in_idle_time(self, now: float) -> None:
        """Questions that no client waits for, and that count for nobody's figures."""
        if self._settings.one_fits and not isinstance(self._policy, EnginePolicy):
            self._block(now)
            return
        self._due += self._settings.questions / self._settings.requests_per_hour
        while self._due >= 1.0:
            wanted, incumbent = self._policy.choose(self._chance), self._policy.incumbent
            asked = {wanted} if incumbent is None else {incumbent} if self._settings.one_fits else {incumbent, wanted}
            self._due -= len(asked)
            item = self._between.choice(self._items)
            for version in sorted(asked):
                self._ask(version, item)

    def _block(self, now: float) -> None:
        wanted, incumbent = self._policy.choose(self._chance), self._policy.incumbent
        if wanted == incumbent or now < self._block_at or len(self._newest) < self._settings.block:
            return
        self._block_at = now + self._settings.load_every_s
        self._loads += 1
        for item in list(self._newest):
            self._ask(wanted, item)

    def _ask(self, version: int, item: str) -> None:
        seen = self._answers[self._plays[version]].get(item)
        if seen is not None:
            self._idle += 1
            self._learn(version, seen, idle=True)

    def _learn(self, chosen: int, seen: Seen, *, idle: bool = False) -> None:
        before = self._policy.incumbent
        if idle and isinstance(self._policy, EnginePolicy):
            self._policy.learn_idle(chosen, seen)
        else:
            self._policy.learn(chosen, seen)
        if self._watch is not self._policy:
            self._watch.learn(chosen, seen)
        self._costs.learn(chosen, seen)
        after = self._policy.incumbent
        if before is not None and after is not None and after != before:
            self._swaps += 1
            self._wrong += self._mean(after) < self._mean(before)

    def _mean(self, model: int) -> float:
        return self._means[self._plays[model]]

    def _answer(self, model: int, chance: Random) -> tuple[str, Seen]:
        """To a random item; a model that lacks it answers another one. Two draws, whoever is asked."""
        item, spare = chance.choice(self._items), chance.random()
        plays = self._plays[model]
        own = self._own[plays]
        return item, self._answers[plays].get(item) or self._answers[plays][own[int(spare * len(own))]]

    def _exchange(self) -> None:
        ranked = sorted(range(len(self._names)), key=lambda i: -self._mean(i))
        best, median = ranked[0], ranked[len(ranked) // 2]
        self._plays[best], self._plays[median] = self._plays[median], self._plays[best]

    def _dominated(self, chosen: int) -> bool:
        """Whether, on what is known now, another one is better in every known dimension with P > SURE."""
        for other in range(len(self._names)):
            ahead = 0.0 if other == chosen else self._watch.joint.lead(other, chosen)
            better = normal(ahead) if ahead > 1.0 else 0.0
            if better > SURE and better * self._costs.smaller(other, chosen) > SURE:
                return True
        return False


class Costs:
    """Latency, memory, energy and money of each version: their means, and which one's are smaller."""

    def __init__(self, start: Start) -> None:
        self._sums = [dict.fromkeys(DIMENSIONS, (0, 0.0, 0.0)) for _ in start.names]
        for version, known in enumerate(start.known):
            for seen in known:
                self.learn(version, seen)

    def learn(self, version: int, seen: Seen) -> None:
        sums = self._sums[version]
        for name in DIMENSIONS:
            value = getattr(seen, name)
            if value is not None:
                n, total, squares = sums[name]
                sums[name] = (n + 1, total + value, squares + value * value)

    def smaller(self, a: int, b: int) -> float:
        """P(the means of ``a`` are smaller than those of ``b``) in all dimensions that are known of both."""
        p = 1.0
        for name in DIMENSIONS:
            (n, total, squares), (m, other, others) = self._sums[a][name], self._sums[b][name]
            if n and m:
                error = math.hypot(_error(n, total, squares), _error(m, other, others))
                p *= normal((other / m - total / n) / max(error, 1e-12))
        return p


def _error(n: int, total: float, squares: float) -> float:
    """The standard error of a mean."""
    return math.sqrt(max(0.0, squares / n - (total / n) ** 2) / n)
