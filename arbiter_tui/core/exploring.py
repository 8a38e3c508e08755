"""Exploring: which other version is worth asking, and how often one may be.

Owns: both rules. Never: which versions are loaded, what is asked.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from .posterior import Belief
from .scoring import MIN_SAMPLES
from .stats import EMPTY, Stats

SAVED = 20.0  # requests that may explore, at most, because earlier ones did not


def worth_asking(
    believed: Sequence[Belief], able: Container[str], incumbent: str | None, stats: Mapping[str, Stats]
) -> str | None:
    """Of those that are ``able`` the one that promises most, mean and what may be learnt (policies.py), if that is no
    less than the incumbent does; never one that another is surely better than. One that has too few samples to be
    ranked is asked whatever is believed of it: of what was never measured nothing is sure."""
    mine = next((b.index for b in believed if b.version == incumbent), -1.0)
    found = [b for b in believed if b.version in able]
    worth = [b for b in found if _new(b, stats) or (b.index >= mine and not b.worse)]
    return max(worth, key=lambda b: (b.index, b.version)).version if worth else None


def _new(belief: Belief, stats: Mapping[str, Stats]) -> bool:
    return stats.get(belief.version, EMPTY).samples < MIN_SAMPLES


@dataclass(slots=True)
class Ration:
    """Of a task's requests a share may explore; what is not used is saved, up to SAVED requests."""

    left: float = 0.0

    def asked(self, share: float) -> bool:
        """One more request has come: whether it may explore."""
        self.left = min(SAVED, self.left + share)
        return self.left >= 1.0 - 1e-9

    def used(self) -> None:
        self.left -= 1.0
