"""What the auto-swap is asked with, and what an answer looks like: plain data.

Owns: limits, inputs, the form of a guard. Never: a question (guards.py), a verdict (autoswap.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .budget import Budget
from .circumstances import NORMAL, Circumstances
from .drift import Alarm
from .posterior import Belief
from .routing import Route
from .scoring import MIN_SAMPLES, Stats
from .snapshot import RowView, Why
from .swap_cost import SwapCost, of_seconds
from .tasks import AutopilotMode, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSwapLimits:
    """``load_cost_s``: seconds that a swap to a version costs whose own cost is not told (AutoSwapInput.costs).
    ``swaps_per_day``: the autopilot's own swaps of one task in any 24 hours, 0: as many as it finds reasons for.
    ``oscillation_s``: so long it remembers whom it replaced, 0: not at all. ``heat_holds``: no swap while heat holds
    the machine back. ``quiet_only``: a better one waits for an hour that is usually quiet."""

    cooldown_s: float = 300.0
    min_samples: int = MIN_SAMPLES
    performance_threshold: float = 0.8
    quality_factor: float = 0.9
    triggers: tuple[str, ...] = ("degraded", "better")
    load_cost_s: float = 0.0
    swaps_per_day: int = 24
    oscillation_s: float = 21_600.0
    heat_holds: bool = False
    quiet_only: bool = False

    @property
    def switching_cost(self) -> float:
        """In utility."""
        return of_seconds(self.load_cost_s)


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
    machine's circumstances. ``budgets``: the task's of today, whose prices every version pays by what it costs.
    ``costs``: what swapping to each version would cost; of one that is not in it, what the limits say.
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
    budgets: Sequence[Budget] = ()
    costs: Mapping[str, SwapCost] = field(default_factory=dict)

    def cost_of(self, version: str) -> float:
        """Of swapping to it, in utility."""
        known = self.costs.get(version)
        return self.limits.switching_cost if known is None else known.utility


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
