"""Grading: which grade of an answer stands when a second one comes.

Owns: the rule, and what became of one grade. Never: stores a grade, sums grades (stats.py).

An answer has one grade. Whoever graded it may correct it: the newest counts, once, in the place of the one before. A
grade of another source stands: feedback replaces nothing that a suite, a sentinel, a verifier or a report has said.
"""

from __future__ import annotations

from dataclasses import dataclass

from .cost import Outcome


@dataclass(frozen=True, slots=True)
class Grading:
    """The outcome before and after somebody graded it."""

    before: Outcome
    after: Outcome
    source: str

    @property
    def taken(self) -> bool:
        """Whether the grade counts; else the one that was there before stands."""
        return replaces(self.source, self.before)

    @property
    def corrects(self) -> float | None:
        """The grade that it takes the place of; None for a first one."""
        return self.before.quality if self.taken else None


def replaces(source: str, graded: Outcome) -> bool:
    return graded.quality is None or graded.quality_source == source
