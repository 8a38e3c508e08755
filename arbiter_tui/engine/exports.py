"""Export: everything learnt, as the lines of an archive.

Owns: which records become which lines, and what is left out of them. Never: the format (core/archive.py), bytes
(archive.py), a prompt, an answer, a path, a key, what a person wrote.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .. import __version__
from ..config import merge_patches
from ..core.archive import TEACHING, kinds
from ..core.cost import Outcome
from ..core.intake import flaws, sound
from ..core.knowledge import Heard
from ..core.prediction import traits
from ..core.registry import ModelVersion
from ..core.snapshot import RolloutView, SwapView
from ..core.traffic import Traffic
from ..errors import Refused
from ..ports import StoredState
from .archive import PACKED, UNPACKED, line, packed, written
from .evidence import Evidence
from .knowledge import Knowledge
from .live import Live
from .recorder import Recorder
from .slices import sliced

OUTCOME = tuple(f.name for f in fields(Outcome))
ORIGIN = "install"  # the note with this state folder's random name
PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """``data``: the whole archive, packed. ``sha256``: of its lines behind the header."""

    data: bytes
    header: Mapping[str, Any]


class Exports:
    def __init__(
        self, live: Live, evidence: Evidence, recorder: Recorder, knowledge: Knowledge,
        kind_of: Callable[[ModelVersion], str | None], rollouts: Callable[[], Sequence[RolloutView]],
        traffic: Callable[[], Traffic],
    ) -> None:  # fmt: skip
        self._live, self._evidence, self._recorder, self._knowledge = live, evidence, recorder, knowledge
        self._kind_of, self._rollouts, self._own_traffic = kind_of, rollouts, traffic

    async def origin(self) -> str:
        """This state folder's name, made when it is needed first."""
        found = await self._live.store.note(ORIGIN)
        if isinstance(found, str):
            return found
        made = secrets.token_hex(16)
        await self._live.store.save_note(ORIGIN, made)
        return made

    async def run(self, what: list[str] | None, tell: Callable[[float], None]) -> Export:
        """``what``: words of core/archive.py's WHAT, all without any; ``tell`` hears the share (0..1) that is done."""
        await self._recorder.flush()
        origin, store = await self.origin(), self._live.store
        state, heard = await store.load(), await store.heard()
        chosen, patches = kinds(what), await store.note("tasks") or {}
        known = len(state.outcomes) + len(heard.outcomes) + len(state.swaps) + 100
        body, counts, size = list[bytes](), dict[str, int](), 0
        async for kind, told in sliced(self._lines(chosen, origin, state, heard, patches)):
            body.append(line(kind, told))
            counts[kind], size = counts.get(kind, 0) + 1, size + len(body[-1])
            tell(min(0.9, 0.9 * len(body) / known))
            if size > UNPACKED:
                raise Refused(f"the archive would have more than {UNPACKED // 2**20} MiB: export less of it (--what)")
        header = {
            "arbiter": __version__, "made_at": self._live.clock.now(), "origin": origin,
            "machine": self._knowledge.machine, "ledger": await self._head(),
            "machines": dict(sorted(self._knowledge.known.machines.items())),
        }  # fmt: skip
        whole = await asyncio.to_thread(written, header, body, counts)
        del body
        data = await asyncio.to_thread(packed, whole)
        if len(data) > PACKED:
            raise Refused(f"the archive would have more than {PACKED // 2**20} MiB packed: export less of it (--what)")
        return Export(data=data, header={**header, "counts": counts})

    async def _head(self) -> dict[str, Any]:
        """The newest line of the ledger: an archive can be held against the chain that it was made beside."""
        after: str | None = None
        last: dict[str, Any] | None = None
        while lines := await self._live.store.ledger(limit=PAGE, after=after):
            last, after = lines[-1], lines[-1]["id"]
            if len(lines) < PAGE:
                break
        return {"entries": int(last["id"]) if last else 0, "hash": last.get("hash") if last else None}

    # ── lines ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _lines(
        self, chosen: frozenset[str], origin: str, state: StoredState, heard: Heard, patches: Mapping[str, Any]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Models before what speaks of them."""
        makers: dict[str, Callable[[], Iterator[Mapping[str, Any]]]] = {
            "model": lambda: self._models(heard, origin), "task": lambda: self._tasks(patches),
            "profile": lambda: self._profiles(heard), "traffic": lambda: self._traffic(heard),
            "alias": self._aliases, "outcome": lambda: self._outcomes(state.outcomes, heard, origin),
            "statistics": self._statistics, "swap": lambda: map(_swap, reversed(state.swaps)),
            "rollout": lambda: map(_rollout, self._rollouts()),
        }  # fmt: skip
        for kind in (*TEACHING, "statistics", "swap", "rollout"):
            if kind in chosen:
                yield from ((kind, told) for told in makers[kind]())

    def _models(self, heard: Heard, origin: str) -> Iterator[Mapping[str, Any]]:
        for v in self._live.registry.versions.values():
            yield {
                "version": v.version, "provider": self._kind_of(v), "name": v.model, "digest": v.digest,
                "quantization": v.quantization, "family": v.family, "parameters": v.parameters,
                "file_bytes": v.file_bytes, "context": v.context, "capabilities": sorted(v.capabilities),
                "licence": v.licence, "traits": _traits(v),
            }  # fmt: skip
        yield from (_passed_on(s.origin, s.at, s.data) for s in heard.said if s.kind == "model" and s.origin != origin)

    def _tasks(self, patches: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for name, task in self._live.tasks.items():
            changed = merge_patches({}, patches.get(name, {}))
            yield {"task": name, "settings": _settings(task.as_dict()), "changed": _settings(changed)}

    def _profiles(self, heard: Heard) -> Iterator[Mapping[str, Any]]:
        for name in self._live.tasks:
            profile = self._evidence.profile(name)
            if profile.requests or profile.quality_n or profile.preferences:
                told = {k: v for k, v in profile.as_dict().items() if k != "task"}
                yield {"task": name, "complexity": profile.complexity, "profile": told}
        for s in heard.said:
            if s.kind == "profile":
                yield _passed_on(s.origin, s.at, {"task": s.name, "profile": s.data})

    def _traffic(self, heard: Heard) -> Iterator[Mapping[str, Any]]:
        own = self._own_traffic()
        if any(own.seen):
            yield own.pack()
        yield from (_passed_on(s.origin, s.at, s.data) for s in heard.said if s.kind == "traffic")

    def _aliases(self) -> Iterator[Mapping[str, Any]]:
        yield from ({"alias": a, "version": v} for a, v in self._live.registry.aliases.items())

    def _outcomes(self, own: Sequence[Outcome], heard: Heard, origin: str) -> Iterator[Mapping[str, Any]]:
        """The newest of each task and version, the oldest first; what can't be true is unknown."""
        now, versions = self._live.clock.now(), self._live.registry.versions
        for o in own:
            if o.task and o.version in versions:
                yield _outcome(sound(o, flaws(o, now), now))
        for h in heard.outcomes:
            yield {"origin": h.origin, **_outcome(h.outcome)} if h.origin != origin else _outcome(h.outcome)

    def _statistics(self) -> Iterator[Mapping[str, Any]]:
        """For people: worked out anew wherever the outcomes are taken in."""
        for task in self._live.tasks:
            rows = {row.version: row for row in self._evidence.leaderboard(task)}
            for version, s in self._evidence.stats(task).items():
                low, high = s.quality_interval
                row = rows.get(version)
                yield {
                    "task": task, "version": version, "samples": s.samples, "quality": s.quality, "quality_low": low,
                    "quality_high": high, "good": s.hits, "bad": s.misses, "sources": dict(s.quality_sources),
                    "latency_p50_s": s.latency_p50_s, "latency_p95_s": s.latency_p95_s, "ttft_s": s.ttft_s,
                    "tokens_per_second": s.tokens_per_second, "memory_bytes": s.memory_bytes, "energy_j": s.energy_j,
                    "success_rate": s.success_rate, "utility": row.utility if row else None,
                    "p_best": row.p_best if row else None,
                    "alarms": [alarm.sentence for alarm in self._evidence.watch.alarms(task, version)],
                }  # fmt: skip


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without its name, and without a suite that is a file: its path means nothing elsewhere."""
    own = str(given.get("suite") or "").endswith(".jsonl")
    return {k: v for k, v in given.items() if k != "task" and not (k == "suite" and own)}


def _passed_on(origin: str, at: float, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"origin": origin, "at": at, **fields}


def _traits(version: ModelVersion) -> dict[str, Any]:
    """What a prediction reads of it."""
    found = asdict(traits(version))
    return {k: found[k] for k in ("words", "family", "size", "quantization")}


def _outcome(o: Outcome) -> dict[str, Any]:
    """What is unknown is left out (archive.py's ``line``), and so is what is nearly never true."""
    told = {name: getattr(o, name) for name in OUTCOME}
    if not told["tokens_estimated"]:
        del told["tokens_estimated"]
    return told


def _swap(s: SwapView) -> dict[str, Any]:
    """Without its reason and error: a person may have written the one, a runtime the other."""
    return {
        "id": s.id, "task": s.task, "from": s.from_, "to": s.to, "trigger": s.trigger, "result": s.result,
        "started_at": s.started_at, "duration_s": s.duration_s, "rules": [w.rule for w in s.why],
    }  # fmt: skip


def _rollout(r: RolloutView) -> dict[str, Any]:
    return {
        "id": r.id, "task": r.task, "from": r.from_, "to": r.to, "phase": r.phase, "rule": r.rule,
        "verdict": r.verdict, "pairs": r.pairs, "p_worse": r.p_worse, "slowdown": r.slowdown,
        "canary_requests": r.canary_requests, "started_at": r.started_at, "ended_at": r.ended_at,
        "rules": [w.rule for w in r.why],
    }  # fmt: skip
