"""What the narrator's line says: what is newest and matters most, in as many cells as there are. Pure.

Owns: which of a show's line and the engine's own sentence comes first, and what a sentence may lose to fit. Never: the
sentences, a clock. A sentence is shortened part by part, the least important first, and never ends amid its condition:
names without what they share, then what stands in parentheses, then sample sizes and intervals, then clauses: those
before the one that says what will happen, where there is one, else the last ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from ..core.snapshot import Snapshot
from . import format as fmt
from .names import briefly, in_brief, stem
from .state import View

FRESH_S = 12.0  # so long a show's line is read before the engine's sentence comes first again
LESS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r" \([^()]*\)"), ""),
    (re.compile(r" on \d+ samples?\b"), ""),
    (re.compile(r" \[[^\[\]]*\]"), ""),
)


CLAUSES = re.compile(r"; |\. ")
ACTS = re.compile(r"(holding|swapping|rolling back)\b")  # a last clause that says what will happen


class Told:
    """A show's line: how long it has stood there. ``now``: monotonic seconds."""

    def __init__(self, line: Callable[[], str | None]) -> None:
        self._line = line
        self._since = float("-inf")

    def look(self, view: View, now: float) -> bool:
        """Put into the view what stands there now; whether that is another line, or has become an old one."""
        line, before = self._line(), (view.story, view.story_fresh)
        if line != view.story:
            self._since = now
        view.story, view.story_fresh = line, line is not None and now - self._since < FRESH_S
        return (view.story, view.story_fresh) != before


def urgent(snapshot: Snapshot | None) -> bool:
    """Whether something is under way that a spectator must see now: a swap, or one that can still be vetoed."""
    if snapshot is None:
        return False
    running = any(swap.result == "running" for swap in snapshot.swaps)
    return running or any(task.next_incumbent is not None for task in snapshot.tasks)


def fitted(sentence: str, versions: Iterable[str], width: int, rows: int) -> list[str]:
    """``sentence`` over at most ``rows`` lines of ``width`` cells, in the fullest form that fits."""
    shortest = sentence
    for shortest in _forms(sentence, versions):
        lines = fmt.wrap(shortest, width)
        if len(lines) <= rows:
            return lines
    return fmt.wrap_to(shortest, width, rows)


def _forms(sentence: str, versions: Iterable[str]) -> Iterator[str]:
    """Each shorter than the one before it."""
    yield sentence
    known = list(dict.fromkeys(versions))
    with_providers = briefly(known, providers=True)
    said = in_brief(sentence, with_providers)
    yield said
    stems = Counter(stem(v) for v in known)
    said = in_brief(sentence, {v: stem(v) if stems[stem(v)] == 1 else with_providers[v] for v in known})
    yield said
    for pattern, instead in LESS:
        said = pattern.sub(instead, said)
        yield said
    task, colon, rest = said.partition(": ")
    head = task + colon if colon and " " not in task else ""
    end = "." if said.endswith(".") else ""
    parts = CLAUSES.split((rest if head else said).removesuffix("."))
    for fewer in range(1, len(parts)):
        kept = parts[fewer:] if ACTS.match(parts[-1]) else parts[:-fewer]
        said = f"{head}{'; '.join(kept)}{end}"
        yield said
    named = [v for v in known if v in sentence]
    yield in_brief(said, {with_providers[v]: short for v, short in briefly(named).items()})
