"""Policies: who answers the next request of a task, learning only from who answered the earlier ones.

Owns: the policies by name, which a plugin may extend, and their state. Never: hard constraints (selection.py), loading
or swapping, randomness other than that of the generator that is passed in.

``bandit``, the default: what is believed of all versions together (joint.py): their levels, which prompts that several
have answered compare, and whether each is still what it was; and on top of its mean a bonus for what is not known yet,
an approximation of the Gittins index for a horizon of HORIZON requests (Brezzi and Lai 2002): it vanishes as evidence
grows, faster than a confidence bound. A version of which another one is better with P > .95 is not asked. The incumbent
changes when the lower bound of another version's lead beats SWAP_COST: what is asked besides is exploration.
``score``: the specified weighted score, as selection.py has it. The others are there to be measured against.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from .belief import Estimate
from .cost import Outcome
from .joint import Graded, Joint, Known
from .registry import Lifecycle, ModelVersion
from .selection import select
from .stats import EMPTY, Stats
from .tasks import Task

HORIZON = 350.0
BONUS, DOUBT = 0.9, 0.5  # how much of what is not known counts
SWAP_Z, SWAP_COST = 2.6, 0.02  # the lower bound of a lead must beat what a swap costs
SWAP_SAMPLES = 10
WINDOW = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer: ``quality`` in 0..1; the rest where it was recorded (smaller is better). ``item``: the prompt's name,
    by which answers to the same prompt are compared."""

    quality: float
    latency_s: float | None = None
    memory_bytes: float | None = None
    energy_j: float | None = None
    cost: float | None = None
    item: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """``known``: for each version what the internal benchmark revealed; ``expected``: the quality that each showed on
    other tasks, carried over to this one, None where that is not known; ``covariance``: of what these miss."""

    names: Sequence[str]
    known: Sequence[Sequence[Seen]]
    expected: Sequence[float | None]
    covariance: Sequence[Sequence[float]] | None = None


class Policy(Protocol):
    """``incumbent`` is who serves, None while nobody is known well enough; what ``choose`` answers besides is
    exploration."""

    incumbent: int | None

    def choose(self, chance: Random) -> int: ...

    def learn(self, version: int, seen: Seen) -> None: ...


class Bandit:
    def __init__(self, start: Start) -> None:
        known = [
            Known(answers=[Graded(seen.quality, seen.item) for seen in of], expected=told)
            for of, told in zip(start.known, start.expected, strict=True)
        ]
        self.joint = Joint(known, start.covariance)
        self.incumbent: int | None = None
        self._settle()

    def choose(self, chance: Random) -> int:
        """The best by its index that is not surely worse than another. The best by its mean never is."""
        estimates = self.joint.estimates
        ranked = sorted(range(len(estimates)), key=lambda i: (-index(estimates[i]), i))
        return next(i for i in ranked if not self.joint.dominated(i))

    def learn(self, version: int, seen: Seen) -> None:
        self.joint.learn(version, Graded(seen.quality, seen.item))
        self._settle()

    def _settle(self) -> None:
        """Who serves from now on. Nobody does before the best one has SWAP_SAMPLES grades."""
        arms, estimates = self.joint.arms, self.joint.estimates
        best = max(range(len(arms)), key=lambda i: estimates[i].mean)
        if arms[best].samples < SWAP_SAMPLES:
            return
        if self.incumbent is None or self.joint.lead(best, self.incumbent, SWAP_COST) > SWAP_Z:
            self.incumbent = best


def lead(a: Estimate, b: Estimate, cost: float = 0.0) -> float:
    """Of ``a`` over ``b``, less ``cost``, in standard deviations."""
    return (a.mean - b.mean - cost) / max(math.hypot(a.whole_sd, b.whole_sd), 1e-9)


def index(known: Estimate) -> float:
    """What a version is worth to ask: its mean, and what may be learnt from asking it."""
    return known.mean + BONUS * known.sd * bonus(HORIZON / known.weight) + DOUBT * known.doubt


def bonus(s: float) -> float:
    """Brezzi and Lai's approximation, in standard deviations of the mean; ``s``: requests ahead for each grade."""
    if s <= 0.2:
        return math.sqrt(s / 2.0)
    if s <= 1.0:
        return 0.49 - 0.11 / math.sqrt(s)
    if s <= 5.0:
        return 0.63 - 0.26 / math.sqrt(s)
    if s <= 15.0:
        return 0.77 - 0.58 / math.sqrt(s)
    return math.sqrt(2.0 * math.log(s) - math.log(math.log(s)) - math.log(16.0 * math.pi))


class Score:
    """The specified weighted score on what was measured, by the code that serves live requests."""

    def __init__(self, start: Start) -> None:
        self._task = Task(name="replayed")
        self._versions = [
            ModelVersion(version=name, provider="", model=name, source=name, lifecycle=Lifecycle.ACTIVE)
            for name in start.names
        ]
        self._place = {name: i for i, name in enumerate(start.names)}
        self._stats: dict[str, Stats] = dict.fromkeys(start.names, EMPTY)
        for i, known in enumerate(start.known):
            for seen in known:
                self._add(i, seen)
        self.incumbent: int | None = self._primary()

    def _add(self, version: int, seen: Seen) -> None:
        name = self._versions[version].version
        outcome = Outcome(
            id="", task="replayed", version=name, at=0.0, success=True, latency_s=seen.latency_s, quality=seen.quality,
            memory_bytes=None if seen.memory_bytes is None else int(seen.memory_bytes), energy_j=seen.energy_j,
            quality_source="suite",
        )  # fmt: skip
        self._stats[name] = self._stats[name].add(outcome)

    def _primary(self) -> int:
        return self._place[select(self._task, self._versions, self._stats, now=0.0).primary]

    def choose(self, chance: Random) -> int:
        return self._primary() if self.incumbent is None else self.incumbent

    def learn(self, version: int, seen: Seen) -> None:
        self._add(version, seen)
        self.incumbent = self._primary()


class Means:
    """Sums and counts of grades: all that the policies below know. Their incumbent is who looks best."""

    def __init__(self, start: Start) -> None:
        self.sums = [sum(seen.quality for seen in known) for known in start.known]
        self.counts = [len(known) for known in start.known]
        self.incumbent: int | None = self.best()

    def mean(self, i: int) -> float:
        return self.sums[i] / self.counts[i] if self.counts[i] else 0.5

    def best(self) -> int:
        return max(range(len(self.sums)), key=lambda i: (self.mean(i), -i))

    def choose(self, chance: Random) -> int:
        return self.best() if self.incumbent is None else self.incumbent

    def learn(self, version: int, seen: Seen) -> None:
        self.sums[version] += seen.quality
        self.counts[version] += 1
        self.incumbent = self.best()

    def bounded(self, factor: float) -> int:
        """The largest upper confidence bound (Auer 2002), each one tried first."""
        if 0 in self.counts:
            return self.counts.index(0)
        seen = math.log(sum(self.counts) + 1.0)
        return max(range(len(self.sums)), key=lambda i: (self.mean(i) + factor * math.sqrt(seen / self.counts[i]), -i))


class Fixed(Means):
    """Whoever looked best at the start."""

    def learn(self, version: int, seen: Seen) -> None:
        """Nothing."""


class RoundRobin(Fixed):
    """Each in turn, which is no swap."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._turn = -1

    def choose(self, chance: Random) -> int:
        self._turn = (self._turn + 1) % len(self.sums)
        return self._turn


class EpsilonGreedy(Means):
    """One request in ten goes to anybody."""

    def choose(self, chance: Random) -> int:
        return chance.randrange(len(self.sums)) if chance.random() < 0.1 else self.best()


class Ucb(Means):
    """With a factor of .3 instead of the textbook's, which loses more."""

    factor = 0.3

    def choose(self, chance: Random) -> int:
        return self.bounded(self.factor)


class UcbTextbook(Ucb):
    factor = math.sqrt(2.0)


class Thompson(Means):
    """A draw from each one's Beta posterior."""

    def choose(self, chance: Random) -> int:
        drawn = [
            chance.betavariate(1.0 + s, 1.0 + max(0.0, n - s)) for s, n in zip(self.sums, self.counts, strict=True)
        ]
        return max(range(len(drawn)), key=drawn.__getitem__)


class Exp3(Means):
    """Exponential weights (Auer 2002), a tenth at random."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._gained = [len(self.sums) * s for s in self.sums]
        self._shares = [1.0 / len(self.sums)] * len(self.sums)

    def choose(self, chance: Random) -> int:
        top, k = max(self._gained), len(self._gained)
        weights = [math.exp(0.1 * (gained - top) / k) for gained in self._gained]
        total = sum(weights)
        self._shares = [0.9 * w / total + 0.1 / k for w in weights]
        return chance.choices(range(k), weights=self._shares)[0]

    def learn(self, version: int, seen: Seen) -> None:
        self._gained[version] += seen.quality / self._shares[version]
        super().learn(version, seen)


class SlidingWindow(Means):
    """Textbook confidence bounds on the newest WINDOW answers only."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._window = deque((i, seen.quality) for i, known in enumerate(start.known) for seen in known)

    def choose(self, chance: Random) -> int:
        return self.bounded(math.sqrt(0.5))

    def learn(self, version: int, seen: Seen) -> None:
        self._window.append((version, seen.quality))
        while len(self._window) > WINDOW:
            old, quality = self._window.popleft()
            self.sums[old] -= quality
            self.counts[old] -= 1
        super().learn(version, seen)


POLICIES: dict[str, Callable[[Start], Policy]] = {  # plugins add theirs (adapters/plugins.py)
    "bandit": Bandit, "score": Score, "fixed": Fixed, "round_robin": RoundRobin, "epsilon_greedy": EpsilonGreedy,
    "ucb": Ucb, "ucb_textbook": UcbTextbook, "thompson": Thompson, "exp3": Exp3, "sliding_window": SlidingWindow,
}  # fmt: skip
