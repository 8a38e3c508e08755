"""/metrics as Prometheus text: prefix ``arbiter_``, base units, bounded labels; what is unknown has no line.

Owns: the names of the families and the text format. Never: counts (engine/measures.py does), wakes a model, a label
that a client chose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ..core.breaker import Phase
from ..core.snapshot import Snapshot
from ..engine.arbiter import Arbiter
from ..engine.measures import Histogram, Measures

Value = float | int | None
BREAKER = {Phase.CLOSED: 0, Phase.HALF_OPEN: 1, Phase.OPEN: 2}
Row = tuple[str, Value]
HISTOGRAMS = {
    "request_seconds": "of a request, queue and load included",
    "queue_seconds": "waiting for a place or for a load",
    "ttft_seconds": "from the lease to the first token",
    "inter_token_seconds": "between two tokens, mean of an answer",
    "overhead_seconds": "what the arbiter itself added",
}


class Text:
    """The lines so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def family(self, name: str, kind: str, text: str, rows: Iterable[Row]) -> None:
        known = [(labels, value) for labels, value in rows if value is not None]
        if known:
            self._head(name, kind, text)
            self.lines.extend(f"arbiter_{name}{labels} {number(value)}" for labels, value in known)

    def histogram(self, name: str, text: str, rows: Iterable[tuple[dict[str, str], Histogram]]) -> None:
        known = [(names, found) for names, found in rows if found.count]
        if not known:
            return
        self._head(name, "histogram", text)
        for names, found in known:
            below = 0
            for bound, count in zip((*found.bounds, "+Inf"), found.counts, strict=True):
                below += count
                self.lines.append(f"arbiter_{name}_bucket{labelled(**names, le=str(bound))} {below}")
            self.lines.append(f"arbiter_{name}_sum{labelled(**names)} {number(found.sum)}")
            self.lines.append(f"arbiter_{name}_count{labelled(**names)} {below}")

    def _head(self, name: str, kind: str, text: str) -> None:
        self.lines.extend((f"# HELP arbiter_{name} {text}", f"# TYPE arbiter_{name} {kind}"))


def render(arbiter: Arbiter) -> str:
    seen, text = arbiter.snapshot(), Text()
    _engine(text, arbiter, seen)
    _requests(text, arbiter.live.measures)
    _models(text, seen)
    _breakers(text, arbiter, seen)
    _swaps(text, arbiter.live.measures, seen)
    return "\n".join(text.lines) + "\n"


def _engine(text: Text, arbiter: Arbiter, seen: Snapshot) -> None:
    text.family("up", "gauge", "1 while new work is accepted", [("", int(arbiter.state == "ready"))])
    text.family("uptime_seconds", "gauge", "since the start", [("", seen.engine.uptime_s)])
    text.family("memory_budget_bytes", "gauge", "for models", [("", seen.budget.limit_bytes)])
    text.family("memory_used_bytes", "gauge", "of the budget", [("", seen.budget.used_bytes)])
    text.family("tasks", "gauge", "asyncio's, in the engine's process", [("", len(asyncio.all_tasks()))])
    text.family("outcomes_dropped_total", "counter", "outcomes that could not be recorded",
                [("", arbiter.recorder.dropped)])  # fmt: skip


def _requests(text: Text, measures: Measures) -> None:
    series = [
        ({"task": task, "model": model, "provider": provider}, found)
        for (task, model, provider), found in measures.requests.items()
    ]
    ends = [(labelled(**names, outcome=how), n) for names, r in series for how, n in r.outcomes.items()]
    text.family("requests_total", "counter", "clients' requests that ended, by how", ends)
    text.family("tokens_total", "counter", "tokens that the engines reported",
                [(labelled(**names, direction=way), n)
                 for names, r in series for way, n in (("in", r.tokens_in), ("out", r.tokens_out))])  # fmt: skip
    text.family("energy_joules_total", "counter", "of requests whose energy was measured",
                [(labelled(**names), r.energy_j) for names, r in series])  # fmt: skip
    text.family("cost_total", "counter", "of requests to paid providers, in the currency of their prices",
                [(labelled(**names), r.money) for names, r in series])  # fmt: skip
    for name, said in HISTOGRAMS.items():
        text.histogram(name, said, ((names, r.histograms[name]) for names, r in series))


def _models(text: Text, seen: Snapshot) -> None:
    def each(field: str) -> list[Row]:
        return [(labelled(model=m.version, provider=m.provider), getattr(m, field)) for m in seen.models]

    text.family("model_requests_total", "counter", "requests a model served, those of earlier runs included",
                each("requests"))  # fmt: skip
    text.family("model_failures_total", "counter", "of them failed", each("failures"))
    text.family("model_in_flight", "gauge", "requests being answered", each("in_flight"))
    text.family("model_queued", "gauge", "requests waiting", each("queued"))
    text.family("model_resident_bytes", "gauge", "memory of the model's processes", each("resident_bytes"))
    states = [labelled(model=m.version, provider=m.provider, state=m.state) for m in seen.models]
    text.family("model_state", "gauge", "1 for the state a model is in", [(labels, 1) for labels in states])
    held: dict[str, int] = {}
    for m in seen.models:
        if m.resident_bytes is not None:
            held[m.state] = held.get(m.state, 0) + m.resident_bytes
    text.family("resident_bytes", "gauge", "memory of models by their state",
                [(labelled(state=state), n) for state, n in sorted(held.items())])  # fmt: skip


def _breakers(text: Text, arbiter: Arbiter, seen: Snapshot) -> None:
    """Of every version that this engine has asked: one that is quarantined is as good as open."""
    rows = [
        (labelled(model=m.version, provider=m.provider), BREAKER[arbiter.breakers.phase(m.version)]
         if m.state != "quarantined" else BREAKER[Phase.OPEN])
        for m in seen.models
        if arbiter.pool.view(m.version) is not None
    ]  # fmt: skip
    text.family("breaker_state", "gauge", "0 closed, 1 half-open (being tried), 2 open (not asked for a moment)", rows)
    _replicas(text, arbiter, seen)
    _servers(text, arbiter, seen)
    failovers = arbiter.live.measures.failovers
    text.family("failovers_total", "counter", "requests of a task that were asked of another version, by who failed",
                [(labelled(task=task, model=model), n) for (task, model), n in failovers.items()])  # fmt: skip


def _replicas(text: Text, arbiter: Arbiter, seen: Snapshot) -> None:
    several = [
        (m, view) for m in seen.models
        if (view := arbiter.pool.view(m.version)) is not None and view.replicas_ready is not None
    ]  # fmt: skip
    text.family("replicas", "gauge", "copies of a model: those that are wanted, and of them those that are ready", [
        (labelled(model=m.version, provider=m.provider, state=state), count)
        for m, view in several for state, count in (("wanted", view.replicas), ("ready", view.replicas_ready))
    ])  # fmt: skip
    text.family("replica_retries_total", "counter", "requests that went on to another copy before they had begun",
                [(labelled(model=m.version, provider=m.provider), view.retries) for m, view in several])  # fmt: skip


def _servers(text: Text, arbiter: Arbiter, seen: Snapshot) -> None:
    """What servers that run by themselves say of their own work, where they do."""
    told = [
        ({"model": m.version, "provider": m.provider}, view.load) for m in seen.models
        if (view := arbiter.pool.view(m.version)) is not None and view.load is not None
    ]  # fmt: skip
    text.family("server_requests", "gauge", "requests at a model's server, those of its other clients included", [
        (labelled(**names, state=state), n)
        for names, load in told for state, n in (("running", load.running), ("waiting", load.waiting))
    ])  # fmt: skip
    text.family("server_cache_used_ratio", "gauge", "share of a server's KV cache that is in use",
                [(labelled(**names), load.cache_used) for names, load in told])  # fmt: skip


def _swaps(text: Text, measures: Measures, seen: Snapshot) -> None:
    text.family("swaps_total", "counter", "swaps that ended, by what began them and how they ended",
                [(labelled(trigger=t, result=r), n) for (t, r), n in sorted(measures.swaps.items())])  # fmt: skip
    running = [r for r in seen.rollouts if r.ended_at is None]
    text.family("rollout_weight", "gauge", "share of its task's requests that a version on trial gets",
                [(labelled(task=r.task, model=r.to), r.share) for r in running])  # fmt: skip
    text.family("rollout_verdict", "gauge", "1 for what is judged of a version on trial now",
                [(labelled(task=r.task, model=r.to, verdict=r.verdict), 1) for r in running if r.verdict])  # fmt: skip


def labelled(**pairs: str) -> str:
    inner = ",".join(f'{k}="{_escape(v)}"' for k, v in pairs.items())
    return "{" + inner + "}"


def number(value: float | int) -> str:
    """All of its digits: a counter that is rounded stands still."""
    return str(value) if isinstance(value, int) else repr(value)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
