"""Trial: is the version on trial worse than the one that serves, by what both have shown so far?

Owns: the verdict on the evidence of a rollout: quality, success and latency each have their own, and the worst one
wins. Never: the evidence itself (trial_sums.py), when a verdict is asked for (rollout.py), where grades come from.

Quality, rule ``posterior``. A pair is one question answered by both; d = new - old. With n pairs, a prior of PRIOR
pairs without a difference (d = 0, variance PRIOR_VARIANCE), and the old version's mean m:

    mean = sum d / (n + PRIOR)        variance = (sum d^2 + PRIOR x PRIOR_VARIANCE) / (n + PRIOR) - mean^2
    P(new < factor x old) = Phi(-(mean + (1 - factor) x m) / sqrt(variance / (n + PRIOR)))

A grade of the new version alone counts as a pair with m. The prior and the limit of .99 make it safe to look after
every single pair: of versions that toss coins alike, right .5 to .95 of the time, 3% to .1% are ever taken back within
600 pairs; with a prior of 30 and a limit of .95 it were 8% to .1%. A larger prior could not tell in fifty questions
what two real updates broke. What the rule does with real models: benchmarks/rollout_rule.py.

Grades of weak sources (users, judges) of mean trust t, bounded as trial_sums.py says, are evidence like any other while
firm ones are few. From MIN_PAIRS firm ones on they move P by no more than t of the way:

    P = (1 - t) x P(by the firm ones alone) + t x P(by all)        and P(by the firm ones) above the limit stands

so however many false grades come, they neither promote what the questions condemn nor take back what they clear.

Latency: more than half of the answers over the task's ``max_latency_s``, or a slowdown credibly above ``max_slowdown``:
the mean of ln(new / old seconds) over the pairs, with a prior of PRIOR pairs that took equally long. Without either
limit it is reported and never votes.

Rule ``literal``: the new version's mean below factor x the old one's, from the first grade on. It takes back three of
four versions that are exactly as good as the old one; who wants it can have it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .snapshot import Why
from .trial_sums import Trial as Trial
from .words import plural

PRIOR = 10.0
PRIOR_VARIANCE = 0.5
BACK_ABOVE, BACK_Z = 0.99, 2.326348  # P(worse) above it takes back; BACK_Z is that quantile of a standard normal
PROMOTE_BELOW, PROMOTE_Z = 0.05, 1.644854
SURE = 0.95  # that sure one must be of more failures or of slowness
FAR, HALVINGS = 16.0, 48  # grades differ by at most 1; so far, and so finely, a limit is looked for
CLIMB_BELOW = 0.25  # the ramp goes on only while P(worse) is below
MIN_PAIRS = 10
LOG_VARIANCE = 0.25  # of ln(new / old seconds), in the prior: a factor of 1.6 to either side
MORE_FAILURES = 0.05  # failures may be that much more frequent
MIN_FAILURES = 3
Rule = Literal["posterior", "literal"]


class Verdict(StrEnum):
    PROMOTE = "promote"
    HOLD = "hold"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """``p_worse``: P(new < factor x old) in quality, None without a grade of both. ``climb``: the ramp may go on."""

    verdict: Verdict
    p_worse: float | None
    climb: bool
    trial: Trial
    rule: Rule
    factor: float
    max_slowdown: float | None = None

    @property
    def why(self) -> tuple[Why, ...]:
        """One line for each metric that has evidence, the deciding one first. Worked out when asked for: most verdicts
        are weighed and never shown."""
        told = sorted(_told(self), key=lambda vote: vote[0] is not Verdict.ROLL_BACK)
        nothing = Why(
            rule="graded answers", value=0, threshold=MIN_PAIRS, would_change_if="answers of both versions were graded"
        )
        return tuple(vote[1] for vote in told) or (nothing,)


def judge(
    trial: Trial, *, rule: Rule = "posterior", factor: float = 0.95, max_slowdown: float | None = None
) -> Judgement:
    """The verdict on the evidence so far: the worst of quality, success and latency."""
    p_worse = p_below(trial, factor)
    quality = _quality(trial, p_worse, rule, factor)
    back = Verdict.ROLL_BACK in (quality, _success(trial), _latency(trial), _slowed(trial, max_slowdown))
    return Judgement(
        verdict=Verdict.ROLL_BACK if back else quality, p_worse=p_worse, trial=trial, rule=rule, factor=factor,
        climb=not back and (rule == "literal" or _may_climb(trial, p_worse)), max_slowdown=max_slowdown,
    )  # fmt: skip


def p_below(trial: Trial, factor: float, shift: float = 0.0) -> float | None:
    """P(new < factor x old) in quality; None while nothing is known of either. ``shift``: had all answers of the new
    one been graded so much better."""
    old, firm_old = trial.old_mean, trial.firm_mean
    if old is None or trial.new_mean is None:
        return None
    by_all = _p_worse(_difference(trial), (1.0 - factor) * old, shift)
    if not trial.heard or trial.firm < MIN_PAIRS or firm_old is None:
        return by_all
    by_firm = _p_worse(_firm_difference(trial), (1.0 - factor) * firm_old, shift)
    return by_firm if by_firm > BACK_ABOVE else by_firm + trial.trust * (by_all - by_firm)


Difference = tuple[float, float, float]


def _p_worse(found: Difference, allowed: float, shift: float) -> float:
    mean, error, graded = found
    return normal(-(mean + graded * shift + allowed) / error)


def _difference(trial: Trial) -> Difference:
    """Mean and standard error of new - old, prior included; and the grades' share of all with the prior."""
    weight, d, d2 = trial.hearsay
    return _with_prior(trial.firm + weight, trial.sum_d + d, trial.sum_d2 + d2)


def _firm_difference(trial: Trial) -> Difference:
    return _with_prior(trial.firm, trial.sum_d, trial.sum_d2)


def _with_prior(n: float, d: float, d2: float) -> Difference:
    weight = n + PRIOR
    mean = d / weight
    variance = (d2 + PRIOR * PRIOR_VARIANCE) / weight - mean * mean
    return mean, math.sqrt(max(variance, 1e-12) / weight), n / weight


def normal(z: float) -> float:
    """P(Z < z) of a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _may_climb(trial: Trial, p_worse: float | None) -> bool:
    return p_worse is not None and trial.graded >= MIN_PAIRS and p_worse < CLIMB_BELOW


# --- the votes ------------------------------------------------------------------------------------------------------


def _quality(trial: Trial, p_worse: float | None, rule: Rule, factor: float) -> Verdict:
    old, new = trial.old_mean, trial.new_mean
    if p_worse is None or old is None or new is None:
        return Verdict.HOLD
    if rule == "literal":
        return Verdict.ROLL_BACK if new < factor * old else Verdict.PROMOTE
    if trial.graded < MIN_PAIRS:
        return Verdict.HOLD
    if p_worse > BACK_ABOVE:
        return Verdict.ROLL_BACK
    return Verdict.PROMOTE if p_worse < PROMOTE_BELOW else Verdict.HOLD


def _success(trial: Trial) -> Verdict:
    """A few failures at once end a trial whatever the quality is."""
    bad = trial.new_failures >= MIN_FAILURES and p_fails(trial, trial.new_failures) > SURE
    return Verdict.ROLL_BACK if bad else Verdict.HOLD


def p_fails(trial: Trial, failures: int) -> float:
    """P(the new version fails MORE_FAILURES more often), had ``failures`` of its requests failed. The prior is worth
    ten requests of which one in forty fails."""
    new, sd = _beta(failures, trial.new_requests, 0.25, 9.75)
    old = trial.old_failures / trial.old_requests if trial.old_requests else 0.0
    return normal((new - old - MORE_FAILURES) / sd)


def _latency(trial: Trial) -> Verdict:
    """Votes only against the task's own limit: more than half of the answers over it."""
    return Verdict.ROLL_BACK if trial.answers >= MIN_PAIRS and p_slow(trial, trial.slow) > SURE else Verdict.HOLD


def _slowed(trial: Trial, most: float | None) -> Verdict:
    """Votes only where a slowdown is forbidden."""
    bad = most is not None and trial.timed >= MIN_PAIRS and p_slowed(trial, most) > SURE
    return Verdict.ROLL_BACK if bad else Verdict.HOLD


def p_slowed(trial: Trial, most: float) -> float:
    """P(its answers take more than ``most`` times as long as the old one's)."""
    mean, error = _log_ratio(trial)
    return normal((mean - math.log(most)) / error)


def _log_ratio(trial: Trial) -> tuple[float, float]:
    """Mean and standard error of ln(new / old seconds), prior included."""
    weight = trial.timed + PRIOR
    mean = trial.log_ratio / weight
    variance = (trial.log_ratio2 + PRIOR * LOG_VARIANCE) / weight - mean * mean
    return mean, math.sqrt(max(variance, 1e-12) / weight)


def p_slow(trial: Trial, slow: int) -> float:
    """P(more than half of its answers take too long), had ``slow`` of them."""
    mean, sd = _beta(slow, trial.answers, 1.0, 1.0)
    return normal((mean - 0.5) / sd)


def _beta(hits: int, of: int, yes: float, no: float) -> tuple[float, float]:
    """Mean and standard deviation of the Beta posterior."""
    a, b = yes + hits, no + of - hits
    return a / (a + b), math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1.0)))


# --- the reasons ----------------------------------------------------------------------------------------------------

Told = tuple[Verdict, Why]


def _told(found: Judgement) -> list[Told]:
    told = (
        _quality_told(found), _success_told(found.trial), _latency_told(found.trial),
        _slowed_told(found.trial, found.max_slowdown),
    )  # fmt: skip
    return [vote for vote in told if vote is not None]


def _quality_told(found: Judgement) -> Told | None:
    trial, old, new = found.trial, found.trial.old_mean, found.trial.new_mean
    if found.p_worse is None or old is None or new is None:
        return None
    vote = _quality(trial, found.p_worse, found.rule, found.factor)
    if found.rule == "literal":
        limit = found.factor * old
        wanted = f"it {'were at least' if new < limit else 'fell below'} {limit:.3f}; the old one's is {old:.3f}"
        value, threshold = round(new, 4), round(limit, 4)
        return vote, Why(rule="its mean quality", value=value, threshold=threshold, would_change_if=wanted)
    return vote, Why(
        rule=f"P(worse than {found.factor:g} x the old one)", value=round(found.p_worse, 4), threshold=BACK_ABOVE,
        would_change_if=_wanted(trial, vote, found.factor),
    )  # fmt: skip


def _wanted(trial: Trial, vote: Verdict, factor: float) -> str:
    """How good its answers would have to be, beside those of the old version, for another verdict."""
    if trial.graded < MIN_PAIRS:
        return f"at least {MIN_PAIRS} of its answers were graded; {trial.graded} are"
    weight, d, _ = trial.hearsay
    seen = (trial.sum_d + d) / (trial.firm + weight)
    back, on = seen + _shift(trial, factor, BACK_ABOVE), seen + _shift(trial, factor, PROMOTE_BELOW)
    told = {
        Verdict.ROLL_BACK: _from(back),
        Verdict.HOLD: f"{_under(back)}, or {_from(on)}",
        Verdict.PROMOTE: _under(on),
    }[vote]
    return (
        f"its answers were on average {told} than the old one's; on {trial.graded} they are {_by(seen)}{_heard(trial)}"
    )


def _shift(trial: Trial, factor: float, limit: float) -> float:
    """By how much better or worse all answers would have to be graded for P(worse) to be at ``limit``: it falls as they
    get better, so the interval is halved."""
    low, high = -FAR, FAR
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        if (p_below(trial, factor, middle) or 0.0) > limit:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _heard(trial: Trial) -> str:
    """What many grades of weak sources count for."""
    count = trial.share_new * trial.trust_new
    return f"; {plural(trial.heard_new, 'grade')} of users or judges weigh {count:.0f}" if trial.heard_new else ""


def _from(least: float) -> str:
    return f"at most {-least:.3f} worse" if least < 0.0 else f"at least {least:.3f} better"


def _under(most: float) -> str:
    return f"more than {-most:.3f} worse" if most < 0.0 else f"less than {most:.3f} better"


def _by(seen: float) -> str:
    return f"{abs(seen):.3f} {'worse' if seen < 0.0 else 'better'}"


def _success_told(trial: Trial) -> Told | None:
    if not trial.new_failures:
        return None
    vote, failed, of = _success(trial), trial.new_failures, trial.new_requests
    tried = range(MIN_FAILURES, of + 1)
    needed = MIN_FAILURES + bisect_right(tried, SURE, key=lambda k: p_fails(trial, k))
    wanted = "fewer than" if vote is Verdict.ROLL_BACK else "at least"
    return vote, Why(
        rule="P(fails more often)", value=round(p_fails(trial, failed), 4), threshold=SURE,
        would_change_if=f"{wanted} {needed} of its requests had failed; {failed} of {of} did, and "
        f"{trial.old_failures} of the old one's {trial.old_requests}",
    )  # fmt: skip


def _latency_told(trial: Trial) -> Told | None:
    if not trial.answers:
        return None
    vote, value = _latency(trial), round(p_slow(trial, trial.slow), 4)
    needed = bisect_right(range(trial.answers + 1), SURE, key=lambda k: p_slow(trial, k))
    if trial.answers < MIN_PAIRS:
        wanted = f"at least {MIN_PAIRS} of its answers were timed; {trial.answers} are"
    else:
        wanted = (
            f"{'fewer than' if vote is Verdict.ROLL_BACK else 'at least'} {needed} of its answers took longer than the "
            f"task's max_latency_s; {trial.slow} of {trial.answers} did"
        )
    return vote, Why(rule="P(slower than the task allows)", value=value, threshold=SURE, would_change_if=wanted)


def _slowed_told(trial: Trial, most: float | None) -> Told | None:
    if most is None or not trial.timed:
        return None
    vote, seen = _slowed(trial, most), trial.slowdown or 1.0
    _, error = _log_ratio(trial)
    needed = math.exp((math.log(most) + PROMOTE_Z * error) * (trial.timed + PRIOR) / trial.timed)
    if trial.timed < MIN_PAIRS:
        wanted = f"at least {MIN_PAIRS} of its answers were timed beside the old one's; {trial.timed} are"
    else:
        side = "less than" if vote is Verdict.ROLL_BACK else "more than"
        wanted = (
            f"its answers took {side} {needed:.2f} times as long as the old one's; on {trial.timed} it is {seen:.2f}"
        )
    return vote, Why(
        rule=f"P(over {most:g} x the old one's seconds)", value=round(p_slowed(trial, most), 4), threshold=SURE,
        would_change_if=wanted,
    )  # fmt: skip
