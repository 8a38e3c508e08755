"""Guards: every question that the auto-swap asks before it acts, with its value, its limit and its answer.

Owns: what is asked (the signs of degradation, the conditions of a swap) and the words for what would change each
answer. Never: the choice of a challenger, the verdict (autoswap.py decides by these very answers and by no others).

A *trigger* that is met asks for a swap; a *condition* that is not met forbids it. A swap happens when one trigger and
all conditions are met.
"""

from __future__ import annotations

from dataclasses import replace

from .circumstances import SETTLE_S
from .drift import Alarm, Signal
from .scoring import EMPTY
from .snapshot import RowView
from .swap_cost import MAX_COST as MAX_COST
from .swap_input import AutoSwapInput as AutoSwapInput
from .swap_input import AutoSwapLimits as AutoSwapLimits
from .swap_input import Guard as Guard
from .swap_input import Move as Move
from .tasks import AutopilotMode
from .traffic import QUIET_BELOW
from .words import UNITS, figure, plural, samples, share, span, wait

DAY_S = 86_400.0
MATERIAL_SLOWDOWN = 1.5  # latency follows load and prompts: a smaller rise is reported, not acted upon
CONDITIONS = frozenset(
    ("mode", "observe", "schedule", "hold_until", "cooldown", "min_samples", "new_evidence", "rollout", "budget",
     "oscillation", "heat", "hardware", "quiet")
)  # fmt: skip
FAILING = frozenset({"success", "drift_failures", "qualifies"})  # signs that no cooler machine would mend
_WORSE = {Signal.QUALITY: "quality fell", Signal.LATENCY: "latency rose", Signal.FAILURES: "failures rose"}


# --- signs that the incumbent is degraded -----------------------------------------------------------------------------


def signs(given: AutoSwapInput, incumbent: str) -> tuple[Guard, ...]:
    """Every sign of degradation, whether it is there or not."""
    found = (*_drifts(given, incumbent), _qualifies(given, incumbent), success(given, incumbent))
    return _if_wanted(given, "degraded", (*found, _quality(given, incumbent)))


def _if_wanted(given: AutoSwapInput, trigger: str, found: tuple[Guard, ...]) -> tuple[Guard, ...]:
    """A trigger that the configuration leaves out is never met."""
    if trigger in given.limits.triggers:
        return found
    wanted = f"[autopilot] triggers had {trigger!r}"
    return tuple(replace(guard, met=False, would_change_if=wanted) for guard in found)


def _drifts(given: AutoSwapInput, incumbent: str) -> tuple[Guard, ...]:
    """One for each alarm that stands, and one for each signal without."""
    standing = {alarm.signal for alarm in given.alarms}
    silent = (signal for signal in Signal if signal not in standing)
    return (*(_alarm(alarm, incumbent) for alarm in given.alarms), *(_silent(signal, incumbent) for signal in silent))


def _alarm(alarm: Alarm, incumbent: str) -> Guard:
    met = alarm.signal is not Signal.LATENCY or alarm.after >= MATERIAL_SLOWDOWN * alarm.before
    before = figure(alarm.before, UNITS[f"drift_{alarm.signal}"])
    slower = f"latency were at least {MATERIAL_SLOWDOWN:g} times what it was"
    return Guard(
        rule=f"drift_{alarm.signal}",
        kind="trigger",
        met=met,
        value=alarm.after,
        threshold=alarm.before,
        unit=UNITS[f"drift_{alarm.signal}"],
        version=incumbent,
        would_change_if=f"{alarm.signal} had stayed near {before}; it {_changed(alarm)}" if met else slower,
    )


def _changed(alarm: Alarm) -> str:
    return alarm.sentence.removeprefix(f"{alarm.signal} ")


def _silent(signal: Signal, incumbent: str) -> Guard:
    wanted = f"its {_WORSE[signal]} for good"
    return Guard(rule=f"drift_{signal}", kind="trigger", met=False, version=incumbent, would_change_if=wanted)


def _qualifies(given: AutoSwapInput, incumbent: str) -> Guard:
    reason = given.excluded.get(incumbent)
    return Guard(
        rule="qualifies",
        kind="trigger",
        met=reason is not None,
        value=reason,
        version=incumbent,
        would_change_if="it no longer qualified" if reason is None else "it qualified again",
    )


def success(given: AutoSwapInput, incumbent: str) -> Guard:
    """Whether the incumbent fails too often."""
    stats, limits = given.stats.get(incumbent, EMPTY), given.limits
    rate = stats.success_rate
    met = rate is not None and stats.samples >= limits.min_samples and rate < limits.performance_threshold
    return _least("success", rate, limits.performance_threshold, met, incumbent)


def _quality(given: AutoSwapInput, incumbent: str) -> Guard:
    """Against the task's own threshold; a task without one has no such sign."""
    stats, threshold = given.stats.get(incumbent, EMPTY), given.task.criteria.quality_threshold
    if threshold is None:
        wanted = "the task had a quality_threshold"
        return Guard(rule="quality", kind="trigger", met=False, value=stats.quality, unit="share", version=incumbent,
                     would_change_if=wanted)  # fmt: skip
    floor = given.limits.quality_factor * threshold
    proven = stats.quality is not None and stats.quality_weight >= given.limits.min_samples
    met = proven and stats.quality is not None and stats.quality < floor
    return _least("quality", stats.quality, floor, met, incumbent)


def _least(rule: str, value: float | None, threshold: float, met: bool, incumbent: str) -> Guard:
    wanted = f"{rule} were {'at least' if met else 'below'} {share(threshold)}"
    return Guard(rule=rule, kind="trigger", met=met, value=value, threshold=threshold, unit="share", version=incumbent,
                 would_change_if=wanted)  # fmt: skip


# --- who would take over ----------------------------------------------------------------------------------------------


def alternative(given: AutoSwapInput, best: float | None, met: bool, version: str = "") -> Guard:
    """Whether anybody is better than what a degraded incumbent has become; ``best``: the largest lead in utility beyond
    its cost, and whose it is."""
    cost = given.cost_of(version)
    wanted = "no other version were better" if met else f"another version led by more than {share(cost)}"
    return Guard(rule="alternative", kind="condition", met=met, value=best, threshold=cost, unit="share",
                 would_change_if=wanted)  # fmt: skip


def better(given: AutoSwapInput, version: str, low: float | None, incumbent: str) -> Guard:
    """Whether ``version`` is credibly better; ``low``: the lower bound of its lead in utility."""
    cost = given.cost_of(version)
    if low is None:
        wanted = "another version qualified"
    elif low > cost:
        wanted = f"the lower bound of {version}'s lead over {incumbent} were at most {share(cost)}"
    else:
        wanted = f"the lower bound of {version}'s lead were above {share(cost)}"
    asked = Guard(rule="better", kind="trigger", met=low is not None and low > cost, value=low, threshold=cost,
                  unit="share", version=version, would_change_if=wanted)  # fmt: skip
    return _if_wanted(given, "better", (asked,))[0]


# --- conditions -------------------------------------------------------------------------------------------------------


def conditions(given: AutoSwapInput, challenger: RowView | None) -> tuple[Guard, ...]:
    """Everything that must hold before ``challenger`` takes over; without one, what does not depend on it."""
    always = (
        _mode(given), _schedule(given), _hold(given), _trial(given), _cooldown(given), _budget(given), _heat(given),
        _hardware(given), _quiet(given),
    )  # fmt: skip
    turned = () if challenger is None else (_oscillation(given, challenger.version),)
    return (*always, *turned, *_evidence(given, challenger))


def _mode(given: AutoSwapInput) -> Guard:
    met = given.mode is AutopilotMode.ON
    rule = "observe" if given.mode is AutopilotMode.OBSERVE else "mode"
    wanted = "the autopilot is on (it only observes)" if rule == "observe" else "the autopilot is on (it is off)"
    return Guard(rule=rule, kind="condition", met=met, value=str(given.mode), threshold=str(AutopilotMode.ON),
                 would_change_if="it were set to observe or off" if met else wanted)  # fmt: skip


def _schedule(given: AutoSwapInput) -> Guard:
    met, windows = not given.closed, given.windows
    wanted = "the schedule's window closed" if windows else "[schedule] had windows"
    return Guard(rule="schedule", kind="condition", met=met, value="open" if met else "closed",
                 threshold=windows or "any time",
                 would_change_if=wanted if met else f"the schedule's window opens ({windows})")  # fmt: skip


def _hold(given: AutoSwapInput) -> Guard:
    """Value and limit are moments; without a hold there is none to wait for."""
    until = given.route.hold_until
    left = until - given.now
    met = given.now >= until
    wanted = "you swapped or rolled back by hand" if met else f"the operator's hold ends in {wait(left)}"
    return Guard(rule="hold_until", kind="condition", met=met, value=None if met else given.now,
                 threshold=None if met else until, unit="at", would_change_if=wanted)  # fmt: skip


def _trial(given: AutoSwapInput) -> Guard:
    """A rollout decides by its own evidence; only a degraded incumbent can't wait for it."""
    candidate = given.route.candidate
    met = candidate is None or _is_degraded(given)
    wanted = f"the rollout of {candidate} is over" if not met else "a rollout were under way"
    return Guard(rule="rollout", kind="condition", met=met, value=candidate, would_change_if=wanted)


def _cooldown(given: AutoSwapInput) -> Guard:
    limit = given.limits.cooldown_s
    since = None if given.last_swap_at is None else given.now - given.last_swap_at
    met = since is None or since >= limit
    wanted = "a swap had just been" if met or since is None else f"the cooldown ends in {wait(limit - since)}"
    return Guard(rule="cooldown", kind="condition", met=met, value=since, threshold=limit, unit="s",
                 would_change_if=wanted)  # fmt: skip


def _budget(given: AutoSwapInput) -> Guard:
    limit, day = given.limits.swaps_per_day, given.now - DAY_S
    done = [move.at for move in given.moves if move.at > day]
    met = not limit or len(done) < limit
    if met:
        wanted = (
            f"it had swapped {plural(limit, 'time')} within 24 hours" if limit else "[autopilot] swaps_per_day were set"
        )
    else:
        wanted = f"its oldest swap of the day is a day old, in {wait(sorted(done)[-limit] - day)}, or you swap by hand"
    return Guard(rule="budget", kind="condition", met=met, value=len(done), threshold=limit or None,
                 would_change_if=wanted)  # fmt: skip


def _heat(given: AutoSwapInput) -> Guard:
    """A model that heat slows down is no worse than it was; one that fails can't wait for the machine to cool down."""
    held = given.limits.heat_holds and given.around.is_hot(given.now)
    incumbent = given.route.incumbent
    failing = incumbent is not None and any(s.met and s.rule in FAILING for s in signs(given, incumbent))
    wanted = f"nothing had been held back by heat for {span(SETTLE_S)}" if held else "heat held the machine back"
    return Guard(rule="heat", kind="condition", met=not held or failing, value=", ".join(given.around.hot) or None,
                 would_change_if=wanted)  # fmt: skip


def _hardware(given: AutoSwapInput) -> Guard:
    """Seconds that were measured with another GPU say nothing of the next ones: they are measured anew first."""
    at, limit = given.around.changed_at, given.limits.cooldown_s
    since = None if at is None else given.now - at
    met = since is None or since >= limit
    wanted = "a GPU had just appeared or left" if met or since is None else f"in {wait(limit - since)}"
    said = wanted if met else f"{given.around.change}; it looks again {wanted}"
    return Guard(rule="hardware", kind="condition", met=met, value=None if met else since, threshold=limit, unit="s",
                 would_change_if=said)  # fmt: skip


def _quiet(given: AutoSwapInput) -> Guard:
    """A better model can wait, at most until the next quiet hour of the day; a degraded one costs answers meanwhile."""
    around, left = given.around, given.around.quiet_in_s
    met = not given.limits.quiet_only or not left or _is_degraded(given)
    if left and not met:
        wanted = f"the next hour that is usually quiet begins, in {wait(left)}"
    else:
        wanted = "this hour were usually busy" if given.limits.quiet_only else "[schedule] quiet were true"
    known = around.busy if given.limits.quiet_only else None
    return Guard(rule="quiet", kind="condition", met=met, value=known,
                 threshold=None if known is None else QUIET_BELOW, would_change_if=wanted)  # fmt: skip


def _is_degraded(given: AutoSwapInput) -> bool:
    incumbent = given.route.incumbent
    return incumbent is not None and any(sign.met for sign in signs(given, incumbent))


def _oscillation(given: AutoSwapInput, to: str) -> Guard:
    """Whom the autopilot has just replaced it does not bring back by itself, unless the one that serves is degraded:
    then once, for that is a rollback. What remains is to and fro, and the operator is asked."""
    now, window = given.now, given.limits.oscillation_s
    left = sorted(move.at for move in given.moves if move.at > now - window and move.from_ == to)
    allowed = 1 if _is_degraded(given) else 0
    met = len(left) <= allowed
    wanted = (
        f"it had replaced {to} within the last {span(window)}"
        if met
        else f"you swap by hand: it replaced {to} already, and asks before it goes to and fro "
        f"({wait(left[-allowed - 1] + window - now)} more)"
    )
    asked = None if met and not left else len(left)  # nothing to and fro: there is no figure to compare
    limit = None if asked is None else allowed
    return Guard(rule="oscillation", kind="condition", met=met, value=asked, threshold=limit, version=to,
                 would_change_if=wanted)  # fmt: skip


def spendings(given: AutoSwapInput) -> tuple[Guard, ...]:
    """What the task has spent today of each budget. None forbids a swap: their prices are part of every lead."""
    return tuple(
        Guard(
            rule=f"{budget.kind}_today", kind="condition", met=True, value=budget.spent, threshold=budget.limit,
            unit="s" if budget.kind == "seconds" else "",
            would_change_if=f"spending left the day's pace; the dearest version pays {share(budget.price)} of utility",
        )
        for budget in given.budgets
    )  # fmt: skip


def _evidence(given: AutoSwapInput, challenger: RowView | None) -> tuple[Guard, ...]:
    incumbent, needed = given.route.incumbent or "", given.limits.min_samples
    mine = _samples("min_samples", incumbent, given.stats.get(incumbent, EMPTY).samples, needed)
    found = [mine] if incumbent not in given.excluded else []
    if challenger is None:
        return tuple(found)
    found.append(_samples("min_samples", challenger.version, challenger.samples, needed))
    if challenger.samples >= needed and challenger.version in given.owed:
        found.append(_samples("new_evidence", challenger.version, challenger.samples, owes(given, challenger.version)))
    return tuple(found)


def owes(given: AutoSwapInput, version: str) -> int:
    """Samples that it must have before it may serve."""
    return max(given.limits.min_samples, given.owed.get(version, 0))


def _samples(rule: str, version: str, have: int, needed: int) -> Guard:
    met = have >= needed
    wanted = (
        f"{version} had fewer than {samples(needed)}" if met else f"{version} has {samples(needed)} (it has {have})"
    )
    return Guard(rule=rule, kind="condition", met=met, value=have, threshold=needed, unit="samples", version=version,
                 would_change_if=wanted)  # fmt: skip
