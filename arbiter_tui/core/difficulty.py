"""Difficulty: how well each version will answer one prompt, from what can be read off it at no cost.

Owns: the features of a prompt, the predictor that is learnt from graded answers, and when another version than the
best one is worth a prompt. Never: asks a model, keeps a prompt, serves (benchmarks/routing.py says what it would gain).

Features: length, shares of digits, signs of code, capitals, line ends, foreign letters; how varied and how long its
words are; and its words, hashed with signs (Weinberger 2009). A version's grade is its mean on the task and a ridge
regression on these. A prompt is routed away from the best version only when another one is predicted to be better by
MARGIN, and only on tasks where, on parts of the data that it was not learnt from, that gained more than GATE standard
errors: where it does not pay, everything stays with the best version.
"""

from __future__ import annotations

import math
import re
import statistics
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from .prediction import solve

HASHED = 32
RIDGE = 300.0
MARGIN = 0.02
GATE = 3.0
FOLDS = 5
_WORD = re.compile(r"\w+")
_CODE = frozenset("{}()[];=<>_\\$^+*/")
Features = tuple[float, ...]


def features(prompt: str) -> Features:
    """Each about as large as 1."""
    n, words = max(len(prompt), 1), _WORD.findall(prompt.lower())
    different = set(words)
    shares = (
        sum(c.isdigit() for c in prompt), sum(c in _CODE for c in prompt), sum(c.isupper() for c in prompt),
        prompt.count("\n"), sum(ord(c) > 127 for c in prompt),
    )  # fmt: skip
    plain = (
        math.log1p(n) / 8.0, *(5.0 * share / n for share in shares), min(1.0, prompt.count("?") / 5.0),
        len(different) / max(len(words), 1), sum(map(len, words)) / max(len(words), 1) / 6.0,
    )  # fmt: skip
    return (*plain, *_hashed(different))


def _hashed(words: set[str]) -> Features:
    places = [0.0] * HASHED
    for word in words:
        code = zlib.crc32(word.encode())
        places[code % HASHED] += 1.0 if code & (1 << 20) else -1.0
    length = math.sqrt(sum(p * p for p in places)) or 1.0
    return tuple(p / length for p in places)


@dataclass(frozen=True, slots=True)
class Graded:
    """One prompt's features, and the grade of each version's answer, versions in one order."""

    features: Features
    grades: Sequence[float]


@dataclass(frozen=True, slots=True)
class Predictor:
    """``best``: the version with the best mean; ``pays``: whether routing away from it is worth it at all."""

    means: tuple[float, ...]
    middle: Features
    scale: Features
    slopes: tuple[tuple[float, ...], ...]
    best: int
    pays: bool

    def grades(self, prompt: Features) -> tuple[float, ...]:
        """What each version's answer is expected to be graded."""
        z = [(x - m) / s for x, m, s in zip(prompt, self.middle, self.scale, strict=True)]
        return tuple(
            mean + sum(b * x for b, x in zip(slope, z, strict=True))
            for mean, slope in zip(self.means, self.slopes, strict=True)
        )

    def route(self, prompt: Features) -> int:
        return self._routed(prompt) if self.pays else self.best

    def _routed(self, prompt: Features) -> int:
        told = self.grades(prompt)
        other = max(range(len(told)), key=lambda i: (told[i], -i))
        return other if told[other] - told[self.best] > MARGIN else self.best


def learn(rows: Sequence[Graded]) -> Predictor:
    """From the answers of all versions to the same prompts (at least FOLDS of them)."""
    gains = []
    for fold in range(FOLDS):
        tried = _fitted([row for n, row in enumerate(rows) if n % FOLDS != fold], pays=True)
        gains += [row.grades[tried.route(row.features)] - row.grades[tried.best] for row in rows[fold::FOLDS]]
    error = statistics.pstdev(gains) / math.sqrt(len(gains))
    return _fitted(rows, pays=statistics.fmean(gains) > GATE * error > 0.0)


def _fitted(rows: Sequence[Graded], *, pays: bool) -> Predictor:
    n, width = len(rows), len(rows[0].features)
    middle = tuple(statistics.fmean(row.features[i] for row in rows) for i in range(width))
    scale = tuple(statistics.pstdev([row.features[i] for row in rows]) + 1e-6 for i in range(width))
    z = [[(x - m) / s for x, m, s in zip(row.features, middle, scale, strict=True)] for row in rows]
    gram = [[0.0] * width for _ in range(width)]
    for i in range(width):
        column = [row[i] for row in z]
        for j in range(i + 1):
            gram[i][j] = gram[j][i] = sum(a * row[j] for a, row in zip(column, z, strict=True))
        gram[i][i] += RIDGE
    versions = len(rows[0].grades)
    means = tuple(sum(row.grades[v] for row in rows) / n for v in range(versions))
    slopes = tuple(
        tuple(solve(gram, [sum(line[i] * (row.grades[v] - means[v]) for line, row in zip(z, rows, strict=True))
                           for i in range(width)]))
        for v in range(versions)
    )  # fmt: skip
    return Predictor(means, middle, scale, slopes, max(range(versions), key=lambda v: (means[v], -v)), pays)
