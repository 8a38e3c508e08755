"""Prediction: what a version will show on a task before it has answered there once, with an interval.

Owns: how alike two versions are, the expected value and its interval. Never: who serves; any measured figure.

Versions that are alike do alike: their covariance is the sum of what they share, KERNEL: how far their names are
the same from the first word on (the lineage), family, size, quantisation. From versions that are known on a task
the best linear unbiased prediction (ordinary kriging, Matheron 1963) follows; with nothing in common it is their mean.
Its weights depend on the versions alone, so whatever is known on several tasks shares them.

The interval is what the same prediction would have missed: each known version is predicted from the others, on every
task, and a quantile of these misses, in standard deviations, is its reach: the 80% one, and a share more that vanishes
with the number of versions, for misses of one version on several tasks are one witness (Barber 2021).

Seconds and bytes grow with the weights that are read for each token: they are predicted as logarithms, in proportion to
the size where sizes are known. The constants were chosen on half of the recorded tasks (benchmarks/prediction.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .registry import ModelVersion

COVERAGE = 0.8
KERNEL = {"lineage": 0.2, "family": 0.05, "size": 0.001, "quantization": 0.001}
NOISE = 0.003
NEIGHBOURS = 12  # the most alike; further ones would change little and cost much
ENOUGH = 2  # known versions below which nothing is predicted
ALONE_REACH = 1.2816  # standard deviations that hold 80% of a normal, while there are no misses to learn from
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")
_WORD = re.compile(r"[-_/:\s]+")
_COMMON = re.compile(r"instruct|it|chat|base|v\d[\d.]*")  # what many names have, whatever they name
_QUANT = re.compile(r"(?<![a-z0-9])(i?q\d\w*|f16|bf16|f32|fp8|int[48]|awq|gptq)(?![a-z0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What can be told of a version without asking it. ``size``: parameters, in any unit that all share."""

    name: str
    words: tuple[str, ...]
    family: str | None = None
    size: float | None = None
    quantization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """``low``..``high`` holds it with COVERAGE; ``alike``: the version that weighs most, and ``known`` how many do."""

    value: float
    low: float
    high: float
    alike: str
    known: int


def traits(version: ModelVersion) -> Traits:
    """Of a registered version."""
    found = read_name(version.model, version.version)
    size = float(version.parameters) if version.parameters else found.size
    return Traits(
        name=version.version, words=found.words, family=version.family or found.family, size=size,
        quantization=(version.quantization or found.quantization or "").lower() or None,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def read_name(model: str, name: str | None = None) -> Traits:
    """What a model's name alone tells: its words, its family (the first letters), its size in parameters."""
    text = model.lower().removesuffix(".gguf")
    sizes, quant = _SIZE.findall(text), _QUANT.search(text)
    plain = _QUANT.sub(" ", _SIZE.sub(" ", text))
    words = tuple(word for word in _WORD.split(plain) if word.strip(".") and not _COMMON.fullmatch(word))
    letters = re.match(r"[a-z]+", text)
    return Traits(
        name=name or model, words=words, family=letters[0] if letters else None,
        size=float(sizes[-1][0]) * {"b": 1e9, "m": 1e6}[sizes[-1][1]] if sizes else None,
        quantization=quant[1] if quant else None,
    )  # fmt: skip


def alike(a: Traits, b: Traits) -> float:
    """The covariance of two versions' values on a task, apart from NOISE."""
    shared = KERNEL["lineage"] * _lineage(a.words, b.words)
    shared += KERNEL["family"] * (a.family is not None and a.family == b.family)
    shared += KERNEL["quantization"] * (a.quantization == b.quantization)
    if a.size and b.size:
        return shared + KERNEL["size"] * math.exp(-0.5 * math.log(a.size / b.size) ** 2)
    return shared + KERNEL["size"] * (1.0 if a.name == b.name else 0.5)


def _lineage(a: Sequence[str], b: Sequence[str]) -> float:
    """The share of words that are the same from the first one on."""
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return same / max(len(a), len(b), 1)


Weights = tuple[tuple[float, ...], float]


@lru_cache(maxsize=4096)
def weights(known: tuple[Traits, ...], new: Traits) -> Weights:
    """Of each known version, summing to 1, and the standard deviation of the prediction."""
    n = len(known)
    covariance = [[alike(a, b) + (NOISE if i == j else 0.0) for j, b in enumerate(known)] for i, a in enumerate(known)]
    shared = [alike(new, a) for a in known]
    by_shared, by_one = solve(covariance, shared), solve(covariance, [1.0] * n)
    left, ones = 1.0 - sum(by_shared), sum(by_one)
    found = tuple(s + left / ones * o for s, o in zip(by_shared, by_one, strict=True))
    explained = sum(s * k for s, k in zip(by_shared, shared, strict=True))
    variance = alike(new, new) + NOISE - explained + left * left / ones
    return found, math.sqrt(max(variance, 1e-12))


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Of a symmetric positive definite matrix, by its Cholesky factor."""
    n = len(right)
    low = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = matrix[i][j] - sum(low[i][k] * low[j][k] for k in range(j))
            low[i][j] = math.sqrt(max(rest, 1e-12)) if i == j else rest / low[j][j]
    found = [0.0] * n
    for i in range(n):
        found[i] = (right[i] - sum(low[i][k] * found[k] for k in range(i))) / low[i][i]
    for i in reversed(range(n)):
        found[i] = (found[i] - sum(low[k][i] * found[k] for k in range(i + 1, n))) / low[i][i]
    return found


Table = Mapping[str, float]  # version -> value on one task


def predict(
    new: Traits, known: Sequence[Traits], tables: Sequence[Table], *, bounds: tuple[float, float] = (0.0, 1.0)
) -> list[Expectation | None]:
    """What ``new`` will show on each task, from what ``known`` showed there; None where fewer than ENOUGH did. The
    misses of all tasks together make the interval."""
    near = tuple(sorted(known, key=lambda t: (-alike(new, t), t.name))[:NEIGHBOURS])
    reach = _reach(near, tables)
    return [_on_task(new, [t for t in near if t.name in table], table, reach, bounds) for table in tables]


def _on_task(
    new: Traits, near: Sequence[Traits], table: Table, reach: float, bounds: tuple[float, float]
) -> Expectation | None:
    if len(near) < ENOUGH:
        return None
    share, sd = weights(tuple(near), new)
    mean = sum(w * table[t.name] for w, t in zip(share, near, strict=True))
    low, high = bounds
    first = max(zip(share, near, strict=True), key=lambda pair: pair[0])[1]
    return Expectation(
        value=min(high, max(low, mean)), low=min(high, max(low, mean - reach * sd)),
        high=max(low, min(high, mean + reach * sd)), alike=first.name, known=len(near),
    )  # fmt: skip


def _reach(near: Sequence[Traits], tables: Sequence[Table]) -> float:
    """Standard deviations within which COVERAGE of the known ones lie, each predicted from the others."""
    misses = []
    for one in near:
        for table in tables:
            others = tuple(t for t in near if t is not one and t.name in table)
            if one.name in table and len(others) >= ENOUGH:
                share, sd = weights(others, one)
                mean = sum(w * table[t.name] for w, t in zip(share, others, strict=True))
                misses.append(abs(table[one.name] - mean) / sd)
    if not misses:
        return ALONE_REACH
    level = min(1.0, COVERAGE * (1.0 + 1.0 / len(near)))
    return sorted(misses)[math.ceil(level * len(misses)) - 1]


def predict_amount(
    new: Traits, known: Sequence[Traits], table: Table, *, beside: Sequence[Table] = ()
) -> Expectation | None:
    """Seconds or bytes: as logarithms, in proportion to the size where all sizes are known. ``beside``: what the same
    versions took on other tasks; the interval learns from those misses, too, and without them is too narrow."""
    told = [t for t in known if table.get(t.name, 0.0) > 0.0]
    scaled = bool(new.size) and all(t.size for t in told)
    logs = [
        {
            t.name: math.log(one[t.name] / (t.size if scaled and t.size else 1.0))
            for t in told
            if one.get(t.name, 0.0) > 0.0
        }
        for one in (table, *beside)
    ]
    found = predict(new, told, logs, bounds=(-700.0, 700.0))[0]
    if found is None:
        return None
    size = new.size if scaled and new.size else 1.0
    return Expectation(
        value=size * math.exp(found.value), low=size * math.exp(found.low), high=size * math.exp(found.high),
        alike=found.alike, known=found.known,
    )  # fmt: skip
