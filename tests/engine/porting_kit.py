"""What the tests of export and import share: engines on named machines, archives, and all that an engine decides by."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

from engine_kit import Engine

from arbiter_tui.core.cost import Outcome
from arbiter_tui.engine.archive import packed, written
from arbiter_tui.testing import MIB

HERE, THERE = "machine-here", "machine-there"


def engine(machine: str = HERE, **more: Any) -> Engine:
    one = Engine(**more)
    one.arbiter.knowledge.machine = machine
    return one


async def exported(one: Engine, what: list[str] | None = None) -> bytes:
    return (await one.arbiter.exports.run(what, lambda share: None)).data


async def taken(one: Engine, data: bytes, *, dry_run: bool = False) -> dict[str, Any]:
    return await one.arbiter.imports.run(data, dry_run=dry_run, tell=lambda share: None)


def lines(data: bytes, kind: str) -> list[dict[str, Any]]:
    return [found for raw in gzip.decompress(data).splitlines() if (found := json.loads(raw)).get("kind") == kind]


def learnt(one: Engine, task: str = "work") -> list[Any]:
    """The leaderboard and the posteriors: all by which it decides."""
    stats = one.arbiter.evidence.stats(task)
    posteriors = {v: (s.hits, s.misses, dict(s.quality_sources), s.samples) for v, s in sorted(stats.items())}
    return [one.arbiter.evidence.leaderboard(task), posteriors, one.arbiter.profile(task).as_dict()]


async def teach(one: Engine, tag: str, quality: float, version: str = "a", count: int = 15) -> None:
    await one.arbiter.report(
        Outcome(
            id=f"{tag}-{version}-{n}", task="work", version=version, at=one.clock.now(), success=True, latency_s=0.5,
            memory_bytes=MIB, energy_j=2.0, quality=quality, quality_source="suite",
        )
        for n in range(count)
    )  # fmt: skip


def again_with(head: Mapping[str, Any], body: list[bytes]) -> bytes:
    counts: dict[str, int] = {}
    for raw in body:
        kind = json.loads(raw)["kind"]
        counts[kind] = counts.get(kind, 0) + 1
    return packed(written(head, body, counts))
