"""Judging: what a judge's verdict on two answers is worth, from what it said of pairs whose better one is known.

Owns: making one verdict of two orders, agreement with the labels, trust, the correction of a share of wins for a
judge's mistakes, the verdict of several judges. Never: asks a model, reads a file, decides what serves.

A judge is asked twice, with the answers in both orders; verdicts that contradict each other are a tie, so a judge that
always names the same place decides nothing. Sensitivity is P(it says 1 | 1 is better), specificity P(it says 2 | 2 is
better), of decided pairs, each with one right and one wrong verdict for a start. J = sensitivity + specificity - 1
(Youden 1950) is 0 for a coin. A share of wins q is corrected to p = (q + specificity - 1) / J (Rogan and Gladen 1978),
whose variance is that of q over J^2 and that of the two rates: so one verdict is worth J^2 exact grades: its trust.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

TIE, FIRST, SECOND = 0, 1, 2
LEAST_J = 0.05  # a judge below it says nothing about shares of wins
MARGIN = 1.0 / 3.0  # a panel decides when the trusted votes on one side lead by this share of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One judge on one pair of answers. ``label``: the better one (TIE: neither); ``asis``, ``swapped``: who won in
    either order, by the answers' own numbers, None where it named none; ``both``: whether it was asked in both."""

    item: str
    judge: str
    label: int
    asis: int | None
    swapped: int | None = None
    both: bool = True
    len1: float | None = None
    len2: float | None = None

    @property
    def winner(self) -> int:
        if not self.both:
            return TIE if self.asis is None else self.asis
        return TIE if self.asis is None or self.asis != self.swapped else self.asis

    @property
    def longer(self) -> int:
        if self.len1 is None or self.len2 is None or self.len1 == self.len2:
            return TIE
        return FIRST if self.len1 > self.len2 else SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Right and wrong verdicts on pairs of which the first (the second) is better."""

    first_right: int = 0
    first_wrong: int = 0
    second_right: int = 0
    second_wrong: int = 0

    @property
    def sensitivity(self) -> float:
        return (self.first_right + 1.0) / (self.first_right + self.first_wrong + 2.0)

    @property
    def specificity(self) -> float:
        return (self.second_right + 1.0) / (self.second_right + self.second_wrong + 2.0)

    @property
    def youden(self) -> float:
        return self.sensitivity + self.specificity - 1.0

    @property
    def weight(self) -> float:
        """Exact grades that one of its verdicts is worth, 0..1."""
        return max(0.0, self.youden) ** 2

    @property
    def vote(self) -> float:
        """Log-odds of being right; a judge that is wrong more often than a coin has no vote."""
        right = (self.sensitivity + self.specificity) / 2.0
        return max(0.0, math.log(right / (1.0 - right)))


def trust(verdicts: Iterable[Verdict]) -> Trust:
    """Of one judge, from decided verdicts on pairs with a better one."""
    counts = {(label, right): 0 for label in (FIRST, SECOND) for right in (True, False)}
    for one in verdicts:
        if one.label != TIE and one.winner != TIE:
            counts[one.label, one.winner == one.label] += 1
    return Trust(
        first_right=counts[FIRST, True], first_wrong=counts[FIRST, False], second_right=counts[SECOND, True],
        second_wrong=counts[SECOND, False],
    )  # fmt: skip


def corrected(wins: int, decided: int, of: Trust) -> tuple[float, float] | None:
    """The true share of wins of the first, and its standard deviation, from a judge's ``wins`` among ``decided``; None
    from a judge that says nothing, or without verdicts."""
    j = of.youden
    if decided <= 0 or j < LEAST_J:
        return None
    q = wins / decided
    share = min(1.0, max(0.0, (q + of.specificity - 1.0) / j))
    seen = (q * (1.0 - q) + 0.25 / decided) / decided  # never 0, for a few verdicts may all agree
    spread_first = _variance(of.first_right, of.first_wrong)
    spread_second = _variance(of.second_right, of.second_wrong)
    variance = (seen + share**2 * spread_first + (1.0 - share) ** 2 * spread_second) / j**2
    return share, math.sqrt(variance)


def _variance(right: int, wrong: int) -> float:
    """Of the Beta posterior from Beta(1, 1)."""
    a, b = right + 1.0, wrong + 1.0
    return a * b / ((a + b) ** 2 * (a + b + 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """``accuracy``: of decided verdicts on pairs with a better one; ``coverage``: their share of those pairs;
    ``accuracy_asis``: of the first order alone; ``kappa``: Cohen's, over first, second and tie; ``consistency``: the
    same winner in both orders; ``first_shown``: of the contradictions, how many name the answer shown first;
    ``longer``: of decided verdicts, how many name the longer answer. None without a pair that tells."""

    pairs: int
    accuracy: float | None
    coverage: float | None
    accuracy_asis: float | None
    kappa: float | None
    consistency: float | None
    first_shown: float | None
    longer: float | None


def agreement(verdicts: Sequence[Verdict]) -> Agreement:
    clear = [v for v in verdicts if v.label != TIE]
    decided = [v for v in clear if v.winner != TIE]
    asked = [v for v in verdicts if v.both]
    torn = [v for v in asked if {v.asis, v.swapped} == {FIRST, SECOND}]
    lengthy = [v for v in verdicts if v.winner != TIE and v.longer != TIE]
    return Agreement(
        pairs=len(verdicts),
        accuracy=share(v.winner == v.label for v in decided),
        coverage=share(v.winner != TIE for v in clear),
        accuracy_asis=share(v.asis == v.label for v in clear),
        kappa=kappa([(v.winner, v.label) for v in verdicts]),
        consistency=share(v.asis is not None and v.asis == v.swapped for v in asked),
        first_shown=share(v.asis == FIRST for v in torn),
        longer=share(v.winner == v.longer for v in lengthy),
    )


def always_longest(verdicts: Sequence[Verdict]) -> float | None:
    """How often the longer answer is the better one: what a judge without a mind would reach."""
    return share(v.longer == v.label for v in verdicts if v.label != TIE and v.longer != TIE)


def share(hits: Iterable[bool]) -> float | None:
    known = list(hits)
    return sum(known) / len(known) if known else None


def kappa(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Cohen's: agreement beyond what both would reach by chance; None where chance alone would agree always."""
    n = len(pairs)
    if not n:
        return None
    seen = sum(a == b for a, b in pairs) / n
    chance = sum(
        sum(a == kind for a, _ in pairs) * sum(b == kind for _, b in pairs) for kind in (TIE, FIRST, SECOND)
    ) / (n * n)
    return (seen - chance) / (1.0 - chance) if chance < 1.0 else None


# --- several judges -------------------------------------------------------------------------------------------------


def panel(verdicts: Sequence[Verdict], votes: Mapping[str, float]) -> Verdict:
    """What several judges say of one pair. ``votes``: judge -> the weight of its verdict; a tie is a vote for none."""
    lead = whole = 0.0
    for one in verdicts:
        vote = votes.get(one.judge, 0.0)
        whole += vote
        lead += {FIRST: vote, SECOND: -vote}.get(one.winner, 0.0)
    winner = TIE if abs(lead) <= MARGIN * whole else FIRST if lead > 0.0 else SECOND
    first = verdicts[0]
    return Verdict(
        item=first.item, judge="panel", label=first.label, asis=winner, both=False, len1=first.len1, len2=first.len2
    )


def cross_fitted(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The panel on every pair, with votes learnt on the other half of the pairs alone."""
    halves: tuple[list[Verdict], list[Verdict]] = ([], [])
    for one in verdicts:
        halves[half_of(one.item)].append(one)
    found = []
    for mine, other in (halves, halves[::-1]):
        votes = {judge: trust(of).vote for judge, of in by_judge(other).items()}
        pairs: dict[str, list[Verdict]] = {}
        for one in mine:
            pairs.setdefault(one.item, []).append(one)
        found += [panel(of, votes) for of in pairs.values()]
    return found


def half_of(item: str) -> int:
    return zlib.crc32(item.encode()) & 1


def by_judge(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """Judges in the order of their names."""
    found: dict[str, list[Verdict]] = {}
    for one in verdicts:
        found.setdefault(one.judge, []).append(one)
    return dict(sorted(found.items()))
