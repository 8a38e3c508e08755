"""Routing each prompt by what can be read off it, and cascades, against the best model of each task, recorded answers.

*Routing*: half of each task's prompts are learnt from, the others are routed; 5 seeded halves. Every model is taken to
cost the same, so nothing is bought by asking a dearer one. ``always``: the same without the switch that shuts where it
would not have paid. The gain is told as a share of the best model's quality; the oracle is the best answer to each.

*Cascade*: a cheaper model is asked first, and the dearest or the middle one where a judge gives its answer less than a
limit; the better one by the judge is served. Three models, recorded costs; each of three judges verifies in turn, the
mean of the two others is taken for the truth; a verdict, whose cost was not recorded, is charged as an answer of the
middle model. Who is asked and the limit are learnt on half of the prompts, at no more than the cost of the best model,
and used only where that gained more than GATE standard errors. ``thrift`` is the other way round: the cheapest of all
cascades and models that on that half lost less than 1%, GATE standard errors included; its quality and its cost, each
as a share of the best model's.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import traces
from harness import emit

from arbiter_tui.core.difficulty import GATE, Graded, features, learn

SEEDS, LEAST, GAP = 5, 60, 0.02
LIMITS = (0.7, 0.8, 0.9, 0.95, 0.99)
Task = list[Graded]
Answered = list[
    tuple[float, float, float]
]  # of each model, the cheapest first: what it is worth, the verdict, its cost


def recorded() -> dict[str, Task]:
    """task -> prompts, with the grades of all models in the order of their names."""
    prompts: dict[str, str] = {}
    path = traces.PLACE / "llmrouter9_items.jsonl.gz"
    if not path.is_file():
        raise SystemExit(f"{path.name} is not here; ARBITER_TRACES names the folder of the recorded outcomes")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for text in file:
            item = json.loads(text)
            prompts[str(item["item"])] = item["prompt"]
    grades: dict[str, dict[str, dict[str, float]]] = {}
    for row in traces.rows("llmrouter9_quality.csv.gz"):
        grades.setdefault(row["task"], {}).setdefault(row["item"], {})[row["model"]] = float(row["quality"])
    return {
        task: [Graded(features(prompts[item]), [of[m] for m in sorted(of)]) for item, of in sorted(items.items())]
        for task, items in grades.items()
        if len(items) >= LEAST
    }


def once(job: tuple[Task, int]) -> tuple[float, float, float, float, float]:
    """Quality routed, routed without the switch, of the best model, of the oracle; the share that was routed away."""
    rows, seed = job
    order = random.Random(seed).sample(rows, len(rows))
    taught, asked = order[: len(order) // 2], order[len(order) // 2 :]
    known = learn(taught)
    wanted = [replace(known, pays=True).route(row.features) for row in asked]
    chosen = wanted if known.pays else [known.best] * len(asked)
    routed, always = (
        statistics.fmean(row.grades[c] for row, c in zip(asked, who, strict=True)) for who in (chosen, wanted)
    )
    best = statistics.fmean(row.grades[known.best] for row in asked)
    oracle = statistics.fmean(max(row.grades) for row in asked)
    return routed, always, best, oracle, statistics.fmean(c != known.best for c in chosen)


def judged() -> dict[str, list[dict[tuple[str, str], tuple[float, float]]]]:
    """task -> prompts that all models answered and all judges but the recording's own graded: (grade, cost)."""
    found: dict[tuple[str, str, str], dict[tuple[str, str], tuple[float, float]]] = {}
    for row in traces.rows("paretobandit_multijudge.csv.gz"):
        if row["judge"] != "primary":
            place = found.setdefault((row["task"], row["split"], row["item"]), {})
            place[row["model"], row["judge"]] = (float(row["reward"]), float(row["cost_usd"]))
    whole = max(len(of) for of in found.values())
    tasks: dict[str, list[dict[tuple[str, str], tuple[float, float]]]] = {}
    for key in sorted(found):
        if len(found[key]) == whole:
            tasks.setdefault(key[0], []).append(found[key])
    return {task: rows for task, rows in tasks.items() if len(rows) >= LEAST}


def seen_by(judge: str, rows: Sequence[dict[tuple[str, str], tuple[float, float]]]) -> list[Answered]:
    models, judges = ({key[i] for key in rows[0]} for i in (0, 1))
    cheap = sorted(models, key=lambda m: statistics.fmean(row[m, judge][1] for row in rows))
    return [
        [(statistics.fmean(row[m, j][0] for j in judges if j != judge), *row[m, judge]) for m in cheap] for row in rows
    ]


def cascaded(row: Answered, first: int, then: int, limit: float) -> tuple[float, float]:
    """What is served is worth, and what it cost; one model alone needs no verdict."""
    verdict = row[1][2]
    worth, graded, cost = row[first]
    if first == then:
        return worth, cost
    if graded >= limit:
        return worth, cost + verdict
    other = row[then]
    return (other if other[1] >= graded else row[first])[0], cost + other[2] + 2.0 * verdict


Plan = tuple[int, int, float]


def cascade(rows: Sequence[Answered], seed: int) -> tuple[float, float, float]:
    """On the half that was not learnt from: the gain of the learnt cascade over the best model, as a share of its
    quality; of the thrifty one, quality and cost as shares of the best model's."""
    order = random.Random(seed).sample(rows, len(rows))
    taught, asked = order[: len(order) // 2], order[len(order) // 2 :]
    models = range(len(rows[0]))
    best = max(models, key=lambda m: statistics.fmean(row[m][0] for row in taught))
    quality, price = (statistics.fmean(row[best][i] for row in taught) for i in (0, 2))
    alone = (best, best, 0.0)
    plans = [(m, m, 0.0) for m in models] + [(a, b, limit) for a in models for b in models if a < b for limit in LIMITS]
    tried = {plan: _tried(taught, plan, best) for plan in plans}
    better = max(plans, key=lambda plan: tried[plan][0] if tried[plan][1] <= price else -1.0)
    enough = [plan for plan in plans if tried[plan][0] > -0.01 * quality]
    thrifty = min(enough, key=lambda plan: tried[plan][1])
    base, cost = _served(asked, alone)
    gained = _served(asked, better if tried[better][0] > 0.0 else alone)[0]
    kept, spent = _served(asked, thrifty)
    return gained / base - 1.0, kept / base, spent / cost


def _tried(rows: Sequence[Answered], plan: Plan, best: int) -> tuple[float, float]:
    """The lower bound of what is gained over the best model, and the mean cost."""
    served = [cascaded(row, *plan) for row in rows]
    gains = [worth - row[best][0] for (worth, _), row in zip(served, rows, strict=True)]
    sure = statistics.fmean(gains) - GATE * statistics.pstdev(gains) / math.sqrt(len(gains))
    return sure, statistics.fmean(cost for _, cost in served)


def _served(rows: Sequence[Answered], plan: Plan) -> tuple[float, float]:
    served = [cascaded(row, *plan) for row in rows]
    return statistics.fmean(worth for worth, _ in served), statistics.fmean(cost for _, cost in served)


def cascades() -> dict[str, Any]:
    lines: dict[str, dict[str, float]] = {}
    for task, rows in judged().items():
        answered = [seen_by(judge, rows) for judge in sorted({judge for _, judge in rows[0]})]
        runs = [cascade(of, seed) for of in answered for seed in range(SEEDS)]
        gain, kept, spent = (statistics.fmean(run[i] for run in runs) for i in range(3))
        every = [row for of in answered for row in of]
        best = max(statistics.fmean(row[m][0] for row in every) for m in range(len(every[0])))
        oracle = statistics.fmean(max(worth for worth, _, _ in row) for row in every)
        lines[task] = {
            "gain": round(gain, 5), "oracle_gain": round(oracle / best - 1.0, 4),
            "thrift_quality": round(kept, 4), "thrift_cost": round(spent, 4),
        }  # fmt: skip
    thrift = [statistics.fmean(line[name] for line in lines.values()) for name in ("thrift_quality", "thrift_cost")]
    return {
        **counted(lines), "thrift_quality": round(thrift[0], 4), "thrift_cost": round(thrift[1], 4),
        "thrift_worst": min(line["thrift_quality"] for line in lines.values()),
    }  # fmt: skip


def counted(lines: dict[str, dict[str, float]]) -> dict[str, Any]:
    gaps = [line for line in lines.values() if line["oracle_gain"] > GAP]
    return {
        "tasks_with_a_gap": len(gaps), "gained": sum(line["gain"] > 0 for line in gaps),
        "worst": min(line["gain"] for line in lines.values()),
        "mean": round(statistics.fmean(line["gain"] for line in lines.values()), 5), "seeds": SEEDS, "tasks": lines,
    }  # fmt: skip


def routing() -> dict[str, Any]:
    tasks = recorded()
    jobs = [(name, (rows, seed)) for name, rows in sorted(tasks.items()) for seed in range(SEEDS)]
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        done = list(workers.map(once, [job for _, job in jobs], chunksize=2))
    lines = {}
    for name in sorted(tasks):
        runs = [run for (of, _), run in zip(jobs, done, strict=True) if of == name]
        routed, always, best, oracle, away = (statistics.fmean(run[i] for run in runs) for i in range(5))
        lines[name] = {
            "gain": round(routed / best - 1.0, 5), "always": round(always / best - 1.0, 5),
            "oracle_gain": round(oracle / best - 1.0, 4), "routed_away": round(away, 4),
        }  # fmt: skip
    found = counted(lines)
    return {
        **found, "always_gained": sum(line["always"] > 0 for line in lines.values()),
        "always_worst": min(line["always"] for line in lines.values()),
        "always_mean": round(statistics.fmean(line["always"] for line in lines.values()), 5),
    }  # fmt: skip


def main() -> None:
    traces.rows("paretobandit_multijudge.csv.gz")  # says what is missing before anything starts
    measured = {**routing(), "cascade": cascades()}
    met = measured["gained"] >= measured["tasks_with_a_gap"] / 2 and measured["worst"] >= -0.01
    emit("routing", {"gain": "> 0 on at least half of the tasks with an oracle gap, never below -1%"}, measured, met)


if __name__ == "__main__":
    main()
