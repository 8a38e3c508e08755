"""Auto-swap: should another version serve this task from now on?

Owns: the two triggers, the vetoes, the reasons with their figures. Never: carrying out a swap, reading a clock.

1. Nobody serves yet: none.
2. Trigger *degraded*: success < performance_threshold, or quality < quality_factor x the task's threshold, or a drift
   alarm, or the incumbent no longer qualifies. The best other version takes over if it is better than what the
   incumbent has become by more than the cost of swapping to it; if it is the one which served before, that is a
   rollback.
3. Trigger *better*: the lower bound of a challenger's lead is above the cost of swapping to it (swap_cost.py). By the
   policy ``score`` that is the 90% interval of the difference (P(wrong) <= .05); by ``bandit`` the lead of its beliefs
   (posterior.py), at 2.6 standard deviations, for it looks again and again.
4. Vetoes on both: the operator's hold, the cooldown, too few samples on either side, new evidence owed after a
   rollback, the day's budget of swaps, going to and fro (A -> B -> A), mode off, mode observe. A vetoed verdict is
   "hold": it names who would serve and what it waits for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .budget import charge
from .drift import Signal
from .guards import (
    MAX_COST,
    AutoSwapInput,
    AutoSwapLimits,
    Guard,
    Move,
    alternative,
    better,
    conditions,
    owes,
    signs,
    spendings,
    success,
)
from .joint import DOMINATED_Z as DEGRADED_Z
from .policies import SWAP_Z
from .posterior import Belief, gain
from .scoring import EMPTY, Scale
from .selection import QUALITY_FLOOR
from .snapshot import RowView, Why
from .words import UNITS, figure, samples, share

__all__ = [
    "MAX_COST", "AutoSwapInput", "AutoSwapLimits", "AutoSwapVerdict", "Guard", "Move", "decide", "guards",
]  # fmt: skip

GRADES = frozenset({"drift_quality", "quality"})  # signs that grades alone tell of
Action = Literal["swap", "hold", "none", "rollback"]
Trigger = Literal["degraded", "better"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSwapVerdict:
    """``to``: who should serve; None with action "none". ``sentence`` is for a person and carries the figures."""

    action: Action
    sentence: str
    to: str | None = None
    trigger: Trigger | None = None
    why: tuple[Why, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A challenger's lead over the incumbent in utility, with its 90% interval; ``sure``: what it is at least with
    P > .95, where that is believed."""

    row: RowView
    by: float
    low: float
    high: float
    sure: float | None = None

    @property
    def figures(self) -> str:
        return f"{share(self.by)} [{share(self.low)}, {share(self.high)}] on {samples(self.row.samples)}"


def decide(given: AutoSwapInput) -> AutoSwapVerdict:
    """The verdict for one task, now."""
    incumbent = given.route.incumbent
    if incumbent is None:
        return _none(f"nobody serves {given.task.name} yet", _nobody().why)
    found = signs(given, incumbent)
    leads = _leads(given, incumbent)
    if any(sign.met for sign in found):
        return _replace(given, incumbent, leads, found)
    healthy = success(given, incumbent).why
    if "better" in given.limits.triggers:
        return _improve(given, incumbent, _nominated(given, leads), healthy)
    return _none(f"{incumbent} serves {given.task.name} and is not degraded", healthy)


def guards(given: AutoSwapInput) -> tuple[Guard, ...]:
    """All that ``decide`` asks, with the answers that it goes by."""
    incumbent = given.route.incumbent
    if incumbent is None:
        return (_nobody(), *conditions(given, None))
    found = signs(given, incumbent)
    leads = _leads(given, incumbent)
    if any(sign.met for sign in found):
        able = _able(given, incumbent, leads, found)
        chosen = _first_free(given, able) if able else None
        asked = _alternative(given, leads, found, bool(able))
    else:
        chosen = _closest(given, _nominated(given, leads))
        asked = better(given, chosen.row.version if chosen else "", chosen.low if chosen else None, incumbent)
    return (*found, asked, *conditions(given, chosen.row if chosen else None), *spendings(given))


def challenger(given: AutoSwapInput) -> str | None:
    """Whom the verdict would name: who takes over, or comes closest to it."""
    incumbent = given.route.incumbent
    if incumbent is None:
        return None
    leads = _leads(given, incumbent)
    found = signs(given, incumbent)
    if any(sign.met for sign in found):
        able = _able(given, incumbent, leads, found)
        chosen = _first_free(given, able) if able else next(iter(leads), None)
    else:
        chosen = _closest(given, _nominated(given, leads))
    return None if chosen is None else chosen.row.version


def _nobody() -> Guard:
    return Guard(rule="incumbent", kind="condition", met=False, would_change_if="a version served it")


# --- the triggers ---------------------------------------------------------------------------------------------------


def _replace(given: AutoSwapInput, incumbent: str, leads: Sequence[Lead], found: Sequence[Guard]) -> AutoSwapVerdict:
    """The incumbent is degraded: the best other version that is better than it is now takes over."""
    degraded = tuple(sign.why for sign in found if sign.met)
    ailing = f"{incumbent} is degraded on {given.task.name} ({_ailment(degraded)})"
    able = _able(given, incumbent, leads, found)
    if not able:
        missing = _alternative(given, leads, found, False).why
        return _none(f"{ailing}, and no other version is better", *degraded, missing)
    lead = _first_free(given, able)
    back = lead.row.version == given.route.previous
    text = f"{ailing}; {lead.row.version} leads by {lead.figures}"
    return _unless_vetoed(given, lead, "degraded", "rollback" if back else "swap", text, degraded)


def _able(given: AutoSwapInput, incumbent: str, leads: Sequence[Lead], found: Sequence[Guard]) -> list[Lead]:
    """Those that are better than what a degraded incumbent has become; all, if it may not serve at all. Where only its
    grades fell it may be nothing but bad luck: then, by the policy ``bandit``, they must be so with P > .95."""
    gone = incumbent in given.excluded
    return [lead for lead in leads if gone or _ahead(lead, found) > given.cost_of(lead.row.version)]


def _ahead(lead: Lead, found: Sequence[Guard]) -> float:
    """The lead that must be beyond the cost."""
    doubtful = all(sign.rule in GRADES for sign in found if sign.met)
    return lead.sure if doubtful and lead.sure is not None else lead.by


def _alternative(given: AutoSwapInput, leads: Sequence[Lead], found: Sequence[Guard], met: bool) -> Guard:
    """``leads``: the largest beyond its cost first."""
    best = max(leads, key=lambda lead: _ahead(lead, found) - given.cost_of(lead.row.version), default=None)
    if best is None:
        return alternative(given, None, met)
    return alternative(given, _ahead(best, found), met, best.row.version)


def _ailment(degraded: Sequence[Why]) -> str:
    parts = []
    for why in degraded:
        if isinstance(why.value, float) and isinstance(why.threshold, float):
            between = "from" if why.rule.startswith("drift_") else "below"
            unit = UNITS.get(why.rule, "share")
            was, is_ = figure(why.threshold, unit), figure(why.value, unit)
            parts.append(f"{why.rule.removeprefix('drift_')} {is_}, {between} {was}")
        else:
            parts.append(str(why.value))
    return "; ".join(parts)


def _improve(given: AutoSwapInput, incumbent: str, leads: Sequence[Lead], healthy: Why) -> AutoSwapVerdict:
    """Somebody credibly better takes over; otherwise the closest rival is named."""
    lead = _closest(given, leads)
    if lead is None:
        return _none(f"{incumbent} serves {given.task.name}; no other version qualifies", healthy)
    asked = better(given, lead.row.version, lead.low, incumbent)
    if asked.met:
        text = f"{lead.row.version} leads {given.task.name} by {lead.figures}"
        return _unless_vetoed(given, lead, "better", "swap", text, (asked.why,))
    text = f"{incumbent} serves {given.task.name}; {lead.row.version} is the closest at {lead.figures}"
    return _none(text, asked.why, healthy)


def _nominated(given: AutoSwapInput, leads: Sequence[Lead]) -> Sequence[Lead]:
    return leads if given.nominee is None else [lead for lead in leads if lead.row.version == given.nominee]


def _closest(given: AutoSwapInput, leads: Sequence[Lead]) -> Lead | None:
    """The one that is credibly better, if any is; else the largest lead."""
    sure = [lead for lead in leads if lead.low > given.cost_of(lead.row.version)]
    return _first_free(given, sure) if sure else next(iter(leads), None)


# --- the challengers ------------------------------------------------------------------------------------------------


def _leads(given: AutoSwapInput, incumbent: str) -> list[Lead]:
    """The challengers that qualify, the largest lead beyond the cost of swapping first."""
    mine = next((row for row in given.rows if row.version == incumbent), RowView(version=incumbent))
    now = _utility_now(given, mine)
    believed = {belief.version: belief for belief in given.beliefs}
    fallen = (mine.utility or 0.0) - _utility_now(given, mine, grades=False)  # what grades tell is believed already
    floor = QUALITY_FLOOR * max((s.quality_interval[0] for s in given.stats.values()), default=0.0)
    paid = charge(given.budgets, incumbent)
    leads = []
    for row in given.rows:
        known = given.stats.get(row.version, EMPTY)
        if row.version == incumbent or row.version in given.excluded or row.utility is None:
            continue
        if known.quality_interval[1] < floor:
            continue
        if row.version in believed and incumbent in believed:
            found = _believed(row, believed[row.version], believed[incumbent], fallen)
        else:
            found = _lead(row, mine, now)
        leads.append(_charged(found, paid - charge(given.budgets, row.version)) if given.budgets else found)
    usual, costs = given.limits.switching_cost, {version: cost.utility for version, cost in given.costs.items()}
    return sorted(leads, key=lambda lead: (costs.get(lead.row.version, usual) - lead.by, lead.row.version))


def _lead(row: RowView, mine: RowView, now: float) -> Lead:
    by = (row.utility or 0.0) - now
    reach = math.hypot(_reach(row), _reach(mine))
    return Lead(row=row, by=by, low=by - reach, high=by + reach)


def _charged(lead: Lead, saved: float) -> Lead:
    """``saved``: by how much less it pays than the incumbent, at the prices of the task's budgets."""
    sure = None if lead.sure is None else lead.sure + saved
    return replace(lead, by=lead.by + saved, low=lead.low + saved, high=lead.high + saved, sure=sure)


def _believed(row: RowView, belief: Belief, incumbent: Belief, fallen: float) -> Lead:
    """``fallen``: by how much the incumbent's utility has fallen since it was measured, by alarms of other signs than
    its grades."""
    found = gain(belief, incumbent)
    sure = found.by - (found.by - found.low) * DEGRADED_Z / SWAP_Z
    return Lead(row=row, by=found.by + fallen, low=found.low + fallen, high=found.high + fallen, sure=sure + fallen)


def lead(row: RowView, mine: RowView) -> Lead:
    """The lead of ``row`` over ``mine``, as both stand on the leaderboard."""
    return _lead(row, mine, mine.utility or 0.0)


def _reach(row: RowView) -> float:
    """Half the width of the 90% interval; the bounds are cut at 0 and 1, so the longer side counts."""
    if row.utility is None or row.utility_low is None or row.utility_high is None:
        return 0.0
    return max(row.utility - row.utility_low, row.utility_high - row.utility)


def _utility_now(given: AutoSwapInput, mine: RowView, *, grades: bool = True) -> float:
    """The incumbent's utility with what the alarms say it has become, before its averages show it; those of ``grades``,
    too, unless they are left out."""
    scale = Scale.of(given.task.criteria, given.now)
    utility = mine.utility or 0.0
    for alarm in {alarm.signal: alarm for alarm in given.alarms}.values():
        match alarm.signal:
            case Signal.QUALITY if grades and mine.quality is not None:
                utility -= scale.weights.quality * max(0.0, mine.quality - alarm.after)
            case Signal.FAILURES if mine.success_rate is not None:
                utility -= scale.weights.reliability * max(0.0, mine.success_rate - (1.0 - alarm.after))
            case Signal.LATENCY if mine.latency_p50_s is not None:
                slower = _latency_share(alarm.after, scale) - _latency_share(mine.latency_p50_s, scale)
                utility += scale.weights.latency * min(0.0, slower)
            case _:
                pass
    return max(0.0, utility)


def _latency_share(seconds: float, scale: Scale) -> float:
    return max(0.0, 1.0 - seconds / scale.latency_budget_s)


def _first_free(given: AutoSwapInput, leads: Sequence[Lead]) -> Lead:
    """The best challenger with enough evidence of its own; the best of all if none has it (the veto then says so)."""
    return next((lead for lead in leads if lead.row.samples >= owes(given, lead.row.version)), leads[0])


# --- the vetoes -----------------------------------------------------------------------------------------------------


def _unless_vetoed(
    given: AutoSwapInput, lead: Lead, trigger: Trigger, action: Action, text: str, why: tuple[Why, ...]
) -> AutoSwapVerdict:
    vetoes = _vetoes(given, lead)
    why = (*why, *(spent.why for spent in spendings(given) if spent.value))
    verb = "rolling back" if action == "rollback" else "swapping"
    if vetoes:
        return AutoSwapVerdict(
            action="hold", to=lead.row.version, trigger=trigger, why=(*why, *vetoes),
            sentence=f"{text}; holding until {vetoes[0].would_change_if}",
        )  # fmt: skip
    return AutoSwapVerdict(action=action, to=lead.row.version, trigger=trigger, why=why, sentence=f"{text}; {verb}")


def _vetoes(given: AutoSwapInput, lead: Lead) -> tuple[Why, ...]:
    """Everything that forbids it now; each says what it waits for."""
    return tuple(guard.why for guard in conditions(given, lead.row) if not guard.met)


def _none(sentence: str, *why: Why) -> AutoSwapVerdict:
    return AutoSwapVerdict(action="none", sentence=sentence, why=why)
