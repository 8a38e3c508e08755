"""What a version will show before it has answered once: each model of the recorded matrices left out in turn.

Three matrices (nine open models on fourteen tasks; four served models on five; four on those seventeen tasks with at
least 30 answers of each). From the names alone: no size, family or quantisation was recorded apart. The interval is to
hold 80%; its coverage is resampled by whole models. The error is held against the mean of the model's family (first
letters of its name; of all models where it has no relative), on all tasks and on the half that no constant saw.

Seconds: the one recording that has them (four served models on five tasks, medians), each model left out in turn; the
interval of one task alone, and with the misses on all tasks. The width is a factor, the error one of logarithms. Bytes
were recorded nowhere.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import traces
from harness import emit

from arbiter_tui.core.prediction import Traits, predict, predict_amount, read_name

LEAST, DRAWS = 30, 2000
Means = dict[str, dict[str, float]]  # task -> model -> mean quality


@dataclass(frozen=True, slots=True)
class Left:
    """One model left out, on one task."""

    model: str
    task: str
    error: float
    family_error: float
    mean_error: float
    covered: bool
    width: float


def matrices() -> dict[str, Means]:
    complete = {t: {m: statistics.fmean(q) for m, q in of.items()} for t, of in traces.matrix().items()}
    drift = _means((r["task"], r["model"], r["quality"]) for r in traces.rows("llmdrift_gpt_updates.csv.gz"))
    judged = _means(
        (r["task"], r["model"], r["reward"])
        for r in traces.rows("paretobandit_multijudge.csv.gz")
        if r["judge"] == "primary"
    )
    return {"open": complete, "updates": drift, "judged": judged}


def _means(rows: Any) -> Means:
    seen: dict[str, dict[str, list[float]]] = {}
    for task, model, quality in rows:
        seen.setdefault(task, {}).setdefault(model, []).append(float(quality))
    return {
        task: {model: statistics.fmean(of) for model, of in models.items()}
        for task, models in seen.items()
        if min(len(of) for of in models.values()) >= LEAST
    }


def left_out(matrix: Means) -> list[Left]:
    tasks = sorted(matrix)
    known = {model: read_name(model) for model in sorted({m for of in matrix.values() for m in of})}
    found = []
    for name, new in known.items():
        others = [t for model, t in known.items() if model != name]
        tables = [{m: q for m, q in matrix[task].items() if m != name} for task in tasks]
        for task, table, told in zip(tasks, tables, predict(new, others, tables), strict=True):
            if told is not None:
                found.append(_one(new, others, task, matrix[task][name], table, told.value, told.low, told.high))
    return found


def _one(
    new: Traits, others: Sequence[Traits], task: str, truth: float, table: Mapping[str, float], value: float,
    low: float, high: float,
) -> Left:  # fmt: skip
    relatives = [table[t.name] for t in others if t.family == new.family]
    everyone = statistics.fmean(table.values())
    family = statistics.fmean(relatives) if relatives else everyone
    return Left(
        new.name, task, abs(value - truth), abs(family - truth), abs(everyone - truth), low <= truth <= high, high - low
    )


def line(rows: Sequence[Left]) -> dict[str, float]:
    error, family = statistics.fmean(r.error for r in rows), statistics.fmean(r.family_error for r in rows)
    return {
        "predictions": len(rows), "error": round(error, 4), "family_error": round(family, 4),
        "mean_error": round(statistics.fmean(r.mean_error for r in rows), 4),
        "lower_by": round(1.0 - error / family, 4),
        "coverage": round(statistics.fmean(r.covered for r in rows), 4),
        "width": round(statistics.fmean(r.width for r in rows), 4),
    }  # fmt: skip


def coverage(groups: Sequence[Sequence[Left]]) -> dict[str, float]:
    """The interval of the coverage, models drawn with replacement."""
    chance = random.Random(1)
    drawn = sorted(
        statistics.fmean(r.covered for group in chance.choices(groups, k=len(groups)) for r in group)
        for _ in range(DRAWS)
    )
    return {"low": round(drawn[round(0.025 * DRAWS)], 4), "high": round(drawn[round(0.975 * DRAWS) - 1], 4)}


def medians() -> Means:
    """task -> model -> median seconds."""
    seen: dict[str, dict[str, list[float]]] = {}
    for row in traces.rows("llmdrift_gpt_updates.csv.gz"):
        if row["latency_s"]:
            seen.setdefault(row["task"], {}).setdefault(row["model"], []).append(float(row["latency_s"]))
    return {t: {m: statistics.median(v) for m, v in of.items() if len(v) >= LEAST} for t, of in sorted(seen.items())}


def seconds(tables: Means, *, together: bool) -> dict[str, Any]:
    """``together``: the misses on all tasks make the interval."""
    models = sorted({model for of in tables.values() for model in of})
    groups: list[list[Left]] = []
    for name in models:
        known = [read_name(model) for model in models if model != name]
        left = {task: {m: s for m, s in of.items() if m != name} for task, of in tables.items()}
        groups.append([])
        for task, of in tables.items():
            beside = [table for other, table in left.items() if other != task] if together else []
            told = predict_amount(read_name(name), known, left[task], beside=beside)
            if told is not None and name in of:
                mean = statistics.fmean(math.log(s) for s in left[task].values())
                truth = math.log(of[name])
                error, plain = abs(math.log(told.value) - truth), abs(mean - truth)
                hit = told.low <= of[name] <= told.high
                groups[-1].append(Left(name, task, error, plain, plain, hit, told.high / told.low))
    rows = [row for group in groups for row in group]
    return {
        "predictions": len(rows), "models": len(groups), "error": round(statistics.fmean(r.error for r in rows), 4),
        "mean_error": round(statistics.fmean(r.mean_error for r in rows), 4),
        "coverage": round(statistics.fmean(r.covered for r in rows), 4), "coverage_interval": coverage(groups),
        "width_factor": round(statistics.median(r.width for r in rows), 2),
    }  # fmt: skip


def main() -> None:
    rows, groups, by_matrix, half = [], [], {}, []
    for name, matrix in matrices().items():
        found = left_out(matrix)
        later = set(traces.halves(matrix)["reported"])
        rows += found
        half += [r for r in found if r.task in later]
        groups += [[r for r in found if r.model == model] for model in sorted({r.model for r in found})]
        by_matrix[name] = line(found)
    span = coverage(groups)
    measured = {
        "all": line(rows),
        "reported": line(half),
        "coverage_interval": span,
        "models": len(groups),
        **by_matrix,
        "seconds": seconds(medians(), together=True),
        "seconds_one_task": seconds(medians(), together=False),
    }
    met = span["low"] <= 0.8 <= span["high"] and measured["all"]["lower_by"] >= 0.2
    must = {
        "coverage of the 80% interval": ".8 inside its interval (bootstrap by model), width reported",
        "error": ">= 20% lower than that of the family's mean",
    }
    emit("prediction", must, measured, met)


if __name__ == "__main__":
    main()
