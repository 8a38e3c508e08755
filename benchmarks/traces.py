"""Recorded outcomes of real models, read where they lie: not part of the project, for they are others' data.

Owns: where they are looked for, their shapes, the halves of the tasks, mean and interval over seeds. A benchmark that
needs them and does not find them ends with the reason; report.py keeps that as its result.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PLACE = Path(os.environ.get("ARBITER_TRACES") or Path(__file__).resolve().parents[2] / "shared" / "traces")
Matrix = dict[str, dict[str, list[float]]]


def rows(name: str) -> list[dict[str, str]]:
    path = PLACE / name
    if not path.is_file():
        raise SystemExit(f"{name} is not here; ARBITER_TRACES names the folder of the recorded outcomes")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def matrix() -> Matrix:
    """task -> model -> quality of each item, items in the same order for every model. Complete: 9 models, 14 tasks."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows("llmrouter9_quality.csv.gz"):
        found.setdefault(row["task"], {}).setdefault(row["model"], {})[row["item"]] = float(row["quality"])
    return {t: {m: [q for _, q in sorted(v.items())] for m, v in models.items()} for t, models in found.items()}


def halves(tasks: Mapping[str, Any]) -> dict[str, list[str]]:
    """Every second task by name. Constants are chosen on the first half and reported on the second."""
    names = sorted(tasks)
    return {"chosen_on": names[::2], "reported": names[1::2]}


def updates() -> list[tuple[dict[str, str], list[float], list[float]]]:
    """(event, old, new) of in-place updates of served models: qualities of the same items, in the same order."""
    known: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows("llmdrift_gpt_updates.csv.gz"):
        known.setdefault((row["task"], row["model"]), {})[row["item"]] = float(row["quality"])
    found = []
    for event in rows("llmdrift_events.csv"):
        old, new = known[event["task"], event["old"]], known[event["task"], event["new"]]
        items = sorted(old.keys() & new.keys())
        found.append((event, [old[i] for i in items], [new[i] for i in items]))
    return found


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean over seeds with its 95% interval."""
    mean = statistics.fmean(values)
    reach = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": round(mean, 4), "low": round(mean - reach, 4), "high": round(mean + reach, 4)}
