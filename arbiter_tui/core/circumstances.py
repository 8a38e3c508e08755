"""What a decision depends on besides the models: power and heat of the machine, its GPUs, how busy the hour usually is.

Owns: what follows from one reading of the machine after another, and what is said of it. Never: reads the machine,
vetoes a swap (guards.py asks), a clock.

Unknown is None and forbids nothing: a machine that can't tell is treated as one on mains, and cool.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .snapshot import GpuView, HardwareView
from .words import all_of

SETTLE_S = 60.0  # heat comes and goes by the second: so long it must have been gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """``hot``: what heat holds back, seen last at ``hot_at``. ``gpus`` None: never read. ``changed_at``: when a GPU
    appeared or left, ``change`` says which. ``busy``: how much traffic is usual at this time, 1 is the mean of the
    week, None where that is not learnt; ``quiet_in_s``: seconds until the next hour that is usually quiet, None where
    none is within a day or it is not known. Times in unix seconds."""

    on_battery: bool | None = None
    hot: tuple[str, ...] = ()
    hot_at: float | None = None
    gpus: tuple[str, ...] | None = None
    change: str = ""
    changed_at: float | None = None
    busy: float | None = None
    quiet_in_s: float | None = None

    def is_hot(self, now: float) -> bool:
        return self.hot_at is not None and now - self.hot_at < SETTLE_S


NORMAL = Circumstances()


def seen(before: Circumstances, view: HardwareView, now: float) -> tuple[Circumstances, tuple[str, ...]]:
    """With one more reading of the machine, and what is new in it, in sentences. One that did not answer in time says
    nothing: no GPU has left because of it."""
    if view.stale:
        return before, ()
    gpus = tuple(_name(gpu) for gpu in view.gpus if gpu.name)
    after = replace(before, on_battery=view.on_battery, gpus=gpus)
    hot = _hot(view)
    if hot:
        after = replace(after, hot=hot, hot_at=now)
    elif not before.is_hot(now):
        after = replace(after, hot=(), hot_at=None)
    change = "" if before.gpus is None else _change(before.gpus, gpus)
    if change:
        after = replace(after, change=change, changed_at=now)
    return after, tuple(said for said in (_power(before, after), _heat(before, after), change) if said)


def _hot(view: HardwareView) -> tuple[str, ...]:
    """Heat only: a power limit or somebody's fixed clocks hold for good, and are part of the machine."""
    of_gpus = (f"GPU {gpu.index}: {reason}" for gpu in view.gpus for reason in gpu.throttle if "heat" in reason)
    return (*view.cpu_throttle, *of_gpus)


def _name(gpu: GpuView) -> str:
    return f"GPU {gpu.index} ({gpu.name})"


def _change(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    gone, new = [g for g in before if g not in after], [g for g in after if g not in before]
    left = f"{all_of(gone)} left: what ran on it is loaded again where it fits" if gone else ""
    came = f"{all_of(new)} appeared: what is loaded from now on may use it" if new else ""
    return "; ".join(part for part in (left, came) if part)


def _power(before: Circumstances, after: Circumstances) -> str:
    if after.on_battery and not before.on_battery:
        return "on battery"
    return "mains power is back" if before.on_battery and after.on_battery is False else ""


def _heat(before: Circumstances, after: Circumstances) -> str:
    if after.hot and not before.hot:
        return f"heat holds the machine back: {', '.join(after.hot)}"
    return "heat no longer holds the machine back" if before.hot and not after.hot else ""
