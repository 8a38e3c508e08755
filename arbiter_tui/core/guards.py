"""Guards: every question that the auto-swap asks before it acts, with its value, its limit and its answer.

Owns: what is asked (the signs of degradation, the conditions of a swap) and the words for what would change each
answer. Never: the choice of a challenger, the verdict (autoswap.py decides by these very answers and by no others).

A *trigger* that is met asks for a swap; a *condition* that is not met forbids it. A swap happens when one trigger and
all conditions are met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .circumstances import NORMAL, SETTLE_S, Circumstances
from .drift import Alarm, Signal
from .posterior import Belief
from .routing import Route
from .scoring import EMPTY, MIN_SAMPLES, Stats
from .snapshot import RowView, Why
from .tasks import AutopilotMode, Task
from .words import UNITS, figure, plural, samples, share, span, wait

AMORTISED_S = 300.0  # a load pays off over this long: its seconds as a share of them are the cost, in utility
MAX_COST = 0.1
DAY_S = 86_400.0
MATERIAL_SLOWDOWN = 1.5  # latency follows load and prompts: a smaller rise is reported, not acted upon
CONDITIONS = frozenset(
    ("mode", "observe", "schedule", "hold_until", "cooldown", "min_samples", "new_evidence", "rollout", "budget",
     "oscillation", "heat", "hardware")
)  # fmt: skip
FAILING = frozenset({"success", "drift_failures", "qualifies"})  # signs that no cooler machine would mend
_WORSE = {Signal.QUALITY: "quality fell", Signal.LATENCY: "latency rose", Signal.FAILURES: "failures rose"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSwapLimits:
    """``load_cost_s``: seconds until the challenger could serve (0 when it is warm), evictions' reloads included.
    ``swaps_per_day``: the autopilot's own swaps of one task in any 24 hours, 0: as many as it finds reasons for.
    ``oscillation_s``: so long it remembers whom it replaced, 0: not at all. ``heat_holds``: no swap while heat holds
    the machine back."""

    cooldown_s: float = 300.0
    min_samples: int = MIN_SAMPLES
    performance_threshold: float = 0.8
    quality_factor: float = 0.9
    triggers: tuple[str, ...] = ("degraded", "better")
    load_cost_s: float = 0.0
    swaps_per_day: int = 24
    oscillation_s: float = 21_600.0
    heat_holds: bool = False

    @property
    def switching_cost(self) -> float:
        """In utility."""
        return min(MAX_COST, max(0.0, self.load_cost_s) / AMORTISED_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A swap that the autopilot has done; ``at`` in unix seconds."""

    at: float
    from_: str | None
    to: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSwapInput:
    """``rows``: the task's leaderboard; ``stats``: by version, for this task; times in unix seconds.

    ``excluded``: version -> why it may not serve (selection's reasons). ``owed``: version -> samples that it must have
    before it may return, because it was rolled back. ``alarms``: the incumbent's; of each signal the last one counts.
    ``moves``: the autopilot's own swaps of this task, oldest first. ``closed``: outside the schedule's ``windows`` (in
    words; empty: at any time). ``beliefs``: those of the policy ``bandit``; without any, the score decides.
    ``nominee``: whom a plugin's policy would have serve: nobody else takes over for being better. ``around``: the
    machine's circumstances.
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
    closed: bool = False
    windows: str = ""
    moves: Sequence[Move] = ()
    beliefs: Sequence[Belief] = ()
    nominee: str | None = None
    around: Circumstances = NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One question and its answer. ``met``: a trigger is there, a condition holds. ``version``: whom it is asked of.

    ``unit`` of value and threshold: share (0..1), s (seconds), at (unix seconds), samples, or empty for words.
    """

    rule: str
    kind: Literal["trigger", "condition"]
    met: bool
    value: Any = None
    threshold: Any = None
    unit: str = ""
    version: str = ""
    would_change_if: str = ""

    @property
    def why(self) -> Why:
        return Why(rule=self.rule, value=self.value, threshold=self.threshold, would_change_if=self.would_change_if)


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


def alternative(given: AutoSwapInput, best: float | None, met: bool) -> Guard:
    """Whether anybody is better than what a degraded incumbent has become; ``best``: the largest lead in utility."""
    cost = given.limits.switching_cost
    wanted = "no other version were better" if met else f"another version led by more than {share(cost)}"
    return Guard(rule="alternative", kind="condition", met=met, value=best, threshold=cost, unit="share",
                 would_change_if=wanted)  # fmt: skip


def better(given: AutoSwapInput, version: str, low: float | None, incumbent: str) -> Guard:
    """Whether ``version`` is credibly better; ``low``: the lower bound of its lead in utility."""
    cost = given.limits.switching_cost
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
        _hardware(given),
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
    candidate, incumbent = given.route.candidate, given.route.incumbent
    degraded = incumbent is not None and any(sign.met for sign in signs(given, incumbent))
    met = candidate is None or degraded
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


def _oscillation(given: AutoSwapInput, to: str) -> Guard:
    """Whom the autopilot has just replaced it does not bring back by itself, unless the one that serves is degraded:
    then once, for that is a rollback. What remains is to and fro, and the operator is asked."""
    now, window = given.now, given.limits.oscillation_s
    left = sorted(move.at for move in given.moves if move.at > now - window and move.from_ == to)
    degraded = given.route.incumbent is not None and any(sign.met for sign in signs(given, given.route.incumbent))
    allowed = 1 if degraded else 0
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
