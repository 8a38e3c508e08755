"""Replaying selection: a policy serves recorded requests and sees only the outcome of the version that it chose.

Owns: the drawing of items, the benchmark that comes before, the exchange of models that stands for a degradation, the
figures. Never: reads a file; decides (policies.py does). Randomness comes from generators seeded with names alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from .elsewhere import Elsewhere, elsewhere
from .policies import POLICIES, Bandit, Policy, Seen, Start
from .trial import normal

SURE = 0.95
DIMENSIONS = ("latency_s", "memory_bytes", "energy_j", "cost")
Answers = Mapping[str, Mapping[str, Seen]]  # model -> item -> what it answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``prior``: items of the benchmark; ``degrade``: requests at which the best and the median model are exchanged."""

    seed: int = 1
    requests: int = 1000
    prior: int = 20
    degrade: tuple[int, ...] = ()
    policy: str = "bandit"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectReplay:
    """``served``, ``best``: sums of the true mean qualities of who served, and of the best model at that time.
    ``explored``: requests served by another than the incumbent."""

    requests: int = 0
    served: float = 0.0
    best: float = 0.0
    swaps: int = 0
    wrong_swaps: int = 0
    explored: int = 0
    dominated_choices: int = 0

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
        task: {model: [seen.quality for seen in of] for model, of in found.items()} for task, found in known.items()
    }
    told = {task: elsewhere(grades, task) if settings.prior else None for task in named}
    return {task: _Run(task, answers, known[task], told[task], settings).run() for task, answers in named.items()}


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

    def __init__(self, task: str, answers: Answers, known: Known, told: Elsewhere | None, settings: Settings) -> None:
        self._names = sorted(answers)
        self._answers = [answers[name] for name in self._names]
        self._own = [sorted(of) for of in self._answers]
        self._items = sorted({item for of in self._answers for item in of})
        self._means = [statistics.fmean(seen.quality for seen in of.values()) for of in self._answers]
        self._plays = list(range(len(self._names)))  # whose answers each model gives: exchanged by a degradation
        self._settings = settings
        start = Start(
            names=self._names, known=[known[name] for name in self._names],
            expected=told.means if told else [None] * len(self._names), covariance=told.covariance if told else None,
        )  # fmt: skip
        self._policy: Policy = POLICIES[settings.policy](start)
        self._watch = self._policy if isinstance(self._policy, Bandit) else Bandit(start)
        self._costs = Costs(start)
        self._order = Random(f"{settings.seed}/{task}/requests")
        self._chance = Random(f"{settings.seed}/{task}/policy")

    def run(self) -> SelectReplay:
        served = best = 0.0
        swaps = wrong = explored = dominated = 0
        for number in range(self._settings.requests):
            if number in self._settings.degrade:
                self._exchange()
            chosen, incumbent = self._policy.choose(self._chance), self._policy.incumbent
            dominated += self._dominated(chosen)
            explored += incumbent is not None and chosen != incumbent
            seen = self._answer(chosen)
            served += self._mean(chosen)
            best += max(self._means)
            self._learn(chosen, seen)
            after = self._policy.incumbent
            if incumbent is not None and after is not None and after != incumbent:
                swaps += 1
                wrong += self._mean(after) < self._mean(incumbent)
        return SelectReplay(
            requests=self._settings.requests, served=served, best=best, swaps=swaps, wrong_swaps=wrong,
            explored=explored, dominated_choices=dominated,
        )  # fmt: skip

    def _learn(self, chosen: int, seen: Seen) -> None:
        self._policy.learn(chosen, seen)
        if self._watch is not self._policy:
            self._watch.learn(chosen, seen)
        self._costs.learn(chosen, seen)

    def _mean(self, model: int) -> float:
        return self._means[self._plays[model]]

    def _answer(self, model: int) -> Seen:
        """To a random item; a model that lacks it answers another one. Two draws, whoever is asked."""
        item, spare = self._order.choice(self._items), self._order.random()
        plays = self._plays[model]
        own = self._own[plays]
        return self._answers[plays].get(item) or self._answers[plays][own[int(spare * len(own))]]

    def _exchange(self) -> None:
        ranked = sorted(range(len(self._names)), key=lambda i: -self._mean(i))
        best, median = ranked[0], ranked[len(ranked) // 2]
        self._plays[best], self._plays[median] = self._plays[median], self._plays[best]

    def _dominated(self, chosen: int) -> bool:
        """Whether, on what is known now, another one is better in every known dimension with P > SURE."""
        for other in range(len(self._names)):
            ahead = 0.0 if other == chosen else self._watch.lead(other, chosen)
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
