"""Forgetting: what a detected change leaves of what was measured before it, and whose word the change is.

Owns: the two questions that follow an alarm. Never: raises one (drift.py), sums figures (stats.py).
"""

from __future__ import annotations

from dataclasses import replace

from .drift import Alarm, Signal
from .stats import FIRM, Stats, trust_of


def since(stats: Stats, alarm: Alarm) -> Stats:
    """``stats`` without what the alarm's own signal showed before the change; the other signals keep their past."""
    kept = stats.newest(alarm.since)
    match alarm.signal:
        case Signal.QUALITY:
            return replace(
                stats, hits=kept.hits, misses=kept.misses, quality_sources=kept.quality_sources, told=kept.told,
                grades=kept.grades, items=kept.items, forgotten=kept.forgotten,
            )  # fmt: skip
        case Signal.LATENCY:
            return replace(stats, latencies=kept.latencies)
        case Signal.FAILURES:
            return replace(stats, results=kept.results)


def weighed(alarm: Alarm, stats: Stats) -> Alarm:
    """A fall of quality by as much of what it seems as the sources of the grades since then are trusted."""
    if alarm.signal is not Signal.QUALITY:
        return alarm
    sources = [source for _, source in stats.grades[-alarm.since :]]
    if not sources:
        return alarm
    trust = sum(trust_of(source) for source in sources) / len(sources)
    return replace(alarm, after=alarm.before + trust * (alarm.after - alarm.before))


def hearsay(alarm: Alarm, stats: Stats) -> bool:
    """Whether a fall of quality is told by grades below FIRM alone, while firm ones stand before it."""
    if alarm.signal is not Signal.QUALITY:
        return False
    firm = [trust_of(source) >= FIRM for _, source in stats.grades]
    return any(firm[: -alarm.since]) and not any(firm[-alarm.since :])
