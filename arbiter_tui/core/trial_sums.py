"""What both versions of a trial have shown so far, as running sums: constant in size, however many answers there are.

Owns: folding pairs, grades, requests and seconds in, and how much the grades of weak sources weigh. Never: a verdict
(trial.py).

Grades of sources below FIRM (users, judges, unknown ones: stats.py) are kept apart from those of suites, sentinels and
verifiers. Each weighs its source's trust; all together, of mean trust t, weigh at most ALONE grades, or t / (1 - t) of
what the firm ones do: as in the statistics of a version, and for both versions alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .stats import ALONE, FIRM, trust_of

USUAL = 10.0  # firm grades that stand for the old version where users have hardly graded it


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Sums only. ``shadowed``: how many of the new version's requests were questions of the shadow, no client's;
    ``solo``: firm grades of the new version without its old counterpart; ``slow``: answers over the
    task's ``max_latency_s``; ``log_ratio``, ``log_ratio2``: sums of ln(new / old latency) and its square over ``timed``
    pairs. ``heard_*``: how many grades weak sources gave; ``trust_*``, ``told_*``, ``told_new2``: the sums of their
    trust, of trust x grade, and of trust x grade squared."""

    pairs: int = 0
    solo: int = 0
    sum_d: float = 0.0
    sum_d2: float = 0.0
    new_grades: int = 0
    new_sum: float = 0.0
    old_grades: int = 0
    old_sum: float = 0.0
    new_requests: int = 0
    new_failures: int = 0
    shadowed: int = 0
    old_requests: int = 0
    old_failures: int = 0
    answers: int = 0
    slow: int = 0
    timed: int = 0
    log_ratio: float = 0.0
    log_ratio2: float = 0.0
    heard_new: int = 0
    trust_new: float = 0.0
    told_new: float = 0.0
    told_new2: float = 0.0
    heard_old: int = 0
    trust_old: float = 0.0
    told_old: float = 0.0

    # --- what they come to ------------------------------------------------------------------------------------------

    @property
    def firm(self) -> int:
        """Firm grades of the new version that can be held against the old one's."""
        return self.pairs + self.solo

    @property
    def graded(self) -> int:
        """Answers of the new version that can be held against the old one's, whoever graded them."""
        return self.firm + self.heard_new if self.heard_new and self.usual is not None else self.firm

    @property
    def heard(self) -> int:
        """Grades of weak sources, of both versions."""
        return self.heard_new + self.heard_old

    @property
    def trust(self) -> float:
        """Mean trust of the weak sources' grades."""
        return (self.trust_new + self.trust_old) / self.heard if self.heard else 0.0

    @property
    def share_new(self) -> float:
        """What the weak grades of the new version count for, over what they say they weigh: 1 until there are many."""
        return _share(self.heard_new, self.trust_new, self.firm)

    @property
    def share_old(self) -> float:
        return _share(self.heard_old, self.trust_old, self.old_grades)

    @property
    def firm_mean(self) -> float | None:
        """The old version's mean grade, by firm sources alone."""
        return self.old_sum / self.old_grades if self.old_grades else None

    @property
    def old_mean(self) -> float | None:
        if not self.heard_old:
            return self.firm_mean
        weight = self.old_grades + self.share_old * self.trust_old
        return (self.old_sum + self.share_old * self.told_old) / weight if weight else None

    @property
    def new_mean(self) -> float | None:
        if not self.heard_new:
            return self.new_sum / self.new_grades if self.new_grades else None
        weight = self.new_grades + self.share_new * self.trust_new
        return (self.new_sum + self.share_new * self.told_new) / weight if weight else None

    @property
    def usual(self) -> float | None:
        """What weak sources say of the old version: theirs of the new one are held against it, like against like.
        USUAL firm grades stand in where they have said little."""
        weight, firm = self.share_old * self.trust_old, self.firm_mean
        if firm is None:
            return self.told_old / self.trust_old if self.heard_old else None
        return (self.share_old * self.told_old + USUAL * firm) / (weight + USUAL)

    @property
    def hearsay(self) -> tuple[float, float, float]:
        """Of the weak grades of the new version, bounded: their weight, and the sums of d and d squared."""
        usual = self.usual if self.heard_new else None
        if usual is None:
            return 0.0, 0.0, 0.0
        share, weight = self.share_new, self.trust_new
        d = self.told_new - usual * weight
        d2 = self.told_new2 - 2.0 * usual * self.told_new + usual * usual * weight
        return share * weight, share * d, share * max(0.0, d2)

    @property
    def slowdown(self) -> float | None:
        """Geometric mean of new latency / old latency."""
        return math.exp(self.log_ratio / self.timed) if self.timed else None

    # --- what is shown ----------------------------------------------------------------------------------------------

    def known(self, mean: float, count: int) -> Trial:
        """With what firm sources had said of the old version before the trial began."""
        return replace(self, old_grades=self.old_grades + count, old_sum=self.old_sum + mean * count)

    def known_of(self, source: str, mean: float, weight: float) -> Trial:
        """The same of a weak source, whose grades weighed so much."""
        return replace(
            self, heard_old=self.heard_old + max(1, round(weight / trust_of(source))),
            trust_old=self.trust_old + weight, told_old=self.told_old + weight * mean,
        )  # fmt: skip

    def pair(self, old: float, new: float, old_s: float | None = None, new_s: float | None = None) -> Trial:
        """With one question answered by both: grades 0..1, latencies in seconds."""
        timed = old_s is not None and new_s is not None and old_s > 0 and new_s > 0
        ratio = math.log(new_s / old_s) if timed and new_s and old_s else 0.0
        return replace(
            self,
            pairs=self.pairs + 1, sum_d=self.sum_d + new - old, sum_d2=self.sum_d2 + (new - old) ** 2,
            new_grades=self.new_grades + 1, new_sum=self.new_sum + new,
            old_grades=self.old_grades + 1, old_sum=self.old_sum + old,
            timed=self.timed + timed, log_ratio=self.log_ratio + ratio, log_ratio2=self.log_ratio2 + ratio * ratio,
        )  # fmt: skip

    def grade(self, value: float, *, new: bool) -> Trial:
        """With a firm grade of one version alone. The new one's counts as a pair with the old one's mean, once that is
        known."""
        if not new:
            return replace(self, old_grades=self.old_grades + 1, old_sum=self.old_sum + value)
        mean = self.firm_mean
        d = 0.0 if mean is None else value - mean
        return replace(
            self, solo=self.solo + (mean is not None), sum_d=self.sum_d + d, sum_d2=self.sum_d2 + d * d,
            new_grades=self.new_grades + 1, new_sum=self.new_sum + value,
        )  # fmt: skip

    def told(self, value: float, source: str | None, *, new: bool) -> Trial:
        """With a grade of one version alone, by what its source is trusted: a firm one moves the evidence by its trust,
        for the rest of it says that nothing is different."""
        trust = trust_of(source or "")
        if trust < FIRM:
            return self._hear(value, trust, new=new, times=1)
        mean = self.firm_mean
        return self.grade(value if mean is None else mean + trust * (value - mean), new=new)

    def untold(self, value: float, source: str | None, *, new: bool) -> Trial:
        """Without a grade of a weak source that was told before: it was corrected. A firm one stands."""
        trust = trust_of(source or "")
        return self._hear(value, trust, new=new, times=-1) if trust < FIRM else self

    def _hear(self, value: float, trust: float, *, new: bool, times: int) -> Trial:
        weight = times * trust
        if not new:
            count = self.heard_old + times
            kept = (self.trust_old + weight, self.told_old + weight * value) if count > 0 else (0.0, 0.0)
            return replace(self, heard_old=max(0, count), trust_old=kept[0], told_old=kept[1])
        count = self.heard_new + times
        if count <= 0:
            return replace(self, heard_new=0, trust_new=0.0, told_new=0.0, told_new2=0.0)
        return replace(
            self, heard_new=count, trust_new=self.trust_new + weight, told_new=self.told_new + weight * value,
            told_new2=self.told_new2 + weight * value * value,
        )  # fmt: skip

    def served(
        self, *, new: bool, success: bool, latency_s: float | None = None, limit_s: float | None = None,
        shadow: bool = False,
    ) -> Trial:  # fmt: skip
        """With one request of a client, or one of the shadow's questions. ``limit_s``: the task's ``max_latency_s``."""
        if not new:
            return replace(self, old_requests=self.old_requests + 1, old_failures=self.old_failures + (not success))
        counted = success and latency_s is not None and limit_s is not None
        return replace(
            self, new_requests=self.new_requests + 1, new_failures=self.new_failures + (not success),
            shadowed=self.shadowed + shadow, answers=self.answers + counted,
            slow=self.slow + bool(counted and latency_s is not None and limit_s is not None and latency_s > limit_s),
        )  # fmt: skip


def _share(heard: int, weight: float, firm: float) -> float:
    """``weight``: the sum of their trust; ``firm``: how many firm grades there are beside them."""
    if not heard or weight <= 0.0:
        return 1.0
    trust = min(weight / heard, FIRM)
    return min(1.0, max(ALONE, firm * trust / (1.0 - trust)) / weight)
