"""Difficulty: how well each version will answer one prompt, from what can be read off it at no cost.

Owns: what is read off a prompt, the predictor that is learnt from graded answers, and when another version than the
best one is worth a prompt. Never: asks a model, keeps a prompt's text, serves (benchmarks/routing.py says what it would
gain).

A version's grade is its mean on the task, and what it got for past prompts that are like this one: alike in their
words (hashed, each by how rare it is) and in length, shares of digits, signs of code, capitals, line ends and foreign
letters, how varied and how long its words are. It is a kernel ridge regression, whose prediction of each past prompt
from all the others comes for free (Allen 1974). A prompt is routed away from the best version only when another one is
predicted to be better by MARGIN, and only on tasks where that would have gained more than GATE standard errors on the
past prompts, each predicted without itself: where it does not pay, everything stays with the best version.
"""

from __future__ import annotations

import math
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RIDGE = 4.0
PLAIN, WIDTH = 0.5, 32.0  # weight of the plain features beside that of the words, and the square that is far apart
MARGIN = 0.02
GATE = 2.0
REMEMBERED = 400  # past prompts, the newest
_WORD = re.compile(r"\w+")
_CODE = frozenset("{}()[];=<>_\\$^+*/")


@dataclass(frozen=True, slots=True)
class Features:
    """``plain``: each about as large as 1; ``words``: how often each one, by its hash, on a logarithmic scale."""

    plain: tuple[float, ...]
    words: Mapping[int, float]


def features(prompt: str) -> Features:
    n, words = max(len(prompt), 1), _WORD.findall(prompt.lower())
    different = Counter(words)
    shares = (
        sum(c.isdigit() for c in prompt), sum(c in _CODE for c in prompt), sum(c.isupper() for c in prompt),
        prompt.count("\n"), sum(ord(c) > 127 for c in prompt),
    )  # fmt: skip
    plain = (
        math.log1p(n) / 8.0, *(5.0 * share / n for share in shares), min(1.0, prompt.count("?") / 5.0),
        len(different) / max(len(words), 1), sum(map(len, words)) / max(len(words), 1) / 6.0,
    )  # fmt: skip
    return Features(plain, {zlib.crc32(word.encode()): 1.0 + math.log(k) for word, k in different.items()})


@dataclass(frozen=True, slots=True)
class Graded:
    """One prompt's features, and the grade of each version's answer, versions in one order."""

    features: Features
    grades: Sequence[float]


class Likeness:
    """How like two prompts are, 0 to 1 + PLAIN, as seen from ``past`` prompts: which words are rare, what is usual."""

    def __init__(self, past: Sequence[Features]) -> None:
        seen = Counter(word for one in past for word in one.words)
        self._rare = {word: math.log((1.0 + len(past)) / (1.0 + k)) + 1.0 for word, k in seen.items()}
        columns = list(zip(*(one.plain for one in past), strict=True))
        self._usual = [(statistics.fmean(column), statistics.pstdev(column) + 1e-6) for column in columns]

    def placed(self, prompt: Features) -> Features:
        """The same in units that can be compared: words of length 1, and only those that were seen before."""
        known = {word: k * self._rare[word] for word, k in prompt.words.items() if word in self._rare}
        length = math.sqrt(sum(x * x for x in known.values())) or 1.0
        plain = tuple((x - m) / s for x, (m, s) in zip(prompt.plain, self._usual, strict=True))
        return Features(plain, {word: x / length for word, x in known.items()})


def like(a: Features, b: Features) -> float:
    few, many = (a.words, b.words) if len(a.words) < len(b.words) else (b.words, a.words)
    words = sum(x * many[word] for word, x in few.items() if word in many)
    apart = sum((x - y) ** 2 for x, y in zip(a.plain, b.plain, strict=True))
    return words + PLAIN * math.exp(-apart / WIDTH)


@dataclass(frozen=True, slots=True)
class Predictor:
    """``best``: the version with the best mean; ``pays``: whether routing away from it is worth it at all; ``pulls``:
    of each past prompt on each version's grade."""

    means: tuple[float, ...]
    likeness: Likeness
    past: tuple[Features, ...]
    pulls: tuple[tuple[float, ...], ...]
    best: int
    pays: bool

    def grades(self, prompt: Features) -> tuple[float, ...]:
        """What each version's answer is expected to be graded."""
        mine = self.likeness.placed(prompt)
        near = [like(mine, one) for one in self.past]
        return tuple(
            mean + sum(k * pull for k, pull in zip(near, pulls, strict=True))
            for mean, pulls in zip(self.means, self.pulls, strict=True)
        )

    def route(self, prompt: Features) -> int:
        return chosen(self.grades(prompt), self.best) if self.pays else self.best


def chosen(told: Sequence[float], best: int) -> int:
    """The version that is predicted to be better than the best one by MARGIN, else the best one."""
    other = max(range(len(told)), key=lambda i: (told[i], -i))
    return other if told[other] - told[best] > MARGIN else best


def learn(rows: Sequence[Graded]) -> Predictor:
    """From the answers of all versions to the same prompts, at least two."""
    rows = rows[-REMEMBERED:]
    n, versions = len(rows), range(len(rows[0].grades))
    means = tuple(statistics.fmean(row.grades[v] for row in rows) for v in versions)
    best = max(versions, key=lambda v: (means[v], -v))
    likeness = Likeness([row.features for row in rows])
    past = tuple(likeness.placed(row.features) for row in rows)
    turned = _inverse(_alike(past))
    pulls = tuple(
        tuple(sum(map(float.__mul__, line, rest)) for line in turned)
        for rest in ([row.grades[v] - means[v] for row in rows] for v in versions)
    )
    gains = []
    for i, row in enumerate(rows):
        alone = [row.grades[v] - pulls[v][i] / turned[i][i] for v in versions]
        gains.append(row.grades[chosen(alone, best)] - row.grades[best])
    error = statistics.pstdev(gains) / math.sqrt(n)
    return Predictor(means, likeness, past, pulls, best, statistics.fmean(gains) > GATE * error > 0.0)


def _alike(past: Sequence[Features]) -> list[list[float]]:
    """Each with each, and RIDGE more with itself."""
    half = [[like(a, b) for b in past[:i]] for i, a in enumerate(past)]
    return [
        [*row, like(past[i], past[i]) + RIDGE, *(half[k][i] for k in range(i + 1, len(past)))]
        for i, row in enumerate(half)
    ]


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """Of a symmetric positive definite matrix, by sweeping each row (Goodnight 1979)."""
    n = len(matrix)
    for k in range(n):
        row = matrix[k]
        pivot = 1.0 / row[k]
        scaled = [x * pivot for x in row]
        for i in range(n):
            if i != k:
                by = matrix[i][k]
                if by:
                    other = [x - by * y for x, y in zip(matrix[i], scaled, strict=True)]
                    other[k] = -by * pivot
                    matrix[i] = other
        scaled[k] = pivot
        matrix[k] = scaled
    return matrix
