"""Auto-swap: should another version serve this task from now on?

Owns: the two triggers, the vetoes, the reasons with their figures. Never: carrying out a swap, reading a clock.

1. Nobody serves yet: none.
2. Trigger *degraded*: success < performance_threshold, or quality < quality_factor x the task's threshold, or a drift
   alarm, or the incumbent no longer qualifies. The best other version takes over if it is better than what the
   incumbent has become by more than the cost of swapping; if it is the one which served before, that is a rollback.
3. Trigger *better*: the lower bound of a challenger's lead (90% interval of the difference, so P(wrong) <= .05) is
   above the cost of swapping; the challenger's own lower bound is then above the incumbent's utility plus that cost.
4. Vetoes on both: the operator's hold, the cooldown, too few samples on either side, new evidence owed after a
   rollback, mode off, mode observe. A vetoed verdict is "hold": it names who would serve and what it waits for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .drift import Alarm, Signal
from .routing import Route
from .scoring import EMPTY, MIN_SAMPLES, Scale, Stats
from .selection import QUALITY_FLOOR, share
from .snapshot import RowView, Why
from .tasks import AutopilotMode, Task

Action = Literal["swap", "hold", "none", "rollback"]
Trigger = Literal["degraded", "better"]
AMORTISED_S = 300.0  # a load pays off over this long: its seconds as a share of them are the cost, in utility
MAX_COST = 0.1
MATERIAL_SLOWDOWN = 1.5  # latency follows load and prompts: a smaller rise is reported, not acted upon


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSwapLimits:
    """``load_cost_s``: seconds until the challenger could serve (0 when it is warm), evictions' reloads included."""

    cooldown_s: float = 300.0
    min_samples: int = MIN_SAMPLES
    performance_threshold: float = 0.8
    quality_factor: float = 0.9
    triggers: tuple[str, ...] = ("degraded", "better")
    load_cost_s: float = 0.0

    @property
    def switching_cost(self) -> float:
        """In utility."""
        return min(MAX_COST, max(0.0, self.load_cost_s) / AMORTISED_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSwapInput:
    """``rows``: the task's leaderboard; ``stats``: by version, for this task; times in unix seconds.

    ``excluded``: version -> why it may not serve (selection's reasons). ``owed``: version -> samples that it must have
    before it may return, because it was rolled back. ``alarms``: the incumbent's; of each signal the last one counts.
    """

    task: Task
    route: Route
    rows: Sequence[RowView]
    stats: Mapping[str, Stats]
    now: float
    mode: AutopilotMode = AutopilotMode.ON
    limits: AutoSwapLimits = field(default_factory=AutoSwapLimits)
    last_swap_at: float | None = None
    alarms: Sequence[Alarm] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)


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
    """A challenger's lead over the incumbent in utility, with its 90% interval."""

    row: RowView
    by: float
    low: float
    high: float

    @property
    def figures(self) -> str:
        return f"{share(self.by)} [{share(self.low)}, {share(self.high)}] on {self.row.samples} samples"


def decide(given: AutoSwapInput) -> AutoSwapVerdict:
    """The verdict for one task, now."""
    incumbent = given.route.incumbent
    if incumbent is None:
        missing = Why(rule="incumbent", would_change_if="a version served it")
        return _none(f"nobody serves {given.task.name} yet", missing)
    leads = _leads(given, incumbent)
    degraded = _degraded(given, incumbent) if "degraded" in given.limits.triggers else ()
    if degraded:
        return _replace(given, incumbent, leads, degraded)
    if "better" in given.limits.triggers:
        return _improve(given, incumbent, leads)
    return _none(f"{incumbent} serves {given.task.name} and is not degraded", _healthy(given, incumbent))


# --- the triggers ---------------------------------------------------------------------------------------------------


def _degraded(given: AutoSwapInput, incumbent: str) -> tuple[Why, ...]:
    """Every sign that the incumbent is degraded."""
    stats, limits = given.stats.get(incumbent, EMPTY), given.limits
    found = [_alarm_why(alarm) for alarm in given.alarms if _material(alarm)]
    if incumbent in given.excluded:
        found.append(
            Why(rule="qualifies", value=given.excluded[incumbent], threshold=None, would_change_if="it qualified again")
        )
    success = stats.success_rate
    if success is not None and stats.samples >= limits.min_samples and success < limits.performance_threshold:
        found.append(_below("success", success, limits.performance_threshold))
    floor = _quality_floor(given)
    if floor is not None and stats.quality is not None and stats.quality_weight >= limits.min_samples:
        found += [_below("quality", stats.quality, floor)] if stats.quality < floor else []
    return tuple(found)


def _quality_floor(given: AutoSwapInput) -> float | None:
    threshold = given.task.criteria.quality_threshold
    return None if threshold is None else given.limits.quality_factor * threshold


def _below(rule: str, value: float, threshold: float) -> Why:
    return Why(rule=rule, value=value, threshold=threshold, would_change_if=f"{rule} were at least {share(threshold)}")


def _material(alarm: Alarm) -> bool:
    return alarm.signal is not Signal.LATENCY or alarm.after >= MATERIAL_SLOWDOWN * alarm.before


def _alarm_why(alarm: Alarm) -> Why:
    return Why(
        rule=f"drift_{alarm.signal}",
        value=alarm.after,
        threshold=alarm.before,
        would_change_if=f"{alarm.signal} had stayed near {alarm.before:.2g}; it {_changed(alarm)}",
    )


def _changed(alarm: Alarm) -> str:
    return alarm.sentence.removeprefix(f"{alarm.signal} ")


def _replace(given: AutoSwapInput, incumbent: str, leads: Sequence[Lead], degraded: tuple[Why, ...]) -> AutoSwapVerdict:
    """The incumbent is degraded: the best other version that is better than it is now takes over."""
    ailing = f"{incumbent} is degraded on {given.task.name} ({_ailment(degraded)})"
    gone = incumbent in given.excluded
    cost = given.limits.switching_cost
    better = [lead for lead in leads if gone or lead.by > cost]
    if not better:
        best = max((lead.by for lead in leads), default=None)
        needed = f"another version led by more than {share(cost)}"
        missing = Why(rule="alternative", value=best, threshold=cost, would_change_if=needed)
        return _none(f"{ailing}, and no other version is better", *degraded, missing)
    lead = _first_free(given, better)
    back = lead.row.version == given.route.previous
    text = f"{ailing}; {lead.row.version} leads by {lead.figures}"
    return _unless_vetoed(given, lead, "degraded", "rollback" if back else "swap", text, degraded)


def _ailment(degraded: Sequence[Why]) -> str:
    parts = []
    for why in degraded:
        if isinstance(why.value, float) and isinstance(why.threshold, float):
            between = "from" if why.rule.startswith("drift_") else "below"
            parts.append(f"{why.rule.removeprefix('drift_')} {share(why.value)}, {between} {share(why.threshold)}")
        else:
            parts.append(str(why.value))
    return "; ".join(parts)


def _improve(given: AutoSwapInput, incumbent: str, leads: Sequence[Lead]) -> AutoSwapVerdict:
    """Somebody credibly better takes over; otherwise the closest rival is named."""
    cost = given.limits.switching_cost
    sure = [lead for lead in leads if lead.low > cost]
    if sure:
        lead = _first_free(given, sure)
        text = f"{lead.row.version} leads {given.task.name} by {lead.figures}"
        why = Why(rule="better", value=lead.low, threshold=cost, would_change_if=_no_longer(lead, incumbent, cost))
        return _unless_vetoed(given, lead, "better", "swap", text, (why,))
    if not leads:
        return _none(f"{incumbent} serves {given.task.name}; no other version qualifies", _healthy(given, incumbent))
    lead = leads[0]
    text = f"{incumbent} serves {given.task.name}; {lead.row.version} is the closest at {lead.figures}"
    needed = f"the lower bound of {lead.row.version}'s lead were above {share(cost)}"
    why = Why(rule="better", value=lead.low, threshold=cost, would_change_if=needed)
    return _none(text, why, _healthy(given, incumbent))


def _no_longer(lead: Lead, incumbent: str, cost: float) -> str:
    return f"the lower bound of {lead.row.version}'s lead over {incumbent} were at most {share(cost)}"


def _healthy(given: AutoSwapInput, incumbent: str) -> Why:
    return Why(
        rule="success",
        value=given.stats.get(incumbent, EMPTY).success_rate,
        threshold=given.limits.performance_threshold,
        would_change_if=f"success were below {share(given.limits.performance_threshold)}",
    )


# --- the challengers ------------------------------------------------------------------------------------------------


def _leads(given: AutoSwapInput, incumbent: str) -> list[Lead]:
    """The challengers that qualify, the largest lead first."""
    mine = next((row for row in given.rows if row.version == incumbent), RowView(version=incumbent))
    now = _utility_now(given, mine)
    floor = QUALITY_FLOOR * max((s.quality_interval[0] for s in given.stats.values()), default=0.0)
    leads = []
    for row in given.rows:
        known = given.stats.get(row.version, EMPTY)
        if row.version == incumbent or row.version in given.excluded or row.utility is None:
            continue
        if known.quality_interval[1] >= floor:
            leads.append(_lead(row, mine, now))
    return sorted(leads, key=lambda lead: (-lead.by, lead.row.version))


def _lead(row: RowView, mine: RowView, now: float) -> Lead:
    by = (row.utility or 0.0) - now
    reach = math.hypot(_reach(row), _reach(mine))
    return Lead(row=row, by=by, low=by - reach, high=by + reach)


def _reach(row: RowView) -> float:
    """Half the width of the 90% interval; the bounds are cut at 0 and 1, so the longer side counts."""
    if row.utility is None or row.utility_low is None or row.utility_high is None:
        return 0.0
    return max(row.utility - row.utility_low, row.utility_high - row.utility)


def _utility_now(given: AutoSwapInput, mine: RowView) -> float:
    """The incumbent's utility with what the alarms say it has become, before its averages show it."""
    scale = Scale.of(given.task.criteria, given.now)
    utility = mine.utility or 0.0
    for alarm in {alarm.signal: alarm for alarm in given.alarms}.values():
        match alarm.signal:
            case Signal.QUALITY if mine.quality is not None:
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
    return next((lead for lead in leads if lead.row.samples >= _owes(given, lead.row.version)), leads[0])


def _owes(given: AutoSwapInput, version: str) -> int:
    return max(given.limits.min_samples, given.owed.get(version, 0))


# --- the vetoes -----------------------------------------------------------------------------------------------------


def _unless_vetoed(
    given: AutoSwapInput, lead: Lead, trigger: Trigger, action: Action, text: str, why: tuple[Why, ...]
) -> AutoSwapVerdict:
    vetoes = _vetoes(given, lead)
    verb = "rolling back" if action == "rollback" else "swapping"
    if vetoes:
        return AutoSwapVerdict(
            action="hold", to=lead.row.version, trigger=trigger, why=(*why, *vetoes),
            sentence=f"{text}; holding until {vetoes[0].would_change_if}",
        )  # fmt: skip
    return AutoSwapVerdict(action=action, to=lead.row.version, trigger=trigger, why=why, sentence=f"{text}; {verb}")


def _vetoes(given: AutoSwapInput, lead: Lead) -> tuple[Why, ...]:
    """Everything that forbids it now; each says what it waits for."""
    return (*_mode(given), *_waits(given), *_evidence(given, lead))


def _mode(given: AutoSwapInput) -> tuple[Why, ...]:
    if given.mode is AutopilotMode.ON:
        return ()
    rule = "observe" if given.mode is AutopilotMode.OBSERVE else "mode"
    wanted = "the autopilot is on (it only observes)" if rule == "observe" else "the autopilot is on (it is off)"
    return (Why(rule=rule, value=str(given.mode), threshold=str(AutopilotMode.ON), would_change_if=wanted),)


def _waits(given: AutoSwapInput) -> tuple[Why, ...]:
    found = []
    if given.now < given.route.hold_until:
        left = given.route.hold_until - given.now
        text = f"the operator's hold ends in {left:.0f} s"
        found.append(Why(rule="hold_until", value=given.now, threshold=given.route.hold_until, would_change_if=text))
    since = None if given.last_swap_at is None else given.now - given.last_swap_at
    if since is not None and since < given.limits.cooldown_s:
        text = f"the cooldown ends in {given.limits.cooldown_s - since:.0f} s"
        found.append(Why(rule="cooldown", value=since, threshold=given.limits.cooldown_s, would_change_if=text))
    return tuple(found)


def _evidence(given: AutoSwapInput, lead: Lead) -> tuple[Why, ...]:
    found = []
    incumbent = given.route.incumbent or ""
    mine, needed = given.stats.get(incumbent, EMPTY).samples, given.limits.min_samples
    if mine < needed and incumbent not in given.excluded:
        found.append(_samples("min_samples", incumbent, mine, needed))
    if lead.row.samples < needed:
        found.append(_samples("min_samples", lead.row.version, lead.row.samples, needed))
    elif lead.row.samples < _owes(given, lead.row.version):
        found.append(_samples("new_evidence", lead.row.version, lead.row.samples, _owes(given, lead.row.version)))
    return tuple(found)


def _samples(rule: str, version: str, have: int, needed: int) -> Why:
    text = f"{version} has {needed} samples (it has {have})"
    return Why(rule=rule, value=have, threshold=needed, would_change_if=text)


def _none(sentence: str, *why: Why) -> AutoSwapVerdict:
    return AutoSwapVerdict(action="none", sentence=sentence, why=why)
