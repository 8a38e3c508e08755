"""What the cockpit shows, as sentences: first everything, then only what changes. Pure: no clock, no output.

Owns: which change is worth a line, and its words. Never: where lines go (plain.py). States, routes, swaps, alerts and
the narrator are told whenever they change; figures when they have moved noticeably and were not told a moment ago.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..core.snapshot import ModelView, OperationView, Reading, RolloutView, Snapshot, SwapView, TaskView
from ..core.words import stays
from . import text as t

CALM_S = 10.0  # a figure of one thing is told at most so often
MOVED = 0.2  # share of the figure, or of the whole for loads, that is noticeable
SWAPS_FIRST = 5
RESULTS = {"running": "is under way", "done": "is done", "failed": "failed", "rolled_back": "was done"}
TRIGGERS = {"manual": "by hand", "auto": "by the autopilot", "rollback": "to undo", "rollout": "by a canary",
            "schedule": "as scheduled"}  # fmt: skip


class Teller:
    """Remembers what it has told; ``tell`` yields what is new."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._figures: dict[str, tuple[float, tuple[float | None, ...]]] = {}
        self._at = 0.0

    def tell(self, s: Snapshot) -> Iterator[str]:
        first, self._at = not self._told, s.taken_at
        yield from self._engine(s)
        yield from self._machine(s)
        for model in s.models:
            yield from self._model(model, s)
        yield from self._gone("model", "Model", [m.version for m in s.models])
        for task in s.tasks:
            yield from self._task(task)
        yield from self._gone("task", "Task", [x.task for x in s.tasks])
        for age, swap in reversed(list(enumerate(s.swaps))):
            if first and age >= SWAPS_FIRST:  # history: one key away on the screen, `arbiter history` here
                self._told[f"swap {swap.id}"] = _swap(swap)
            yield from self._new(f"swap {swap.id}", _swap(swap))
        for rollout in s.rollouts:
            yield from self._new(f"rollout {rollout.id}", _rollout(rollout))
        for op in s.operations:
            yield from self._new(f"operation {op.id}", _operation(op))
        for alert in reversed(s.alerts):
            yield from self._new(f"alert {alert.id}", f"{alert.level.capitalize()}: {alert.message}")
        if s.narrator:
            yield from self._new("narrator", f"Now: {s.narrator}")

    # what decides -----------------------------------------------------------------------------------------------------
    def _new(self, key: str, said: str) -> Iterator[str]:
        """Told when it differs from what was told last under this key."""
        if self._told.get(key) != said:
            self._told[key] = said
            yield said

    def _moved(self, key: str, *values: float | None, whole: float | None = None) -> bool:
        """Whether figures are worth a line: noticeably other than told, and not told a moment ago."""
        at, before = self._figures.get(key, (float("-inf"), ()))
        if before and (self._at - at < CALM_S or not any(map(_noticeable, before, values, [whole] * len(values)))):
            return False
        self._figures[key] = (self._at, values)
        return True

    def _gone(self, kind: str, name: str, there: list[str]) -> Iterator[str]:
        for key in [k for k in self._told if k.startswith(f"{kind} ") and k.partition(" ")[2] not in there]:
            del self._told[key]
            yield f"{name} {key.partition(' ')[2]} is no longer there."

    # what is told -----------------------------------------------------------------------------------------------------
    def _engine(self, s: Snapshot) -> Iterator[str]:
        e = s.engine
        where = f" at {e.url}" if e.url else ""
        reads = " It only reads." if e.read_only else ""
        yield from self._new("engine", f"The engine{where} is {e.state}; its autopilot is {e.autopilot}.{reads}")
        if e.lost_at_last_crash:
            yield from self._new(
                "lost",
                f"{t.plural(e.lost_at_last_crash, 'measurement was', 'measurements were')} lost when it crashed last.",
            )
        yield from self._new("failed", f"{e.failed} of its requests have failed so far.")
        if self._moved("requests", e.requests, e.requests_per_second):
            yield f"{t.plural(e.requests, 'request')} so far, {_figure(e.requests_per_second)} a second."

    def _machine(self, s: Snapshot) -> Iterator[str]:
        h, b = s.hardware, s.budget
        yield from self._new("backend", f"Models run on {h.backend}{f' ({h.cpu_name})' if h.cpu_name else ''}.")
        if self._moved("cpu", h.cpu.value, whole=1.0):
            yield f"Processor load: {_percent(h.cpu.value)}{_power(h.cpu_power_w)}."
        if self._moved("ram", h.ram_used_bytes.value, whole=h.ram_total_bytes.value):
            swap = f"; swap {t.size(h.swap_used_bytes.value)}" if h.swap_used_bytes.value else ""
            yield f"Memory: {t.size(h.ram_used_bytes.value)} of {t.size(h.ram_total_bytes.value)}{swap}."
        if self._moved("budget", b.used_bytes, whole=b.limit_bytes or None):
            yield f"Models hold {t.size(b.used_bytes)} of the {t.size(b.limit_bytes)} they may use."
        for g in h.gpus:
            if self._moved(f"gpu {g.index}", g.utilisation.value, whole=1.0):
                yield (
                    f"GPU {g.index}, {g.name}: load {_percent(g.utilisation.value)}, "
                    f"{t.size(g.memory_used_bytes.value)} of {t.size(g.memory_total_bytes.value)}"
                    f"{_power(g.power_w)}{_heat(g.temperature_c)}."
                )
        if not h.gpus:
            yield from self._new("gpus", f"No GPU: {h.gpu_why or 'none was found'}.")

    def _model(self, m: ModelView, s: Snapshot) -> Iterator[str]:
        load = f", {m.progress:.0%} loaded" if m.progress is not None and m.state == "loading" else ""
        error = f": {m.error}" if m.error else ""
        if self._told.get(f"model {m.version}") != m.state + error:
            self._told[f"model {m.version}"] = m.state + error
            yield f"Model {m.version} is {m.state}{load}{error}."
        serves = ", ".join(m.serves) or ", ".join(x.task for x in s.tasks if x.incumbent == m.version)
        facts = [f"serves {serves}" if serves else "serves no task"]
        facts += [f"lifecycle {m.lifecycle}"] if m.lifecycle != "active" else []
        facts += [f"health {m.health}"] if m.health not in ("unknown", "ok") else []
        facts += ["kept loaded"] if m.pinned else []
        facts += [f"also called {', '.join(m.aliases)}"] if m.aliases else []
        yield from self._new(f"facts {m.version}", f"Model {m.version} {'; '.join(facts)}.")
        figures = (m.resident_bytes, m.tokens_per_second, m.ttft_s, float(m.failures), float(m.queued > 0))
        if self._moved(f"figures {m.version}", *figures):
            memory = (
                f"{t.size(m.resident_bytes)} in memory"
                if m.resident_bytes is not None
                else f"about {t.size(m.predicted_bytes)} when loaded"
            )
            yield (
                f"Model {m.version}: {memory}, {_figure(m.tokens_per_second)} tokens a second, first one after "
                f"{_time(m.ttft_s)}; {m.in_flight} under way, {m.queued} waiting; {t.plural(m.requests, 'request')}, "
                f"{m.failures} failed."
            )

    def _task(self, x: TaskView) -> Iterator[str]:
        trial = f" {x.candidate} is on trial for {_percent(x.candidate_share)} of them." if x.candidate else ""
        before = f" Before it: {x.previous}." if x.previous else ""
        held = " The autopilot leaves it alone for a while." if x.hold_until else ""
        who = f"{x.incumbent} serves its requests" if x.incumbent else "nobody serves it"
        yield from self._new(f"task {x.task}", f"Task {x.task}: {who}; autopilot {x.autopilot}.{trial}{before}{held}")
        if x.leaderboard and not any(r.samples for r in x.leaderboard):
            yield from self._new(f"order {x.task}", f"Ranking of {x.task}: nothing is measured yet.")
            return
        order = [r.version for r in x.leaderboard[:3]]
        best = [r.utility for r in x.leaderboard[:3]]
        changed = self._told.get(f"order {x.task}") != ",".join(order)
        if order and (self._moved(f"ranking {x.task}", *best, whole=0.5) or changed):
            self._told[f"order {x.task}"] = ",".join(order)
            ranks = "; ".join(
                f"{n}. {r.version} utility {_share(r.utility)} from {_share(r.utility_low)} to "
                f"{_share(r.utility_high)}, quality {_share(r.quality)}, median {_time(r.latency_p50_s)}, "
                f"best with P {_share(r.p_best)}, {t.plural(r.samples, 'sample')}"
                for n, r in enumerate(x.leaderboard[:3], 1)
            )
            more = f"; and {len(x.leaderboard) - 3} more" if len(x.leaderboard) > 3 else ""
            yield f"Ranking of {x.task}: {ranks}{more}."


def _swap(w: SwapView) -> str:
    took = f" in {t.duration(w.duration_s)}" if w.duration_s is not None else ""
    phase = f", {w.phases[-1].name}" if w.result == "running" and w.phases else ""
    at = time.strftime("%d %b %H:%M", time.localtime(w.started_at))
    said = "; ".join(x for x in (w.error, w.reason) if x)
    what = f"Swap of {w.task} from {w.from_ or 'nobody'} to {w.to}"
    head = (
        f"{f'Swap of {w.task}: {stays(w.to)}' if w.from_ == w.to else what}, {TRIGGERS.get(w.trigger, w.trigger)}, {at}"
    )
    undone = ", and undone later" if w.result == "rolled_back" else ""
    return f"{head}: it {RESULTS.get(w.result, w.result)}{took}{undone}{phase}. {said}".rstrip()


def _rollout(r: RolloutView) -> str:
    why = f" Because: {r.reason}." if r.ended_at is not None and r.reason else ""
    at = f"{_percent(r.share)} of its requests" if r.blocks is None else t.plural(r.blocks, "block")
    share = f"{at}, {t.plural(r.pairs, 'pair')} compared"
    return f"Rollout of {r.to} on {r.task}: {r.phase}, {share}.{why}"


def _operation(op: OperationView) -> str:
    """A line a tenth; its estimate is told with it."""
    if op.state != "running":
        return f"{op.kind.capitalize()} {op.state}. {op.message}".rstrip()
    return f"{op.kind.capitalize()}: {int(op.progress * 10) * 10}% done."


def _noticeable(old: float | None, new: float | None, whole: float | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(new - old) > MOVED * (whole if whole else max(abs(old), 1e-9))


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else t.share(value)


def _time(value: float | None) -> str:
    return "an unknown time" if value is None else t.duration(value)


def _figure(value: float | None) -> str:
    return "an unknown number of" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _power(r: Reading) -> str:
    return "" if r.value is None else f", {r.value:.0f} W"


def _heat(r: Reading) -> str:
    return "" if r.value is None else f", {r.value:.0f} degrees"
